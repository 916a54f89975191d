//! How an execution begins: what the last one left is forgotten, and every process is brought to its first step.

use super::machine::{Machine, Result, Run};
use super::settings::{Planned, TraceeError};
use super::watchdog::Watchdog;

/// How often an execution is begun anew because a thread or a child of one clone has the number that another is to have.
const BEGINNINGS_MAX: u32 = 3;

impl Machine {
    /// Brings everybody to the first step.
    pub(super) fn begin(&mut self, planned: &[Planned]) -> Result<()> {
        self.reset(planned)?;
        if self.prepare_clones() {
            self.reset(planned)?;
        }
        self.forks.begin();
        for _ in 0..BEGINNINGS_MAX {
            match self.start_all() {
                Err(TraceeError::NotCloneable(_)) if self.forks.forgive_taken_number() => {
                    (0..self.trees.len()).try_for_each(|process| self.clear(process))?;
                    self.reset(planned)?;
                    self.forks.by_clone = true;
                }
                done => return done,
            }
        }
        self.start_all()
    }

    fn start_all(&mut self) -> Result<()> {
        for process in 0..self.trees.len() {
            if self.trees[process].is_live() {
                self.start_command(process)?;
                self.settle(process)?;
            }
        }
        Ok(())
    }

    /// Forgets the last execution.
    pub(super) fn reset(&mut self, planned: &[Planned]) -> Result<()> {
        let has_times = self.options.begins_late || self.lines.iter().any(|lines| lines.len() > 1);
        self.run = Run::new(planned, has_times);
        self.forks.by_clone = false;
        self.real_time = self.watchdog.is_some();
        if self.watchdog.as_ref().is_some_and(Watchdog::has_fired) {
            // What lost its class has clones that never had it.
            self.drop_templates();
        }
        if let Some(watchdog) = &self.watchdog {
            watchdog.begin();
        }
        self.locks.clear();
        self.paths.begin(self.trees.len());
        for process in 0..self.trees.len() {
            self.trees[process].slot.listener.start_over();
            self.trees[process].begin(self.lines[process].len())?;
        }
        Ok(())
    }

    /// The working folder of a task that stops for the first time, where it need not be asked for: if it is the first command of a
    /// process, nobody has taken a step, and the folder is a state folder, which stays what it is.
    pub(super) fn first_folder(&self, process: usize, tid: u32) -> Option<String> {
        let tree = &self.trees[process];
        let is_root = tree.root.as_ref().is_some_and(|(root, _)| *root == tid);
        if !is_root || tree.command > 0 || self.run.depth > 0 {
            return None;
        }
        let folder = if self.forks.by_clone {
            tree.templates.first()?.folder.as_deref()?
        } else {
            self.begins_in[process].as_deref()?.to_str()?
        };
        self.paths.is_root(folder).then(|| folder.to_owned())
    }
}
