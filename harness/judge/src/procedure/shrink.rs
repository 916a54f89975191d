//! Makes what a search refuted as small as it can be, by steps that each keep it an honest part of the history.
//!
//! - What was invoked only after the operation that has no place had returned is dropped, and what returned later need
//!   not have acted: the search never got there.
//! - What only looks can be dropped: an order without it is no harder to find.
//! - What came before some instant can be dropped, where few states can be told apart: then any of them may be the first,
//!   and what was under way may have acted or not.
//! - What belongs to a value, an element or a holder of its own can be dropped together, where the rest of a legal order
//!   is legal without it: the writes and reads of one value where nothing compares values, the operations on one element
//!   where nothing tells all elements, what one process did to a lock where nobody was refused it.
//!
//! Whatever is left is searched again after each step, so that it is itself a proof.

use std::time::{Duration, Instant};

use super::search::{Limits, refute, tried};
use super::{Fault, Part, Teller};
use crate::history::object::{Op, Value};
use crate::model::object::{Item, Kind, Sequential};

/// How long shrinking may take; then what there is must do.
const PATIENCE: Duration = Duration::from_secs(1);
/// How much memory a search may take while it is tried what can go.
const MEMORY_BYTES: usize = 64 << 20;
/// How many groups are tried one by one; beyond, only halves and their halves.
const GROUPS_MAX: usize = 4096;

/// What some of the items share, and with which they can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Group {
    /// An operation that can be left out by itself, because nothing hangs on it.
    Alone(u32),
    /// All of a value or element.
    Value(Value),
    /// All of a process.
    Actor(u32),
}

struct Shrink<'a, S: Sequential> {
    model: &'a S,
    /// What can be there at first: what is, or, where what came before was dropped, anything.
    beginnings: Vec<S>,
    kind: Kind,
    until: Instant,
    /// (place in the part, item).
    kept: Vec<(u32, Item)>,
    dead: u32,
}

/// The smallest set of operations found that has no order; `dead` is the one that has no place among those before.
pub(super) fn shrink<S: Sequential>(part: &Part<'_>, model: &S, dead: u32) -> Fault {
    let kept = (0..).zip(part.items.iter().copied()).collect();
    shrink_from(part, model, dead, kept, Vec::new())
}

/// The same, begun with a part that is known to have no order, whatever of these beginnings was there before.
pub(super) fn shrink_from<S: Sequential>(
    part: &Part<'_>,
    model: &S,
    dead: u32,
    kept: Vec<(u32, Item)>,
    beginnings: Vec<S>,
) -> Fault {
    let until = Instant::now() + PATIENCE;
    let mut shrink = Shrink { model, beginnings, kind: part.model.kind, until, kept, dead };
    shrink.drop_end();
    shrink.begin_later();
    shrink.drop_groups(Shrink::looker);
    shrink.drop_groups(Shrink::company);
    let count = shrink.kept.len();
    let the = part.the(shrink.dead);
    let whatever = if shrink.beginnings.is_empty() { "" } else { ", whatever was there before" };
    let found = shrink.found(part.teller);
    let sentence = match count {
        1 => format!("{the} cannot be{whatever}{found}."),
        _ => format!("{the} has no place in any order of these {count} operations{whatever}{found}."),
    };
    Fault { sentence, places: shrink.kept.iter().map(|&(place, _)| place).collect() }
}

