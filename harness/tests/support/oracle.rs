//! An oracle for small histories of one container: tries every order.
//!
//! It shares the model's table with the judges, and nothing else: no events, no classes of operations. Two ways that
//! have done the same operations and left the container in the same state are one, because the earliest time of what
//! follows depends on nothing else.

use std::collections::HashSet;

use flockwork_harness::check::search::{Explanation, Proof, Role};
use flockwork_harness::history::{History, Outcome, Reason, Record};
use flockwork_harness::model::Model;
use flockwork_harness::model::table::{ILLEGAL, Row};

/// How many operations it takes at most.
const OPERATIONS_MAX: usize = 64;
/// How many ways it tries at most.
const WAYS_MAX: usize = 1 << 14;

/// Whether the operations of one container have a legal order that begins in one of the states, in which `death` (what
/// it makes of each state) may come between any two. `None`: they are too
/// many for an oracle.
pub fn has_an_order<'a>(
    model: &Model,
    records: impl IntoIterator<Item = &'a Record>,
    starts: impl IntoIterator<Item = u8>,
    death: Option<Row>,
    reads: Reads,
) -> Option<bool> {
    let operations = records.into_iter();
    let operations =
        operations.map(|record| Operation::of(model, record, record.outcome != Outcome::Unknown));
    Search::new(operations.collect(), death, reads).begins_in(starts)
}

/// Whether the window of an explanation has a legal order after all. `None`: it is too large for an oracle.
pub fn window_has_an_order(model: &Model, history: &History, explanation: &Explanation) -> Option<bool> {
    let operations = explanation.window.iter().map(|member| {
        let record = &history.records[member.index];
        Operation::of(model, record, member.role != Role::Possible)
    });
    let states = (0..).zip(model.table().states());
    let starts = states.filter(|(_, name)| explanation.begins_in.contains(name)).map(|(state, _)| state);
    let reads = match explanation.proof {
        Proof::Order => Reads::Statuses,
        Proof::Life | Proof::Generations => Reads::Generations,
    };
    Search::new(operations.collect(), model.death(history), reads).begins_in(starts)
}

struct Operation {
    invoke_ns: u64,
    deadline_ns: u64,
    row: Row,
    must: bool,
    /// 0: none that it tells.
    generation: u64,
}

impl Operation {
    fn of(model: &Model, record: &Record, must: bool) -> Self {
        let (invoke_ns, deadline_ns) = (record.invoke_ns, record.deadline_ns());
        let tells = record.reason != Some(Reason::Absent) && record.outcome != Outcome::Failed;
        let generation = record.generation.filter(|_| tells).map_or(0, u64::from);
        Self { invoke_ns, deadline_ns, row: *model.table().row(record.into()), must, generation }
    }
}

struct Search {
    operations: Vec<Operation>,
    /// What a death makes of each state: there may be any number at any time.
    death: Option<Row>,
    reads: Reads,
    seen: HashSet<(u64, u8, u64)>,
}

/// What the oracle reads of what operations tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    Statuses,
    /// Generations as well: an operation that tells one acted in that life, and a create began it.
    Generations,
}

impl Search {
    fn new(operations: Vec<Operation>, death: Option<Row>, reads: Reads) -> Self {
        Self { operations, death, reads, seen: HashSet::new() }
    }

    fn begins_in(&mut self, starts: impl IntoIterator<Item = u8>) -> Option<bool> {
        if self.operations.len() > OPERATIONS_MAX {
            return None;
        }
        let found = starts.into_iter().any(|state| self.goes_on(0, state, 0));
        (found || self.seen.len() < WAYS_MAX).then_some(found)
    }

    /// `generation`: the present or the latest one; 0: not known yet.
    fn goes_on(&mut self, done: u64, state: u8, generation: u64) -> bool {
        if self.seen.len() >= WAYS_MAX || !self.seen.insert((done, state, generation)) {
            return false;
        }
        let (before, open): (Vec<_>, Vec<_>) =
            (0..self.operations.len()).partition(|index| done & (1 << index) != 0);
        let now_ns = before.iter().map(|&index| self.operations[index].invoke_ns).max().unwrap_or(0);
        let due = || open.iter().map(|&index| &self.operations[index]).filter(|operation| operation.must);
        if due().next().is_none() {
            return true;
        }
        if due().any(|operation| operation.deadline_ns < now_ns) {
            return false;
        }
        let died = self.death.map_or(ILLEGAL, |row| row[state as usize]);
        if died != ILLEGAL && self.goes_on(done, died, generation) {
            return true;
        }
        open.into_iter().any(|index| {
            let operation = &self.operations[index];
            let in_time = now_ns.max(operation.invoke_ns) <= operation.deadline_ns;
            let next = operation.row[state as usize];
            let told = if self.reads == Reads::Generations { operation.generation } else { 0 };
            let (was_absent, is_absent) = (state == 0, next == 0);
            let fits = match (was_absent, is_absent) {
                _ if told == 0 => true,
                (true, true) => false,
                (true, false) => told > generation,
                (false, _) => generation == 0 || told == generation,
            };
            let generation = told.max(generation);
            in_time && next != ILLEGAL && fits && self.goes_on(done | 1 << index, next, generation)
        })
    }
}
