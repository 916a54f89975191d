//! From a discovery under control to the simplest that shows the same: fewer processes, then fewer preemptions.

use std::time::{Duration, Instant};

use super::control::{Holder, PREEMPTIONS_FIRST, Phase, Search};
use super::{Discovery, NoBaseline, Seen};
use crate::explore::strategy::Coverage;
use crate::explore::strategy::bounded::Bounded;
use crate::tracee::Planned;

/// How long something simpler is looked for.
const SHRINKING: Duration = Duration::from_secs(3);

impl Search<'_> {
    /// Looks for something simpler that shows the same: fewer processes, then fewer preemptions.
    pub(super) fn simplest(
        &mut self,
        found: Discovery,
        holder: &mut Holder,
    ) -> Result<Discovery, NoBaseline> {
        let until = Instant::now() + SHRINKING;
        let mut simplest = found;
        let mut is_minimal = true;
        if holder.members.len() > 2 && simplest.broken.busy.is_empty() {
            let mut at = 0;
            while let Some(members) = without(&simplest, at) {
                if Instant::now() >= until {
                    is_minimal = false;
                    break;
                }
                match self.try_fewer(&members, &simplest, until)? {
                    Some(simpler) => simplest = simpler,
                    None => at += 1,
                }
            }
        }
        is_minimal &= self.interrupt_less(&mut simplest, holder, until)?;
        if let Seen::Controlled(controlled) = &mut simplest.seen {
            controlled.is_minimal = is_minimal;
            simplest.broken.renumber(&controlled.members);
            let processes = &mut controlled.played.outcome.processes;
            *processes =
                controlled.members.iter().map(|process| std::mem::take(&mut processes[*process])).collect();
        }
        Ok(simplest)
    }

    /// Looks for fewer preemptions; whether there is nothing with fewer.
    fn interrupt_less(
        &mut self,
        simplest: &mut Discovery,
        holder: &mut Holder,
        until: Instant,
    ) -> Result<bool, NoBaseline> {
        let Seen::Controlled(controlled) = &simplest.seen else { return Ok(true) };
        let (preemptions, members) = (controlled.preemptions, controlled.members.clone());
        let Some(fewer) = preemptions.checked_sub(1) else { return Ok(true) };
        let planned: Vec<Planned> = controlled.schedule.lines.iter().filter_map(Planned::of).collect();
        let executions = self.run.executions;
        // The search begins with the fewest, so the first that it finds has the fewest.
        let mut bounded = Bounded::with_at_most(fewer.min(PREEMPTIONS_FIRST));
        let phase = if members == holder.members {
            self.explore(holder, &mut bounded, &planned, until)?
        } else {
            let words = Some(controlled.words.clone());
            let Ok(mut holder) = self.open(members, words) else { return Ok(false) };
            self.explore(&mut holder, &mut bounded, &planned, until)?
        };
        self.run.executions = executions;
        Ok(match phase {
            Phase::Found(simpler) if simpler.broken.class == simplest.broken.class => {
                *simplest = Discovery { number: simplest.number, ..*simpler };
                true
            }
            Phase::Over(coverage) => coverage != Coverage::Partial && fewer <= PREEMPTIONS_FIRST,
            _ => false,
        })
    }

    fn try_fewer(
        &mut self,
        members: &[usize],
        found: &Discovery,
        until: Instant,
    ) -> Result<Option<Discovery>, NoBaseline> {
        let Ok(mut holder) = self.open(members.to_vec(), None) else { return Ok(None) };
        if self.rehearse(&mut holder)?.is_some() {
            return Ok(None);
        }
        let executions = self.run.executions;
        let number = found.number;
        let mut bounded = Bounded::with_at_most(PREEMPTIONS_FIRST);
        let phase = self.explore(&mut holder, &mut bounded, &[], until)?;
        // What is run to make it simpler is no part of the search.
        self.run.executions = executions;
        Ok(match phase {
            Phase::Found(simpler) if simpler.broken.class == found.broken.class => {
                Some(Discovery { number, ..*simpler })
            }
            _ => None,
        })
    }
}

/// The processes of a discovery without the one at a place; none where there are but two, or no such place.
fn without(discovery: &Discovery, at: usize) -> Option<Vec<usize>> {
    let Seen::Controlled(controlled) = &discovery.seen else { return None };
    let mut members = controlled.members.clone();
    (members.len() > 2 && at < members.len()).then(|| {
        members.remove(at);
        members
    })
}
