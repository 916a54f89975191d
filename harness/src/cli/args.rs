//! Low arguments: what was typed. Nothing here knows what it means.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use super::bench::ExportArgs;
use super::compare::CompareArgs;
use super::crash::CrashArgs;
use super::init::InitArgs;
pub use super::output::Format;
use super::race::RaceArgs;
use super::report::ReportArgs;

const EXIT_CODES: &str = "\
Exit codes:
    0  every scenario ended as it expects
    1  the harness itself failed
    2  usage, or a scenario or history that does not parse
    4  nothing to run
   96  this machine or filesystem lacks what the scenario needs
  100  a violation that was not expected, or an expected one that did not appear
  102  inconclusive: a budget ran out before a verdict, or nothing was verified
  103  a benchmark threshold was exceeded
  104  a replay diverged or did not reproduce
Where several apply: 100 over 1 over 102 over the rest. Inconclusive is never reported as clean.";

const RACE_EXAMPLES: &str = "\
Examples:
    flockwork race --state ./state -- './counter inc' './counter inc'
    flockwork race --state ./repo --setup 'git init -q .' --observe 'git log --oneline' -- 'git commit …' 'git gc'
    flockwork race --state ./state --faults kill --then './tool build x' -- './tool build x' './tool build x'

Your folders are never touched: commands work on copies, mounted in their places in a private mount namespace.

Exit codes:
    0  every execution gave the result of some sequential order
    1  the harness itself failed
    2  usage: a command that is not found, a folder that is missing …
   96  this machine lacks what it needs
  100  an execution gave a result that no sequential order gives, or a command hung
  102  inconclusive: the budget ran out, the commands never met, or their results vary even without a race";

const CRASH_EXAMPLES: &str = "\
Examples:
    flockwork crash --state ./data -- 'sort -o ./data/list ./data/list'
    flockwork crash --state ./repo --then 'git fsck' --then 'git log --oneline' -- 'git commit …'
    flockwork crash --state ./db --disk posix --durable -- './tool save'

Your folders are never touched: the command works on copies. docs/disks.md says what each disk model allows.

Exit codes:
    0  every crash left the state before or the one after
    1  the harness itself failed
    2  usage: a command that is not found, a folder that is missing …
   96  this machine lacks what it needs
  100  a crash left something else
  102  inconclusive: the budget ran out, or the command does something that cannot be judged";

const ABOUT: &str = "Finds races between processes that share state through files";

const LONG_ABOUT: &str = "\
Finds races between processes that share state through files.

`flockwork race` takes your own commands and the folder that they share: the result of running them at once must match that of running them one after the other, in some order. `flockwork run` tests container metadata that many processes change (meta.json, guarded by \
meta.lock): it runs real processes, records every operation, and checks that nothing is torn or lost, that no two processes hold the same lock, and that some legal order explains every answer.

Data goes to stdout, all else to stderr.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "flockwork", version, about = ABOUT, long_about = LONG_ABOUT, after_long_help = EXIT_CODES)]
#[command(max_term_width = 110, arg_required_else_help = true)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every command takes.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t = FormatArg::Human)]
    pub format: FormatArg,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
    /// Print only the seed, the result and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", action = ArgAction::SetTrue)]
    pub quiet: bool,
    /// Print checks, coverage and times as well
    #[arg(short, long, global = true, action = ArgAction::SetTrue)]
    pub verbose: bool,
}

/// How to report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Tables and sentences
    Human,
    /// One JSON document on stdout
    Json,
    /// JUnit XML on stdout: a suite per scenario, a case per check
    Junit,
    /// For GitHub Actions: human output, an annotation per finding, and a summary of the step
    Github,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios and check the results
    #[command(after_long_help = EXIT_CODES)]
    Run(RunArgs),
    /// Race your own commands: run at once, they must give the result of some sequential order
    #[command(after_long_help = RACE_EXAMPLES)]
    Race(Box<RaceArgs>),
    /// Crash your own command: a kill or power loss must leave the state before it or after it
    #[command(after_long_help = CRASH_EXAMPLES)]
    Crash(Box<CrashArgs>),
    /// Benchmark locks under contention
    #[command(after_long_help = EXIT_CODES)]
    Bench(BenchArgs),
    /// Replay the schedule of a finding
    #[command(after_long_help = EXIT_CODES)]
    Replay(ReplayArgs),
    /// Shrink a finding to the simplest schedule that shows it
    #[command(after_long_help = EXIT_CODES)]
    Shrink(ShrinkArgs),
    /// List the scenarios
    List(ListArgs),
    /// Check what this machine supports, and that the harness catches a known race
    #[command(after_long_help = EXIT_CODES)]
    Doctor(DoctorArgs),
    /// Check stored histories; starts no processes
    #[command(after_long_help = EXIT_CODES)]
    Check(CheckArgs),
    /// Write a scenario for your own tool, or an example to try
    #[command(after_long_help = EXIT_CODES)]
    Init(InitArgs),
    /// Compare two benchmarks cell by cell, with confidence intervals
    #[command(after_long_help = EXIT_CODES)]
    Compare(CompareArgs),
    /// Write the report.html of a run
    #[command(after_long_help = EXIT_CODES)]
    Report(ReportArgs),
    /// Show the settings in effect and where each comes from
    Config(ConfigArgs),
    /// Merge the results of several machines or seeds
    #[command(after_long_help = EXIT_CODES)]
    Merge(MergeArgs),
    /// Print shell completions
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Hold a lock until a line comes on stdin; doctor's second process
    #[command(hide = true)]
    HoldLock {
        /// The library's lock backend
        lock: String,
        /// The root folder
        root: PathBuf,
    },
}

