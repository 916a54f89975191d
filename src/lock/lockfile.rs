//! The lock is that `meta.lock` exists: for filesystems that have no lock calls at all.
//!
//! The file is a symbolic link whose target names its owner. `symlink` makes it together with the name or not at
//! all, so it is never seen half-made, and where it exists nobody else can make it. Such a lock outlives its owner's
//! death; then it must be removed by somebody else, and that must never hit the lock of a new owner. So only the
//! holder of a second lock, `meta.lock.break`, removes a dead owner's link, after it has looked at it again: nobody
//! else could have removed it in between, therefore nobody can have replaced it. The break lock is taken by the same
//! function, and may be broken in the same way.
//!
//! There is no shared mode: a shared lock is an exclusive one. And an owner of another boot counts as dead, so this
//! backend is not for a filesystem that several running machines share.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::fs::{FileType, readlinkat, symlinkat};
use rustix::io::Errno;

use super::wait::Patience;
use super::{Held, Holder, LockBackend, Naming, Request, Wait, descriptor};
use crate::identity::ProcessIdentity;
use crate::root::{BREAK, RelPath, Root};
use crate::{Error, Result};

/// How many break locks of dead owners may lie above each other. Each needs a process that was killed in the few
/// system calls between taking a break lock and giving it back, so more than one is rare.
const DEPTH_MAX: usize = 6;

/// How often it is tried to remove a link, when that fails.
const GIVE_BACK_TRIES: usize = 3;

/// The backend.
#[derive(Debug)]
pub(super) struct Lockfile;

impl LockBackend for Lockfile {
    fn acquire(&self, request: &Request<'_, '_>) -> Result<Option<Held>> {
        let Request { root, path, wait, .. } = *request;
        if let Some(folder) = path.parent() {
            match root.kind_of(&folder) {
                Ok(FileType::Directory) => (),
                Ok(FileType::Symlink) => return Err(root.link_error(path)),
                Ok(_) => return Err(descriptor::not_a_folder(root, path)),
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(root.error("look at", &folder, errno)),
            }
        }
        take(request, &mut Patience::new(wait), 0)
    }

    fn release(&self, root: &Root, held: Held) {
        if let Held::Link(path) = held {
            give_back(root, &path);
        }
    }

    fn retire(&self, root: &Root, path: &RelPath, held: Held) -> Result<()> {
        clear_break_lock(root, path);
        self.release(root, held);
        Ok(())
    }

    fn probe(&self, root: &Root) -> Result<()> {
        Owner::own(root).map(|_| ())
    }
}

/// Makes the link, waiting for a living owner and breaking the lock of a dead one.
fn take(request: &Request<'_, '_>, patience: &mut Patience, depth: usize) -> Result<Option<Held>> {
    let Request { root, path, .. } = *request;
    let own = Owner::own(root)?.to_string();
    loop {
        match symlinkat(own.as_str(), root.fd(), path.as_c_str()) {
            Ok(()) => return Ok(Some(Held::Link(Box::new(path.clone())))),
            Err(Errno::EXIST) => (),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::PERM | Errno::OPNOTSUPP) => {
                return Err(Error::unsupported(root.full(path), "the filesystem has no symbolic links"));
            }
            Err(errno) => return Err(root.error("make the lock file", path, errno)),
        }
        let Some(owner) = read_owner(root, path)? else { continue };
        if !owner.is_alive() {
            break_lock(request, &owner, patience, depth)?;
        } else if !patience.pause() {
            return Err(request.held_elsewhere(patience, || Some(Holder::new(owner.process.pid))));
        }
    }
}

/// Removes the link of a dead owner, if it is still that one.
fn break_lock(request: &Request<'_, '_>, dead: &Owner, patience: &mut Patience, depth: usize) -> Result<()> {
    let Request { root, path, .. } = *request;
    let above = path.with_suffix(BREAK).filter(|_| depth < DEPTH_MAX).ok_or_else(|| {
        Error::corrupt(
            root.full(path),
            "too many locks of dead owners lie above each other; remove them by hand",
        )
    })?;
    // No folder: the container was deleted meanwhile, and its lock with it.
    let Some(_break_lock) = take(&Request { path: &above, ..*request }, patience, depth + 1)? else {
        return Ok(());
    };
    let result = match read_owner(root, path) {
        Ok(Some(owner)) if owner == *dead => root.unlink_if_there(path),
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    give_back(root, &above);
    result
}

/// Removes what a killed breaker left, before the folder is removed. The lock of a living breaker stays: to remove
/// it would let in a second one. It goes away by itself, and the folder with it.
fn clear_break_lock(root: &Root, path: &RelPath) {
    let Some(above) = path.with_suffix(BREAK) else { return };
    let request = Request { naming: Naming::Nobody, ..Request::exclusive(root, &above, Wait::Try) };
    let is_ours = || take(&request, &mut Patience::new(Wait::Try), 1).is_ok_and(|held| held.is_some());
    if root.stat(&above).is_ok() && is_ours() {
        clear_break_lock(root, &above);
        give_back(root, &above);
    }
}

/// Removes the link that this process made. While it stays, everybody waits for this process to end: so an error is not
/// taken for the last word. Before it is tried again the link is looked at, for it may be gone in spite of the error, and
/// another's be there.
fn give_back(root: &Root, path: &RelPath) {
    for _ in 0..GIVE_BACK_TRIES {
        match root.unlink(path) {
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => return,
            Err(_) => (),
        }
        let is_own = |owner: Owner| Owner::own(root).is_ok_and(|own| own == owner);
        if !read_owner(root, path).is_ok_and(|owner| owner.is_some_and(is_own)) {
            return;
        }
    }
    // Nothing more can be done. The link names this process, so it is broken once that has ended.
}

/// Who made the link; `None` when it is gone.
fn read_owner(root: &Root, path: &RelPath) -> Result<Option<Owner>> {
    match readlinkat(root.fd(), path.as_c_str(), Vec::new()) {
        Ok(target) => {
            let text = target.to_string_lossy();
            text.parse().map(Some).map_err(|()| {
                Error::corrupt(
                    root.full(path),
                    "it is a symbolic link that names no owner; remove it by hand",
                )
            })
        }
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::INVAL) if root.kind_of(path) == Ok(FileType::Directory) => Err(Error::corrupt(
            root.full(path),
            "it is a folder, not a lock file; delete the container with force",
        )),
        Err(Errno::INVAL) => Err(Error::unsupported(
            root.full(path),
            "it is a file, as the other lock backends make them: use one lock backend for all processes of a root",
        )),
        Err(errno) => Err(root.error("read the owner of", path, errno)),
    }
}

