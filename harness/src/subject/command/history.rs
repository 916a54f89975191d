//! Histories of commands, of format 2: written as JSON lines, and read by the judge's own reader, so that what is judged is the
//! very file that is left behind.

use std::io::Cursor;

use serde_json::{Map, Value as Json, json};

use crate::history::object::Cause;
use crate::history::read::{self, Limits, ReadError};
use crate::history::{AnyHistory, Reason};
use crate::model::{AnyModel, Builtin, object};
use crate::plan::command::Ends;
use crate::words::units;

/// An operation of a command as a line of a history holds it.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// The number of the worker that ran the command.
    pub process: u32,
    /// The object that it acted on, as the scenario names objects.
    pub object: String,
    /// What, as the model calls it.
    pub op: String,
    /// The value that it was given, where it takes one.
    pub value: Option<Json>,
    /// What its answer told, where it told anything.
    pub saw: Option<Json>,
    /// The status that it told.
    pub status: Option<String>,
    /// When it was invoked.
    pub invoke_ns: u64,
    /// When it returned; none: it may still act.
    pub return_ns: Option<u64>,
    /// How it ended; none: nobody knows.
    pub outcome: Option<Ends>,
    /// Why it was refused or failed, where a rule gave a reason.
    pub reason: Option<String>,
    /// What it said of itself, for people.
    pub message: Option<String>,
}

/// The first line: with all that the model says, so that the file can be judged without it.
#[must_use]
pub fn header(model: &AnyModel, objects: impl Iterator<Item = String>) -> Json {
    let mut header = Map::new();
    header.insert("flockwork_history".into(), 2.into());
    match model {
        AnyModel::Table(model) => {
            // One of the user's own is named to the judge.
            if Builtin::named(model.name()).is_some() {
                header.insert("model".into(), model.name().into());
            }
        }
        // So is a table in the user's own words.
        AnyModel::Object(model) if model.kind == object::Kind::Table => {}
        AnyModel::Object(model) => {
            header.insert("model".into(), model.kind.as_str().into());
            header.extend(choices(model));
            if let Some(initial) = &model.initial {
                let names = objects.map(|name| (name, initial.clone()));
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
    if !model.within_ns.is_empty() {
        let within =
            model.within_ns.iter().map(|(op, &ns)| (op.to_string(), units::show_exact_ns(ns).into()));
        choices.insert("within".into(), Json::Object(within.collect()));
    }
    choices
}

/// The line of an operation; of containers, where the model is a table.
#[must_use]
pub fn line(is_table: bool, call: &Call) -> Json {
    let outcome = call.outcome.unwrap_or(Ends::Unknown);
    let mut line = Map::new();
    line.insert("process".into(), call.process.into());
    if !(is_table && call.op == "list") {
        line.insert(if is_table { "container" } else { "object" }.into(), call.object.as_str().into());
    }
    line.insert("op".into(), call.op.as_str().into());
    if let Some(value) = &call.value {
        line.insert("value".into(), value.clone());
    }
    if let Some(saw) = call.saw.clone().filter(|_| outcome == Ends::Ok) {
        line.insert("saw".into(), saw);
    }
    line.insert("invoke_ns".into(), call.invoke_ns.into());
    line.insert("return_ns".into(), json!(call.return_ns));
    line.insert("outcome".into(), outcome.as_str().into());
    if let Some(reason) = reason(is_table, outcome, call.reason.as_deref()) {
        line.insert("reason".into(), reason.into());
    }
    if let Some(status) = call.status.as_deref().filter(|_| is_table) {
        line.insert("status".into(), status.into());
    }
    if let Some(message) = call.message.as_deref().filter(|_| outcome != Ends::Ok) {
        line.insert("message".into(), message.into());
    }
    line.into()
}

/// What the judge reads; without a model, the one that the history names.
pub fn read(history: &[u8], model: Option<&AnyModel>) -> Result<AnyHistory, ReadError> {
    read::read_any(Cursor::new(history), model, Limits::NONE)
}

/// The reason as histories spell it: one that they do not know is none of a refusal, and another of a failure.
fn reason(is_table: bool, outcome: Ends, told: Option<&str>) -> Option<&'static str> {
    let known: Vec<(&'static str, bool)> = if is_table {
        Reason::ALL.iter().map(|reason| (reason.as_str(), reason.is_refusal())).collect()
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
