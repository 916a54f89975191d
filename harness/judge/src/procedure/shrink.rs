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

use super::needed::{MEMORY_BYTES, Proof};
use super::search::{Limits, refute};
use super::{Fault, Part};
use crate::history::object::{Op, Value};
use crate::model::object::{Item, Kind, Sequential};

/// How long shrinking may take; then what there is must do.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of how many operations all are looked at together.
const WHOLE_MAX: usize = 48;
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

/// What shows that there is no order; `dead` is the one that has no place among those before.
pub(super) fn shrink<S: Sequential>(part: &Part<'_>, model: &S, dead: u32) -> Fault {
    shrink_from(part, model, dead, all(part), Vec::new())
}

fn all(part: &Part<'_>) -> Vec<(u32, Item)> {
    (0..).zip(part.items.iter().copied()).collect()
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
    if part.items.len() <= WHOLE_MAX
        && let Some(fault) = fewest(part, (vec![model.clone()], false), all(part), |_| true, until)
    {
        return fault;
    }
    let mut shrink = Shrink { model, beginnings, kind: part.model.kind, until, kept, dead };
    shrink.drop_end();
    shrink.begin_later();
    shrink.drop_groups(Shrink::looker);
    shrink.drop_groups(Shrink::company);
    let Shrink { kept, beginnings, dead, .. } = shrink;
    let places: Vec<u32> = kept.iter().map(|&(place, _)| place).collect();
    let is_anywhere = !beginnings.is_empty();
    let beginnings = if is_anywhere { beginnings } else { vec![model.clone()] };
    let until = until.max(Instant::now() + PATIENCE / 4);
    fewest(part, (beginnings, is_anywhere), kept, |_| true, until).unwrap_or_else(|| {
        let (the, count) = (part.the(dead), places.len());
        let sentence = format!("{the} has no place in any order of these {count} operations.");
        Fault { is_minimal: true, is_anywhere, ..Fault::new(sentence, places) }
    })
}

/// The fewest operations that have no order, of all that can have had a part in it; nothing where they may have one.
fn fewest<S: Sequential>(
    part: &Part<'_>,
    beginnings: (Vec<S>, bool),
    items: Vec<(u32, Item)>,
    by: impl Fn(u32) -> bool,
    until: Instant,
) -> Option<Fault> {
    let mut proof = Proof::of(part, beginnings, items, by, until)?;
    proof.minimize();
    proof.begin_anywhere();
    proof.add_possible();
    Some(proof.fault())
}

/// What a procedure found, without what the proof does not need, where few operations are enough to try.
pub(super) fn tighten<S: Sequential>(part: &Part<'_>, beginnings: &[S], fault: Fault) -> Fault {
    if fault.is_minimal || part.items.len() > WHOLE_MAX {
        return fault;
    }
    let until = Instant::now() + PATIENCE;
    let needed =
        |by: &dyn Fn(u32) -> bool| Proof::of(part, (beginnings.to_vec(), false), all(part), by, until);
    let is_needed = |place: u32| fault.places.contains(&place);
    let is_named = |place: u32| is_needed(place) || fault.possible.contains(&place);
    let found = needed(&is_needed).or_else(|| needed(&is_named)).or_else(|| needed(&|_| true));
    let Some(mut found) = found else { return fault };
    found.minimize();
    let mut places: Vec<u32> = fault.places.iter().copied().filter(|&place| part.item(place).must).collect();
    places.sort_unstable();
    places.dedup();
    if found.needed() == places {
        return fault;
    }
    found.begin_anywhere();
    found.add_possible();
    found.fault()
}

/// What refutes every beginning, of what refutes each.
pub(super) fn together<S: Sequential>(
    part: &Part<'_>,
    beginnings: Vec<S>,
    is_anywhere: bool,
    faults: &[Fault],
) -> Fault {
    if part.items.len() <= WHOLE_MAX {
        let until = Instant::now() + PATIENCE;
        if let Some(fault) = fewest(part, (beginnings, is_anywhere), all(part), |_| true, until) {
            return fault;
        }
    }
    // Each beginning may fail for a reason of its own.
    let first = faults.first().map_or("", |fault| fault.sentence.as_str());
    let mut whole = Fault::new(format!("No beginning explains it. From the first of them: {first}"), []);
    for fault in faults {
        whole.places.extend(&fault.places);
        whole.possible.extend(&fault.possible);
    }
    whole
}

impl<S: Sequential> Shrink<'_, S> {
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
