//! The search: whether any legal order explains a history, from intervals and outcomes alone.

mod case;
mod config;
mod decide;
mod explain;
mod lane;
mod pool;
mod shrink;
mod sweep;
mod words;

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::history::{History, Outcome};
use crate::model::Model;
use crate::model::table::Table;
pub use decide::Allowance;
use decide::Decision;
pub use explain::{Explanation, Member, Placed, Role};
use lane::{Duty, Item, Lane};

/// What a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How long it may take.
    pub time: Option<Duration>,
    /// How much memory its configurations may take, in bytes; the operations themselves are not counted.
    pub memory_bytes: usize,
    /// How many configurations the first, fast sweep keeps. It makes no difference to the verdict.
    pub width: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: None, memory_bytes: 1 << 30, width: 6 }
    }
}

/// The verdict on one container.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// There is a legal order.
    Linearizable,
    /// There is none, and why.
    NotLinearizable(Box<Explanation>),
    /// Nothing can be said, and why.
    Inconclusive(String),
}

/// The operations of one container.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The container, by index into the history's names.
    pub container: u32,
    /// Its operations, as indexes into the history's records.
    pub indexes: Vec<u32>,
}

/// The operations of every container that has any, in the order of the history's names.
///
/// A history is linearizable if each of its containers' is (Herlihy and Wing). Operations about the whole root are left
/// out: no container's model tells what they may see.
#[must_use]
pub fn lanes(history: &History) -> Vec<Operations> {
    let lanes = super::lives::by_container(history).into_iter().enumerate();
    let lanes = lanes.filter(|(_, indexes)| !indexes.is_empty());
    lanes.map(|(container, indexes)| Operations { container: container as u32, indexes }).collect()
}

impl Budget {
    /// What each of so many containers may cost: as many as there are threads are judged at once.
    #[must_use]
    pub fn shared(self, containers: usize) -> Allowance {
        // To ask how many threads there are starts them; one container needs none.
        let at_once = if containers > 1 { containers.min(rayon::current_num_threads()) } else { 1 };
        Allowance {
            until: self.time.map(|time| Instant::now() + time),
            memory_bytes: self.memory_bytes / at_once,
            width: self.width,
        }
    }
}

/// Judges every container of a history by itself, in the order of their names.
#[must_use]
pub fn judge(history: &History, model: &Model, budget: Budget) -> Vec<Verdict> {
    let lanes = lanes(history);
    let allowance = budget.shared(lanes.len());
    each_lane(lanes, |lane| judge_one(history, model, allowance, &lane))
}

/// Judges every container, in threads where there are several.
pub fn each_lane<T: Send>(lanes: Vec<Operations>, judge: impl Fn(Operations) -> T + Send + Sync) -> Vec<T> {
    if lanes.len() > 1 {
        lanes.into_par_iter().map(judge).collect()
    } else {
        lanes.into_iter().map(judge).collect()
    }
}

/// Judges one container.
#[must_use]
pub fn judge_one(history: &History, model: &Model, allowance: Allowance, operations: &Operations) -> Verdict {
    let table = model.table();
    let starts = model.starts(history, operations.container).fold(0, |starts, state| starts | 1 << state);
    let items = operations.indexes.iter().map(|&index| item(history, table, index)).collect();
    let lane = Lane::of(items, starts, table.states().len());
    match decide::decide(&lane, allowance) {
        Decision::Linearizable => Verdict::Linearizable,
        Decision::Inconclusive(why) => Verdict::Inconclusive(why),
        Decision::Not(case, dead) => {
            drop(lane);
            Verdict::NotLinearizable(Box::new(explain::explain(history, table, case, dead)))
        }
    }
}

fn item(history: &History, table: &Table, index: u32) -> Item {
    let record = &history.records[index as usize];
    Item {
        record: index,
        invoke_ns: record.invoke_ns,
        deadline_ns: record.deadline_ns(),
        row: *table.row(record.into()),
        duty: if record.outcome == Outcome::Unknown { Duty::Optional } else { Duty::Required },
    }
}
