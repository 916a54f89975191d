//! Creates that are to fail half-way fail by lot, drawn by process and number. Under control processes have other numbers than
//! they had: so the share of those that fail, and the order of the processes, are chosen such that the same creates fail.

use flockwork::Operation;

use crate::engine::explore::FIRST_SEQUENCE;
use crate::history::{Outcome, Record};
use crate::plan::{FailCreate, SubjectPlan};
use crate::subject::payload::Stamp;

/// So many processes have few enough orders to try.
const PROCESSES_MAX: usize = 6;

/// What each process did.
type Lives<'h> = Vec<Vec<&'h Record>>;

/// The subject and the processes, so that of their creates those fail that did, where that can be; else as they are.
pub(super) fn as_they_did<'h>(subject: &SubjectPlan, lives: Lives<'h>) -> (SubjectPlan, Lives<'h>) {
    let SubjectPlan::Replica { replica, fail_create: Some(fail) } = subject else {
        return (subject.clone(), lives);
    };
    let mut orders = Vec::new();
    if lives.len() <= PROCESSES_MAX {
        permute(&mut lives.clone(), 0, &mut orders);
    }
    let found = orders.into_iter().find_map(|order| Some((share(&order)?, order)));
    match found {
        Some((share, lives)) => {
            let fail_create = Some(FailCreate { share, ..*fail });
            (SubjectPlan::Replica { replica: *replica, fail_create }, lives)
        }
        None => (subject.clone(), lives),
    }
}

/// Every order, that in which they are first. There are at most a few.
fn permute<'h>(lives: &mut Lives<'h>, from: usize, orders: &mut Vec<Lives<'h>>) {
    if from >= lives.len() {
        orders.push(lives.clone());
        return;
    }
    for at in from..lives.len() {
        lives.swap(from, at);
        permute(lives, from + 1, orders);
        lives.swap(from, at);
    }
}

/// The share with which the creates fail that did, and those do not that came through.
fn share(lives: &Lives<'_>) -> Option<f64> {
    let (mut failed, mut passed) = (Vec::new(), Vec::new());
    for (process, life) in lives.iter().enumerate() {
        for (at, record) in life.iter().enumerate().filter(|(_, it)| it.operation == Operation::Create) {
            let lot = Stamp { writer: process as u32, sequence: FIRST_SEQUENCE + at as u64 }.lot();
            match record.outcome {
                Outcome::Failed => failed.push(lot),
                Outcome::Ok => passed.push(lot),
                // Refused or killed: whether it would have failed nobody knows.
                Outcome::Refused | Outcome::Unknown => {}
            }
        }
    }
    let highest = failed.into_iter().reduce(f64::max);
    let lowest = passed.into_iter().reduce(f64::min);
    match (highest, lowest) {
        (Some(highest), Some(lowest)) => (highest < lowest).then(|| f64::midpoint(highest, lowest)),
        (Some(_), None) => Some(1.0),
        (None, Some(lowest)) => Some(lowest / 2.0),
        (None, None) => None,
    }
}
