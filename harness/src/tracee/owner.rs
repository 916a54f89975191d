//! Who owns a lock, and which locks go with what is closed.
//!
//! Books are kept of open file descriptions, not of numbers of descriptors: those are copied, inherited and put in each
//! other's places. Whether a descriptor's description holds a lock is asked of the kernel, and only of trees that hold any.

use std::collections::HashSet;

use super::descriptors::{Lockable, Open};
use super::task::{descriptors, information};
use super::{Machine, paths::Paths};
use crate::books::deed::{Deed, Fd, LockKind, Mode, Told};
use crate::books::locks::{Holding, Owner};
use crate::books::places::File;
use crate::explore::step::Object;

/// What is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// One descriptor.
    One(Fd),
    /// A range of them.
    Range(u32, u32),
    /// Those that are closed as another program is executed.
    OnExec,
    /// All of a process.
    All,
}

impl Machine {
    /// Who owns the lock that is asked for or given up, and whether it may be had by this descriptor.
    pub(super) fn lock_of(&mut self, process: usize, tid: u32, told: &Told) -> (Owner, bool) {
        let (fd, kind, mode): (Fd, LockKind, Mode) = match told {
            Deed::Lock { file, kind, mode, .. } => (*file, *kind, *mode),
            Deed::Unlock { file, kind, .. } => (*file, *kind, Mode::Shared),
            _ => return (Owner::Process(tid), true),
        };
        let owner = self.owner(process, tid, fd, kind);
        // `flock` asks for no access.
        let access = if kind == LockKind::Flock { 0 } else { self.access(process, tid, fd.0) };
        let may_lock = match (kind, mode) {
            (LockKind::Flock, _) => true,
            (_, Mode::Shared) => access != libc::O_WRONLY,
            (_, Mode::Exclusive) => access != libc::O_RDONLY,
        };
        (owner, may_lock)
    }

    /// How a descriptor is open: whether it may read and write, among the flags of `open`. That never changes.
    fn access(&mut self, process: usize, tid: u32, fd: i32) -> i32 {
        let Some(task) = self.trees[process].tasks.iter_mut().find(|task| task.tid == tid) else { return 0 };
        if let Some(access) = task.open.get(fd).and_then(|open| open.access) {
            return access;
        }
        let access = self.paths.information(task, fd).map(|known| known.flags & libc::O_ACCMODE);
        if let Some(open) = task.open.get_mut(fd) {
            open.access = access;
        }
        access.unwrap_or(0)
    }

    /// The file that a descriptor of a task is open on, wherever it lies.
    fn lockable(&mut self, process: usize, tid: u32, fd: i32) -> Option<File> {
        let task = self.trees[process].tasks.iter_mut().find(|task| task.tid == tid)?;
        self.paths.lockable(process, task, fd)
    }

    /// Who owns the lock that a task asks for, or gives up, by this descriptor.
    pub(super) fn owner(&mut self, process: usize, tid: u32, fd: Fd, kind: LockKind) -> Owner {
        let task = self.trees[process].tasks.iter().find(|task| task.tid == tid);
        let pid = task.map_or(tid, |task| task.pid);
        if kind == LockKind::Posix {
            return Owner::Process(pid);
        }
        self.has_any(process, kind)
            .then(|| self.lockable(process, tid, fd.0))
            .flatten()
            .and_then(|file| self.description(process, tid, fd, kind, file.name))
            .unwrap_or_else(|| {
                self.descriptions += 1;
                Owner::Description(self.descriptions)
            })
    }

    /// Whether a process holds any lock of this kind.
    fn has_any(&self, process: usize, kind: LockKind) -> bool {
        self.locks.of(process).any(|held| held.kind == kind)
    }

    /// The owner of the lock that a descriptor's description holds on its file, if it holds one.
    fn description(
        &mut self,
        process: usize,
        tid: u32,
        fd: Fd,
        kind: LockKind,
        file: Object,
    ) -> Option<Owner> {
        let held = self.locks.of(process).filter(|held| held.kind == kind && held.file == file);
        let owners: Vec<Owner> = held.map(|held| held.owner).collect();
        let task = self.trees[process].tasks.iter().find(|task| task.tid == tid)?;
        let locked_as = task.open.get(fd.0).and_then(|open| open.locked_as);
        if locked_as.is_some_and(|owner| owners.contains(&owner)) {
            return locked_as;
        }
        let first = *owners.first()?;
        let information = self.paths.information(task, fd.0)?;
        let has = if kind == LockKind::Flock { information.flock } else { information.ofd };
        if !has {
            return None;
        }
        if owners.iter().any(|other| *other != first) {
            // Two descriptions of one file, both locked: which of the two is not told.
            self.run.left.uncertain.insert("several open files of one program lock the same file".into());
        }
        Some(first)
    }