/// Who holds the lock: a process of this or an earlier boot, spelled `<pid>.<start time>.<boot>.<pid namespace>`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    process: ProcessIdentity,
    boot_id: String,
    namespace: String,
}

/// This process as an owner. Kept, because finding out takes two files; with its pid, because a fork changes it.
static OWN: Mutex<Option<Owner>> = Mutex::new(None);
static BOOT_ID: LazyLock<String> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
});
static NAMESPACE: LazyLock<String> = LazyLock::new(|| {
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    link.to_string_lossy().chars().filter(char::is_ascii_digit).collect()
});

impl Owner {
    fn own(root: &Root) -> Result<Self> {
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = own.as_ref().filter(|own| own.process.pid == std::process::id()) {
            return Ok(known.clone());
        }
        let process = ProcessIdentity::own().filter(|_| !BOOT_ID.is_empty()).ok_or_else(|| {
            Error::unsupported(root.path(), "lock files name their owner, which needs /proc to be mounted")
        })?;
        Ok(own.insert(Self::here(process)).clone())
    }

    fn here(process: ProcessIdentity) -> Self {
        Self { process, boot_id: BOOT_ID.clone(), namespace: NAMESPACE.clone() }
    }

    /// A process of another pid namespace cannot be looked at: it counts as alive, for to break the lock of a living
    /// owner would be worse than to wait.
    fn is_alive(&self) -> bool {
        self.boot_id == *BOOT_ID && (self.namespace != *NAMESPACE || self.process.is_alive())
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProcessIdentity { pid, start_time } = self.process;
        write!(f, "{pid}.{start_time}.{}.{}", self.boot_id, self.namespace)
    }
}

impl FromStr for Owner {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.splitn(4, '.');
        let mut next = || parts.next().ok_or(());
        let pid = next()?.parse().map_err(|_| ())?;
        let start_time = next()?.parse().map_err(|_| ())?;
        let process = ProcessIdentity { pid, start_time };
        Ok(Self { process, boot_id: next()?.to_owned(), namespace: next()?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::LockKind;

    fn scratch() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        (folder, root)
    }

    fn dead(pid: u32) -> Owner {
        Owner::here(ProcessIdentity { pid, start_time: 1 })
    }

    fn try_take(root: &Root, path: &RelPath) -> Result<bool> {
        let request = Request::exclusive(root, path, Wait::Try);
        Ok(request.acquire(LockKind::Lockfile.backend())?.is_some())
    }

    #[test]
    fn the_lock_of_a_dead_owner_is_broken_and_so_are_the_locks_above_it() {
        let (folder, root) = scratch();
        let path = RelPath::top("meta.lock");
        let above = path.with_suffix(BREAK).unwrap();
        let higher = above.with_suffix(BREAK).unwrap();
        for (pid, path) in [(u32::MAX, &path), (u32::MAX - 1, &above), (u32::MAX - 2, &higher)] {
            symlinkat(dead(pid).to_string(), root.fd(), path.as_c_str()).unwrap();
        }
        assert!(try_take(&root, &path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn an_owner_of_another_boot_is_dead_and_one_of_another_start_too() {
        let own = ProcessIdentity::own().unwrap();
        assert!(!Owner { boot_id: "another".to_owned(), ..Owner::here(own) }.is_alive());
        let earlier = ProcessIdentity { start_time: own.start_time - 1, ..own };
        assert!(!Owner::here(earlier).is_alive());
        assert!(
            Owner { namespace: "7".to_owned(), ..Owner::here(earlier) }.is_alive(),
            "it cannot be looked at"
        );
        assert!(Owner::here(own).is_alive());
        assert_eq!(Owner::here(own).to_string().parse(), Ok(Owner::here(own)));
    }

    #[test]
    fn a_living_owner_is_named() {
        let (_folder, root) = scratch();
        let path = RelPath::top("meta.lock");
        symlinkat(Owner::own(&root).unwrap().to_string(), root.fd(), path.as_c_str()).unwrap();
        let Err(Error::Locked { holder: Some(holder), .. }) = try_take(&root, &path) else {
            panic!("the lock is held")
        };
        assert_eq!(holder.pid, std::process::id());
    }

    #[test]
    fn what_is_no_lock_of_this_backend_is_refused() {
        let (folder, root) = scratch();
        let path = RelPath::top("meta.lock");
        fs::write(folder.path().join("meta.lock"), "").unwrap();
        assert!(matches!(try_take(&root, &path), Err(Error::Unsupported { .. })));
        fs::remove_file(folder.path().join("meta.lock")).unwrap();
        symlinkat("/etc/passwd", root.fd(), path.as_c_str()).unwrap();
        assert!(matches!(try_take(&root, &path), Err(Error::Corrupt { .. })));
    }
}
