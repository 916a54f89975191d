//! Decides whether a partition has an order: narrow and fast first, wider and exact where that does not get through.
//!
//! A narrow sweep keeps a few configurations. If it gets through, there is an order: what it kept is one. If it gets
//! stuck, that proves nothing, and two things are tried in turns, each time with more room: a wider sweep from further
//! back, to find an order after all; and a window around the place by itself, exactly, to prove that there is none. At
//! last the whole is swept exactly.

use std::time::Instant;

use super::case::{Case, Dead, Fate};
use super::partition::{Partition, States};
use super::sweep::{End, Limits, Room, Step, Sweep};
use crate::model::table::STATES_MAX;

/// How many events lie between two places to go back to.
const MARK_EVERY: usize = 256;
/// How far a wider sweep must get beyond the place, in events.
const AHEAD: usize = 128;
/// How far back the first wider sweep begins, in events; each further one goes back four times as far.
const BACK: usize = 256;
/// The widest sweep that still forgets.
const WIDEST: usize = 1 << 17;
/// How many wider sweeps are tried before the first proof.
const PROVE_FROM: u32 = 1;
/// How many places to go back to are kept; beyond that, half of the earlier ones are given up.
const MARKS_MAX: usize = 1024;
/// How many steps are recorded before any is forgotten.
const STEPS_MIN: usize = 1 << 16;
/// How many configurations the first proof may hold; each further one four times as many.
const PROOF_CONFIGS: usize = 1 << 14;

/// What came of it.
pub(super) enum Decision {
    /// There is an order: this one.
    Linearizable(Found),
    /// There is none, and this part of it proves that.
    Not(Case, Box<Dead>),
    /// Why nothing can be said.
    Inconclusive(String),
}

/// An order: the steps of what changes something. What only looks has its place between them.
pub(super) struct Found {
    pub steps: Vec<Step>,
    /// The state to which they lead.
    pub last: u8,
}

/// What the search of one container may cost.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    /// When it must have ended.
    pub until: Option<Instant>,
    /// How much memory its configurations and the steps that led to them may take.
    pub memory_bytes: usize,
    /// How many configurations the first sweep keeps.
    pub width: usize,
}

/// Whether the partition has an order, within the allowance.
pub(super) fn decide(partition: &Partition, allowance: Allowance) -> Decision {
    if partition.open.iter().any(|(open, _)| open.len() > u16::MAX as usize) {
        return Decision::Inconclusive("too many operations may still act".into());
    }
    match (partition.words(), partition.states) {
        (1, ..=8) => Search::<1, 8>::new(partition, allowance).decide(),
        (1, _) => Search::<1, STATES_MAX>::new(partition, allowance).decide(),
        (2, _) => Search::<2, STATES_MAX>::new(partition, allowance).decide(),
        (4, _) => Search::<4, STATES_MAX>::new(partition, allowance).decide(),
        (16, _) => Search::<16, STATES_MAX>::new(partition, allowance).decide(),
        (64, _) => Search::<64, STATES_MAX>::new(partition, allowance).decide(),
        _ => {
            Decision::Inconclusive(format!("{} operations are under way at once, too many", partition.slots))
        }
    }
}

fn late() -> Decision {
    Decision::Inconclusive("the time budget ran out".into())
}

struct Search<'a, const W: usize, const S: usize> {
    partition: &'a Partition,
    allowance: Allowance,
    room: Room<W, S>,
    /// Places to go back to, the earliest first.
    marks: Vec<Sweep<'a, W, S>>,
    /// From how many recorded steps on those are forgotten that lead nowhere.
    steps_max: usize,
}

/// What came of a place where the narrow sweep was stuck.
enum Recovery<'a, const W: usize, const S: usize> {
    Further(Box<Sweep<'a, W, S>>),
    Decided(Decision),
}

impl<'a, const W: usize, const S: usize> Search<'a, W, S> {
    fn new(partition: &'a Partition, allowance: Allowance) -> Self {
        Self { partition, allowance, room: Room::recording(), marks: Vec::new(), steps_max: STEPS_MIN }
    }

    fn limits(&self, width: usize) -> Limits {
        // Every configuration may be held about three times: in the frontier, in what is worked on, in what comes of it.
        let size = 3 * size_of::<super::config::Config<W, S>>() + 32;
        // Half is for configurations, half for the steps that led to them.
        let half = self.allowance.memory_bytes / 2;
        let steps = (half / size_of::<Step>()).clamp(STEPS_MIN, u32::MAX as usize - STEPS_MIN);
        Limits { width, configs: (half / size).max(64), steps, until: self.allowance.until }
    }

