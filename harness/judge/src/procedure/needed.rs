//! What a proof needs: the operations that must have acted for it, so that an explanation names no others.
//!
//! Every other operation is taken to have acted or not, whichever helps: that allows more orders, not fewer, so a proof
//! that holds even so holds of the whole history. To leave one out as if it had never been made would prove nothing: a
//! read of 2 has no order by itself, though two additions of 1 explain it. So an operation is *needed* if there is
//! an order as soon as it need not have acted; what is needed in this sense is found by letting go of one after the other.
//! It does not get less by another round: who could let go of an operation late could have let go of it early.
//!
//! Beside those stand a few operations without which one of the needed ones would not be needed: the write whose value was
//! read, where the proof rests on another that replaced it. They may have acted or not; what is shown holds either way.

use std::time::{Duration, Instant};

use rustc_hash::FxHashSet;

use super::Part;
use super::search::{Found, Limits, refute, search, tried};
use crate::history::object::{Op, Value};
use crate::model::object::{Item, Kind, Sequential};

/// How many operations are let go of by themselves, before many at once are.
const FEW: usize = 16;
/// How long one search may take; what it does not refute by then is kept.
const TRIAL: Duration = Duration::from_millis(100);
/// How many operations that need not have acted are named.
pub(super) const POSSIBLE_MAX: usize = 8;
/// How much memory a search may take.
pub(super) const MEMORY_BYTES: usize = 64 << 20;

/// What can make a difference.
enum Helpers {
    All,
    /// What leads to one of these values, or takes one away; and what may have taken any.
    Of(FxHashSet<Value>),
}

impl Helpers {
    fn has(&self, item: &Item) -> bool {
        let Self::Of(values) = self else { return true };
        let value = match item.op {
            Op::Cas => item.saw,
            _ => item.value.or(item.saw),
        };
        value.is_none_or(|value| values.contains(&value))
    }
}

/// Operations of which no order is legal, whichever of these beginnings there was.
pub(super) struct Proof<'a, S: Sequential> {
    part: &'a Part<'a>,
    beginnings: Vec<S>,
    /// (place in the part, item), all that can have had a part in it; what is not needed need not have acted.
    items: Vec<(u32, Item)>,
    /// Those without which there is an order, by their number among the items.
    needed: Vec<usize>,
    possible: Vec<usize>,
    /// The one that has no place, by its number.
    dead: usize,
    /// Whether the proof holds whatever was there before.
    is_anywhere: bool,
    until: Instant,
}

impl<'a, S: Sequential> Proof<'a, S> {
    /// Operations that are to have no order by these of them, given by place; nothing where that cannot be shown.
    pub(super) fn of(
        part: &'a Part<'a>,
        (beginnings, is_anywhere): (Vec<S>, bool),
        items: Vec<(u32, Item)>,
        by: impl Fn(u32) -> bool,
        until: Instant,
    ) -> Option<Self> {
        let needed = (0..items.len()).filter(|&at| items[at].1.must && by(items[at].0)).collect();
        let mut found = Self {
            part,
            beginnings,
            items,
            needed: Vec::new(),
            possible: Vec::new(),
            dead: 0,
            is_anywhere,
            until,
        };
        found.take(needed).then_some(found)
    }

    fn limits(&self) -> Limits {
        let until = self.until.min(Instant::now() + TRIAL);
        Limits { until: Some(until), memory_bytes: MEMORY_BYTES }
    }

    /// Which operations that need not have acted can make a difference to these. What is left out can be taken out of
    /// any legal order, with all that is left out.
    fn helpers(&self, needed: &[usize]) -> Helpers {
        let needed = || needed.iter().map(|&at| &self.items[at].1);
        let values = || needed().flat_map(|item| [item.value, item.saw]).flatten();
        let is_untold = |item: &Item| item.op == Op::Pop && !item.refused && item.saw.is_none();
        match self.part.model.kind {
            Kind::Queue if !needed().any(is_untold) => {
                Helpers::Of(values().chain(self.part.first_list.iter().copied()).collect())
            }
            Kind::Set if needed().all(|item| item.op != Op::Members) => Helpers::Of(values().collect()),
            Kind::Register if !needed().any(|item| item.refused) => {
                let seen = needed().filter_map(|item| if item.op == Op::Cas { item.value } else { item.saw });
                Helpers::Of(self.led_to(seen.collect()))
            }
            _ => Helpers::All,
        }
    }

