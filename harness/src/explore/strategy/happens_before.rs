//! What happened before what in one execution: the smallest order that holds the order of each process and that of
//! conflicting steps (Mazurkiewicz's traces). Executions with the same steps and the same order are equivalent.

use crate::explore::step::{Event, Mask};

/// The happens-before order of an execution, as a vector clock per event.
pub struct HappensBefore<'e> {
    events: &'e [Event],
    processes: usize,
    /// Which event of its process each is, from 1.
    nth: Vec<u16>,
    /// A row per event: how many events of each process happen before it, itself included.
    clocks: Vec<u16>,
    /// The event before it of the same process.
    previous: Vec<Option<usize>>,
    /// The last event of each process.
    last: Vec<Option<usize>>,
    /// Pairs, ordered by the later: the two conflict, and nothing comes between them in the order.
    adjacent: Vec<(usize, usize)>,
}

impl<'e> HappensBefore<'e> {
    /// Of these events, in the order in which they happened.
    #[must_use]
    pub fn of(events: &'e [Event], processes: usize) -> Self {
        let mut order = Self {
            events,
            processes,
            nth: Vec::with_capacity(events.len()),
            clocks: Vec::with_capacity(events.len() * processes),
            previous: Vec::with_capacity(events.len()),
            last: vec![None; processes],
            adjacent: Vec::new(),
        };
        for at in 0..events.len() {
            order.append(at);
        }
        order
    }

    fn append(&mut self, at: usize) {
        let process = self.events[at].process;
        let previous = self.last[process];
        let start = self.clocks.len();
        match previous {
            Some(previous) => self.clocks.extend_from_within(self.row(previous)),
            None => self.clocks.extend(std::iter::repeat_n(0, self.processes)),
        }
        self.clocks[start + process] += 1;
        self.nth.push(self.clocks[start + process]);
        self.previous.push(previous);
        let mut conflicting = [None; Mask::CAPACITY];
        for other in (0..self.processes).filter(|&other| other != process) {
            conflicting[other] = self.last_conflicting(at, other);
            if let Some(earlier) = conflicting[other] {
                self.join(start, earlier);
            }
        }
        self.note_adjacent(&conflicting, at);
        self.last[process] = Some(at);
    }

    /// The last event of another process that conflicts with this one and is not known to be before it yet.
    fn last_conflicting(&self, at: usize, other: usize) -> Option<usize> {
        let mut candidate = self.last[other];
        while let Some(earlier) = candidate {
            if self.before(earlier, at) {
                return None;
            }
            if self.events[earlier].step.footprint.conflicts(&self.events[at].step.footprint) {
                return Some(earlier);
            }
            candidate = self.previous[earlier];
        }
        None
    }

    fn join(&mut self, start: usize, earlier: usize) {
        for (own, theirs) in self.row(earlier).enumerate() {
            self.clocks[start + own] = self.clocks[start + own].max(self.clocks[theirs]);
        }
    }

    fn note_adjacent(&mut self, conflicting: &[Option<usize>; Mask::CAPACITY], at: usize) {
        for &earlier in conflicting.iter().flatten() {
            let between = |&other: &usize| other != earlier && self.before(earlier, other);
            if !conflicting.iter().flatten().any(between) {
                self.adjacent.push((earlier, at));
            }
        }
    }

    fn row(&self, event: usize) -> std::ops::Range<usize> {
        event * self.processes..(event + 1) * self.processes
    }

    /// Whether one event happens before the other, or is the other.
    #[must_use]
    pub fn before(&self, one: usize, other: usize) -> bool {
        self.clocks[other * self.processes + self.events[one].process] >= self.nth[one]
    }

    /// How many events of each process happen before the event, itself included.
    #[must_use]
    pub fn clock(&self, event: usize) -> &[u16] {
        &self.clocks[self.row(event)]
    }

    /// The event before it of the same process.
    #[must_use]
    pub fn previous(&self, event: usize) -> Option<usize> {
        self.previous[event]
    }

    /// The last event of the process.
    #[must_use]
    pub fn last(&self, process: usize) -> Option<usize> {
        self.last[process]
    }

    /// Pairs of events, the earlier first, that conflict with nothing between them in the order: the candidates for a
    /// race. Ordered by the later one.
    #[must_use]
    pub fn adjacent(&self) -> &[(usize, usize)] {
        &self.adjacent
    }

    /// Which processes can begin these events, of which whatever happens between two of them is also one, when they are
    /// run without the rest: those whose first one has none of the others before it.
    #[must_use]
    pub fn initials(&self, members: &[usize]) -> Mask {
        let (mut seen, mut initials) = (Mask::default(), Mask::default());
        for (count, &event) in members.iter().enumerate() {
            let process = self.events[event].process;
            if !seen.has(process) {
                seen = seen.with(process);
                if !members[..count].iter().any(|&earlier| self.before(earlier, event)) {
                    initials = initials.with(process);
                }
            }
        }
        initials
    }
}
