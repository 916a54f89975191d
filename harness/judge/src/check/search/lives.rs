//! Lives: splits a container's operations by generation, where each tells in which it acted.
//!
//! A generation is one life of a container, and lives follow each other. So an order of the whole is one order of each
//! life, one after the other, with the refusals that found the container absent in the gaps between. Whether such an
//! order respects real time depends on pairs of operations only: none may come before one that had returned when it was
//! invoked. Within a life that is the life's own affair; across lives it does not depend on the orders within. Hence a
//! container is linearizable, with what it tells of generations, exactly if
//!
//! - each life is by itself: it begins with its only create (the first one with none, if the container was there at the
//!   start), and nothing of it acts while the container is absent,
//! - each life but the last is ended by a delete of its own,
//! - no operation of a life was invoked after one of a later life had returned,
//! - and every refusal for absence has a gap. It takes the earliest it can: the gaps that end early enough and those
//!   that begin early enough are each a run, and of two refusals the one that must be later never gets the earlier gap.
//!
//! It splits only where nothing is left to guess: an operation of unknown outcome that can change something may belong
//! to any life, or have led one that nobody saw; then the search looks at the whole, and at no generation.

use std::collections::BTreeMap;

use super::Operations;
use super::partition::{Item, States};
use crate::check::tell::Origin;
use crate::history::{History, Outcome, Reason, Record};
use crate::model::Model;
use crate::model::table::{ILLEGAL, Row};

/// A container's operations by generation.
pub(super) struct Lives {
    pub all: Vec<Life>,
    /// Refusals for absence before the first life, between any two, and after the last.
    pub gaps: Vec<Vec<u32>>,
    /// What changes nothing wherever it acts.
    pub idle: Vec<u32>,
    /// The states in which the first life can begin.
    first: States,
}

/// One life of a container, from the create that began its generation to the delete that ended it.
#[derive(Default)]
pub(super) struct Life {
    generation: u64,
    pub items: Vec<Item>,
    creators: Vec<u32>,
    removers: Vec<u32>,
}

/// What the operations tell of generations contradicts itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It created a life, but the container was there from the start, in a life that nobody ended.
    There(u32),
    /// Two creates tell one generation.
    Twice(u32, u32),
    /// The first is of a life that nobody ended, the second of a later one.
    NotDeleted(u32, u32),
    /// The first is of an earlier life and was invoked after the second, of a later one, had returned.
    Back(u32, u32),
    /// It found the container absent, and there is no gap: one life was there before and after, as others tell.
    Nowhere { found: u32, before: Option<u32>, after: Option<u32> },
    /// It found the container absent, but that was there from the start, wherever the history begins: the other is of a life
    /// that nobody created, and nobody deleted.
    Uncreated { found: u32, seen: u32 },
}

/// What an operation has to do with lives.
enum Part {
    Of(u64),
    Absent,
    Idle,
    Unclear,
}

fn part(record: &Record, row: &Row, absent: u8, states: usize) -> Part {
    let row = &row[..states];
    let may_change = (0..).zip(row).any(|(state, &next)| next != ILLEGAL && next != state);
    let is_idle = (0..).zip(row).all(|(state, &next)| next == state);
    let creates = !matches!(row[absent as usize], ILLEGAL) && row[absent as usize] != absent;
    let elsewhere = (0..).zip(row).any(|(state, &next): (u8, _)| state != absent && next != ILLEGAL);
    match (record.outcome, record.reason, record.generation) {
        (Outcome::Unknown, ..) if may_change => Part::Unclear,
        (Outcome::Unknown, ..) => Part::Idle,
        _ if is_idle => Part::Idle,
        (Outcome::Refused, Some(Reason::Absent), _) if row[absent as usize] == absent => Part::Absent,
        (Outcome::Refused, Some(Reason::Absent), _) => Part::Unclear,
        // What creates as well as acts on what is there leaves open which life is its own.
        (_, _, Some(generation)) if !(creates && elsewhere) => Part::Of(generation.get()),
        _ => Part::Unclear,
    }
}