impl<S: Sequential> Shrink<'_, S> {
    /// What the operation without a place would find, in words, where that is little.
    fn found(&self, teller: Teller<'_>) -> String {
        /// How many different ones are told.
        const TOLD_MAX: usize = 4;
        let items: Vec<Item> = self.kept.iter().map(|(_, item)| *item).collect();
        let Some(place) = self.kept.iter().position(|(place, _)| *place == self.dead) else {
            return String::new();
        };
        let limits = Limits { until: Some(self.until + PATIENCE), memory_bytes: MEMORY_BYTES };
        let models =
            if self.beginnings.is_empty() { std::slice::from_ref(self.model) } else { &self.beginnings };
        let mut told = std::collections::BTreeSet::new();
        for model in models {
            for state in tried(model, &items, limits, place as u32) {
                told.insert(model.shown(&state, &teller));
                if told.len() > TOLD_MAX {
                    return String::new();
                }
            }
        }
        let told: Vec<String> = told.into_iter().collect();
        match told.split_last() {
            None => String::new(),
            Some((only, [])) => format!(": it would find {only}"),
            Some((last, others)) => format!(": it would find {} or {last}", others.join(", ")),
        }
    }

    /// Drops what the search never came to.
    fn drop_end(&mut self) {
        let Some(&(_, dead)) = self.kept.iter().find(|(place, _)| *place == self.dead) else { return };
        let end_ns = dead.deadline_ns;
        self.kept.retain(|(_, item)| item.invoke_ns <= end_ns);
        for (_, item) in &mut self.kept {
            if item.deadline_ns > end_ns {
                item.must = false;
            }
        }
        let model = self.model;
        self.kept.retain(|(_, item)| item.must || !model.looks(item));
    }

    /// Takes what is left without the groups, if that has no order either.
    fn take(&mut self, kept: Vec<(u32, Item)>) -> bool {
        let items: Vec<Item> = kept.iter().map(|(_, item)| *item).collect();
        let Some(dead) = self.refute(&items) else { return false };
        (self.dead, self.kept) = (kept[dead as usize].0, kept);
        self.drop_end();
        true
    }

    /// The operation that has no place whatever the beginning: the last one, where they are several.
    fn refute(&self, items: &[Item]) -> Option<u32> {
        let limits = Limits { until: Some(self.until), memory_bytes: MEMORY_BYTES };
        if self.beginnings.is_empty() {
            return refute(self.model, items, limits);
        }
        let dead: Option<Vec<u32>> =
            self.beginnings.iter().map(|model| refute(model, items, limits)).collect();
        dead?.into_iter().max_by_key(|&place| (items[place as usize].deadline_ns, place))
    }

    /// Drops what came before, if what is left has no order whatever was there.
    fn begin_later(&mut self) {
        let mut times: Vec<u64> = self.kept.iter().map(|(_, item)| item.invoke_ns).collect();
        times.sort_unstable();
        let given = std::mem::take(&mut self.beginnings);
        let mut window = 4;
        while window < times.len() && Instant::now() < self.until {
            let cut_ns = times[times.len() - window];
            let mut kept: Vec<(u32, Item)> =
                self.kept.iter().copied().filter(|(_, item)| item.deadline_ns >= cut_ns).collect();
            for (_, item) in kept.iter_mut().filter(|(_, item)| item.invoke_ns < cut_ns) {
                item.must = false;
            }
            let model = self.model;
            kept.retain(|(_, item)| item.must || !model.looks(item));
            let items: Vec<Item> = kept.iter().map(|(_, item)| *item).collect();
            let Some(beginnings) = self.model.beginnings(&items) else { break };
            self.beginnings = beginnings;
            if kept.len() < self.kept.len() && self.take(kept) {
                return;
            }
            window *= 4;
        }
        self.beginnings = given;
    }

    /// Drops as many groups as can go, many at a time and then fewer.
    fn drop_groups(&mut self, group: impl Fn(&Self, u32, &Item) -> Option<Group>) {
        let mut groups = self.groups(&group);
        let mut many = groups.len().div_ceil(2);
        while many > 0 && !groups.is_empty() && Instant::now() < self.until {
            if many == 1 && groups.len() > GROUPS_MAX {
                break;
            }
            let mut from = 0;
            while from < groups.len() && Instant::now() < self.until {
                let chosen = &groups[from..(from + many).min(groups.len())];
                let kept = self.kept.iter().copied().filter(|(place, item)| {
                    group(self, *place, item).is_none_or(|group| chosen.binary_search(&group).is_err())
                });
                let kept: Vec<_> = kept.collect();
                if kept.len() < self.kept.len() && self.take(kept) {
                    let left = self.groups(&group);
                    groups.retain(|group| left.binary_search(group).is_ok());
                } else {
                    from += many;
                }
            }
            many = if many == 1 { 0 } else { many.div_ceil(2) };
        }
    }

    fn groups(&self, group: impl Fn(&Self, u32, &Item) -> Option<Group>) -> Vec<Group> {
        let mut groups: Vec<Group> =
            self.kept.iter().filter_map(|(place, item)| group(self, *place, item)).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// What only looks can go alone.
    fn looker(&self, place: u32, item: &Item) -> Option<Group> {
        self.model.looks(item).then_some(Group::Alone(place))
    }

    /// With what else an item can go.
    fn company(&self, _: u32, item: &Item) -> Option<Group> {
        let any = |is: fn(&Item) -> bool| self.kept.iter().any(|(_, item)| is(item));
        match self.kind {
            Kind::Register if !any(|item| item.op == Op::Cas) => item.value.or(item.saw).map(Group::Value),
            Kind::Set if !any(|item| item.op == Op::Members) => item.value.map(Group::Value),
            Kind::Queue if !any(|item| item.op == Op::Pop && !item.refused && item.saw.is_none()) => {
                item.value.or(item.saw).map(Group::Value)
            }
            Kind::Lock if !self.model.is_timed() && !any(|item| item.op == Op::Try && item.refused) => {
                Some(Group::Actor(item.actor))
            }
            _ => None,
        }
    }
}
