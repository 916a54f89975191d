//! Predictions: what a stopped call will touch once it is let go. As everybody stands still, the state that it will
//! find can be looked at before.
//!
//! A prediction holds until a step of another process conflicts with it; then it is made anew. It must never touch too
//! little: a failing call is taken for a read only where it is certain to fail. Left out of account are times (of
//! files and folders, as the clock is not controlled), and the size and link count of folders, which tell nothing that
//! their entries do not.

mod lock;
mod path;

use std::borrow::Cow;
use std::sync::Arc;

use super::call::{Ask, At, Call, Mode};
use super::entries::EntryName;
use super::locks::{Holding, Locks};
use super::places::{ATTRIBUTES, File, Inode, Opened, Place, Places, is_beside};
use super::tracee::Tracee;
use crate::explore::step::{Access, Footprint, Gate, LockPart, Object, Step};
use crate::plan::schedule::{Fault, Injected};

use Access::{Read, Update, Write};

/// What a stopped call will do.
#[derive(Clone, Debug)]
pub(super) struct Prediction {
    pub touches: Vec<(Object, Access)>,
    pub gate: Gate,
    pub lock: Option<LockPart>,
    pub label: String,
    /// What it means for the controller's books.
    pub effect: Effect,
    /// A file whose content it changes.
    pub writes: Option<Inode>,
    /// The entries that it makes or removes.
    pub entries: Vec<EntryName>,
    /// Whether it makes, removes or changes anything.
    pub changes: bool,
    /// Whether that is more than entries and the content of a file, or lies beside the exploration's folder.
    pub is_wide: bool,
    /// Which faults it can meet.
    pub faults: Faults,
}

/// What a step means for the controller's books.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    None,
    /// A file is opened.
    Open(Box<Opened>),
    /// A lock is taken; whether the call would wait for it in the kernel.
    Take(Holding, Ask),
    /// Locks are given up.
    LetGo(Vec<Holding>),
    /// A lock is given up to be taken anew in another mode: the call is not over.
    GiveUp(Holding),
    /// A descriptor is gone: with the locks that go with it.
    Close(i32, Vec<Holding>),
    /// Any descriptor may be gone.
    CloseSome,
    /// It sleeps for a while.
    Sleep,
    /// The process ends.
    Exit,
}

/// Which faults a call can meet, beyond a kill, which any can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults(u8);

impl Faults {
    const SHORT: u8 = 1 << 7;

    const fn bit(error: Injected) -> u8 {
        1 << error as u8
    }

    pub const fn of(errors: &[Injected]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < errors.len() {
            bits |= Self::bit(errors[at]);
            at += 1;
        }
        Self(bits)
    }

    /// Whether it can meet this one.
    pub const fn has(self, fault: Fault) -> bool {
        match fault {
            Fault::Kill => true,
            Fault::Error(error) => self.0 & Self::bit(error) != 0,
            Fault::ShortWrite | Fault::ShortWriteKill => self.0 & Self::SHORT != 0,
        }
    }
}

const NO_FAULT: Faults = Faults(0);
const OPENING: Faults =
    Faults::of(&[Injected::Io, Injected::Interrupted, Injected::TooManyFiles, Injected::Access]);
const MAKING_FILE: Faults = Faults(OPENING.0 | Faults::of(&[Injected::NoSpace]).0);
const MAKING: Faults = Faults::of(&[Injected::NoSpace, Injected::Io, Injected::Access]);
const REMOVING: Faults = Faults::of(&[Injected::Io, Injected::Access]);
const READING: Faults = Faults::of(&[Injected::Io]);
const WRITING: Faults = Faults::of(&[Injected::NoSpace, Injected::Io]);
const WAITING: Faults = Faults::of(&[Injected::Interrupted]);

/// The process whose stop is predicted, and what is known around it.
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

impl Prediction {
    fn new(label: impl Into<String>) -> Self {
        Self {
            touches: Vec::new(),
            gate: Gate::Open,
            lock: None,
            label: label.into(),
            effect: Effect::None,
            writes: None,
            entries: Vec::new(),
            changes: false,
            is_wide: false,
            faults: NO_FAULT,
        }
    }

    /// Whether it concerns nobody: it need not be a step of its own.
    pub fn is_private(&self) -> bool {
        self.touches.is_empty()
            && self.gate == Gate::Open
            && self.faults == NO_FAULT
            && !self.changes
            && self.effect != Effect::Exit
    }

    fn touching(mut self, touches: impl IntoIterator<Item = (Object, Access)>) -> Self {
        self.touches.extend(touches);
        self
    }

    fn changing(mut self) -> Self {
        self.changes = true;
        self
    }

    fn letting_go(mut self, held: Vec<Holding>) -> Self {
        self.effect = Effect::LetGo(held);
        self
    }

