//! SIGKILL at each step of the command.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use super::{Discovery, How, Work};
use crate::explore::machine::{End, Execution};
use crate::explore::strategy::replay::{Fidelity, Follower, Turn};
use crate::plan::schedule::Fault;
use crate::race::baseline::NoBaseline;
use crate::race::control::done_of;
use crate::race::holding::{machine_settings, refusal};
use crate::race::judge::Judged;
use crate::race::run::Played;
use crate::race::{RaceError, tell};
use crate::tracee::{Left, Machine, Options, Planned};

impl Work<'_> {
    /// Kills the command before each of its steps, and judges what that leaves.
    pub(super) fn kill_everywhere(&mut self) -> Result<(), NoBaseline> {
        let mut machine = self.machine(Options::default())?;
        // Steps are found again by their labels, so names that are drawn at random must be known as such.
        self.execute(&mut machine, &[])?;
        self.execute(&mut machine, &[])?;
        machine.learn_names();
        let (execution, _) = self.execute(&mut machine, &[])?;
        let words = machine.words().cloned().unwrap_or_default();
        self.run.touched_outside.extend(execution.outcome.touched_outside.iter().cloned());
        let chances: Vec<(Arc<str>, bool)> = execution
            .outcome
            .chances
            .iter()
            .map(|(_, label, faults)| (Arc::clone(label), faults.has(Fault::Kill)))
            .collect();
        let has_then = !self.site.then.is_empty();
        let mut tried = 0;
        let mut found: Option<Discovery> = None;
        for (at, (label, _)) in chances.iter().enumerate().filter(|(_, (_, can))| *can) {
            if self.is_over() {
                break;
            }
            let planned = [Planned { process: 0, label: Arc::clone(label), fault: Fault::Kill }];
            let (execution, played) = self.execute(&mut machine, &planned)?;
            if execution.outcome.faults.is_empty() {
                // It did not come to this step: nothing was killed.
                continue;
            }
            tried += 1;
            self.progress.update(tried, u64::from(found.is_some()));
            match self.judge.judge_crash(&mut self.site, &played, has_then, false)? {
                Judged::Legal { left_over } => self.run.left_over.extend(left_over),
                Judged::Broken(broken) => {
                    if let Some(Discovery { how: How::Killed { shown, .. }, .. }) = &mut found {
                        *shown += 1;
                        continue;
                    }
                    let steps = chances[..at].iter().map(|(label, _)| label.to_string()).collect();
                    let words = words.clone();
                    let how = How::Killed { before: label.to_string(), steps, shown: 1, words };
                    found = Some(Discovery { broken, outcome: played.outcome, how });
                }
            }
        }
        let all = chances.iter().filter(|(_, can)| *can).count() as u64;
        if tried < all && self.run.unjudged.is_none() {
            self.run.unjudged = Some(format!("the command was killed at {tried} of {all} steps only"));
        }
        self.run.kills = Some(tried);
        self.run.discoveries.extend(found);
        Ok(())
    }

    /// A machine that holds the command.
    pub(super) fn machine(&self, options: Options) -> Result<Machine, NoBaseline> {
        let settings = machine_settings(&self.site, self.root, &[0], options)?;
        Machine::open(self.zygote, settings).map_err(|error| refusal(error).into())
    }

    /// Runs the command under control from the initial state.
    pub(super) fn execute(
        &mut self,
        machine: &mut Machine,
        planned: &[Planned],
    ) -> Result<(Execution<Left>, Played), NoBaseline> {
        let execution = self.hold(machine, planned)?;
        let mut done = BTreeMap::new();
        for (index, command) in execution.outcome.commands[0].iter().enumerate() {
            done.insert((0, index), done_of(command, execution.end));
        }
        let mut played = Played::nothing();
        self.site.conclude(done, &[], &mut played)?;
        if planned.is_empty() {
            let mut verdict = self.judge.judge(&mut self.site, &played)?;
            if matches!(verdict, Judged::Broken(_)) {
                self.judge.baseline.refresh(&mut self.site)?;
                verdict = self.judge.judge(&mut self.site, &played)?;
            }
            if let Judged::Broken(broken) = verdict {
                let how = broken.differences.first().map(tell::sentence).unwrap_or_default();
                return Err(RaceError::Refused(format!(
                    "held at its system calls, the command gives a different result: {how}"
                ))
                .into());
            }
        }
        Ok((execution, played))
    }

    /// The same, and leaves everything as it is at the end.
    pub(super) fn hold(
        &mut self,
        machine: &mut Machine,
        planned: &[Planned],
    ) -> Result<Execution<Left>, NoBaseline> {
        self.site.put_back()?;
        let mut in_order = Follower::new(Vec::<Turn>::new().into(), Fidelity::Prefix);
        let execution = machine.run(planned, &mut in_order, &mut ()).map_err(refusal)?;
        if execution.end != End::Completed {
            let waiting = execution.outcome.stall.clone().unwrap_or_default().join("; ");
            return Err(RaceError::Refused(format!(
                "held at its system calls, the command does not end: {waiting}"
            ))
            .into());
        }
        self.must_be_renamed_as_elsewhere(&execution.outcome)?;
        Ok(execution)
    }

    /// A rename between a state folder and another one of the same filesystem is one step elsewhere; here the copy of the state
    /// folder is mounted, so that the kernel refuses it and programs copy instead.
    fn must_be_renamed_as_elsewhere(&self, left: &Left) -> Result<(), RaceError> {
        let device = |path: &Path| path.metadata().ok().map(|about| about.dev());
        for outside in left.renamed_across.iter().map(Path::new) {
            let theirs = outside.parent().and_then(device);
            if theirs.is_some() && self.plan.race.state.iter().any(|folder| device(folder) == theirs) {
                return Err(RaceError::Refused(format!(
                    "the command renames between the state folder and {}, which lies on the same filesystem; name a folder that \
                     holds both with --state",
                    outside.display()
                )));
            }
        }
        Ok(())
    }
}
