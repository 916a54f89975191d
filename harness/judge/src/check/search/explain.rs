//! Explanations: why a history has no legal order, for a person at three in the morning.

use serde::Serialize;

use super::case::{Case, Dead};
use super::lives::Fault;
use super::partition::{Duty, States};
use super::shrink::shrink;
use super::words;
use crate::check::tell::{Ending, Origin};
use crate::history::{History, Record, write};
use crate::model::table::Table;

/// What nobody did.
pub(super) const DIED: &str = "death of its sandbox";

/// Why a container's operations have no legal order. Times are milliseconds since the history's first operation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// What could not happen, in one sentence.
    pub sentence: String,
    /// What the proof rests on.
    pub proof: Proof,
    /// When the window begins.
    pub from_ms: f64,
    /// When the window ends, in milliseconds.
    pub to_ms: f64,
    /// Both in the unit of the history, for people.
    #[serde(skip)]
    pub time: String,
    /// The processes that have a part in it.
    pub processes: Vec<u32>,
    /// The states in which the container can have been before it; every state where nothing is said of what came before.
    pub begins_in: Vec<String>,
    /// The smallest set of operations found that has no legal order, by invocation.
    pub window: Vec<Member>,
    /// The longest legal order of those, up to the operation that has no place.
    pub order: Vec<Placed>,
    /// The state in which that order begins.
    pub order_begins: String,
    /// The operation that has no place, as an index into the history's records.
    pub impossible: usize,
}

/// What a proof rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The operations of the window have no legal order.
    Order,
    /// They have none if each acted in the generation that it tells.
    Life,
    /// The generations that they tell contradict each other.
    Generations,
}

/// An operation of the window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Its index in the history's records.
    pub index: usize,
    /// What it has to do with it.
    pub role: Role,
    /// When it was invoked.
    pub invoke_ms: f64,
    /// When it returned, or from when on it could no longer act.
    pub return_ms: Option<f64>,
    /// Both in the unit of the history, for people.
    #[serde(skip)]
    pub time: String,
    /// The operation, as a history's line has it.
    pub operation: serde_json::Value,
    /// How it ended and what it saw, in words.
    pub ending: String,
}

/// What an operation has to do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It has no place.
    Impossible,
    /// It must have acted within the window.
    Required,
    /// The proof holds whether it acted within the window or not.
    Possible,
}

/// An operation in its place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Placed {
    /// Its index in the history's records; null: what stood behind the container died by itself.
    pub index: Option<usize>,
    /// The process and its operation, as people read them.
    pub operation: String,
    /// The state of the container after it.
    pub state: String,
}

/// Explains a case that has no order.
pub(super) fn explain(
    history: &History,
    table: &Table,
    case: Case,
    dead: Box<Dead>,
    proof: Proof,
) -> Explanation {
    let (mut case, dead) = shrink(case, dead, &|record| history.records[record as usize].process);
    case.items.sort_by_key(|item| (item.invoke_ns, item.record));
    let origin = Origin::of(history);
    let records = &history.records;
    let name = |state: u8| table.states()[state as usize].clone();
    let window: Vec<Member> = case
        .items
        .iter()
        .map(|item| {
            let role = match item.duty {
                _ if item.record == dead.record => Role::Impossible,
                Duty::Required => Role::Required,
                Duty::Optional => Role::Possible,
            };
            member(history, item.record, role, origin)
        })
        .collect();
    let order = dead.order.iter().map(|&(index, state)| {
        let record = index.map(|index| &records[index as usize]);
        let operation = record.map(|record| format!("{} by process {}", record.operation, record.process));
        Placed {
            index: index.map(|index| index as usize),
            operation: operation.unwrap_or_else(|| DIED.to_owned()),
            state: name(state),
        }
    });
    let mut processes: Vec<u32> =
        case.items.iter().map(|item| records[item.record as usize].process).collect();
    processes.sort_unstable();
    processes.dedup();
    let first_ns = case.items.iter().map(|item| item.invoke_ns).min().unwrap_or(0);
    Explanation {
        sentence: words::sentence(history, table, &case, &dead),
        proof,
        from_ms: origin.ms(first_ns),
        to_ms: origin.ms(dead.at_ns),
        time: time(origin, first_ns, dead.at_ns),
        processes,
        begins_in: (0..case.states as u8)
            .filter(|state| case.initial & (1 << state) != 0)
            .map(name)
            .collect(),
        window,
        order: order.collect(),
        order_begins: name(dead.from),
        impossible: dead.record as usize,
    }
}

