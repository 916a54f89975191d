//! How the time of a run is shared among its units, and when nothing more is begun.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::cli::request::End;
use crate::report::ScenarioReport;
use crate::report::exit::Exit;
use crate::words::plural;

/// How far the work has come, and whether it goes on.
pub(super) struct Watch {
    /// The time that is left for all units, where that is limited.
    left: Option<Duration>,
    /// The share of the unit that runs now.
    share: Duration,
    /// Units that had no turn yet.
    units_left: u32,
    /// Distinct findings that nobody expects.
    findings: BTreeSet<String>,
    /// Why nothing more is run.
    pub ended: Option<String>,
}

/// Less time than this is none.
const SHARE_MIN: Duration = Duration::from_millis(50);

impl Watch {
    /// Of so many units, for which there is this time; `None`: as much as they like.
    pub fn new(left: Option<Duration>, units: usize) -> Self {
        let units_left = u32::try_from(units).unwrap_or(u32::MAX);
        Self { left, share: Duration::ZERO, units_left, findings: BTreeSet::new(), ended: None }
    }

    /// Leaves out a unit that was done before.
    pub fn skip(&mut self) {
        self.units_left = self.units_left.saturating_sub(1);
    }

    /// Takes the time of the next unit; `None`: it is not limited.
    pub fn share(&mut self) -> Option<Duration> {
        let units = self.units_left.max(1);
        self.units_left = self.units_left.saturating_sub(1);
        self.share = (self.left? / units).max(SHARE_MIN);
        Some(self.share)
    }

    /// Takes what a unit took off the time that is left. Where it found something, that is at most its share: how long it
    /// takes to make a finding simple, and to see it again, is nothing that the others should lack.
    pub fn spend(&mut self, took: Duration, report: &ScenarioReport) {
        let took = if report.violations.is_empty() { took } else { took.min(self.share) };
        self.left = self.left.map(|left| left.saturating_sub(took));
    }

    /// Learns what a unit came to.
    pub fn learn(&mut self, report: &ScenarioReport, end: End) {
        let unexpected = report.violations.iter().filter(|violation| !violation.expected);
        self.findings.extend(unexpected.map(|violation| violation.signature.clone()));
        let is_enough = end.at_findings.is_some_and(|most| self.findings.len() as u64 >= most);
        if is_enough {
            let count = plural(self.findings.len() as u64, "finding");
            self.ended = Some(format!("stopped after {count} (--max-findings)"));
        } else if end.at_first_failure && report.exit != Exit::AsExpected {
            self.ended = Some(format!("stopped after {} (--fail-fast)", report.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::cases::tests::scenario;

    #[test]
    fn what_is_left_is_shared_evenly() {
        let second = Duration::from_secs(1);
        let mut watch = Watch::new(Some(4 * second), 4);
        let mut clean = scenario("clean", Exit::AsExpected);
        clean.violations.clear();
        watch.skip();
        assert_eq!(watch.share(), Some(4 * second / 3));
        watch.spend(2 * second, &clean);
        assert_eq!(watch.share(), Some(second), "one that took longer takes it from all that follow");
        watch.spend(second / 2, &clean);
        assert_eq!(watch.share(), Some(second * 3 / 2), "what one does not need is the others'");
    }

    #[test]
    fn a_finding_takes_no_time_from_the_others() {
        let second = Duration::from_secs(1);
        let mut watch = Watch::new(Some(4 * second), 2);
        assert_eq!(watch.share(), Some(2 * second));
        watch.spend(60 * second, &scenario("broken", Exit::Violation));
        assert_eq!(watch.share(), Some(2 * second));
        let mut unlimited = Watch::new(None, 2);
        unlimited.spend(second, &scenario("broken", Exit::Violation));
        assert_eq!(unlimited.share(), None);
    }
}
