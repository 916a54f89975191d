//! In which order executions under control are run where nobody asked for a strategy: what finds most first, what proves
//! most as soon as there is time for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::NoBaseline;
use super::control::{Holder, Phase, SAMPLES, Search};
use crate::explore::strategy::Coverage;
use crate::explore::strategy::bounded::Bounded;
use crate::explore::strategy::exhaustive::Exhaustive;
use crate::explore::strategy::random::Random;
use crate::plan::schedule::Fault;
use crate::tracee::Planned;

/// So many preemptions are tried where everything is too much: most races need no more.
pub const PREEMPTIONS_FIRST: u32 = 2;
/// How much longer the search for everything may go on when few preemptions are through, at the least.
const EXHAUSTIVE_MIN: Duration = Duration::from_secs(2);

impl Search<'_> {
    /// Everything, then few preemptions, then faults, then everything for longer, then chance: until the time is over.
    ///
    /// To run everything takes no more than to run what few preemptions reach, wherever it can be run at all: a search
    /// without a bound leaves equivalent executions out, one with a bound cannot. It begins with few preemptions as well.
    pub(super) fn everything_first(&mut self, holder: &mut Holder) -> Result<Phase, NoBaseline> {
        let begun = Instant::now();
        let left = self.until.saturating_duration_since(begun);
        let mut everything = Exhaustive::new();
        let coverage = match self.explore(holder, &mut everything, &[], begun + left / 3)? {
            Phase::Over(Coverage::Exhausted) => Some(Coverage::Exhausted),
            Phase::Over(_) | Phase::Spent => {
                // What is left is for chance, which finds what few preemptions do not.
                let until = begun + left * 3 / 4;
                match self.explore(holder, &mut Bounded::with_at_most(PREEMPTIONS_FIRST), &[], until)? {
                    Phase::Over(coverage) => Some(coverage).filter(|coverage| *coverage != Coverage::Partial),
                    Phase::Spent => None,
                    phase => return Ok(phase),
                }
            }
            phase => return Ok(phase),
        };
        match coverage {
            Some(coverage) if !self.plan.faults.is_empty() => self.with_faults(holder, coverage),
            Some(Coverage::Exhausted) => Ok(Phase::Over(Coverage::Exhausted)),
            Some(coverage) => {
                let until = self.until.min(Instant::now() + EXHAUSTIVE_MIN.max(begun.elapsed()));
                Ok(match self.explore(holder, &mut everything, &[], until)? {
                    Phase::Over(Coverage::Exhausted) => Phase::Over(Coverage::Exhausted),
                    Phase::Over(_) | Phase::Spent => Phase::Over(coverage),
                    phase => phase,
                })
            }
            None if !self.plan.faults.is_empty() => {
                Ok(match self.with_faults(holder, Coverage::Partial)? {
                    Phase::Over(_) => Phase::Spent,
                    phase => phase,
                })
            }
            None => match self.explore(holder, &mut Random::new(self.plan.seed, SAMPLES), &[], self.until)? {
                Phase::Over(_) | Phase::Spent => Ok(Phase::Spent),
                phase => Ok(phase),
            },
        }
    }

    /// Every single fault at every step that was seen: each alone first, then with everything, or with up to so many
    /// preemptions where that is too much. Of executions with faults no more can be said than of those without.
    fn with_faults(&mut self, holder: &mut Holder, reached: Coverage) -> Result<Phase, NoBaseline> {
        let chances: Vec<(usize, Arc<str>, Fault)> = self.run.chances.iter().cloned().collect();
        let planned = |(process, label, fault): &(usize, Arc<str>, Fault)| {
            [Planned { process: *process, label: Arc::clone(label), fault: *fault }]
        };
        for chance in &chances {
            match self.explore(holder, &mut Bounded::with_at_most(0), &planned(chance), self.until)? {
                Phase::Over(_) => {}
                phase => return Ok(phase),
            }
        }
        let mut all = reached;
        for (number, chance) in chances.iter().enumerate() {
            let left = self.until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(chances.len() - number).unwrap_or(u32::MAX);
            match self.explore(holder, &mut Exhaustive::new(), &planned(chance), Instant::now() + share)? {
                Phase::Over(Coverage::Exhausted) => continue,
                Phase::Over(_) | Phase::Spent => {}
                phase => return Ok(phase),
            }
            let mut bounded = Bounded::with_at_most(PREEMPTIONS_FIRST);
            match self.explore(holder, &mut bounded, &planned(chance), Instant::now() + share)? {
                Phase::Over(coverage) => all = all.least(coverage),
                Phase::Spent => all = Coverage::Partial,
                phase => return Ok(phase),
            }
        }
        Ok(if all == Coverage::Partial { Phase::Spent } else { Phase::Over(all) })
    }
}
