//! `flockwork replay`: follows a kept schedule again, and says whether the same promise broke.

mod crash;
mod desk;
mod hold;
mod race;
mod scene;
mod step;

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::args::{Format, ReplayArgs};
use super::failure::Failure;
use super::findings::without_roots;
use super::latest;
use super::output::{Output, print_json, print_words};
use super::stand::{Stand, engine_failed};
use crate::engine::explore::Executor;
use crate::engine::explore::follow::{Divergence, Followed, Following};
use crate::explore::observe::Observer;
use crate::finding::Exploration;
use crate::finding::load::{load_crash, load_race};
use crate::history::History;
use crate::plan::ExplorePlan;
use crate::process::Zygote;
use crate::report::exit::Exit;
use crate::report::human::Detail;
use crate::report::interleaving::{Interleaving, Tables, terminal_width};
use crate::report::lives::Lives;
use crate::violation::{Class, Violation};
use desk::Desk;

/// What a replay came to.
#[derive(Debug, Serialize)]
struct ReplayReport {
    schema_version: u32,
    verdict: Ending,
    exit_code: u8,
    /// The class that was to show again; null where the schedule expects none.
    class: Option<Class>,
    /// How many times it was followed.
    times: u32,
    /// How many of them ended as they should.
    reproduced: u32,
    /// What broke the first time that it did not reproduce, else the last time.
    violations: Vec<Shown>,
    divergence: Option<Left>,
    #[serde(skip)]
    table: Option<Tables>,
    /// The lives of the container that the violation mentions.
    #[serde(skip)]
    lives: Lives,
    #[serde(skip)]
    exit: Exit,
}

/// How one replay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Ending {
    /// The schedule was followed to its end, and showed what it should.
    Reproduced,
    /// It could not be followed.
    Diverged,
    /// It was followed to its end, and did not show what it should.
    NotReproduced,
}

#[derive(Debug, Serialize)]
struct Shown {
    class: Class,
    message: String,
}

/// Where it could not be followed; the line is counted from 1.
#[derive(Debug, Serialize)]
struct Left {
    line: usize,
    expected: String,
    found: String,
}

impl From<Divergence> for Left {
    fn from(divergence: Divergence) -> Self {
        Self { line: divergence.line + 1, expected: divergence.expected, found: divergence.found }
    }
}

