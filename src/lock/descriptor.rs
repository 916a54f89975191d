//! What all backends share that lock an open file: open, lock, and compare the locked inode with the one at the path.
//!
//! The comparison is what makes deletion safe. A waiter may be handed the lock of a file that was unlinked while it
//! waited; such a lock guards nothing, so it is given back and the file that is there now is locked instead.

use std::fs::File;
use std::io;

use rustix::fs::{FileType, Mode as Permissions, OFlags, fstat};
use rustix::io::Errno;

use super::wait::Patience;
use super::{Held, LockBackend, LockKind, Mode, Opening, Request, holder};
use crate::root::{RelPath, Root};
use crate::{Error, Result};

/// The three calls in which the backends differ.
pub(super) trait Primitive: std::fmt::Debug + Send + Sync {
    const KIND: LockKind;

    /// Waits for the lock.
    fn lock(&self, file: &File, mode: Mode) -> io::Result<()>;

    /// Takes the lock if it is free; `false` if it is not.
    fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool>;

    /// Gives the lock back.
    fn unlock(&self, file: &File) -> io::Result<()>;
}

impl<P: Primitive> LockBackend for P {
    fn acquire(&self, request: &Request<'_, '_>) -> Result<Option<Held>> {
        let file = acquire(self, request, &mut Patience::new(request.wait))?;
        Ok(file.map(Held::File))
    }

    fn release(&self, _root: &Root, held: Held) {
        if let Held::File(file) = held {
            unlock(self, &file);
        }
    }

    fn retire(&self, root: &Root, path: &RelPath, held: Held) -> Result<()> {
        let unlinked = root.unlink_if_there(path);
        self.release(root, held);
        unlinked
    }

    fn probe(&self, root: &Root) -> Result<()> {
        probe(self, root)
    }
}

/// Takes the lock of the file that is at the path when this returns.
#[inline]
pub(super) fn acquire<P: Primitive>(
    primitive: &P,
    request: &Request<'_, '_>,
    patience: &mut Patience,
) -> Result<Option<File>> {
    loop {
        let Some(file) = open(request)? else { return Ok(None) };
        wait_for(primitive, request, &file, patience)?;
        match is_in_place(request, &file) {
            Ok(true) => return Ok(Some(file)),
            Ok(false) => unlock(primitive, &file),
            Err(error) => {
                unlock(primitive, &file);
                return Err(error);
            }
        }
    }
}

/// Gives the lock back before the descriptor closes: a copy of it that a fork made at the wrong moment would
/// otherwise keep the lock.
#[inline]
pub(super) fn unlock<P: Primitive>(primitive: &P, file: &File) {
    // Nothing can be done about an error here, and the close that follows gives the lock back as well.
    let _ = retry(|| primitive.unlock(file));
}

/// Opens the lock file; `None` if it is missing and not to be made, or its folder is missing.
#[inline]
pub(super) fn open(request: &Request<'_, '_>) -> Result<Option<File>> {
    let mut flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY;
    if request.opening == Opening::Create {
        flags |= OFlags::CREATE;
    }
    let Request { root, path, .. } = *request;
    match root.open_in(path, flags, Permissions::RUSR | Permissions::WUSR) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => Err(link_error(root, path)),
        Err(Errno::ISDIR) => Err(Error::corrupt(
            root.full(path),
            "it is a folder, not a lock file; delete the container with force",
        )),
        Err(Errno::NOTDIR) => Err(not_a_folder(root, path)),
        Err(errno) => Err(root.error("open the lock file", path, errno)),
    }
}

/// The error for a container's folder that is something else.
#[cold]
pub(super) fn not_a_folder(root: &Root, path: &RelPath) -> Error {
    let folder = path.parent().unwrap_or_else(|| path.clone());
    Error::corrupt(root.full(&folder), "it is not a container's folder; remove it")
}

#[cold]
fn link_error(root: &Root, path: &RelPath) -> Error {
    match root.kind_of(path) {
        Ok(FileType::Symlink)
            if path.parent().is_none_or(|folder| root.kind_of(&folder) == Ok(FileType::Directory)) =>
        {
            Error::unsupported(
                root.full(path),
                "it is a symbolic link, as the lockfile backend makes them: use one lock backend for all processes \
                 of a root",
            )
        }
        _ => root.link_error(path),
    }
}

