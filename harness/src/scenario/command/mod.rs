//! Scenarios of a user's commands: `[subject] name = "command"`.

mod explore;
mod read;
mod rules;
mod watch;

use std::path::{Path, PathBuf};

pub(super) use self::read::{read, read_environment, read_explore, read_line, read_lines};
use crate::model::AnyModel;
use crate::plan::command::CommandPlan;

/// A run of commands: a plan that has no absolute paths and no seed yet, and the model that judges it.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandStress {
    /// The model by which the history of the operations is judged.
    pub model: AnyModel,
    /// What is run, but for the folders and the seed.
    pub plan: CommandPlan,
    /// The least share of operations that must overlap with one of another process on their object.
    pub overlap_min: f64,
}

impl CommandStress {
    /// The plan of one run. Paths are those of the folder that flockwork runs in.
    #[must_use]
    pub fn plan(&self, seed: u64) -> CommandPlan {
        let absolute = |path: &PathBuf| {
            path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.clone())
        };
        CommandPlan { state: self.plan.state.as_ref().map(absolute), seed, ..self.plan.clone() }
    }

    /// What it tests, in a few words.
    #[must_use]
    pub fn words(&self) -> String {
        let first = self.plan.operations.first().map(|operation| operation.command.text.as_str());
        let program = first.and_then(|text| text.split_whitespace().next()).unwrap_or_default();
        let name = Path::new(program).file_name().map(|name| name.to_string_lossy().into_owned());
        format!("{} as {}", name.unwrap_or_default(), self.model.name())
    }
}
