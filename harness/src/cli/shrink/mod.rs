//! `flockwork shrink`: makes a kept schedule as simple as it can be, shows it, and saves it where that is wanted.

mod race;

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::args::{Format, ShrinkArgs};
use crate::cli::failure::Failure;
use crate::cli::findings::{Simplest, shrunk};
use crate::cli::latest;
use crate::cli::output::{Output, print_json, print_words};
use crate::cli::stand::{Stand, engine_failed};
use crate::finding::load::{load_crash, load_race};
use crate::finding::{Exploration, Finding};
use crate::process::Zygote;
use crate::report::exit::Exit;
use crate::report::human::Detail;
use crate::report::interleaving::{Interleaving, size, terminal_width};
use crate::report::lives::Lives;
use crate::report::reproduce::quoted;
use crate::scenario::describe_subject;
use crate::words::plural;
use crate::words::units::{DURATION_FORM, duration_ns};

/// Where scenarios go that were findings.
const REGRESSIONS: &str = "scenarios/regressions";

/// What shrinking came to.
#[derive(Debug, Serialize)]
struct ShrinkReport<'a> {
    schema_version: u32,
    finding: &'a Finding,
    /// Whether nothing simpler was found; else the time was used up.
    minimal: bool,
    /// The exploration that was saved.
    saved: Option<&'a Path>,
    /// The replay that was saved.
    saved_replay: Option<&'a Path>,
}

/// Shrinks what a path leads to.
pub fn run(zygote: io::Result<Zygote>, args: &ShrinkArgs, output: Output) -> Result<Exit, Failure> {
    let time = duration_ns(&args.time)
        .ok_or_else(|| usage(format!("--time {}: expected {DURATION_FORM}", args.time)))?;
    let target = args.save.as_deref().map(target_of).transpose()?;
    let path = &match latest::findings(&args.path).as_slice() {
        _ if !latest::is_run(&args.path) => args.path.clone(),
        [only] => only.clone(),
        _ => return Err(usage(latest::names_a_run("shrink", &args.path))),
    };
    if let Some(kept) = load_crash(path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))? {
        let why = "it is a crash, and already the simplest: the fewest pieces missing, or the first step. `flockwork replay` repeats it";
        return Err(Failure::new(Exit::Usage, format!("{}: {why}", kept.folder.display())));
    }
    let kept = load_race(path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    if let Some(kept) = kept {
        return race::run(zygote, &kept, args, (Duration::from_nanos(time), target), output);
    }
    let mut stand = Stand::prepare(zygote, path, args.root.as_deref(), output)?;
    let Some(class) = stand.kept.class else {
        return Err(usage(format!(
            "{}: it expects no violation, so there is nothing to shrink",
            args.path.display()
        )));
    };
    let plan = stand.plan();
    let schedule = stand.kept.schedule.clone();
    let place = (stand.base.as_path(), stand.interrupt.flag());
    let simplest = shrunk(&mut stand.zygote, &plan, &schedule, class, place, Duration::from_nanos(time))
        .map_err(|error| match error {
            Some(error) => engine_failed(&error),
            None => Failure::new(
                Exit::Diverged,
                format!(
                    "{}: not reproduced: followed under control, it did not show {class}",
                    args.path.display()
                ),
            ),
        })?;
    let finding = simplest.finding(&describe_subject(&stand.kept.scenario.subject));
    let saved = target.map(|target| save(&target, &finding)).transpose()?;
    match output.format {
        Format::Json => print_json(&ShrinkReport {
            schema_version: crate::report::SCHEMA_VERSION,
            finding: &finding,
            minimal: simplest.is_minimal,
            saved: saved.as_ref().map(|saved| saved.regression.as_path()),
            saved_replay: saved.as_ref().map(|saved| saved.replay.as_path()),
        })?,
        Format::Human => {
            let before = Exploration::of(&plan, &schedule, 0);
            let told = match output.detail {
                Detail::Full => finding,
                Detail::Normal | Detail::Brief => in_lives(&finding, &simplest),
            };
            print_words(&human(&before, &told, &simplest, saved.as_ref(), output.detail))?;
        }
    }
    Ok(Exit::AsExpected)
}

fn usage(why: String) -> Failure {
    Failure::new(Exit::Usage, why)
}

