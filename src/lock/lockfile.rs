//! The lock is that `meta.lock` exists: for filesystems that have no lock calls at all.
//!
//! The file is a symbolic link whose target names its owner. `symlink` makes it together with the name or not at
//! all, so it is never seen half-made, and where it exists nobody else can make it. Such a lock outlives its owner's
//! death; then it must be removed by somebody else, and that must never hit the lock of a new owner. So only the
//! holder of a second lock, `meta.lock.break`, removes a dead owner's link, after it has looked at it again: nobody
//! else could have removed it in between, therefore nobody can have replaced it. The break lock is taken by the same
//! function, and may be broken in the same way.
//!
//! There is no shared mode: a shared lock is an exclusive one. An owner of another pid namespace cannot be looked at, and
//! counts as alive. One of another boot counts as dead, so this backend is not for a filesystem that several running
//! machines share.

use std::ffi::{CStr, CString};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FileType, readlinkat, symlinkat};
use rustix::io::Errno;

use super::wait::Patience;
use super::{Held, Holder, LockBackend, Naming, Request, Wait};
use crate::folder::Folder;
use crate::identity::{self, ProcessIdentity};
use crate::root::Root;
use crate::{Error, Result};

/// What is appended to a lock's name for the lock that guards the removal of a dead owner's lock.
const BREAK: &[u8] = b".break";

/// How many break locks of dead owners may lie above each other. Each needs a process that was killed in the few
/// system calls between taking a break lock and giving it back, so more than one is rare.
const DEPTH_MAX: usize = 6;

/// How often it is tried to remove a link, when that fails.
const GIVE_BACK_TRIES: usize = 3;

/// A file that is there while the lock is held, made with `O_EXCL`.
#[derive(Debug)]
pub(super) struct Lockfile;

impl LockBackend for Lockfile {
    fn acquire<'a>(&self, request: &Request<'a>) -> Result<Option<(Folder<'a>, Held)>> {
        let Some(folder) = request.folder()? else { return Ok(None) };
        let taken = take(request, &folder, request.name, &mut Patience::new(request.wait), 0)?;
        Ok(taken.then_some((folder, Held::Link)))
    }

    fn release(&self, folder: &Folder<'_>, name: &CStr, held: Held) {
        if let Held::Link = held {
            give_back(folder, name);
        }
    }

    fn retire(&self, folder: &Folder<'_>, name: &CStr, held: Held) -> Result<()> {
        clear_break_lock(folder, name);
        self.release(folder, name, held);
        Ok(())
    }

    fn probe(&self, root: &Root) -> Result<()> {
        own(&Folder::of_root(root)).map(|_| ())
    }
}

/// Whether this is the name of a lock that guards the removal of another.
pub(crate) fn is_break_lock(name: &[u8], lock: &CStr) -> bool {
    let rest = name.strip_prefix(lock.to_bytes());
    rest.is_some_and(|rest| !rest.is_empty() && rest.chunks(BREAK.len()).all(|part| part == BREAK))
}

/// Whether a symbolic link can be somebody's lock: it names an owner.
pub(crate) fn names_an_owner(folder: &Folder<'_>, name: &CStr) -> bool {
    matches!(read_owner(folder, name), Ok(Some(_)))
}

fn break_lock_of(name: &CStr) -> CString {
    CString::new([name.to_bytes(), BREAK].concat()).unwrap_or_default()
}

/// Makes the link, waiting for a living owner and breaking the lock of a dead one; `false` if the folder is gone.
fn take(
    request: &Request<'_>,
    folder: &Folder<'_>,
    name: &CStr,
    patience: &mut Patience,
    depth: usize,
) -> Result<bool> {
    let own = own(folder)?.to_string();
    loop {
        match symlinkat(own.as_str(), folder.fd(), name) {
            Ok(()) => return Ok(true),
            Err(Errno::EXIST) => (),
            Err(Errno::NOENT) => return Ok(false),
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                return Err(Error::unsupported(folder.full(name), "the filesystem has no symbolic links"));
            }
            Err(errno) => return Err(folder.error("make the lock file", name, errno)),
        }
        let Some(owner) = read_owner(folder, name)? else { continue };
        if !owner.is_alive() {
            break_lock(request, folder, (name, &owner), patience, depth)?;
        } else if !patience.pause() {
            return Err(request.held_elsewhere(patience, || Some(Holder::new(owner.pid))));
        }
    }
}

