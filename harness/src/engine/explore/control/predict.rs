//! Predictions: what a stopped call will touch once it is let go. As everybody stands still, the state that it will
//! find can be looked at before.
//!
//! A prediction holds until a step of another process conflicts with it; then it is made anew. It must never touch too
//! little: a failing call is taken for a read only where it is certain to fail. Left out of account are times (of
//! files and folders, as the clock is not controlled), and the size and link count of folders, which tell nothing that
//! their entries do not.

use std::borrow::Cow;

use super::call::{Ask, At, Call, LockKind, Mode, Range};
use super::inmate::Inmate;
use super::locks::{Holding, Locks};
use super::places::{File, Inode, Place, Places};
use crate::engine::explore::schedule::{Fault, Injected};
use crate::engine::explore::step::{Access, Footprint, Gate, LockPart, Object, Step};

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
    /// Whether it makes, removes or changes anything.
    pub changes: bool,
    /// Which faults it can meet.
    pub faults: Faults,
}

/// What a step means for the controller's books.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    None,
    /// A lock is taken; whether the call would wait for it in the kernel.
    Take(Holding, Ask),
    /// Locks are given up.
    LetGo(Vec<Holding>),
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

    const fn of(errors: &[Injected]) -> Self {
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
    pub inmate: &'s Inmate,
    pub places: &'s mut Places,
    pub locks: &'s Locks,
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
            changes: false,
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

    fn meeting(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    fn writing(mut self, file: &File) -> Self {
        self.touches.push((file.content(), Write));
        self.writes = Some(file.inode);
        self.changing()
    }

    /// As a step, with what else it touches.
    pub fn step(&self, label: String, more: impl IntoIterator<Item = (Object, Access)>) -> Step {
        let touches = self.touches.iter().copied().chain(more).collect();
        Step { footprint: Footprint::of(touches), gate: self.gate, lock: self.lock, label: label.into() }
    }
}

/// Predicts; the error says what cannot be controlled.
pub(super) fn predict(call: &Call, scene: &mut Scene<'_>) -> Result<Prediction, &'static str> {
    let mut prediction = foresee(call, scene)?;
    if let Cow::Owned(label) = scene.places.without_pids(&prediction.label) {
        prediction.label = label;
    }
    Ok(prediction)
}

fn foresee(call: &Call, scene: &mut Scene<'_>) -> Result<Prediction, &'static str> {
    let private = Prediction::new("");
    Ok(match call {
        Call::Escape(what) => return Err(what),
        Call::Ready | Call::ChangeFolder | Call::SyncAll => private,
        Call::Open { at, opening } => scene.open(at, *opening),
        Call::Close(fd) | Call::DupOnto(fd) => scene.close(*fd),
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
        Call::ChangeAt(fd) => scene.file_call("change", *fd, Prediction::writing),
        Call::LookAt(fd) => scene.file_call("fstat", *fd, |look, file| {
            look.touching([(file.content(), Read), (file.links(), Read)])
        }),
        Call::Sync(fd) => scene.file_call("fsync", *fd, |sync, _| sync.meeting(READING)),
        Call::List(fd) => {
            scene.file_call("list", *fd, |list, file| list.touching([(file.list(), Read)]).meeting(READING))
        }
        Call::Copy { from, to } => scene.copy(*from, *to),
        Call::Truncate(at) => scene.change(at, "truncate"),
        Call::Change(at) => scene.change(at, "change"),
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
        Call::Lock { fd, kind, mode, ask, range } => scene.lock(*fd, *kind, *mode, *ask, *range),
        Call::Unlock { fd, kind, range } => scene.unlock(*fd, *kind, *range),
        Call::QueryLock { fd, kind } => {
            scene.file_call("query-lock", *fd, |query, file| query.touching([(file.lock(*kind), Read)]))
        }
        Call::Signal { pid, signal } => scene.signal(*pid, *signal),
        Call::Wait => return Err("waits for a child"),
        Call::Sleep => scene.sleep(),
        Call::Exit => Prediction { effect: Effect::Exit, ..Prediction::new("exit") },
    })
}

/// What it touches when a process is killed: its locks go, and its operation will never return.
pub(super) fn killed(process: usize, locks: &Locks) -> Vec<(Object, Access)> {
    let given = locks.of(process).map(|held| (held.lock, give_up(held.mode)));
    given.chain([(life(process), Write), (Object::REAL_TIME, Update)]).collect()
}

/// Whether a process lives.
fn life(process: usize) -> Object {
    Object::named(&("process", process))
}

/// How a lock that is taken or given up touches it: shared ones commute.
const fn give_up(mode: Mode) -> Access {
    match mode {
        Mode::Shared => Update,
        Mode::Exclusive => Write,
    }
}

impl Scene<'_> {
    fn place(&mut self, at: &At, follow: bool) -> Option<Place> {
        self.places.path(self.process, self.inmate, at, follow)
    }

    fn file(&mut self, fd: i32) -> Option<File> {
        self.places.descriptor(self.process, self.inmate, fd)
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

    fn open(&mut self, at: &At, opening: super::call::Opening) -> Prediction {
        let creates = opening.has(libc::O_CREAT);
        let is_own = creates && opening.has(libc::O_EXCL);
        let follow = !is_own && !opening.has(libc::O_NOFOLLOW);
        let Some(place) = self.place(at, follow) else { return self.outside(at) };
        let mut words = format!("open {}", shown(&place.shown));
        for (flag, word) in
            [(libc::O_CREAT, "create"), (libc::O_EXCL, "exclusive"), (libc::O_TRUNC, "truncate")]
        {
            if opening.has(flag) {
                words.push(' ');
                words.push_str(word);
            }
        }
        let open = Prediction::new(words).touching(place.way.iter().copied()).meeting(OPENING);
        match (&place.file, &place.folder) {
            (None, Some(folder)) if creates => made(open, folder, &place.name).meeting(MAKING_FILE),
            (Some(_), _) if creates && opening.has(libc::O_EXCL) => open,
            (Some(file), _) if opening.has(libc::O_TRUNC) => open.writing(file),
            _ => open,
        }
    }

    fn close(&mut self, fd: i32) -> Prediction {
        let posix = if self.locks.has_posix(self.process) {
            self.file(fd).map(|file| file.lock(LockKind::Posix))
        } else {
            None
        };
        let given = self.locks.closing(self.process, fd, posix);
        if given.is_empty() {
            return Prediction { effect: Effect::Close(fd, given), ..Prediction::new("") };
        }
        let mut close = self.file_call("close", fd, |close, _| close);
        close.touches.extend(given.iter().map(|held| (held.lock, give_up(held.mode))));
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

    fn change(&mut self, at: &At, verb: &str) -> Prediction {
        self.path_call(verb, at, |change, place| match &place.file {
            Some(file) => change.writing(file),
            None => change,
        })
    }

    fn look(&mut self, at: &At, follow: bool) -> Prediction {
        let Some(place) = self.place(at, follow) else { return self.outside(at) };
        let look =
            Prediction::new(format!("stat {}", shown(&place.shown))).touching(place.way.iter().copied());
        match &place.file {
            Some(file) if file.is_folder => look,
            Some(file) => look.touching([(file.content(), Read), (file.links(), Read)]),
            None => look,
        }
    }

    fn make(&mut self, at: &At, verb: &str) -> Prediction {
        self.path_call(verb, at, |make, place| match (&place.file, &place.folder) {
            (None, Some(folder)) => made(make, folder, &place.name).meeting(MAKING),
            _ => make,
        })
    }

    fn remove(&mut self, at: &At, verb: &str) -> Prediction {
        self.path_call(verb, at, |remove, place| match (&place.file, &place.folder) {
            (Some(file), Some(folder)) if !file.is_folder => {
                removed(remove, folder, &place.name).touching([(file.links(), Write)]).meeting(REMOVING)
            }
            _ => remove,
        })
    }

    fn remove_folder(&mut self, at: &At) -> Prediction {
        self.path_call("rmdir", at, |remove, place| match (&place.file, &place.folder) {
            // Whether it is empty is not looked at: that it goes and that it stays depend on its entries alike.
            (Some(file), Some(folder)) if file.is_folder => {
                removed(remove, folder, &place.name).touching([(file.list(), Write)]).meeting(REMOVING)
            }
            _ => remove,
        })
    }

    fn link(&mut self, from: &At, to: &At) -> Prediction {
        let source = self.place(from, false);
        let link = self.make(to, "link");
        match source {
            Some(source) => {
                let links = source.file.as_ref().map(|file| (file.links(), Write));
                link.touching(source.way.into_iter().chain(links))
            }
            None => link,
        }
    }

    fn rename(&mut self, from: &At, to: &At) -> Prediction {
        let (Some(source), Some(target)) = (self.place(from, false), self.place(to, false)) else {
            return Prediction::new("");
        };
        let label = format!("rename {} to {}", shown(&source.shown), shown(&target.shown));
        let ways = source.way.iter().chain(&target.way).copied();
        let rename = Prediction::new(label).touching(ways);
        let (Some(_), Some(old), Some(new)) = (&source.file, &source.folder, &target.folder) else {
            return rename;
        };
        let rename = removed(made(rename, new, &target.name), old, &source.name).meeting(MAKING);
        match &target.file {
            Some(file) if file.is_folder => rename.touching([(file.list(), Write)]),
            Some(file) => rename.touching([(file.links(), Write)]),
            None => rename,
        }
    }

    fn exchange(&mut self, from: &At, to: &At) -> Prediction {
        let mut exchange = self.rename(from, to);
        exchange.label = exchange.label.replacen("rename", "exchange", 1);
        exchange
    }

    fn lock(&mut self, fd: i32, kind: LockKind, mode: Mode, ask: Ask, range: Range) -> Prediction {
        let Some(file) = self.file(fd) else { return Prediction::new("") };
        let lock = file.lock(kind);
        let wanted = Holding { lock, process: self.process, fd, kind, mode, range };
        let verb = match (kind, ask) {
            (LockKind::Flock, Ask::Wait) => "flock",
            (LockKind::Flock, Ask::Try) => "try-flock",
            (_, Ask::Wait) => "fcntl-lock",
            (_, Ask::Try) => "try-fcntl-lock",
        };
        let word = if mode == Mode::Shared { "shared" } else { "exclusive" };
        let call = Prediction::new(format!("{verb} {} {word}", shown(&file.shown)));
        if ask == Ask::Try && !self.locks.is_free(&wanted) {
            return call.touching([(lock, Read)]);
        }
        let gate = if ask == Ask::Wait { Gate::Lock(lock) } else { Gate::Open };
        let faults = if ask == Ask::Wait { WAITING } else { NO_FAULT };
        Prediction {
            gate,
            lock: Some(LockPart::Acquire(lock)),
            effect: Effect::Take(wanted, ask),
            ..call.touching([(lock, give_up(mode))]).meeting(faults)
        }
    }

    fn unlock(&mut self, fd: i32, kind: LockKind, range: Range) -> Prediction {
        let Some(file) = self.file(fd) else { return Prediction::new("") };
        let lock = file.lock(kind);
        let probe = Holding { lock, process: self.process, fd, kind, mode: Mode::Shared, range };
        let held: Vec<Holding> = self
            .locks
            .of(self.process)
            .filter(|held| held.lock == lock && (kind == LockKind::Posix || held.fd == fd))
            .copied()
            .collect();
        let access = held.iter().map(|held| give_up(held.mode)).max();
        let unlock = Prediction::new(format!("unlock {}", shown(&file.shown)));
        match access {
            Some(access) => Prediction {
                lock: Some(LockPart::Release(lock)),
                effect: Effect::LetGo(vec![probe]),
                ..unlock.touching([(lock, access)])
            },
            None => Prediction::new(""),
        }
    }

    fn signal(&self, pid: i32, signal: i32) -> Prediction {
        let to = self.pids.iter().position(|known| known.is_some_and(|known| known.cast_signed() == pid));
        match to {
            Some(process) => {
                let access = if signal == 0 { Read } else { Write };
                Prediction::new(format!("kill p{} {signal}", process + 1)).touching([(life(process), access)])
            }
            None => Prediction::new(""),
        }
    }

    fn sleep(&self) -> Prediction {
        let mut sleep =
            Prediction::new("sleep").touching(self.seen.iter().map(|(object, _)| (*object, Read)));
        sleep.gate = Gate::Change;
        sleep.effect = Effect::Sleep;
        sleep
    }
}

fn made(prediction: Prediction, folder: &File, name: &str) -> Prediction {
    prediction.touching([(folder.entry(name), Write), (folder.list(), Update)]).changing()
}

fn removed(prediction: Prediction, folder: &File, name: &str) -> Prediction {
    made(prediction, folder, name)
}

/// The exploration's folder itself is shown as a dot.
fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}
