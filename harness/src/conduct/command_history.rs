//! From what runners wrote down to a history.

use std::collections::BTreeMap;
use std::io::Write as _;

use crate::engine::command::Entry;
use crate::model::AnyModel;
use crate::plan::command::{CommandPlan, Ends};
use crate::subject::command::history::{Call, header, line};

/// What an operation counts as whose answer no rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// It counts as a failure.
    Failed,
    /// Whether it acted is not known.
    Unknown,
}

/// The history, as JSON lines.
#[must_use]
pub fn write(model: &AnyModel, plan: &CommandPlan, entries: &[Entry], unmatched: Unmatched) -> Vec<u8> {
    let mut out = Vec::new();
    let is_table = matches!(model, AnyModel::Table(_));
    let objects = entries.iter().map(|entry| object_name(plan, entry));
    // Writing to memory does not fail.
    _ = writeln!(out, "{}", header(model, objects));
    let mut numbers = Numbers { processes: plan.processes, lives: BTreeMap::new() };
    for entry in entries {
        let outcome = match entry.outcome {
            Ends::Failed if entry.is_unmatched && unmatched == Unmatched::Unknown => Ends::Unknown,
            outcome => outcome,
        };
        let call = Call {
            process: numbers.of(entry),
            object: object_name(plan, entry),
            op: plan.operations[entry.operation].op.clone(),
            value: entry.value.clone(),
            saw: entry.saw.clone(),
            status: entry.status.clone(),
            invoke_ns: entry.invoke_ns,
            return_ns: entry.return_ns,
            outcome: Some(outcome),
            reason: entry.reason.clone(),
            message: entry.message.clone(),
        };
        _ = writeln!(out, "{}", line(is_table, &call));
    }
    out
}

/// The name of an object in a round: each round begins anew.
#[must_use]
pub fn object_name(plan: &CommandPlan, entry: &Entry) -> String {
    let name = &plan.objects[entry.object];
    if entry.round == 0 { name.clone() } else { format!("{name}@{}", entry.round + 1) }
}

/// Numbers of processes, from 1: whoever may still act is another than who comes after it.
struct Numbers {
    processes: u32,
    /// How many lives each process has had.
    lives: BTreeMap<u32, u32>,
}

impl Numbers {
    fn of(&mut self, entry: &Entry) -> u32 {
        let lives = self.lives.entry(entry.process).or_default();
        let number = entry.process + 1 + *lives * self.processes;
        *lives += u32::from(entry.return_ns.is_none());
        number
    }
}
