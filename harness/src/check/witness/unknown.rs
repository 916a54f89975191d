//! What operations that never answered may have done: the only place where the order has to be searched.

use flockwork::Operation;

use crate::evidence::{Evidence, ProcessState};
use crate::history::{Outcome, Record};
use crate::model::{self, State};

use super::config::Config;
use super::sort::Lane;

/// Which change is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The container came into being.
    Create,
    /// It was saved once, and goes on.
    Save,
    /// It went.
    Remove,
}

impl Want {
    fn is_met_by(self, before: State, after: State) -> bool {
        self == match (before, after) {
            (State::Absent, _) => Self::Create,
            (_, State::Absent) => Self::Remove,
            _ => Self::Save,
        }
    }
}

/// Who may find a sandbox dead, which saves that the container is stopped, with no operation that claims the save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deaths {
    /// Nobody: there is nothing behind the containers that could die.
    Never,
    /// Whoever comes after an operation of unknown outcome that can have ended the sandbox before it was killed itself.
    AfterUnknown,
    /// Anybody: real processes stand behind the containers.
    Free,
}

impl Deaths {
    /// What the evidence tells: whether the examiner found containers that live, and processes behind them.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        let mut deaths = Self::AfterUnknown;
        for container in &evidence.quiet.containers {
            let process: Option<ProcessState> = container.process;
            let lives = container.state.outcome == Outcome::Ok
                && container.state.status.is_some_and(|status| status != flockwork::Status::Stopped);
            match process {
                Some(_) => return Self::Free,
                None if lives => deaths = Self::Never,
                None => {}
            }
        }
        deaths
    }
}

/// How many configurations may be open at once.
pub(super) const CONFIGS_MAX: usize = 4096;

/// The search went beyond its bound.
#[derive(Debug)]
pub(super) struct Exhausted;

/// Searches for changes by operations that never answered.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub records: &'a [Record],
    pub lane: &'a Lane,
    pub deaths: Deaths,
    /// No operation before this one can act any more.
    first: usize,
    /// How many more operations may be tried, all in all.
    tries_left: u64,
}

impl<'a> Search<'a> {
    pub fn new(records: &'a [Record], lane: &'a Lane, deaths: Deaths) -> Self {
        const TRIES_MAX: u64 = 20_000_000;
        Self { records, lane, deaths, first: 0, tries_left: TRIES_MAX }
    }

    fn record(&self, position: usize) -> &'a Record {
        &self.records[self.lane.unknowns[position].1 as usize]
    }

    /// Whether this operation, killed underway, can have ended the sandbox and left the rest to others.
    fn may_have_killed(&self, record: &Record, state: State) -> bool {
        self.deaths == Deaths::AfterUnknown
            && match record.operation {
                Operation::Kill | Operation::Signal | Operation::ForceDelete => true,
                Operation::Delete => state == State::Created,
                _ => false,
            }
    }

    /// Every configuration that the wanted change by one operation makes of those, with operations invoked by the
    /// limit.
    pub fn expand(
        &mut self,
        frontier: &[Config],
        want: Want,
        limit_ns: u64,
    ) -> Result<Vec<Config>, Exhausted> {
        let mut next = Vec::new();
        for config in frontier {
            for position in self.first..self.lane.unknowns.len() {
                if self.lane.unknowns[position].0 > limit_ns {
                    break;
                }
                self.tries_left = self.tries_left.checked_sub(1).ok_or(Exhausted)?;
                self.act(config, position, want, &mut next);
            }
            if self.deaths == Deaths::Free && want == Want::Save && can_die(config.state) {
                let mut died = config.clone();
                if died.pass(self.records, self.lane, State::Stopped, config.at_ns, u64::MAX).is_ok() {
                    next.push(died);
                }
            }
            if next.len() > CONFIGS_MAX {
                super::config::prune(&mut next);
            }
            if next.len() > CONFIGS_MAX {
                return Err(Exhausted);
            }
        }
        super::config::prune(&mut next);
        Ok(next)
    }

    fn act(&self, config: &Config, position: usize, want: Want, next: &mut Vec<Config>) {
        let mark = position as u32;
        let Err(place) = config.used.binary_search(&mark) else { return };
        let record = self.record(position);
        let at_ns = config.at_ns.max(record.invoke_ns);
        let mut add = |state, deadline_ns, room_ns: u64| {
            let mut acted = config.clone();
            acted.room_ns = acted.room_ns.min(room_ns);
            acted.used.insert(place, mark);
            if acted.pass(self.records, self.lane, state, at_ns, deadline_ns).is_ok() {
                next.push(acted);
            }
        };
        if at_ns <= record.deadline_ns()
            && let Some(state) = model::acts(config.state, record.operation)
            && want.is_met_by(config.state, state)
        {
            add(state, record.deadline_ns(), u64::MAX);
        }
        // It ended the sandbox in this life, by its own deadline; that was noticed and saved at any time after.
        if want == Want::Save
            && can_die(config.state)
            && self.may_have_killed(record, config.state)
            && config.born_ns <= record.deadline_ns()
        {
            add(State::Stopped, u64::MAX, record.deadline_ns());
        }
    }

    /// Skips the operations that can act no more, whatever follows. The frontier must be the whole one: what is past in
    /// some ways may not be in others.
    pub fn forget_the_past(&mut self, frontier: &[Config]) {
        let now_ns = frontier.iter().map(|config| self.horizon_ns(config)).min().unwrap_or(0);
        while self.first < self.lane.unknowns.len() && self.record(self.first).deadline_ns() < now_ns {
            self.first += 1;
        }
    }

    /// An operation with a deadline before this can act no more.
    fn horizon_ns(&self, config: &Config) -> u64 {
        match self.deaths {
            Deaths::AfterUnknown => config.born_ns,
            Deaths::Never | Deaths::Free => config.at_ns,
        }
    }

    /// Makes configurations equal that differ only in what is past, and drops those that others dominate.
    pub fn prune(&self, frontier: &mut Vec<Config>) {
        for config in frontier.iter_mut() {
            let horizon_ns = self.horizon_ns(config);
            let (at_ns, state) = (config.at_ns, config.state);
            config.used.retain(|&position| {
                let record = self.record(position as usize);
                let deadline_ns = record.deadline_ns();
                // What is past can still act as a killer, if at all, and only within this life.
                deadline_ns >= at_ns || (deadline_ns >= horizon_ns && can_die(state) && is_killer(record))
            });
        }
        super::config::prune(frontier);
    }
}

fn is_killer(record: &Record) -> bool {
    matches!(
        record.operation,
        Operation::Kill | Operation::Signal | Operation::ForceDelete | Operation::Delete
    )
}

fn can_die(state: State) -> bool {
    !matches!(state, State::Absent | State::Stopped)
}
