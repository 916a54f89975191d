//! Handmade evidence for the checks' own tests.

use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use flockwork::{Operation, Status};

use super::{Check, Examination};
use crate::answer::Answer;
use crate::evidence::{
    Evidence, Exit, Observed, Overlap, Quiet, QuietContainer, Sections, Stall, Unobserved,
};
use crate::history::{History, Outcome, Reason, Record};

/// Evidence that owns its parts.
#[derive(Debug)]
pub struct Case {
    pub history: History,
    pub overlaps: Vec<Overlap>,
    /// Critical sections that were entered under watch.
    pub entered: Observed<u64>,
    pub exits: Vec<Exit>,
    pub quiet: Quiet,
    pub starvation_ns: u64,
    pub stall: Option<Stall>,
}

impl Default for Case {
    /// All was looked at, and there is nothing.
    fn default() -> Self {
        let quiet = Quiet {
            containers: Vec::new(),
            strays: Ok(Vec::new()),
            remains: Ok(Vec::new()),
            processes: Ok(Vec::new()),
            list: Err(Unobserved::lacking("the case asks for no list")),
        };
        Self {
            history: History::default(),
            overlaps: Vec::new(),
            entered: Ok(0),
            exits: Vec::new(),
            quiet,
            starvation_ns: 0,
            stall: None,
        }
    }
}

impl Case {
    /// A history of one container, `c1`.
    pub fn of(records: impl Into<Vec<Record>>) -> Self {
        let mut history = History::default();
        history.containers.push("c1".into());
        history.records = records.into();
        Self { history, starvation_ns: 1_000_000, ..Self::default() }
    }

    /// Sets what the examiner's `state` answered, and which files it found.
    pub fn quiet(mut self, state: Answer, files: &[&str]) -> Self {
        self.quiet.containers.push(QuietContainer {
            state: Ok(state.into()),
            files: Ok(files.iter().map(|&file| file.to_owned()).collect()),
            process: Err(Unobserved::lacking("the case has no process")),
            recovery: Err(Unobserved::lacking("the case tries no recovery")),
        });
        self
    }

    pub fn evidence(&self) -> Evidence<'_> {
        Evidence {
            history: &self.history,
            tokens: Ok(()),
            sections: self.entered.clone().map(|entered| Sections { entered, overlaps: &self.overlaps }),
            exits: Ok(&self.exits),
            quiet: Ok(&self.quiet),
            starvation_ns: Ok(self.starvation_ns),
            stall: Ok(self.stall.as_ref()),
        }
    }

    pub fn examine(&self, check: &dyn Check) -> Examination {
        check.examine(&self.evidence())
    }

    /// Asserts that the check has something to examine, and finds nothing.
    #[track_caller]
    pub fn must_pass(&self, check: &dyn Check) {
        let examination = self.examine(check);
        assert_eq!(examination.violations, []);
        assert_eq!(examination.violations_total, 0);
        assert_eq!(examination.inconclusive, None);
        assert!(examination.examined > 0, "nothing was examined");
    }

    /// Asserts that the check finds exactly one violation; gives back its message.
    #[track_caller]
    pub fn must_fail(&self, check: &dyn Check) -> String {
        let examination = self.examine(check);
        assert_eq!(examination.violations.len(), 1, "{examination:?}");
        assert_eq!(examination.violations_total, 1);
        assert_eq!(check.id().class(), examination.violations[0].class);
        examination.violations[0].message.clone()
    }
}

/// An operation on `c1` that ended so; its interval in microseconds.
pub fn ran(process: u32, operation: Operation, span_us: RangeInclusive<u64>, outcome: Outcome) -> Record {
    let mut record = Record::invoked(process, Some(0), operation, span_us.start() * 1000);
    record.set_return_ns(Some(span_us.end() * 1000));
    record.outcome = outcome;
    record
}

/// A successful operation.
pub fn ok(process: u32, operation: Operation, span_us: RangeInclusive<u64>) -> Record {
    ran(process, operation, span_us, Outcome::Ok)
}

/// A refused operation.
pub fn refused(process: u32, operation: Operation, span_us: RangeInclusive<u64>, reason: Reason) -> Record {
    let mut record = ran(process, operation, span_us, Outcome::Refused);
    record.reason = Some(reason);
    record
}

/// A failed operation.
pub fn failed(process: u32, operation: Operation, span_us: RangeInclusive<u64>, reason: Reason) -> Record {
    let mut record = ran(process, operation, span_us, Outcome::Failed);
    record.reason = Some(reason);
    record
}

/// An operation that was killed.
pub fn killed(process: u32, operation: Operation, span_us: RangeInclusive<u64>) -> Record {
    ran(process, operation, span_us, Outcome::Unknown)
}

/// What a record saw.
pub trait Saw {
    fn saw(self, status: Status, generation: u64, revision: u64) -> Self;
    fn stamped(self, generation: u64, revision: u64) -> Self;
}

impl Saw for Record {
    fn saw(mut self, status: Status, generation: u64, revision: u64) -> Self {
        self.status = Some(status);
        self.stamped(generation, revision)
    }

    fn stamped(mut self, generation: u64, revision: u64) -> Self {
        self.generation = NonZeroU64::new(generation);
        self.revision = NonZeroU64::new(revision);
        self
    }
}

/// A subject's answer without stamps.
pub fn answer(outcome: Outcome, reason: Option<Reason>, status: Option<Status>) -> Answer {
    Answer { outcome, reason, status, ..Answer::done() }
}

/// The answer that a container is absent.
pub fn absent() -> Answer {
    answer(Outcome::Refused, Some(Reason::Absent), None)
}
