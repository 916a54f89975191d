//! From a schedule that broke a promise to the simplest that does, and to the finding that keeps it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::engine::EngineError;
use crate::engine::explore::follow::Following;
use crate::engine::explore::{Discovery, Executor, Lost};
use crate::explore::observe::{Held, Observer, Scene};
use crate::explore::step::Object;
use crate::finding::moments::{self, Files, Moments};
use crate::finding::{Exploration, Finding};
use crate::history::History;
use crate::plan::ExplorePlan;
use crate::plan::schedule::{Schedule, without_number};
use crate::process::Zygote;
use crate::report::reproduce::quoted;
use crate::report::{Reproduction, Tries, ViolationReport};
use crate::scratch::Scratch;
use crate::shrink::{Case, RealTrials, shrink};
use crate::violation::{Class, Violation};

/// A schedule that shows a class, as simple as it was found.
#[derive(Clone, Debug)]
pub struct Simplest {
    /// The plan, with the setup and the programs that are left.
    pub plan: ExplorePlan,
    /// The schedule with the fewest preemptions that still shows the violation.
    pub schedule: Schedule,
    /// What the processes did and saw in it.
    pub history: History,
    /// The promise that the schedule breaks.
    pub violation: Violation,
    /// The other classes that it shows.
    pub also: Vec<Class>,
    /// How many times a process is interrupted in it that could have gone on.
    pub preemptions: u32,
    /// What a power loss left in it, where one shows the violation.
    pub lost: Option<Box<Lost>>,
    /// Whether nothing simpler was found, rather than the time used up.
    pub is_minimal: bool,
}

impl Simplest {
    /// The finding that keeps it.
    #[must_use]
    pub fn finding(&self, subject: &str) -> Finding {
        let finding = Finding::of(&self.history, &self.violation, subject);
        Finding { exploration: Some(self.exploration()), ..finding }
    }

    /// What it is seen again by.
    #[must_use]
    pub fn exploration(&self) -> Exploration {
        let exploration = Exploration::of(&self.plan, &self.schedule, self.preemptions);
        Exploration { also: self.also.clone(), ..exploration }
    }
}

/// Shrinks a discovery within a time. Where it does not show its class again it stays as it is.
pub fn simplest(
    zygote: &mut Zygote,
    plan: &ExplorePlan,
    discovery: &Discovery,
    class: Class,
    place: (&Path, &AtomicBool),
    time: Duration,
) -> Simplest {
    let shrunk = shrunk(zygote, plan, &discovery.schedule, class, place, time);
    let mut simplest = shrunk.unwrap_or_else(|_| Simplest {
        plan: plan.clone(),
        schedule: discovery.schedule.clone(),
        history: discovery.history.clone(),
        violation: of_class(&discovery.violations, class),
        also: others(&discovery.violations, class),
        preemptions: discovery.preemptions,
        lost: discovery.lost.clone(),
        is_minimal: false,
    });
    if simplest.lost.is_some()
        && let Some(lost) = mended(zygote, &simplest, place.0)
    {
        simplest.lost = Some(lost);
    }
    simplest
}

/// What a power loss leaves of a schedule, with the fsyncs that are missing in it: on the way to it they were looked for once only,
/// in another schedule.
fn mended(zygote: &Zygote, simplest: &Simplest, base: &Path) -> Option<Box<Lost>> {
    let scratch = Scratch::create(base).ok()?;
    let plan = ExplorePlan { root: scratch.root(), lanes: 1, ..simplest.plan.clone() };
    let mut executor = Executor::open(zygote, &plan).ok()?;
    let followed = executor.follow(&plan.processes, &simplest.schedule, Following::Strict, &mut ()).ok()?;
    followed.lost.filter(|_| followed.divergence.is_none())
}

/// How often a finding's schedule is followed, to say how surely it shows.
const REPLAYS: u32 = 5;

/// Follows a finding's schedule some times more: how often it shows its class again, and what lies in the files before
/// each step. Where it cannot be followed at all, nothing is told.
pub fn watched(
    zygote: &Zygote,
    simplest: &Simplest,
    (base, stop): (&Path, &AtomicBool),
) -> (Reproduction, Option<Moments>) {
    let Ok(scratch) = Scratch::create(base) else { return (Reproduction::default(), None) };
    let plan = ExplorePlan { root: scratch.root(), lanes: 1, ..simplest.plan.clone() };
    let mut reproduction = Reproduction { tries: Tries::Replays, ..Reproduction::default() };
    let mut seen = None;
    let Ok(mut executor) = Executor::open(zygote, &plan) else { return (reproduction, None) };
    for _ in 0..REPLAYS {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut watch = Watch::default();
        let observer: &mut dyn Observer = if seen.is_none() { &mut watch } else { &mut () };
        let followed = executor.follow(&plan.processes, &simplest.schedule, Following::Strict, observer);
        let class = simplest.violation.class;
        let is_shown = followed.is_ok_and(|followed| {
            followed.divergence.is_none() && followed.violations.iter().any(|it| it.class == class)
        });
        reproduction.times += u32::from(is_shown);
        reproduction.of += 1;
        if is_shown && seen.is_none() {
            seen = watch.moments();
        }
    }
    (reproduction, seen)
}

