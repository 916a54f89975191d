//! The search by one strategy: executions are run as it wants them, noted and judged.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::NoBaseline;
use super::control::{Holder, Phase, Search, why_refused};
use super::pool::Pool;
use super::run::Played;
use crate::engine::Ended;
use crate::explore::machine::{End, Execution};
use crate::explore::strategy::{Strategy, Ticket};
use crate::tracee::{Left, Planned};

/// What there is to learn next.
enum Next {
    /// What came of an execution.
    Ran(Ticket, Box<(Execution<Left>, Played)>),
    /// What cannot be controlled came up.
    Refused(String),
    /// There is no time for what the strategy still wants.
    Spent,
    /// It wants nothing more.
    Nothing,
}

impl Next {
    fn of(ticket: Ticket, executed: Result<(Execution<Left>, Played), String>) -> Self {
        match executed {
            Ok(executed) => Self::Ran(ticket, Box::new(executed)),
            Err(why) => Self::Refused(why),
        }
    }
}

impl Search<'_> {
    /// Runs what a strategy wants until it wants nothing more, a promise is broken, or the time is over.
    pub(super) fn explore(
        &mut self,
        holder: &mut Holder,
        strategy: &mut dyn Strategy,
        planned: &[Planned],
        until: Instant,
    ) -> Result<Phase, NoBaseline> {
        let explored = self.explore_on(holder, strategy, planned, until);
        if let Some(pool) = &mut holder.pool {
            // Where something was found, nothing more is asked.
            pool.forget();
        }
        explored
    }

    fn explore_on(
        &mut self,
        holder: &mut Holder,
        strategy: &mut dyn Strategy,
        planned: &[Planned],
        until: Instant,
    ) -> Result<Phase, NoBaseline> {
        let mut diverged = strategy.statistics().diverged;
        loop {
            let (ticket, (execution, played)) = match self.next(holder, strategy, planned, until)? {
                Next::Ran(ticket, executed) => (ticket, *executed),
                Next::Refused(why) => return Ok(Phase::Refused(why)),
                Next::Spent => return Ok(Phase::Spent),
                Next::Nothing => break,
            };
            let (execution, left) = execution.split();
            let met = left.blocked > 0 || execution.has_met();
            strategy.learn(ticket, &execution);
            if holder.machine.ran_clones() && !self.vouch(holder, planned, &execution, &left)? {
                return Ok(Phase::Refused(self.untold.clone().unwrap_or_default()));
            }
            let statistics = strategy.statistics();
            if statistics.diverged > diverged {
                self.run.diverged += statistics.diverged - diverged;
                diverged = statistics.diverged;
                continue;
            }
            self.note(holder, &left, planned);
            if left.is_spoilt() {
                self.run.diverged += 1;
                self.run.uncertain.extend(left.spoilt.iter().cloned());
                continue;
            }
            if matches!(execution.end, End::Abandoned | End::TooLong) {
                continue;
            }
            self.run.executions += 1;
            self.run.faulted += u64::from(!planned.is_empty());
            self.run.met |= met;
            self.progress.update(self.run.executions, 0);
            let preemptions = execution.preemptions();
            let kept = self.power.is_some().then(|| played.clone());
            if let Some(discovery) = self.judged(holder, &left, planned, preemptions, played)? {
                return Ok(Phase::Found(Box::new(discovery)));
            }
            if execution.end == End::Completed
                && planned.is_empty()
                && let Some(played) = &kept
                && let Some(discovery) = self.lose_power(holder, &left, preemptions, played)?
            {
                return Ok(Phase::Found(Box::new(discovery)));
            }
            if let Some(why) = &self.untold {
                return Ok(Phase::Refused(why.clone()));
            }
        }
        Ok(Phase::Over(strategy.coverage()))
    }

    /// The next execution that a strategy wants, run: at once, or in the order in which the executions of a pool began.
    fn next(
        &mut self,
        holder: &mut Holder,
        strategy: &mut dyn Strategy,
        planned: &[Planned],
        until: Instant,
    ) -> Result<Next, NoBaseline> {
        loop {
            let under_way = holder.pool.as_ref().map_or(0, Pool::under_way);
            let waiting = strategy.statistics().waiting;
            // Asked before the strategy is: what it hands out must be run.
            let is_spent = self.is_over(until, under_way as u64) && waiting > 0;
            let is_wanted = !is_spent && (under_way == 0 || waiting > 0);
            if is_wanted
                && self.has_room(holder)
                && let Some(mut assignment) = strategy.next()
            {
                if let Some(pool) = &mut holder.pool {
                    pool.begin(planned, assignment)?;
                    continue;
                }
                let executed = self.execute(holder, planned, &mut *assignment.chooser)?;
                return Ok(Next::of(assignment.ticket, executed));
            }
            let Some((ticket, ran)) = holder.pool.as_mut().and_then(Pool::take) else {
                return Ok(if is_spent { Next::Spent } else { Next::Nothing });
            };
            return Ok(match ran? {
                Ok(executed) => Next::of(ticket, Ok(executed)),
                Err(error) => Next::Refused(why_refused(error)?),
            });
        }
    }

    /// Whether there is no time for more executions, or enough of them with those under way.
    fn is_over(&mut self, until: Instant, under_way: u64) -> bool {
        if self.stop.load(Ordering::Relaxed) {
            self.run.ended = Ended::Interrupted;
        }
        let is_enough =
            self.plan.budget.executions.is_some_and(|most| self.run.executions + under_way >= most);
        self.run.ended == Ended::Interrupted || is_enough || Instant::now() >= until
    }

    /// Keeps what an execution showed besides its outcome.
    fn note(&mut self, holder: &Holder, left: &Left, planned: &[Planned]) {
        self.run.touched_outside.extend(left.touched_outside.iter().cloned());
        self.run.uncertain.extend(left.uncertain.iter().cloned());
        self.run.uncertain.extend(left.uncontrolled.keys().cloned());
        self.run.in_any_order.extend(left.in_any_order.iter().map(|process| holder.members[*process]));
        self.run.in_fixed_order.extend(left.in_fixed_order.iter().map(|process| holder.members[*process]));
        if !planned.is_empty() || holder.members.len() < self.site.processes.len() {
            return;
        }
        for &fault in &self.plan.faults {
            let fits = left.chances.iter().filter(|(_, _, faults)| faults.has(fault));
            self.run.chances.extend(fits.map(|(process, label, _)| (*process, Arc::clone(label), fault)));
        }
    }
}
