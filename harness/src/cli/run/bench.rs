//! Benchmarks among the scenarios of a run: measured as `flockwork bench` does, and reported as scenarios are.

use super::{NotRun, Runner, did_not_run};
use crate::cli::bench::{Conducted, Conductor, Consent, check_size};
use crate::measure::Round;
use crate::report::ScenarioReport;
use crate::report::verdict::Verdict;
use crate::scenario::Scenario;

impl Runner<'_> {
    /// Measures a benchmark and reports it.
    pub(super) fn measured(&mut self, scenario: &Scenario) -> Result<ScenarioReport, NotRun> {
        let not_run =
            |failure: crate::cli::failure::Failure| NotRun { exit: failure.exit, why: failure.message };
        if let Some(bench) = scenario.bench() {
            check_size(&scenario.name, bench, 1, Consent::Budget).map_err(not_run)?;
        }
        let share = Some(self.share());
        let conductor = Conductor {
            zygote: &mut self.zygote,
            results: &self.results,
            interrupt: &self.interrupt,
            command_line: self.command_line,
            output: self.output,
            seed: self.unit.seed,
            share,
            bases: std::slice::from_ref(&self.request.base),
            overrides: &self.request.overrides,
        };
        conductor
            .conduct(scenario)
            .map(|conducted| report(scenario, conducted, self.interrupt.is_set()))
            .map_err(not_run)
    }
}

fn report(scenario: &Scenario, conducted: Conducted, is_interrupted: bool) -> ScenarioReport {
    let Conducted { record, verdict, folder } = conducted;
    let rounds = || record.cells.iter().flat_map(|cell| &cell.rounds);
    let operations: u64 = rounds().map(Round::acquisitions).sum();
    let handoffs: u64 = rounds().map(|round| round.handoffs).sum();
    ScenarioReport {
        subject: "benchmark".into(),
        verdict: verdict.verdict,
        expected: verdict.verdict == Verdict::Clean,
        reasons: verdict.reasons,
        operations,
        duration_s: rounds().map(|round| round.duration_ns).sum::<u64>() as f64 / 1e9,
        handoff_ratio: Some(handoffs as f64 / operations.max(1) as f64),
        interrupted: is_interrupted,
        results: Some(folder),
        exit: verdict.exit,
        ..did_not_run(scenario, NotRun { exit: verdict.exit, why: String::new() })
    }
}
