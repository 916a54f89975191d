//! `--explain`: sees again under control what was seen while processes ran freely, so that it fails every time.

use std::time::{Duration, Instant};

use super::Runner;
use super::explore::SHRINKING_ONE;
use crate::cli::findings::Simplest;
use crate::cli::request::Explain;
use crate::engine::explore;
use crate::explain::explorations;
use crate::history::History;
use crate::plan::{ExploreBudget, ExplorePlan, StressPlan};
use crate::report::human::plural;
use crate::report::progress::Bar;
use crate::results::scratch::Scratch;
use crate::scenario::units::show_ns;
use crate::violation::{Class, Violation};

/// What became of the attempt.
#[derive(Debug)]
pub(super) struct Explanation {
    /// In words.
    pub(super) words: String,
    /// The schedule, where one was found, and the number of the one that showed it first.
    pub(super) found: Option<(Simplest, u64)>,
}

impl Explanation {
    fn without(words: String) -> Self {
        Self { words, found: None }
    }
}

impl Runner<'_> {
    /// Tries to see a violation again; `None` where nobody wants that.
    pub(super) fn explain(
        &mut self,
        plan: &StressPlan,
        history: &History,
        (violation, is_expected): (&Violation, bool),
        bar: &Bar,
    ) -> Option<Explanation> {
        let limit = match self.request.explain {
            Explain::Nothing => return None,
            Explain::Unexpected(_) if is_expected => return None,
            Explain::Unexpected(limit) | Explain::Everything(limit) => limit,
        };
        bar.explaining();
        let plans = match explorations(plan, history, violation) {
            Ok(plans) => plans,
            Err(why) => return Some(Explanation::without(format!("not tried under control: {why}"))),
        };
        let deadline = Instant::now() + limit;
        let mut schedules = 0;
        let mut failure = None;
        for plan in plans {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.interrupt.is_set() {
                break;
            }
            match self.attempt(plan, violation.class, left, &mut schedules) {
                Ok(None) => {}
                Ok(Some(found)) => {
                    let words = format!("seen again under control, by schedule {}", found.1);
                    return Some(Explanation { words, found: Some(found) });
                }
                // A status that this subject cannot be brought into, or one try that cannot be controlled: others may.
                Err(why) => failure = Some(why.to_string()),
            }
        }
        let tried = plural(schedules, "schedule");
        let limit = show_ns(u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX));
        let failure =
            failure.and_then(|why| why.lines().next().map(|first| format!("; one try failed: {first}")));
        let words = format!(
            "not reproduced under control within {limit} ({tried} tried{})",
            failure.unwrap_or_default()
        );
        Some(Explanation::without(words))
    }

    fn attempt(
        &mut self,
        plan: ExplorePlan,
        class: Class,
        left: Duration,
        schedules: &mut u64,
    ) -> Result<Option<(Simplest, u64)>, Box<dyn std::error::Error>> {
        let scratch = Scratch::create(&self.request.base)?;
        let time_ns = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        let budget = ExploreBudget { time_ns, ..plan.budget };
        let plan = ExplorePlan { root: scratch.root(), budget, ..plan };
        let run = explore::run(&mut self.zygote, &plan, self.interrupt.flag(), &())?;
        let before = *schedules;
        *schedules += run.schedules;
        let shows = |violations: &[Violation]| violations.iter().any(|violation| violation.class == class);
        let Some(discovery) = run.discoveries.iter().find(|discovery| shows(&discovery.violations)) else {
            return Ok(None);
        };
        let simplest = self.simplest(&plan, discovery, class, SHRINKING_ONE);
        Ok(Some((simplest, before + discovery.number)))
    }
}
