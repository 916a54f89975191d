//! Conduct: one scenario from its plan to its verdict. The command line and the doctor both call it; it writes no file of
//! the results.

pub mod command;
mod command_history;
pub mod explore;
pub mod rounds;
pub mod stress;

use crate::check::{CheckId, Examination};
use crate::engine::Ended;
use crate::report::verdict::{Case, Doubt};
use crate::scenario::Expect;
use crate::violation::Violation;

/// What the verdict rests on where it rests on what these checks found.
fn case<'e>(
    expect: &'e Expect,
    examinations: &[(CheckId, Examination)],
    shortfalls: Vec<String>,
    ended: Ended,
) -> Case<'e> {
    let found = || examinations.iter().map(|(_, examination)| examination);
    let doubts = examinations.iter().filter_map(|(check, examination)| {
        let why = format!("{check}: {}", examination.inconclusive.as_ref()?);
        Some(Doubt { class: check.class(), why })
    });
    Case {
        expect,
        seen: found().flat_map(|found| &found.violations).map(|violation| violation.class).collect(),
        doubts: doubts.collect(),
        shortfalls,
        examined: found().map(|found| found.examined).sum(),
        ended,
    }
}

/// What checks found, the gravest classes first.
fn gravest_first(examinations: &[(CheckId, Examination)]) -> Vec<&Violation> {
    let mut violations: Vec<_> =
        examinations.iter().flat_map(|(_, examination)| &examination.violations).collect();
    violations.sort_by_key(|violation| violation.class);
    violations
}
