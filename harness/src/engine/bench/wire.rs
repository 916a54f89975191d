//! What the harness and the zygote say to each other about one round.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::plan::bench::CellPlan;
use crate::process::arena::Size;

/// Run this round.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct BenchTask {
    pub cell: CellPlan,
    /// Where the containers lie.
    pub folder: PathBuf,
    /// Determines the choices of the round's workers.
    pub seed: u64,
    pub warm_up_ns: u64,
    pub duration_ns: u64,
    pub size: Size,
    pub marker: String,
}

/// What the zygote tells of a round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It is over.
    Finished(Finished),
    /// It could not be done.
    Failed(String),
}

/// A round that is over.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// Who did not work to the end.
    pub departures: Vec<Departure>,
    /// Processor time of the round's processes, from fork to burial, and of the zygote meanwhile.
    pub cpu_ns: u64,
}

/// A process that ended before the round did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Departure {
    pub process: u32,
    pub pid: u32,
    pub how: How,
}

/// How a process ended that should not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum How {
    /// By a signal that was none of ours.
    Signal(i32),
    /// It exited with this code, and these were its last words where it left any.
    Code(i32, Option<String>),
    /// By our SIGKILL, long after the end of the round.
    Stuck,
}

impl Departure {
    /// What happened, in words.
    pub fn words(&self) -> String {
        let Self { process, pid, how } = self;
        let who = format!("process {process} (pid {pid})");
        match how {
            How::Signal(signal) => {
                let name = nix::sys::signal::Signal::try_from(*signal);
                let name = name.map_or_else(|_| format!("signal {signal}"), |name| name.to_string());
                format!("{who} was killed by {name}")
            }
            How::Code(_, Some(words)) => format!("{who}: {words}"),
            How::Code(code, None) => format!("{who} ended with exit code {code}"),
            How::Stuck => format!("{who} was still running long after the end, and had to be killed"),
        }
    }
}
