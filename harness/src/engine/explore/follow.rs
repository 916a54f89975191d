//! Following one schedule: for replay, for shrinking, for a person who looks on.

use crate::check::{CheckId, Examination};
use crate::explore::machine::{End, process_at};
use crate::explore::strategy::replay;
use crate::history::History;
use crate::plan::schedule::{Line, Schedule};
use crate::power::Lost;
use crate::violation::Violation;

/// How strictly a schedule is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// Step by step: the first that does not fit ends it.
    Strict,
    /// Lines that do not fit are skipped, and what is left when the schedule is over runs to its end, each process as
    /// far as it gets.
    Loose,
}

/// Where a schedule could not be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The line, counted from 0; the number of lines where the schedule was over and processes were not.
    pub line: usize,
    /// What the schedule says.
    pub expected: String,
    /// What there was instead.
    pub found: String,
}

impl Divergence {
    /// In words, from what became of a schedule.
    pub(crate) fn of(followed: &replay::Followed, schedule: &Schedule) -> Option<Self> {
        let text = |line: Option<&Line>| line.map_or_else(|| "the end".into(), ToString::to_string);
        if let Some(divergence) = &followed.divergence {
            let line = followed.taken;
            let pending = divergence.pending.iter().enumerate().filter_map(|(process, label)| {
                let wait = if divergence.enabled.has(process) { "" } else { " (waits)" };
                let number = process_at(process, divergence.processes) + 1;
                Some(format!("p{number} {}{wait}", label.as_ref()?))
            });
            let found = pending.collect::<Vec<_>>().join(", ");
            return Some(Self { line, expected: text(schedule.lines.get(line)), found });
        }
        let line = schedule.lines.len() - followed.left;
        (followed.left > 0).then(|| Self {
            line,
            expected: text(schedule.lines.get(line)),
            found: "no process that could take a step".into(),
        })
    }
}

/// What came of following a schedule.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The promises that this execution broke, the gravest first.
    pub violations: Vec<Violation>,
    /// The schedule that was really taken.
    pub schedule: Schedule,
    /// What the processes did and saw; times are numbers of steps.
    pub history: History,
    /// Where it first left the schedule given.
    pub divergence: Option<Divergence>,
    /// How many times a process was interrupted that could have gone on.
    pub preemptions: u32,
    /// Whether it came to its end, to a standstill, or to the bound of its steps.
    pub end: End,
    /// What each check found.
    pub examinations: Vec<(CheckId, Examination)>,
    /// What a power loss left, where one broke a promise.
    pub lost: Option<Box<Lost>>,
    /// What came of power losses.
    pub power: super::Power,
    /// Points at which a process had to wait for a lock.
    pub blocked: u64,
    /// Whether a step of one process depended on a step of another, but for the time at which operations are invoked and
    /// return.
    pub met: bool,
}
