//! A lane: one set of controlled processes on one processor, running what a campaign hands out and judging it.

use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::control::{Control, Digest, Left, Planned, Recorder, SETUP, StageError};
use super::follow::Observer;
use super::judge::{self, Examined, Verdict};
use super::machine::{Chooser, Execution};
use crate::engine::EngineError;
use crate::history::Outcome;
use crate::plan::{Call, ExplorePlan};
use crate::process::Zygote;
use crate::subject::{self, Subject};

/// One lane.
pub(super) struct Lane {
    pub control: Control,
    subject: Box<dyn Subject>,
    setup: Recorder,
    examined: Examined,
    processor: Option<usize>,
}

impl Lane {
    /// Raises the processes of a lane, and sets the containers up.
    pub fn open(zygote: &Zygote, plan: &ExplorePlan, number: u32) -> Result<Self, EngineError> {
        let root = folder(&plan.root, number)
            .map_err(|error| EngineError(format!("no folder in {}: {error}", plan.root.display())))?;
        let processor = processors().get(number as usize).copied();
        let control = Control::open(zygote, plan, root, processor)?;
        let subject = subject::build(&plan.subject).map_err(EngineError)?;
        let mut lane = Self {
            control,
            subject,
            setup: Recorder::new(&plan.containers),
            examined: Examined::default(),
            processor,
        };
        lane.setup.history.deaths = plan.subject.deaths();
        lane.set_up(&plan.setup, &plan.containers)?;
        Ok(lane)
    }

    fn set_up(&mut self, setup: &[Call], containers: &[String]) -> Result<(), EngineError> {
        for &call in setup {
            let answer = self.control.ask(call)?;
            if answer.outcome != Outcome::Ok {
                let reason = answer.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let words = answer.message.as_deref().map(|words| format!(": {words}")).unwrap_or_default();
                let what = call.words(containers);
                return Err(EngineError(format!("setup: {what} was {}{reason}{words}", answer.outcome)));
            }
            self.setup.aside(SETUP, call, &answer);
        }
        Ok(self.control.remember()?)
    }

    /// Works on the lane's own processor from now on: the calling thread does, as its processes do.
    pub fn settle(&self) {
        if let Some(processor) = self.processor {
            let mut set = CpuSet::new();
            // Where it cannot be, everything works, and takes longer.
            _ = set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        }
    }

    /// Runs one execution.
    pub fn run(
        &mut self,
        programs: &[Vec<Call>],
        planned: &[Planned],
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>, StageError> {
        self.control.run(programs, planned, self.setup.clone(), chooser, observer)
    }

    /// Judges an execution just run.
    pub fn judge(&mut self, files: Digest, left: &Left) -> Result<Verdict, StageError> {
        judge::judge(&mut self.control, self.subject.as_ref(), &mut self.examined, files, left)
    }
}

/// The folder of a lane, new.
fn folder(root: &Path, number: u32) -> std::io::Result<PathBuf> {
    let folder = root.join(format!("lane{number}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The processors that this program may use.
fn processors() -> Vec<usize> {
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else { return Vec::new() };
    (0..CpuSet::count()).filter(|&processor| set.is_set(processor).unwrap_or(false)).collect()
}
