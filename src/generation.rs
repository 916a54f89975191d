//! The counter of generations: one number for a whole root, in a file that no container can be named after.
//!
//! A create takes the next number while it holds its container's lock, so the number is greater than that of every
//! earlier life of the id, whatever the clock says. Locks are taken in one order: the container's, then the
//! counter's. The file is replaced as a whole, so that a kill leaves the old or the new number; a number that is
//! taken and not used is no harm. A counter that cannot be read is reported, never set back.

use std::ffi::CStr;

use crate::folder::Folder;
use crate::lock::{Exclusive, LockKind, Opening, Request, Wait};
use crate::read::regular_file;
use crate::root::Root;
use crate::write::{WritePolicy, write_new};
use crate::{Error, Result};

const COUNTER: &CStr = c"~generation";
const COUNTER_TEMPORARY: &CStr = c"~generation.tmp";
const COUNTER_LOCK: &CStr = c"~generation.lock";

/// More digits than a `u64` has.
const COUNTER_BYTES_MAX: u64 = 64;

/// Takes the next generation.
pub(crate) fn next(root: &Root, kind: LockKind, wait: Wait, policy: WritePolicy) -> Result<u64> {
    let lock = lock(root, kind, wait)?;
    let folder = lock.folder();
    let generation = read(folder)? + 1;
    write_new(&lock, COUNTER_TEMPORARY, policy, format!("{generation}\n").as_bytes())?;
    if let Err(errno) = folder.rename(COUNTER_TEMPORARY, COUNTER) {
        let _ = folder.unlink(COUNTER_TEMPORARY);
        return Err(folder.error("replace", COUNTER, errno));
    }
    if policy == WritePolicy::Fsync {
        root.sync()?;
    }
    Ok(generation)
}

/// Takes the counter's lock: the one lock of a whole root.
pub(crate) fn lock(root: &Root, kind: LockKind, wait: Wait) -> Result<Exclusive<'_>> {
    let request = Request { opening: Opening::Create, ..Request::exclusive(root, None, COUNTER_LOCK, wait) };
    request.acquire(kind.backend())?.map(Exclusive).ok_or_else(|| {
        Error::unsupported(
            root.path(),
            "the root folder was removed while a store had it open; open it again",
        )
    })
}

/// The last generation that was taken: 0 in a new root.
fn read(folder: &Folder<'_>) -> Result<u64> {
    let Some(bytes) = regular_file(folder, COUNTER, COUNTER_BYTES_MAX)? else { return Ok(0) };
    let text = std::str::from_utf8(&bytes).ok();
    text.and_then(|text| text.trim_end_matches('\n').parse().ok())
        .filter(|generation| *generation < u64::MAX)
        .ok_or_else(|| {
            Error::corrupt(
                folder.full(COUNTER),
                "it holds no generation; write the greatest generation of all containers into it",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(root: &Root, kind: LockKind) -> Result<u64> {
        next(root, kind, Wait::Block, WritePolicy::Fsync)
    }

    #[test]
    fn generations_grow_and_a_leftover_does_not_disturb() {
        for kind in LockKind::ALL {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::open(folder.path()).unwrap();
            assert_eq!(take(&root, kind).unwrap(), 1);
            std::fs::write(folder.path().join("~generation.tmp"), "cut").unwrap();
            assert_eq!(take(&root, kind).unwrap(), 2);
            assert!(!folder.path().join("~generation.tmp").exists());
        }
    }

    #[test]
    fn a_corrupt_counter_is_reported_and_not_set_back() {
        for bad in ["", "x", "-1", "18446744073709551615", "1 2", &"1".repeat(100)] {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::open(folder.path()).unwrap();
            std::fs::write(folder.path().join("~generation"), bad).unwrap();
            assert!(matches!(take(&root, LockKind::Fs2), Err(Error::Corrupt { .. })), "{bad:?}");
            assert_eq!(std::fs::read_to_string(folder.path().join("~generation")).unwrap(), bad);
        }
    }
}
