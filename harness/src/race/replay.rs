//! A schedule of a race again: from the state that it was found in, step by step.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::control::{Search, follower};
use super::error::RaceError;
use super::judge::{Broken, Judged};
use super::{NoBaseline, prepare};
use crate::engine::explore::follow::Divergence;
use crate::explore::machine::End;
use crate::explore::observe::Observer;
use crate::plan::race::{ControlRecord, RacePlan};
use crate::plan::schedule::Schedule;
use crate::power::Lost;
use crate::process::Zygote;
use crate::tracee::Planned;

/// What came of following a schedule once.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The promise that the replay broke; none where it kept them all.
    pub broken: Option<Broken>,
    /// What a power loss left, where one broke it.
    pub lost: Option<Lost>,
    /// Where the schedule could not be followed.
    pub divergence: Option<Divergence>,
    /// The steps that were taken.
    pub schedule: Schedule,
    /// How many times a process was interrupted that could have gone on.
    pub preemptions: u32,
}

/// Follows a schedule so many times, each from the plan's initial state. `root` is an empty folder.
pub fn replay(
    zygote: &Zygote,
    plan: &RacePlan,
    root: &Path,
    kept: &ControlRecord,
    times: u32,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Vec<Replayed>, RaceError> {
    let (mut site, mut judge, mut run) = prepare(zygote, plan, root)?;
    let mut search = Search {
        zygote,
        site: &mut site,
        judge: &mut judge,
        plan,
        root,
        run: &mut run,
        until: Instant::now(),
        stop,
        progress: &(),
        untold: None,
        power: super::disk_of(plan)?.map(super::losing::PowerBook::new),
        words: None,
        attachable: observer.looks_on(),
    };
    let replayed = follow(&mut search, kept, times, observer);
    replayed.map_err(RaceError::from)
}

fn follow(
    search: &mut Search<'_>,
    kept: &ControlRecord,
    times: u32,
    observer: &mut dyn Observer,
) -> Result<Vec<Replayed>, NoBaseline> {
    let everybody = (0..search.site.processes.len()).collect();
    let refused = |why: String| NoBaseline::Error(RaceError::Unsupported(why));
    search.words = Some(kept.words.clone());
    if search.judge.model.is_none() {
        search.know_what_is_right()?;
    }
    let mut holder =
        search.open(everybody, Some(kept.words.clone())).map_err(|error| refused(error.to_string()))?;
    let planned: Vec<Planned> = kept.schedule.lines.iter().filter_map(Planned::of).collect();
    let mut all = Vec::new();
    while all.len() < times as usize && !search.stop.load(Ordering::Relaxed) {
        let mut chooser = follower(&kept.schedule, &holder);
        let (execution, played) =
            search.watched(&mut holder, &planned, &mut chooser, observer)?.map_err(refused)?;
        let divergence = Divergence::of(chooser.followed(), &kept.schedule);
        let (broken, lost) = match (execution.end, &kept.power) {
            (End::Abandoned | End::TooLong, _) => (None, None),
            (_, Some(power)) => {
                if search.judge.model.is_some() {
                    // Whether what comes after answers by the rules as long as the power stays on.
                    search.verdict(&played)?;
                }
                let left = (&execution.outcome, &played);
                match search.look_again(&holder, left, (power.calls, &power.missing))? {
                    Ok(Some(wrong)) => (Some(wrong.broken), Some(wrong.lost)),
                    Ok(None) => (None, None),
                    Err(why) => return Err(refused(format!("the power loss cannot be judged: {why}"))),
                }
            }
            (End::Completed | End::Deadlock, None) if execution.outcome.is_spoilt() => (None, None),
            (End::Completed | End::Deadlock, None) => match search.verdict(&played)? {
                Judged::Broken(broken) => (Some(broken), None),
                Judged::Legal { .. } => (None, None),
            },
        };
        let preemptions = execution.preemptions();
        let schedule = execution.outcome.schedule();
        all.push(Replayed { broken, lost, divergence, schedule, preemptions });
    }
    Ok(all)
}
