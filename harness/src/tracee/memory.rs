//! The memory of a controlled task, read while it stands still.

use std::io::IoSliceMut;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

/// As long as most paths are.
const TEXT_BYTES: usize = 128;
/// Longest path there is, with its end.
const PATH_BYTES_MAX: usize = 4096;

/// A task's memory. Nothing is kept open: what a task executes next has another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(pub u32);

impl Memory {
    /// Reads a stretch; gives back how much could be read.
    pub fn read(self, address: u64, into: &mut [u8]) -> usize {
        let remote = [RemoteIoVec { base: address as usize, len: into.len() }];
        process_vm_readv(Pid::from_raw(self.0.cast_signed()), &mut [IoSliceMut::new(into)], &remote)
            .unwrap_or(0)
    }

    /// Reads a text that ends with a zero.
    pub fn text(self, address: u64) -> String {
        let mut bytes = [0; TEXT_BYTES];
        let read = self.read(address, &mut bytes);
        if let Some(end) = bytes[..read].iter().position(|&byte| byte == 0) {
            return String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        let mut bytes = vec![0; PATH_BYTES_MAX];
        let read = self.read(address, &mut bytes);
        let end = bytes[..read].iter().position(|&byte| byte == 0).unwrap_or(read);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// Words of 64 bits from an address; zeros where they cannot be read.
    pub fn words<const N: usize>(self, address: u64) -> [u64; N] {
        let mut bytes = vec![0; 8 * N];
        let read = self.read(address, &mut bytes);
        let mut words = [0; N];
        for (word, bytes) in words.iter_mut().zip(bytes[..read].chunks_exact(8)) {
            *word = u64::from_ne_bytes(bytes.try_into().expect("8 bytes"));
        }
        words
    }
}
