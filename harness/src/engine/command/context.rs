//! What all processes of a run share: made in the supervisor, inherited by fork.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::Value as Json;

use super::wire::{CommandsTask, Places};
use crate::plan::command::{CommandPlan, Line, OperationPlan};
use crate::process::Marker;
use crate::process::clock::now_ns;
use crate::process::launch::{self, Done, Launch};
use crate::process::region::Region;
use crate::subject::command::answer::Compiled;
use crate::subject::command::fill::Placeholders;

/// Where a run takes place.
pub(super) struct CommandContext {
    pub plan: CommandPlan,
    pub places: Places,
    pub region: Arc<Region>,
    /// The rules of each operation.
    pub rules: Vec<Vec<Compiled>>,
    /// The state folder's path, as placeholders take it.
    pub state: String,
    /// What every command finds set.
    pub environment: Vec<(String, String)>,
    /// Whether calls are delayed: where that is wanted and can be.
    pub perturbs: bool,
}

impl CommandContext {
    pub fn new(order: CommandsTask, region: Region) -> Result<Self, String> {
        let CommandsTask { plan, marker, places, .. } = order;
        let compile = |rule| Compiled::new(rule);
        let rules = plan
            .operations
            .iter()
            .map(|operation| operation.rules.iter().map(compile).collect::<Result<Vec<_>, _>>())
            .collect::<Result<Vec<_>, _>>()?;
        let state = places.state.display().to_string();
        let placeholders = Placeholders { state: &state, ..Placeholders::default() };
        let mut environment = vec![(Marker::VARIABLE.to_owned(), marker)];
        let own = plan.environment.iter();
        environment.extend(own.map(|(name, value)| (name.clone(), placeholders.fill(value))));
        Ok(Self { plan, places, region: Arc::new(region), rules, state, environment, perturbs: false })
    }

    /// Where commands start.
    pub fn folder(&self) -> Option<PathBuf> {
        let folder = Placeholders { state: &self.state, ..Placeholders::default() }.fill(&self.plan.folder);
        (!folder.is_empty()).then(|| folder.into())
    }

    /// An operation on an object with this value, with its process and number, both from 1.
    pub fn filled(
        &self,
        operation: &OperationPlan,
        object: &str,
        value: Option<&Json>,
        (process, number): (u32, u64),
    ) -> Filled {
        let placeholders = Placeholders {
            state: &self.state,
            object: Some(object),
            value,
            process: Some(process),
            number: Some(number),
            file: None,
        };
        let own = operation.environment.iter();
        let mut environment = self.environment.clone();
        environment.extend(own.map(|(name, value)| (name.clone(), placeholders.fill(value))));
        Filled {
            words: operation.command.words.iter().map(|word| placeholders.fill(word)).collect(),
            environment,
            stdin: operation.stdin.as_ref().map(|text| placeholders.fill(text)),
            folder: self.folder(),
        }
    }

    /// Whether no operation is to begin any more.
    pub fn is_over(&self) -> bool {
        let control = self.region.control();
        control.end.load(Ordering::Relaxed) != 0 || now_ns() >= control.deadline_ns.load(Ordering::Relaxed)
    }

    /// Runs a command that is no operation.
    pub fn run_alone(&self, line: &Line, file: Option<&Path>, who: &str) -> std::io::Result<Done> {
        let file = file.map(|file| file.display().to_string());
        let placeholders =
            Placeholders { state: &self.state, file: file.as_deref(), ..Placeholders::default() };
        let words: Vec<String> = line.words.iter().map(|word| placeholders.fill(word)).collect();
        launch::run(&Launch {
            program: &line.program,
            words: &words,
            environment: &self.environment,
            folder: self.folder().as_deref(),
            stdin: None,
            limit_ns: self.plan.time_limit_ns,
            kill_ns: None,
            perturber: None,
            who,
            folders: std::slice::from_ref(&self.places.state),
            end: None,
        })
    }
}

/// What an operation is started with: nothing stands for anything any more.
pub(super) struct Filled {
    words: Vec<String>,
    environment: Vec<(String, String)>,
    stdin: Option<String>,
    folder: Option<PathBuf>,
}

impl Filled {
    /// Its command, which nothing disturbs.
    pub fn launch<'a>(
        &'a self,
        operation: &'a OperationPlan,
        context: &'a CommandContext,
        limit_ns: u64,
        who: &'a str,
    ) -> Launch<'a> {
        Launch {
            program: &operation.command.program,
            words: &self.words,
            environment: &self.environment,
            folder: self.folder.as_deref(),
            stdin: self.stdin.as_deref().map(str::as_bytes),
            limit_ns,
            kill_ns: None,
            perturber: None,
            who,
            folders: std::slice::from_ref(&context.places.state),
            end: Some(&context.region.control().end),
        }
    }
}