    fn decide(mut self) -> Decision {
        let mut sweep = Sweep::new(self.partition);
        let end = self.partition.events.len();
        loop {
            if sweep.position == end {
                return Decision::Linearizable(self.found(&sweep));
            }
            self.forget_steps(&mut sweep);
            self.mark(&sweep);
            let to = (sweep.position + MARK_EVERY).min(end);
            match sweep.run(to, self.limits(self.allowance.width.max(1)), &mut self.room) {
                End::Through => {}
                End::Stuck(position) => match self.recover(position) {
                    Recovery::Further(further) => sweep = *further,
                    Recovery::Decided(decision) => return decision,
                },
                End::Crowded => return self.crowded(),
                End::Late => return late(),
            }
        }
    }

    fn found(&self, sweep: &Sweep<'a, W, S>) -> Found {
        let config = sweep.frontier.first().expect("what got through has a way");
        Found { steps: self.room.steps_to(config), last: config.state }
    }

    /// Where many steps are recorded, forgets those that lead nowhere.
    fn forget_steps(&mut self, sweep: &mut Sweep<'a, W, S>) {
        if self.room.steps.as_ref().is_some_and(|steps| steps.len() >= self.steps_max) {
            let marked = self.marks.iter_mut().flat_map(|mark| &mut mark.frontier);
            self.room.forget_steps(marked.chain(&mut sweep.frontier).collect());
            self.steps_max = (2 * self.room.steps.as_ref().map_or(0, Vec::len)).max(STEPS_MIN);
        }
    }

    fn crowded(&self) -> Decision {
        let megabytes = self.allowance.memory_bytes >> 20;
        Decision::Inconclusive(format!(
            "the memory budget ({megabytes} MB) does not hold all possible orders"
        ))
    }

    /// Remembers a place to go back to.
    fn mark(&mut self, sweep: &Sweep<'a, W, S>) {
        if self.marks.len() >= MARKS_MAX {
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number > MARKS_MAX / 2 || number % 2 == 1
            });
        }
        self.marks.push(sweep.clone());
    }

    /// The narrow sweep is stuck at this position: goes on more widely, or proves that nothing goes on.
    fn recover(&mut self, position: usize) -> Recovery<'a, W, S> {
        let mut reached = position;
        for round in 0.. {
            let from = position.saturating_sub(BACK << (2 * round).min(40));
            while self.marks.len() > 1 && self.marks.last().is_some_and(|mark| mark.position > from) {
                self.marks.pop();
            }
            let mut sweep = self.marks.last().expect("the first mark stays").clone();
            let width = self.allowance.width.max(1).saturating_mul(8_usize.saturating_pow(round + 1));
            let width = if width > WIDEST && sweep.position == 0 { usize::MAX } else { width.min(WIDEST) };
            let to = (reached + AHEAD).min(self.partition.events.len());
            match sweep.run(to, self.limits(width), &mut self.room) {
                End::Through => {
                    return Recovery::Further(Box::new(sweep));
                }
                End::Stuck(at) if !sweep.is_narrowed => return Recovery::Decided(self.prove_whole(at)),
                End::Stuck(at) => reached = reached.max(at),
                End::Crowded if width == usize::MAX => return Recovery::Decided(self.crowded()),
                End::Crowded => {}
                End::Late => return Recovery::Decided(late()),
            }
            if round >= PROVE_FROM
                && let Some(decision) = self.prove(from, reached, round)
            {
                return Recovery::Decided(decision);
            }
        }
        unreachable!("the last round is exact")
    }

    /// Tries to prove by a window that there is no order.
    fn prove(&self, from: usize, reached: usize, round: u32) -> Option<Decision> {
        let to = (reached + 1).min(self.partition.events.len());
        let everywhere = ((1_u32 << self.partition.states) - 1) as States;
        let case = Case::cut(self.partition, from, to, everywhere);
        let most = PROOF_CONFIGS << (2 * round).min(40);
        let limits = self.limits(usize::MAX);
        match case.judge(Limits { configs: limits.configs.min(most), ..limits }) {
            Fate::Dead(dead) => Some(Decision::Not(case, dead)),
            Fate::Alive | Fate::Undecided => None,
        }
    }

    /// An exact sweep from the beginning was stuck here: the smallest window back from it that proves the same.
    fn prove_whole(&self, at: usize) -> Decision {
        for round in 0_u32.. {
            let from = at.saturating_sub(BACK << (2 * round).min(40));
            if let Some(decision) = self.prove(from, at, round) {
                return decision;
            }
            if from == 0 {
                break;
            }
        }
        let case = Case::cut(self.partition, 0, at + 1, self.partition.initial);
        match case.judge(self.limits(usize::MAX)) {
            Fate::Dead(dead) => Decision::Not(case, dead),
            Fate::Alive => unreachable!("the same operations had no order a moment ago"),
            Fate::Undecided => self.crowded(),
        }
    }
}