/// Explains generations that contradict each other.
pub(super) fn by_generations(history: &History, table: &Table, fault: Fault, starts: States) -> Explanation {
    let begins = |state: u8| !fault.needs_the_start() || starts & (1 << state) != 0;
    let states = (0..).zip(table.states()).filter(|&(state, _)| begins(state));
    let origin = Origin::of(history);
    let mut members = fault.members();
    members.sort_unstable_by_key(|&index| (history.records[index as usize].invoke_ns, index));
    let records = || members.iter().map(|&index| &history.records[index as usize]);
    let impossible = fault.impossible();
    let role = |index| if index == impossible { Role::Impossible } else { Role::Required };
    let mut processes: Vec<u32> = records().map(|record| record.process).collect();
    processes.sort_unstable();
    processes.dedup();
    let first_ns = records().map(|record| record.invoke_ns).min().unwrap_or(0);
    let last_ns = records().map(Record::deadline_ns).max().unwrap_or(0);
    Explanation {
        sentence: fault.sentence(history),
        proof: Proof::Generations,
        from_ms: origin.ms(first_ns),
        to_ms: origin.ms(last_ns),
        time: time(origin, first_ns, last_ns),
        processes,
        begins_in: states.map(|(_, name)| name.clone()).collect(),
        window: members.iter().map(|&index| member(history, index, role(index), origin)).collect(),
        order: Vec::new(),
        order_begins: String::new(),
        impossible: impossible as usize,
    }
}

/// From when to when, as people read it.
fn time(origin: Origin, from_ns: u64, to_ns: u64) -> String {
    format!("{} to {} {}", origin.cell(from_ns), origin.cell(to_ns), origin.unit())
}

/// A member of the window.
fn member(history: &History, index: u32, role: Role, origin: Origin) -> Member {
    let record = &history.records[index as usize];
    let end = record.return_ns().map_or_else(|| "open".to_owned(), |return_ns| origin.cell(return_ns));
    Member {
        index: index as usize,
        role,
        invoke_ms: origin.ms(record.invoke_ns),
        return_ms: record.return_ns().map(|return_ns| origin.ms(return_ns)),
        time: format!("{:>12} … {end:>12} {}", origin.cell(record.invoke_ns), origin.unit()),
        operation: write::to_json(history, record),
        ending: Ending(record).to_string(),
    }
}

impl Explanation {
    /// The explanation as lines of text.
    #[must_use]
    pub fn lines(&self, table: &Table) -> Vec<String> {
        let mut lines = vec![self.sentence.clone(), String::new()];
        let operations = crate::words::plural(self.window.len() as u64, "operation");
        let processes = crate::words::plural(self.processes.len() as u64, "process");
        let before = if self.begins_in.len() == table.states().len() {
            "whatever the container was before".to_owned()
        } else {
            format!("the container being {} before", words::or(&self.begins_in))
        };
        let time = &self.time;
        lines.push(format!("No order of these is legal, {before} ({operations} of {processes}, {time}):"));
        lines.extend(self.window.iter().map(Member::line));
        if self.proof == Proof::Generations {
            return lines;
        }
        lines.push(String::new());
        let mut steps = vec![self.order_begins.clone()];
        steps.extend(self.order.iter().map(|placed| format!("{} → {}", placed.operation, placed.state)));
        lines.push("The longest legal order, up to the operation that fits nowhere:".into());
        lines.extend(steps.iter().enumerate().map(|(number, step)| match number {
            0 => format!("      at first {step}"),
            _ => format!("  {number:>2}. {step}"),
        }));
        lines
    }
}

impl Member {
    fn line(&self) -> String {
        let mark = match self.role {
            Role::Impossible => '>',
            Role::Required => ' ',
            Role::Possible => '?',
        };
        let field = |name| self.operation.get(name);
        let process = field("process").and_then(serde_json::Value::as_u64).unwrap_or(0);
        let operation = field("op").and_then(serde_json::Value::as_str).unwrap_or("?");
        format!("{mark} {}  p{process:<3} {operation:<12} {}", self.time, self.ending)
    }
}
