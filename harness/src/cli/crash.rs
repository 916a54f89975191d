//! `flockwork crash`: a command, killed at each step, and every state that a power loss may leave of it.

use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::failure::Failure;
use super::output::Output;
use super::race::{compared, environment, failed, reproduce, time};
use super::request::{End, Explain, Keep, Resume, RunRequest, base, random_seed};
use super::run::conduct;
use crate::campaign::shard::Shard;
use crate::campaign::{Campaign, Seeds};
use crate::ground::copied_bytes;
use crate::plan::crash::Durable;
use crate::plan::race::RaceBudget;
use crate::process::Zygote;
use crate::report::exit::Exit;
use crate::scenario::race::{BUDGET_NS, TIME_LIMIT_NS};
use crate::scenario::{Crash, Expect, Race, Scenario, Work, crash_to_toml};

/// What `crash` takes.
#[derive(Debug, Args)]
pub struct CrashArgs {
    /// The command line; what needs a shell goes through `sh -c`
    #[arg(value_name = "CMD", last = true, required = true)]
    pub commands: Vec<String>,
    /// A folder that the command changes: put back between executions, and compared; repeatable
    #[arg(long, value_name = "DIR")]
    pub state: Vec<PathBuf>,
    /// Run this first, to make the initial state; repeatable
    #[arg(long, value_name = "CMD")]
    pub setup: Vec<String>,
    /// Command that prints the state: its output is compared instead of the folders
    #[arg(long, value_name = "CMD")]
    pub observe: Option<String>,
    /// Run this after each crash and compare what it prints and leaves; repeatable
    #[arg(long, value_name = "CMD")]
    pub then: Vec<String>,
    /// What is compared, of files, output, stderr and observe [default: files,output, and with --observe observe,output]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub compare: Vec<String>,
    /// Do not compare this path within the state folders, such as cache or *.log; repeatable
    #[arg(long, value_name = "PATH")]
    pub ignore: Vec<String>,
    /// Do not compare what matches this in outputs and files; repeatable
    #[arg(long, value_name = "REGEX")]
    pub mask: Vec<String>,
    /// Test for at most this long
    #[arg(long, value_name = "D")]
    pub budget: Option<String>,
    /// Recorded with the evidence; a crash makes no random choice
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
    /// Where runs leave their evidence
    #[arg(long, value_name = "D", default_value = "results")]
    pub results_dir: PathBuf,
    /// Where copies are made: in a fresh folder below this one [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
    /// Write `JUnit` XML to this file, whatever the format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Only kill: SIGKILL at each step, no power loss
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "power")]
    pub kill: bool,
    /// Only power losses: one at each moment, no SIGKILL
    #[arg(long, action = ArgAction::SetTrue)]
    pub power: bool,
    /// The disk model: posix, ext4, ext4-dioread-lock, ext4-writeback, xfs or btrfs [default: of the folder's filesystem, else posix]
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Require that the result lasts once the command succeeds, or prints TEXT
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub durable: Option<String>,
    /// Count a file that a crash leaves behind as a violation
    #[arg(long, action = ArgAction::SetTrue)]
    pub strict: bool,
}

/// Crashes what the arguments name, and reports.
pub fn run(
    zygote: io::Result<Zygote>,
    args: &CrashArgs,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    let crash = crash(args)?;
    crash.check().map_err(|error| failed(&error))?;
    // What is wrong with the folders is told before anything is written.
    let plan = crash.plan(0);
    let evidence = args.results_dir.canonicalize().ok();
    for folder in &plan.race.state {
        copied_bytes(folder, &|path| evidence.as_deref() == Some(path))
            .map_err(|error| failed(&error.into()))?;
    }
    if !plan.race.folder.is_dir() {
        let why = format!("--cwd {}: no such folder", crash.race.folder.display());
        return Err(Failure::new(Exit::Usage, why));
    }
    let seed = args.seed.unwrap_or_else(random_seed);
    let about = format!("{}: a crash leaves the state before or the one after.", args.commands.join(", "));
    let scenario = Scenario {
        name: "crash".into(),
        argument: PathBuf::from("crash"),
        text: crash_to_toml(&crash, &about),
        about,
        subject: crate::scenario::default_subject(),
        work: Work::Crash(Box::new(crash)),
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
        results_dir: args.results_dir.clone(),
        base: base(args.root.as_deref())?,
        root: args.root.clone(),
        keep: Keep::Failures,
        explain: Explain::Nothing,
        junit: args.junit.clone(),
        reproduce: Some(reproduce("crash", command_line, seed)),
    };
    conduct(zygote, &request, command_line, output)
}

/// What was typed as a crash.
fn crash(args: &CrashArgs) -> Result<Crash, Failure> {
    let usual = Race::default();
    let race = Race {
        processes: args.commands.iter().map(|command| vec![command.clone()]).collect(),
        state: args.state.clone(),
        folder: args.cwd.clone().unwrap_or_else(|| PathBuf::from(".")),
        environment: environment(&args.env)?,
        setup: args.setup.clone(),
        observe: args.observe.clone(),
        then: args.then.clone(),
        compare: compared(&args.compare)?,
        strict: args.strict,
        ignore: args.ignore.clone(),
        masks: args.mask.clone(),
        budget: RaceBudget {
            time_ns: time(args.budget.as_deref(), "--budget", BUDGET_NS)?,
            executions: None,
        },
        time_limit_ns: time(args.time_limit.as_deref(), "--time-limit", TIME_LIMIT_NS)?,
        ..usual
    };
    let durable =
        args.durable.clone().map(|said| if said.is_empty() { Durable::Ended } else { Durable::Said(said) });
    Ok(Crash { race, kill: !args.power, power: !args.kill, disk: args.disk.clone(), durable })
}