impl Lives {
    /// Splits the operations; `None`: they do not tell enough.
    pub fn of(history: &History, model: &Model, operations: &Operations) -> Option<Result<Self, Fault>> {
        // What lies only partly within may be of another life than those that the rest tells.
        if history.window.is_some() {
            return None;
        }
        let mut absents = model.states_of(None);
        let (absent, states) = (absents.next()?, model.table().states().len());
        let mut lives = BTreeMap::<u64, Life>::new();
        let (mut sightings, mut idle) = (Vec::new(), Vec::new());
        for &index in &operations.indexes {
            let mut item = super::item(history, model.table(), index);
            match part(&history.records[index as usize], &item.row, absent, states) {
                Part::Unclear => return None,
                Part::Idle => idle.push(index),
                Part::Absent => sightings.push(index),
                Part::Of(generation) => {
                    let life = lives.entry(generation).or_default();
                    life.generation = generation;
                    life.add(&mut item, absent);
                }
            }
        }
        if lives.is_empty() {
            return None;
        }
        let lives: Vec<Life> = lives.into_values().collect();
        let starts = model.starts(history, operations.container).fold(0, |states, state| states | 1 << state);
        let first = match (lives[0].creators.first(), starts & (1 << absent), starts & !(1 << absent)) {
            (Some(&creator), 0, _) => return Some(Err(Fault::There(creator))),
            // Who is created was not there, and who is not was, if the history leaves that open.
            (Some(_), was_absent, _) | (None, was_absent, 0) => was_absent,
            (None, _, was_there) => was_there,
        };
        let starts_absent = first == 1 << absent;
        let may_start_absent = starts & (1 << absent) != 0;
        let gaps = judge(history, &lives, &sightings, (starts_absent, may_start_absent));
        Some(gaps.map(|gaps| Self { all: lives, gaps, idle, first }))
    }

    /// The states in which a life can begin.
    pub fn starts(&self, number: usize, model: &Model) -> States {
        let absent = || model.states_of(None).fold(0, |states, state| states | 1 << state);
        if number == 0 { self.first } else { absent() }
    }
}

impl Life {
    /// Takes an operation that tells this generation. It cannot have acted while the container was absent, unless it
    /// created it.
    fn add(&mut self, item: &mut Item, absent: u8) {
        let from_absent = &mut item.row[absent as usize];
        if *from_absent == absent {
            *from_absent = ILLEGAL;
        }
        if *from_absent != ILLEGAL {
            self.creators.push(item.record);
        }
        if (0..).zip(&item.row).any(|(state, &next)| next == absent && state != absent) {
            self.removers.push(item.record);
        }
        self.items.push(*item);
    }

    fn latest_invoked(&self) -> (u64, u32) {
        self.items.iter().map(|item| (item.invoke_ns, item.record)).max().unwrap_or_default()
    }

    fn earliest_over(&self) -> (u64, u32) {
        self.items.iter().map(|item| (item.deadline_ns, item.record)).min().unwrap_or_default()
    }
}

/// Whether the lives can follow each other, and which refusals for absence have their place in which gap.
fn judge(
    history: &History,
    lives: &[Life],
    sightings: &[u32],
    (starts_absent, may_start_absent): (bool, bool),
) -> Result<Vec<Vec<u32>>, Fault> {
    for life in lives {
        if let [one, other, ..] = life.creators[..] {
            return Err(Fault::Twice(one, other));
        }
    }
    // For each gap, when the latest operation before it was invoked, and when the earliest one after it is over.
    let mut begins = vec![(0, 0)];
    for life in lives {
        let latest = begins[begins.len() - 1].max(life.latest_invoked());
        if begins.len() > 1 && begins[begins.len() - 1].0 > life.earliest_over().0 {
            return Err(Fault::Back(begins[begins.len() - 1].1, life.earliest_over().1));
        }
        begins.push(latest);
    }
    for pair in lives.windows(2) {
        if pair[0].removers.is_empty() {
            return Err(Fault::NotDeleted(pair[0].latest_invoked().1, pair[1].earliest_over().1));
        }
    }
    let mut ends = vec![(u64::MAX, 0); lives.len() + 1];
    for (number, life) in lives.iter().enumerate().rev() {
        ends[number] = ends[number + 1].min(life.earliest_over());
    }
    let ends_absent = lives.last().is_some_and(|life| !life.removers.is_empty());
    let mut gaps = vec![Vec::new(); lives.len() + 1];
    for &index in sightings {
        let record = &history.records[index as usize];
        let earliest = ends.partition_point(|&(over_ns, _)| over_ns < record.invoke_ns);
        let gap = earliest.max(usize::from(!starts_absent));
        let (begins_ns, latest) = begins[gap];
        let is_over = begins_ns <= record.deadline_ns();
        if !is_over || (gap == lives.len() && !ends_absent) {
            if is_over && earliest == 0 && may_start_absent {
                return Err(Fault::Uncreated { found: index, seen: lives[0].earliest_over().1 });
            }
            let before = (earliest > 0).then(|| ends[earliest - 1].1);
            return Err(Fault::Nowhere { found: index, before, after: (!is_over).then_some(latest) });
        }
        gaps[gap].push(index);
    }
    for gap in &mut gaps {
        gap.sort_by_key(|&index| history.records[index as usize].invoke_ns);
    }
    Ok(gaps)
}