/// Removes the link of a dead owner, if it is still that one.
fn break_lock(
    request: &Request<'_>,
    folder: &Folder<'_>,
    (name, dead): (&CStr, &ProcessIdentity),
    patience: &mut Patience,
    depth: usize,
) -> Result<()> {
    if depth == DEPTH_MAX {
        let why = "too many locks of dead owners lie above each other; remove them by hand";
        return Err(Error::corrupt(folder.full(name), why));
    }
    let above = break_lock_of(name);
    // No folder: the container was deleted meanwhile, and its lock with it.
    if !take(request, folder, &above, patience, depth + 1)? {
        return Ok(());
    }
    let result = match read_owner(folder, name) {
        Ok(Some(owner)) if owner == *dead => folder.unlink_if_there(name),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    give_back(folder, &above);
    result
}

/// Removes what a killed breaker left, before the folder is removed. The lock of a living breaker stays: to remove
/// it would let in a second one. It goes away by itself, and the folder with it.
fn clear_break_lock(folder: &Folder<'_>, name: &CStr) {
    let above = break_lock_of(name);
    if folder.stat(&above).is_err() {
        return;
    }
    let request = Request { naming: Naming::Nobody, ..folder.request(Wait::Try) };
    if take(&request, folder, &above, &mut Patience::new(Wait::Try), 1).is_ok_and(|is_ours| is_ours) {
        clear_break_lock(folder, &above);
        give_back(folder, &above);
    }
}

/// Removes the link that this process made. While it stays, everybody waits for this process to end: so an error is not
/// taken for the last word. Before it is tried again the link is looked at, for it may be gone in spite of the error, and
/// another's be there.
fn give_back(folder: &Folder<'_>, name: &CStr) {
    give_back_by(folder, name, || folder.unlink(name));
}

/// The same by any call that removes the link, or fails to.
fn give_back_by(folder: &Folder<'_>, name: &CStr, mut unlink: impl FnMut() -> Result<(), Errno>) {
    for _ in 0..GIVE_BACK_TRIES {
        match unlink() {
            Ok(()) | Err(Errno::NOENT) => return,
            Err(_) => (),
        }
        let is_own = |owner| own(folder).is_ok_and(|own| own == owner);
        if !read_owner(folder, name).is_ok_and(|owner| owner.is_some_and(is_own)) {
            return;
        }
    }
    // Nothing more can be done. The link names this process, so it is broken once that has ended.
}

/// Who made the link; `None` when it is gone.
fn read_owner(folder: &Folder<'_>, name: &CStr) -> Result<Option<ProcessIdentity>> {
    match readlinkat(folder.fd(), name, Vec::new()) {
        Ok(target) => {
            let text = target.to_string_lossy();
            text.parse().map(Some).map_err(|_| {
                Error::corrupt(
                    folder.full(name),
                    "it is a symbolic link that names no owner; remove it by hand",
                )
            })
        }
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::INVAL) => Err(no_link(folder, name)),
        Err(errno) => Err(folder.error("read the owner of", name, errno)),
    }
}

#[cold]
fn no_link(folder: &Folder<'_>, name: &CStr) -> Error {
    match folder.kind_of(name) {
        Ok(FileType::Directory) => Error::corrupt(
            folder.full(name),
            "it is a folder, not a lock file; delete the container with force",
        ),
        Ok(FileType::RegularFile | FileType::Symlink) | Err(_) => Error::unsupported(
            folder.full(name),
            "it is a file, as made by the other lock backends: use one lock backend for all processes of a root",
        ),
        Ok(_) => Error::corrupt(folder.full(name), "it is not a lock file; delete the container with force"),
    }
}

