//! Crashes of a command: SIGKILL at each of its steps, and every state that a power loss may leave.
//!
//! The command is its own specification: what a crash leaves must be the state before or the one after, as the folders or
//! the commands that come after tell it. The command runs once under control, with a journal of what it did; a disk model
//! says what may be missing; each state that it allows is laid out and judged as a race's outcome is.

mod kill;
mod power;
pub mod replay;
pub mod tell;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::engine::{Ended, Progress};
use crate::ground::Capture;
use crate::plan::crash::CrashPlan;
use crate::plan::schedule::Names;
pub use crate::power::{Lost, Reached, StepOnDisk};
use crate::process::Zygote;
use crate::process::clock::now_ns;
use crate::race::baseline::{Baseline, NoBaseline};
use crate::race::blind::blindness;
use crate::race::judge::{Broken, BusyRule, Judge};
use crate::race::outcome::{Ending, Outcome};
use crate::race::site::Site;
use crate::race::{RaceError, comparator, must_be_of_one_filesystem};

/// What a crash gives back.
#[derive(Debug)]
pub struct CrashRun {
    /// At how many steps the command was killed; none where that was not tried.
    pub kills: Option<u64>,
    /// What a power loss may leave; none where that was not tried, or could not be.
    pub power: Option<Power>,
    /// What could not be judged, and why.
    pub unjudged: Option<String>,
    /// What was found, the simplest of each kind.
    pub discoveries: Vec<Discovery>,
    /// What may be anything: a place, and the line there as it is shown.
    pub masked: BTreeSet<(String, String)>,
    /// Files that a crash left over, and that are no violation.
    pub left_over: BTreeSet<String>,
    /// What the command changed outside of the state folders.
    pub touched_outside: BTreeSet<String>,
    /// Files that are ignored, and that the command wrote by memory that it shared: what calls wrote to them is all that is known.
    pub mapped: BTreeSet<String>,
    /// How often the command ran alone, to learn what is right.
    pub sequential_runs: u64,
    /// How long it took, in nanoseconds.
    pub duration_ns: u64,
    /// Whether the budget was used up, or somebody stopped it.
    pub ended: Ended,
    /// What lay in the state folders at first.
    pub initial: Vec<Capture>,
}

impl CrashRun {
    /// Tells of what was not judged, beside what is told already.
    fn leaves_unjudged(&mut self, why: String) {
        self.unjudged = Some(match self.unjudged.take() {
            Some(known) => format!("{known}; {why}"),
            None => why,
        });
    }
}

/// What a power loss may leave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Power {
    /// The model of the filesystem, as scenarios spell it.
    pub disk: &'static str,
    /// How many calls changed the folder, or asked for something to last.
    pub calls: usize,
    /// How many different states were judged.
    pub states: u64,
    /// Whether these are all that the model allows.
    pub is_exhaustive: bool,
}

/// A crash that leaves what is neither before nor after.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// The promise that was broken, and by which state.
    pub broken: Broken,
    /// What was left, and what came after.
    pub outcome: Outcome,
    /// How it came about.
    pub how: How,
}

/// How a crash came about.
#[derive(Clone, Debug)]
pub enum How {
    /// The command was killed.
    Killed {
        /// The step before which SIGKILL came, as schedules spell steps.
        before: String,
        /// The steps that it had taken.
        steps: Vec<String>,
        /// At how many of the steps it shows.
        shown: u64,
        /// The words that names are made of in these steps.
        words: BTreeSet<String>,
        /// What the names that have numbers in these steps were, for people.
        names: Names,
    },
    /// The power went.
    PowerLost(Box<Lost>),
}

/// What a crash works with.
struct Work<'a> {
    zygote: &'a Zygote,
    plan: &'a CrashPlan,
    site: Site,
    judge: Judge,
    root: &'a Path,
    run: CrashRun,
    until: Instant,
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
}

