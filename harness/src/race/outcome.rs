//! What an execution came to: how each command ended, what it printed, and what lies in the folders.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ground::Capture;

/// Which command an output is of. Ordered as people read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A command of a process, both counted from 0.
    Command {
        /// Which of the processes.
        process: usize,
        /// Which of its commands.
        index: usize,
        /// Whether the process has no other.
        alone: bool,
    },
    /// What tells the state.
    Observe,
    /// A command that is run afterwards, counted from 0.
    Then(usize),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command { process, alone: true, .. } => write!(f, "p{}", process + 1),
            Self::Command { process, index, .. } => write!(f, "p{}.{}", process + 1, index + 1),
            Self::Observe => f.write_str("observe"),
            Self::Then(index) => write!(f, "then {}", index + 1),
        }
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// With this exit code.
    Exited(i32),
    /// By this signal, which it got from somebody else than flockwork.
    Signaled(i32),
    /// It could not be started: the error's number.
    NotStarted(i32),
    /// It was killed as a fault.
    Killed,
    /// It had not ended when its time was over, and was killed.
    TimedOut,
    /// It was not run, as the one before it in its process did not end.
    Skipped,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit code {code}"),
            Self::Signaled(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(signal) => write!(f, "died of {}", signal.as_str()),
                Err(_) => write!(f, "died of signal {signal}"),
            },
            Self::NotStarted(errno) => {
                write!(f, "not started: {}", std::io::Error::from_raw_os_error(*errno))
            }
            Self::Killed => f.write_str("killed"),
            Self::TimedOut => f.write_str("did not end in time"),
            Self::Skipped => f.write_str("not run"),
        }
    }
}

/// A command that was run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// How the command's process ended.
    pub ending: Ending,
    /// What it wrote to stdout.
    pub stdout: Output,
    /// What it wrote to stderr.
    pub stderr: Output,
}

/// What a command wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// The beginning of it, as much as is kept.
    pub text: Arc<[u8]>,
    /// How many bytes there were in all.
    pub bytes: u64,
}

impl Output {
    /// Whether not all of it is kept.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.bytes > self.text.len() as u64
    }
}

/// What an execution came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The commands of each process.
    pub processes: Vec<Vec<Done>>,
    /// What lies in each folder when all have ended.
    pub folders: Vec<Capture>,
    /// What tells the state, where that was asked for.
    pub observed: Option<Done>,
    /// What the commands that followed did.
    pub then: Vec<Done>,
    /// What lies in each folder after that, where that was asked for.
    pub folders_then: Vec<Capture>,
    /// Names of processes that commands left behind and that did not end by themselves.
    pub left_behind: Vec<String>,
}

impl Outcome {
    /// Every command of a process with what it came to.
    pub fn commands(&self) -> impl Iterator<Item = (Who, &Done)> {
        self.processes.iter().enumerate().flat_map(|(process, commands)| {
            let alone = commands.len() == 1;
            commands
                .iter()
                .enumerate()
                .map(move |(index, done)| (Who::Command { process, index, alone }, done))
        })
    }

    /// Who did not end in time.
    pub fn timed_out(&self) -> impl Iterator<Item = Who> {
        self.everybody().filter(|(_, done)| done.ending == Ending::TimedOut).map(|(who, _)| who)
    }

    /// Every command that was run, those that tell the state and those that come after among them.
    pub fn everybody(&self) -> impl Iterator<Item = (Who, &Done)> {
        let observed = self.observed.iter().map(|done| (Who::Observe, done));
        let then = self.then.iter().enumerate().map(|(index, done)| (Who::Then(index), done));
        self.commands().chain(observed).chain(then)
    }
}
