//! What all backends share that lock an open file: open, lock, and compare the locked inode with the one at the path.
//!
//! The comparison is what makes deletion safe. A waiter may be handed the lock of a file that was unlinked while it
//! waited; such a lock guards nothing, so it is given back and the file that is there now is locked instead.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use rustix::fs::{FileType, Mode as Permissions, OFlags, fstat};
use rustix::io::Errno;

use super::wait::Patience;
use super::{Held, LockBackend, LockKind, Mode, Opening, Request, holder};
use crate::folder::Folder;
use crate::root::Root;
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
    fn acquire<'a>(&self, request: &Request<'a>) -> Result<Option<(Folder<'a>, Held)>> {
        let taken = acquire(self, request, &mut Patience::new(request.wait))?;
        Ok(taken.map(|(folder, file)| (folder, Held::File(file))))
    }

    fn release(&self, _folder: &Folder<'_>, _name: &CStr, held: Held) {
        if let Held::File(file) = held {
            unlock(self, &file);
        }
    }

    fn retire(&self, folder: &Folder<'_>, name: &CStr, held: Held) -> Result<()> {
        let unlinked = folder.unlink_if_there(name);
        self.release(folder, name, held);
        unlinked
    }

    fn probe(&self, root: &Root) -> Result<()> {
        probe(self, root)
    }
}

