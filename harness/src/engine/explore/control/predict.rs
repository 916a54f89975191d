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
use super::places::{ATTRIBUTES, File, Inode, Place, Places};
use crate::engine::explore::schedule::{Fault, Injected};
use crate::engine::explore::step::{Access, Footprint, Gate, LockPart, Object, Step};

use rustix::fs::OFlags;

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
    pub inmate: &'s Inmate,
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

    fn letting_go(mut self, held: Vec<Holding>) -> Self {
        self.effect = Effect::LetGo(held);
        self
    }

    fn meeting(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Permissions change, on which it depends what can be reached: whoever walks a path reads them.
    fn changing_attributes(self, file: &File) -> Self {
        self.writing(file).touching([(Object::named(&ATTRIBUTES), Write)])
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
            Some(_) => return Err("maps a file"),
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
        Call::Wait => return Err("waits for a child"),
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

    /// A call that takes a name away.
    fn removal(
        &mut self,
        verb: &str,
        at: &At,
        then: impl FnOnce(Prediction, &Place) -> Prediction,
    ) -> Prediction {
        if let Some(place) = self.place(at, false) {
            self.places.keep(&place);
        }
        self.path_call(verb, at, then)
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

    /// A link at the end is followed: where it is not, only the link's own attributes change, and they read those.
    fn change(&mut self, at: &At, verb: &str, how: fn(Prediction, &File) -> Prediction) -> Prediction {
        let Some(place) = self.place(at, true) else { return self.outside(at) };
        let change = Prediction::new(format!("{verb} {}", shown(&place.shown))).touching(place.way);
        match &place.file {
            Some(file) => how(change, file),
            None => change,
        }
    }

    fn look(&mut self, at: &At, follow: bool) -> Prediction {
        let Some(place) = self.place(at, follow) else { return self.outside(at) };
        let look =
            Prediction::new(format!("stat {}", shown(&place.shown))).touching(place.way.iter().copied());
        match &place.file {
            Some(file) => look.touching(looked_at(file)),
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
        self.removal(verb, at, |remove, place| match (&place.file, &place.folder) {
            (Some(file), Some(folder)) if !file.is_folder => {
                removed(remove, folder, &place.name).touching([(file.links(), Write)]).meeting(REMOVING)
            }
            _ => remove,
        })
    }

    fn remove_folder(&mut self, at: &At) -> Prediction {
        self.removal("rmdir", at, |remove, place| match (&place.file, &place.folder) {
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
        self.places.keep(&target);
        let label = format!("rename {} to {}", shown(&source.shown), shown(&target.shown));
        let ways = source.way.iter().chain(&target.way).copied();
        let rename = Prediction::new(label).touching(ways);
        let (Some(moved), Some(old), Some(new)) = (&source.file, &source.folder, &target.folder) else {
            return rename;
        };
        let rename = removed(made(rename, new, &target.name), old, &source.name).meeting(MAKING);
        // What is above a folder is seen from within it.
        let above = moved.is_folder.then(|| (moved.entry(".."), Write));
        let rename = rename.touching(above);
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

    /// A descriptor is copied: whoever locks by one of two numbers of one open file description holds it by both.
    fn copied(&mut self, fd: i32) -> Result<(), &'static str> {
        let is_inside = self.file(fd).is_some();
        if is_inside && self.locks.of(self.process).any(|held| held.fd == fd) {
            return Err("copies a descriptor by which it holds a lock");
        }
        if is_inside {
            self.places.note_copy(self.process);
        }
        Ok(())
    }

    /// The lock that a call is about; none where it is no concern of the exploration.
    fn wanted(
        &mut self,
        fd: i32,
        kind: LockKind,
        mode: Mode,
        range: Range,
    ) -> Result<Option<(Holding, File)>, &'static str> {
        let Some(file) = self.file(fd) else { return Ok(None) };
        if kind != LockKind::Posix && self.places.has_copies(self.process) {
            return Err("locks a file while it has copies of descriptors");
        }
        if kind != LockKind::Flock {
            if !self.can_lock(fd, mode) {
                // The kernel refuses it at once.
                return Ok(None);
            }
            self.locks.note_part(file.name, range)?;
        }
        let lock = file.lock(kind, range);
        let wanted = Holding { lock, file: file.name, process: self.process, fd, kind, mode, range };
        Ok(Some((wanted, file)))
    }

    /// Whether a descriptor is open in a way that allows a lock by `fcntl`.
    fn can_lock(&self, fd: i32, mode: Mode) -> bool {
        let Ok(copy) = self.inmate.descriptor(fd) else { return false };
        let Ok(flags) = rustix::fs::fcntl_getfl(&copy) else { return false };
        match mode {
            Mode::Shared => flags & OFlags::ACCMODE != OFlags::WRONLY,
            Mode::Exclusive => flags & OFlags::ACCMODE != OFlags::RDONLY,
        }
    }

    fn query_lock(&mut self, fd: i32, kind: LockKind, range: Range) -> Result<Prediction, &'static str> {
        // Whoever may read may ask, for any kind of lock.
        let asked = self.wanted(fd, kind, Mode::Shared, range)?;
        Ok(asked.map_or_else(
            || Prediction::new(""),
            |(asked, file)| {
                Prediction::new(format!("query-lock {}", shown(&file.shown))).touching([(asked.lock, Read)])
            },
        ))
    }

    fn lock(
        &mut self,
        fd: i32,
        kind: LockKind,
        mode: Mode,
        ask: Ask,
        range: Range,
    ) -> Result<Prediction, &'static str> {
        let Some((wanted, file)) = self.wanted(fd, kind, mode, range)? else {
            return Ok(Prediction::new(""));
        };
        let lock = wanted.lock;
        let own = self.locks.own(&wanted).copied();
        if let Some(own) = own.filter(|own| own.mode != mode && kind == LockKind::Flock) {
            // flock(2): the lock that is there is removed, and then the new one taken; others may come between.
            let give_up = Prediction::new(format!("give up {} to lock it anew", shown(&file.shown)));
            return Ok(Prediction {
                lock: Some(LockPart::Release(lock)),
                effect: Effect::GiveUp(own),
                ..give_up.touching([(lock, touched_by(own.mode))])
            });
        }
        let verb = match (kind, ask) {
            (LockKind::Flock, Ask::Wait) => "flock",
            (LockKind::Flock, Ask::Try) => "try-flock",
            (_, Ask::Wait) => "fcntl-lock",
            (_, Ask::Try) => "try-fcntl-lock",
        };
        let word = if mode == Mode::Shared { "shared" } else { "exclusive" };
        let call = Prediction::new(format!("{verb} {} {word}", shown(&file.shown)));
        if ask == Ask::Try && !self.locks.is_free(&wanted) {
            return Ok(call.touching([(lock, Read)]));
        }
        let faults = if ask == Ask::Wait { WAITING } else { NO_FAULT };
        // A lock by fcntl changes its mode at once: from exclusive to shared it lets others in.
        let was = own.map(|own| own.mode);
        let lets_in = was == Some(Mode::Exclusive) && mode == Mode::Shared;
        let part = if lets_in { LockPart::Release(lock) } else { LockPart::Acquire(lock) };
        // By the gate it is told from a release after which nothing is held.
        let gate = if ask == Ask::Wait || lets_in { Gate::Lock(lock) } else { Gate::Open };
        let access = was.map_or(touched_by(mode), |was| touched_by(was).max(touched_by(mode)));
        Ok(Prediction {
            gate,
            lock: Some(part),
            effect: Effect::Take(wanted, ask),
            ..call.touching([(lock, access)]).meeting(faults)
        })
    }

    fn unlock(&mut self, fd: i32, kind: LockKind, range: Range) -> Result<Prediction, &'static str> {
        let Some(file) = self.file(fd) else { return Ok(Prediction::new("")) };
        let is_own = |held: &&Holding| {
            held.file == file.name && held.kind == kind && (kind == LockKind::Posix || held.fd == fd)
        };
        let hit = |held: &&Holding| is_own(held) && held.range.overlaps(range);
        let held: Vec<Holding> = self.locks.of(self.process).filter(hit).copied().collect();
        if held.iter().any(|held| !range.covers(held.range)) {
            return Err("unlocks a part of what it locked");
        }
        let Some(first) = held.first() else { return Ok(Prediction::new("")) };
        let unlock = Prediction::new(format!("unlock {}", shown(&file.shown)));
        Ok(Prediction {
            lock: Some(LockPart::Release(first.lock)),
            ..unlock.touching(held.iter().map(|held| (held.lock, touched_by(held.mode))))
        }
        .letting_go(held))
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
