//! What the harness and a supervisor say to each other, and what workers write down.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::plan::command::{CommandPlan, Ends};
use crate::process::region::Layout;
use crate::process::spawner::Bind;

/// What a supervisor is to do; with it comes the region.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct CommandsTask {
    pub plan: CommandPlan,
    pub layout: Layout,
    pub marker: String,
    /// What lies in the place of what.
    pub binds: Vec<Bind>,
    pub places: Places,
}

/// The folders of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Places {
    /// What commands work on.
    pub state: PathBuf,
    /// What it is put back to.
    pub kept: PathBuf,
    /// Where workers and auditors write what they saw.
    pub records: PathBuf,
    /// Where auditors put copies for commands that tell whether a file is whole.
    pub copies: PathBuf,
}

impl Places {
    pub fn below(root: &std::path::Path) -> Self {
        Self {
            state: root.join("state"),
            kept: root.join("kept"),
            records: root.join("records"),
            copies: root.join("copies"),
        }
    }

    /// Where a process writes what it did.
    pub fn record_of(&self, process: u32) -> PathBuf {
        self.records.join(format!("{process}.jsonl"))
    }
}

/// What a supervisor tells.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// It cannot begin: a mount namespace cannot be had.
    NoNamespace(String),
    /// A command of setup or teardown did not do what it should.
    Usage(String),
    /// Something else went wrong.
    Failed(String),
    /// All is over.
    Finished(Finished),
}

/// What a supervisor saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Finished {
    pub rounds: u64,
    /// When the first process went.
    pub started_ns: u64,
    /// Processes that were left over after a round, by name, with how many there were.
    pub strays: Vec<(String, u64)>,
    /// Files outside of the state that commands change.
    pub touched: BTreeSet<String>,
    /// Why calls were not delayed, where they were to be.
    pub unperturbed: Option<String>,
}

/// How a command ended, where that was unusual.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unusual {
    /// It did not end within its time: who waits for what.
    Hung(Vec<String>),
    /// This signal ended it, which nobody here sent.
    Crashed(i32),
    /// It was killed as a fault.
    Killed,
    /// It wrote too much, and was killed.
    TooMuch,
    /// It could not be started, for lack of what the machine has.
    Lacking(String),
}

/// One operation, as its worker wrote it down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// The round that it belongs to, from 0.
    pub round: u64,
    /// The worker that ran it, from 0.
    pub process: u32,
    /// Which operation of the plan.
    pub operation: usize,
    /// Which object of the plan.
    pub object: usize,
    /// When it was about to be started.
    pub invoke_ns: u64,
    /// When it had ended; none: what it started may still act.
    pub return_ns: Option<u64>,
    /// What the scenario's rules make of its answer.
    pub outcome: Ends,
    /// Why it was refused or failed, where a rule gave a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it was given, or what it told of that.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub value: Option<Json>,
    /// What its answer told, read as the scenario says.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "even_null")]
    pub saw: Option<Json>,
    /// The status that it told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// What it said of itself, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether no rule fits its answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_unmatched: bool,
    /// How its command ended, where that was unusual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unusual: Option<Unusual>,
}

/// A null that is there is a value.
fn even_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// A file that an auditor did not find whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Torn {
    /// The round in which it was read, from 0.
    pub round: u64,
    /// When it was read.
    pub at_ns: u64,
    /// The file, within the state folder.
    pub file: String,
    /// What is wrong with it.
    pub why: String,
    /// What the reader found, cut short where it is long.
    pub content: String,
}
