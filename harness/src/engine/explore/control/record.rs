//! What the controller writes down of an execution: the history, and what else checks look at. Times are numbers of
//! steps, so that what happened in one step happened at one time.

use std::num::NonZeroU64;
use std::sync::atomic::Ordering;

use crate::answer::Lacks;
use crate::evidence::{Exit, Overlap, Reply};
use crate::history::{Clock, FIRST_STEP, History, Record};
use crate::plan::Call;
use crate::process::overlap::Identity;
use crate::process::region::{OVERLAPS_MAX, Region};
use crate::subject::Answer;

/// The number of whoever sets the containers up.
pub(crate) const SETUP: u32 = 0;

/// The number that a process has in histories: those of the programs count from 1, as people do.
pub(crate) const fn number(process: usize) -> u32 {
    process as u32 + 1
}

/// The books of one execution.
#[derive(Clone, Debug, Default)]
pub(crate) struct HistoryBuilder {
    pub history: History,
    pub exits: Vec<Exit>,
    pub overlaps: Vec<Overlap>,
    /// What the machine lacked, or seemed to lack by an injected error.
    pub lacks: Lacks,
    overlaps_seen: usize,
}

impl HistoryBuilder {
    /// Empty books for these containers.
    pub fn new(containers: &[String]) -> Self {
        let mut recorder = Self::default();
        recorder.history.containers = containers.to_vec();
        recorder.history.clock = Clock::Steps;
        recorder
    }

    /// The time of a step.
    #[expect(clippy::unused_self, reason = "times are the books' own")]
    pub fn time(&self, depth: usize) -> u64 {
        FIRST_STEP + depth as u64
    }

    /// The step of a time.
    pub fn depth(time: u64) -> usize {
        usize::try_from(time.saturating_sub(FIRST_STEP)).unwrap_or(usize::MAX)
    }

    /// Writes down what was done without control, as one after the other: during setup, or when all is quiet.
    /// Who gave no answer is dead by then.
    pub fn aside(&mut self, process: u32, call: Call, reply: &Reply) {
        let now = self.history.records.iter().filter_map(Record::return_ns).max().map_or(0, |last| last + 1);
        self.add(process, call, now, Some(now + 1), reply.answer());
    }

    /// An operation returned.
    pub fn returned(&mut self, process: usize, call: Call, invoked: usize, depth: usize, answer: &Answer) {
        let (invoke, end) = (self.time(invoked), self.time(depth));
        self.add(number(process), call, invoke, Some(end), Some(answer));
    }

    /// An operation will never return; where its process is not dead, it may still act.
    pub fn unknown(&mut self, process: usize, call: Call, invoked: usize, depth: usize, may_act: bool) {
        let (invoke, end) = (self.time(invoked), self.time(depth));
        self.add(number(process), call, invoke, (!may_act).then_some(end), None);
    }

    fn add(&mut self, process: u32, call: Call, invoke: u64, end: Option<u64>, answer: Option<&Answer>) {
        let container = (call.operation != flockwork::Operation::List).then_some(call.container);
        let mut record = Record::invoked(process, container, call.operation, invoke);
        record.set_return_ns(end);
        if let Some(answer) = answer {
            record.outcome = answer.outcome;
            record.reason = answer.reason;
            record.status = answer.status;
            record.generation = answer.generation.and_then(NonZeroU64::new);
            record.revision = answer.revision.and_then(NonZeroU64::new);
            if let Some(message) = &answer.message {
                self.history.attach_message(&mut record, message.clone());
            }
            if let Some(lack) = answer.lack() {
                let message = answer.message.as_deref().unwrap_or("without a word");
                self.lacks.add(lack, || {
                    format!("{} by p{process}: {message}", call.words(&self.history.containers))
                });
            }
        }
        self.history.records.push(record);
    }

    /// Looks whether a critical section was entered by two.
    pub fn overlapped(&mut self, region: &Region, depth: usize) {
        let count = (region.control().overlaps.load(Ordering::Acquire) as usize).min(OVERLAPS_MAX);
        for cell in &region.overlaps()[self.overlaps_seen.min(count)..count] {
            let inside = Identity::of_word(cell.inside.load(Ordering::Relaxed));
            let entered = Identity::of_word(cell.entered.load(Ordering::Relaxed));
            if let (Some(inside), Some(entered)) = (inside, entered) {
                self.overlaps.push(Overlap {
                    container: cell.container.load(Ordering::Relaxed) as u32,
                    at_ns: self.time(depth),
                    inside: number(inside.process as usize),
                    entered: number(entered.process as usize),
                    inside_killed_ns: None,
                });
            }
        }
        self.overlaps_seen = count;
    }
}
