//! The oracle: tries every order of a small history of one container.
//!
//! It shares the model with the witness, and nothing else. It knows no sorting by tokens: it only demands of each step
//! that generation and revision go on from what they were.

use std::num::NonZeroU64;

use flockwork::Operation;
use flockwork_harness::check::witness::DeathRule;
use flockwork_harness::history::{Outcome, Reason, Record};
use flockwork_harness::model::{self, State};

/// What the world is after some of the operations.
#[derive(Clone, Copy)]
struct World {
    /// Bits of the operations that are done.
    done: u32,
    state: State,
    now_ns: u64,
    born_ns: u64,
    /// The generation; of a create that nobody saw, only a bound is known.
    generation: u64,
    generation_is_bound: bool,
    revision: u64,
    /// The latest step claimed this revision as its own work.
    just_claimed: bool,
}

pub struct Oracle<'a> {
    records: &'a [Record],
    deaths: DeathRule,
}

impl<'a> Oracle<'a> {
    pub fn new(records: &'a [Record], deaths: DeathRule) -> Self {
        Self { records, deaths }
    }

    pub fn finds_an_order(&self) -> bool {
        self.search(World {
            done: 0,
            state: State::Absent,
            now_ns: 0,
            born_ns: 0,
            generation: 0,
            generation_is_bound: false,
            revision: 0,
            just_claimed: false,
        })
    }

    fn search(&self, world: World) -> bool {
        let open = (0..self.records.len()).filter(|index| world.done & (1 << index) == 0);
        let must = |record: &Record| {
            !matches!(record.outcome, Outcome::Failed | Outcome::Unknown)
                && record.reason != Some(Reason::Ambiguous)
        };
        if !open.clone().any(|index| must(&self.records[index])) {
            return true;
        }
        // What is open and over cannot be done in time any more.
        if open.clone().any(|index| {
            let record = &self.records[index];
            must(record) && record.deadline_ns() < world.now_ns
        }) {
            return false;
        }
        if self.deaths == DeathRule::Free
            && lives(world.state)
            && self.search(World { just_claimed: false, ..died(world) })
        {
            return true;
        }
        for index in open {
            let record = &self.records[index];
            let mut next = World { done: world.done | (1 << index), ..world };
            next.now_ns = world.now_ns.max(record.invoke_ns);
            let found = match record.outcome {
                Outcome::Failed => false,
                Outcome::Unknown => self.try_unknown(world, next, record),
                _ => {
                    next.now_ns <= record.deadline_ns()
                        && Self::answered(next, record).is_some_and(|next| self.search(next))
                }
            };
            if found {
                return true;
            }
        }
        false
    }

    fn try_unknown(&self, world: World, next: World, record: &Record) -> bool {
        let killer = match record.operation {
            Operation::Kill | Operation::Signal | Operation::ForceDelete => true,
            Operation::Delete => world.state == State::Created,
            _ => false,
        };
        if self.deaths == DeathRule::AfterUnknown
            && killer
            && lives(world.state)
            && world.born_ns <= record.deadline_ns()
            && self.search(World { just_claimed: false, ..died(next) })
        {
            return true;
        }
        let Some(state) = model::acts(world.state, record.operation) else { return false };
        if next.now_ns > record.deadline_ns() {
            return false;
        }
        let mut acted = World { state, just_claimed: false, ..next };
        if world.state == State::Absent {
            acted.generation_is_bound = true;
            acted.revision = 1;
            acted.born_ns = next.now_ns;
        } else {
            acted.revision += 1;
        }
        self.search(acted)
    }

    /// An operation that answered comes next.
    fn answered(mut next: World, record: &Record) -> Option<World> {
        let was = next.state;
        next.state = model::step(was, record.into()).ok()?;
        let tokens = record.generation.map(NonZeroU64::get).zip(record.revision.map(NonZeroU64::get));
        let Some((generation, revision)) = tokens.filter(|_| record.reason != Some(Reason::Absent)) else {
            // Without tokens it cannot have changed anything, but that a force delete may remove without a word.
            let removed = record.operation == Operation::ForceDelete && was != State::Absent;
            let changed = next.state != was || (was != State::Absent && model::changes(record.into()));
            return (removed || !changed)
                .then_some(World { just_claimed: !removed && next.just_claimed, ..next });
        };
        if was == State::Absent && next.state == State::Absent {
            return None;
        }
        let ties = next.just_claimed && !next.generation_is_bound;
        let ties = ties && (generation, revision) == (next.generation, next.revision);
        if was == State::Absent {
            // A generation has one life, whatever its operations claim.
            if generation <= next.generation || revision != 1 {
                return None;
            }
            (next.generation, next.revision, next.generation_is_bound) = (generation, revision, false);
            next.born_ns = next.now_ns;
            next.just_claimed = true;
            return Some(next);
        }
        if next.generation_is_bound {
            if generation <= next.generation {
                return None;
            }
            (next.generation, next.generation_is_bound) = (generation, false);
        }
        if generation != next.generation {
            return None;
        }
        let changes = model::changes(record.into());
        if changes && ties {
            return Some(next);
        }
        next.revision += u64::from(changes);
        next.just_claimed = changes;
        (revision == next.revision).then_some(next)
    }
}

fn lives(state: State) -> bool {
    !matches!(state, State::Absent | State::Stopped)
}

fn died(world: World) -> World {
    World { state: State::Stopped, revision: world.revision + 1, ..world }
}
