//! Refusals that tell that a container existed, but not in which generation and revision.
//!
//! They are placed after everything else, where they delay nothing: into a stretch of one state between two changes.

use crate::history::Record;
use crate::model::{self, State};

use super::config::Config;
use super::sort::Partition;
use super::unknown::DeathRule;

/// The stretches of one state, in order, by the earliest times of an order that needed no choice.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Before the first one it was absent.
    stretches: Vec<Stretch>,
    /// There was a choice: then these are not the only possible times.
    pub branched: bool,
}

impl Timeline {
    pub fn note(&mut self, config: &Config, deadline_ns: u64) {
        self.stretches.push((config.at_ns, deadline_ns, config.state));
        self.branched |= config.delayed;
    }

    /// At the end: notes whether what found the container absent delays anything.
    pub fn end(&mut self, frontier: &[Config], partition: &Partition) {
        self.branched |= frontier
            .iter()
            .any(|config| config.state != State::Absent && config.absents < partition.absents.len());
    }
}

pub(super) enum Stop {
    /// This refusal has no place in any order.
    Nowhere(u32),
    /// Some refusal has no place in the order found, but may have one in another.
    Undecided,
}

/// Gives every such refusal a place.
pub(super) fn judge(
    records: &[Record],
    partition: &Partition,
    deaths: DeathRule,
    timeline: &Timeline,
) -> Result<(), Stop> {
    if partition.existences.is_empty() {
        return Ok(());
    }
    if timeline.branched {
        return Err(Stop::Undecided);
    }
    for &(_, index) in &partition.existences {
        let record = &records[index as usize];
        // Those that are over before it was invoked need no look.
        let first =
            timeline.stretches.partition_point(|stretch| stretch.0 < record.invoke_ns).saturating_sub(1);
        if !fits(record, &timeline.stretches, first, |next| next.0) {
            // Delayed as far as may be, a stretch ends by the deadline of the change that ends it.
            let may_fit = fits(record, &timeline.stretches, 0, |next| next.1);
            // What never answered can have led a life, and a sandbox can have died, that nobody else saw.
            let is_certain = !may_fit && partition.unknowns.is_empty() && deaths != DeathRule::Free;
            return Err(if is_certain { Stop::Nowhere(index) } else { Stop::Undecided });
        }
    }
    Ok(())
}

/// (begins at, deadline of the change that begins it, state).
type Stretch = (u64, u64, State);

/// Whether a stretch from the first on permits the refusal within its interval; `until` tells from a stretch's
/// successor how long it lasts.
fn fits(record: &Record, stretches: &[Stretch], first: usize, until: impl Fn(&Stretch) -> u64) -> bool {
    let reachable = stretches.partition_point(|&(begins_ns, ..)| begins_ns <= record.deadline_ns());
    (first..reachable).any(|position| {
        let ends_ns = stretches.get(position + 1).map_or(u64::MAX, &until);
        ends_ns >= record.invoke_ns && model::step(stretches[position].2, record.into()).is_ok()
    })
}
