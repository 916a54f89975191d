//! What operations that never answered may have done: the only place where the order has to be searched.

use flockwork::Operation;

use crate::evidence::{Evidence, Unobserved};
use crate::history::{self, History, Outcome, Record};
use crate::model::{self, State};

use super::config::{Config, NO_TRAIL};
use super::sort::Partition;
use crate::check::certificate::Step;

/// Which change is to be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The container came into being.
    Create,
    /// It was saved once, and goes on.
    Save,
    /// The container came to its end: it is absent from then on.
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
pub enum DeathRule {
    /// Nobody: there is nothing behind the containers that could die.
    Never,
    /// Whoever comes after an operation of unknown outcome that can have ended the sandbox before it was killed itself.
    AfterUnknown,
    /// Anybody: real processes stand behind the containers.
    Free,
}

impl DeathRule {
    /// What a stored history says. Where it says nothing, something may stand behind the containers, and dies only by
    /// an operation.
    #[must_use]
    pub fn of_history(history: &History) -> Self {
        match history.deaths {
            Some(history::Deaths::Never) => Self::Never,
            Some(history::Deaths::Free) => Self::Free,
            None => Self::AfterUnknown,
        }
    }

    /// What the evidence tells: what the history says, else whether the examiner found containers that live, and
    /// processes behind them.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>) -> Self {
        if evidence.history.deaths.is_some() {
            return Self::of_history(evidence.history);
        }
        let mut deaths = Self::AfterUnknown;
        for (_, container) in evidence.containers() {
            let lives = container.answer().is_some_and(|state| {
                state.outcome == Outcome::Ok
                    && state.status.is_some_and(|status| status != flockwork::Status::Stopped)
            });
            match &container.process {
                Ok(_) => return Self::Free,
                Err(Unobserved::Lacking(_)) if lives => deaths = Self::Never,
                Err(_) => {}
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
    pub partition: &'a Partition,
    pub deaths: DeathRule,
    /// Positions of the operations that may have ended a sandbox: they act on after their deadline.
    killers: Vec<usize>,
    /// No operation before this position can act any more.
    first: usize,
    /// No killer before this one can have ended a sandbox that still lives.
    first_killer: usize,
    /// How many more operations may be tried, all in all.
    tries_left: u64,
    /// How many of the partition's keys have been placed.
    pub placed: u32,
    /// Every guess, each with the one before it.
    trail: Vec<Guess>,
}

/// Something that no key says, and that was taken to have happened.
#[derive(Clone, Copy, Debug)]
struct Guess {
    before: u32,
    /// How many of the partition's keys come before it.
    placed: u32,
    step: Step,
}

impl<'a> Search<'a> {
    pub fn new(records: &'a [Record], partition: &'a Partition, deaths: DeathRule) -> Self {
        const TRIES_MAX: u64 = 20_000_000;
        let unknowns = partition.unknowns.iter().enumerate();
        let may_kill = |&(_, &(_, index)): &(usize, &(u64, u32))| is_killer(&records[index as usize]);
        let killers = match deaths {
            DeathRule::AfterUnknown => unknowns.filter(may_kill).map(|(position, _)| position).collect(),
            DeathRule::Never | DeathRule::Free => Vec::new(),
        };
        Self {
            records,
            partition,
            deaths,
            killers,
            first: 0,
            first_killer: 0,
            tries_left: TRIES_MAX,
            placed: 0,
            trail: Vec::new(),
        }
    }

    /// Remembers a guess; gives back its number.
    pub fn guess(&mut self, before: u32, step: Step) -> u32 {
        let number = u32::try_from(self.trail.len()).expect("tries are bounded far below 2^32");
        self.trail.push(Guess { before, placed: self.placed, step });
        number
    }

    /// The guesses that led to this one, each with how many keys come before it.
    pub fn guesses(&self, last: u32) -> Vec<(u32, Step)> {
        let mut guesses = Vec::new();
        let mut next = last;
        while next != NO_TRAIL {
            let guess = self.trail[next as usize];
            guesses.push((guess.placed, guess.step));
            next = guess.before;
        }
        guesses.reverse();
        guesses
    }

    fn record(&self, position: usize) -> &'a Record {
        &self.records[self.partition.unknowns[position].1 as usize]
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
            for position in self.first..self.partition.unknowns.len() {
                if self.partition.unknowns[position].0 > limit_ns {
                    break;
                }
                self.tries_left = self.tries_left.checked_sub(1).ok_or(Exhausted)?;
                self.act(config, position, want, &mut next);
            }
            if want == Want::Save && can_die(config.state) {
                self.die(config, limit_ns, &mut next)?;
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

    /// Lets the operation do in full what it was killed over.
    fn act(&mut self, config: &Config, position: usize, want: Want, next: &mut Vec<Config>) {
        let record = self.record(position);
        let at_ns = config.at_ns.max(record.invoke_ns);
        if at_ns <= record.deadline_ns()
            && let Some(state) = model::acts(config.state, record.operation)
            && want.is_met_by(config.state, state)
            && let Some(mut acted) = Self::used(config, position)
            && acted.pass(self.records, self.partition, state, at_ns, record.deadline_ns()).is_ok()
        {
            acted.trail = self.guess(acted.trail, Step::Acts(self.partition.unknowns[position].1));
            next.push(acted);
        }
    }

    /// Lets somebody notice that the sandbox is dead, and save that.
    fn die(&mut self, config: &Config, limit_ns: u64, next: &mut Vec<Config>) -> Result<(), Exhausted> {
        if self.deaths == DeathRule::Free {
            next.extend(self.died(config.clone(), 0, Step::Dies));
        }
        for number in self.first_killer..self.killers.len() {
            let position = self.killers[number];
            let record = self.record(position);
            if record.invoke_ns > limit_ns {
                break;
            }
            self.tries_left = self.tries_left.checked_sub(1).ok_or(Exhausted)?;
            // It did so in this life and by its own deadline; that was noticed at any time after. A delete only gets
            // as far on a container that it may delete and that has a live sandbox.
            if config.born_ns <= record.deadline_ns()
                && (record.operation != Operation::Delete || config.state == State::Created)
                && let Some(mut used) = Self::used(config, position)
            {
                used.room_ns = used.room_ns.min(record.deadline_ns());
                let step = Step::DiesBy(self.partition.unknowns[position].1);
                next.extend(self.died(used, record.invoke_ns, step));
            }
        }
        Ok(())
    }

    fn died(&mut self, mut config: Config, invoke_ns: u64, step: Step) -> Option<Config> {
        let at_ns = config.at_ns.max(invoke_ns);
        config.pass(self.records, self.partition, State::Stopped, at_ns, u64::MAX).ok()?;
        config.trail = self.guess(config.trail, step);
        Some(config)
    }

    /// The configuration with this operation used up; `None`: it is already.
    fn used(config: &Config, position: usize) -> Option<Config> {
        let mark = position as u32;
        let place = config.used.binary_search(&mark).err()?;
        let mut config = config.clone();
        config.used.insert(place, mark);
        Some(config)
    }

    /// Skips the operations that can act no more, whatever follows. The frontier must be the whole one: what is past in
    /// some ways may not be in others.
    pub fn forget_the_past(&mut self, frontier: &[Config]) {
        let earliest = |time_ns: fn(&Config) -> u64| frontier.iter().map(time_ns).min().unwrap_or(0);
        let (now_ns, born_ns) = (earliest(|config| config.at_ns), earliest(|config| config.born_ns));
        while self.first < self.partition.unknowns.len() && self.record(self.first).deadline_ns() < now_ns {
            self.first += 1;
        }
        while let Some(&position) = self.killers.get(self.first_killer)
            && self.record(position).deadline_ns() < born_ns
        {
            self.first_killer += 1;
        }
    }

    /// Makes configurations equal that differ only in what is past, and drops those that others dominate.
    pub fn prune(&self, frontier: &mut Vec<Config>) {
        for config in frontier.iter_mut() {
            let (at_ns, born_ns, state) = (config.at_ns, config.born_ns, config.state);
            config.used.retain(|&position| {
                let record = self.record(position as usize);
                let deadline_ns = record.deadline_ns();
                let still_kills = self.deaths == DeathRule::AfterUnknown
                    && deadline_ns >= born_ns
                    && can_die(state)
                    && is_killer(record);
                deadline_ns >= at_ns || still_kills
            });
        }
        super::config::prune(frontier);
    }
}

/// Whether it may have ended the sandbox and no more. What answered did all of its work or none: of a force delete that told
/// nothing, nobody knows which.
fn is_killer(record: &Record) -> bool {
    record.outcome == Outcome::Unknown
        && matches!(
            record.operation,
            Operation::Kill | Operation::Signal | Operation::ForceDelete | Operation::Delete
        )
}

fn can_die(state: State) -> bool {
    !matches!(state, State::Absent | State::Stopped)
}