/// This process as an owner. Kept, because finding out takes some files; with its pid, because a fork changes it.
static OWN: Mutex<Option<ProcessIdentity>> = Mutex::new(None);

fn own(folder: &Folder<'_>) -> Result<ProcessIdentity> {
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = own.filter(|own| own.pid == std::process::id()) {
        return Ok(known);
    }
    let process = ProcessIdentity::own().ok_or_else(|| {
        let why =
            format_args!("a lock file must name its owner, which is impossible: {}", identity::FOREIGN_PROC);
        Error::unsupported(folder.path(), why)
    })?;
    Ok(*own.insert(process))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::identity::View;
    use crate::lock::LockKind;

    const LOCK: &CStr = c"meta.lock";

    fn scratch() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        (folder, root)
    }

    fn dead(pid: u32) -> String {
        ProcessIdentity { pid, ..ProcessIdentity::own().unwrap() }.to_string()
    }

    /// After a fork the owner that is kept is the parent: the child must not lock in its name.
    #[test]
    fn an_owner_that_another_process_kept_is_not_believed() {
        let (_folder, root) = scratch();
        let own_here = || own(&Folder::of_root(&root));
        let known = own_here().unwrap();
        *OWN.lock().unwrap() = Some(ProcessIdentity { pid: known.pid + 1, ..known });
        assert_eq!(own_here().unwrap(), known);
    }

    fn try_take(root: &Root) -> Result<bool> {
        let request = Request::exclusive(root, None, LOCK, Wait::Try);
        Ok(request.acquire(LockKind::Lockfile.backend())?.is_some())
    }

    #[test]
    fn the_lock_of_a_dead_owner_is_broken_and_so_are_the_locks_above_it() {
        let (folder, root) = scratch();
        let above = break_lock_of(LOCK);
        let higher = break_lock_of(&above);
        for (pid, name) in [(u32::MAX, LOCK), (u32::MAX - 1, &above), (u32::MAX - 2, &higher)] {
            symlinkat(dead(pid), root.fd(), name).unwrap();
        }
        assert!(try_take(&root).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    /// Between the look that found its owner dead and the break lock somebody else broke it, and a living process took it.
    #[test]
    fn a_lock_that_was_taken_anew_since_the_first_look_is_not_broken() {
        let (folder, root) = scratch();
        let request = Request::exclusive(&root, None, LOCK, Wait::Try);
        let at = request.folder().unwrap().unwrap();
        let seen: ProcessIdentity = dead(u32::MAX).parse().unwrap();
        let new_owner = ProcessIdentity::own().unwrap().to_string();
        symlinkat(new_owner.as_str(), root.fd(), LOCK).unwrap();
        let mut patience = Patience::new(Wait::Try);
        break_lock(&request, &at, (LOCK, &seen), &mut patience, 0).unwrap();
        let link = fs::read_link(folder.path().join("meta.lock")).unwrap();
        assert_eq!(link.to_str(), Some(new_owner.as_str()), "the living owner has its lock still");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the break lock was given back");
        at.unlink(LOCK).unwrap();
        break_lock(&request, &at, (LOCK, &seen), &mut patience, 0).unwrap();
        symlinkat(dead(u32::MAX), root.fd(), LOCK).unwrap();
        break_lock(&request, &at, (LOCK, &seen), &mut patience, 0).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the dead one's was broken");
    }

    #[test]
    fn locks_of_dead_owners_do_not_lie_above_each_other_without_end() {
        let (_folder, root) = scratch();
        let mut name = LOCK.to_owned();
        for _ in 0..=DEPTH_MAX {
            symlinkat(dead(u32::MAX), root.fd(), &*name).unwrap();
            name = break_lock_of(&name);
        }
        let error = try_take(&root).unwrap_err();
        assert!(error.to_string().contains("too many locks of dead owners"), "{error}");
    }

    #[test]
    fn an_owner_of_whom_nothing_can_be_told_is_not_broken() {
        let (_folder, root) = scratch();
        let own = ProcessIdentity::own().unwrap();
        let here = own.view.unwrap();
        let later = own.start_time + 1;
        for (owner, is_broken) in [
            (own, false),
            (ProcessIdentity { start_time: later, ..own }, true),
            (ProcessIdentity { view: Some(View { boot: !here.boot, ..here }), ..own }, true),
            (
                ProcessIdentity { view: Some(View { pid_namespace: 7, ..here }), start_time: later, ..own },
                false,
            ),
            (ProcessIdentity { view: Some(View { time_namespace: 7, ..here }), inode: None, ..own }, false),
        ] {
            symlinkat(owner.to_string(), root.fd(), LOCK).unwrap();
            let taken = try_take(&root);
            assert_eq!(taken.is_ok(), is_broken, "{owner}");
            if let Err(error) = taken {
                let Error::Locked { holder: Some(holder), .. } = error else { panic!("{error}") };
                assert_eq!(holder.pid, own.pid);
                Folder::of_root(&root).unlink(LOCK).unwrap();
            }
        }
    }

    #[test]
    fn what_could_not_be_removed_is_removed_by_its_owner_alone() {
        let (_folder, root) = scratch();
        let at = Folder::of_root(&root);
        let own = own(&at).unwrap();
        let other = ProcessIdentity { pid: own.pid + 1, ..own };
        for (owner, failures, calls) in
            [(own, 0, 1), (own, 1, 2), (own, GIVE_BACK_TRIES, GIVE_BACK_TRIES), (other, 1, 1)]
        {
            symlinkat(owner.to_string(), root.fd(), LOCK).unwrap();
            let mut called = 0;
            give_back_by(&at, LOCK, || {
                called += 1;
                if called > failures { at.unlink(LOCK) } else { Err(Errno::IO) }
            });
            assert_eq!(called, calls, "{owner} after {failures} failures");
            assert_eq!(at.exists(LOCK).unwrap(), called <= failures, "{owner} after {failures} failures");
            at.unlink_if_there(LOCK).unwrap();
        }
        // The call removed it, and said that it could not.
        let mut called = 0;
        symlinkat(own.to_string(), root.fd(), LOCK).unwrap();
        give_back_by(&at, LOCK, || {
            called += 1;
            at.unlink(LOCK).and(Err(Errno::IO))
        });
        assert_eq!(called, 1, "nothing of its own is there to be removed again");
    }

    #[test]
    fn what_is_no_lock_of_this_backend_is_refused() {
        let (folder, root) = scratch();
        fs::write(folder.path().join("meta.lock"), "").unwrap();
        assert!(matches!(try_take(&root), Err(Error::Unsupported { .. })));
        fs::remove_file(folder.path().join("meta.lock")).unwrap();
        for target in ["/etc/passwd", "1.1.another-boot.1", "4294967295.1"] {
            symlinkat(target, root.fd(), LOCK).unwrap();
            let taken = try_take(&root);
            Folder::of_root(&root).unlink(LOCK).unwrap_or_default();
            match target {
                "4294967295.1" => assert!(taken.is_ok(), "one that has ended, wherever it was seen from"),
                _ => assert!(matches!(taken, Err(Error::Corrupt { .. })), "{target}"),
            }
        }
    }

    #[test]
    fn names_of_break_locks_are_known() {
        for good in ["meta.lock.break", "meta.lock.break.break"] {
            assert!(is_break_lock(good.as_bytes(), LOCK), "{good}");
        }
        for bad in ["meta.lock", "meta.lock.bre", "meta.lock.breaks", "meta.lock.break.brea", "x.break"] {
            assert!(!is_break_lock(bad.as_bytes(), LOCK), "{bad}");
        }
    }
}
