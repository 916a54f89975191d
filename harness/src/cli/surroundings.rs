//! What `race` and `crash` both take: the folders, what is compared, how long, and where evidence goes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args};

use super::failure::Failure;
use super::request::{End, Explain, Keep, Resume, RunRequest, base};
use crate::campaign::shard::Shard;
use crate::campaign::{Campaign, Seeds};
use crate::ground::copied_bytes;
use crate::plan::race::RaceBudget;
use crate::race::RaceError;
use crate::race::sheet::Compare;
use crate::report::exit::Exit;
use crate::scenario::race::{BUDGET_NS, TIME_LIMIT_NS, parse_compare};
use crate::scenario::{Race, Scenario};
use crate::words::units::{DURATION_FORM, duration_ns};

/// Flags of commands that work on folders which are put back.
#[derive(Debug, Args)]
pub struct Surroundings {
    /// A folder that the commands change: restored between executions, and compared; repeatable
    #[arg(long, value_name = "DIR")]
    pub state: Vec<PathBuf>,
    /// Run this once, to make the initial state; repeatable
    #[arg(long, value_name = "CMD")]
    pub setup: Vec<String>,
    /// Compare the output of this command, which prints the state, instead of the folders
    #[arg(long, value_name = "CMD")]
    pub observe: Option<String>,
    /// Run this after each execution and compare what it prints and leaves; repeatable
    #[arg(long, value_name = "CMD")]
    pub then: Vec<String>,
    /// What to compare: files, output, stderr, observe [default: files,output; with --observe: observe,output]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub compare: Vec<String>,
    /// Count a file that a killed or crashed command leaves behind as a violation
    #[arg(long, action = ArgAction::SetTrue)]
    pub strict: bool,
    /// Do not compare this path within the state folders, such as cache or *.log; repeatable
    #[arg(long, value_name = "PATH")]
    pub ignore: Vec<String>,
    /// Do not compare text in outputs and files that matches this; repeatable
    #[arg(long, value_name = "REGEX")]
    pub mask: Vec<String>,
    /// Run for at most this long [default: 60s]
    #[arg(long, value_name = "D")]
    pub budget: Option<String>,
    /// Seed of every random choice [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Set a variable in the environment of all commands; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Start commands in this folder [default: here]
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// How long a command may take [default: 10s]
    #[arg(long, value_name = "D")]
    pub time_limit: Option<String>,
    /// Folder for the evidence of runs
    #[arg(long, value_name = "D", default_value = "results")]
    pub results_dir: PathBuf,
    /// Put copies in a fresh folder below this one [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
    /// Also write JUnit XML to this file, whatever the format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

impl Surroundings {
    /// A race of no commands yet, with all that these flags say.
    pub fn race(&self) -> Result<Race, Failure> {
        Ok(Race {
            state: self.state.clone(),
            folder: self.cwd.clone().unwrap_or_else(|| PathBuf::from(".")),
            environment: environment(&self.env)?,
            setup: self.setup.clone(),
            observe: self.observe.clone(),
            then: self.then.clone(),
            compare: compared(&self.compare)?,
            strict: self.strict,
            ignore: self.ignore.clone(),
            masks: self.mask.clone(),
            budget: RaceBudget {
                time_ns: time(self.budget.as_deref(), "--budget", BUDGET_NS)?,
                executions: None,
            },
            time_limit_ns: time(self.time_limit.as_deref(), "--time-limit", TIME_LIMIT_NS)?,
            ..Race::default()
        })
    }

    /// Tells what is wrong with the folders, before anything is written.
    pub fn check(&self, race: &Race) -> Result<(), Failure> {
        let plan = race.plan(0, Vec::new());
        let evidence = self.results_dir.canonicalize().ok();
        for folder in &plan.state {
            copied_bytes(folder, &|path| evidence.as_deref() == Some(path))
                .map_err(|error| failed(&error.into()))?;
        }
        if !plan.folder.is_dir() {
            return Err(usage(format!("--cwd {}: no such folder", race.folder.display())));
        }
        Ok(())
    }

    /// The request that runs this one scenario.
    pub fn request(&self, scenario: Scenario, seed: u64, reproduce: String) -> Result<RunRequest, Failure> {
        Ok(RunRequest {
            campaign: Campaign::new([(&scenario, Vec::new())], Seeds { first: seed, count: 1 }),
            shard: Shard::WHOLE,
            resume: Resume::No,
            budget: None,
            end: End { at_first_failure: false, at_findings: None },
            scenarios: vec![scenario],
            overrides: Vec::new(),
            notes: Vec::new(),
            seed,
            results_dir: self.results_dir.clone(),
            base: base(self.root.as_deref())?,
            root: self.root.clone(),
            keep: Keep::Failures,
            explain: Explain::Nothing,
            junit: self.junit.clone(),
            reproduce: Some(reproduce),
        })
    }
}

/// A usage error.
pub(super) fn usage(why: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, why)
}

/// What a race that cannot be done ends with.
pub(super) fn failed(error: &RaceError) -> Failure {
    let exit = match error {
        RaceError::Usage(_) => Exit::Usage,
        RaceError::Unsupported(_) => Exit::Unsupported,
        RaceError::Refused(_) => Exit::Inconclusive,
        RaceError::Failed(_) => Exit::HarnessFailed,
    };
    Failure::new(exit, error.to_string())
}

/// Variables as they were typed.
fn environment(pairs: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let pair = |pair: &String| {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| usage(format!("--env {pair}: expected NAME=VALUE")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.iter().map(pair).collect()
}

/// What is compared, where it was typed.
fn compared(words: &[String]) -> Result<Option<Compare>, Failure> {
    if words.is_empty() {
        return Ok(None);
    }
    let compare = parse_compare(words.iter().map(String::as_str));
    compare.map(Some).map_err(|why| usage(format!("--compare: {why}")))
}

fn time(text: Option<&str>, flag: &str, usual_ns: u64) -> Result<u64, Failure> {
    let Some(text) = text else { return Ok(usual_ns) };
    match duration_ns(text).filter(|ns| Duration::from_nanos(*ns) >= Duration::from_millis(1)) {
        Some(ns) => Ok(ns),
        None => Err(usage(format!("{flag} {text}: expected {DURATION_FORM}"))),
    }
}