    /// Values of a register, and those from which a `cas` leads to one of them.
    fn led_to(&self, mut values: FxHashSet<Value>) -> FxHashSet<Value> {
        loop {
            let before = values.len();
            for (_, item) in self.items.iter().filter(|(_, item)| item.op == Op::Cas && !item.refused) {
                if item.saw.is_some_and(|to| values.contains(&to)) {
                    values.extend(item.value);
                }
            }
            if values.len() == before {
                return values;
            }
        }
    }

    /// The items where only these must have acted, and of the others those may have that are meant.
    fn with(&self, needed: &[usize], may: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<Item>) {
        let first = &self.beginnings[0];
        let helpers = self.helpers(needed);
        let meant = (0..self.items.len()).filter_map(|at| {
            let item = self.items[at].1;
            let must = needed.binary_search(&at).is_ok();
            let helps = || may(at) && !first.looks(&item) && helpers.has(&item);
            (must || helps()).then_some((at, Item { must, ..item }))
        });
        meant.unzip()
    }

    /// The operation that has no place where these must have acted: the last, where each beginning has its own.
    fn refute(&self, needed: &[usize]) -> Option<usize> {
        let (numbers, items) = self.with(needed, |_| true);
        let refuted = |model: &S| refute(model, &items, self.limits());
        let dead: Option<Vec<u32>> = self.beginnings.iter().map(refuted).collect();
        let last = dead?.into_iter().max_by_key(|&at| (items[at as usize].deadline_ns, at))?;
        Some(numbers[last as usize])
    }

    /// Needs only these, if they have no order either.
    fn take(&mut self, needed: Vec<usize>) -> bool {
        let Some(dead) = self.refute(&needed) else { return false };
        (self.needed, self.dead) = (needed, dead);
        true
    }

    /// Lets go of whatever is not needed, as far as time allows.
    pub(super) fn minimize(&mut self) {
        let alone = if self.needed.len() <= FEW { self.needed.clone() } else { Vec::new() };
        if self.needed.len() > 1 && alone.into_iter().any(|one| self.take(vec![one])) {
            return;
        }
        let mut many = if self.needed.len() > FEW { self.needed.len() / 2 } else { 1 };
        while many > 0 && Instant::now() < self.until {
            // The latest first.
            let mut end = self.needed.len();
            while end > 0 && self.needed.len() > 1 && Instant::now() < self.until {
                let from = end.saturating_sub(many);
                let kept = [&self.needed[..from], &self.needed[end..]].concat();
                _ = !kept.is_empty() && self.take(kept);
                end = from;
            }
            many /= 2;
        }
    }

    /// Forgets what was before, if the proof holds whatever that was.
    pub(super) fn begin_anywhere(&mut self) {
        let from_ns = self.needed.iter().map(|&at| self.items[at].1.invoke_ns).min().unwrap_or(0);
        let is_later = |at: &usize| self.items[*at].1.deadline_ns >= from_ns;
        let numbers: Vec<usize> = (0..self.items.len()).filter(is_later).collect();
        let items: Vec<Item> = numbers.iter().map(|&at| self.items[at].1).collect();
        let Some(beginnings) = self.beginnings[0].beginnings(&items) else { return };
        let is_needed = |number: usize| self.needed.binary_search(&numbers[number]).is_ok();
        let mut later = Self {
            part: self.part,
            beginnings,
            items: numbers.iter().map(|&at| self.items[at]).collect(),
            needed: Vec::new(),
            possible: Vec::new(),
            dead: 0,
            is_anywhere: true,
            until: self.until,
        };
        if later.take((0..numbers.len()).filter(|&number| is_needed(number)).collect()) {
            *self = later;
        }
    }

