//! Histories in which all processes are always pending, on one container: the most that a history of so many processes
//! can leave to guess.

use flockwork::Operation;
use flockwork_harness::check::search::{Budget, SearchRuling, judge};
use flockwork_harness::history::{History, Outcome, Record};
use flockwork_harness::model::{Model, State};

use crate::support::{Random, perform};

/// What a history tells of the statuses that operations saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Every operation tells the status it saw or left.
    Told,
    /// Only `state` does.
    Bare,
}

impl Tells {
    /// As names of histories spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Told => "told",
            Self::Bare => "bare",
        }
    }
}

fn perform_and_tell(state: &mut State, record: &mut Record, tells: Tells) {
    perform(state, record);
    if tells == Tells::Told || record.operation == Operation::State {
        record.status = state.status();
    }
}

/// A legal history; one operation in so many is killed, and half of those act.
pub fn simulate(operations: usize, processes: usize, killed_one_in: u64, tells: Tells, seed: u64) -> History {
    let mut random = Random(operations as u64 ^ (seed << 32));
    let mut state = State::Absent;
    let mut history = History::default();
    history.containers.push("c1".into());
    let mut pending: Vec<Record> = (0..processes)
        .map(|process| Record::invoked(process as u32, Some(0), random.operation(), process as u64))
        .collect();
    let mut now_ns = 1000;
    for _ in 0..operations {
        let process = random.below(processes as u64) as usize;
        let mut record = pending[process];
        now_ns = record.invoke_ns.max(now_ns) + 100;
        if random.below(killed_one_in) > 0 {
            perform_and_tell(&mut state, &mut record, tells);
        } else if random.below(2) == 0 {
            perform_and_tell(&mut state, &mut { record }, tells);
        }
        record.set_return_ns(Some(now_ns + random.below(300)));
        let next_ns = record.deadline_ns() + random.below(100);
        history.records.push(record);
        pending[process] = Record::invoked(process as u32, Some(0), random.operation(), next_ns);
    }
    history
}

/// Turns a refusal in the middle into a success, of a kind that no order allows. False: there is none such.
#[must_use]
pub fn break_in_the_middle(history: &mut History, model: &Model) -> bool {
    let middle = history.records.len() / 2;
    for index in middle..history.records.len() {
        let record = history.records[index];
        if record.operation != Operation::Create || record.outcome != Outcome::Refused {
            continue;
        }
        let changed = &mut history.records[index];
        (changed.outcome, changed.reason, changed.status) = (Outcome::Ok, None, None);
        let verdict = judge(history, model, Budget::default());
        if verdict.iter().any(|verdict| matches!(verdict, SearchRuling::Illegal(_))) {
            return true;
        }
        history.records[index] = record;
    }
    false
}
