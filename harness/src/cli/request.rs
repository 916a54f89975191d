//! High arguments: what the command line means. All that can be wrong is found here, before anything runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::RunArgs;
use super::config;
use super::failure::Failure;
use crate::campaign::shard::{self, Recognised, Shard};
use crate::campaign::{Campaign, Seeds};
use crate::document::source::Problem;
use crate::report::exit::Exit;
use crate::scenario::{Found, Kind, Override, Scenario, Work, find, kind_of};
use crate::scratch;
use crate::settings::Settings;
use crate::subject;
use crate::words::plural;
use crate::words::units::{DURATION_FORM, duration_ns};

/// What `flockwork run` was asked to do, once the command line and the settings are put together.
#[derive(Debug)]
pub struct RunRequest {
    /// The scenarios, in the order in which they run; at least one.
    pub scenarios: Vec<Scenario>,
    /// What the command line set.
    pub overrides: Vec<Override>,
    /// What the user is to know of them.
    pub notes: Vec<String>,
    /// Decides every random choice; printed before anything starts.
    pub seed: u64,
    /// Folder for the evidence of runs.
    pub results_dir: PathBuf,
    /// Where temporary folders are made.
    pub base: PathBuf,
    /// What the user gave as `--root`, to be repeated in commands.
    pub root: Option<PathBuf>,
    /// Which histories are kept.
    pub keep: Keep,
    /// Which violations of stress runs are sought under control.
    pub explain: Explain,
    /// Where JUnit is written besides.
    pub junit: Option<PathBuf>,
    /// The command that runs it again, where that is not made of the scenario's name.
    pub reproduce: Option<String>,
    /// The campaign of which this run does its share, which may be all.
    pub campaign: Campaign,
    /// Which share of it is done here.
    pub shard: Shard,
    /// What was done before.
    pub resume: Resume,
    /// How long all may take, where that is limited.
    pub budget: Option<Duration>,
    /// After which run nothing more is run.
    pub end: End,
}

/// After which run nothing more is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// After the first that did not end as it expects.
    pub at_first_failure: bool,
    /// After so many distinct findings that nobody expects.
    pub at_findings: Option<u64>,
}

/// What becomes of work that was done before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// It is done again.
    No,
    /// It is left out.
    Yes,
}

/// Which violations of stress runs are sought under control, and how long each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Explain {
    /// No violation of a stress run is explained.
    Nothing,
    /// Those that are not expected.
    Unexpected(Duration),
    /// Every violation, each for at most this long.
    Everything(Duration),
}

/// Folder for the evidence of runs, where nobody says.
pub const RESULTS_DIR: &str = "results";

const EXPLAIN_DEFAULT: Duration = Duration::from_secs(10);

/// Which histories are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Those of runs that did not end as expected.
    Failures,
    /// The history of every run, clean ones too.
    All,
}

impl RunRequest {
    /// Makes sense of the arguments.
    pub fn new(mut args: RunArgs) -> Result<Self, Failure> {
        let settings = config::load(args.profile.as_deref())?;
        complete(&mut args, &settings);
        let overrides = overrides(&args);
        let scenarios = load(&args.paths, &overrides)?;
        if scenarios.is_empty() {
            return Err(Failure::new(Exit::NothingToRun, "nothing to run: no scenario there (*.toml)"));
        }
        // A runtime is used by its commands, and nothing of it is built here.
        let is_built = |scenario: &&Scenario| !matches!(scenario.work, Work::Rounds(_) | Work::Race(_));
        for scenario in scenarios.iter().filter(is_built) {
            subject::build(&scenario.subject)
                .map_err(|why| Failure::new(Exit::Usage, format!("{}: [subject]: {why}", scenario.name)))?;
        }
        let mut notes: Vec<String> = overrides.iter().filter_map(|set| left_out(set, &scenarios)).collect();
        let shard = shard(args.campaign.shard.as_deref(), &mut notes)?;
        let seed = match args.seed {
            Some(seed) => seed,
            None if shard.is_whole() => random_seed(),
            None => {
                let why =
                    format!("shard {shard}: the shards of one campaign need one seed: give --seed N to each");
                return Err(Failure::new(Exit::Usage, why));
            }
        };
        let seeds = Seeds { first: seed, count: args.campaign.seeds.unwrap_or(1) };
        let work = scenarios.iter().map(|scenario| (scenario, assignments(&overrides, scenario.kind())));
        let campaign = Campaign::new(work, seeds);
        Ok(Self {
            scenarios,
            notes,
            overrides,
            seed,
            campaign,
            shard,
            resume: if args.campaign.resume { Resume::Yes } else { Resume::No },
            results_dir: args.results_dir.unwrap_or_else(|| RESULTS_DIR.into()),
            budget: args.budget.as_deref().map(|text| time("--budget", text)).transpose()?,
            end: End { at_first_failure: args.fail_fast, at_findings: args.max_findings },
            base: base(args.root.as_deref())?,
            root: args.root,
            reproduce: None,
            explain: explain(args.explain.as_deref(), args.no_explain)?,
            junit: args.junit,
            keep: if args.keep_history { Keep::All } else { Keep::Failures },
        })
    }
}

