//! One operation of a history, as a line tells it.

use std::borrow::Cow;
use std::num::NonZeroU64;

use flockwork::{Operation, Status};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::value::{syntax, text, whole, word};
use crate::history::{Outcome, Reason, Record};

/// The fields of a line, each well-formed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub process: u32,
    pub container: Option<Cow<'a, str>>,
    pub op: Operation,
    pub invoke_ns: u64,
    pub return_ns: Option<u64>,
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    pub status: Option<Status>,
    pub generation: Option<NonZeroU64>,
    pub revision: Option<NonZeroU64>,
    pub message: Option<Cow<'a, str>>,
}

/// The fields as they stand there: in any order, null as if it were not there, others skipped.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, alias = "actor")]
    process: Option<&'a RawValue>,
    #[serde(borrow, alias = "object")]
    container: Option<&'a RawValue>,
    #[serde(borrow)]
    op: Option<&'a RawValue>,
    #[serde(borrow)]
    invoke_ns: Option<&'a RawValue>,
    #[serde(borrow)]
    return_ns: Option<&'a RawValue>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
    #[serde(borrow)]
    reason: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    generation: Option<&'a RawValue>,
    #[serde(borrow)]
    revision: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

impl<'a> Line<'a> {
    /// Parses any line, at leisure, and tells what is wrong with it.
    pub fn parse(line: &'a str) -> Result<Self, String> {
        if line.trim_start().starts_with('[') {
            // serde takes a list of as many values for the fields in their order; a history has none of that.
            return Err("column 1: a list; expected one JSON object per line".into());
        }
        let fields: Fields<'a> = serde_json::from_str(line).map_err(|error| syntax(line, &error))?;
        let process = whole("process", required("process", fields.process)?, 0..=u64::from(u32::MAX))?;
        let op = required("op", fields.op)?;
        let outcome = required("outcome", fields.outcome)?;
        Ok(Self {
            process: u32::try_from(process).expect("it is in range"),
            container: fields.container.map(|raw| text("container", raw)).transpose()?,
            op: word("op", op, &Operation::ALL, Operation::as_str)?,
            invoke_ns: whole("invoke_ns", required("invoke_ns", fields.invoke_ns)?, 0..=u64::MAX)?,
            // The last number stands for "never".
            return_ns: fields.return_ns.map(|raw| whole("return_ns", raw, 0..=u64::MAX - 1)).transpose()?,
            outcome: word("outcome", outcome, &Outcome::ALL, Outcome::as_str)?,
            reason: fields.reason.map(|raw| word("reason", raw, &Reason::ALL, Reason::as_str)).transpose()?,
            status: fields.status.map(|raw| word("status", raw, &Status::ALL, Status::as_str)).transpose()?,
            generation: fields.generation.map(|raw| number("generation", raw)).transpose()?,
            revision: fields.revision.map(|raw| number("revision", raw)).transpose()?,
            message: fields.message.map(|raw| text("message", raw)).transpose()?,
        })
    }

    /// The record that the line tells of, but for its message.
    pub fn record(&self, container: Option<u32>) -> Record {
        let mut record = Record::invoked(self.process, container, self.op, self.invoke_ns);
        record.set_return_ns(self.return_ns);
        record.outcome = self.outcome;
        record.reason = self.reason;
        record.status = self.status;
        record.generation = self.generation;
        record.revision = self.revision;
        record
    }

    /// Whether the fields make sense together.
    pub fn check(&self) -> Result<(), String> {
        let outcome = self.outcome;
        let what = match (outcome, self.reason) {
            _ if self.container.is_none() && self.op != Operation::List => {
                format!("{} without \"container\"; only list goes without", self.op)
            }
            _ if self.return_ns.is_some_and(|return_ns| return_ns < self.invoke_ns) => {
                "return_ns is earlier than invoke_ns; expected the same or later".into()
            }
            _ if self.return_ns.is_none() && outcome != Outcome::Unknown => {
                format!("outcome {outcome} without return_ns; only \"unknown\" may lack it")
            }
            (Outcome::Ok | Outcome::Unknown, Some(reason)) => {
                format!("outcome {outcome} with reason {reason}; expected none")
            }
            (Outcome::Refused, Some(reason)) if !reason.is_refusal() => {
                format!("refused for {reason}; expected exists, absent, status or ambiguous")
            }
            (Outcome::Failed, Some(reason)) if reason.is_refusal() => {
                format!("failed for {reason}; expected corrupt, locked, sandbox, io or other")
            }
            _ => return Ok(()),
        };
        Err(what)
    }
}

fn required<'a>(field: &str, raw: Option<&'a RawValue>) -> Result<&'a RawValue, String> {
    raw.ok_or_else(|| {
        format!("{field} is missing; expected process, container, op, invoke_ns, return_ns and outcome")
    })
}

/// A generation or revision: they count from 1.
fn number(field: &str, raw: &RawValue) -> Result<NonZeroU64, String> {
    whole(field, raw, 1..=u64::MAX).map(|number| NonZeroU64::new(number).expect("it is in range"))
}
