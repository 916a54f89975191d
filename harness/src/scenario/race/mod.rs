//! The `[race]` table: commands whose own sequential behaviour is what is right. `flockwork race` makes the same value of its
//! flags, and `--save` writes it.

mod power;
mod read;
#[cfg(test)]
mod tests;
mod words;
mod write;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::stress::{DAY_NS, MS_NS, S_NS};
use crate::plan::StrategyPlan;
use crate::plan::race::{Busy, Compare, ForkServer, Mode, Modelled, RaceBudget, RacePlan, Sleeps, Threads};
use crate::plan::rounds::{OciPlan, Runtime};
use crate::plan::schedule::Fault;
use crate::race::{self, RaceError};

/// Most processes of one race.
pub const PROCESSES_MAX: usize = 8;
/// How long a race takes at most, unless it says otherwise.
pub const BUDGET_NS: u64 = 60 * S_NS;
/// How long a command may take, unless a race says otherwise.
pub const TIME_LIMIT_NS: u64 = 10 * S_NS;
const EXECUTIONS: RangeInclusive<u64> = 1..=1_000_000_000;
const TIME_LIMIT: RangeInclusive<u64> = 10 * MS_NS..=DAY_NS;
/// A process that is stopped for longer than this is not perturbed but halted.
pub const PERTURB_NS_MAX: u64 = 10 * S_NS;

/// A race: a plan that has no folders of its own and no seed yet.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Race {
    /// The command lines of each process.
    pub processes: Vec<Vec<String>>,
    /// The state folders, as they were written.
    pub state: Vec<PathBuf>,
    /// Whether the folders themselves are worked on, rather than copies.
    pub in_place: bool,
    /// Where commands start, as it was written.
    pub folder: PathBuf,
    /// What commands find set in their environment.
    pub environment: Vec<(String, String)>,
    /// Run once, before the initial state is taken.
    pub setup: Vec<String>,
    /// What tells the state.
    pub observe: Option<String>,
    /// Run after each execution.
    pub then: Vec<String>,
    /// When a command did not run.
    pub busy: Vec<Busy>,
    /// What is compared; none: what is usual.
    pub compare: Option<Compare>,
    /// What may go wrong with a command.
    pub faults: Vec<Fault>,
    /// Whether the power may go.
    pub power: bool,
    /// The disk model; none: that of the filesystem that the state folder lies on.
    pub disk: Option<String>,
    /// Whether what a killed command leaves behind is a violation.
    pub strict: bool,
    /// Paths that are not compared.
    pub ignore: Vec<String>,
    /// Regular expressions: what matches is not compared.
    pub masks: Vec<String>,
    /// How executions are made to differ.
    pub mode: Mode,
    /// Which executions are run under control; none: those with few preemptions first.
    pub strategy: Option<StrategyPlan>,
    /// Whether programs are controlled that do what no controller can hold.
    pub allow_uncontrolled: bool,
    /// How the programs of executions under control come to be there.
    pub fork_server: ForkServer,
    /// Which task of a command goes first, where several could.
    pub threads: Threads,
    /// What becomes of sleeps.
    pub sleeps: Sleeps,
    /// How much is done at most.
    pub budget: RaceBudget,
    /// How long a command may take, in nanoseconds.
    pub time_limit_ns: u64,
    /// Whether the state is an empty folder of the run's own, where no folder is named.
    pub own_state: bool,
    /// What the commands are to a model, where one judges rather than their own orders.
    pub modelled: Option<Modelled>,
    /// The container runtime that the commands are operations of, where they are.
    pub oci: Option<OciPlan>,
}

impl Default for Race {
    fn default() -> Self {
        Self {
            processes: Vec::new(),
            state: Vec::new(),
            in_place: false,
            folder: PathBuf::from("."),
            environment: Vec::new(),
            setup: Vec::new(),
            observe: None,
            then: Vec::new(),
            busy: Vec::new(),
            compare: None,
            faults: Vec::new(),
            power: false,
            disk: None,
            strict: false,
            ignore: Vec::new(),
            masks: Vec::new(),
            mode: Mode::Auto,
            strategy: None,
            allow_uncontrolled: false,
            fork_server: ForkServer::Off,
            threads: Threads::Fixed,
            sleeps: Sleeps::Held,
            budget: RaceBudget { time_ns: BUDGET_NS, executions: None },
            time_limit_ns: TIME_LIMIT_NS,
            own_state: false,
            modelled: None,
            oci: None,
        }
    }
}

impl Race {
    /// The plan of one race. `leaves_out` are folders that are no part of the state though they may lie in it. Paths are those of
    /// the folder that flockwork runs in.
    #[must_use]
    pub fn plan(&self, seed: u64, leaves_out: Vec<PathBuf>) -> RacePlan {
        // What is not there is told when it is looked at.
        let absolute = |path: &Path| {
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
        };
        RacePlan {
            processes: self.processes.clone(),
            state: self.state.iter().map(|path| absolute(path)).collect(),
            in_place: self.in_place,
            leaves_out,
            folder: absolute(&self.folder),
            environment: self.environment.clone(),
            setup: self.setup.clone(),
            observe: self.observe.clone(),
            then: self.then.clone(),
            busy: self.busy.clone(),
            compare: self.compare.unwrap_or(race::compared(self.observe.is_some() || self.oci.is_some())),
            faults: self.faults.clone(),
            disk: self.power.then(|| self.disk_model()),
            strict: self.strict,
            ignore: self.ignore.clone(),
            masks: self.masks.clone(),
            mode: self.mode.clone(),
            strategy: self.strategy.clone(),
            allow_uncontrolled: self.allow_uncontrolled,
            fork_server: self.fork_server,
            threads: self.threads,
            sleeps: self.sleeps,
            initial: None,
            budget: self.budget,
            seed,
            time_limit_ns: self.time_limit_ns,
            own_state: self.own_state,
            modelled: self.modelled.clone(),
            oci: self.oci.clone(),
        }
    }

