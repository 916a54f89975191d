//! Looking ahead: what a stopped call of a worker is about, and what it will do. As everybody stands still, the state that it
//! will find can be looked at before.
//!
//! What follows from a deed is the books' to say, as it is for any program. Here is what only workers have: one task each,
//! descriptors that are known without asking the kernel, folders that are put back, and calls that no subject of ours may make.
//! Left out of account are times (of files and folders, as the clock is not controlled), and the size and link count of folders,
//! which tell nothing that their entries do not.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use rustix::fs::OFlags;

use super::places::{Places, is_beside};
use super::tracee::Tracee;
use crate::books::deed::{At, Attribute, Deed, Fd, Known, LockKind, Mapping, Mode, Target, Told};
use crate::books::locks::{Holding, Locks, Owner};
use crate::books::places::Inode;
use crate::books::prediction::{self, Actor, Prediction, life};
use crate::explore::step::{Access, Object};
use crate::process::sys::seccomp::Notification;
use crate::tracee::decode;
pub(super) use crate::tracee::decode::Recording;
use crate::tracee::memory::Memory;
use crate::tracee::table;

/// Why a call cannot be controlled.
pub(super) type Escape = Cow<'static, str>;

/// What of the exploration's folders a call may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Nothing,
    /// The entries and the content that its prediction tells of.
    Told,
    Anything,
}

/// A call at which a process stands.
#[derive(Debug)]
pub(super) struct Foreseen {
    pub told: Told,
    pub known: Known,
    pub prediction: Prediction,
    pub change: Change,
}

impl Foreseen {
    /// The file of which content or attributes change.
    pub fn written(&self) -> Option<Inode> {
        match &self.known {
            Deed::Change(Some(place), ..) => place.file.as_ref().map(|file| file.inode),
            Deed::ChangeAt(Some(file), _) => Some(file.inode),
            _ => self.prediction.writes,
        }
    }
}

/// Decodes a stop. The error says why a subject under exploration may not make the call.
pub(super) fn decode(stop: &Notification, memory: Memory, recording: Recording) -> Result<Told, Escape> {
    let told = decode::decode(stop, memory, recording);
    Err(match told {
        Deed::Start(_) => "starts a thread or a child".into(),
        Deed::Exec(_) => "starts another program".into(),
        Deed::Map(_, Mapping::Shared | Mapping::SharedWritable) => "maps a file to share it".into(),
        Deed::Change(_, _, Attribute::Extended) | Deed::ChangeAt(_, Attribute::Extended) => {
            "changes an extended attribute".into()
        }
        Deed::Signal(Target::Group(_) | Target::All, 1..) => "signals a group of processes".into(),
        Deed::Absent("io_uring_setup") => "uses io_uring".into(),
        Deed::Refused(call, why) => format!("calls {call}, which {why}").into(),
        Deed::SignalBy(..)
        | Deed::Connect(_)
        | Deed::Bind(_)
        | Deed::Watch(_)
        | Deed::Control(..)
        | Deed::AskFolder
        | Deed::Pretend
        | Deed::Absent(_) => {
            let name = table::of(stop.number).map_or("a call", |call| call.name);
            format!("calls {name}, which exploration does not foresee").into()
        }
        // It has one thread: the end of that is its own.
        Deed::Exit(None) => return Ok(Deed::Exit(Some(stop.args[0] as i32 & 0xff))),
        told => return Ok(told),
    })
}

/// What it touches when a process is killed or ends: its locks go, and its operation will never return.
pub(super) fn killed(process: usize, locks: &Locks) -> Vec<(Object, Access)> {
    let mut touches = prediction::killed(process, locks);
    touches.push((Object::REAL_TIME, Access::Update));
    touches
}

/// The process whose stop is foreseen, and what is known around it.
pub(super) struct Scene<'s> {
    pub process: usize,
    pub tracee: &'s Tracee,
    pub places: &'s mut Places,
    pub locks: &'s mut Locks,
    /// What the process has looked at since it last slept.
    pub seen: &'s [(Object, Access)],
    /// The pids of all controlled processes.
    pub pids: &'s [Option<u32>],
}

