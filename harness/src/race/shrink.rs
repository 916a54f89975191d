//! From a discovery under control to the simplest that shows the same: fewer processes, then fewer preemptions.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::control::{Holder, Phase, Search, follower};
use super::error::RaceError;
use super::phases::PREEMPTIONS_FIRST;
use super::{Discovery, NoBaseline, Seen, prepare};
use crate::explore::machine::End;
use crate::explore::strategy::Coverage;
use crate::explore::strategy::bounded::Bounded;
use crate::plan::race::{ControlRecord, RacePlan};
use crate::process::Zygote;
use crate::tracee::Planned;
use crate::violation::Class;

/// How long something simpler is looked for in a race.
pub(super) const SHRINKING: Duration = Duration::from_secs(3);

/// Looks for something simpler than a kept schedule that shows the same class; none where the schedule itself does not show it
/// any more. `root` is an empty folder.
pub fn shrink(
    zygote: &Zygote,
    plan: &RacePlan,
    root: &Path,
    (kept, class): (&ControlRecord, Class),
    time: Duration,
    stop: &AtomicBool,
) -> Result<Option<Discovery>, RaceError> {
    let (mut site, mut judge, mut run) = prepare(zygote, plan, root)?;
    let until = Instant::now() + time;
    let mut search = Search {
        zygote,
        site: &mut site,
        judge: &mut judge,
        plan,
        root,
        run: &mut run,
        until,
        stop,
        progress: &(),
        untold: None,
        power: super::disk_of(plan)?.map(super::losing::PowerBook::new),
        words: None,
        attachable: false,
    };
    search.shrink_kept(kept, class, time).map_err(RaceError::from)
}

impl Search<'_> {
    fn shrink_kept(
        &mut self,
        kept: &ControlRecord,
        class: Class,
        time: Duration,
    ) -> Result<Option<Discovery>, NoBaseline> {
        self.words = Some(kept.words.clone());
        if self.judge.model.is_none() {
            self.know_what_is_right()?;
        }
        let everybody = (0..self.site.processes.len()).collect();
        let refused = |why: String| NoBaseline::Error(RaceError::Unsupported(why));
        let mut holder =
            self.open(everybody, Some(kept.words.clone())).map_err(|error| refused(error.to_string()))?;
        let planned: Vec<Planned> = kept.schedule.lines.iter().filter_map(Planned::of).collect();
        let mut chooser = follower(&kept.schedule, &holder);
        let (execution, played) =
            self.watched(&mut holder, &planned, &mut chooser, &mut ())?.map_err(refused)?;
        if !chooser.followed().to_the_letter() || matches!(execution.end, End::Abandoned | End::TooLong) {
            return Ok(None);
        }
        let preemptions = execution.preemptions();
        let (_, left) = execution.split();
        let found = match &kept.power {
            Some(_) => self.lose_power(&mut holder, &left, preemptions, &played)?,
            None => self.judged(&mut holder, &left, &planned, preemptions, played)?,
        };
        match found.filter(|found| found.broken.class == class) {
            Some(found) => self.simplest(found, &mut holder, time).map(Some),
            None => Ok(None),
        }
    }

    /// Looks for something simpler that shows the same: fewer processes, then fewer preemptions.
    pub(super) fn simplest(
        &mut self,
        found: Discovery,
        holder: &mut Holder,
        time: Duration,
    ) -> Result<Discovery, NoBaseline> {
        let until = Instant::now() + time;
        let mut simplest = found;
        let mut is_minimal = true;
        if holder.members.len() > 2 && simplest.broken.busy.is_empty() {
            let mut at = 0;
            // Without one of several that do the same, what is left is the same, whichever it was.
            let mut tried: Vec<Vec<usize>> = Vec::new();
            while let Some(members) = without(&simplest, at) {
                if tried.iter().any(|others| run_the_same(&self.plan.processes, &members, others)) {
                    at += 1;
                    continue;
                }
                if Instant::now() >= until {
                    is_minimal = false;
                    break;
                }
                if let Some(simpler) = self.try_fewer(&members, &simplest, until)? {
                    simplest = simpler;
                } else {
                    tried.push(members);
                    at += 1;
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

/// Whether some processes run the same as others, whichever of them runs what.
fn run_the_same(processes: &[Vec<String>], some: &[usize], others: &[usize]) -> bool {
    let run = |members: &[usize]| {
        let mut lines: Vec<&Vec<String>> = members.iter().map(|member| &processes[*member]).collect();
        lines.sort_unstable();
        lines
    };
    run(some) == run(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_of_those_that_run_the_same_is_left_out_the_same_is_left() {
        let lines = [&["add"][..], &["add"], &["get"], &["get", "add"]];
        let processes: Vec<Vec<String>> =
            lines.iter().map(|lines| lines.iter().map(|line| (*line).to_owned()).collect()).collect();
        assert!(run_the_same(&processes, &[1, 2], &[0, 2]) && run_the_same(&processes, &[0, 2], &[2, 1]));
        for (some, others) in
            [(&[0, 1][..], &[0, 2][..]), (&[2, 3], &[2, 2]), (&[0], &[0, 1]), (&[0, 3], &[1, 2])]
        {
            assert!(!run_the_same(&processes, some, others), "{some:?} and {others:?}");
        }
    }
}
