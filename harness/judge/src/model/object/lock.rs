//! Lock: held by one process at a time. `acquire` waits for it, `try` does not, `release` is for who holds it.
//!
//! With a lease it is held for so long from the instant at which it was had. From then on it may end at any moment,
//! and does where somebody else has it, or where its holder is told that it holds nothing.

use super::{Item, Names, Sequential};
use crate::history::object::{Cause, Op, Value};

/// A lock, free or held by one process; one with a lease is free again when the lease is over.
#[derive(Clone, Copy, Debug)]
pub struct Lock {
    /// Who holds it at first.
    pub first: Option<u32>,
    /// How long it is held for certain; `None`: until it is released.
    pub lease_ns: Option<u64>,
}

/// Who holds it, and where there are leases: since when, and what the time is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Held {
    by: Option<u32>,
    since_ns: u64,
    now_ns: u64,
}

impl Lock {
    /// Lets the lease end, if it can by the deadline.
    fn ends(self, state: &mut Held, item: &Item) -> bool {
        let Some(lease_ns) = self.lease_ns else { return false };
        let end_ns = state.now_ns.max(state.since_ns.saturating_add(lease_ns));
        if end_ns > item.deadline_ns {
            return false;
        }
        (state.by, state.now_ns) = (None, end_ns);
        true
    }
}

impl Sequential for Lock {
    type State = Held;

    fn first(&self) -> Held {
        Held { by: self.first, ..Held::default() }
    }

    fn step(&self, state: &mut Held, item: &Item, _: Option<Value>) -> bool {
        if self.lease_ns.is_some() {
            state.now_ns = state.now_ns.max(item.invoke_ns);
            // Somebody before it waited for a lease to end, longer than this one lasted.
            if state.now_ns > item.deadline_ns {
                return false;
            }
        }
        let is_own = state.by == Some(item.actor);
        match item.op {
            Op::Try if item.refused => state.by.is_some() && item.refused_for(&[Cause::Held, Cause::Status]),
            Op::Acquire | Op::Try if !item.refused => {
                if state.by.is_some() && !self.ends(state, item) {
                    return false;
                }
                (state.by, state.since_ns) = (Some(item.actor), state.now_ns);
                true
            }
            Op::Release if item.refused => {
                item.refused_for(&[Cause::Status, Cause::Absent]) && (!is_own || self.ends(state, item))
            }
            Op::Release => {
                state.by = None;
                is_own
            }
            _ => false,
        }
    }

    fn beginnings(&self, items: &[Item]) -> Option<Vec<Self>> {
        let mut actors: Vec<u32> = items.iter().map(|item| item.actor).collect();
        actors.sort_unstable();
        actors.dedup();
        let holders =
            || std::iter::once(None).chain(actors.iter().copied().map(Some)).chain([Some(u32::MAX)]);
        let is_few = self.lease_ns.is_none() && actors.len() + 2 <= super::BEGINNINGS_MAX;
        is_few.then(|| holders().map(|first| Self { first, ..*self }).collect())
    }

    fn shown(&self, state: &Held, names: &dyn Names) -> String {
        match state.by {
            Some(u32::MAX) => "it held by another".to_owned(),
            Some(actor) => format!("it held by {}", names.actor(actor)),
            None => "it free".to_owned(),
        }
    }

    fn says(&self, _: &Item) -> bool {
        true
    }

    fn looks(&self, item: &Item) -> bool {
        self.lease_ns.is_none() && item.refused
    }

    fn is_timed(&self) -> bool {
        self.lease_ns.is_some()
    }
}