    /// Of those that may have acted, those that do in some order of all that are needed but one.
    fn acting(&self, without: usize, may: impl Fn(usize) -> bool) -> Option<Vec<usize>> {
        let rest: Vec<usize> = self.needed.iter().copied().filter(|&at| at != without).collect();
        let (numbers, items) = self.with(&rest, |at| at != without && may(at));
        self.beginnings.iter().find_map(|model| match search(model, &items, self.limits()) {
            Found::Sequence(order) => {
                let acting = order.places.into_iter().map(|at| numbers[at as usize]);
                Some(acting.filter(|at| rest.binary_search(at).is_err()).collect())
            }
            Found::Dead(_) | Found::Undecided(_) => None,
        })
    }

    /// Names the few that may have acted and without which what is needed would not be; none, where they are many.
    pub(super) fn add_possible(&mut self) {
        let acting = self.needed.iter().map(|&without| self.acting(without, |_| true));
        let Some(acting) = acting.collect::<Option<Vec<_>>>() else { return };
        let mut possible = acting.concat();
        possible.sort_unstable();
        possible.dedup();
        let mut at = 0;
        while at < possible.len() && Instant::now() < self.until {
            let mut fewer = possible.clone();
            fewer.remove(at);
            let is_enough =
                |&without: &usize| self.acting(without, |at| fewer.binary_search(&at).is_ok()).is_some();
            if self.needed.iter().all(is_enough) {
                possible = fewer;
            } else {
                at += 1;
            }
        }
        if possible.len() <= POSSIBLE_MAX && Instant::now() < self.until {
            self.possible = possible;
        }
    }

    fn places(&self, numbers: &[usize]) -> Vec<u32> {
        numbers.iter().map(|&at| self.items[at].0).collect()
    }

    /// The places of those that are needed.
    pub(super) fn needed(&self) -> Vec<u32> {
        self.places(&self.needed)
    }

    /// What is left, in words that fit any kind.
    pub(super) fn fault(&self) -> super::Fault {
        let the = self.part.the(self.items[self.dead].0);
        let whatever = self.whatever();
        let found = self.found();
        let sentence = match self.needed.len() + self.possible.len() {
            1 => format!("{the} cannot be{whatever}{found}."),
            count => format!("{the} has no place in any order of these {count} operations{whatever}{found}."),
        };
        super::Fault {
            sentence,
            places: self.places(&self.needed),
            possible: self.places(&self.possible),
            is_minimal: true,
            is_anywhere: self.is_anywhere,
        }
    }

    /// What the proof does not ask for.
    fn whatever(&self) -> &'static str {
        let model = &self.beginnings[0];
        let is_named = |at: usize| self.needed.contains(&at) || self.possible.contains(&at);
        let has_others = (0..self.items.len()).any(|at| !is_named(at) && !model.looks(&self.items[at].1));
        match (self.is_anywhere, has_others) {
            (true, true) => ", whatever was there before and whatever else was done",
            (true, false) => ", whatever was there before",
            (false, true) => ", whatever else was done",
            (false, false) => "",
        }
    }

    /// What the operation without a place would find, in words, where that is little.
    fn found(&self) -> String {
        /// How many different ones are told.
        const TOLD_MAX: usize = 4;
        let item = self.items[self.dead].1;
        let (numbers, items) = self.with(&self.needed, |_| true);
        let Some(dead) = numbers.iter().position(|&at| at == self.dead) else { return String::new() };
        let mut told: Vec<String> = Vec::new();
        for model in &self.beginnings {
            for state in tried(model, &items, self.limits(), dead as u32) {
                let state = model.found(&state, &item, &self.part.teller);
                if !told.contains(&state) {
                    told.push(state);
                }
            }
        }
        // By length, so that numbers ascend.
        told.sort_unstable_by(|one, other| (one.len(), one).cmp(&(other.len(), other)));
        if told.len() > TOLD_MAX {
            told.truncate(TOLD_MAX - 1);
            told.push("something else".to_owned());
        }
        for word in ["it ", "a sum of "] {
            for state in told.iter_mut().skip(1) {
                *state = state.strip_prefix(word).map_or(state.clone(), str::to_owned);
            }
        }
        match told.split_last() {
            None => String::new(),
            Some((only, [])) => format!(": it would find {only}"),
            Some((last, others)) => format!(": it would find {} or {last}", others.join(", ")),
        }
    }
}