#[inline]
pub(super) fn wait_for<P: Primitive>(
    primitive: &P,
    request: &Request<'_, '_>,
    file: &File,
    patience: &mut Patience,
) -> Result<()> {
    if patience.is_endless() {
        match retry(|| primitive.lock(file, request.mode)) {
            Ok(()) => return Ok(()),
            // The kernel takes two threads of one process for one waiter and may see a circle where there is none.
            // Polling finds out: a real circle cannot be, for locks are always taken in the same order.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::DEADLK) => (),
            Err(error) => return Err(lock_error(P::KIND, request.root, request.path, error)),
        }
    }
    loop {
        match retry(|| primitive.try_lock(file, request.mode)) {
            Ok(true) => return Ok(()),
            Ok(false) if patience.pause() => (),
            Ok(false) => {
                return Err(request.held_elsewhere(patience, || holder::of_file(P::KIND, file)));
            }
            Err(error) => return Err(lock_error(P::KIND, request.root, request.path, error)),
        }
    }
}

/// Whether the locked file is the one that the path names now.
#[inline]
pub(super) fn is_in_place(request: &Request<'_, '_>, file: &File) -> Result<bool> {
    let Request { root, path, .. } = *request;
    let locked = fstat(file).map_err(|errno| root.error("look at", path, errno))?;
    if FileType::from_raw_mode(locked.st_mode) != FileType::RegularFile {
        return Err(Error::corrupt(root.full(path), "it is no regular file, so no lock file; remove it"));
    }
    match root.stat(path) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(false),
        Err(errno) => Err(root.error("look at", path, errno)),
    }
}

/// Asks whether the filesystem knows such locks, by one on the root folder itself.
pub(super) fn probe<P: Primitive>(primitive: &P, root: &Root) -> Result<()> {
    let path = RelPath::top(".");
    let folder = root
        .open_in(&path, OFlags::RDONLY | OFlags::DIRECTORY, Permissions::empty())
        .map_err(|errno| root.error("open", &path, errno))?;
    let folder = File::from(folder);
    match retry(|| primitive.try_lock(&folder, Mode::Shared)) {
        Ok(true) => {
            unlock(primitive, &folder);
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(error) => Err(lock_error(P::KIND, root, &path, error)),
    }
}

#[cold]
fn lock_error(kind: LockKind, root: &Root, path: &RelPath, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        // OPNOTSUPP is ENOTSUP on Linux. EINVAL: a kernel that does not know the kind of lock.
        Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Error::unsupported(
            root.full(path),
            format_args!(
                "the filesystem gives no {kind} locks ({error}); use another lock backend (lockfile needs none of \
                 the filesystem's) or another filesystem"
            ),
        ),
        _ => Error::io("lock", root.full(path), error),
    }
}

/// Calls again what a signal interrupted.
#[inline]
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::lock::Wait;

    /// A filesystem whose lock calls fail with an error a number of times, and then succeed.
    #[derive(Debug)]
    struct Failing {
        errno: Errno,
        times: AtomicUsize,
    }

    impl Primitive for Failing {
        const KIND: LockKind = LockKind::Fs2;

        fn lock(&self, _file: &File, _mode: Mode) -> io::Result<()> {
            match self.times.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |times| times.checked_sub(1))
            {
                Ok(_) => Err(self.errno.into()),
                Err(_) => Ok(()),
            }
        }

        fn try_lock(&self, file: &File, mode: Mode) -> io::Result<bool> {
            self.lock(file, mode).map(|()| true)
        }

        fn unlock(&self, _file: &File) -> io::Result<()> {
            Ok(())
        }
    }

    fn lock_with(errno: Errno, times: usize, wait: Wait) -> Result<Option<Held>> {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let path = RelPath::top("meta.lock");
        let request = Request { opening: Opening::Create, ..Request::exclusive(&root, &path, wait) };
        Failing { errno, times: AtomicUsize::new(times) }.acquire(&request)
    }

    #[test]
    fn a_filesystem_without_locks_is_an_error_and_never_unlocked() {
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
            for wait in Wait::ALL {
                let error = lock_with(errno, 1, *wait).unwrap_err();
                assert!(matches!(error, Error::Unsupported { .. }), "{errno}: {error}");
                assert!(error.to_string().contains("fs2"), "{error}");
            }
        }
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        for wait in Wait::ALL {
            assert!(lock_with(Errno::INTR, 3, *wait).unwrap().is_some());
        }
    }

    #[test]
    fn another_error_is_reported_as_it_is() {
        assert!(matches!(lock_with(Errno::IO, 1, Wait::Block), Err(Error::Io { .. })));
    }
}
