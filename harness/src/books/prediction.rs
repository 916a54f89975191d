//! Predictions: what a deed will touch once it is let go, given who holds which lock. As everybody stands still, the
//! state that it will find can be looked at before.
//!
//! A prediction holds until a step of another process conflicts with it; then it is made anew. It must never touch too
//! little. What is not foreseen exactly conflicts with everything: each step of a program reads the [`world`], and such a
//! step writes it.

use std::sync::Arc;

use super::deed::{Ask, Entry, Faults, Known, LockKind, Mode, Range, Target};
use super::locks::{Holding, Locks, Owner};
use super::places::{File, Inode};
use crate::explore::step::{Access, Footprint, Gate, LockPart, Object, Step};
use crate::plan::schedule::{Fault, Injected};

use Access::{Read, Update, Write};

/// What is read by every step, and written by those of which too little is known.
#[must_use]
pub fn world() -> Object {
    Object::named(&"world")
}

/// Whether a schedulable process lives.
#[must_use]
pub fn life(process: usize) -> Object {
    Object::named(&("process", process))
}

/// What a step means for the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that the books have to note: no lock is taken or given up.
    None,
    /// A lock is taken; whether the call would wait for it in the kernel.
    Take(Holding, Ask),
    /// Locks are given up.
    LetGo(Vec<Holding>),
    /// A lock is given up to be taken anew in another mode: the call is not over.
    GiveUp(Holding),
    /// It sleeps, or waits with a limit.
    Sleep,
}

/// What a deed will do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prediction {
    /// Each object that the step may read or write: never fewer than it does touch.
    pub touches: Vec<(Object, Access)>,
    /// What it may wait for.
    pub gate: Gate,
    /// What it means for a lock.
    pub lock: Option<LockPart>,
    /// What it does, for people and for replay.
    pub label: String,
    /// What it means for the books.
    pub effect: Effect,
    /// Which faults it can meet.
    pub faults: Faults,
    /// The entries that it makes, removes or replaces.
    pub entries: Vec<Entry>,
    /// The file whose content it changes.
    pub writes: Option<Inode>,
    /// Whether it may do more than is told here.
    pub is_opaque: bool,
}

impl Prediction {
    /// One that touches nothing.
    #[must_use]
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            touches: Vec::new(),
            gate: Gate::Open,
            lock: None,
            label: label.into(),
            effect: Effect::None,
            faults: Faults::NONE,
            entries: Vec::new(),
            writes: None,
            is_opaque: false,
        }
    }

    /// One of which nothing more is known.
    #[must_use]
    pub fn opaque(label: impl Into<String>) -> Self {
        Self { is_opaque: true, ..Self::new(label) }
    }

    /// Whether it concerns nobody: it need not be a step of its own.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.touches.is_empty()
            && self.gate == Gate::Open
            && self.faults == Faults::NONE
            && !self.is_opaque
            && self.effect != Effect::Sleep
    }

    fn touching(mut self, touches: impl IntoIterator<Item = (Object, Access)>) -> Self {
        self.touches.extend(touches);
        self
    }

    /// As a step, with what else it touches.
    #[must_use]
    pub fn step(&self, label: Arc<str>, more: impl IntoIterator<Item = (Object, Access)>) -> Step {
        let everything = (world(), if self.is_opaque { Write } else { Read });
        let touches = self.touches.iter().copied().chain(more).chain([everything]).collect();
        Step { footprint: Footprint::of(touches), gate: self.gate, lock: self.lock, label }
    }
}

/// Who does a deed, and what is known of them that the deed does not tell.
#[derive(Clone, Debug)]
pub struct Actor<'a> {
    /// The process whose step it is, by its number among those that are scheduled.
    pub process: usize,
    /// Who owns the lock that is asked for or given up.
    pub owner: Owner,
    /// Whether the descriptor may be locked so: `fcntl` demands that it be open for reading or for writing.
    pub may_lock: bool,
    /// The locks that go with what is closed.
    pub closing: Vec<Holding>,
    /// What the process has looked at since it last slept.
    pub seen: &'a [(Object, Access)],
    /// Whom a signal reaches; none where nobody under control is meant.
    pub signalled: Option<usize>,
    /// Whether the process is one task: a signal to itself may be the end of it.
    pub is_alone: bool,
}

