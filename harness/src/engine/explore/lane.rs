//! A lane: one set of controlled processes on one processor, running what a campaign hands out and judging it.

use std::path::{Path, PathBuf};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::Power;
use super::control::{Control, ControlError, Digest, FORK_SERVER, HistoryBuilder, Left, Planned, SETUP};
use super::judge::{self, Examined, JudgedExecution};
use super::power::{Fresh, Looked, PowerLosses};
use crate::engine::EngineError;
use crate::explore::machine::{Chooser, Execution};
use crate::explore::observe::Observer;
use crate::explore::step::Mask;
use crate::history::Outcome;
use crate::plan::{Call, ExplorePlan};
use crate::process::Zygote;
use crate::process::clock::now_ns;
use crate::subject::{Subject, Traits};

/// A set of controlled processes on a processor of its own, with a folder of its own, that runs and judges
/// executions.
pub(super) struct Lane {
    pub control: Control,
    subject: Box<dyn Subject>,
    setup: HistoryBuilder,
    examined: Examined,
    power: Option<PowerLosses>,
    processor: Option<usize>,
}

impl Lane {
    /// Raises the processes of a lane, and sets the containers up.
    pub fn open(zygote: &Zygote, plan: &ExplorePlan, number: u32) -> Result<Self, EngineError> {
        let processes = plan.processes.len();
        if processes > Mask::CAPACITY {
            let most = Mask::CAPACITY;
            let why = format!("{processes} processes are more than an exploration can control: {most}");
            return Err(EngineError::Failed(why));
        }
        let root = folder(&plan.root, number)
            .map_err(|error| EngineError::Failed(format!("no folder in {}: {error}", plan.root.display())))?;
        let processor = processor(number);
        let subject = zygote.builder()(&plan.subject).map_err(EngineError::Failed)?;
        let traits = subject.traits();
        suits(&traits, plan).map_err(EngineError::Failed)?;
        let control = Control::open(zygote, plan, root, processor, traits.beside())?;
        let mut lane = Self {
            control,
            subject,
            setup: HistoryBuilder::new(&plan.containers),
            examined: Examined::default(),
            power: None,
            processor,
        };
        lane.setup.history.deaths = traits.deaths;
        lane.setup.history.model = traits.model;
        lane.set_up(&plan.setup, &plan.containers)?;
        if let Some(power) = &plan.power {
            let losses = PowerLosses::new(power, power.is_durable, &lane.control, lane.subject.as_ref());
            lane.power = Some(losses.map_err(EngineError::Failed)?);
            lane.control.keep_journal();
        }
        Ok(lane)
    }

    fn set_up(&mut self, setup: &[Call], containers: &[String]) -> Result<(), EngineError> {
        for (&call, reply) in setup.iter().zip(self.control.ask(setup)?) {
            if reply.answer().is_none_or(|answer| answer.outcome != Outcome::Ok) {
                let what = call.words(containers);
                return Err(EngineError::Failed(format!("setup: {what} was {reply}")));
            }
            self.setup.aside(SETUP, call, &reply);
        }
        Ok(self.control.remember(self.subject.traits().volatile)?)
    }

    /// Works on the lane's own processor from now on: the calling thread does, as its processes do.
    pub fn settle(&self) {
        if let Some(processor) = self.processor {
            let mut set = CpuSet::new();
            // Where it cannot be, everything works, and takes longer.
            _ = set.set(processor).and_then(|()| sched_setaffinity(Pid::from_raw(0), &set));
        }
    }

    /// Runs one execution from the folder's first state: the chooser says who goes next, and the observer hears of
    /// each step.
    pub fn run(
        &mut self,
        programs: &[Vec<Call>],
        planned: &[Planned],
        chooser: &mut dyn Chooser,
        observer: &mut dyn Observer,
    ) -> Result<Execution<Left>, ControlError> {
        self.control.run(programs, planned, self.setup.clone(), chooser, observer)
    }

    /// What an execution just run did to the folder, for [`Self::lose_power`]: before it is judged, which uses the folder up.
    pub fn fresh(&mut self, left: &Left) -> Result<Option<Fresh>, String> {
        match &self.power {
            Some(power) => power.fresh(&mut self.control, left),
            None => Ok(None),
        }
    }

    /// Judges what power losses leave of an execution.
    pub fn lose_power(
        &mut self,
        fresh: Result<Option<Fresh>, String>,
        left: &Left,
    ) -> Result<Looked, ControlError> {
        match (fresh, &mut self.power) {
            (Err(why), _) => {
                let power = Power { unjudged: Some(why), ..Power::default() };
                Ok(Looked { power, found: None })
            }
            (Ok(Some(fresh)), Some(power)) => {
                let begun_ns = now_ns();
                let looked =
                    power.look(fresh, left, &mut self.control, self.subject.as_ref(), &mut self.examined);
                looked.map(|mut looked| {
                    looked.power.judging_ns = now_ns() - begun_ns;
                    looked
                })
            }
            _ => Ok(Looked::default()),
        }
    }

    /// Judges an execution just run.
    pub fn judge(&mut self, files: Digest, left: &Left) -> Result<JudgedExecution, ControlError> {
        judge::judge(&mut self.control, self.subject.as_ref(), &mut self.examined, files, left)
    }
}

/// Whether a subject can be explored as the plan has it.
fn suits(traits: &Traits, plan: &ExplorePlan) -> Result<(), String> {
    if traits.children {
        return Err("the subject starts processes of its own, which exploration does not control".into());
    }
    match plan.faults.iter().find(|fault| !traits.takes(**fault)) {
        Some(fault) => Err(format!("explore.faults: {fault} does not fit the subject, as it says of itself")),
        None => Ok(()),
    }
}

/// The folder of a lane, new.
fn folder(root: &Path, number: u32) -> std::io::Result<PathBuf> {
    let folder = root.join(format!("lane{number}"));
    flockwork::tree::remove_path(&folder)?;
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// The processor for the lane of this number; none where there are more lanes than processors.
///
/// Of those that this program may use, it is one that the fewest explorations work on, whoever runs them. Nobody is asked
/// to wait for that: two that choose at the same moment can choose the same, and then share it.
fn processor(number: u32) -> Option<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let allowed: Vec<usize> =
        (0..CpuSet::count()).filter(|&processor| set.is_set(processor).unwrap_or(false)).collect();
    (allowed.len() > number as usize).then(|| least_used(&allowed, &taken()))?
}

/// The first of those that appear the fewest times among those taken.
fn least_used(allowed: &[usize], taken: &[usize]) -> Option<usize> {
    let uses = |processor: &&usize| taken.iter().filter(|other| other == processor).count();
    allowed.iter().min_by_key(uses).copied()
}

/// The processor of each fork server that there is on this machine.
fn taken() -> Vec<usize> {
    let Ok(processes) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pinned = |entry: std::fs::DirEntry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        let set = sched_getaffinity(Pid::from_raw(pid)).ok().filter(|_| name.trim_end() == FORK_SERVER)?;
        let mut processors = (0..CpuSet::count()).filter(|&processor| set.is_set(processor).unwrap_or(false));
        processors.next().filter(|_| processors.next().is_none())
    };
    processes.filter_map(|entry| pinned(entry.ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_used_processor_is_chosen() {
        assert_eq!(least_used(&[2, 5, 7], &[]), Some(2));
        assert_eq!(least_used(&[2, 5, 7], &[2, 9, 9, 9]), Some(5));
        assert_eq!(least_used(&[2, 5, 7], &[2, 5, 2, 7, 5]), Some(7));
        assert_eq!(least_used(&[], &[1]), None);
    }
}
