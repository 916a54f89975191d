//! Sorts a history into partitions, one a container: its tokens in order, and what has no tokens by kind.

use flockwork::Operation;
use rayon::prelude::*;

use crate::history::{History, Outcome, Reason, Record};
use crate::model::{self, Illegal, State};

/// Where an operation belongs in its container's order, by what it claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub generation: u64,
    /// Twice the revision, and one more for what only saw it: who made a revision comes first.
    rank: u64,
    invoke_ns: u64,
    pub index: u32,
}

impl Key {
    pub fn revision(&self) -> u64 {
        self.rank / 2
    }

    pub fn changes(&self) -> bool {
        self.rank.is_multiple_of(2)
    }
}

/// One container's operations.
#[derive(Debug, Default)]
pub(super) struct Partition {
    pub container: u32,
    /// What carries generation and revision, sorted.
    pub keys: Vec<Key>,
    /// What found the container absent: (invoked, index), sorted.
    pub absents: Vec<(u64, u32)>,
    /// What never answered and can have changed the container, sorted likewise.
    pub unknowns: Vec<(u64, u32)>,
    /// Refusals that tell that the container existed, but not which: sorted likewise.
    pub existences: Vec<(u64, u32)>,
    /// A refusal because the container is absent that contradicts itself: it tells a status.
    pub contradiction: Option<(Illegal, u32)>,
    /// Force deletes among the absents that told nothing: they found the container absent, or removed it without a word.
    pub silent: Vec<(u64, u32)>,
    /// Successes without tokens: no order can be read from them.
    pub untokened: u64,
}

enum Part {
    Token,
    Absent,
    Silent,
    Unknown,
    Existence,
    Untokened,
    Nothing,
}

fn part(record: &Record) -> Part {
    let has_tokens = record.generation.is_some() && record.revision.is_some();
    match (record.outcome, record.reason) {
        _ if record.operation == Operation::List => Part::Nothing,
        (Outcome::Unknown, _) if model::can_change(record.operation) => Part::Unknown,
        (Outcome::Unknown | Outcome::Failed, _) | (Outcome::Refused, Some(Reason::Ambiguous)) => {
            Part::Nothing
        }
        (Outcome::Refused, Some(Reason::Absent)) => Part::Absent,
        _ if has_tokens => Part::Token,
        (Outcome::Refused, None) => Part::Untokened,
        (Outcome::Refused, _) => Part::Existence,
        // Whoever tells half of a token has found a container: in which life and revision, only a search can say.
        _ if record.generation.is_some() || record.revision.is_some() => Part::Untokened,
        // Force delete of an absent container is ok. One that tells a status has removed something.
        (Outcome::Ok, _) if record.operation == Operation::ForceDelete && record.status.is_none() => {
            Part::Silent
        }
        (Outcome::Ok, _) => Part::Untokened,
    }
}

impl Partition {
    fn with_room(container: usize, tokens: usize) -> Self {
        Self { container: container as u32, keys: Vec::with_capacity(tokens), ..Self::default() }
    }

    fn add(&mut self, record: &Record, index: u32) {
        let at = (record.invoke_ns, index);
        match (part(record), record.generation, record.revision) {
            (Part::Token, Some(generation), Some(revision)) => self.keys.push(Key {
                generation: generation.get(),
                rank: revision.get().saturating_mul(2) | u64::from(!model::changes(record.into())),
                invoke_ns: record.invoke_ns,
                index,
            }),
            (Part::Absent, ..) => {
                self.absents.push(at);
                if let Err(illegal) = model::step(State::Absent, record.into()) {
                    self.contradiction.get_or_insert((illegal, index));
                }
            }
            (Part::Silent, ..) => {
                self.absents.push(at);
                self.silent.push(at);
            }
            (Part::Unknown, ..) => self.unknowns.push(at),
            (Part::Existence, ..) => self.existences.push(at),
            (Part::Untokened | Part::Token, ..) => self.untokened += 1,
            (Part::Nothing, ..) => {}
        }
    }

    fn sort(&mut self) {
        // Each worker's log is sorted already, but for what is beyond its control: a merge sort finds those runs.
        self.keys.par_sort();
        self.absents.par_sort();
        self.silent.sort_unstable();
        self.unknowns.sort_unstable();
        self.existences.sort_unstable();
    }

    /// Whether some operation says something that an order could contradict.
    pub fn decides(&self) -> bool {
        !(self.keys.is_empty() && self.absents.is_empty() && self.existences.is_empty())
    }

    /// The same, but that what told nothing may have removed the container: as an operation of unknown outcome may.
    /// What is illegal so is illegal; what is legal so need not be.
    pub fn relaxed(&self) -> Self {
        let mut relaxed = Self {
            container: self.container,
            keys: self.keys.clone(),
            absents: self
                .absents
                .iter()
                .filter(|at| self.silent.binary_search(at).is_err())
                .copied()
                .collect(),
            unknowns: [&self.unknowns[..], &self.silent].concat(),
            existences: self.existences.clone(),
            contradiction: self.contradiction,
            silent: Vec::new(),
            untokened: self.untokened,
        };
        relaxed.sort();
        relaxed
    }

    /// How many operations are judged by this partition.
    pub fn operations(&self) -> u64 {
        (self.keys.len() + self.absents.len() + self.unknowns.len() + self.existences.len()) as u64
    }
}

/// Sorts the history into one partition a container.
pub(super) fn partitions(history: &History) -> Vec<Partition> {
    u32::try_from(history.records.len()).expect("fewer than 2^32 operations");
    let mut tokens = vec![0_usize; history.containers.len()];
    for record in &history.records {
        if let (Some(container), Some(_), Some(_)) = (record.container(), record.generation, record.revision)
        {
            tokens[container as usize] += 1;
        }
    }
    let mut partitions: Vec<_> =
        tokens.iter().enumerate().map(|(container, &count)| Partition::with_room(container, count)).collect();
    for (index, record) in history.records.iter().enumerate() {
        if let Some(container) = record.container() {
            partitions[container as usize].add(record, index as u32);
        }
    }
    partitions.par_iter_mut().for_each(Partition::sort);
    partitions
}
