//! `flockwork replay` of a race's finding: the same steps again, from the state that it was found in.

use std::io;

use super::desk::Desk;
use super::{Ending, Left, ReplayReport, Shown, held_step, hold, step, told};
use crate::cli::args::ReplayArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::run::{race_table, replay_plan};
use crate::cli::stand::Footing;
use crate::cli::surroundings::failed;
use crate::explore::observe::Observer;
use crate::finding::load::KeptRace;
use crate::plan::race::RacePlan;
use crate::power::calls;
use crate::process::Zygote;
use crate::race::replay::{Replayed, replay};
use crate::race::tell::{broken_message, lost_message};
use crate::report::exit::Exit;
use crate::report::lives::Lives;
use crate::violation::Class;

/// Follows a race's finding.
pub(super) fn run(
    zygote: io::Result<Zygote>,
    kept: &KeptRace,
    args: &ReplayArgs,
    output: Output,
) -> Result<Exit, Failure> {
    let Some(control) = &kept.record.control else {
        let why = "it has no schedule, because the commands ran freely. Run its reproduce.sh";
        return Err(Failure::new(Exit::Usage, format!("{}: {why}", kept.folder.display())));
    };
    let steps = control.schedule.lines.len();
    let held = args.hold.map(|step| held_step(step, steps)).transpose()?;
    let Footing { zygote, interrupt, scratch, .. } = Footing::prepare(zygote, args.root.as_deref(), output)?;
    let plan = replay_plan(kept);
    let desk = Desk::new(interrupt.clone());
    let mut observer: Box<dyn Observer> = match held {
        Some(step) => Box::new(hold::Hold::new(desk, step)),
        None if args.step => Box::new(step::Walk::new(desk, control.schedule.clone())),
        None => Box::new(()),
    };
    let times = args.times.unwrap_or(1);
    let all = replay(&zygote, &plan, &scratch.root(), control, times, interrupt.flag(), &mut *observer)
        .map_err(|error| failed(&error))?;
    let class = kept.finding.class;
    let reproduced = all.iter().filter(|once| ending(once, class) == Ending::Reproduced).count() as u32;
    // The first that did not is what people want to know about.
    let Some(once) = all.iter().find(|once| ending(once, class) != Ending::Reproduced).or(all.last()) else {
        return Err(Failure::new(Exit::Inconclusive, "interrupted before the replay"));
    };
    let report = ReplayReport { times: all.len() as u32, reproduced, ..report_of(once, &plan, class) };
    told(&report, output)
}

fn ending(once: &Replayed, class: Class) -> Ending {
    match (&once.divergence, &once.broken) {
        (Some(_), _) => Ending::Diverged,
        (None, Some(broken)) if broken.class == class => Ending::Reproduced,
        (None, _) => Ending::NotReproduced,
    }
}

fn report_of(once: &Replayed, plan: &RacePlan, class: Class) -> ReplayReport {
    let verdict = ending(once, class);
    let exit = if verdict == Ending::Reproduced { Exit::AsExpected } else { Exit::Diverged };
    let shown = once.broken.as_ref();
    ReplayReport {
        schema_version: crate::report::SCHEMA_VERSION,
        verdict,
        exit_code: exit.code(),
        class: Some(class),
        times: 1,
        reproduced: 0,
        lives: Lives::default(),
        table: shown.map(|broken| race_table(plan, &once.schedule, once.preemptions, broken.class)),
        violations: shown
            .map(|broken| Shown {
                class: broken.class,
                message: match &once.lost {
                    Some(lost) => format!("{}\n{}", lost_message(broken, lost), calls(lost).join("\n")),
                    None => broken_message(plan, broken),
                },
            })
            .into_iter()
            .collect(),
        divergence: once.divergence.clone().map(Left::from),
        exit,
    }
}
