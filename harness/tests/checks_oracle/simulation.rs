//! Legal histories by simulation, and mutations that mostly break them.

#[path = "../support/random.rs"]
mod random;

use std::num::NonZeroU64;

use flockwork::{Operation, Status};
use flockwork_harness::check::witness::DeathRule;
use flockwork_harness::history::{Outcome, Reason, Record};
use flockwork_harness::model::{self, Seen, State};
pub use random::Random;

/// A container in the hands of a simulated world, one operation after the other.
pub struct Simulation<'a> {
    random: &'a mut Random,
    deaths: DeathRule,
    state: State,
    generation: u64,
    revision: u64,
    now_ns: u64,
    /// The sandbox is dead, and nobody has noticed.
    is_dead: bool,
    /// How many of a hundred operations that change something are killed.
    killed_percent: u64,
    container: u32,
    records: Vec<Record>,
}

const OPERATIONS: [Operation; 16] = [
    Operation::Create,
    Operation::Create,
    Operation::Create,
    Operation::Start,
    Operation::Start,
    Operation::Pause,
    Operation::Pause,
    Operation::Resume,
    Operation::Resume,
    Operation::Kill,
    Operation::Signal,
    Operation::State,
    Operation::State,
    Operation::Delete,
    Operation::ForceDelete,
    Operation::ForceDelete,
];

/// A container, by its index, and its state at the start.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub container: u32,
    pub state: State,
}

impl<'a> Simulation<'a> {
    /// So many of a hundred operations that change something are killed. What is there at the start is in its first life,
    /// and was saved once.
    pub fn new(random: &'a mut Random, deaths: DeathRule, killed_percent: u64, start: Start) -> Self {
        let Start { container, state } = start;
        let told = u64::from(state != State::Absent);
        Self {
            random,
            deaths,
            state,
            generation: told,
            revision: told,
            now_ns: 10,
            is_dead: false,
            killed_percent,
            container,
            records: Vec::new(),
        }
    }

    pub fn run(mut self, operations: u64) -> Vec<Record> {
        for process in 0..operations {
            self.now_ns += self.random.below(4);
            let operation = self.random.one_of(&OPERATIONS);
            let process = process as u32 + 100 * self.container;
            let mut record = Record::invoked(process, Some(self.container), operation, self.sooner());
            if self.random.percent(self.killed_percent) && model::can_change(operation) {
                self.perform_and_die(&mut record);
            } else {
                self.perform(&mut record);
            }
            self.records.push(record);
        }
        // A history is in no particular order.
        let length = self.records.len() as u64;
        for position in 0..self.records.len() {
            self.records.swap(position, self.random.below(length) as usize);
        }
        self.records
    }

    fn sooner(&mut self) -> u64 {
        let bound = if self.random.percent(30) { 10 } else { 3 };
        self.now_ns - self.random.below(bound)
    }

    fn later(&mut self) -> u64 {
        let bound = if self.random.percent(30) { 10 } else { 3 };
        self.now_ns + self.random.below(bound)
    }

    fn notice_death(&mut self) {
        let lives = !matches!(self.state, State::Absent | State::Stopped);
        if self.deaths == DeathRule::Free && self.random.percent(5) {
            self.is_dead = true;
        }
        if std::mem::take(&mut self.is_dead) && lives {
            self.state = State::Stopped;
            self.revision += 1;
        }
    }

    /// An operation that answers.
    fn perform(&mut self, record: &mut Record) {
        self.notice_death();
        record.set_return_ns(Some(self.later()));
        if self.random.percent(4) {
            (record.outcome, record.reason) = (Outcome::Failed, Some(Reason::Io));
            return;
        }
        let was = self.state;
        let permitted =
            Seen { operation: record.operation, outcome: Outcome::Ok, reason: None, status: None };
        let ends = record.operation == Operation::Signal && self.random.percent(30);
        record.status = ends.then_some(Status::Stopped);
        if let Ok(next) = model::step(self.state, Seen { status: record.status, ..permitted }) {
            record.outcome = Outcome::Ok;
            self.go(next, model::changes((&*record).into()) && was != State::Absent);
            record.status = self.state.status();
            if was == State::Absent && self.state == State::Absent {
                return;
            }
        } else {
            record.outcome = Outcome::Refused;
            record.status = self.state.status();
            record.reason = Some(match (record.operation, self.state) {
                (Operation::Create, _) => Reason::Exists,
                (_, State::Absent) => Reason::Absent,
                _ => Reason::Status,
            });
            if self.state == State::Absent || self.random.percent(10) {
                return;
            }
        }
        record.generation = NonZeroU64::new(self.generation);
        record.revision = NonZeroU64::new(self.revision);
    }

    /// An operation that is killed before it answers: it acts, or half acts, or does not.
    fn perform_and_die(&mut self, record: &mut Record) {
        let acts = model::acts(self.state, record.operation).filter(|_| self.random.percent(60));
        if let Some(next) = acts {
            let killer =
                matches!(record.operation, Operation::Kill | Operation::Signal | Operation::ForceDelete);
            if killer && self.deaths == DeathRule::AfterUnknown && self.random.percent(50) {
                self.is_dead = true;
            } else {
                self.go(next, self.state != State::Absent);
            }
        }
        let reaped_ns = self.later();
        record.set_return_ns((!self.random.percent(10)).then_some(reaped_ns));
    }

    fn go(&mut self, next: State, saves: bool) {
        if self.state == State::Absent && next != State::Absent {
            self.generation += 1 + self.random.below(2);
            self.revision = 1;
            self.is_dead = false;
        } else if saves {
            self.revision += 1;
        }
        self.state = next;
    }
}

/// Changes something about a history, mostly for the worse.
pub fn mutate(random: &mut Random, records: &mut Vec<Record>) {
    let position = random.below(records.len() as u64) as usize;
    let shift = 1 + random.below(5);
    let record = &mut records[position];
    match random.below(10) {
        0 => record.revision = record.revision.and_then(|old| NonZeroU64::new(old.get() + 1)),
        1 => record.revision = record.revision.and_then(|old| NonZeroU64::new((old.get() - 1).max(1))),
        2 => record.status = Some(random.one_of(&Status::ALL)),
        3 => {
            let deadline_ns = record.return_ns();
            record.invoke_ns = deadline_ns.map_or(u64::MAX, |ns| ns).min(record.invoke_ns + shift);
        }
        4 => {
            if let Some(return_ns) = record.return_ns() {
                record.set_return_ns(Some(return_ns.saturating_sub(shift).max(record.invoke_ns)));
            }
        }
        5 => {
            if records.len() > 1 {
                records.swap_remove(position);
            }
        }
        6 if record.revision.is_some() => record.operation = random.one_of(&OPERATIONS),
        7 => record.generation = record.generation.and_then(|old| NonZeroU64::new(old.get() + shift % 2 + 1)),
        8 => {
            let moved_ns = record.invoke_ns.saturating_sub(shift * 2);
            let took_ns = record.return_ns().map(|ns| ns - record.invoke_ns);
            record.invoke_ns = moved_ns;
            record.set_return_ns(took_ns.map(|ns| moved_ns + ns));
        }
        _ => {
            let other = records[random.below(records.len() as u64) as usize];
            let record = &mut records[position];
            if record.revision.is_some() && other.revision.is_some() {
                (record.generation, record.revision) = (other.generation, other.revision);
            }
        }
    }
}
