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
use crate::race::holding::{machine_settings, refusal as refusal_of_race};
use crate::race::judge::{Broken, Judged};
use crate::race::run::Played;
use crate::race::{RaceError, tell};
use crate::tracee::{Left, Machine, Options, Planned, TraceeError};

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
        let (mut tried, mut missed) = (0, Vec::new());
        let mut found: Option<Discovery> = None;
        for (at, (label, _)) in chances.iter().enumerate().filter(|(_, (_, can))| *can) {
            if self.is_over() {
                break;
            }
            let Some((played, broken)) = self.killed_before(&mut machine, label)? else {
                missed.push(label);
                continue;
            };
            tried += 1;
            self.progress.update(tried, u64::from(found.is_some()));
            let Some(broken) = broken else { continue };
            if let Some(Discovery { how: How::Killed { shown, .. }, .. }) = &mut found {
                *shown += 1;
                continue;
            }
            let steps = chances[..at].iter().map(|(label, _)| label.to_string()).collect();
            let how = How::Killed {
                before: label.to_string(),
                steps,
                shown: 1,
                words: words.clone(),
                names: execution.outcome.names.clone(),
            };
            found = Some(Discovery { broken, outcome: played.outcome, how });
        }
        let all = chances.iter().filter(|(_, can)| *can).count() as u64;
        if tried < all {
            let why = match missed.first() {
                Some(step) => format!(": it never reached `{step}` again"),
                None => ", then the time ran out: raise --budget".into(),
            };
            self.run.leaves_unjudged(format!("the command was killed at only {tried} of {all} steps{why}"));
        }
        self.run.kills = Some(tried);
        self.run.discoveries.extend(found);
        Ok(())
    }

    /// Kills the command before this step, and judges what that leaves; none where it does not come to it.
    pub(super) fn killed_before(
        &mut self,
        machine: &mut Machine,
        label: &str,
    ) -> Result<Option<(Played, Option<Broken>)>, NoBaseline> {
        let planned = [Planned { process: 0, label: label.into(), fault: Fault::Kill }];
        let (execution, played) = self.execute(machine, &planned)?;
        if execution.outcome.faults.is_empty() {
            return Ok(None);
        }
        let has_then = !self.site.then.is_empty();
        Ok(Some(match self.judge.judge_crash(&mut self.site, &played, has_then, false)? {
            Judged::Broken(broken) => (played, Some(broken)),
            Judged::Legal { left_over } => {
                self.run.left_over.extend(left_over);
                (played, None)
            }
        }))
    }

    /// A machine that holds the command.
    pub(super) fn machine(&self, options: Options) -> Result<Machine, NoBaseline> {
        // Files that are ignored may be shared as memory: whatever else cannot be foreseen is refused after the run.
        let options = Options { allow_uncontrolled: !self.plan.race.ignore.is_empty(), ..options };
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
                let absent = execution.outcome.absent.iter().copied().collect::<Vec<_>>().join(" and ");
                let absent = if absent.is_empty() {
                    String::new()
                } else {
                    format!(
                        "; it uses {absent}, which flockwork cannot control and so reports as missing from the kernel"
                    )
                };
                return Err(RaceError::Refused(format!(
                    "under control, the command gives a different result: {how}{absent}"
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
        self.must_be_foreseen(&execution.outcome)?;
        if execution.end != End::Completed {
            let waiting = execution.outcome.stall.clone().unwrap_or_default().join("; ");
            return Err(
                RaceError::Refused(format!("under control, the command does not end: {waiting}")).into()
            );
        }
        self.must_be_renamed_as_elsewhere(&execution.outcome)?;
        Ok(execution)
    }

    /// What no journal sees must be of files that are ignored.
    fn must_be_foreseen(&mut self, left: &Left) -> Result<(), RaceError> {
        let comparator = &self.judge.baseline.comparator;
        for call in left.uncontrolled.keys() {
            let mapped = call.strip_prefix("mmap shares memory through ");
            match mapped.filter(|path| comparator.ignores(path)) {
                Some(path) => _ = self.run.mapped.insert(path.to_owned()),
                None => return Err(RaceError::Refused(unrecorded(call))),
            }
        }
        Ok(())
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

/// An error of the machine.
fn refusal(error: TraceeError) -> RaceError {
    match error {
        TraceeError::Refused { command, call, why, .. } => {
            RaceError::Refused(unrecorded(&format!("{command}: {call} {why}")))
        }
        error => refusal_of_race(error),
    }
}

fn unrecorded(call: &str) -> String {
    let hint = if call.contains("mmap") {
        "; if the command recreates that file after a crash, leave it out with --ignore"
    } else {
        ""
    };
    format!("{call}, which flockwork cannot record{hint}")
}