/// Takes the lock of the file that is in its place when this returns. The folder is opened anew each time: one that was
/// removed meanwhile never has a lock file again.
#[inline]
pub(super) fn acquire<'a, P: Primitive>(
    primitive: &P,
    request: &Request<'a>,
    patience: &mut Patience,
) -> Result<Option<(Folder<'a>, File)>> {
    loop {
        let Some(folder) = request.folder()? else { return Ok(None) };
        let Some(file) = open(request, &folder)? else { return Ok(None) };
        wait_for(primitive, request, &file, patience)?;
        match is_in_place(request, &folder, &file) {
            Ok(true) => return Ok(Some((folder, file))),
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

/// Opens the lock file; `None` if it is missing and not to be made, or its folder was removed.
#[inline]
pub(super) fn open(request: &Request<'_>, folder: &Folder<'_>) -> Result<Option<File>> {
    let mut flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut permissions = Permissions::empty();
    if request.opening != Opening::Existing {
        flags |= OFlags::CREATE;
        permissions = Permissions::RUSR | Permissions::WUSR;
    }
    match folder.open(request.name, flags, permissions) {
        Ok(fd) => Ok(Some(fd.into())),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(open_error(folder, request.name, errno)),
    }
}

#[cold]
fn open_error(folder: &Folder<'_>, name: &CStr, errno: Errno) -> Error {
    match errno {
        Errno::LOOP => Error::unsupported(
            folder.full(name),
            "it is a symbolic link, as made by the lockfile backend: use one lock backend for all processes of a root",
        ),
        Errno::ISDIR => Error::corrupt(
            folder.full(name),
            "it is a folder, not a lock file; delete the container with force",
        ),
        // A socket, or a device with nothing behind it.
        Errno::NXIO | Errno::NODEV => no_lock_file(folder, name),
        _ => folder.error("open the lock file", name, errno),
    }
}

#[cold]
fn no_lock_file(folder: &Folder<'_>, name: &CStr) -> Error {
    let why = "it is not a regular file, so not a lock file; delete the container with force";
    Error::corrupt(folder.full(name), why)
}

#[inline]
pub(super) fn wait_for<P: Primitive>(
    primitive: &P,
    request: &Request<'_>,
    file: &File,
    patience: &mut Patience,
) -> Result<()> {
    if patience.is_endless() {
        match retry(|| primitive.lock(file, request.mode)) {
            Ok(()) => return Ok(()),
            // The kernel takes two threads of one process for one waiter and may see a circle where there is none.
            // Polling finds out: a real circle cannot be, for locks are always taken in the same order.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::DEADLK) => (),
            Err(error) => return Err(lock_error(P::KIND, request.path(), error)),
        }
    }
    loop {
        match retry(|| primitive.try_lock(file, request.mode)) {
            Ok(true) => return Ok(()),
            Ok(false) if patience.pause() => (),
            Ok(false) => {
                return Err(request.held_elsewhere(patience, || holder::of_file(P::KIND, file)));
            }
            Err(error) => return Err(lock_error(P::KIND, request.path(), error)),
        }
    }
}

/// Whether the locked file is the one that lies in its place now.
#[inline]
pub(super) fn is_in_place(request: &Request<'_>, folder: &Folder<'_>, file: &File) -> Result<bool> {
    let name = request.name;
    let locked = fstat(file).map_err(|errno| folder.error("look at", name, errno))?;
    if FileType::from_raw_mode(locked.st_mode) != FileType::RegularFile {
        return Err(no_lock_file(folder, name));
    }
    if locked.st_nlink > 1 && request.opening != Opening::Force {
        return Err(has_several_names(folder, name));
    }
    match folder.stat(name) {
        Ok(there) => Ok((there.st_dev, there.st_ino) == (locked.st_dev, locked.st_ino)),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(folder.error("look at", name, errno)),
    }
}

/// Two names of one lock file would be one lock for two containers, and whoever holds one would wait for itself at the
/// other.
#[cold]
fn has_several_names(folder: &Folder<'_>, name: &CStr) -> Error {
    let why = "it has other names (hard links), so it may be the lock of something else too; remove those names, or \
               delete the container with force";
    Error::corrupt(folder.full(name), why)
}

/// Asks whether the filesystem knows such locks, by one on the root folder itself.
pub(super) fn probe<P: Primitive>(primitive: &P, root: &Root) -> Result<()> {
    let folder = Folder::of_root(root)
        .open(c".", OFlags::RDONLY | OFlags::DIRECTORY, Permissions::empty())
        .map_err(|errno| Error::io("open", root.path(), errno))?;
    let folder = File::from(folder);
    match retry(|| primitive.try_lock(&folder, Mode::Shared)) {
        Ok(true) => {
            unlock(primitive, &folder);
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(error) => Err(lock_error(P::KIND, root.path().to_owned(), error)),
    }
}

#[cold]
fn lock_error(kind: LockKind, path: PathBuf, error: io::Error) -> Error {
    match Errno::from_io_error(&error) {
        // OPNOTSUPP is ENOTSUP on Linux. EINVAL: a kernel that does not know the kind of lock.
        Some(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Error::unsupported(
            path,
            format_args!(
                "the filesystem gives no {kind} locks ({error}); use another lock backend (lockfile needs no locks of the filesystem) or another filesystem"
            ),
        ),
        _ => Error::io("lock", path, error),
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

    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::lock::Wait;
    use crate::lock::flock_fs2::Fs2;
    use crate::lock::flock_std::Std;
    use crate::lock::ofd::Ofd;
    use crate::unprivileged::unprivileged;

    /// Each backend that locks a file tries it on the root folder: on one that has become unreadable that fails.
    #[test]
    fn every_backend_that_locks_files_asks_the_filesystem() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        for kind in LockKind::ALL.iter().filter(|kind| **kind != LockKind::Lockfile) {
            std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o000)).unwrap();
            let error = unprivileged(|| kind.backend().probe(&root)).unwrap_err();
            assert!(matches!(error, Error::Io { action: "open", .. }), "{kind}: {error}");
            std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
            kind.backend().probe(&root).unwrap_or_else(|error| panic!("{kind}: {error}"));
        }
    }

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

    /// A copy of the descriptor that a fork made must not keep the lock: so it is given back, and not left to the close.
    #[test]
    fn a_lock_is_given_back_while_a_copy_of_its_descriptor_is_open() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let request =
            Request { opening: Opening::Create, ..Request::exclusive(&root, None, c"meta.lock", Wait::Try) };
        for kind in [LockKind::Fs2, LockKind::Std, LockKind::Ofd] {
            let backend = kind.backend();
            let (folder, held) = backend.acquire(&request).unwrap().expect("it is free");
            let Held::File(file) = &held else { panic!("{kind}: {held:?}") };
            let _copy = file.try_clone().unwrap();
            assert!(backend.acquire(&request).is_err(), "{kind}: it is held");
            backend.release(&folder, c"meta.lock", held);
            assert!(backend.acquire(&request).unwrap().is_some(), "{kind}: it is free again");
        }
    }

    /// The kernel sees a circle of waiting threads where there is none; looking again and again finds out.
    #[test]
    fn a_circle_that_the_kernel_sees_is_no_error() {
        assert!(lock_with(Errno::DEADLK, 1, Wait::Block).unwrap().is_some());
    }

    #[test]
    fn what_cannot_be_locked_is_an_error_and_not_somebody_elses() {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let file: File = rustix::fs::open("/", flags, Permissions::empty()).unwrap().into();
        for kind in [
            Fs2.try_lock(&file, Mode::Exclusive),
            Std.try_lock(&file, Mode::Exclusive),
            Ofd.try_lock(&file, Mode::Shared),
        ] {
            let errno = Errno::from_io_error(&kind.unwrap_err());
            assert_eq!(errno, Some(Errno::BADF));
        }
    }

    fn lock_with(errno: Errno, times: usize, wait: Wait) -> Result<Option<Held>> {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(folder.path()).unwrap();
        let request =
            Request { opening: Opening::Create, ..Request::exclusive(&root, None, c"meta.lock", wait) };
        let taken = Failing { errno, times: AtomicUsize::new(times) }.acquire(&request)?;
        Ok(taken.map(|(_, held)| held))
    }

    /// One of each kind; the bounded one stands for all durations.
    fn waits() -> [Wait; 3] {
        // The compiler says so when there is another.
        let (Wait::Block | Wait::Try | Wait::Bounded(_)) = Wait::default();
        [Wait::Block, Wait::Try, Wait::Bounded(std::time::Duration::from_secs(1))]
    }

    #[test]
    fn a_filesystem_without_locks_is_an_error_and_never_unlocked() {
        for errno in [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL] {
            for wait in waits() {
                let error = lock_with(errno, 1, wait).unwrap_err();
                assert!(matches!(error, Error::Unsupported { .. }), "{errno}: {error}");
                assert!(error.to_string().contains("fs2"), "{error}");
            }
        }
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        for wait in waits() {
            assert!(lock_with(Errno::INTR, 3, wait).unwrap().is_some());
        }
    }

    #[test]
    fn another_error_is_reported_as_it_is() {
        assert!(matches!(lock_with(Errno::IO, 1, Wait::Block), Err(Error::Io { .. })));
    }
}
