//! Before executions under control: whether commands are the same when they are held at their system calls. They are tried one
//! after the other.
//!
//! Operations of a runtime are tried each alone. A runtime waits: for a process to die, for a freezer to freeze. Meanwhile whoever
//! is held beside it would go on, and the order would be none. The same is done with commands that sleep in the midst of their work.

use super::NoBaseline;
use super::control::{Holder, Search};
use super::judge::Judged;
use super::tell::{of_a_runtime, sentence};
use crate::explore::machine::End;
use crate::explore::strategy::replay::{Fidelity, Follower, Turn};
use crate::history::Clock;

impl Search<'_> {
    /// Runs a sequential order under control, twice, and learns its names; why the commands cannot be controlled, where it comes to
    /// something else.
    pub(super) fn rehearse(&mut self, holder: &mut Holder) -> Result<Option<String>, NoBaseline> {
        if self.plan.oci.is_some() {
            return self.rehearse_each_alone(holder);
        }
        if self.explores_tasks() {
            // They were held one after the other already, to see what is right.
            return self.learn_words(holder);
        }
        for _ in 0..2 {
            let (execution, played) = match self.execute(holder, &[], &mut in_order())? {
                Ok(executed) => executed,
                Err(why) => return Ok(Some(why)),
            };
            if let Some(why) = execution.outcome.spoilt.first() {
                return Ok(Some(format!("even one after the other, {why}")));
            }
            if execution.end != End::Completed {
                let waiting = played.waiting.join("; ");
                return Ok(Some(format!("under control, a command does not end even alone: {waiting}")));
            }
            if !execution.events.is_sorted_by_key(|event| event.process) {
                // Whoever sleeps lets others go on, so this was no sequential order.
                return self.rehearse_each_alone(holder);
            }
            let mut verdict = self.judge.judge(self.site, &played)?;
            if matches!(verdict, Judged::Broken(_)) {
                self.judge.baseline.refresh(self.site)?;
                verdict = self.judge.judge(self.site, &played)?;
            }
            if let Judged::Broken(broken) = verdict
                && !(self.judge.model.is_some() && self.breaks_freely()?)
            {
                let first = broken.differences.first().map(sentence);
                let how = first.or_else(|| broken.told.first().cloned()).unwrap_or_default();
                return Ok(Some(format!(
                    "under control, the commands give a different result even one after the other: {how}"
                )));
            }
        }
        holder.machine.learn_names();
        Ok(None)
    }

    /// Whether the model finds the commands at fault where they run freely, one after the other: then control is not why.
    fn breaks_freely(&mut self) -> Result<bool, NoBaseline> {
        let order = self.site.steps();
        let mut played = self.site.sequential(&order)?;
        played.clock = Clock::Steps;
        played.spans =
            (0..).zip(&order).map(|(number, step)| (*step, (2 * number, 2 * number + 1))).collect();
        Ok(matches!(self.judge.judge(self.site, &played)?, Judged::Broken(_)))
    }

    /// Runs the commands of each process alone under control; why they cannot be controlled, where they come to something else
    /// than freely. Then all of them twice, from which the machine learns names.
    fn rehearse_each_alone(&mut self, holder: &mut Holder) -> Result<Option<String>, NoBaseline> {
        for process in 0..self.site.processes.len() {
            let Ok(mut alone) = self.open(vec![process], None) else { continue };
            if let Some(why) = self.rehearse_alone(&mut alone, process)? {
                return Ok(Some(why));
            }
        }
        for _ in 0..2 {
            if let Err(why) = self.watched(holder, &[], &mut in_order(), &mut ())? {
                return Ok(Some(why));
            }
        }
        holder.machine.learn_names();
        Ok(None)
    }

    fn rehearse_alone(&mut self, alone: &mut Holder, process: usize) -> Result<Option<String>, NoBaseline> {
        let (execution, played) = match self.watched(alone, &[], &mut in_order(), &mut ())? {
            Ok(executed) => executed,
            Err(why) => return Ok(Some(why)),
        };
        let text = || self.plan.processes[process].join(", then ");
        if execution.end != End::Completed {
            let waiting = played.waiting.join("; ");
            return Ok(Some(format!("under control, {:?} does not end even alone: {waiting}", text())));
        }
        Ok(match self.judge.judge(self.site, &played)? {
            Judged::Legal { .. } => None,
            Judged::Broken(broken) => {
                let how = broken
                    .differences
                    .first()
                    .map(sentence)
                    .map(|how| of_a_runtime(&how))
                    .unwrap_or_default();
                let said = played.outcome.processes[process].iter().map(|done| done.stderr.text.to_vec());
                let said = String::from_utf8_lossy(&said.collect::<Vec<_>>().concat()).trim().to_owned();
                let said = if said.is_empty() { said } else { format!("; it said: {said}") };
                Some(format!("under control, {:?} gives a different result even alone: {how}{said}", text()))
            }
        })
    }
}

/// Lets one process after the other go to its end.
pub(super) fn in_order() -> Follower {
    Follower::new(Vec::<Turn>::new().into(), Fidelity::Prefix)
}
