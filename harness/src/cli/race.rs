//! `flockwork race`: commands against their own sequential orders, from the command line alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use super::failure::Failure;
use super::output::{Output, say};
use super::request::{End, Explain, Keep, Resume, RunRequest, base, random_seed};
use super::run::conduct;
use crate::campaign::shard::Shard;
use crate::campaign::{Campaign, Seeds};
use crate::ground::copied_bytes;
use crate::plan::race::{Mode, RaceBudget};
use crate::process::Zygote;
use crate::race::RaceError;
use crate::race::sheet::Compare;
use crate::report::exit::Exit;
use crate::report::reproduce::quoted;
use crate::scenario::race::{
    BUDGET_NS, TIME_LIMIT_NS, parse_busy, parse_compare, parse_fault, parse_perturb, strategy_of,
};
use crate::scenario::{Expect, Race, Scenario, Work};
use crate::words::units::{DURATION_FORM, duration_ns};

/// Where scenarios are saved by their names.
const SCENARIOS: &str = "scenarios";

/// What `race` takes.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct RaceArgs {
    /// Two to eight command lines, each a process of its own; what needs a shell goes through `sh -c`
    #[arg(value_name = "CMD", last = true)]
    pub commands: Vec<String>,
    /// Processes of several commands.
    #[command(flatten)]
    pub process: Processes,
    /// A folder that the commands share: put back between executions, and compared; repeatable
    #[arg(long, value_name = "DIR")]
    pub state: Vec<PathBuf>,
    /// Work on the folders themselves; a backup is put back at the end, or by the next start if this one is killed
    #[arg(long, action = ArgAction::SetTrue)]
    pub in_place: bool,
    /// Run this first, to make the initial state; repeatable
    #[arg(long, value_name = "CMD")]
    pub setup: Vec<String>,
    /// Command that prints the state: its output is compared instead of the folders
    #[arg(long, value_name = "CMD")]
    pub observe: Option<String>,
    /// Run this after each execution and compare its output; repeatable
    #[arg(long, value_name = "CMD")]
    pub then: Vec<String>,
    /// What tells that a command gave up and changed nothing: exit:75, stderr:REGEX, stdout:REGEX; repeatable
    #[arg(long, value_name = "RULE")]
    pub busy: Vec<String>,
    /// What is compared, of files, output, stderr and observe [default: files,output, and with --observe observe,output]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub compare: Vec<String>,
    /// Kill commands at every step: --then, or the same commands, must work with what they leave
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    pub faults: Vec<String>,
    /// Count a file that a killed command leaves behind as a violation
    #[arg(long, action = ArgAction::SetTrue)]
    pub strict: bool,
    /// Do not compare this path within the state folders, such as cache or *.log; repeatable
    #[arg(long, value_name = "PATH")]
    pub ignore: Vec<String>,
    /// Do not compare what matches this in outputs and files; repeatable
    #[arg(long, value_name = "REGEX")]
    pub mask: Vec<String>,
    /// Let the commands run freely, without control
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "perturb")]
    pub free: bool,
    /// Let them run freely, but stop them at random moments for this long, such as 0..2ms
    #[arg(long, value_name = "D..D")]
    pub perturb: Option<String>,
    /// Which executions are run under control: exhaustive, random, pct or pos [default: all with up to two preemptions, then all, then
    /// random ones]
    #[arg(long, value_name = "STRATEGY")]
    pub strategy: Option<String>,
    /// Run all executions under control in which commands are interrupted at most this many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub preemptions: Option<u32>,
    /// Control programs even if they make calls that cannot be controlled; the calls are named, and no claim is exhaustive
    #[arg(long, action = ArgAction::SetTrue)]
    pub allow_uncontrolled: bool,
    /// Race for at most this long
    #[arg(long, value_name = "D")]
    pub budget: Option<String>,
    /// Run at most this many executions; when commands run freely, this many are enough
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub executions: Option<u64>,
    /// Seed of every random choice [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Set a variable in the environment of all commands; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Where commands start [default: here]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// How long a command may take [default: 10s]
    #[arg(long, value_name = "D")]
    pub time_limit: Option<String>,
    /// Write the race as a scenario to scenarios/NAME.toml, or to a path that ends with .toml
    #[arg(long, value_name = "NAME")]
    pub save: Option<String>,
    /// Where runs leave their evidence
    #[arg(long, value_name = "D", default_value = "results")]
    pub results_dir: PathBuf,
    /// Where copies are made: in a fresh folder below this one [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
    /// Write `JUnit` XML to this file, whatever the format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// Processes that run several commands each, by how they were typed: `--process CMD CMD --process CMD`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Processes(pub Vec<Vec<String>>);