impl Command {
    /// Whether it ends with a verdict on scenarios, which is what CI servers are told.
    pub const fn reports_scenarios(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Race(_) | Self::Crash(_) | Self::Merge(_))
    }

    /// Whether another program asks for what it prints, or it is part of a test of this machine.
    pub const fn is_for_programs(&self) -> bool {
        matches!(self, Self::HoldLock { .. } | Self::Completions { .. } | Self::Man)
    }

    /// Whether it works with more than one thread.
    pub const fn needs_threads(&self) -> bool {
        match self {
            Self::Run(_)
            | Self::Race(_)
            | Self::Crash(_)
            | Self::Bench(_)
            | Self::Init(_)
            | Self::Replay(_)
            | Self::Shrink(_)
            | Self::Check(_)
            | Self::Doctor(_)
            | Self::Compare(_)
            | Self::Merge(_)
            | Self::Report(_) => true,
            Self::List(_)
            | Self::Config(_)
            | Self::HoldLock { .. }
            | Self::Completions { .. }
            | Self::Man => false,
        }
    }
}

/// What `run` takes.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Scenario files, folders of them, or names of built-in scenarios [default: the built-in suite]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Seed of every random choice [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Run each scenario this long, such as 10s, instead of what it says
    #[arg(long, value_name = "D", conflicts_with = "operations")]
    pub duration: Option<String>,
    /// Run this many operations of each scenario, instead of what it says
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub operations: Option<String>,
    /// Run each scenario with this many processes
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub processes: Option<String>,
    /// Override anything in a scenario; repeatable
    ///
    /// The value is TOML, and a plain word needs no quotes: `--set subject.lock=ofd`, `--set stress.think=0us..50us`,
    /// `--set 'stress.mix={ create = 1, delete = 1 }'`. Setting `stress.operations` clears `stress.duration`, and the reverse.
    #[arg(long, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
    /// Folder for the evidence of runs [default: results]
    #[arg(long, value_name = "D")]
    pub results_dir: Option<PathBuf>,
    /// Put containers in a fresh folder below this one [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
    /// Use this profile of flockwork.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Time for the whole run, such as 60s, shared evenly among the scenarios
    #[arg(long, value_name = "D")]
    pub budget: Option<String>,
    /// Stop after the first scenario that does not end as expected
    #[arg(long, action = ArgAction::SetTrue)]
    pub fail_fast: bool,
    /// Stop after this many distinct unexpected findings
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub max_findings: Option<u64>,
    /// Reproduce the violations of stress runs under control, expected ones too, for up to this long per scenario
    ///
    /// Without this flag: unexpected violations only, for up to 10s per scenario.
    #[arg(long, value_name = "D", num_args = 0..=1, require_equals = true, default_missing_value = "10s", conflicts_with = "no_explain")]
    pub explain: Option<String>,
    /// Do not reproduce the violations of stress runs under control
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_explain: bool,
    /// Keep the history of every run, not only of those that fail
    #[arg(long, action = ArgAction::SetTrue)]
    pub keep_history: bool,
    /// Also write JUnit XML to this file, whatever the format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// What is run of a campaign.
    #[command(flatten)]
    pub campaign: CampaignArgs,
}

/// What is run of a campaign that several machines share.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Campaigns")]
pub struct CampaignArgs {
    /// Run each scenario with this many seeds, starting at --seed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub seeds: Option<u64>,
    /// Run one of N equal shares, counted from 1 [default: from Slurm, Kubernetes, GitLab, Buildkite or Bazel]
    #[arg(long, value_name = "I/N")]
    pub shard: Option<String>,
    /// Skip cases of this campaign that the results folder already has
    #[arg(long, action = ArgAction::SetTrue)]
    pub resume: bool,
}

/// What `config` takes.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Show the settings with this profile of flockwork.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print a JSON schema instead, with which editors complete and check files
    #[arg(long, value_enum, conflicts_with = "profile")]
    pub schema: Option<SchemaArg>,
}

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SchemaArg {
    /// Of scenarios
    Scenario,
    /// Of flockwork.toml
    Settings,
}

