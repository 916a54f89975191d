//! From what runners wrote down to a history of format 2, and back to what the judge reads: the run is judged by the very
//! file that it leaves behind.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};

use serde_json::{Map, Value as Json, json};

use crate::engine::command::Entry;
use crate::history::AnyHistory;
use crate::history::object::Cause;
use crate::history::read::{self, Limits, ReadError};
use crate::model::{AnyModel, object};
use crate::plan::command::{CommandPlan, Ends};
use crate::words::units;

/// What an operation counts as whose answer no rule fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// It failed.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// The history, as JSON lines.
#[must_use]
pub fn write(model: &AnyModel, plan: &CommandPlan, entries: &[Entry], unmatched: Unmatched) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to memory does not fail.
    _ = writeln!(out, "{}", header(model, plan, entries));
    let mut numbers = Numbers { processes: plan.processes, lives: BTreeMap::new() };
    for entry in entries {
        _ = writeln!(out, "{}", line(model, plan, entry, unmatched, &mut numbers));
    }
    out
}

/// What the judge reads.
pub fn read(history: &[u8], model: &AnyModel) -> Result<AnyHistory, ReadError> {
    read::read_any(Cursor::new(history), Some(model), Limits::NONE)
}

/// The name of an object in a round: each round begins anew.
#[must_use]
pub fn object_name(plan: &CommandPlan, entry: &Entry) -> String {
    let name = &plan.objects[entry.object];
    if entry.round == 0 { name.clone() } else { format!("{name}@{}", entry.round + 1) }
}

/// The first line: with all that the model says, so that the file can be judged without it.
fn header(model: &AnyModel, plan: &CommandPlan, entries: &[Entry]) -> Json {
    let mut header = Map::new();
    header.insert("flockwork_history".into(), 2.into());
    match model {
        AnyModel::Table(model) => {
            // One of the user's own is named to the judge.
            if crate::model::Builtin::named(model.name()).is_some() {
                header.insert("model".into(), model.name().into());
            }
        }
        AnyModel::Object(model) => {
            header.insert("model".into(), model.kind.as_str().into());
            header.extend(choices(model));
            if let Some(initial) = &model.initial {
                let names = entries.iter().map(|entry| (object_name(plan, entry), initial.clone()));
                header.insert("initial".into(), Json::Object(names.collect()));
            }
        }
    }
    header.into()
}

/// What a model says beside its kind.
fn choices(model: &object::ObjectModel) -> Map<String, Json> {
    let mut choices = Map::new();
    if model.kind == object::Kind::Queue {
        choices.insert("order".into(), model.order.as_str().into());
    }
    if let Some(lease_ns) = model.lease_ns {
        choices.insert("lease".into(), units::show_exact_ns(lease_ns).into());
    }
    if !model.fails.is_empty() {
        let fails = model.fails.iter().map(|(op, fails)| (op.to_string(), fails.as_str().into()));
        choices.insert("fails".into(), Json::Object(fails.collect()));
    }
    choices
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

fn line(
    model: &AnyModel,
    plan: &CommandPlan,
    entry: &Entry,
    unmatched: Unmatched,
    numbers: &mut Numbers,
) -> Json {
    let operation = &plan.operations[entry.operation];
    let outcome = match entry.outcome {
        Ends::Failed if entry.is_unmatched && unmatched == Unmatched::Unknown => Ends::Unknown,
        outcome => outcome,
    };
    let mut line = Map::new();
    line.insert("process".into(), numbers.of(entry).into());
    let is_table = matches!(model, AnyModel::Table(_));
    if !(is_table && operation.op == "list") {
        line.insert(if is_table { "container" } else { "object" }.into(), object_name(plan, entry).into());
    }
    line.insert("op".into(), operation.op.as_str().into());
    if let Some(value) = &entry.value {
        line.insert("value".into(), value.clone());
    }
    if let Some(saw) = entry.saw.clone().filter(|_| outcome == Ends::Ok) {
        line.insert("saw".into(), saw);
    }
    line.insert("invoke_ns".into(), entry.invoke_ns.into());
    line.insert("return_ns".into(), json!(entry.return_ns));
    line.insert("outcome".into(), word(outcome).into());
    if let Some(reason) = reason(is_table, outcome, entry.reason.as_deref()) {
        line.insert("reason".into(), reason.into());
    }
    if let Some(status) = entry.status.as_deref().filter(|_| is_table) {
        line.insert("status".into(), status.into());
    }
    if let Some(message) = entry.message.as_deref().filter(|_| outcome != Ends::Ok) {
        line.insert("message".into(), message.into());
    }
    line.into()
}

const fn word(outcome: Ends) -> &'static str {
    match outcome {
        Ends::Ok => "ok",
        Ends::Refused => "refused",
        Ends::Failed => "failed",
        Ends::Unknown => "unknown",
    }
}

/// The reason as histories spell it: one that they do not know is none of a refusal, and another of a failure.
fn reason(is_table: bool, outcome: Ends, told: Option<&str>) -> Option<&'static str> {
    let known: Vec<(&'static str, bool)> = if is_table {
        crate::history::Reason::ALL.iter().map(|reason| (reason.as_str(), reason.is_refusal())).collect()
    } else {
        Cause::ALL.iter().map(|cause| (cause.as_str(), cause.is_refusal())).collect()
    };
    let of = |is_refusal: bool| {
        known.iter().find(|(word, is)| Some(*word) == told && *is == is_refusal).map(|(word, _)| *word)
    };
    match outcome {
        Ends::Ok | Ends::Unknown => None,
        Ends::Refused => of(true),
        Ends::Failed => of(false).or(told.map(|_| "other")),
    }
}
