//! An oracle for small histories of one container: tries every order.
//!
//! It shares the model's table with the judges, and nothing else: no events, no windows, no classes of operations. Two
//! ways that have done the same operations and left the container in the same state are one, because the earliest time
//! of what follows depends on nothing else.

use std::collections::HashSet;

use flockwork_harness::history::{Outcome, Record};
use flockwork_harness::model::Model;
use flockwork_harness::model::table::ILLEGAL;

/// Whether the operations of one container, at most 64, have a legal order that begins in one of the states.
pub fn has_an_order(model: &Model, records: &[Record], starts: impl IntoIterator<Item = u8>) -> bool {
    assert!(records.len() <= 64, "an oracle for small histories");
    let mut search = Search { model, records, seen: HashSet::new() };
    starts.into_iter().any(|state| search.goes_on(0, state))
}

struct Search<'a> {
    model: &'a Model,
    records: &'a [Record],
    seen: HashSet<(u64, u8)>,
}

impl Search<'_> {
    fn goes_on(&mut self, done: u64, state: u8) -> bool {
        if !self.seen.insert((done, state)) {
            return false;
        }
        let records = self.records;
        let (before, open): (Vec<_>, Vec<_>) = (0..records.len()).partition(|index| done & (1 << index) != 0);
        let now_ns = before.iter().map(|&index| records[index].invoke_ns).max().unwrap_or(0);
        let must = |index: usize| records[index].outcome != Outcome::Unknown;
        if !open.iter().any(|&index| must(index)) {
            return true;
        }
        if open.iter().any(|&index| must(index) && records[index].deadline_ns() < now_ns) {
            return false;
        }
        open.into_iter().any(|index| {
            let record = &records[index];
            let next = self.model.table().row(record.into())[state as usize];
            let in_time = now_ns.max(record.invoke_ns) <= record.deadline_ns();
            in_time && next != ILLEGAL && self.goes_on(done | 1 << index, next)
        })
    }
}
