//! Walks through a container's operations in the order of their tokens, and finds where it cannot go on.
//!
//! It keeps the set of all ways in which the operations so far can have happened (nearly always one). Where a change
//! is missing, each operation of unknown outcome that can have made it opens another way; where no way is left, there
//! is no legal order. Times are earliest times: an operation acts no earlier than its invocation and than what comes
//! before, so if that is after its deadline, no order helps.

use crate::check::certificate::Step;
use crate::history::Record;
use crate::model::State;

use super::Walked;
use super::config::{Config, Why};
use super::existence::{self, Timeline};
use super::fault::{Fault, Kind};
use super::sort::{Key, Partition};
use super::unknown::{DeathRule, Exhausted, Search, Want};

/// How many operations may claim one revision before that alone is reason enough.
const TIES_MAX: usize = 5;

/// Why a walk ended early.
pub(super) enum Stop {
    Fault(Fault),
    Exhausted(String),
}

impl From<Exhausted> for Stop {
    fn from(_: Exhausted) -> Self {
        Self::Exhausted("too many operations of unknown outcome could explain what is missing".into())
    }
}

pub(super) struct Walk<'a> {
    search: Search<'a>,
    frontier: Vec<Config>,
    /// Generation and revision reached.
    at: Option<(u64, u64)>,
    /// The latest operation placed.
    latest: Option<u32>,
    timeline: Timeline,
    /// Keys that claim one revision with others, by position: guesses say in which order they came.
    tied: Vec<std::ops::Range<u32>>,
}

impl<'a> Walk<'a> {
    /// Walks through the partition to its end; gives back by which guesses it got there.
    pub fn through(
        records: &'a [Record],
        partition: &'a Partition,
        deaths: DeathRule,
    ) -> Result<Walked, Stop> {
        let mut walk = Self {
            search: Search::new(records, partition, deaths),
            frontier: vec![Config::first()],
            at: None,
            latest: None,
            timeline: Timeline::default(),
            tied: Vec::new(),
        };
        if let Some((illegal, index)) = partition.contradiction {
            return Err(walk.fault(Kind::Illegal(illegal), &[index]));
        }
        let mut rest = partition.keys.as_slice();
        while let Some(&first) = rest.first() {
            let changing = rest
                .iter()
                .take_while(|key| {
                    key.changes() && key.generation == first.generation && key.revision() == first.revision()
                })
                .count();
            walk.bridge(&first, changing > 0)?;
            walk.at = Some((first.generation, first.revision()));
            match changing {
                0 => walk.place(&first)?,
                1 => walk.place(&rest[0])?,
                _ => walk.place_tied(&rest[..changing])?,
            }
            rest = &rest[changing.max(1)..];
            walk.search.placed = (partition.keys.len() - rest.len()) as u32;
            while let Some(key) = rest.first()
                && !key.changes()
                && (key.generation, key.revision()) == (first.generation, first.revision())
            {
                walk.place(key)?;
                rest = &rest[1..];
                walk.search.placed += 1;
            }
        }
        let last = walk.finish()?;
        existence::judge(records, partition, deaths, &walk.timeline).map_err(|stop| match stop {
            existence::Stop::Nowhere(index) => walk.fault(Kind::Nowhere, &[index]),
            existence::Stop::Undecided => {
                Stop::Exhausted("refusals without tokens that fit only a delayed order".into())
            }
        })?;
        Ok(Walked { guesses: walk.search.guesses(last), tied: walk.tied })
    }