impl Scene<'_> {
    /// Foresees; the error says what cannot be controlled.
    pub fn foresee(&mut self, told: Told) -> Result<Foreseen, Escape> {
        let outside = Cell::new(None);
        let beside = Cell::new(false);
        let known = self.know(&told, &outside, &beside);
        self.keep(&known);
        let mut prediction = match outside.take() {
            Some(other) => Prediction {
                touches: vec![(life(other), Access::Read)],
                ..Prediction::new(format!("look at p{}", other + 1))
            },
            None => self.predict(&told, &known)?,
        };
        if let Cow::Owned(label) = self.places.without_pids(&prediction.label) {
            prediction.label = label;
        }
        let change = change(&known, &prediction, beside.get());
        Ok(Foreseen { told, known, prediction, change })
    }

    /// Finds out which files a deed is about, whether one lies beside the exploration's folder, and which other process one that
    /// lies outside tells of.
    fn know(&mut self, told: &Told, outside: &Cell<Option<usize>>, beside: &Cell<bool>) -> Known {
        let Self { process, tracee, pids, .. } = *self;
        // Of what is closed only a lock is of concern.
        let is_left_open = matches!(told, Deed::Close(_)) && !self.locks.has_any(process);
        let places = RefCell::new(&mut *self.places);
        told.clone().map(
            |at, follow| {
                let place = places.borrow_mut().path(process, tracee, &at, follow);
                match &place {
                    Some(place) => beside.set(beside.get() || is_beside(&place.shown)),
                    None => outside.set(outside.get().or(told_of(process, pids, &at))),
                }
                place
            },
            |fd| {
                if is_left_open {
                    return None;
                }
                let file = places.borrow_mut().descriptor(process, tracee, fd.0);
                beside.set(beside.get() || file.as_ref().is_some_and(|file| is_beside(&file.shown)));
                file
            },
        )
    }

    /// What is about to lose its name is kept as long as the execution lasts.
    fn keep(&mut self, known: &Known) {
        let place = match known {
            Deed::Unlink(place) | Deed::RemoveFolder(place) => place,
            Deed::Rename { from, to: None, .. } => from,
            Deed::Rename { to, .. } => to,
            _ => return,
        };
        if let Some(place) = place {
            self.places.keep(place);
        }
    }

    fn predict(&mut self, told: &Told, known: &Known) -> Result<Prediction, Escape> {
        self.may(told, known)?;
        let signalled = match told {
            Deed::Signal(Target::Task(pid), _) => {
                self.pids.iter().position(|known| known.is_some_and(|known| known.cast_signed() == *pid))
            }
            _ => None,
        };
        let actor = Actor {
            process: self.process,
            owner: self.owner(told),
            may_lock: self.may_lock(told),
            closing: self.closing(told, known)?,
            seen: self.seen,
            signalled,
            is_alone: true,
        };
        let mut prediction = prediction::predict(known, &actor, self.locks)?;
        if matches!(known, Deed::Exit(_)) || signalled == Some(self.process) {
            prediction.touches.push((Object::REAL_TIME, Access::Update));
        }
        Ok(prediction)
    }

    /// Whether what a deed does with a descriptor, or to another process, can be controlled.
    fn may(&mut self, told: &Told, known: &Known) -> Result<(), Escape> {
        match (told, known) {
            (Deed::Duplicate(Fd(fd)), Deed::Duplicate(Some(_)))
            | (Deed::Replace { from: Fd(fd), .. }, Deed::Replace { from: Some(_), .. }) => {
                // Whoever locks by one of two numbers of one open file description holds it by both.
                if self.locks.of(self.process).any(|held| held.owner == by(*fd)) {
                    return Err("copies a descriptor by which it holds a lock".into());
                }
                self.places.note_copy(self.process);
            }
            (_, Deed::Lock { file: Some(_), kind, .. } | Deed::QueryLock { file: Some(_), kind, .. })
                if *kind != LockKind::Posix && self.places.has_copies(self.process) =>
            {
                return Err("locks a file while it has copies of descriptors".into());
            }
            (_, Deed::Map(Some(_), _)) => return Err("maps a file".into()),
            (Deed::Signal(Target::Task(pid), 1..), _) => {
                let to = self.pids.iter().position(|known| known.is_some_and(|it| it.cast_signed() == *pid));
                if to.is_some_and(|to| to != self.process) {
                    return Err("signals another process under control".into());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Who owns the lock that is asked for or given up.
    fn owner(&self, told: &Told) -> Owner {
        match told {
            Deed::Lock { file, kind, .. } | Deed::Unlock { file, kind, .. } if *kind != LockKind::Posix => {
                by(file.0)
            }
            _ => Owner::Process(self.tracee.pid),
        }
    }

    /// Whether the descriptor is open in a way that allows the lock, if that is one by `fcntl`.
    fn may_lock(&self, told: &Told) -> bool {
        let Deed::Lock { file, kind, mode, .. } = told else { return true };
        if *kind == LockKind::Flock {
            return true;
        }
        let Ok(copy) = self.tracee.descriptor(file.0) else { return false };
        let Ok(flags) = rustix::fs::fcntl_getfl(&copy) else { return false };
        match mode {
            Mode::Shared => flags & OFlags::ACCMODE != OFlags::WRONLY,
            Mode::Exclusive => flags & OFlags::ACCMODE != OFlags::RDONLY,
        }
    }

    /// The locks that go with what is closed: those by the descriptor, and all of the process's own of the file.
    fn closing(&self, told: &Told, known: &Known) -> Result<Vec<Holding>, Escape> {
        if !self.locks.has_any(self.process) {
            return Ok(Vec::new());
        }
        let (fd, file) = match (told, known) {
            (Deed::Close(fd), Deed::Close(file)) => (fd, file),
            (Deed::Replace { to, .. }, Deed::Replace { to: file, .. }) => (to, file),
            (Deed::CloseRange(first, last), _) => return self.closing_range(*first, *last),
            _ => return Ok(Vec::new()),
        };
        let mut given = self.locks.owned(self.process, by(fd.0), None);
        if let Some(file) = file {
            given.extend(self.locks.owned(self.process, Owner::Process(self.tracee.pid), Some(file.name)));
        }
        Ok(given)
    }

    fn closing_range(&self, first: u32, last: u32) -> Result<Vec<Holding>, Escape> {
        let range = u64::from(first)..=u64::from(last);
        let mut given = Vec::new();
        for held in self.locks.of(self.process) {
            match held.owner {
                Owner::Description(fd) if range.contains(&fd) => given.push(*held),
                Owner::Description(_) => {}
                Owner::Process(_) => {
                    return Err("closes a range of descriptors while it holds a lock by fcntl".into());
                }
            }
        }
        Ok(given)
    }
}

/// Who owns a lock that was taken by a descriptor: workers copy none by which they lock.
const fn by(fd: i32) -> Owner {
    Owner::Description(fd.cast_unsigned() as u64)
}

/// The other process that a path outside tells of.
fn told_of(process: usize, pids: &[Option<u32>], at: &At) -> Option<usize> {
    let pid = at.path.strip_prefix("/proc/")?.split('/').next()?.parse().ok()?;
    pids.iter().position(|known| *known == Some(pid)).filter(|other| *other != process)
}

/// What may have to be put back.
fn change(known: &Known, prediction: &Prediction, is_beside: bool) -> Change {
    let is_attribute = matches!(known, Deed::Change(Some(_), ..) | Deed::ChangeAt(Some(_), _));
    if prediction.is_opaque || is_attribute {
        return Change::Anything;
    }
    match prediction.entries.is_empty() && prediction.writes.is_none() {
        true => Change::Nothing,
        false if is_beside => Change::Anything,
        false => Change::Told,
    }
}
