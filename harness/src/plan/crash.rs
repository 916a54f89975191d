//! The plan of a crash: a command, and the moments at which it or the machine ends.

use serde::{Deserialize, Serialize};

use super::race::RacePlan;

/// What an acknowledgement is: from then on nothing but the state afterwards is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Durable {
    /// The command ends with success.
    Ended,
    /// It prints this.
    Said(String),
}

/// A crash run: one command, killed at each of its steps, or cut off from what the disk has not got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrashPlan {
    /// The command, alone in its process, with all that surrounds it.
    pub race: RacePlan,
    /// Whether SIGKILL is tried at each step.
    pub kill: bool,
    /// The disk model of a power loss, where one is tried.
    pub disk: Option<String>,
    /// What is acknowledged, where that must last.
    pub durable: Option<Durable>,
}
