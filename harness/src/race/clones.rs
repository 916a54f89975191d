//! Searches with clones of programs rather than with programs that are started, and how the two are held against each other.
//!
//! Clones must never change a verdict. One execution in a hundred is run again with programs that are started, and what is
//! broken always is; where the two differ, all that was found out is forgotten, and the search begins anew without clones.

use super::control::{Held, Holder, Search, follower};
use super::{Clones, NoBaseline, RaceRun};
use crate::explore::machine::{End, Execution};
use crate::plan::race::ForkServer;
use crate::tracee::{Ending, Left, Planned};

/// One execution in so many is compared.
const COMPARED_ONE_IN: u64 = 100;
/// How often an execution is followed before it counts as one that programs that are started do not come to.
const FOLLOWED_MAX: u32 = 3;

impl Search<'_> {
    /// Searches with clones; nothing where all of it is to be done again without.
    pub(super) fn with_clones(&mut self) -> Result<Option<Held>, NoBaseline> {
        self.run.fork_server = Some(Clones::default());
        let held = self.conduct_with(ForkServer::Auto)?;
        let Some(why) = self.untold.take() else {
            if let (Held::Refused(why), Some(clones)) = (&held, &mut self.run.fork_server) {
                clones.refused = Some(why.clone());
            }
            return Ok(Some(held));
        };
        self.run.forget_the_search();
        self.run.fork_server = Some(Clones { refused: Some(why), ..Clones::default() });
        Ok(None)
    }

    /// Counts an execution of clones; whether it is what programs come to that are started, as far as that is looked at.
    pub(super) fn vouch(
        &mut self,
        holder: &mut Holder,
        planned: &[Planned],
        execution: &Execution<()>,
        left: &Left,
    ) -> Result<bool, NoBaseline> {
        if !matches!(execution.end, End::Completed | End::Deadlock) {
            return Ok(true);
        }
        let clones = self.run.fork_server.get_or_insert_with(Clones::default);
        clones.executions += 1;
        if clones.executions % COMPARED_ONE_IN != 1 {
            return Ok(true);
        }
        holder.machine.suspend_clones(true);
        let mut is_same = false;
        for _ in 0..FOLLOWED_MAX {
            let mut chooser = follower(&left.schedule(), holder);
            let Ok((other, _)) = self.execute(holder, planned, &mut chooser)? else { continue };
            is_same = other.end == execution.end
                && other.events == execution.events
                && endings(&other.outcome) == endings(left);
            if is_same {
                break;
            }
        }
        holder.machine.suspend_clones(false);
        if is_same {
            self.run.fork_server.iter_mut().for_each(|clones| clones.compared += 1);
        } else {
            self.untold = Some("clones took steps that started programs did not take".into());
        }
        Ok(is_same)
    }
}

fn endings(left: &Left) -> Vec<&Ending> {
    left.commands.iter().flatten().map(|command| &command.ending).collect()
}

impl RaceRun {
    /// As if nothing had been searched yet.
    fn forget_the_search(&mut self) {
        (self.executions, self.faulted, self.diverged, self.met) = (0, 0, 0, false);
        self.discoveries.clear();
        self.coverage = None;
        self.left_over.clear();
        self.chances.clear();
        self.touched_outside.clear();
        self.uncertain.clear();
        self.in_fixed_order.clear();
        self.in_any_order.clear();
    }
}