    fn meeting(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Permissions change, on which it depends what can be reached: whoever walks a path reads them.
    fn changing_attributes(mut self, file: &File) -> Self {
        self.is_wide = true;
        self.writing(file).touching([(Object::named(&ATTRIBUTES), Write)])
    }

    fn writing(mut self, file: &File) -> Self {
        self.touches.push((file.content(), Write));
        self.writes = Some(file.inode);
        self.is_wide |= is_beside(&file.shown);
        self.changing()
    }

    /// As a step, with what else it touches.
    pub fn step(&self, label: Arc<str>, more: impl IntoIterator<Item = (Object, Access)>) -> Step {
        let touches = self.touches.iter().copied().chain(more).collect();
        Step { footprint: Footprint::of(touches), gate: self.gate, lock: self.lock, label }
    }
}

/// Predicts; the error says what cannot be controlled.
pub(super) fn predict(call: &Call, scene: &mut Scene<'_>) -> Result<Prediction, Cow<'static, str>> {
    let mut prediction = foresee(call, scene)?;
    if let Cow::Owned(label) = scene.places.without_pids(&prediction.label) {
        prediction.label = label;
    }
    Ok(prediction)
}

fn foresee(call: &Call, scene: &mut Scene<'_>) -> Result<Prediction, Cow<'static, str>> {
    let private = Prediction::new("");
    Ok(match call {
        Call::Escape(what) => return Err(what.clone()),
        Call::Ready | Call::ChangeFolder | Call::SyncAll => private,
        Call::Open { at, opening } => scene.open(at, *opening),
        Call::Close(fd) => scene.close(*fd),
        Call::DupOnto { from, to } => {
            scene.copied(*from)?;
            scene.close(*to)
        }
        Call::Copied(fd) => {
            scene.copied(*fd)?;
            private
        }
        Call::Map(fd) => match scene.file(*fd) {
            Some(_) => return Err("maps a file".into()),
            None => private,
        },
        Call::CloseRange => Prediction { effect: Effect::CloseSome, ..private },
        Call::Read(fd) => scene
            .file_call("read", *fd, |read, file| read.touching([(file.content(), Read)]).meeting(READING)),
        Call::Write { fd, bytes, .. } => scene.file_call("write", *fd, |write, file| {
            let faults = if *bytes > 1 { Faults(WRITING.0 | Faults::SHORT) } else { WRITING };
            write.writing(file).meeting(faults)
        }),
        Call::Resize(fd) => {
            scene.file_call("resize", *fd, |resize, file| resize.writing(file).meeting(WRITING))
        }
        Call::ChangeAt(fd) => scene.file_call("change", *fd, Prediction::changing_attributes),
        Call::LookAt(fd) => scene.file_call("fstat", *fd, |look, file| look.touching(looked_at(file))),
        Call::Sync(fd) => scene.file_call("fsync", *fd, |sync, _| sync.meeting(READING)),
        Call::List(fd) => {
            scene.file_call("list", *fd, |list, file| list.touching([(file.list(), Read)]).meeting(READING))
        }
        Call::Copy { from, to } => scene.copy(*from, *to),
        Call::Truncate(at) => scene.change(at, "truncate", Prediction::writing),
        Call::Change(at) => scene.change(at, "change", Prediction::changing_attributes),
        Call::Look { at, follow } => scene.look(at, *follow),
        Call::ReadLink(at) => scene.path_call("readlink", at, |link, _| link),
        Call::Unlink(at) => scene.remove(at, "unlink"),
        Call::RemoveFolder(at) => scene.remove_folder(at),
        Call::MakeFolder(at) => scene.make(at, "mkdir"),
        Call::MakeNode(at) => scene.make(at, "mknod"),
        Call::Symlink(at) => scene.make(at, "symlink"),
        Call::Link { from, to } => scene.link(from, to),
        Call::Rename { from, to } => scene.rename(from, to),
        Call::Exchange { from, to } => scene.exchange(from, to),
        Call::Lock { fd, kind, mode, ask, range } => scene.lock(*fd, *kind, *mode, *ask, *range)?,
        Call::Unlock { fd, kind, range } => scene.unlock(*fd, *kind, *range)?,
        Call::QueryLock { fd, kind, range } => scene.query_lock(*fd, *kind, *range)?,
        Call::Signal { pid, signal } => scene.signal(*pid, *signal)?,
        Call::Wait => return Err("waits for a child".into()),
        Call::Sleep => scene.sleep(),
        Call::Exit => Prediction {
            effect: Effect::Exit,
            ..Prediction::new("exit").touching(killed(scene.process, scene.locks))
        },
    })
}

/// What it touches when a process is killed: its locks go, and its operation will never return.
pub(super) fn killed(process: usize, locks: &Locks) -> Vec<(Object, Access)> {
    let given = locks.of(process).map(|held| (held.lock, touched_by(held.mode)));
    given.chain([(life(process), Write), (Object::REAL_TIME, Update)]).collect()
}

/// Whether a process lives.
fn life(process: usize) -> Object {
    Object::named(&("process", process))
}

/// How a lock that is taken or given up touches it: shared ones commute.
const fn touched_by(mode: Mode) -> Access {
    match mode {
        Mode::Shared => Update,
        Mode::Exclusive => Write,
    }
}

impl Scene<'_> {
    fn place(&mut self, at: &At, follow: bool) -> Option<Arc<Place>> {
        self.places.path(self.process, self.tracee, at, follow)
    }

    fn file(&mut self, fd: i32) -> Option<File> {
        self.places.descriptor(self.process, self.tracee, fd)
    }

    fn file_call(
        &mut self,
        verb: &str,
        fd: i32,
        then: impl FnOnce(Prediction, &File) -> Prediction,
    ) -> Prediction {
        match self.file(fd) {
            Some(file) => then(Prediction::new(format!("{verb} {}", shown(&file.shown))), &file),
            None => Prediction::new(""),
        }
    }

    fn path_call(
        &mut self,
        verb: &str,
        at: &At,
        then: impl FnOnce(Prediction, &Place) -> Prediction,
    ) -> Prediction {
        match self.place(at, false) {
            Some(place) => {
                let look = Prediction::new(format!("{verb} {}", shown(&place.shown)));
                then(look.touching(place.way.iter().copied()), &place)
            }
            None => self.outside(at),
        }
    }

    /// What lies outside is nobody's concern, unless it tells of another controlled process.
    fn outside(&self, at: &At) -> Prediction {
        let about = at.path.strip_prefix("/proc/").and_then(|rest| {
            let pid = rest.split('/').next()?.parse().ok()?;
            self.pids.iter().position(|known| *known == Some(pid))
        });
        match about.filter(|process| *process != self.process) {
            Some(process) => {
                Prediction::new(format!("look at p{}", process + 1)).touching([(life(process), Read)])
            }
            None => Prediction::new(""),
        }
    }

    fn close(&mut self, fd: i32) -> Prediction {
        let posix =
            if self.locks.has_posix(self.process) { self.file(fd).map(|file| file.name) } else { None };
        let given = self.locks.closing(self.process, fd, posix);
        if given.is_empty() {
            return Prediction { effect: Effect::Close(fd, given), ..Prediction::new("") };
        }
        let mut close = self.file_call("close", fd, |close, _| close);
        close.touches.extend(given.iter().map(|held| (held.lock, touched_by(held.mode))));
        close.lock = Some(LockPart::Release(given[0].lock));
        close.effect = Effect::Close(fd, given);
        close
    }

    fn copy(&mut self, from: i32, to: i32) -> Prediction {
        let source = self.file(from);
        let copy = self.file_call("copy to", to, |copy, file| copy.writing(file).meeting(WRITING));
        match source {
            Some(source) => {
                let label =
                    if copy.label.is_empty() { format!("copy {}", source.shown) } else { copy.label.clone() };
                Prediction { label, ..copy }.touching([(source.content(), Read)])
            }
            None => copy,
        }
    }

    fn signal(&self, pid: i32, signal: i32) -> Result<Prediction, &'static str> {
        if pid <= 0 && signal != 0 {
            return Err("signals a group of processes");
        }
        let to = self.pids.iter().position(|known| known.is_some_and(|known| known.cast_signed() == pid));
        let Some(to) = to else { return Ok(Prediction::new("")) };
        let kill = Prediction::new(format!("kill p{} {signal}", to + 1));
        match signal {
            0 => Ok(kill.touching([(life(to), Read)])),
            // It may be the end of it.
            _ if to == self.process => Ok(kill.touching(killed(to, self.locks))),
            _ => Err("signals another process under control"),
        }
    }

    fn sleep(&self) -> Prediction {
        if self.seen.is_empty() {
            // It waits for nothing: any pause of its own is one that the choice of who goes next makes anyhow.
            return Prediction { effect: Effect::Sleep, ..Prediction::new("") };
        }
        let mut sleep =
            Prediction::new("sleep").touching(self.seen.iter().map(|(object, _)| (*object, Read)));
        sleep.gate = Gate::Change;
        sleep.effect = Effect::Sleep;
        sleep
    }
}

/// What is seen of a file by looking at it from outside.
fn looked_at(file: &File) -> [(Object, Access); 2] {
    // How large a folder is, and how many links it has, depends on its entries.
    let inside = if file.is_folder { file.list() } else { file.content() };
    [(inside, Read), (file.links(), Read)]
}

/// The exploration's folder itself is shown as a dot.
fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
