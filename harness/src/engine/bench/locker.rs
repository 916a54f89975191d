//! The locks that are measured, each as a process of its own uses it: nothing opened before a fork is used here but what
//! is there to show that it must not be.

use std::fs::File;
use std::sync::Arc;

use flockwork::lock::measured::{OpenFolder, Parts, Place};
use flockwork::{ContainerId, LockKind, Wait};

use super::clock::Clock;
use crate::plan::bench::Waiting;
use crate::process::arena::Arena;

/// A lock for each container.
pub(super) trait Locker {
    /// Waits until it has the container's lock.
    fn acquire(&mut self, clock: &impl Clock, container: u32) -> Result<(), String>;

    /// Gives the container's lock back.
    fn release(&mut self, container: u32) -> Result<(), String>;
}

/// Tries until it succeeds, with pauses between.
#[inline]
fn poll(
    clock: &impl Clock,
    (first_ns, last_ns): (u64, u64),
    mut attempt: impl FnMut() -> Result<bool, String>,
) -> Result<(), String> {
    let mut pause_ns = first_ns;
    while !attempt()? {
        clock.sleep_until(clock.now_ns() + pause_ns);
        pause_ns = (pause_ns * 2).min(last_ns);
    }
    Ok(())
}

impl Waiting {
    /// The first pause and the longest, where it does not wait in the kernel.
    fn pauses_ns(self) -> Option<(u64, u64)> {
        match self {
            Self::Block => None,
            Self::Poll(every_ns) => Some((every_ns, every_ns)),
            Self::BackOff(first_ns, last_ns) => Some((first_ns, last_ns)),
        }
    }
}

/// A locker that locks nothing: it shows what everything but the lock costs.
#[derive(Debug)]
pub(super) struct Nothing;

impl Locker for Nothing {
    #[inline]
    fn acquire(&mut self, _clock: &impl Clock, _container: u32) -> Result<(), String> {
        Ok(())
    }

    #[inline]
    fn release(&mut self, _container: u32) -> Result<(), String> {
        Ok(())
    }
}

/// Mutexes in shared memory.
#[derive(Debug)]
pub(super) struct InMemory {
    pub arena: Arc<Arena>,
    pub waiting: Waiting,
}

impl Locker for InMemory {
    #[inline]
    fn acquire(&mut self, clock: &impl Clock, container: u32) -> Result<(), String> {
        let mutex = &self.arena.mutexes()[container as usize];
        let words = |error: std::io::Error| format!("cannot take the mutex: {error}");
        match self.waiting.pauses_ns() {
            None => mutex.lock().map_err(words),
            Some(pauses_ns) => poll(clock, pauses_ns, || mutex.try_lock().map_err(words)),
        }
    }

    #[inline]
    fn release(&mut self, container: u32) -> Result<(), String> {
        let mutex = &self.arena.mutexes()[container as usize];
        mutex.unlock().map_err(|error| format!("cannot give the mutex back: {error}"))
    }
}

/// Lock files, and how they are locked.
#[derive(Debug)]
pub(super) struct Files<'p> {
    pub place: &'p Place,
    pub kind: LockKind,
    pub ids: &'p [ContainerId],
    pub waiting: Waiting,
}

impl<'p> Files<'p> {
    pub fn parts(&self, container: u32) -> Parts<'p> {
        self.place.lock_of(&self.ids[container as usize], self.kind)
    }

    #[inline]
    fn take(&self, parts: &Parts<'_>, file: &File, clock: &impl Clock) -> Result<(), String> {
        match self.waiting.pauses_ns() {
            None => parts.wait(file).map_err(words),
            Some(pauses_ns) => poll(clock, pauses_ns, || parts.try_lock(file).map_err(words)),
        }
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Lock files that were opened once.
#[derive(Debug)]
pub(super) struct Kept<'p> {
    files: Files<'p>,
    /// The calls on an open file are the same for each: only errors name the path, and name that of the first.
    parts: Parts<'p>,
    open: Vec<File>,
}

impl<'p> Kept<'p> {
    /// Opens all of them.
    pub fn open(files: Files<'p>) -> Result<Self, String> {
        let open = (0..files.ids.len() as u32).map(|container| files.parts(container).open());
        let open = open.collect::<Result<_, _>>().map_err(words)?;
        Ok(Self { parts: files.parts(0), files, open })
    }

    /// Uses files that somebody else has opened.
    pub fn inherited(files: Files<'p>, open: Vec<File>) -> Self {
        Self { parts: files.parts(0), files, open }
    }
}

impl Locker for Kept<'_> {
    #[inline]
    fn acquire(&mut self, clock: &impl Clock, container: u32) -> Result<(), String> {
        self.files.take(&self.parts, &self.open[container as usize], clock)
    }

    #[inline]
    fn release(&mut self, container: u32) -> Result<(), String> {
        self.parts.unlock(&self.open[container as usize]);
        Ok(())
    }
}

/// Lock files that are opened for each acquisition.
#[derive(Debug)]
pub(super) struct Fresh<'p> {
    pub files: Files<'p>,
    pub inode: Inode,
    pub open: Option<(OpenFolder<'p>, File)>,
}

/// Whether the locked inode is compared with the one at the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inode {
    /// The inode is looked up at the path after each acquisition, as the library does.
    Compared,
    /// It is taken for the right one.
    Trusted,
}

impl Locker for Fresh<'_> {
    #[inline]
    fn acquire(&mut self, clock: &impl Clock, container: u32) -> Result<(), String> {
        let parts = self.files.parts(container);
        loop {
            let folder = parts.folder().map_err(words)?;
            let file = parts.open_in(&folder).map_err(words)?;
            self.files.take(&parts, &file, clock)?;
            if self.inode == Inode::Trusted || parts.is_in_place(&folder, &file).map_err(words)? {
                self.open = Some((folder, file));
                return Ok(());
            }
            parts.unlock(&file);
        }
    }

    #[inline]
    fn release(&mut self, container: u32) -> Result<(), String> {
        if let Some((_folder, file)) = self.open.take() {
            self.files.parts(container).unlock(&file);
        }
        Ok(())
    }
}

/// Locks that are there as long as a link is.
#[derive(Debug)]
pub(super) struct Links<'p> {
    pub files: Files<'p>,
    /// Where the link is that is held.
    pub folder: Option<OpenFolder<'p>>,
}

impl Locker for Links<'_> {
    #[inline]
    fn acquire(&mut self, clock: &impl Clock, container: u32) -> Result<(), String> {
        let parts = self.files.parts(container);
        let Self { files, folder } = self;
        let mut make = |wait| {
            *folder = parts.make_link(wait).map_err(words)?;
            Ok(folder.is_some())
        };
        match files.waiting.pauses_ns() {
            // There is nothing to wait for in the kernel: the library polls, with pauses that grow.
            None => make(Wait::Block).map(drop),
            Some(pauses_ns) => poll(clock, pauses_ns, || make(Wait::Try)),
        }
    }

    #[inline]
    fn release(&mut self, container: u32) -> Result<(), String> {
        if let Some(folder) = self.folder.take() {
            self.files.parts(container).remove_link(&folder);
        }
        Ok(())
    }
}
