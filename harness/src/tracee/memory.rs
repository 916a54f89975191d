//! The memory of a controlled task, read and written while it stands still.

use std::io::{self, IoSlice, IoSliceMut};

use nix::sys::uio::{RemoteIoVec, process_vm_readv, process_vm_writev};
use nix::unistd::Pid;

/// As long as most paths are.
const TEXT_BYTES: usize = 128;
/// Longest path there is, with its end.
const PATH_BYTES_MAX: usize = 4096;

/// A task's memory. Nothing is kept open: what a task executes next has another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(pub u32);

impl Memory {
    /// Of a process forked by this program, to which it must be open: what cannot be read would look empty.
    pub fn of(pid: u32) -> io::Result<Self> {
        static WORD: u64 = 0x666c_6f63_6b77_6f72;
        let memory = Self(pid);
        let mut seen = [0; 8];
        let remote = [RemoteIoVec { base: std::ptr::from_ref(&WORD).addr(), len: seen.len() }];
        process_vm_readv(Pid::from_raw(pid.cast_signed()), &mut [IoSliceMut::new(&mut seen)], &remote)?;
        if u64::from_ne_bytes(seen) == WORD {
            Ok(memory)
        } else {
            Err(io::Error::other("its memory reads wrong"))
        }
    }

    /// Reads a stretch; gives back how much could be read.
    pub fn read(self, address: u64, into: &mut [u8]) -> usize {
        let remote = [RemoteIoVec { base: address as usize, len: into.len() }];
        process_vm_readv(Pid::from_raw(self.0.cast_signed()), &mut [IoSliceMut::new(into)], &remote)
            .unwrap_or(0)
    }

    /// Writes a stretch: all of it.
    pub fn write(self, address: u64, from: &[u8]) -> io::Result<()> {
        let remote = [RemoteIoVec { base: address as usize, len: from.len() }];
        match process_vm_writev(Pid::from_raw(self.0.cast_signed()), &[IoSlice::new(from)], &remote)? {
            written if written == from.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }
}

/// A stretch of memory in which several arguments lie, read at once.
#[derive(Debug)]
struct Stretch {
    start: u64,
    bytes: Vec<u8>,
}

/// The memory that a call's arguments lead to.
#[derive(Debug)]
pub(crate) struct View {
    memory: Memory,
    stretch: Option<Stretch>,
}

impl View {
    /// Longest stretch that is worth to be read at once.
    const STRETCH_BYTES_MAX: u64 = 4096;

    /// Of a call whose arguments lead to one place at most, or to places that lie anywhere.
    pub fn of(memory: Memory) -> Self {
        Self { memory, stretch: None }
    }

    /// Over what two pointers lead to; read at once where they are near each other.
    pub fn over(memory: Memory, one: u64, other: u64) -> Self {
        let (start, last) = (one.min(other), one.max(other));
        let length = (last - start).saturating_add(TEXT_BYTES as u64);
        let stretch = (length <= Self::STRETCH_BYTES_MAX).then(|| {
            let mut bytes = vec![0; length as usize];
            let read = memory.read(start, &mut bytes);
            bytes.truncate(read);
            Stretch { start, bytes }
        });
        Self { memory, stretch }
    }

    /// Reads a stretch; gives back how much could be read.
    pub fn read(&self, address: u64, into: &mut [u8]) -> usize {
        match self.stretch.as_ref().and_then(|stretch| stretch.get(address, into.len())) {
            Some(known) => {
                into.copy_from_slice(known);
                known.len()
            }
            None => self.memory.read(address, into),
        }
    }

    /// Reads a text that ends with a zero.
    pub fn text(&self, address: u64) -> String {
        let mut bytes = [0; TEXT_BYTES];
        let read = self.read(address, &mut bytes);
        if let Some(end) = bytes[..read].iter().position(|&byte| byte == 0) {
            return String::from_utf8_lossy(&bytes[..end]).into_owned();
        }
        let mut bytes = vec![0; PATH_BYTES_MAX];
        let read = self.memory.read(address, &mut bytes);
        let end = bytes[..read].iter().position(|&byte| byte == 0).unwrap_or(read);
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }

    /// Words of 64 bits from an address; zeros where they cannot be read.
    pub fn words<const N: usize>(&self, address: u64) -> [u64; N] {
        let mut bytes = [[0; 8]; N];
        let read = self.read(address, bytes.as_flattened_mut());
        let mut words = bytes.map(u64::from_ne_bytes);
        words.iter_mut().skip(read / 8).for_each(|word| *word = 0);
        words
    }
}

impl Stretch {
    /// So many bytes from an address, if all of them are in it.
    fn get(&self, address: u64, length: usize) -> Option<&[u8]> {
        let from = usize::try_from(address.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..from.checked_add(length)?)
    }
}