/// The name to save under; empty: the finding's signature.
fn target_of(name: &str) -> Result<String, Failure> {
    let name = name.strip_suffix(".toml").unwrap_or(name);
    let is_plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if name.chars().all(is_plain) && !name.starts_with('.') {
        return Ok(name.to_owned());
    }
    Err(usage(format!(
        "--save {name}: expected the name of a scenario, such as two-pauses: letters, digits, - and _"
    )))
}

/// The scenarios that were written.
#[derive(Debug)]
struct Saved {
    /// Explores what was shrunk, and expects it to break nothing: to be committed, with the fix.
    regression: PathBuf,
    /// Replays the schedule, and expects the violation: for as long as the bug is there.
    replay: PathBuf,
}

/// Writes both scenarios.
fn save(name: &str, finding: &Finding) -> Result<Saved, Failure> {
    let name = if name.is_empty() { &finding.signature } else { name };
    let exploration = finding.exploration.as_ref().expect("it was seen under control");
    let folder = Path::new(REGRESSIONS);
    let saved = Saved {
        regression: folder.join(format!("{name}.toml")),
        replay: folder.join(format!("{name}-replay.toml")),
    };
    write(&saved.regression, &exploration.regression(finding.class))?;
    write(&saved.replay, &exploration.scenario(finding.class))?;
    Ok(saved)
}

/// Writes a scenario. One that is there already stays: it may be somebody's work.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let exit =
            if error.kind() == io::ErrorKind::AlreadyExists { Exit::Usage } else { Exit::HarnessFailed };
        Failure::new(exit, format!("{} cannot be written: {error}", path.display()))
    };
    fs::create_dir_all(REGRESSIONS).map_err(failed)?;
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let mut file = fs::File::create_new(path).map_err(failed)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
}

/// The finding with generations as the lives that they are.
fn in_lives(finding: &Finding, simplest: &Simplest) -> Finding {
    let message = finding.message.as_str();
    let lives = Lives::of(&simplest.history, simplest.violation.container, [message]);
    Finding { message: lives.tell(message), ..finding.clone() }
}

/// What shrinking came to, in a line: from this size to that.
fn shrunk_words(before: &str, after: &str, is_same: bool, is_minimal: bool) -> String {
    match (is_same, is_minimal) {
        (true, true) => format!("already minimal: {after}"),
        (true, false) => format!("nothing simpler found in the time given: {after}"),
        (false, true) => format!("shrunk from {before} to {after}; no simpler schedule shows it"),
        (false, false) => format!("shrunk from {before} to {after}; the time ran out: --time gives more"),
    }
}

fn human(
    before: &Exploration,
    finding: &Finding,
    simplest: &Simplest,
    saved: Option<&Saved>,
    detail: Detail,
) -> String {
    let after = finding.exploration.as_ref().expect("it was seen under control");
    let interleaving =
        Interleaving { exploration: after, history: &simplest.history, violation: &simplest.violation };
    let mut text = format!("{}: {}\n\n", finding.class, finding.message);
    text.push_str(interleaving.tables(terminal_width()).told(detail));
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all");
    let count = |exploration: &Exploration| exploration.schedule.lines.len() as u64;
    let (steps_before, steps_after) = (plural(count(before), "step"), plural(count(after), "step"));
    let is_same =
        (&before.setup, &before.processes, count(before)) == (&after.setup, &after.processes, count(after));
    let processes = plural(before.processes.len() as u64, "process");
    line(format!(
        "\n{}",
        shrunk_words(
            &format!("{processes} in {steps_before}"),
            &format!("{} in {steps_after}", size(after)),
            is_same,
            simplest.is_minimal
        )
    ));
    if let Some(saved) = saved {
        let shown = |path: &Path| quoted(&path.display().to_string());
        let (regression, replay) = (shown(&saved.regression), shown(&saved.replay));
        line(format!("\nsaved: {regression}"));
        line("  explores every order of these operations and expects no violation: it fails until the bug is fixed. Commit it with the fix.".to_owned());
        line(format!("saved: {replay}"));
        line(format!(
            "  replays this one schedule and expects {}: it passes until the bug is fixed. Use it while you work; do not commit it.",
            finding.class
        ));
        line(format!("run it: flockwork run {regression}"));
    }
    text
}
