//! What a machine is to hold, and what an execution on it comes to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::journal::Entry;
use crate::books::deed::Faults;
use crate::plan::race::{ForkServer, Sleeps, Threads};
use crate::plan::schedule::{Fault, Line, Names, Schedule};
use crate::process::slot::{CommandLine, SlotError};
use crate::process::spawner::{Bind, Network, SpawnerError, Status, Unready};

/// What a machine is to hold.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Marks all that is started, so that a later run finds what is left.
    pub marker: String,
    /// Variables that all commands find set, besides those of the harness.
    pub environment: Vec<(String, String)>,
    /// What lies in the place of what, for the commands alone.
    pub binds: Vec<Bind>,
    /// Whose network they are in.
    pub network: Network,
    /// The command lines of each schedulable process, run one after the other.
    pub processes: Vec<Vec<CommandLine>>,
    /// The state folders, as commands find them. They exist. Whoever runs executions puts them back in between.
    pub folders: Vec<PathBuf>,
    /// An existing folder of the machine's own, in which it keeps what commands print.
    pub scratch: PathBuf,
    /// The processor on which commands and their controller run.
    pub processor: Option<usize>,
    /// How.
    pub options: Options,
}

impl Settings {
    /// Where the first state folder is seen by everybody but the commands, who may find a copy in its place.
    pub(super) fn looked_at(&self) -> Option<PathBuf> {
        let folder = self.folders.first()?;
        let bind = self.binds.iter().find(|bind| bind.place == *folder);
        Some(bind.map_or(folder, |bind| &bind.copy).clone())
    }
}

/// How a machine holds programs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Options {
    /// Whether calls that cannot be foreseen are let through, and noted, instead of refused.
    pub allow_uncontrolled: bool,
    /// What becomes of sleeps.
    pub sleeps: Sleeps,
    /// Longest that a program may run from one stop to the next, on a processor.
    pub step_limit: Duration,
    /// Longest that an execution may take.
    pub time_limit: Duration,
    /// How long programs may look in vain, when nobody else can go on, until they count as hanging.
    pub patience: Duration,
    /// Most steps of an execution.
    pub steps_max: usize,
    /// Whether the bytes of writes are kept in the journal.
    pub records_bytes: bool,
    /// Whether a journal of all deeds is kept.
    pub keeps_journal: bool,
    /// Whether to do without the class `SCHED_FIFO` even where it can be had.
    pub without_real_time: bool,
    /// Whether a process's first command begins with its first step, as the later ones do, rather than before everything:
    /// for whoever judges by time. It is what others may see then, and makes for more executions.
    pub begins_late: bool,
    /// Whether signals wait until a call that is stopped is answered, where the kernel can have them wait (Linux 5.19). Nobody
    /// can attach to a command then. Else a signal interrupts a call that is held.
    pub uninterrupted: bool,
    /// Whether executions are clones of programs that were started once, where they can be.
    pub fork_server: ForkServer,
    /// Whether it is fixed which task of a process goes next, where several could, or a choice as that between processes is.
    pub threads: Threads,
    /// Whether a fault that kills meets a command's first process alone: what it started lives on, as it does when the kernel
    /// kills a process for its memory.
    pub kills_alone: bool,
    /// Whether what commands left behind goes on by itself while somebody looks at what is there, when all have ended.
    pub goes_on_afterwards: bool,
    /// Words that names of files are made of, in every execution alike: what [`Machine::words`](super::Machine::words)
    /// told earlier. Other names get numbers.
    pub words: Option<BTreeSet<String>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            allow_uncontrolled: false,
            sleeps: Sleeps::Held,
            step_limit: Duration::from_secs(10),
            time_limit: Duration::from_secs(60),
            patience: Duration::from_secs(10),
            steps_max: 10_000,
            records_bytes: false,
            keeps_journal: false,
            without_real_time: false,
            begins_late: false,
            uninterrupted: true,
            fork_server: ForkServer::Off,
            threads: Threads::Fixed,
            kills_alone: false,
            goes_on_afterwards: false,
            words: None,
        }
    }
}

/// What came of a fork server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cloned {
    /// Executions whose programs were clones.
    pub executions: u64,
    /// Executions whose programs were started, one and all.
    pub started: u64,
    /// How often programs were started to be cloned.
    pub renewals: u64,
    /// Why there are no clones any more, or never were any.
    pub refused: Option<String>,
}

/// A fault that is to meet a process at the step of this label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Planned {
    /// The process, from 0.
    pub process: usize,
    /// The step's label.
    pub label: Arc<str>,
    /// What happens there.
    pub fault: Fault,
}

impl Planned {
    /// The fault that a line of a schedule tells of.
    #[must_use]
    pub fn of(line: &Line) -> Option<Self> {
        line.fault.map(|fault| Self { process: line.process, label: line.label.as_str().into(), fault })
    }
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself.
    Status(Status),
    /// It was killed by a fault of the schedule.
    Killed,
    /// It never began: its process was killed before, or the execution was left before it.
    NotBegun,
    /// It could not be started: the error.
    NotStarted(String),
    /// The execution was over before it was: a deadlock, or an end that was chosen.
    Unfinished,
}

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// How it ended.
    pub ending: Ending,
    /// What it printed on stdout.
    pub stdout: Vec<u8>,
    /// What it printed on stderr.
    pub stderr: Vec<u8>,
    /// The number of steps that had happened when it began; the first command of a process begins before all steps, unless
    /// [`Options::begins_late`] says otherwise.
    pub invoked: Option<usize>,
    /// The number of steps that had happened when it had ended.
    pub returned: Option<usize>,
}