/// Crashes. `root` is an empty folder for copies and outputs. Setting `stop` ends it early and cleanly.
pub fn run(
    zygote: &Zygote,
    plan: &CrashPlan,
    root: &Path,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<CrashRun, RaceError> {
    let begun_ns = now_ns();
    let mut work = open(zygote, plan, root, stop, progress)?;
    work.conduct().map_err(|error| match error {
        NoBaseline::Error(error) => error,
        NoBaseline::Hangs(hang) => RaceError::Refused(format!(
            "the command does not end, even without a crash: {}",
            hang.played.waiting.join("; ")
        )),
    })?;
    let mut run = work.run;
    run.sequential_runs = work.judge.baseline.runs;
    run.masked = work.judge.baseline.masked();
    run.duration_ns = now_ns() - begun_ns;
    Ok(run)
}

/// Brings all to where crashes can begin.
fn open<'a>(
    zygote: &'a Zygote,
    plan: &'a CrashPlan,
    root: &'a Path,
    stop: &'a AtomicBool,
    progress: &'a dyn Progress,
) -> Result<Work<'a>, RaceError> {
    must_be_of_one_filesystem(&plan.race.state)?;
    let until = Instant::now() + Duration::from_nanos(plan.race.budget.time_ns);
    let busy = BusyRule::compile(&plan.race.busy)?;
    let comparator = comparator(&plan.race)?;
    let mut site = Site::open(zygote, &plan.race, root)?;
    let baseline = Baseline::new(comparator, &site)?;
    let initial = site.initial()?;
    let judge = Judge { baseline, busy, strict: plan.race.strict, model: None };
    let run = CrashRun {
        kills: None,
        power: None,
        unjudged: None,
        discoveries: Vec::new(),
        masked: BTreeSet::new(),
        left_over: BTreeSet::new(),
        touched_outside: BTreeSet::new(),
        mapped: BTreeSet::new(),
        sequential_runs: 0,
        duration_ns: 0,
        ended: Ended::Completed,
        initial,
    };
    Ok(Work { zygote, plan, site, judge, root, run, until, stop, progress })
}

impl Work<'_> {
    fn conduct(&mut self) -> Result<(), NoBaseline> {
        self.must_be_fit()?;
        if self.plan.kill {
            self.kill_everywhere()?;
        }
        if let Some(disk) = &self.plan.disk {
            let disk = crate::disk::model::named(disk)
                .ok_or_else(|| RaceError::Usage(format!("--disk {disk}: no such model")))?;
            self.lose_power(disk)?;
        }
        Ok(())
    }

    /// What comes after must work on the state before or the one after: else it can tell nothing of those between.
    fn must_be_fit(&mut self) -> Result<(), NoBaseline> {
        let everything: BTreeSet<_> = self.all_steps().into_iter().collect();
        let whole = self.site.sequential(&self.all_steps())?;
        let command = whole.outcome.commands().find(|(_, done)| done.ending != Ending::Exited(0));
        if let (Some((who, done)), true) = (command, self.plan.durable.is_some()) {
            return Err(RaceError::Refused(format!(
                "{who} ends with {} even without a crash, so it never reports a success that --durable could check",
                done.ending
            ))
            .into());
        }
        let nothing = self.site.sequential(&[])?;
        for (index, (before, after)) in nothing.outcome.then.iter().zip(&whole.outcome.then).enumerate() {
            let fails = |ending: Ending| ending != Ending::Exited(0);
            if fails(before.ending) && fails(after.ending) {
                let text = &self.plan.race.then[index];
                let said = String::from_utf8_lossy(&after.stderr.text);
                let said = said.lines().next().unwrap_or_default();
                let said = if said.is_empty() { String::new() } else { format!("; it said: {said}") };
                return Err(RaceError::Refused(format!(
                    "--then {text:?} fails before any crash, both before the command and after it: {}{said}",
                    after.ending
                ))
                .into());
            }
        }
        self.judge.baseline.orders(&mut self.site, &BTreeSet::new())?;
        self.judge.baseline.orders(&mut self.site, &everything)?;
        let plan = &self.plan.race;
        match blindness(&mut self.judge.baseline, &mut self.site, plan, &self.run.initial)? {
            Some(why) => Err(RaceError::Refused(why).into()),
            None => Ok(()),
        }
    }

    fn all_steps(&self) -> Vec<(usize, usize)> {
        (0..self.site.processes[0].len()).map(|index| (0, index)).collect()
    }

    fn is_over(&mut self) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            self.run.ended = Ended::Interrupted;
        }
        self.run.ended == Ended::Interrupted || Instant::now() >= self.until
    }
}