/// Predicts; the error says what cannot be foreseen.
pub fn predict(deed: &Known, actor: &Actor<'_>, locks: &mut Locks) -> Result<Prediction, &'static str> {
    Ok(match deed {
        Known::Lock { file: Some(file), kind, mode, ask, range } => {
            lock(&Wanted { file, kind: *kind, mode: *mode, range: *range }, *ask, actor, locks)?
        }
        Known::Unlock { file: Some(file), kind, range } => unlock(file, *kind, *range, actor, locks)?,
        Known::QueryLock { file: Some(file), kind, range } => {
            locks.note_part(file.name, *range)?;
            let label = format!("query-lock {}", super::deed::shown(&file.shown));
            Prediction::new(label).touching([(file.lock(*kind, *range), Read)])
        }
        Known::Close(_) | Known::Replace { .. } | Known::CloseRange(..) | Known::Exec(_)
            if !actor.closing.is_empty() =>
        {
            let given = actor.closing.clone();
            let mut close =
                general(deed).touching(given.iter().map(|held| (held.lock, touched_by(held.mode))));
            if close.label.is_empty() {
                close.label = "close".into();
            }
            close.lock = Some(LockPart::Release(given[0].lock));
            close.effect = Effect::LetGo(given);
            close
        }
        Known::Signal(target, number) => signal(*target, *number, actor, locks),
        Known::SignalBy(_, number) => signal(Target::Task(0), *number, actor, locks),
        Known::Sleep(_) => sleep(actor),
        // What it waits for may still come, so it never ends before somebody did something.
        Known::Await(..) => Prediction { gate: Gate::Change, ..sleep(actor) },
        Known::Exit(Some(code)) => {
            let exit = Prediction::new(format!("exit {code}")).touching(killed(actor.process, locks));
            if actor.closing.is_empty() { exit } else { exit.letting_go(actor.closing.clone()) }
        }
        _ => general(deed),
    })
}

fn general(deed: &Known) -> Prediction {
    let facets = deed.facets();
    Prediction {
        touches: facets.touches,
        faults: facets.faults,
        entries: facets.entries,
        writes: facets.writes,
        is_opaque: facets.is_opaque,
        ..Prediction::new(deed.label())
    }
}

/// What it touches when a process is killed or ends: its locks go, and so does it.
#[must_use]
pub fn killed(process: usize, locks: &Locks) -> Vec<(Object, Access)> {
    let given = locks.of(process).map(|held| (held.lock, touched_by(held.mode)));
    given.chain([(life(process), Write)]).collect()
}

/// A step under a fault: an error does nothing, a kill gives up what was held.
#[must_use]
pub fn under(
    step: Step,
    fault: Option<Fault>,
    killed: &[(Object, Access)],
    more: &[(Object, Access)],
) -> Step {
    let of = |parts: &[&[(Object, Access)]]| {
        Footprint::of(parts.iter().flat_map(|part| part.iter().copied()).chain([(world(), Read)]).collect())
    };
    match fault {
        None | Some(Fault::ShortWrite) => step,
        Some(Fault::ShortWriteKill) => {
            let footprint = of(&[step.footprint.touches(), killed]);
            Step { footprint, ..step }
        }
        Some(Fault::Kill | Fault::KillOne) => {
            Step { footprint: of(&[killed, more]), gate: Gate::Open, lock: None, ..step }
        }
        Some(Fault::Error(_)) => Step { footprint: of(&[more]), gate: Gate::Open, lock: None, ..step },
    }
}

/// How a lock that is taken or given up touches it: shared ones commute.
const fn touched_by(mode: Mode) -> Access {
    match mode {
        Mode::Shared => Update,
        Mode::Exclusive => Write,
    }
}

struct Wanted<'f> {
    file: &'f File,
    kind: LockKind,
    mode: Mode,
    range: Range,
}