/// What `merge` takes.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Folders of runs, or results folders with runs in them
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Folder for the merged report
    #[arg(long, value_name = "D", default_value = "results")]
    pub results_dir: PathBuf,
    /// Also write JUnit XML to this file, whatever the format
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// What `bench` takes.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Scenario files with kind = "bench", or folders of them [default: the default benchmark]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Measure this command instead of a scenario, with 1 to 64 processes: './tool inc'; {state} stands for an empty folder
    #[arg(value_name = "CMD", last = true, conflicts_with = "paths")]
    pub command: Vec<String>,
    /// Seed of every random choice, such as the order of rounds [default: random, and printed]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Measure each round of each cell this long, such as 1s, instead of what the scenario says
    #[arg(long, value_name = "D")]
    pub duration: Option<String>,
    /// Measure with this many processes, or with each of these: 1,8,128
    #[arg(long, value_name = "N[,N…]", allow_negative_numbers = true)]
    pub processes: Option<String>,
    /// Measure each cell in this many rounds
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub rounds: Option<String>,
    /// Override anything in a scenario; repeatable
    ///
    /// The value is TOML, and a plain word needs no quotes: `--set bench.lock=ofd`, `--set 'bench.lock=["fs2", "ofd"]'`,
    /// `--set 'bench.wait="poll 10ms"'`.
    #[arg(long, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
    /// Folder for the evidence of runs
    #[arg(long, value_name = "D", default_value = "results")]
    pub results_dir: PathBuf,
    /// Put containers in a fresh folder below this one; repeatable, and each is measured [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Vec<PathBuf>,
    /// Measure even if it takes longer than the budget
    #[arg(long, action = ArgAction::SetTrue)]
    pub yes: bool,
    /// Where the results are written besides.
    #[command(flatten)]
    pub exports: ExportArgs,
    /// `run` takes it.
    #[arg(long, hide = true, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// `run` takes it.
    #[arg(long, hide = true, value_name = "I/N")]
    pub shard: Option<String>,
}

/// What `replay` takes.
#[derive(Clone, Debug, Args)]
pub struct ReplayArgs {
    /// A finding's folder or its finding.json, a run with one finding, or a schedule (schedule.toml, or any scenario with strategy = "replay")
    #[arg(value_name = "FINDING|SCHEDULE")]
    pub path: PathBuf,
    /// Replay it this many times, and count how often it reproduces
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["step", "hold"])]
    pub times: Option<u32>,
    /// Stop before each step and show the processes and files; ? prints help
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "hold")]
    pub step: bool,
    /// Stop before this step, counted from 1, with all processes alive, so that you can attach a debugger
    #[arg(long, value_name = "STEP")]
    pub hold: Option<usize>,
    /// Put containers in a fresh folder below this one [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
}

/// What `shrink` takes.
#[derive(Debug, Args)]
pub struct ShrinkArgs {
    /// A finding's folder or its finding.json, a run with one finding, or a schedule (schedule.toml, or any scenario with strategy = "replay")
    #[arg(value_name = "FINDING|SCHEDULE")]
    pub path: PathBuf,
    /// Save to scenarios/regressions: NAME.toml explores what is left and expects no violation (commit it with the fix),
    /// NAME-replay.toml replays the schedule [default NAME: that of the finding]
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    pub save: Option<String>,
    /// Shrink for at most this long
    #[arg(long, value_name = "D", default_value = "60s")]
    pub time: String,
    /// Put containers in a fresh folder below this one [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Histories as JSON lines, plain or compressed with zstd, or a run's folder; `-` is stdin
    #[arg(value_name = "HISTORY", required = true)]
    pub histories: Vec<PathBuf>,
    /// What is legal: runsc, oci, register, counter, set, log, lock, queue, or a TOML file with a model of your own
    /// [default: the model that the history names]
    #[arg(long, value_name = "NAME|FILE")]
    pub model: Option<String>,
    /// Read histories of another tool; --model must name a register, a counter or a set
    #[arg(long, value_enum, value_name = "TOOL")]
    pub from: Option<FromArg>,
    /// How to check: by the order of generations and revisions, or by a search that needs neither
    #[arg(long, value_enum, default_value_t = CheckerArg::Auto)]
    pub checker: CheckerArg,
    /// Give up after this long, such as 30s [default: never]
    #[arg(long, value_name = "TIME")]
    pub budget: Option<String>,
    /// Give up if a history's operations, or the search, would need more memory than this, such as 500MB
    #[arg(long, value_name = "BYTES", default_value = "1GB")]
    pub memory: String,
}

/// Who wrote a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FromArg {
    /// Jepsen: `{:process 0, :type :invoke, :f :write, :value 3}` lines
    Jepsen,
}

/// What decides whether a history is linearizable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CheckerArg {
    /// The witness order if the history has generations and revisions, else the search
    Auto,
    /// Only the witness order
    Witness,
    /// Only the search
    Search,
}

/// What `list` takes.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Scenario files, folders of them, or names of built-in scenarios [default: the built-in suite]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// What `doctor` takes.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Check this folder as the place of containers [default: /dev/shm if it has room, else the temporary folder]
    #[arg(long, value_name = "D")]
    pub root: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
