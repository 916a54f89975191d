//! Causes: where a read shows that something is wrong, looks for what went wrong without it.
//!
//! A sweep ends at the first return that no order explains, and that is often a read which saw what two writers did to
//! each other. If the writers that were under way with it contradict each other already, they are the better proof: a
//! history is not linearizable if what is left of it without some of its reads is not.

use std::time::{Duration, Instant};

use super::case::{Case, Dead, Fate};
use super::partition::{Item, Partition, States};
use super::sweep::Limits;

/// How far back it looks, and how far ahead, in events.
const REACH: usize = 256;
/// What looking may cost.
const CONFIGS: usize = 1 << 14;
const STEPS: usize = 1 << 24;
const PATIENCE: Duration = Duration::from_millis(300);

/// A case of writers alone that has no order, if there is one around the read that has no place; else the case as it is.
pub(super) fn behind(partition: &Partition, case: Case, dead: Box<Dead>) -> (Case, Box<Dead>) {
    writers_alone(partition, &dead).unwrap_or((case, dead))
}

fn writers_alone(partition: &Partition, dead: &Dead) -> Option<(Case, Box<Dead>)> {
    let read = partition.ops.iter().find(|op| op.record == dead.record)?;
    if partition.classes[read.class as usize].changes != 0 {
        return None;
    }
    let at = read.over_at as usize;
    let end = partition.events.len().min(at + REACH);
    let under_way = partition.events[at.saturating_sub(REACH)..at]
        .iter()
        .map(|event| partition.ops[event.op()].over_at as usize);
    let to = under_way.filter(|&over_at| over_at < end).max().unwrap_or(at).max(at) + 1;
    let everywhere = ((1_u32 << partition.states) - 1) as States;
    let mut case = Case::cut(partition, at.saturating_sub(REACH), to, everywhere);
    case.items.retain(Item::may_change);
    let limits =
        Limits { width: usize::MAX, configs: CONFIGS, steps: STEPS, until: Some(Instant::now() + PATIENCE) };
    match case.judge(limits) {
        Fate::Dead(dead) => Some((case, dead)),
        Fate::Alive | Fate::Undecided => None,
    }
}
