//! A model as a table: states as small numbers, and for everything that an operation can have told, the next state.
//!
//! The search needs no more of a model than this, so it judges any model that can be written as one. The table is made
//! once, from functions; it never looks at times or tokens.

use flockwork::{Operation, Status};

use super::{Seen, State, acts, step};
use crate::history::{Outcome, Reason};

/// How many states a model may have.
pub const STATES_MAX: usize = 16;

/// In a [`Row`]: the operation cannot have ended so in this state.
pub const ILLEGAL: u8 = u8::MAX;

/// What one thing that an operation can have told makes of each state: the next state, or [`ILLEGAL`].
///
/// For an operation of unknown outcome: what it makes of a state that it changes. That it may as well not have acted
/// goes without saying.
pub type Row = [u8; STATES_MAX];

/// A compiled model: a small set of states, and for each operation and answer what it makes of each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    name: String,
    states: Vec<String>,
    initial: u8,
    rows: Vec<Row>,
}

impl Table {
    /// Makes a table of `states.len()` states, which are told by these names.
    ///
    /// `step` gives the state that follows from a state by an operation that ended so (`None`: it cannot have), and
    /// `acts` what an operation of unknown outcome makes of a state if it changes it. `step` is never asked about
    /// unknown outcomes.
    #[must_use]
    pub fn new(
        name: &str,
        states: Vec<String>,
        initial: usize,
        step: impl Fn(usize, Seen) -> Option<usize>,
        acts: impl Fn(usize, Operation) -> Option<usize>,
    ) -> Self {
        assert!((1..=STATES_MAX).contains(&states.len()), "a model has 1 to {STATES_MAX} states");
        assert!(initial < states.len(), "the initial state is one of the model's");
        let next = |state: usize, seen: Seen| match seen.outcome {
            Outcome::Unknown => acts(state, seen.operation).filter(|&next| next != state),
            _ => step(state, seen),
        };
        let mut rows = Vec::new();
        for seen in every_seen() {
            let mut row = [ILLEGAL; STATES_MAX];
            for (state, slot) in row.iter_mut().enumerate().take(states.len()) {
                if let Some(after) = next(state, seen) {
                    assert!(after < states.len(), "a step leads to a state of the model");
                    *slot = after as u8;
                }
            }
            rows.push(row);
        }
        Self { name: name.to_owned(), states, initial: initial as u8, rows }
    }

    /// The table of the model `runsc`, from [`step`] and [`acts`].
    #[must_use]
    pub fn runsc() -> Self {
        let number = |state: State| state as usize;
        Self::new(
            "runsc",
            State::ALL.iter().map(ToString::to_string).collect(),
            number(State::Absent),
            |state, seen| step(State::ALL[state], seen).ok().map(number),
            |state, operation| acts(State::ALL[state], operation).map(number),
        )
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its states, as they are told to people.
    #[must_use]
    pub fn states(&self) -> &[String] {
        &self.states
    }

    /// The state in which every container begins.
    #[must_use]
    pub fn initial(&self) -> u8 {
        self.initial
    }

    /// What an operation that told this makes of each state.
    #[must_use]
    pub fn row(&self, seen: Seen) -> &Row {
        &self.rows[index(seen)]
    }
}

/// Everything that an operation can have told, in the order of [`index`].
fn every_seen() -> impl Iterator<Item = Seen> {
    let statuses = || std::iter::once(None).chain(Status::ALL.map(Some));
    let reasons = || std::iter::once(None).chain(Reason::ALL.map(Some));
    Operation::ALL.into_iter().flat_map(move |operation| {
        Outcome::ALL.into_iter().flat_map(move |outcome| {
            reasons().flat_map(move |reason| {
                statuses().map(move |status| Seen { operation, outcome, reason, status })
            })
        })
    })
}

fn index(seen: Seen) -> usize {
    let reason = seen.reason.map_or(0, |reason| reason as usize + 1);
    let status = seen.status.map_or(0, |status| status as usize + 1);
    let outcome = seen.operation as usize * Outcome::ALL.len() + seen.outcome as usize;
    (outcome * (Reason::ALL.len() + 1) + reason) * (Status::ALL.len() + 1) + status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_told_has_its_own_row() {
        for (position, seen) in every_seen().enumerate() {
            assert_eq!(index(seen), position, "{seen:?}");
        }
    }

    #[test]
    fn the_table_of_runsc_says_what_its_functions_say() {
        let table = Table::runsc();
        assert_eq!(table.initial(), State::default() as u8);
        for seen in every_seen() {
            for state in State::ALL {
                let expected = match seen.outcome {
                    Outcome::Unknown => acts(state, seen.operation),
                    _ => step(state, seen).ok(),
                };
                let expected = expected.map_or(ILLEGAL, |next| next as u8);
                assert_eq!(table.row(seen)[state as usize], expected, "{seen:?} of {state}");
            }
        }
    }
}
