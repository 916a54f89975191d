//! A user's command as work: it is started, and measured until it has ended.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::clock::Clock;
use super::job::{Job, Performed, Timing};
use super::wire::BenchTask;
use crate::engine::EngineError;
use crate::plan::bench::CommandTask;
use crate::process::Marker;
use crate::process::launch::{self, Ending, Launch};
use crate::process::lifeline;
use crate::subject::command::fill::Placeholders;

/// Runs the command in a process of its own, again and again.
pub(super) struct Run<'t> {
    task: &'t CommandTask,
    state: PathBuf,
    shown: String,
    environment: Vec<(String, String)>,
    names: Arc<[String]>,
    process: u32,
    number: u64,
}

impl<'t> Run<'t> {
    pub fn new(
        task: &'t CommandTask,
        order: &BenchTask,
        names: &Arc<[String]>,
        process: u32,
    ) -> Result<Self, String> {
        lifeline::restore_signals().map_err(|error| error.to_string())?;
        // What commands leave behind is reaped here.
        nix::sys::prctl::set_child_subreaper(true).map_err(|error| error.to_string())?;
        nix::sys::prctl::set_timerslack(50_000).map_err(|error| error.to_string())?;
        let shown = order.folder.display().to_string();
        let mut environment = vec![(Marker::VARIABLE.to_owned(), order.marker.clone())];
        environment.extend(filled(task, &shown));
        Ok(Self {
            task,
            state: order.folder.clone(),
            shown,
            environment,
            names: Arc::clone(names),
            process,
            number: 0,
        })
    }
}

fn filled(task: &CommandTask, state: &str) -> Vec<(String, String)> {
    let placeholders = Placeholders { state, ..Placeholders::default() };
    task.environment.iter().map(|(name, value)| (name.clone(), placeholders.fill(value))).collect()
}

impl Job for Run<'_> {
    fn perform(&mut self, clock: &impl Clock, container: u32, _timing: Timing) -> Result<Performed, String> {
        self.number += 1;
        let placeholders = Placeholders {
            state: &self.shown,
            object: Some(&self.names[container as usize]),
            process: Some(self.process + 1),
            number: Some(self.number),
            ..Placeholders::default()
        };
        let words: Vec<String> = self.task.line.words.iter().map(|word| placeholders.fill(word)).collect();
        let done = launch::run(&Launch {
            program: &self.task.line.program,
            words: &words,
            environment: &self.environment,
            folder: None,
            stdin: None,
            limit_ns: self.task.time_limit_ns,
            kill_ns: None,
            perturber: None,
            who: &self.task.line.text,
            folders: std::slice::from_ref(&self.state),
            end: None,
        })
        .map_err(|error| error.to_string())?;
        let done_ns = clock.now_ns();
        launch::reap();
        let is_refused = match done.ending {
            Ending::Exited(code) => code != 0,
            Ending::TimedOut => {
                return Err(format!("{} did not end: {}", self.task.line.text, done.waiting.join("; ")));
            }
            Ending::NotStarted(_, why) => return Err(format!("{}: {why}", self.task.line.text)),
            Ending::Signaled(signal) => {
                return Err(format!("{} died of signal {signal}", self.task.line.text));
            }
            Ending::Killed | Ending::TooMuch => {
                return Err(format!("{} wrote too much", self.task.line.text));
            }
        };
        Ok(Performed { held_ns: None, done_ns, is_read: false, is_refused })
    }
}

/// Runs what sets a state folder up.
pub(super) fn set_up(task: &CommandTask, folder: &Path) -> Result<(), EngineError> {
    let state = folder.display().to_string();
    let placeholders = Placeholders { state: &state, ..Placeholders::default() };
    for line in &task.setup {
        let words: Vec<String> = line.words.iter().map(|word| placeholders.fill(word)).collect();
        let output = Command::new(&line.program)
            .args(words.iter().skip(1))
            .envs(filled(task, &state))
            .stdin(Stdio::null())
            .output()
            .map_err(|error| EngineError::Failed(format!("setup: {}: {error}", line.text)))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(EngineError::Failed(format!("setup: {}: {}: {said}", line.text, output.status)));
        }
    }
    Ok(())
}
