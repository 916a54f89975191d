//! `flock` by way of the fs2 crate.
//!
//! fs2 must be called by path: since Rust 1.89 methods of `std::fs::File` itself have the same names and would be
//! called instead, without a word.

use std::fs::File;
use std::io;

use fs2::FileExt;

use super::descriptor::Primitive;
use super::{LockKind, Mode};

/// The default backend.
#[derive(Debug)]
pub(super) struct Fs2;

impl Primitive for Fs2 {
    const KIND: LockKind = LockKind::Fs2;

    fn lock(&self, file: &File, mode: Mode) -> io::Result<()> {
        match mode {
            Mode::Shared => FileExt::lock_shared(file),
            Mode::Exclusive => FileExt::lock_exclusive(file),
        }
    }

    fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool> {
        let result = match mode {
            Mode::Shared => FileExt::try_lock_shared(file),
            Mode::Exclusive => FileExt::try_lock_exclusive(file),
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        FileExt::unlock(file)
    }
}
