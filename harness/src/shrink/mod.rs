//! Shrinking: from a schedule that breaks a promise to the simplest that breaks the same.
//!
//! Greedy, and pure but for its [`Trials`]: each candidate is really run, and kept only where the same class shows and
//! it is simpler by [`Size`]. So the result is as true as what it came from, however clever or naive the moves are.

mod moves;
mod project;
mod real;

use std::time::{Duration, Instant};

use flockwork::Operation;

use crate::engine::explore::Discovery;
use crate::engine::explore::Lost;
use crate::engine::explore::follow::Followed;
use crate::history::History;
use crate::plan::Call;
use crate::plan::schedule::Schedule;
use crate::violation::Violation;
pub use real::RealTrials;

/// What is shrunk: what is done before, what each process does, and in which order their steps come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// What is done first, without control.
    pub setup: Vec<Call>,
    /// What each process does.
    pub programs: Vec<Vec<Call>>,
    /// The order of their steps, with the faults.
    pub schedule: Schedule,
}

/// A schedule that was run, and what it broke.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The promises that the execution broke, the gravest first.
    pub violations: Vec<Violation>,
    /// The schedule that was really taken.
    pub schedule: Schedule,
    /// What the processes did and saw; times are numbers of steps.
    pub history: History,
    /// How many times a process was interrupted that could have gone on.
    pub preemptions: u32,
    /// What a power loss left, where one broke a promise.
    pub lost: Option<Box<Lost>>,
}

impl From<Followed> for Shown {
    fn from(followed: Followed) -> Self {
        let Followed { violations, schedule, history, preemptions, lost, .. } = followed;
        Self { violations, schedule, history, preemptions, lost }
    }
}

impl From<Discovery> for Shown {
    fn from(discovery: Discovery) -> Self {
        let Discovery { violations, schedule, history, preemptions, lost, .. } = discovery;
        Self { violations, schedule, history, preemptions, lost }
    }
}

/// Tries candidates: under control, from the state after their setup.
pub trait Trials {
    /// Follows the candidate's schedule as far as it fits; what came of it, where the same class showed.
    fn follow(&mut self, case: &Case) -> Option<Shown>;

    /// Explores the candidate's programs a little, whatever its schedule; the first schedule that shows the same class.
    fn explore_briefly(&mut self, case: &Case) -> Option<Shown>;
}

/// How simple a case is: fewer processes count before fewer operations, and so on down the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size {
    /// How many processes the schedule has.
    pub processes: usize,
    /// How many operations they perform.
    pub operations: usize,
    /// How many faults meet them.
    pub faults: usize,
    /// How many times a process is interrupted that could have gone on.
    pub preemptions: u32,
    /// How many times another process goes on, for whatever reason.
    pub switches: usize,
    /// How far the operations are from the simplest there are.
    pub intricacy: usize,
    /// How many operations come before.
    pub setup: usize,
    /// How many processes come to their first step out of turn.
    pub disorder: usize,
}

impl Size {
    fn of(case: &Case, preemptions: u32) -> Self {
        let calls = || case.programs.iter().flatten();
        let lines = &case.schedule.lines;
        Self {
            processes: case.programs.len(),
            operations: calls().count(),
            faults: lines.iter().filter(|line| line.fault.is_some()).count(),
            preemptions,
            switches: lines.windows(2).filter(|pair| pair[0].process != pair[1].process).count(),
            intricacy: calls().map(|call| intricacy(call.operation)).sum(),
            setup: case.setup.len(),
            disorder: project::turns(&case.schedule)
                .iter()
                .enumerate()
                .filter(|(turn, who)| turn != *who)
                .count(),
        }
    }
}

/// An operation that only looks is simpler than one that changes something, and the plain form than its variant.
const fn intricacy(operation: Operation) -> usize {
    match operation {
        Operation::State => 0,
        Operation::ForceDelete | Operation::Restore => 2,
        _ => 1,
    }
}

/// The simplest case found.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The case, with the schedule that was really taken.
    pub case: Case,
    /// What came of it.
    pub shown: Shown,
    /// How simple it is.
    pub size: Size,
    /// How many candidates were tried.
    pub tried: u64,
    /// Whether nothing simpler was found, rather than the time used up.
    pub is_minimal: bool,
}

/// How a candidate is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effort {
    /// By its schedule alone.
    Follow,
    /// By its schedule, and where that no longer fits by a brief exploration.
    FollowOrExplore,
}

/// Shrinks a case within a time; `None` where not even the case itself shows the class.
pub fn shrink(trials: &mut impl Trials, case: Case, time: Duration) -> Option<Shrunk> {
    let deadline = Instant::now().checked_add(time);
    let shown = trials.follow(&case)?;
    let case = Case { schedule: shown.schedule.clone(), ..case };
    let size = Size::of(&case, shown.preemptions);
    let best = Shrunk { case, shown, size, tried: 1, is_minimal: false };
    let mut shrinker = Shrinker { trials, deadline, best };
    shrinker.run();
    Some(shrinker.best)
}

struct Shrinker<'t, T> {
    trials: &'t mut T,
    deadline: Option<Instant>,
    best: Shrunk,
}

impl<T: Trials> Shrinker<'_, T> {
    fn run(&mut self) {
        loop {
            let before = self.best.size;
            self.exhaust(moves::without_a_process, Effort::FollowOrExplore);
            self.exhaust(moves::without_an_operation, Effort::FollowOrExplore);
            self.exhaust(moves::without_a_fault, Effort::Follow);
            self.fewer_preemptions();
            self.exhaust(moves::with_blocks_joined, Effort::Follow);
            self.exhaust(moves::with_a_simpler_operation, Effort::FollowOrExplore);
            self.exhaust(moves::with_a_shorter_setup, Effort::Follow);
            self.exhaust(moves::in_turn, Effort::Follow);
            if self.is_over() {
                return;
            }
            if self.best.size == before {
                self.best.is_minimal = true;
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Takes the first candidate of a kind that is simpler, until there is none.
    fn exhaust(&mut self, candidates: impl Fn(&Case) -> Vec<Case>, effort: Effort) {
        while candidates(&self.best.case).iter().any(|candidate| self.try_one(candidate, effort)) {}
    }

    fn try_one(&mut self, candidate: &Case, effort: Effort) -> bool {
        if self.is_over() {
            return false;
        }
        self.best.tried += 1;
        if let Some(shown) = self.trials.follow(candidate)
            && self.take(candidate, shown)
        {
            return true;
        }
        effort == Effort::FollowOrExplore && !self.is_over() && self.explore(candidate)
    }

    /// The strategy begins with the fewest preemptions, so one exploration can replace many moves.
    fn fewer_preemptions(&mut self) {
        if self.best.size.preemptions > 0 && !self.is_over() {
            let case = self.best.case.clone();
            self.explore(&case);
        }
    }

    fn explore(&mut self, candidate: &Case) -> bool {
        self.best.tried += 1;
        self.trials.explore_briefly(candidate).is_some_and(|shown| self.take(candidate, shown))
    }

    fn take(&mut self, candidate: &Case, shown: Shown) -> bool {
        let case = Case { schedule: shown.schedule.clone(), ..candidate.clone() };
        let size = Size::of(&case, shown.preemptions);
        let is_simpler = size < self.best.size;
        if is_simpler {
            (self.best.case, self.best.shown, self.best.size) = (case, shown, size);
        }
        is_simpler
    }
}

#[cfg(test)]
mod tests;
