//! `flockwork shrink` of a race's finding: fewer processes and fewer preemptions that show the same.

use std::fmt::Write;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::{REGRESSIONS, ShrinkReport, shrunk_words, write};
use crate::cli::args::{Format, ShrinkArgs};
use crate::cli::failure::Failure;
use crate::cli::output::{Output, print_json, print_words};
use crate::cli::run::{race_table, replay_plan};
use crate::cli::stand::Footing;
use crate::cli::surroundings::failed;
use crate::finding::Finding;
use crate::finding::load::KeptRace;
use crate::plan::race::RacePlan;
use crate::process::Zygote;
use crate::race::control::Controlled;
use crate::race::shrink::shrink;
use crate::race::{Discovery, Seen};
use crate::report::exit::Exit;
use crate::report::human::Detail;
use crate::report::reproduce::quoted;
use crate::scenario::Race;
use crate::words::plural;

/// Shrinks a race's finding; `target` is the name to save under, empty for the finding's own.
pub(super) fn run(
    zygote: io::Result<Zygote>,
    kept: &KeptRace,
    args: &ShrinkArgs,
    (time, target): (Duration, Option<String>),
    output: Output,
) -> Result<Exit, Failure> {
    let Some(control) = &kept.record.control else {
        let why = "it has no schedule to shrink, because the commands ran freely. Run its reproduce.sh";
        return Err(Failure::new(Exit::Usage, format!("{}: {why}", kept.folder.display())));
    };
    let Footing { zygote, interrupt, scratch, .. } = Footing::prepare(zygote, args.root.as_deref(), output)?;
    let plan = replay_plan(kept);
    let class = kept.finding.class;
    let found = shrink(&zygote, &plan, &scratch.root(), (control, class), time, interrupt.flag())
        .map_err(|error| failed(&error))?;
    let Some(discovery) = found else {
        let why = format!("not reproduced: followed under control, it did not show {class}");
        return Err(Failure::new(Exit::Diverged, format!("{}: {why}", kept.folder.display())));
    };
    let Seen::Controlled(controlled) = &discovery.seen else {
        return Err(Failure::new(Exit::HarnessFailed, "a schedule was followed without control"));
    };
    let plan = plan.only(&controlled.members);
    let finding = Finding::of_race(&plan, &kept.race, &discovery, &kept.finding.subject);
    let saved = target.map(|target| save(&target, &finding, kept, &plan)).transpose()?;
    match output.format {
        Format::Json => print_json(&ShrinkReport {
            schema_version: crate::report::SCHEMA_VERSION,
            finding: &finding,
            minimal: controlled.is_minimal,
            saved: saved.as_deref(),
            saved_replay: None,
        })?,
        Format::Human => {
            print_words(&human(
                kept,
                (&plan, &finding),
                &discovery,
                controlled,
                saved.as_ref(),
                output.detail,
            ))?;
        }
    }
    Ok(Exit::AsExpected)
}

/// Writes the race of what is left, with the user's own folders and setup: it is to break nothing.
fn save(name: &str, finding: &Finding, kept: &KeptRace, plan: &RacePlan) -> Result<PathBuf, Failure> {
    let name = if name.is_empty() { &finding.signature } else { name };
    let path = PathBuf::from(REGRESSIONS).join(format!("{name}.toml"));
    // Whoever checks the test out has the folders elsewhere.
    let here = std::env::current_dir().unwrap_or_default();
    let from_here = |path: &PathBuf| match path.strip_prefix(&here) {
        Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
        Ok(below) => below.to_owned(),
        Err(_) => path.clone(),
    };
    let race = Race {
        processes: plan.processes.clone(),
        state: kept.race.state.iter().map(from_here).collect(),
        folder: from_here(&kept.race.folder),
        ..kept.race.clone()
    };
    let about =
        format!("Regression test: these commands, run at once, must not show {} again.", finding.class);
    write(&path, &race.to_toml(&about, &[]))?;
    Ok(path)
}

fn human(
    kept: &KeptRace,
    (plan, finding): (&RacePlan, &Finding),
    discovery: &Discovery,
    controlled: &Controlled,
    saved: Option<&PathBuf>,
    detail: Detail,
) -> String {
    let table = race_table(plan, &controlled.schedule, controlled.preemptions, discovery.broken.class);
    let table = table.told(detail);
    let mut text = format!("{}: {}\n\n{table}", finding.class, finding.message);
    let control = kept.record.control.as_ref().expect("it was followed");
    let told = |processes: usize, preemptions: u32, steps: usize| {
        format!(
            "{}, {}, in {}",
            plural(processes as u64, "process"),
            plural(u64::from(preemptions), "preemption"),
            plural(steps as u64, "step")
        )
    };
    let before = (kept.record.processes.len(), control.preemptions, control.schedule.lines.len());
    let after = (plan.processes.len(), controlled.preemptions, controlled.schedule.lines.len());
    let is_same = (before.0, before.1) == (after.0, after.1);
    let (before, after) = (told(before.0, before.1, before.2), told(after.0, after.1, after.2));
    let mut line = |words: String| writeln!(text, "{words}").expect("a String takes all");
    line(format!("\n{}", shrunk_words(&before, &after, is_same, controlled.is_minimal)));
    if let Some(saved) = saved {
        let shown = quoted(&saved.display().to_string());
        line(format!("\nsaved: {shown}"));
        line("  races these commands and expects no violation: it fails until the bug is fixed. Commit it with the fix.".to_owned());
        line(format!("run it: flockwork run {shown}"));
    }
    text
}