impl Fault {
    /// The operations that contradict each other.
    pub fn members(self) -> Vec<u32> {
        match self {
            Self::There(creator) => vec![creator],
            Self::Twice(one, other) | Self::NotDeleted(one, other) | Self::Back(one, other) => {
                vec![one, other]
            }
            Self::Nowhere { found, before, after } => {
                [Some(found), before, after].into_iter().flatten().collect()
            }
            Self::Uncreated { found, seen } => vec![found, seen],
        }
    }

    /// Whether it takes the states that the container begins in to show it.
    pub fn needs_the_start(self) -> bool {
        matches!(self, Self::There(_) | Self::Nowhere { before: None, .. })
    }

    /// The one that cannot be, if the others are.
    pub fn impossible(self) -> u32 {
        match self {
            Self::There(creator) => creator,
            Self::Twice(_, other) | Self::NotDeleted(_, other) => other,
            Self::Back(found, _) | Self::Nowhere { found, .. } | Self::Uncreated { found, .. } => found,
        }
    }

    /// How generations contradict each other, in words.
    pub fn sentence(self, history: &History) -> String {
        let origin = Origin::of(history);
        let told = |index: u32| {
            let record = &history.records[index as usize];
            let at = origin.instant(record.invoke_ns);
            let generation = record.generation.map_or(0, u64::from);
            (format!("{} by process {} at {at}", record.operation, record.process), generation)
        };
        match self {
            Self::There(creator) => {
                let (create, generation) = told(creator);
                format!(
                    "{create} created generation {generation}, yet the container was there from the start, and nobody \
                     deleted it."
                )
            }
            Self::Twice(one, other) => {
                let ((one, generation), (other, _)) = (told(one), told(other));
                format!("{one} and {other} both created generation {generation}, which begins only once.")
            }
            Self::NotDeleted(earlier, later) => {
                let ((earlier, one), (later, two)) = (told(earlier), told(later));
                format!(
                    "{later} reported generation {two}, yet nobody had deleted generation {one}, which {earlier} told last."
                )
            }
            Self::Back(earlier, later) => {
                let ((told_earlier, one), (told_later, two)) = (told(earlier), told(later));
                let since = origin.instant(history.records[later as usize].deadline_ns());
                format!(
                    "{told_earlier} reported generation {one}, yet generation {two} had been there by {since} \
                 ({told_later}), and a generation never comes back."
                )
            }
            Self::Nowhere { found, before, after } => {
                let because = match (before.map(told), after.map(told)) {
                    (Some((before, generation)), Some((after, _))) => format!(
                        "generation {generation} was there before ({before}) and after ({after}), and never comes back"
                    ),
                    (Some((before, generation)), None) => {
                        format!("generation {generation} was there before ({before}), and nobody deleted it")
                    }
                    (None, Some((after, generation))) => {
                        format!("generation {generation} was there from the start, and after ({after})")
                    }
                    (None, None) => "it was there from the start, and nobody deleted it".to_owned(),
                };
                let found = told(found).0;
                format!("{found} was refused because the container is absent, yet {because}.")
            }
            Self::Uncreated { found, seen } => {
                let (found, (seen, generation)) = (told(found).0, told(seen));
                format!(
                    "{found} was refused because the container is absent, yet generation {generation} ({seen}) was there \
                     from the start, as nobody created it, and nobody deleted it."
                )
            }
        }
    }
}
