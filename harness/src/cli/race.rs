//! `flockwork race`: commands against their own sequential orders, from the command line alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches};

use super::failure::Failure;
use super::output::{Output, say};
use super::request::random_seed;
use super::run::conduct;
use super::surroundings::{Surroundings, failed, usage};
use crate::plan::SubjectPlan;
use crate::plan::race::{ForkServer, Mode, RaceBudget, Sleeps, Threads};
use crate::plan::rounds::OciPlan;
use crate::process::Zygote;
use crate::report::exit::Exit;
use crate::report::reproduce::quoted;
use crate::runtimes::Runtime;
use crate::scenario::race::{parse_busy, parse_perturb, parse_race_fault, parted, strategy_of};
use crate::scenario::{Expect, Race, Scenario, Work};
use crate::words::nearest;

/// Where scenarios are saved by their names.
const SCENARIOS: &str = "scenarios";

/// What `race` takes.
#[derive(Debug, Args)]
pub struct RaceArgs {
    /// Two to eight command lines, each run as a separate process, with `sh -c` if it needs a shell; with --subject, operations
    #[arg(value_name = "CMD", last = true)]
    pub commands: Vec<String>,
    /// A container runtime (runc, crun, youki or runsc): commands, and --setup, are its operations, such as 'create c1'
    #[arg(long, value_name = "RUNTIME")]
    pub subject: Option<String>,
    /// The runtime's program [default: the one on PATH]
    #[arg(long, value_name = "FILE", requires = "subject")]
    pub path: Option<PathBuf>,
    /// Pass this flag to the runtime, before the operation; repeatable
    #[arg(long, value_name = "FLAG", requires = "subject", allow_hyphen_values = true)]
    pub flag: Vec<String>,
    /// Processes of several commands.
    #[command(flatten)]
    pub process: Processes,
    /// Folders, comparison, time and evidence.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// Work on the folders themselves; a backup is restored at the end, or by the next start if this one is killed
    #[arg(long, action = ArgAction::SetTrue)]
    pub in_place: bool,
    /// How a command says that it gave up and changed nothing: exit:75, stderr:REGEX, stdout:REGEX; repeatable
    #[arg(long, value_name = "RULE")]
    pub busy: Vec<String>,
    /// Faults to inject: kill (kill commands at every step: --then, or the same commands, must work with what they leave)
    /// or power-loss (cut the power at every step: every state that the disk model allows must be one that some of the commands leave)
    #[arg(long, value_name = "FAULT", value_delimiter = ',')]
    pub faults: Vec<String>,
    /// The disk model of a power loss: posix, ext4, ext4-dioread-lock, ext4-writeback, xfs or btrfs [default: that of the folder's
    /// filesystem, else posix]
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Let the commands run freely, without control
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "perturb")]
    pub free: bool,
    /// Let them run freely, but delay each call on shared files by a random time, such as 0..2ms
    #[arg(long, value_name = "D..D")]
    pub perturb: Option<String>,
    /// Which executions to run under control: exhaustive, random, pct or pos [default: all with up to two preemptions, then all, then
    /// random ones]
    #[arg(long, value_name = "STRATEGY")]
    pub strategy: Option<String>,
    /// Run all executions under control with at most this many preemptions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100))]
    pub preemptions: Option<u32>,
    /// Control programs even if they make calls that cannot be controlled; the calls are named, and no claim is exhaustive
    #[arg(long, action = ArgAction::SetTrue)]
    pub allow_uncontrolled: bool,
    /// Start programs once and clone them for each execution under control, where that works [default: off]
    #[arg(long, value_name = "HOW", value_parser = PossibleValuesParser::new(ForkServer::ALL.map(ForkServer::as_str)))]
    pub fork_server: Option<String>,
    /// Whether to explore the orders of a command's own threads and children, or keep one [default: fixed]
    #[arg(long, value_name = "HOW", value_parser = PossibleValuesParser::new(Threads::ALL.map(Threads::as_str)))]
    pub threads: Option<String>,
    /// Whether sleeps under control take no time, or the time that they ask for [default: held]
    #[arg(long, value_name = "HOW", value_parser = PossibleValuesParser::new(Sleeps::ALL.map(Sleeps::as_str)))]
    pub sleeps: Option<String>,
    /// Run at most this many executions; for commands that run freely, this many are enough for a verdict
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub executions: Option<u64>,
    /// Write the race as a scenario to scenarios/NAME.toml, or to a path that ends with .toml
    #[arg(long, value_name = "NAME")]
    pub save: Option<String>,
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
    args: &RaceArgs,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    let race = race(args)?;
    race.check().map_err(|error| failed(&error))?;
    args.surroundings.check(&race)?;
    let target = args.save.as_deref().map(target_of).transpose()?;
    let seed = args.surroundings.seed.unwrap_or_else(random_seed);
    let reproduce = reproduce("race", command_line, seed);
    let about = about(&race);
    let scenario = Scenario {
        name: "race".into(),
        argument: "race".into(),
        text: race.to_toml(&about, &[]),
        about: about.clone(),
        subject: race.oci.clone().map_or_else(crate::scenario::default_subject, SubjectPlan::Oci),
        work: Work::Race(Box::new(race.clone())),
        expect: Expect::default(),
    };
    let request = args.surroundings.request(scenario, seed, reproduce)?;
    let exit = conduct(zygote, &request, command_line, output)?;
    if let Some(target) = target {
        save(&target, &race.to_toml(&about, &[]))?;
        say(&format!("saved: {}; run it: flockwork run {0}", quoted(&target.display().to_string())));
    }
    Ok(exit)
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
    let faults: Vec<_> = args
        .faults
        .iter()
        .map(|word| parse_race_fault(word))
        .collect::<Result<_, _>>()
        .map_err(each("--faults"))?;
    let (faults, power) = parted(&faults);
    let surroundings = args.surroundings.race()?;
    let oci = args.subject.as_deref().map(|name| runtime(name, args)).transpose()?;
    Ok(Race {
        oci,
        processes,
        in_place: args.in_place,
        busy: args
            .busy
            .iter()
            .map(|rule| parse_busy(rule))
            .collect::<Result<_, _>>()
            .map_err(each("--busy"))?,
        faults,
        power,
        disk: args.disk.clone(),
        mode,
        strategy: strategy_of(args.strategy.as_deref(), args.preemptions, None)
            .map_err(each("--strategy"))?,
        allow_uncontrolled: args.allow_uncontrolled,
        fork_server: args.fork_server.as_deref().and_then(ForkServer::named).unwrap_or_default(),
        threads: args.threads.as_deref().and_then(Threads::named).unwrap_or_default(),
        sleeps: args.sleeps.as_deref().and_then(Sleeps::named).unwrap_or_default(),
        budget: RaceBudget { executions: args.executions, ..surroundings.budget },
        ..surroundings
    })
}

/// The runtime that the commands are operations of.
fn runtime(name: &str, args: &RaceArgs) -> Result<OciPlan, Failure> {
    let names = Runtime::ALL.map(Runtime::as_str);
    let Some(runtime) = Runtime::named(name) else {
        let near = nearest(name, names).map(|near| format!("; the nearest is {near:?}")).unwrap_or_default();
        return Err(usage(format!("--subject: expected one of {}, found {name:?}{near}", names.join(", "))));
    };
    let path = args.path.as_deref().map(std::path::absolute).transpose();
    let path = path.map_err(|error| usage(format!("--path: {error}")))?;
    Ok(OciPlan { path, flags: args.flag.clone(), ..runtime.plan() })
}

/// What it is about, in a sentence.
fn about(race: &Race) -> String {
    let processes: Vec<String> = race.processes.iter().map(|commands| commands.join(", then ")).collect();
    format!("{}, at once: the result must be that of some order.", processes.join(" and "))
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
