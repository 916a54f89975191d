//! `flock` by way of the standard library: the only place that may call those methods of `File`.
#![expect(clippy::disallowed_methods, reason = "this backend is what they are for")]

use std::fs::{File, TryLockError};
use std::io;

use super::descriptor::Primitive;
use super::{LockKind, Mode};

/// Excludes the holders of the fs2 backend as well: both are `flock`.
#[derive(Debug)]
pub(super) struct Std;

impl Primitive for Std {
    const KIND: LockKind = LockKind::Std;

    fn lock(&self, file: &File, mode: Mode) -> io::Result<()> {
        match mode {
            Mode::Shared => file.lock_shared(),
            Mode::Exclusive => file.lock(),
        }
    }

    fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool> {
        let result = match mode {
            Mode::Shared => file.try_lock_shared(),
            Mode::Exclusive => file.try_lock(),
        };
        match result {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn unlock(&self, file: &File) -> io::Result<()> {
        file.unlock()
    }
}