/// Follows what a path leads to.
pub fn run(zygote: io::Result<Zygote>, args: &ReplayArgs, output: Output) -> Result<Exit, Failure> {
    let args = &ReplayArgs { path: finding(&args.path)?, ..args.clone() };
    let kept = load_race(&args.path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    if let Some(kept) = kept {
        return race::run(zygote, &kept, args, output);
    }
    let kept = load_crash(&args.path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    if let Some(kept) = kept {
        return crash::run(zygote, &kept, args, output);
    }
    let stand = Stand::prepare(zygote, &args.path, args.root.as_deref(), output)?;
    let plan = stand.plan();
    let steps = stand.kept.schedule.lines.len();
    let hold = args.hold.map(|step| held_step(step, steps)).transpose()?;
    let mut executor = Executor::open(&stand.zygote, &plan).map_err(|error| engine_failed(&error))?;
    let desk = Desk::new(stand.interrupt.clone());
    let mut observer: Box<dyn Observer> = match hold {
        Some(step) => Box::new(hold::Hold::new(desk, step)),
        None if args.step => Box::new(step::Walk::new(desk, stand.kept.schedule.clone())),
        None => Box::new(()),
    };
    let mut report: Option<ReplayReport> = None;
    let mut counts = (0, 0);
    for _ in 0..args.times.unwrap_or(1) {
        if stand.interrupt.is_set() {
            break;
        }
        let schedule = &stand.kept.schedule;
        let followed = executor
            .follow(&plan.processes, schedule, Following::Strict, &mut *observer)
            .map_err(|error| engine_failed(&error))?;
        let once = report_of(followed, &plan, stand.kept.class);
        counts.0 += 1;
        counts.1 += u32::from(once.verdict == Ending::Reproduced);
        // The first that did not is what people want to know about.
        if report.as_ref().is_none_or(|report| report.verdict == Ending::Reproduced) {
            report = Some(once);
        }
    }
    let report = report.ok_or_else(|| Failure::new(Exit::Inconclusive, "interrupted before the replay"))?;
    told(&ReplayReport { times: counts.0, reproduced: counts.1, ..report }, output)
}

/// The finding that a path leads to. That of a run which has one finding is meant; of several one must be named.
pub(super) fn finding(path: &Path) -> Result<PathBuf, Failure> {
    if !latest::is_run(path) {
        return Ok(path.to_owned());
    }
    match latest::findings(path).as_slice() {
        [only] => Ok(only.clone()),
        _ => Err(Failure::new(Exit::Usage, latest::names_a_run("replay", path))),
    }
}

fn held_step(step: usize, steps: usize) -> Result<usize, Failure> {
    if (1..=steps).contains(&step) {
        return Ok(step);
    }
    let why = format!("--hold {step}: expected a step from 1 to {steps}, as many as the schedule has");
    Err(Failure::new(Exit::Usage, why))
}

fn report_of(followed: Followed, plan: &ExplorePlan, class: Option<Class>) -> ReplayReport {
    let shown = match class {
        Some(class) => followed.violations.iter().find(|violation| violation.class == class),
        None => followed.violations.first(),
    };
    let verdict = match (&followed.divergence, class) {
        (Some(_), _) => Ending::Diverged,
        (None, Some(_)) if shown.is_none() => Ending::NotReproduced,
        (None, _) => Ending::Reproduced,
    };
    let exit = match verdict {
        // A schedule that is to break nothing, and does.
        Ending::Reproduced if class.is_none() && shown.is_some() => Exit::Violation,
        Ending::Reproduced => Exit::AsExpected,
        Ending::Diverged | Ending::NotReproduced => Exit::Diverged,
    };
    ReplayReport {
        schema_version: crate::report::SCHEMA_VERSION,
        verdict,
        exit_code: exit.code(),
        class,
        times: 1,
        reproduced: 1,
        table: shown.map(|violation| table(&followed, plan, violation)),
        lives: shown.map(|violation| lives(&followed.history, violation)).unwrap_or_default(),
        violations: followed.violations.iter().map(Shown::from).collect(),
        divergence: followed.divergence.map(Left::from),
        exit,
    }
}

impl From<&Violation> for Shown {
    fn from(violation: &Violation) -> Self {
        Self { class: violation.class, message: without_roots(&violation.message) }
    }
}

fn lives(history: &History, violation: &Violation) -> Lives {
    Lives::of(history, violation.container, [violation.message.as_str()])
}

fn table(followed: &Followed, plan: &ExplorePlan, violation: &Violation) -> Tables {
    let exploration = Exploration::of(plan, &followed.schedule, followed.preemptions);
    let violation = Violation { message: without_roots(&violation.message), ..violation.clone() };
    Interleaving { exploration: &exploration, history: &followed.history, violation: &violation }
        .tables(terminal_width())
}

fn told(report: &ReplayReport, output: Output) -> Result<Exit, Failure> {
    match output.format {
        Format::Json => print_json(report)?,
        Format::Human => print_words(&human(report, output.detail))?,
    }
    Ok(report.exit)
}

fn human(report: &ReplayReport, detail: Detail) -> String {
    let mut text = String::new();
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all");
    // Of many times the rate is what was asked for.
    let shown = report.violations.iter().find(|shown| report.class.is_none_or(|class| class == shown.class));
    let is_shown = detail == Detail::Full || report.times == 1 && detail == Detail::Normal;
    if let Some(shown) = shown.filter(|_| is_shown) {
        let message = match detail {
            Detail::Full => shown.message.clone(),
            Detail::Normal | Detail::Brief => report.lives.tell(&shown.message),
        };
        line(format!("{}: {message}\n", shown.class));
    }
    if let Some(table) = report.table.as_ref().filter(|_| is_shown) {
        line(table.told(detail).to_owned());
    }
    let class = report.class.map_or("nothing broken", Class::as_str);
    let rate = match report.times {
        1 => String::new(),
        times => format!(" {} of {times} times", report.reproduced),
    };
    match (report.verdict, &report.divergence) {
        (Ending::Diverged, Some(left)) => {
            line(format!(
                "diverged at line {}: expected {:?}, found {:?}",
                left.line, left.expected, left.found
            ));
        }
        (Ending::NotReproduced, _) => {
            let seen: Vec<_> = report.violations.iter().map(|shown| shown.class.as_str()).collect();
            let seen = if seen.is_empty() { "nothing broken".to_owned() } else { seen.join(", ") };
            line(format!(
                "not reproduced: the schedule was followed to its end, and showed {seen} rather than {class}"
            ));
        }
        _ if report.exit == Exit::Violation => {
            let broken: Vec<_> = report.violations.iter().map(|shown| shown.class.as_str()).collect();
            line(format!("followed{rate}: it should be clean, but showed {}", broken.join(", ")));
        }
        _ => line(format!("reproduced{rate}: {class}")),
    }
    if report.reproduced > 0 && report.verdict != Ending::Reproduced {
        line(format!("reproduced{rate}"));
    }
    text
}
