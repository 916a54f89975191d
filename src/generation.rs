//! The counter of generations: one number for a whole root, in a file that no container can be named after.
//!
//! A create takes the next number while it holds its container's lock, so the number is greater than that of every
//! earlier life of the id, whatever the clock says. Locks are taken in one order: the container's, then the
//! counter's. The file is replaced as a whole, so that a kill leaves the old or the new number; a number that is
//! taken and not used is no harm. A counter that cannot be read is reported, never set back.

use crate::lock::{Exclusive, LockKind, Opening, Request, Wait};
use crate::read::regular_file;
use crate::root::{RelPath, Root};
use crate::write::{WritePolicy, write_new};
use crate::{Error, Result};

const COUNTER: &str = "~generation";
const COUNTER_TEMPORARY: &str = "~generation.tmp";
const COUNTER_LOCK: &str = "~generation.lock";

/// More digits than a `u64` has.
const COUNTER_BYTES_MAX: u64 = 64;

/// Takes the next generation.
pub(crate) fn next(root: &Root, kind: LockKind, wait: Wait, policy: WritePolicy) -> Result<u64> {
    let path = RelPath::top(COUNTER_LOCK);
    let request = Request { opening: Opening::Create, ..Request::exclusive(root, &path, wait) };
    let lock = request.acquire(kind.backend())?.map(Exclusive).ok_or_else(|| {
        Error::unsupported(
            root.path(),
            "the root folder was removed while a store had it open; open it again",
        )
    })?;
    let counter = RelPath::top(COUNTER);
    let generation = read(root, &counter)? + 1;
    let temporary = RelPath::top(COUNTER_TEMPORARY);
    write_new(&lock, root, &temporary, policy, format!("{generation}\n").as_bytes())?;
    if let Err(errno) = root.rename(&temporary, &counter) {
        let _ = root.unlink(&temporary);
        return Err(root.error("replace", &counter, errno));
    }
    if policy == WritePolicy::Fsync {
        root.sync_folder(None)?;
    }
    Ok(generation)
}

/// The last generation that was taken: 0 in a new root.
fn read(root: &Root, counter: &RelPath) -> Result<u64> {
    let Some(bytes) = regular_file(root, counter, COUNTER_BYTES_MAX)? else { return Ok(0) };
    let text = std::str::from_utf8(&bytes).ok();
    text.and_then(|text| text.trim_end_matches('\n').parse().ok())
        .filter(|generation| *generation < u64::MAX)
        .ok_or_else(|| {
            Error::corrupt(
                root.full(counter),
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
            assert_eq!(take(&root, *kind).unwrap(), 1);
            std::fs::write(folder.path().join(COUNTER_TEMPORARY), "cut").unwrap();
            assert_eq!(take(&root, *kind).unwrap(), 2);
            assert!(!folder.path().join(COUNTER_TEMPORARY).exists());
        }
    }

    #[test]
    fn a_corrupt_counter_is_reported_and_not_set_back() {
        for bad in ["", "x", "-1", "18446744073709551615", "1 2", &"1".repeat(100)] {
            let folder = tempfile::tempdir().unwrap();
            let root = Root::open(folder.path()).unwrap();
            std::fs::write(folder.path().join(COUNTER), bad).unwrap();
            assert!(matches!(take(&root, LockKind::Fs2), Err(Error::Corrupt { .. })), "{bad:?}");
            assert_eq!(std::fs::read_to_string(folder.path().join(COUNTER)).unwrap(), bad);
        }
    }
}