    /// Checks what can be checked without running anything.
    pub fn check(&self) -> Result<(), RaceError> {
        let usage = |why: String| Err(RaceError::Usage(why));
        let count = self.processes.len();
        if !(2..=PROCESSES_MAX).contains(&count) {
            return usage(format!(
                "a race takes 2 to {PROCESSES_MAX} processes, and this has {count}: expected command lines, such as './tool \
                 add a' './tool add b'"
            ));
        }
        if self.processes.iter().any(Vec::is_empty) {
            return usage("a process has no command".into());
        }
        if let Some(oci) = &self.oci {
            self.must_be_of_a_runtime(oci.runtime)?;
        } else if self.state.is_empty() && self.observe.is_none() && !self.own_state {
            return usage("name the folder that the commands share with --state DIR".into());
        }
        if self.compare.is_some_and(|compare| compare.observe) && self.observe.is_none() {
            return usage("--compare observe: there is nothing to observe with; give --observe CMD".into());
        }
        if self.mode != Mode::Auto && (self.strategy.is_some() || self.allow_uncontrolled) {
            return usage(
                "a strategy, a bound of preemptions and --allow-uncontrolled are for commands under control: leave out --free and \
                 --perturb"
                    .into(),
            );
        }
        if self.mode != Mode::Auto && self.fork_server == ForkServer::Auto {
            return usage(
                "--fork-server is for commands under control: leave out --free and --perturb".into(),
            );
        }
        if self.mode != Mode::Auto && self.sleeps == Sleeps::Real {
            return usage(
                "--sleeps real is for commands under control: leave out --free and --perturb, where sleeps are real anyway".into(),
            );
        }
        self.must_be_able_to_lose_power()?;
        if self.threads == Threads::Explore {
            self.check_threads()?;
        }
        if self.strategy.is_some() && !self.faults.is_empty() {
            return usage(
                "--strategy and --preemptions do not work with --faults kill, which has its own order".into(),
            );
        }
        if self.strict && self.faults.is_empty() && !self.power {
            return usage(
                "--strict is about what a crash leaves behind: expected --faults kill or power-loss with it"
                    .into(),
            );
        }
        for (name, _) in &self.environment {
            if name.is_empty() || name.contains('\0') {
                return usage("--env: expected NAME=VALUE".into());
            }
        }
        if self.state.iter().any(|path| path.to_str().is_none()) {
            return usage("--state: expected a path in UTF-8".into());
        }
        race::check(&self.plan(0, Vec::new()))
    }

    /// Whose tasks can be explored.
    fn check_threads(&self) -> Result<(), RaceError> {
        let usage = |why: &str| Err(RaceError::Usage(why.into()));
        if self.mode != Mode::Auto {
            return usage("--threads explore is for commands under control: leave out --free and --perturb");
        }
        if self.fork_server == ForkServer::Auto {
            return usage(
                "--threads explore does not work with --fork-server auto: leave out one of them; a clone has one thread",
            );
        }
        if self.power {
            return usage("--threads explore does not work with --faults power-loss: leave out one of them");
        }
        if self.modelled.is_some() {
            return usage(
                "--threads explore is for commands that are their own specification: leave out the model",
            );
        }
        Ok(())
    }

    /// A runtime has its own state, and tells it itself: what is about folders and programs makes no sense for it.
    fn must_be_of_a_runtime(&self, runtime: Runtime) -> Result<(), RaceError> {
        let foreign = [
            ("--state", !self.state.is_empty() || self.own_state),
            ("--observe", self.observe.is_some()),
            ("--then", !self.then.is_empty()),
            ("--in-place", self.in_place),
            ("--busy", !self.busy.is_empty()),
            ("--compare", self.compare.is_some()),
            ("--ignore", !self.ignore.is_empty()),
            ("--mask", !self.masks.is_empty()),
            ("--strict", self.strict),
            ("--faults power-loss", self.power),
            ("--fork-server", self.fork_server == ForkServer::Auto),
            ("--threads", self.threads == Threads::Explore),
            ("--sleeps", self.sleeps == Sleeps::Real),
            ("--env", !self.environment.is_empty()),
            ("--cwd", self.folder != Path::new(".")),
        ];
        match foreign.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((flag, _)) => Err(RaceError::Usage(format!(
                "{flag} is for commands of your own: the operations of {runtime} have a root of their own, and are compared by \
                 their exit codes, by what state tells, and by what stays when all is deleted"
            ))),
        }
    }
}

pub(in crate::scenario) use power::{check_disk, disk_of};
pub(super) use read::{read, read_fork_server, read_sleeps, read_surroundings};
pub use words::{
    POWER_LOSS, parse_busy, parse_compare, parse_fault, parse_perturb, parse_race_fault, parted, strategies,
    strategy_of,
};
