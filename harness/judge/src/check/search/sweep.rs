//! The sweep: goes through the events in the order of time, and keeps the ways in which it can have gone so far.
//!
//! Nothing is ordered before it must be: an operation acts only when one returns that needs it, itself or another. That
//! loses nothing, because whatever may act early may as well act just before the next return.

use std::collections::VecDeque;
use std::time::Instant;

use super::config::{Act, Config, Mark, NO_TRACE};
use super::partition::{Class, Duty, Partition, States};
use super::pool::Pool;
use crate::model::table::STATES_MAX;

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Some way leads to where it should go.
    Through,
    /// No way that it kept goes on from the event at this position.
    Stuck(usize),
    /// There were more ways than it may keep.
    Crowded,
    /// Time ran out.
    Late,
}

/// Where an operation stands in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has acted, or seen what it told.
    Done,
    /// It has not acted, and need not.
    Free,
    /// It has not acted, and must.
    Due,
}

/// What a sweep may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How many configurations it keeps from event to event; beyond that it forgets some, and cannot prove a violation.
    pub width: usize,
    /// How many it may hold at all.
    pub configs: usize,
    /// How many steps may be recorded.
    pub steps: usize,
    /// When it must have ended.
    pub until: Option<Instant>,
}

/// A sweep up to some event.
#[derive(Clone, Debug)]
pub(super) struct Sweep<'a, const W: usize, const S: usize> {
    partition: &'a Partition,
    /// The position of the next event.
    pub position: usize,
    pub frontier: Vec<Config<W, S>>,
    /// Whether it has forgotten configurations.
    pub is_narrowed: bool,
    /// For each class, what is invoked and not over, by deadline.
    pending: Vec<Vec<Pending>>,
    /// For each state, operations that want to see it, by number.
    watchers: [VecDeque<u32>; STATES_MAX],
    invoked: u32,
}

/// An operation that is invoked and not over, as far as choosing who acts next depends on it.
#[derive(Clone, Copy, Debug)]
struct Pending {
    op: u32,
    over_at: u32,
    slot: u16,
    duty: Duty,
}

/// One operation that acted, and the step before it: a way is a chain of these.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// The step before, or [`NO_TRACE`].
    before: u32,
    pub op: u32,
    /// How many operations had been invoked.
    pub invoked: u32,
    /// The position of the event at which it acted: the return of an operation that is over then.
    pub at: u32,
}

/// Room to work in, kept from event to event.
#[derive(Debug)]
pub(super) struct Room<const W: usize, const S: usize> {
    work: Pool<W, S>,
    results: Pool<W, S>,
    sources: Vec<Config<W, S>>,
    /// The steps taken in any way tried, where they are recorded.
    pub steps: Option<Vec<Step>>,
}

impl<const W: usize, const S: usize> Default for Room<W, S> {
    fn default() -> Self {
        Self { work: Pool::default(), results: Pool::default(), sources: Vec::new(), steps: None }
    }
}

impl<const W: usize, const S: usize> Room<W, S> {
    /// Room in which every step is recorded.
    pub fn recording() -> Self {
        Self { steps: Some(Vec::new()), ..Self::default() }
    }

    /// The states in which the latest operation that was stuck can have found the container.
    pub fn states(&self, op: usize) -> States {
        let mut states = 0;
        let mut position = 0;
        while let Some(config) = self.work.get(position) {
            position += 1;
            states |= 1 << config.state;
            for (state, &left) in config.left.iter().enumerate() {
                if left as usize > op {
                    states |= 1 << state;
                }
            }
        }
        states
    }

    /// The steps that led to the configuration, the first one first.
    pub fn steps_to(&self, config: &Config<W, S>) -> Vec<Step> {
        let mut path = Vec::new();
        let mut trace = config.trace;
        while trace != NO_TRACE {
            let Some(step) = self.steps.as_ref().and_then(|steps| steps.get(trace as usize)) else { break };
            path.push(*step);
            trace = step.before;
        }
        path.reverse();
        path
    }

    /// Forgets every step that led to none of these configurations.
    pub fn forget_steps<'c>(&mut self, mut configs: Vec<&'c mut Config<W, S>>)
    where
        Config<W, S>: 'c,
    {
        let Some(steps) = &mut self.steps else { return };
        let mut number = vec![NO_TRACE; steps.len()];
        for config in &configs {
            if config.trace != NO_TRACE {
                number[config.trace as usize] = 0;
            }
        }
        for index in (0..steps.len()).rev() {
            let before = steps[index].before;
            if number[index] != NO_TRACE && before != NO_TRACE {
                number[before as usize] = 0;
            }
        }
        let mut kept = 0;
        for index in 0..steps.len() {
            if number[index] == NO_TRACE {
                continue;
            }
            number[index] = kept as u32;
            let mut step = steps[index];
            if step.before != NO_TRACE {
                step.before = number[step.before as usize];
            }
            steps[kept] = step;
            kept += 1;
        }
        steps.truncate(kept);
        for config in &mut configs {
            if config.trace != NO_TRACE {
                config.trace = number[config.trace as usize];
            }
        }
    }
}

