//! Requests of `ioctl` decoded: what each asks of a file, or does to it.
//!
//! A request that nobody knows is refused, as a system call is. Those of terminals, tapes, disks and network interfaces are not
//! foreseen one by one: what lies in a state folder is none of these, and answers them all the same way, with `ENOTTY`.

use super::Arguments;
use crate::books::deed::{Attribute, CopiedBy, Copying, Deed, Fd, Offset, Told};

/// What a request does to the file that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    /// It tells what `stat` tells, or what a set attribute is.
    Looks,
    /// What it tells follows from what was written.
    Reads,
    /// It sets flags, or another attribute.
    Sets,
    /// It tells of the filesystem alone, or is about the descriptor alone.
    Nothing,
    /// It cannot be held.
    Refused(&'static str),
}

use Does::{Looks, Nothing, Reads, Refused, Sets};

/// Two files share what they hold, the whole of it or a part.
const CLONE_FILE: u32 = 0x4004_9409;
const CLONE_PART: u32 = 0x4020_940d;

const ALLOCATES: &str = "allocates or frees space by a request of XFS";
const MACHINE: &str = "changes the filesystem as a whole";
const SUBVOLUME: &str = "changes a subvolume";
const AT_ONCE: &str = "writes several things at once";

/// The requests that files and folders answer, by their numbers on all architectures of 64 bits. Sources: the kernel's
/// `linux/fs.h`, `linux/fscrypt.h`, `linux/fsverity.h`, `linux/btrfs.h`, `linux/msdos_fs.h`, `linux/f2fs.h`.
const OF_FILES: &[(u32, &str, Does)] = &[
    // What is left to be read of it: its size, less the place where the descriptor stands.
    (0x0000_541b, "FIONREAD", Looks),
    (0x0000_5421, "FIONBIO", Nothing),
    (0x0000_5450, "FIONCLEX", Nothing),
    (0x0000_5451, "FIOCLEX", Nothing),
    (0x0000_5452, "FIOASYNC", Nothing),
    (0x0000_5460, "FIOQSIZE", Looks),
    (0x0000_0001, "FIBMAP", Reads),
    (0x0000_0002, "FIGETBSZ", Nothing),
    (0xc020_660b, "FS_IOC_FIEMAP", Reads),
    (0x8008_6601, "FS_IOC_GETFLAGS", Looks),
    (0x8004_6601, "FS_IOC32_GETFLAGS", Looks),
    (0x4008_6602, "FS_IOC_SETFLAGS", Sets),
    (0x4004_6602, "FS_IOC32_SETFLAGS", Sets),
    (0x8008_7601, "FS_IOC_GETVERSION", Looks),
    (0x8004_7601, "FS_IOC32_GETVERSION", Looks),
    (0x4008_7602, "FS_IOC_SETVERSION", Sets),
    (0x4004_7602, "FS_IOC32_SETVERSION", Sets),
    (0x801c_581f, "FS_IOC_FSGETXATTR", Looks),
    (0x401c_5820, "FS_IOC_FSSETXATTR", Sets),
    (0x8100_9431, "FS_IOC_GETFSLABEL", Nothing),
    (0x8011_1500, "FS_IOC_GETFSUUID", Nothing),
    (0x8081_1501, "FS_IOC_GETFSSYSFSPATH", Nothing),
    (0x4100_9432, "FS_IOC_SETFSLABEL", Refused(MACHINE)),
    (0xc004_5877, "FIFREEZE", Refused(MACHINE)),
    (0xc004_5878, "FITHAW", Refused(MACHINE)),
    (0xc018_5879, "FITRIM", Refused(MACHINE)),
    (0x8004_587d, "FS_IOC_SHUTDOWN", Refused(MACHINE)),
    (0x4030_5828, "FS_IOC_RESVSP", Refused(ALLOCATES)),
    (0x4030_5829, "FS_IOC_UNRESVSP", Refused(ALLOCATES)),
    (0x4030_582a, "FS_IOC_RESVSP64", Refused(ALLOCATES)),
    (0x4030_582b, "FS_IOC_UNRESVSP64", Refused(ALLOCATES)),
    (0x4030_5839, "FS_IOC_ZERO_RANGE", Refused(ALLOCATES)),
    (0xc018_9436, "FIDEDUPERANGE", Refused("compares files, and has them share what is alike")),
    (0x800c_6613, "FS_IOC_SET_ENCRYPTION_POLICY", Refused("encrypts a folder")),
    (0x4010_6614, "FS_IOC_GET_ENCRYPTION_PWSALT", Nothing),
    (0x400c_6615, "FS_IOC_GET_ENCRYPTION_POLICY", Looks),
    (0xc009_6616, "FS_IOC_GET_ENCRYPTION_POLICY_EX", Looks),
    (0x4080_6685, "FS_IOC_ENABLE_VERITY", Refused("seals a file")),
    (0xc004_6686, "FS_IOC_MEASURE_VERITY", Looks),
    (0x5000_9401, "BTRFS_IOC_SNAP_CREATE", Refused(SUBVOLUME)),
    (0x5000_9402, "BTRFS_IOC_DEFRAG", Reads),
    (0x5000_940e, "BTRFS_IOC_SUBVOL_CREATE", Refused(SUBVOLUME)),
    (0x5000_940f, "BTRFS_IOC_SNAP_DESTROY", Refused(SUBVOLUME)),
    (0x5000_9417, "BTRFS_IOC_SNAP_CREATE_V2", Refused(SUBVOLUME)),
    (0x5000_9418, "BTRFS_IOC_SUBVOL_CREATE_V2", Refused(SUBVOLUME)),
    (0x5000_943f, "BTRFS_IOC_SNAP_DESTROY_V2", Refused(SUBVOLUME)),
    (0x8008_9419, "BTRFS_IOC_SUBVOL_GETFLAGS", Looks),
    (0x4008_941a, "BTRFS_IOC_SUBVOL_SETFLAGS", Refused(SUBVOLUME)),
    (0xd000_9412, "BTRFS_IOC_INO_LOOKUP", Looks),
    (0x8400_941f, "BTRFS_IOC_FS_INFO", Nothing),
    (0x8004_7210, "FAT_IOCTL_GET_ATTRIBUTES", Looks),
    (0x4004_7211, "FAT_IOCTL_SET_ATTRIBUTES", Sets),
    (0x8004_7213, "FAT_IOCTL_GET_VOLUME_ID", Nothing),
    (0x0000_f501, "F2FS_IOC_START_ATOMIC_WRITE", Refused(AT_ONCE)),
    (0x0000_f502, "F2FS_IOC_COMMIT_ATOMIC_WRITE", Refused(AT_ONCE)),
    (0x0000_f505, "F2FS_IOC_ABORT_ATOMIC_WRITE", Refused(AT_ONCE)),
    (0x8004_f50c, "F2FS_IOC_GET_FEATURES", Nothing),
];

