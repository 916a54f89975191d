//! `flockwork replay` of a crash's finding: the same crash again, from the state that it was found in.

use std::io;

use super::{Ending, Left, ReplayReport, Shown, told};
use crate::cli::args::ReplayArgs;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::stand::Footing;
use crate::cli::surroundings::failed;
use crate::crash::replay::{Moment, Replayed, replay};
use crate::finding::load::KeptCrash;
use crate::plan::crash::CrashPlan;
use crate::plan::race::RacePlan;
use crate::power::calls;
use crate::process::Zygote;
use crate::race::tell::{differences, lost_message};
use crate::report::exit::Exit;
use crate::report::lives::Lives;
use crate::violation::Class;

/// Has a crash come again.
pub(super) fn run(
    zygote: io::Result<Zygote>,
    kept: &KeptCrash,
    args: &ReplayArgs,
    output: Output,
) -> Result<Exit, Failure> {
    if args.hold.is_some() || args.step {
        let why = "a crash has one command and no schedule: --hold and --step are for schedules";
        return Err(Failure::new(Exit::Usage, format!("{}: {why}", kept.folder.display())));
    }
    let moment = moment(kept)?;
    let Footing { zygote, interrupt, scratch, .. } = Footing::prepare(zygote, args.root.as_deref(), output)?;
    let (plan, times) = (plan(kept), args.times.unwrap_or(1));
    let all = replay(&zygote, &plan, &scratch.root(), &moment, times, interrupt.flag())
        .map_err(|error| failed(&error))?;
    let class = kept.finding.class;
    let reproduced = all.iter().filter(|once| ending(once, class) == Ending::Reproduced).count() as u32;
    // The first that did not is what people want to know about.
    let Some(once) = all.iter().find(|once| ending(once, class) != Ending::Reproduced).or(all.last()) else {
        return Err(Failure::new(Exit::Inconclusive, "interrupted before the crash was repeated"));
    };
    let report = ReplayReport { times: all.len() as u32, reproduced, ..report_of(once, class) };
    told(&report, output)
}

/// The plan that starts from what lay in the folders when it was found.
fn plan(kept: &KeptCrash) -> CrashPlan {
    let plan = kept.crash.plan(kept.record.seed);
    let folders = plan.race.state.len();
    let before = |number: usize| {
        kept.folder.join(if folders == 1 { "before".to_owned() } else { format!("before{number}") })
    };
    let initial = Some((1..=folders).map(before).collect());
    CrashPlan { race: RacePlan { initial, ..plan.race.clone() }, ..plan }
}

/// When the crash comes.
fn moment(kept: &KeptCrash) -> Result<Moment, Failure> {
    let record = &kept.record;
    if let Some(power) = &record.power {
        return Ok(Moment::PowerLoss { record: power.clone(), is_undone: record.is_undone });
    }
    let before = record.steps.iter().find(|step| step.reached == "not-made").map(|step| step.step.clone());
    let before = before.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("{}: it has no step before which to kill", kept.folder.display()))
    })?;
    Ok(Moment::Kill { before, words: record.words.clone() })
}

fn ending(once: &Replayed, class: Class) -> Ending {
    match (&once.divergence, &once.broken) {
        (Some(_), _) => Ending::Diverged,
        (None, Some(broken)) if broken.class == class => Ending::Reproduced,
        (None, _) => Ending::NotReproduced,
    }
}

fn report_of(once: &Replayed, class: Class) -> ReplayReport {
    let verdict = ending(once, class);
    let exit = if verdict == Ending::Reproduced { Exit::AsExpected } else { Exit::Diverged };
    let shown = once.broken.as_ref().map(|broken| Shown {
        class: broken.class,
        message: match &once.lost {
            Some(lost) => format!("{}\n{}", lost_message(broken, lost), calls(lost).join("\n")),
            None => differences(broken),
        },
    });
    ReplayReport {
        schema_version: crate::report::SCHEMA_VERSION,
        verdict,
        exit_code: exit.code(),
        class: Some(class),
        times: 1,
        reproduced: 0,
        lives: Lives::default(),
        table: None,
        violations: shown.into_iter().collect(),
        divergence: once.divergence.clone().map(|found| Left {
            line: 1,
            expected: "the crash".into(),
            found,
        }),
        exit,
    }
}