/// Finds and parses scenarios; the failure tells every problem of every one of them. A value that is for scenarios of
/// one kind is left out of the others; where nobody takes it, it is a mistake.
pub fn load(paths: &[PathBuf], overrides: &[Override]) -> Result<Vec<Scenario>, Failure> {
    parse(find(paths)?, overrides)
}

/// Parses scenarios; the failure tells every problem of every one of them.
pub fn parse(
    found: impl IntoIterator<Item = Found>,
    overrides: &[Override],
) -> Result<Vec<Scenario>, Failure> {
    let mut scenarios = Vec::new();
    let mut problems = Vec::new();
    let found: Vec<Found> = found.into_iter().collect();
    let kinds: Vec<Kind> = found.iter().map(|found| kind_of(found, overrides)).collect();
    let is_taken = |set: &Override| kinds.iter().any(|kind| set.concerns(*kind));
    for (found, kind) in found.iter().zip(&kinds) {
        let sets = overrides.iter().filter(|set| set.concerns(*kind) || !is_taken(set));
        match Scenario::parse(found, &sets.cloned().collect::<Vec<_>>()) {
            Ok(scenario) => scenarios.push(scenario),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() { Ok(scenarios) } else { Err(Failure::new(Exit::Usage, told(&problems))) }
}

/// Tells of a value that is left out of some scenarios.
fn left_out(set: &Override, scenarios: &[Scenario]) -> Option<String> {
    let others: Vec<&Scenario> = scenarios.iter().filter(|scenario| !set.concerns(scenario.kind())).collect();
    let first = others.first()?;
    let taken = plural((scenarios.len() - others.len()) as u64, "scenario");
    let others = plural(others.len() as u64, "other");
    Some(format!(
        "{} {}: set for {taken}; it does not apply to {others}, such as {} of kind {}",
        set.flag,
        set.value,
        first.name,
        first.kind().as_str()
    ))
}

/// A mistake on the command line is one mistake, however many scenarios it was applied to.
fn told(problems: &[Problem]) -> String {
    let mut arguments = BTreeSet::new();
    let told: Vec<String> = problems
        .iter()
        .filter(|problem| problem.argument().is_none_or(|argument| arguments.insert(argument)))
        .map(ToString::to_string)
        .collect();
    told.join("\n\n")
}

/// What the flags set, in an order that does not depend on how they were typed.
fn overrides(args: &RunArgs) -> Vec<Override> {
    let flags = [
        ("--duration", &args.duration),
        ("--operations", &args.operations),
        ("--processes", &args.processes),
    ];
    let flags = flags
        .into_iter()
        .filter_map(|(flag, value)| value.as_ref().map(|value| Override { flag, value: value.clone() }));
    let sets = args.set.iter().map(|set| Override { flag: "--set", value: set.clone() });
    flags.chain(sets).collect()
}

/// What the command line sets for scenarios of a kind, as `key.path=value`.
pub fn assignments(overrides: &[Override], kind: Kind) -> Vec<String> {
    let own = overrides.iter().filter(|set| set.concerns(kind));
    own.filter_map(|set| set.assignment(kind).ok()).collect()
}

/// Which share is done here: as the command line says, else as the environment does.
fn shard(typed: Option<&str>, notes: &mut Vec<String>) -> Result<Shard, Failure> {
    if let Some(typed) = typed {
        return typed.parse().map_err(|error| Failure::new(Exit::Usage, format!("--shard {typed}: {error}")));
    }
    let recognised = shard::recognise(|name| std::env::var(name).ok())
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let Some(Recognised { shard, scheduler, variable, acknowledged_by }) =
        recognised.filter(|it| !it.shard.is_whole())
    else {
        notes.extend(shard::without_count(|name| std::env::var(name).ok()));
        return Ok(Shard::WHOLE);
    };
    if let Some(path) = acknowledged_by.and_then(std::env::var_os).filter(|path| !path.is_empty()) {
        let made = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        made.map_err(|error| {
            let path = path.display();
            Failure::new(Exit::Usage, format!("{scheduler} expects {path}, which cannot be made: {error}"))
        })?;
    }
    notes.push(format!("shard {shard}, from {scheduler} ({variable}); --shard 1/1 runs everything"));
    Ok(shard)
}

/// Takes from the settings what the command line leaves open.
fn complete(args: &mut RunArgs, settings: &Settings) {
    let text = |key: &str| settings.value(key).map(str::to_owned);
    // The settings have been looked through: what is no number was told.
    let number = |key: &str| settings.value(key).and_then(|text| text.parse().ok());
    let truth = |key: &str| settings.value(key) == Some("true");
    args.seed = args.seed.or_else(|| number("seed"));
    args.campaign.seeds = args.campaign.seeds.or_else(|| number("seeds"));
    args.max_findings = args.max_findings.or_else(|| number("max_findings"));
    args.budget = args.budget.take().or_else(|| text("budget"));
    args.fail_fast |= truth("fail_fast");
    args.keep_history |= truth("keep_history");
    args.results_dir = args.results_dir.take().or_else(|| text("results_dir").map(PathBuf::from));
    args.root = args.root.take().or_else(|| text("root").map(PathBuf::from));
    args.junit = args.junit.take().or_else(|| text("junit").map(PathBuf::from));
    if args.explain.is_none() && !args.no_explain {
        args.explain = text("explain").filter(|words| words != "no");
        args.no_explain = settings.value("explain") == Some("no");
    }
}

/// A duration that a flag gives.
fn time(flag: &str, text: &str) -> Result<Duration, Failure> {
    let wrong = || Failure::new(Exit::Usage, format!("{flag} {text}: expected {DURATION_FORM}"));
    duration_ns(text).map(Duration::from_nanos).ok_or_else(wrong)
}

fn explain(time: Option<&str>, none: bool) -> Result<Explain, Failure> {
    match time {
        _ if none => Ok(Explain::Nothing),
        None => Ok(Explain::Unexpected(EXPLAIN_DEFAULT)),
        Some(text) => match duration_ns(text) {
            Some(ns) => Ok(Explain::Everything(Duration::from_nanos(ns))),
            None => Err(Failure::new(Exit::Usage, format!("--explain={text}: expected {DURATION_FORM}"))),
        },
    }
}

/// Where temporary folders are made: below the root that the user gave, which must be a folder.
pub fn base(root: Option<&Path>) -> Result<PathBuf, Failure> {
    let Some(root) = root else { return Ok(scratch::default_base()) };
    // Absolute, because it is handed to processes that may work elsewhere.
    let why = match root.canonicalize() {
        Ok(folder) if folder.is_dir() => return Ok(folder),
        Ok(_) => "not a folder".to_owned(),
        Err(error) => error.to_string(),
    };
    Err(Failure::new(Exit::Usage, format!("--root {}: {why}; give a folder that exists", root.display())))
}

/// Short enough to be typed, and every JSON reader holds it.
pub fn random_seed() -> u64 {
    let mut bytes = [0; 4];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(4) => u64::from(u32::from_le_bytes(bytes)),
        _ => u64::from(std::process::id()),
    }
}
