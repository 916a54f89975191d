//! Which lock backends one process may use on one root at a time.
//!
//! A posix lock is lost when any descriptor of the file closes, and another backend would open and close the lock
//! files of the same root without knowing. So a root that is open with posix locks is refused to every other
//! backend of the process, and the other way round.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::LockKind;
use crate::root::Root;
use crate::{Error, Result};

/// How many stores of this process are open on a root, and with which backend.
type Open = HashMap<((u64, u64), LockKind), usize>;

static OPEN: LazyLock<Mutex<Open>> = LazyLock::new(Mutex::default);

fn open() -> MutexGuard<'static, Open> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to use a backend on a root, until this is dropped.
#[derive(Debug)]
pub(crate) struct Combination {
    key: ((u64, u64), LockKind),
}

impl Combination {
    pub(crate) fn enter(root: &Root, kind: LockKind) -> Result<Self> {
        let mut open = open();
        let clashes =
            |other: LockKind| other != kind && (other == LockKind::Posix || kind == LockKind::Posix);
        let rival = open.keys().find(|(identity, other)| *identity == root.identity() && clashes(*other));
        if let Some((_, rival)) = rival {
            return Err(Error::unsupported(
                root.path(),
                format_args!(
                    "this process has the root open with {rival} locks; posix locks are lost when another backend \
                     closes a lock file, so the two cannot be combined with {kind}"
                ),
            ));
        }
        let key = (root.identity(), kind);
        *open.entry(key).or_default() += 1;
        Ok(Self { key })
    }
}

impl Drop for Combination {
    fn drop(&mut self) {
        let mut open = open();
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}
