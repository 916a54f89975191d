//! The machine that an exploration runs on: processes that stop before each step, and one that chooses.
//!
//! Strategies know nothing of system calls: they see points, choose, and learn what happened. So they are tested on
//! machines of a few lines, and run on the one that holds real processes.

use super::step::{Event, Mask, Object, Step};

/// A moment at which everybody stands still, and one process must be chosen.
#[derive(Clone, Copy, Debug)]
pub struct Point<'p> {
    /// How many steps have happened.
    pub depth: usize,
    /// Who can take a step.
    pub enabled: Mask,
    /// The step that each process is about to take, whether it is enabled or waits; none where its program is over.
    pub pending: &'p [Option<Step>],
    /// Whose step was the last.
    pub last: Option<usize>,
    /// How many processes there are. Where the tasks of processes are explored as well, several entries of `pending` are of
    /// one process, and each of them is chosen by itself: see [`process_at`].
    pub processes: usize,
}

/// Whose step stands at a place of [`Point::pending`]. The first places are the processes' own; where several tasks of a
/// process could go next, the others stand at further places.
#[must_use]
pub const fn process_at(place: usize, processes: usize) -> usize {
    place % processes
}

/// The place of a task of a process: the first is the process's own.
#[must_use]
pub const fn place_of(process: usize, task: usize, processes: usize) -> usize {
    process + task * processes
}

/// What is chosen at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// This process takes its step; it must be enabled.
    Step(usize),
    /// Nothing of interest can follow: the machine ends the execution as it likes.
    Abandon,
}

/// Makes the choices of one execution.
pub trait Chooser {
    /// Chooses at a point with somebody enabled.
    fn choose(&mut self, point: &Point<'_>) -> Pick;

    /// Hears of the step that came of the choice.
    fn happened(&mut self, event: &Event);

    /// Hears that a command of a process has ended, after the step with which it did, and how.
    fn command_ended(&mut self, _process: usize, _how: &str) {}
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every program is over.
    Completed,
    /// Some programs are not over, and nobody is enabled.
    Deadlock,
    /// The chooser had seen enough.
    Abandoned,
    /// More steps than the machine allows: programs may not end at all.
    TooLong,
}

/// One execution, from the same initial state as every other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution<O> {
    /// The steps in their order.
    pub events: Vec<Event>,
    /// Who was enabled before each step, and after the last.
    pub enabled: Vec<Mask>,
    /// The steps that processes were about to take at the end, whether or not they could: those of a deadlock, those
    /// at the point where the chooser abandoned.
    pub pending: Vec<Option<Step>>,
    /// How many processes there are: see [`Point::processes`].
    pub processes: usize,
    /// Whether all processes came to their ends, or why the execution stopped before.
    pub end: End,
    /// What came of it: the machine's own measure of outcomes and final state.
    pub outcome: O,
}

impl<O> Execution<O> {
    /// The execution as strategies learn it, and what came of it.
    #[must_use]
    pub fn split(self) -> (Execution<()>, O) {
        let Self { events, enabled, pending, processes, end, outcome } = self;
        (Execution { events, enabled, pending, processes, end, outcome: () }, outcome)
    }

    /// The process at a place.
    #[must_use]
    pub const fn process(&self, place: usize) -> usize {
        process_at(place, self.processes)
    }

    /// The processes at these places.
    #[must_use]
    pub fn processes_at(&self, places: Mask) -> Mask {
        if self.has_tasks() {
            places.iter().map(|place| self.process(place)).fold(Mask::default(), Mask::with)
        } else {
            places
        }
    }

    /// Whether several tasks of a process may have places of their own.
    #[must_use]
    pub const fn has_tasks(&self) -> bool {
        self.pending.len() > self.processes
    }

    /// Whether a step of one process depended on a step of another, but for when operations are invoked and return.
    #[must_use]
    pub fn has_met(&self) -> bool {
        let depends = |one: &Event, other: &Event| {
            let (ours, theirs) = (&one.step.footprint, &other.step.footprint);
            self.process(one.process) != self.process(other.process)
                && ours.conflicts_beside(theirs, Some(Object::REAL_TIME))
        };
        let mut events = self.events.iter().enumerate();
        events.any(|(index, event)| self.events[..index].iter().any(|earlier| depends(earlier, event)))
    }

    /// How many times a process was interrupted that could have gone on.
    #[must_use]
    pub fn preemptions(&self) -> u32 {
        let pairs = self.events.windows(2).zip(&self.enabled[1..]);
        pairs
            .map(|(pair, enabled)| u32::from(is_preemption(Some(pair[0].process), *enabled, pair[1].process)))
            .sum()
    }
}

/// Whether to choose this process interrupts another that could go on.
#[must_use]
pub fn is_preemption(last: Option<usize>, enabled: Mask, chosen: usize) -> bool {
    last.is_some_and(|last| last != chosen && enabled.has(last))
}

/// Runs executions, each from the same initial state.
///
/// What strategies claim rests on what a machine promises:
///
/// - The same choices lead to the same points, step by step. At each point with somebody enabled the chooser is asked
///   exactly once, and hears of the step that came of it.
/// - Steps that do not conflict commute: in either order they do the same, and neither enables or disables the other's
///   process, nor changes what it is about to do.
/// - Where a step changes what another process is about to do, it conflicts with what that was *and* with what it is now:
///   what decided the change is in both footprints.
/// - What is gated stays gated in the same way until it happens: for the same lock, touched in the same way.
/// - A step with [`Gate::Lock`](super::step::Gate::Lock) is enabled exactly while nobody's hold excludes it. Whatever takes a
///   lock, blocking or not, is its [`LockPart::Acquire`](super::step::LockPart::Acquire) and writes (exclusive) or updates
///   (shared) it; whatever lets it go writes or updates it; a try that fails, and a query, read it.
/// - A step with [`Gate::Change`](super::step::Gate::Change) becomes enabled by a conflicting step since its process last
///   looked, and stays so.
/// - No other step is ever disabled.
///
/// Where the tasks of a process have places of their own, all this holds of processes, and which of its tasks goes next is a
/// choice of the process's own: a step of a process conflicts with whatever decides which of its tasks can go, and what
/// one task does may change and disable the steps of the others.
pub trait Machine {
    /// What comes of an execution.
    type Outcome;
    /// Why it may fail to run one: never the subject's fault.
    type Error;

    /// Runs one execution to its end.
    fn run(&mut self, chooser: &mut dyn Chooser) -> Result<Execution<Self::Outcome>, Self::Error>;
}
