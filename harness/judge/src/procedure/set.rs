//! Sets: element by element, where nobody tells all elements.
//!
//! What is done to one element does not matter to another, so each is judged by itself (locality again: a set is as many
//! objects as it has elements). An element is in it or not, and successful additions and removals alternate
//! ([`element`]). Orders of elements are merged by the earliest instant of each operation.
//!
//! `members` tells of all elements at one instant. Then all elements are gone through together ([`together`]): at its
//! return, additions and removals under way act until what it told is there. Where that leads nowhere it may still be
//! that one element alone shows that there is no order, and else the search decides.

mod element;
mod together;

use super::certificate::Sequence;
use super::search::{Found, Limits, search};
use super::{Fast, Fault, Part, shrink};
use crate::history::object::{Op, Value};
use crate::model::object::Item;
use crate::model::object::set::Set;
use element::Outcome;
use rustc_hash::{FxHashMap, FxHashSet};

pub(super) fn decide(part: &Part<'_>, limits: Limits) -> Fast {
    let snapshots: Vec<u32> = (0..)
        .zip(&part.items)
        .filter(|(_, item)| item.op == Op::Members && item.must && item.saw.is_some())
        .map(|(place, _)| place)
        .collect();
    if snapshots.is_empty() {
        return apart(part, limits);
    }
    match together::order(part) {
        Some(order) => Fast::Legal(Sequence::of(order)),
        None => by_projection(part, &snapshots, limits).unwrap_or(Fast::Unfit),
    }
}

/// The operations on each element, by place; the elements in the order of their first operation.
fn elements(part: &Part<'_>) -> Vec<(Value, Vec<u32>)> {
    let mut numbers: FxHashMap<Value, u32> = FxHashMap::default();
    let mut elements: Vec<(Value, Vec<u32>)> = Vec::new();
    for (place, item) in (0..).zip(&part.items) {
        let Some(value) = item.value else { continue };
        let number = *numbers.entry(value).or_insert(elements.len() as u32);
        if number as usize == elements.len() {
            elements.push((value, Vec::new()));
        }
        elements[number as usize].1.push(place);
    }
    elements
}

fn apart(part: &Part<'_>, limits: Limits) -> Fast {
    let first: FxHashSet<Value> = part.first_list.iter().copied().collect();
    // (instant, element, rank within it, place).
    let mut events: Vec<(u64, u32, u32, u32)> = Vec::with_capacity(part.items.len());
    for (number, (value, places)) in (0..).zip(elements(part)) {
        let order = match element::order(&part.items, &places, first.contains(&value)) {
            Outcome::Sequence(order) => order,
            outcome => match settle(part, value, &places, &first, &outcome, limits) {
                Ok(order) => order,
                Err(fast) => return fast,
            },
        };
        let mut now_ns = 0;
        for (rank, place) in (0..).zip(order) {
            now_ns = part.item(place).invoke_ns.max(now_ns);
            events.push((now_ns, number, rank, place));
        }
    }
    // Who lists all elements and does not tell which.
    let untold = (0..).zip(&part.items).filter(|(_, item)| item.op == Op::Members && item.must);
    events.extend(untold.map(|(place, item)| (item.invoke_ns, u32::MAX, 0, place)));
    events.sort_unstable();
    Fast::Legal(Sequence::of(events.into_iter().map(|(.., place)| place).collect()))
}

/// What the element's own procedure did not decide, or refuted.
fn settle(
    part: &Part<'_>,
    value: Value,
    places: &[u32],
    first: &FxHashSet<Value>,
    outcome: &Outcome,
    limits: Limits,
) -> Result<Vec<u32>, Fast> {
    let items: Vec<Item> = places.iter().map(|&place| *part.item(place)).collect();
    let begin = if first.contains(&value) { vec![value] } else { Vec::new() };
    let model = Set { first: begin.clone().into(), values: &part.history.values };
    let dead = match outcome {
        Outcome::Dead(at) => *at,
        Outcome::Open | Outcome::Sequence(_) => match search(&model, &items, limits) {
            Found::Sequence(order) => {
                return Ok(order.places.into_iter().map(|at| places[at as usize]).collect());
            }
            Found::Dead(at) => at,
            Found::Undecided(why) => {
                return Err(Fast::Undecided(format!("element {}: {why}", part.teller.value(value))));
            }
        },
    };
    let sub = Part { items, first_list: begin, ..*part };
    let fault = shrink::shrink(&sub, &model, dead);
    Err(Fast::Illegal(fault.at(places)))
}

/// Whether one element alone shows that there is no order: then each list is a look at that element.
fn by_projection(part: &Part<'_>, snapshots: &[u32], limits: Limits) -> Option<Fast> {
    /// How many looks there may be.
    const LOOKS_MAX: usize = 20_000_000;
    let values = &part.history.values;
    let mut all = elements(part);
    let mut known: FxHashSet<Value> = all.iter().map(|(value, _)| *value).collect();
    for &place in snapshots {
        let listed = part.item(place).saw.map_or(&[][..], |saw| values.items(saw));
        if let Some(pair) = listed.windows(2).find(|pair| pair[0] == pair[1]) {
            let value = part.teller.value(pair[0]);
            return Some(Fast::illegal(format!("{} has {value} twice.", part.the(place)), [place]));
        }
        all.extend(listed.iter().filter(|&&value| known.insert(value)).map(|&value| (value, Vec::new())));
    }
    all.extend(
        part.first_list.iter().filter(|&&value| known.insert(value)).map(|&value| (value, Vec::new())),
    );
    if all.len().saturating_mul(snapshots.len()) > LOOKS_MAX {
        return None;
    }
    let first: FxHashSet<Value> = part.first_list.iter().copied().collect();
    for (value, mut places) in all {
        places.extend(snapshots);
        let items: Vec<Item> = places.iter().map(|&place| as_look(part, part.item(place), value)).collect();
        let own: Vec<u32> = (0..items.len() as u32).collect();
        let outcome = element::order(&items, &own, first.contains(&value));
        if matches!(outcome, Outcome::Sequence(_)) {
            continue;
        }
        let looks = Part { items, first_list: part.first_list.clone(), ..*part };
        match settle(&looks, value, &own, &first, &outcome, limits) {
            Err(Fast::Illegal(fault)) => {
                let value = part.teller.value(value);
                let sentence = format!("Of the element {value} alone: {}", fault.sentence);
                return Some(Fast::Illegal(Fault { sentence, ..fault.at(&places) }));
            }
            Err(Fast::Undecided(why)) => return Some(Fast::Undecided(why)),
            _ => {}
        }
    }
    None
}

/// What a list tells of one element.
fn as_look(part: &Part<'_>, item: &Item, value: Value) -> Item {
    if item.op != Op::Members {
        return *item;
    }
    let listed = item.saw.map_or(&[][..], |saw| part.history.values.items(saw));
    let is_there = listed.binary_search(&value).is_ok();
    Item { op: Op::Contains, value: Some(value), saw: Some(Value::truth(is_there)), ..*item }
}