/// What an execution left, besides the state folders.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// By process, what each of its commands came to.
    pub commands: Vec<Vec<Command>>,
    /// Every step that was about to be taken, and the faults that it could meet, by process.
    pub chances: Vec<(usize, Arc<str>, Faults)>,
    /// At which steps a fault met somebody.
    pub faults: Vec<(usize, Fault)>,
    /// Points at which somebody waited for a lock.
    pub blocked: u64,
    /// Who waits for whom, where nobody could go on.
    pub stall: Option<Vec<String>>,
    /// Processes whose commands left something behind that was still there at the end.
    pub left_behind: BTreeSet<usize>,
    /// Processes of which several tasks could have taken the next step, where which of them did is fixed, and was not explored.
    pub in_fixed_order: BTreeSet<usize>,
    /// Processes of which several tasks could have taken the next step, each of which was a choice of its own.
    pub in_any_order: BTreeSet<usize>,
    /// What was changed outside of the state folders.
    pub touched_outside: BTreeSet<String>,
    /// Paths outside of the state folders that were to become names inside, or names inside were to become.
    pub renamed_across: BTreeSet<String>,
    /// Calls that were let through though they cannot be foreseen, and how often.
    pub uncontrolled: BTreeMap<String, u64>,
    /// Calls that were answered as if the kernel did not have them, as they cannot be foreseen.
    pub absent: BTreeSet<&'static str>,
    /// Why nothing exhaustive can be claimed of a search with this execution in it.
    pub uncertain: BTreeSet<String>,
    /// Whether it counts as stuck because programs looked in vain for as long as is allowed: that takes its time.
    pub looked_for_long: bool,
    /// Calls that failed because they were held: such an execution is none that could have been.
    pub spoilt: BTreeSet<String>,
    /// What was let go, where a journal is kept.
    pub journal: Vec<Entry>,
    /// What names were that have numbers in labels: for people.
    pub names: Names,
}

impl Left {
    /// The schedule that was taken.
    #[must_use]
    pub fn schedule(&self) -> Schedule {
        let steps = self.chances.iter().map(|(process, label, _)| (*process, &**label));
        Schedule { names: self.names.clone(), ..Schedule::taken(steps, &self.faults) }
    }

    /// Whether a search whose executions are all like this one may be called exhaustive.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.uncertain.is_empty() && self.uncontrolled.is_empty() && !self.is_spoilt()
    }

    /// Whether a call failed because it was held: no verdict may rest on the execution.
    #[must_use]
    pub fn is_spoilt(&self) -> bool {
        !self.spoilt.is_empty()
    }
}

/// Why an execution could not be run: never the program's fault, unless it does what cannot be controlled.
#[derive(Debug, thiserror::Error)]
pub enum TraceeError {
    /// The machine or the harness.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// A program does something that cannot be controlled.
    #[error(
        "p{process} ({command}): {call} {why}; --allow-uncontrolled lets it through, and then no claim is exhaustive"
    )]
    Refused {
        /// Who, counted from 1.
        process: usize,
        /// The program at work.
        command: String,
        /// The system call.
        call: String,
        /// What it does.
        why: String,
    },
    /// A program would harm the harness, or everybody.
    #[error("p{process} ({command}): {call} {why}")]
    Harmful {
        /// Who, counted from 1.
        process: usize,
        /// The program at work.
        command: String,
        /// The system call.
        call: String,
        /// What it does, and how to do without.
        why: String,
    },
    /// A program ran on without a system call.
    #[error("p{process} ({command}) ran for {seconds} s without a stop after {last}")]
    Runaway {
        /// Who, counted from 1.
        process: usize,
        /// The program.
        command: String,
        /// How long it was allowed.
        seconds: f64,
        /// Its last step.
        last: String,
    },
    /// An execution took too long.
    #[error("the execution took longer than {seconds} s, and was ended at {at}")]
    TooSlow {
        /// How long it was allowed.
        seconds: f64,
        /// What it waited for.
        at: String,
    },
    /// The kernel, or whoever restricts it, lets no process be controlled.
    #[error("{0}")]
    Unsupported(String),
    /// The spawner is not there.
    #[error("{0}")]
    Spawner(String),
    /// Clones of programs do what programs that are started would not: whatever was run so far with them must be run again.
    #[error("a clone differs from a started program: {0}")]
    NotCloneable(String),
}

impl From<SpawnerError> for TraceeError {
    fn from(error: SpawnerError) -> Self {
        match error {
            SpawnerError::Unready(Unready::Namespace(_) | Unready::Filter(_)) => {
                Self::Unsupported(error.to_string())
            }
            other => Self::Spawner(other.to_string()),
        }
    }
}

impl From<SlotError> for TraceeError {
    fn from(error: SlotError) -> Self {
        match error {
            SlotError::Unsupported(_) => Self::Unsupported(error.to_string()),
            SlotError::Io(error) => Self::Io(error),
        }
    }
}