    /// The locks that go as a task closes what it closes.
    pub(super) fn closing(&mut self, process: usize, tid: u32, what: Closing) -> Vec<Holding> {
        if !self.locks.has_any(process) {
            return Vec::new();
        }
        let pid = self.trees[process].tasks.iter().find(|task| task.tid == tid).map_or(tid, |task| task.pid);
        let fds: Vec<i32> = match what {
            Closing::One(fd) => vec![fd.0],
            Closing::Range(first, last) => descriptors(tid)
                .into_iter()
                .filter(|fd| (first..=last).contains(&fd.cast_unsigned()))
                .collect(),
            Closing::OnExec => descriptors(tid)
                .into_iter()
                // Whether the others are closed does not matter.
                .filter(|fd| self.may_hold_locks(process, tid, *fd))
                .filter(|fd| information(tid, *fd).is_some_and(|known| known.flags & libc::O_CLOEXEC != 0))
                .collect(),
            Closing::All => descriptors(tid),
        };
        let mut given = if what == Closing::All {
            self.locks.owned(process, Owner::Process(pid), None)
        } else {
            Vec::new()
        };
        let closed: HashSet<i32> = fds.iter().copied().collect();
        for &fd in &fds {
            if what != Closing::OnExec && !self.may_hold_locks(process, tid, fd) {
                continue;
            }
            let Some(file) = self.lockable(process, tid, fd) else { continue };
            given.extend(self.locks.owned(process, Owner::Process(pid), Some(file.name)));
            for kind in [LockKind::Flock, LockKind::Ofd] {
                if !self.has_any(process, kind) {
                    continue;
                }
                let Some(owner) = self.description(process, tid, Fd(fd), kind, file.name) else { continue };
                let is_last = !self.may_have_copies(process, tid, fd)
                    || self.is_last(process, pid, &closed, kind, &file.inode);
                if is_last {
                    given.extend(self.locks.owned(process, owner, Some(file.name)));
                }
            }
        }
        let mut seen = Vec::new();
        given.retain(|held| {
            let is_new = !seen.contains(held);
            seen.push(*held);
            is_new
        });
        given
    }

    /// Whether a process holds any lock of the file that a descriptor of it is open on. A process has many descriptors on files
    /// that it never locks, its output among them: their inodes tell that they are no file of a lock, and nothing more of them
    /// is asked.
    fn may_hold_locks(&mut self, process: usize, tid: u32, fd: i32) -> bool {
        let task = self.trees[process].tasks.iter().find(|task| task.tid == tid);
        let name = match task.and_then(|task| task.open.get(fd)) {
            Some(Open { lockable: Lockable::File(file), .. } | Open { file: Some(file), .. }) => {
                Some(file.name)
            }
            Some(Open { lockable: Lockable::Nothing, .. }) => None,
            // The file of a lock has been met: it was named as the lock was taken.
            Some(_) | None => {
                let inode = task.map_or_else(|| Paths::inode(tid, fd), |task| Paths::inode_of(task, fd));
                inode.and_then(|inode| self.paths.name_met(&inode))
            }
        };
        name.is_some_and(|name| self.locks.of(process).any(|held| held.file == name))
    }

    /// Whether the open file of a descriptor may have another descriptor. A clone inherits none on a state folder's files, for a
    /// program is stopped before it opens the first of them.
    fn may_have_copies(&self, process: usize, tid: u32, fd: i32) -> bool {
        let tree = &self.trees[process];
        let is_inside = || {
            let task = tree.tasks.iter().find(|task| task.tid == tid);
            task.and_then(|task| task.open.get(fd)).is_some_and(|open| open.file.is_some())
        };
        tree.copies || self.options.allow_uncontrolled || (self.forks.by_clone && !is_inside())
    }

    /// Whether nobody of the tree keeps a locked description of a file when a process has closed these.
    fn is_last(
        &mut self,
        process: usize,
        leaver: u32,
        closed: &HashSet<i32>,
        kind: LockKind,
        inode: &(u64, u64),
    ) -> bool {
        for pid in self.family(process) {
            for fd in descriptors(pid) {
                if pid == leaver && closed.contains(&fd) {
                    continue;
                }
                if Paths::inode(pid, fd).as_ref() != Some(inode) {
                    continue;
                }
                let known = information(pid, fd).unwrap_or_default();
                if (kind == LockKind::Flock && known.flock) || (kind == LockKind::Ofd && known.ofd) {
                    return false;
                }
            }
        }
        true
    }
}
