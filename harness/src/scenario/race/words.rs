//! The words of which a race is made, as flags and scenarios spell them.

use std::ops::RangeInclusive;

use super::PERTURB_NS_MAX;
use crate::plan::race::{Busy, Compare};
use crate::plan::schedule::Fault;
use crate::plan::{StrategyKind, StrategyPlan};
use crate::words::nearest;
use crate::words::units::duration_range_ns;

/// What can be compared, by its word.
pub(super) fn compared(compare: &mut Compare) -> [(&'static str, &mut bool); 4] {
    // The compiler says so when there is another.
    let Compare { files, output, stderr, observe } = compare;
    [("files", files), ("output", output), ("stderr", stderr), ("observe", observe)]
}

/// Reads what is compared: `files,output`.
pub fn parse_compare<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Compare, String> {
    let mut compare = Compare { files: false, output: false, stderr: false, observe: false };
    for word in words {
        let word = word.trim();
        let known = compared(&mut compare);
        let words = known.each_ref().map(|(word, _)| *word);
        let Some((_, is)) = known.into_iter().find(|(known, _)| *known == word) else {
            let near =
                nearest(word, words).map(|near| format!("; the nearest is {near:?}")).unwrap_or_default();
            return Err(format!("expected {}, found {word:?}{near}", words.join(", ")));
        };
        *is = true;
    }
    Ok(compare)
}

/// Reads a rule: `exit:75`, `stdout:REGEX`, `stderr:REGEX`.
pub fn parse_busy(rule: &str) -> Result<Busy, String> {
    const FORM: &str = "exit:CODE, stderr:REGEX or stdout:REGEX";
    let wrong = || format!("expected {FORM}, found {rule:?}");
    match rule.split_once(':').ok_or_else(wrong)? {
        ("exit", code) => match code.parse() {
            Ok(code @ 0..=255) => Ok(Busy::Exit(code)),
            _ => Err(format!("expected an exit code from 0 to 255, found {code:?}")),
        },
        ("stdout", regex) => Ok(Busy::Stdout(regex.to_owned())),
        ("stderr", regex) => Ok(Busy::Stderr(regex.to_owned())),
        _ => Err(wrong()),
    }
}

pub(super) fn show_busy(busy: &Busy) -> String {
    match busy {
        Busy::Exit(code) => format!("exit:{code}"),
        Busy::Stdout(regex) => format!("stdout:{regex}"),
        Busy::Stderr(regex) => format!("stderr:{regex}"),
    }
}

/// Reads what may go wrong with a command.
pub fn parse_fault(word: &str) -> Result<Fault, String> {
    match word.trim() {
        "kill" => Ok(Fault::Kill),
        "kill-one" => Ok(Fault::KillOne),
        other => Err(format!("expected kill or kill-one, found {other:?}")),
    }
}

/// What may go wrong in a race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaceFault {
    /// A command meets it.
    Met(Fault),
    /// The power goes, for all commands at once.
    PowerLoss,
}

/// How a power loss is spelled among faults.
pub const POWER_LOSS: &str = "power-loss";

/// Reads what may go wrong in a race.
pub fn parse_race_fault(word: &str) -> Result<RaceFault, String> {
    match word.trim() {
        POWER_LOSS => Ok(RaceFault::PowerLoss),
        "kill" => Ok(RaceFault::Met(Fault::Kill)),
        "kill-one" => Ok(RaceFault::Met(Fault::KillOne)),
        other => Err(format!("expected kill, kill-one or {POWER_LOSS}, found {other:?}")),
    }
}

/// Those that a command meets, and whether the power may go.
#[must_use]
pub fn parted(faults: &[RaceFault]) -> (Vec<Fault>, bool) {
    let met = |fault: &RaceFault| match fault {
        RaceFault::Met(fault) => Some(*fault),
        RaceFault::PowerLoss => None,
    };
    (faults.iter().filter_map(met).collect(), faults.contains(&RaceFault::PowerLoss))
}

/// What `--strategy` and a scenario's `strategy` may be.
pub fn strategies() -> Vec<&'static str> {
    // A race that is done again is no strategy of its own.
    let kinds = StrategyKind::ALL.into_iter().filter(|kind| *kind != StrategyKind::Replay);
    kinds.map(StrategyKind::as_str).collect()
}

/// Ordering constraints that `pct` looks for, unless a race says otherwise.
const DEPTH: u32 = 3;

/// Makes a strategy of its parts; none where there are none.
pub fn strategy_of(
    word: Option<&str>,
    preemptions: Option<u32>,
    depth: Option<u32>,
) -> Result<Option<StrategyPlan>, String> {
    if preemptions.is_some() && word.is_some_and(|word| word != "exhaustive") {
        return Err("a bound of preemptions is for strategy exhaustive".into());
    }
    if depth.is_some() && word != Some("pct") {
        return Err("depth is for strategy pct".into());
    }
    let Some(word) = word else {
        return Ok(preemptions.is_some().then_some(StrategyPlan::Exhaustive { preemptions }));
    };
    match StrategyKind::named(word) {
        Some(StrategyKind::Exhaustive) => Ok(Some(StrategyPlan::Exhaustive { preemptions })),
        Some(StrategyKind::Random) => Ok(Some(StrategyPlan::Random)),
        Some(StrategyKind::Pct) => Ok(Some(StrategyPlan::Pct { depth: depth.unwrap_or(DEPTH) })),
        Some(StrategyKind::Pos) => Ok(Some(StrategyPlan::Pos)),
        Some(StrategyKind::Replay) | None => {
            let known = strategies();
            let near = nearest(word, known.iter().copied())
                .map(|near| format!("; the nearest is {near:?}"))
                .unwrap_or_default();
            Err(format!("expected one of {}, found {word:?}{near}", known.join(", ")))
        }
    }
}

/// Reads how long a process is stopped: `0..2ms`. A bare 0 is a time, too.
pub fn parse_perturb(text: &str) -> Result<RangeInclusive<u64>, String> {
    let with_unit = text.strip_prefix("0..").map(|rest| format!("0us..{rest}"));
    let range = duration_range_ns(with_unit.as_deref().unwrap_or(text));
    match range {
        Some(range) if *range.end() > 0 && *range.end() <= PERTURB_NS_MAX => Ok(range),
        _ => Err(format!("expected times such as 0..2ms, at most 10s, found {text:?}")),
    }
}