/// Looks at the files and at the locks before each step.
#[derive(Debug, Default)]
pub struct Watch {
    files: Vec<Files>,
    held: Vec<Vec<String>>,
    /// What each lock is of, by the step that took it.
    names: HashMap<Object, String>,
    /// The label of the step before.
    last: Option<Arc<str>>,
}

impl Watch {
    /// What there was before each step so far.
    pub fn moments(self) -> Option<Moments> {
        let held = Some(self.held);
        Moments::of(&self.files).map(|moments| Moments { held, ..moments })
    }
}

impl Observer for Watch {
    fn before(&mut self, scene: &Scene<'_>) {
        self.files.push(moments::look(scene.root));
        let taken = self.last.as_deref().and_then(locked);
        for held in scene.held {
            self.names.entry(held.lock).or_insert_with(|| taken.unwrap_or("a lock").to_owned());
        }
        let words = |held: &Held| {
            let shared = if held.shared { " (shared)" } else { "" };
            format!("p{}: {}{shared}", held.process + 1, self.names[&held.lock])
        };
        self.held.push(scene.held.iter().map(words).collect());
        self.last = scene.pending[scene.next].as_ref().map(|step| step.label.clone());
    }
}

/// The file that a step locks.
fn locked(label: &str) -> Option<&str> {
    let (verb, rest) = without_number(label).split_once(' ')?;
    let is_lock = matches!(verb, "flock" | "try-flock" | "fcntl-lock" | "try-fcntl-lock");
    rest.rsplit_once(' ').map(|(file, _mode)| file).filter(|_| is_lock)
}

/// Shrinks a schedule within a time; the error says why it could not be followed, or nothing where it was and did not
/// show the class.
pub fn shrunk(
    zygote: &mut Zygote,
    plan: &ExplorePlan,
    schedule: &Schedule,
    class: Class,
    (base, stop): (&Path, &AtomicBool),
    time: Duration,
) -> Result<Simplest, Option<EngineError>> {
    let (setup, programs) = (plan.setup.clone(), plan.processes.clone());
    let case = Case { setup, programs, schedule: schedule.clone() };
    let mut trials = RealTrials::new(zygote, plan.clone(), class, PathBuf::from(base), stop);
    let Some(shrunk) = shrink(&mut trials, case, time) else { return Err(trials.take_error()) };
    Ok(Simplest {
        plan: ExplorePlan { setup: shrunk.case.setup, processes: shrunk.case.programs, ..plan.clone() },
        schedule: shrunk.case.schedule,
        violation: of_class(&shrunk.shown.violations, class),
        also: others(&shrunk.shown.violations, class),
        history: shrunk.shown.history,
        preemptions: shrunk.shown.preemptions,
        lost: shrunk.shown.lost,
        is_minimal: shrunk.is_minimal,
    })
}

fn of_class(violations: &[Violation], class: Class) -> Violation {
    let found = violations.iter().find(|violation| violation.class == class).expect("it shows this class");
    Violation { message: without_roots(&found.message), ..found.clone() }
}

fn others(violations: &[Violation], class: Class) -> Vec<Class> {
    let mut others: Vec<_> = violations.iter().map(|violation| violation.class).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|other| *other != class);
    others
}

/// A message without the temporary folders in it: they are gone when it is read, and others in every run.
#[must_use]
pub fn without_roots(message: &str) -> String {
    let mut left = message;
    let mut text = String::new();
    while let Some((before, after)) = left.split_once("/root/lane") {
        let path = before.rfind(|c: char| c.is_whitespace() || c == '"').map_or(0, |blank| blank + 1);
        text.push_str(&before[..path]);
        left = after.split_once('/').map_or("", |(_, rest)| rest);
    }
    text + left
}

/// The command that replays what lies at a path.
#[must_use]
pub fn replay_words(path: &Path) -> String {
    format!("flockwork replay {}", quoted(&path.display().to_string()))
}

/// Lets a report lead to where its finding lies now. A command that replays it goes there too.
pub fn lead_to(violation: &mut ViolationReport, own: PathBuf) {
    if violation.finding.as_deref().is_some_and(|before| violation.reproduce == replay_words(before)) {
        violation.reproduce = replay_words(&own);
    }
    violation.finding = Some(own);
}

#[cfg(test)]
mod tests {
    use super::{locked, without_roots};

    #[test]
    fn a_lock_is_named_by_the_step_that_took_it() {
        assert_eq!(locked("flock c1/meta.lock exclusive #2"), Some("c1/meta.lock"));
        assert_eq!(locked("try-fcntl-lock \"a b\" shared"), Some("\"a b\""));
        for other in ["write c1/meta.lock 3 bytes", "give up c1/meta.lock to lock it anew", "exit"] {
            assert_eq!(locked(other), None, "{other}");
        }
    }

    #[test]
    fn messages_name_no_temporary_folder() {
        let message =
            "p1 \"from \\\"/dev/shm/flockwork-7-x/root/lane0/c1/meta.json\\\"\" and /t/root/lane12/c2";
        assert_eq!(without_roots(message), "p1 \"from \\\"c1/meta.json\\\"\" and c2");
        assert_eq!(without_roots("nothing"), "nothing");
    }
}