impl<'a, const W: usize, const S: usize> Sweep<'a, W, S> {
    pub fn new(partition: &'a Partition) -> Self {
        let initial = (0..partition.states).filter(|state| partition.initial & (1 << state) != 0);
        Self {
            partition,
            position: 0,
            frontier: initial.map(|state| Config::first(state as u8)).collect(),
            is_narrowed: false,
            pending: vec![Vec::new(); partition.classes.len()],
            watchers: Default::default(),
            invoked: 0,
        }
    }

    /// Goes on to the event at this position, or as far as it can.
    pub fn run(&mut self, to: usize, limits: Limits, room: &mut Room<W, S>) -> End {
        /// How many events pass between two looks at the clock.
        const LOOK_EVERY: usize = 64;
        while self.position < to {
            if self.position.is_multiple_of(LOOK_EVERY)
                && limits.until.is_some_and(|until| Instant::now() >= until)
            {
                return End::Late;
            }
            let event = self.partition.events[self.position];
            if !event.is_return() {
                self.begin(event.op());
            } else if let Err(end) = self.end(event.op(), limits, room) {
                return end;
            }
            self.position += 1;
        }
        End::Through
    }

    fn class(&self, op: usize) -> &'a Class {
        &self.partition.classes[self.partition.ops[op].class as usize]
    }

    fn begin(&mut self, index: usize) {
        let op = &self.partition.ops[index];
        self.invoked = index as u32 + 1;
        if op.is_open() {
            return;
        }
        let class = self.class(index);
        if class.changes != 0 {
            let pending = &mut self.pending[op.class as usize];
            let place = pending.partition_point(|other| other.over_at < op.over_at);
            let (op, over_at, slot, duty) = (index as u32, op.over_at, op.slot, op.duty);
            pending.insert(place, Pending { op, over_at, slot, duty });
        }
        if op.duty == Duty::Required {
            each(class.keeps, |state| self.watchers[state].push_back(index as u32));
        }
    }

    #[inline]
    fn standing(&self, config: &Config<W, S>, index: usize) -> Standing {
        let op = &self.partition.ops[index];
        let class = self.class(index);
        if class.changes != 0 && config.has_used(op.slot) {
            return Standing::Done;
        }
        if op.duty == Duty::Optional {
            Standing::Free
        } else if class.keeps == 0 || !config.has_seen(class.keeps, index) {
            Standing::Due
        } else if class.changes == 0 {
            Standing::Done
        } else {
            Standing::Free
        }
    }

    /// The operation is over: it has acted by now in every way that goes on, or need not.
    fn end(&mut self, index: usize, limits: Limits, room: &mut Room<W, S>) -> Result<(), End> {
        let op = self.partition.ops[index];
        let class = self.class(index);
        let mut frontier = std::mem::take(&mut self.frontier);
        room.sources.clear();
        frontier.retain_mut(|config| match self.standing(config, index) {
            Standing::Done => {
                if class.changes != 0 {
                    config.flip(op.slot);
                }
                true
            }
            Standing::Free => {
                room.sources.push(*config);
                true
            }
            Standing::Due => {
                room.sources.push(*config);
                false
            }
        });
        if !room.sources.is_empty() {
            room.results.clear();
            let first_watchers = self.first_watchers();
            for config in frontier.drain(..) {
                room.results.insert(&config, |config| config.forget_times(&first_watchers));
            }
            self.expand(index, limits, room)?;
            if room.results.len() == 0 {
                self.frontier.append(&mut room.sources);
                return Err(End::Stuck(self.position));
            }
            room.results.drain_into(&mut frontier);
        }
        self.frontier = frontier;
        self.forget(index);
        self.narrow(limits.width);
        Ok(())
    }

    /// The operation can act no more.
    fn forget(&mut self, index: usize) {
        let op = &self.partition.ops[index];
        let class = self.class(index);
        if class.changes != 0 {
            let pending = &mut self.pending[op.class as usize];
            if let Some(place) = pending.iter().position(|other| other.op as usize == index) {
                pending.remove(place);
            }
        }
        if op.duty == Duty::Required {
            let ops = &self.partition.ops;
            let is_over = |&op: &u32| ops[op as usize].over_at as usize <= self.position;
            each(class.keeps, |state| {
                let watchers = &mut self.watchers[state];
                while watchers.front().is_some_and(is_over) {
                    watchers.pop_front();
                }
            });
        }
    }

    /// Forgets configurations beyond so many. Those that spent least stay: what has not acted may still act. (Keeping a
    /// spread instead was stuck five times as often.)
    fn narrow(&mut self, width: usize) {
        if self.frontier.len() <= width {
            return;
        }
        self.is_narrowed = true;
        self.frontier.sort_by_cached_key(Config::spent);
        self.frontier.truncate(width);
    }

    /// For each state, the number of the first operation that still watches for it; more than any where none does.
    fn first_watchers(&self) -> [u32; S] {
        std::array::from_fn(|state| self.watchers[state].front().copied().unwrap_or(u32::MAX))
    }

    /// For each state, one more than the number of the last operation that watches for it: who leaves the state now has
    /// shown it to all before that.
    fn ends_of_watchers(&self) -> [u32; S] {
        std::array::from_fn(|state| self.watchers[state].back().map_or(0, |&last| last + 1))
    }

    /// Finds every way to let the operation act last, and what must go before it.
    fn expand(&mut self, goal: usize, limits: Limits, room: &mut Room<W, S>) -> Result<(), End> {
        /// How many times as many ways as it keeps a sweep looks for: those found first spend least. (Four times cost a
        /// quarter more time, and the sweep was stuck no less often.)
        const ENOUGH: usize = 2;
        /// How many configurations pass between two looks at the clock.
        const LOOK_EVERY: usize = 1024;
        let wants = if self.partition.ops[goal].duty == Duty::Required { self.class(goal).keeps } else { 0 };
        let goal_acts = self.class(goal).changes != 0;
        room.work.clear();
        let (first_watchers, ends_of_watchers) = (self.first_watchers(), self.ends_of_watchers());
        for config in &room.sources {
            room.work.insert(config, |config| config.forget_times(&first_watchers));
        }
        let mut position = 0;
        while let Some(&config) = room.work.get(position) {
            position += 1;
            if room.results.len() / ENOUGH >= limits.width {
                self.is_narrowed = true;
                break;
            }
            let recorded = room.steps.as_ref().map_or(0, Vec::len);
            if room.work.len() + room.results.len() > limits.configs || recorded > limits.steps {
                return Err(End::Crowded);
            }
            if position.is_multiple_of(LOOK_EVERY)
                && limits.until.is_some_and(|until| Instant::now() >= until)
            {
                return Err(End::Late);
            }
            for &class in &self.partition.leaving[config.state as usize] {
                for index in self.candidates(&config, class) {
                    let Some(index) = index else { continue };
                    let seen = ends_of_watchers[config.state as usize];
                    let act = self.act(&config, index, seen, goal, &mut room.steps);
                    let is_met = index as usize == goal || wants & (1 << act.next) != 0;
                    if is_met {
                        room.results.insert(&config, |config| config.act(act));
                    }
                    // One that found nothing to do here may still do something before it is over.
                    if !is_met || (index as usize != goal && goal_acts) {
                        room.work.insert(&config, |config| config.act(act));
                    }
                }
            }
        }
        Ok(())
    }

    /// What comes of a configuration if the operation acts next. What was invoked before `seen` has seen the state that
    /// it leaves.
    #[inline]
    fn act(
        &self,
        config: &Config<W, S>,
        index: u32,
        seen: u32,
        goal: usize,
        steps: &mut Option<Vec<Step>>,
    ) -> Act {
        let op = &self.partition.ops[index as usize];
        let mut act = Act {
            next: self.class(index as usize).row[config.state as usize],
            seen,
            mark: match op.is_open() {
                // There is always another death.
                true if op.is_death() => Mark::None,
                true => Mark::Open(self.partition.open[op.class as usize].1 as u16),
                false if index as usize == goal => Mark::None,
                false => Mark::Slot(op.slot),
            },
            trace: config.trace,
        };
        if let Some(steps) = steps {
            act.trace = steps.len() as u32;
            steps.push(Step {
                before: config.trace,
                op: index,
                invoked: self.invoked,
                at: self.position as u32,
            });
        }
        act
    }

    /// The operations of the class that may act next: of those that may and of those that must, the earliest.
    #[inline]
    fn candidates(&self, config: &Config<W, S>, class: u16) -> [Option<u32>; 2] {
        let mut may = None;
        let keeps = self.partition.classes[class as usize].keeps;
        for pending in self.pending[class as usize].iter().filter(|pending| !config.has_used(pending.slot)) {
            if pending.duty == Duty::Required && !config.has_seen(keeps, pending.op as usize) {
                return [may, Some(pending.op)];
            }
            may = may.or(Some(pending.op));
        }
        if may.is_some() || !self.partition.has_open {
            return [may, None];
        }
        let (open, place) = &self.partition.open[class as usize];
        // By number: those that have not been invoked yet come later.
        let next = open.get(config.open[*place] as usize).copied();
        [next.filter(|&index| index < self.invoked), None]
    }

    /// The states in which the container can be now: at least those, and perhaps a few more.
    pub fn reachable(&self) -> States {
        let mut states = self.frontier.iter().fold(0, |states, config| states | 1 << config.state);
        let under_way = |class: usize| {
            let open = self.partition.open[class].0.first();
            !self.pending[class].is_empty() || open.is_some_and(|&first| first < self.invoked)
        };
        loop {
            let before: States = states;
            let classes = self.partition.classes.iter().enumerate();
            for (_, class) in classes.filter(|&(number, _)| under_way(number)) {
                each(class.changes & before, |state| states |= 1 << class.row[state]);
            }
            if states == before {
                return states;
            }
        }
    }
}

/// Calls for each state of a set.
#[inline]
pub(super) fn each(states: States, mut call: impl FnMut(usize)) {
    let mut rest = states;
    while rest != 0 {
        call(rest.trailing_zeros() as usize);
        rest &= rest - 1;
    }
}