fn lock(
    wanted: &Wanted<'_>,
    ask: Ask,
    actor: &Actor<'_>,
    locks: &mut Locks,
) -> Result<Prediction, &'static str> {
    let Wanted { file, kind, mode, range } = *wanted;
    if kind != LockKind::Flock {
        if !actor.may_lock {
            // The kernel refuses it at once.
            return Ok(Prediction::new(""));
        }
        locks.note_part(file.name, range)?;
    }
    let lock = file.lock(kind, range);
    let wanted =
        Holding { lock, file: file.name, process: actor.process, owner: actor.owner, kind, mode, range };
    let own = locks.own(&wanted).copied();
    let name = super::deed::shown(&file.shown);
    if let Some(own) = own.filter(|own| own.mode != mode && kind == LockKind::Flock) {
        // flock(2): the lock that is there is removed, and then the new one taken; others may come between.
        let give_up = Prediction::new(format!("give up {name} to lock it anew"));
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
    let call = Prediction::new(format!("{verb} {name} {word}"));
    if ask == Ask::Try && !locks.is_free(&wanted) {
        return Ok(call.touching([(lock, Read)]));
    }
    let faults = if ask == Ask::Wait { Faults::of(&[Injected::Interrupted]) } else { Faults::NONE };
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
        faults,
        ..call.touching([(lock, access)])
    })
}

fn unlock(
    file: &File,
    kind: LockKind,
    range: Range,
    actor: &Actor<'_>,
    locks: &Locks,
) -> Result<Prediction, &'static str> {
    let hit = |held: &Holding| held.kind == kind && held.range.overlaps(range);
    let mut held = locks.owned(actor.process, actor.owner, Some(file.name));
    held.retain(hit);
    if held.iter().any(|held| !range.covers(held.range)) {
        return Err("unlocks a part of what it locked");
    }
    let Some(first) = held.first() else { return Ok(Prediction::new("")) };
    let unlock = Prediction::new(format!("unlock {}", super::deed::shown(&file.shown)));
    Ok(Prediction {
        lock: Some(LockPart::Release(first.lock)),
        ..unlock.touching(held.iter().map(|held| (held.lock, touched_by(held.mode))))
    }
    .letting_go(held))
}

impl Prediction {
    fn letting_go(mut self, held: Vec<Holding>) -> Self {
        self.effect = Effect::LetGo(held);
        self
    }
}

/// A signal to one's own tree is one's own affair; what one to another does there is not foreseen.
fn signal(target: Target, number: i32, actor: &Actor<'_>, locks: &Locks) -> Prediction {
    let Some(to) = actor.signalled else {
        return match target {
            Target::All => Prediction::opaque(format!("kill everybody {number}")),
            _ => Prediction::new(""),
        };
    };
    let kill = Prediction::new(format!("kill p{} {number}", to + 1));
    match number {
        0 if to == actor.process => Prediction::new(""),
        0 => kill.touching([(life(to), Read)]),
        // It may be the end of it, and of whatever it holds.
        _ if to == actor.process && (actor.is_alone || locks.has_any(to)) => kill.touching(killed(to, locks)),
        _ if to == actor.process => Prediction::new(""),
        _ => Prediction { is_opaque: true, ..kill }.touching(killed(to, locks)),
    }
}

fn sleep(actor: &Actor<'_>) -> Prediction {
    let mut sleep = Prediction::new("sleep");
    sleep.effect = Effect::Sleep;
    if !actor.seen.is_empty() {
        sleep.gate = Gate::Change;
        sleep.touches.extend(actor.seen.iter().map(|(object, _)| (*object, Read)));
    }
    sleep
}