/// The letters by which the kernel tells apart what requests are for (bits 8 to 15), of those that are for devices and
/// sockets alone.
const OF_DEVICES: &[(u8, &str)] = &[
    (0x03, "hard disks"),
    (0x12, "block devices"),
    (0x22, "SCSI devices"),
    (0x53, "optical drives"),
    (b'T', "terminals"),
    (b'm', "tapes"),
    (0x89, "sockets"),
];

/// The letter of a request.
const fn letter(request: u32) -> u8 {
    (request >> 8) as u8
}

/// What `ioctl` will do.
pub(super) fn decode(a: &Arguments<'_>) -> Told {
    let (file, request) = (a.fd(0), a.int(1).cast_unsigned());
    match request {
        CLONE_FILE => return a.copy((2, Offset::At(0)), (0, Offset::At(0)), CopiedBy::Clone, u64::MAX),
        // struct file_clone_range: the descriptor that it is copied from, the place there, the length, the place here.
        CLONE_PART => {
            let [from, at, length, to] = a.memory.words(a.arg(2));
            let (at, to) = (Offset::At(at.cast_signed()), Offset::At(to.cast_signed()));
            let length = if length == 0 { u64::MAX } else { length };
            let what = Copying { from: at, to, length, by: CopiedBy::Clone };
            return Deed::Copy { from: Fd(from as i32), to: file, what };
        }
        _ => {}
    }
    match OF_FILES.iter().find(|(number, ..)| *number == request) {
        Some((_, _, Looks)) => Deed::LookAt(file),
        Some((_, _, Reads)) => Deed::Read(file),
        Some((_, _, Sets)) => Deed::ChangeAt(file, Attribute::Extended),
        Some((_, _, Nothing)) => Deed::Nothing,
        Some((_, name, Refused(why))) => Deed::Control(file, "ioctl", format!("{why} ({name})")),
        None if OF_DEVICES.iter().any(|(of, _)| *of == letter(request)) => Deed::Nothing,
        None => Deed::Control(file, "ioctl", format!("makes the unknown request {request:#010x}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_is_listed_twice() {
        for (at, (number, name, _)) in OF_FILES.iter().enumerate() {
            let mut others = OF_FILES.iter().skip(at + 1);
            assert!(others.all(|(other, other_name, _)| other != number && other_name != name), "{name}");
        }
        for request in [CLONE_FILE, CLONE_PART] {
            assert!(OF_FILES.iter().all(|(number, ..)| *number != request));
        }
    }

    /// What tells a file's size must not pass as what is for terminals, whose letter it bears.
    #[test]
    fn what_bears_a_devices_letter_and_asks_a_file_is_listed() {
        for request in [libc::FIONREAD as u32, libc::FIOQSIZE as u32] {
            assert_eq!(letter(request), b'T');
            assert!(OF_FILES.iter().any(|(number, _, does)| *number == request && *does == Looks));
        }
    }
}