/// The flag's name.
const PROCESS: &str = "process";

impl FromArgMatches for Processes {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let processes = matches.get_occurrences::<String>(PROCESS).into_iter().flatten();
        Ok(Self(processes.map(|commands| commands.cloned().collect()).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Processes {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.arg(
            Arg::new(PROCESS)
                .long(PROCESS)
                .value_name("CMD")
                .num_args(1..)
                .action(ArgAction::Append)
                .conflicts_with("commands")
                .help("A process that runs several commands, one after the other; repeatable"),
        )
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

/// Races what the arguments name, and reports.
pub fn run(
    zygote: io::Result<Zygote>,
    args: RaceArgs,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    let race = race(&args)?;
    race.check().map_err(|error| failed(&error))?;
    // What is wrong with the folders is told before anything is written.
    let plan = race.plan(0, Vec::new());
    let evidence = args.results_dir.canonicalize().ok();
    for folder in &plan.state {
        copied_bytes(folder, &|path| evidence.as_deref() == Some(path))
            .map_err(|error| failed(&error.into()))?;
    }
    if !plan.folder.is_dir() {
        return Err(usage(format!("--cwd {}: no such folder", race.folder.display())));
    }
    let target = args.save.as_deref().map(target_of).transpose()?;
    let seed = args.seed.unwrap_or_else(random_seed);
    let reproduce = reproduce("race", command_line, seed);
    let about = about(&race);
    let scenario = Scenario {
        name: "race".into(),
        argument: "race".into(),
        text: race.to_toml(&about, &[]),
        about: about.clone(),
        subject: crate::scenario::default_subject(),
        work: Work::Race(Box::new(race.clone())),
        expect: Expect::default(),
    };
    let request = RunRequest {
        campaign: Campaign::new([(&scenario, Vec::new())], Seeds { first: seed, count: 1 }),
        shard: Shard::WHOLE,
        resume: Resume::No,
        budget: None,
        end: End { at_first_failure: false, at_findings: None },
        scenarios: vec![scenario],
        overrides: Vec::new(),
        notes: Vec::new(),
        seed,
        results_dir: args.results_dir,
        base: base(args.root.as_deref())?,
        root: args.root,
        keep: Keep::Failures,
        explain: Explain::Nothing,
        junit: args.junit,
        reproduce: Some(reproduce),
    };
    let exit = conduct(zygote, &request, command_line, output)?;
    if let Some(target) = target {
        save(&target, &race.to_toml(&about, &[]))?;
        say(&format!("saved: {}; run it: flockwork run {0}", quoted(&target.display().to_string())));
    }
    Ok(exit)
}

fn usage(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, why)
}

pub(super) fn failed(error: &RaceError) -> Failure {
    let exit = match error {
        RaceError::Usage(_) => Exit::Usage,
        RaceError::Unsupported(_) => Exit::Unsupported,
        RaceError::Refused(_) => Exit::Inconclusive,
        RaceError::Failed(_) => Exit::HarnessFailed,
    };
    Failure::new(exit, error.to_string())
}

/// What was typed as a race.
fn race(args: &RaceArgs) -> Result<Race, Failure> {
    let each = |flag: &'static str| move |why: String| usage(format!("{flag}: {why}"));
    let processes = if args.process.0.is_empty() {
        args.commands.iter().map(|command| vec![command.clone()]).collect()
    } else {
        args.process.0.clone()
    };
    let mode = match &args.perturb {
        Some(range) => Mode::Perturbed(parse_perturb(range).map_err(each("--perturb"))?),
        None if args.free => Mode::Free,
        None => Mode::Auto,
    };
    Ok(Race {
        processes,
        state: args.state.clone(),
        in_place: args.in_place,
        own_state: false,
        modelled: None,
        folder: args.cwd.clone().unwrap_or_else(|| PathBuf::from(".")),
        environment: environment(&args.env)?,
        setup: args.setup.clone(),
        observe: args.observe.clone(),
        then: args.then.clone(),
        busy: args
            .busy
            .iter()
            .map(|rule| parse_busy(rule))
            .collect::<Result<_, _>>()
            .map_err(each("--busy"))?,
        compare: compared(&args.compare)?,
        faults: args
            .faults
            .iter()
            .map(|word| parse_fault(word))
            .collect::<Result<_, _>>()
            .map_err(each("--faults"))?,
        strict: args.strict,
        ignore: args.ignore.clone(),
        masks: args.mask.clone(),
        mode,
        strategy: strategy_of(args.strategy.as_deref(), args.preemptions, None)
            .map_err(each("--strategy"))?,
        allow_uncontrolled: args.allow_uncontrolled,
        budget: RaceBudget {
            time_ns: time(args.budget.as_deref(), "--budget", BUDGET_NS)?,
            executions: args.executions,
        },
        time_limit_ns: time(args.time_limit.as_deref(), "--time-limit", TIME_LIMIT_NS)?,
    })
}

/// Variables as they were typed.
pub(super) fn environment(pairs: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |pair: &String| {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| usage(format!("--env {pair}: expected NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.iter().map(pair).collect()
}

/// What is compared, where it was typed.
pub(super) fn compared(words: &[String]) -> Result<Option<Compare>, Failure> {
    if words.is_empty() {
        return Ok(None);
    }
    let compare = parse_compare(words.iter().map(String::as_str));
    compare.map(Some).map_err(|why| usage(format!("--compare: {why}")))
}

pub(super) fn time(text: Option<&str>, flag: &str, usual_ns: u64) -> Result<u64, Failure> {
    let Some(text) = text else { return Ok(usual_ns) };
    match duration_ns(text).filter(|ns| Duration::from_nanos(*ns) >= Duration::from_millis(1)) {
        Some(ns) => Ok(ns),
        None => Err(usage(format!("{flag} {text}: expected {DURATION_FORM}"))),
    }
}

/// What it is about, in a sentence.
fn about(race: &Race) -> String {
    let processes: Vec<String> = race.processes.iter().map(|commands| commands.join(", then ")).collect();
    format!("{}, at once: whatever comes of it must come of some order of them.", processes.join(" and "))
}

/// The same command with its seed.
pub(super) fn reproduce(command: &str, command_line: &[String], seed: u64) -> String {
    let mut words = vec!["flockwork".to_owned(), command.to_owned(), "--seed".to_owned(), seed.to_string()];
    let mut rest = command_line.iter().skip(1).skip_while(|word| *word != command).skip(1);
    let before: Vec<_> = command_line.iter().skip(1).take_while(|word| *word != command).cloned().collect();
    words.splice(1..1, before);
    while let Some(word) = rest.next() {
        if word == "--" {
            words.push(word.clone());
            words.extend(rest.by_ref().map(|word| quoted(word)));
        } else if word == "--seed" || word == "--save" {
            rest.next();
        } else if !word.starts_with("--seed=") && !word.starts_with("--save=") {
            words.push(quoted(word));
        }
    }
    words.join(" ")
}

/// The file to save to.
fn target_of(name: &str) -> Result<PathBuf, Failure> {
    let path = Path::new(name);
    if path.extension().is_some_and(|extension| extension == "toml") {
        return Ok(path.to_owned());
    }
    let is_plain = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) && !name.starts_with('.') {
        return Ok(Path::new(SCENARIOS).join(format!("{name}.toml")));
    }
    Err(usage(format!(
        "--save {name}: expected the name of a scenario, such as two-adds, or a path that ends with .toml"
    )))
}

/// Writes the scenario. One that is there already stays: it may be somebody's work.
fn save(path: &Path, text: &str) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        let exit =
            if error.kind() == io::ErrorKind::AlreadyExists { Exit::Usage } else { Exit::HarnessFailed };
        Failure::new(exit, format!("{} cannot be written: {error}", path.display()))
    };
    if fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = fs::File::create_new(path).map_err(failed)?;
    io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
}
