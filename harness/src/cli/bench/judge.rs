//! What a benchmark comes to: whether it is whole, and whether its processes excluded each other.

use serde::Serialize;

use crate::measure::Cell;
use crate::measure::threshold::{Assessment, Outcome};
use crate::plan::bench::{BenchLock, CellPlan, Task};
use crate::report::bench::BenchReport;
use crate::report::exit::Exit;
use crate::report::verdict::{self, Verdict};
use crate::words::grouped;
use crate::words::plural;

/// What a benchmark comes to.
#[derive(Clone, Debug, Serialize)]
pub struct BenchVerdict {
    /// What follows from all thresholds together.
    pub verdict: Verdict,
    /// The exit code that says the same.
    pub exit_code: u8,
    /// Why, where it is not simply as expected.
    pub reasons: Vec<String>,
    /// The same as a value.
    #[serde(skip)]
    pub exit: Exit,
}

/// Judges what was measured; `plans` are its cells' plans.
pub fn judge(report: &BenchReport<'_>, plans: &[CellPlan], is_interrupted: bool) -> BenchVerdict {
    let record = report.view.record;
    let mut exit = Exit::AsExpected;
    let mut reasons = Vec::new();
    for (cell, plan) in record.cells.iter().zip(plans) {
        if let Some(overlaps) = overlaps(cell).filter(|_| excludes(plan)) {
            exit = exit.and(Exit::Violation);
            reasons.push(format!("{}: the processes did not exclude each other: {overlaps}", cell.point));
        }
        if let Some(why) = &cell.invalid {
            exit = exit.and(Exit::Inconclusive);
            reasons.push(format!("{}: invalid: {why}", cell.point));
        }
    }
    if is_interrupted {
        exit = exit.and(Exit::Inconclusive);
        reasons.push("interrupted before every cell had all its rounds".into());
    }
    let missed = |outcome| report.verdicts.iter().filter(move |verdict| verdict.outcome == outcome).collect();
    match report.outcome() {
        Outcome::Met => {}
        // One that is certainly exceeded is a result, however many others are open.
        Outcome::Exceeded => {
            if exit == Exit::AsExpected {
                exit = Exit::ThresholdExceeded;
            }
            reasons.push(count(missed(Outcome::Exceeded), "exceeded"));
        }
        Outcome::Inconclusive => {
            exit = exit.and(Exit::Inconclusive);
            reasons.push(count(missed(Outcome::Inconclusive), "undecided"));
        }
    }
    BenchVerdict { verdict: verdict::of_exit(exit), exit_code: exit.code(), reasons, exit }
}

/// `throughput > 100_000/s exceeded in 3 of 8 cells`, for each threshold.
fn count(verdicts: Vec<&Assessment>, how: &str) -> String {
    let mut cells: Vec<(&str, u64)> = Vec::new();
    for verdict in verdicts {
        match cells.iter_mut().find(|(threshold, _)| *threshold == verdict.threshold) {
            Some((_, count)) => *count += 1,
            None => cells.push((&verdict.threshold, 1)),
        }
    }
    let told =
        cells.iter().map(|(threshold, count)| format!("{threshold} {how} in {}", plural(*count, "cell")));
    told.collect::<Vec<_>>().join("; ")
}

fn overlaps(cell: &Cell) -> Option<String> {
    let watched = cell.rounds.iter().map(|round| round.exclusion.watched).sum();
    let overlaps = cell.rounds.iter().map(|round| round.exclusion.overlaps).sum();
    (overlaps > 0).then(|| {
        let (overlaps, watched) = (grouped(overlaps), grouped(watched));
        format!("in {overlaps} of {watched} critical sections another process was inside")
    })
}

/// Whether whoever is in a watched section must be alone. Sections of readers are not watched.
const fn excludes(plan: &CellPlan) -> bool {
    !matches!(plan.task, Task::Bare { lock: BenchLock::None, .. } | Task::Command(_))
}
