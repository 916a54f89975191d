//! The only unsafe code of these tests: requests to devices that no crate wraps.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

const LOOP_CTL_GET_FREE: u64 = 0x4C82;
const LOOP_CONFIGURE: u64 = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LO_FLAGS_DIRECT_IO: u32 = 16;
const BLKFLSBUF: u64 = 0x1261;
const BTRFS_IOC_START_SYNC: u64 = 0x8008_9418;
const BTRFS_IOC_WAIT_SYNC: u64 = 0x4008_9416;
const BTRFS_IOC_FORGET_DEV: u64 = 0x5000_9405;

/// `struct loop_config` of `linux/loop.h`: what is not named is zero.
#[repr(C)]
struct LoopConfig {
    descriptor: u32,
    block_size: u32,
    /// `struct loop_info64` up to its flags.
    before_flags: [u32; 13],
    flags: u32,
    rest: [u8; 64 + 64 + 32 + 16 + 64],
}

/// `struct btrfs_ioctl_vol_args`.
#[repr(C)]
struct VolumeArguments {
    descriptor: i64,
    name: [u8; 4088],
}

/// The number of a loop device that nobody uses now.
pub fn free_loop(control: &File) -> io::Result<i32> {
    // SAFETY: the request takes no argument.
    Ok(Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) })?)
}

/// Puts a file behind a loop device, read and written directly; it is taken away again when nobody has the device open.
pub fn attach(device: &File, file: &File) -> io::Result<()> {
    let config = LoopConfig {
        descriptor: file.as_raw_fd().cast_unsigned(),
        block_size: 512,
        before_flags: [0; 13],
        flags: LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
        rest: [0; 240],
    };
    // SAFETY: the kernel reads the 304 bytes of `struct loop_config`, all of which are there.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config) })?;
    Ok(())
}

/// Forgets what is cached of a block device.
pub fn forget_cache(device: &File) -> io::Result<()> {
    // SAFETY: the request takes no argument.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), BLKFLSBUF as _, 0) })?;
    Ok(())
}

/// Commits a btrfs without writing data first.
pub fn commit_btrfs(inside: &File) -> io::Result<()> {
    let mut transaction = 0_u64;
    // SAFETY: the kernel writes a number of eight bytes.
    Errno::result(unsafe {
        libc::ioctl(inside.as_raw_fd(), BTRFS_IOC_START_SYNC as _, &raw mut transaction)
    })?;
    // SAFETY: the kernel reads that number.
    Errno::result(unsafe {
        libc::ioctl(inside.as_raw_fd(), BTRFS_IOC_WAIT_SYNC as _, &raw const transaction)
    })?;
    Ok(())
}

/// Lets btrfs forget a device that it has seen.
pub fn forget_btrfs(control: &File, device: &str) {
    let mut arguments = VolumeArguments { descriptor: 0, name: [0; 4088] };
    arguments.name[..device.len()].copy_from_slice(device.as_bytes());
    // SAFETY: the kernel reads a `struct btrfs_ioctl_vol_args`, whose name ends with a zero. Where it knows no such device it
    // fails, and that is what was wanted.
    unsafe { libc::ioctl(control.as_raw_fd(), BTRFS_IOC_FORGET_DEV as _, &raw const arguments) };
}

/// Has what is dirty of a file written, and waits for nothing.
pub fn start_writing(file: &File) -> io::Result<()> {
    // SAFETY: the call takes numbers alone.
    Errno::result(unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) })?;
    Ok(())
}