    fn records(&self) -> &'a [Record] {
        self.search.records
    }

    /// Makes up for changes that no operation claims, up to the one that is next.
    fn bridge(&mut self, next: &Key, is_claimed: bool) -> Result<(), Stop> {
        let limit_ns = self.records()[next.index as usize].deadline_ns();
        let mut missing = next.revision() - u64::from(is_claimed);
        if self.at != Some((next.generation, missing)) {
            self.search.forget_the_past(&self.frontier);
        }
        match self.at {
            Some((generation, revision)) if generation == next.generation => {
                missing -= revision;
                if self.frontier.iter().all(|config| config.state == State::Absent) {
                    return Err(self.fault(Kind::Dead, &[next.index]));
                }
            }
            _ => {
                self.bury(limit_ns)?;
                if self.frontier.is_empty() {
                    return Err(self.fault(Kind::NotDeleted, &[next.index]));
                }
                if missing > 0 {
                    self.frontier = self.search.expand(&self.frontier, Want::Create, limit_ns)?;
                    missing -= 1;
                    if self.frontier.is_empty() {
                        return Err(self.fault(Kind::NotCreated, &[next.index]));
                    }
                    self.note_branching();
                }
            }
        }
        for _ in 0..missing {
            self.frontier = self.search.expand(&self.frontier, Want::Save, limit_ns)?;
            if self.frontier.is_empty() {
                return Err(self.fault(Kind::Missing, &[next.index]));
            }
            self.note_branching();
        }
        Ok(())
    }

    /// Sees to it that the container is gone: where nobody says so, by operations of unknown outcome.
    ///
    /// Two are enough: from every state a force delete leads to absence, or a delete after one more change (a kill, or
    /// the resume of what was paused from created). Any longer way needs a superset of those, and more time.
    fn bury(&mut self, limit_ns: u64) -> Result<(), Stop> {
        if self.frontier.iter().all(|config| config.state == State::Absent) {
            return Ok(());
        }
        let (mut gone, alive): (Vec<_>, Vec<_>) =
            self.frontier.drain(..).partition(|config| config.state == State::Absent);
        gone.extend(self.search.expand(&alive, Want::Remove, limit_ns)?);
        let changed = self.search.expand(&alive, Want::Save, limit_ns)?;
        gone.extend(self.search.expand(&changed, Want::Remove, limit_ns)?);
        self.search.prune(&mut gone);
        self.frontier = gone;
        self.note_branching();
        Ok(())
    }

    fn note_branching(&mut self) {
        // A change at a guessed time: what follows is one of several histories.
        self.timeline.branched = true;
    }

    /// Lets the operation come next, in every way that allows it.
    fn place(&mut self, key: &Key) -> Result<(), Stop> {
        let (records, partition) = (self.records(), self.search.partition);
        let record = &records[key.index as usize];
        let mut why = None;
        if let [config] = self.frontier.as_mut_slice() {
            let was = config.state;
            if let Err(because) = config.place(records, partition, record) {
                why = Some(because);
            } else if was != config.state && !partition.existences.is_empty() {
                self.timeline.note(config, record.deadline_ns());
            }
        } else {
            self.frontier.retain_mut(|config| match config.place(records, partition, record) {
                Ok(()) => true,
                Err(because) => {
                    why.get_or_insert(because);
                    false
                }
            });
            if !self.frontier.is_empty() {
                why = None;
                self.search.prune(&mut self.frontier);
            }
        }
        if let Some(why) = why {
            return Err(self.cannot(why, key.index));
        }
        self.latest = Some(key.index);
        Ok(())
    }

    /// Lets several operations that claim the same revision come next, in any order that is legal.
    fn place_tied(&mut self, tied: &[Key]) -> Result<(), Stop> {
        let (records, partition) = (self.records(), self.search.partition);
        let indexes: Vec<_> = tied.iter().map(|key| key.index).collect();
        if tied.len() > TIES_MAX {
            return Err(self.fault(Kind::Tied, &indexes[..TIES_MAX]));
        }
        let mut open: Vec<_> =
            self.frontier.drain(..).map(|config| (config, Vec::<u32>::with_capacity(tied.len()))).collect();
        for _ in tied {
            let mut next = Vec::new();
            for (config, placed) in &open {
                for &index in indexes.iter().filter(|index| !placed.contains(index)) {
                    let mut config = config.clone();
                    // A create after a delete that claims the same revision would be a second life of one generation.
                    let is_reborn = config.state == State::Absent && !placed.is_empty();
                    if !is_reborn && config.place(records, partition, &records[index as usize]).is_ok() {
                        config.trail = self.search.guess(config.trail, Step::Acts(index));
                        let mut placed = placed.clone();
                        placed.push(index);
                        next.push((config, placed));
                    }
                }
            }
            open = next;
        }
        self.frontier = open.into_iter().map(|(config, _)| config).collect();
        if self.frontier.is_empty() {
            return Err(self.fault(Kind::Tied, &indexes));
        }
        self.search.prune(&mut self.frontier);
        self.note_branching();
        self.tied.push(self.search.placed..self.search.placed + tied.len() as u32);
        self.latest = indexes.last().copied();
        Ok(())
    }

    /// Sees to it that what found the container absent at the end has its place; gives back the last guess of a way
    /// that gives it one.
    fn finish(&mut self) -> Result<u32, Stop> {
        let (records, partition) = (self.records(), self.search.partition);
        let unplaced: Vec<_> = self.frontier.iter().map(|config| config.unplaced(partition)).collect();
        if let Some(way) = unplaced.iter().position(Option::is_none) {
            self.timeline.end(&self.frontier, partition);
            return Ok(self.frontier[way].trail);
        }
        self.search.forget_the_past(&self.frontier);
        let limit_ns =
            partition.absents.iter().map(|&(_, index)| records[index as usize].deadline_ns()).max();
        self.bury(limit_ns.unwrap_or(0))?;
        let Some(way) = self.frontier.first() else {
            let earliest =
                unplaced.into_iter().flatten().min_by_key(|&index| records[index as usize].invoke_ns);
            return Err(self.fault(Kind::Vanished, &Vec::from_iter(earliest)));
        };
        Ok(way.trail)
    }

    fn cannot(&self, why: Why, index: u32) -> Stop {
        match why {
            Why::Illegal(illegal) => self.fault(Kind::Illegal(illegal), &[index]),
            Why::TooLate => self.fault(Kind::TooLate, &[index]),
            Why::Dead => self.fault(Kind::Dead, &[index]),
            Why::Vanished(absent) => self.fault(Kind::Vanished, &[absent]),
        }
    }

    fn fault(&self, kind: Kind, decisive: &[u32]) -> Stop {
        Stop::Fault(Fault::new(self.search.partition.container, kind, self.latest, decisive))
    }
}
