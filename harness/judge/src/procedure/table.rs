//! Tables. One of few states is what the search for containers is made for: it knows an operation by what it makes of
//! each state, so it is asked here as well. One of many states, or of operations that leave open where they lead, is left
//! to the search.

use rustc_hash::{FxHashMap, FxHashSet};

use super::certificate::Sequence;
use super::order::insert_free;
use super::search::Limits;
use super::{Fast, Part, shrink};
use crate::check::search::{Allowance, Budget, ByRows, Duty, RowItem, by_rows};
use crate::history::object::{Cause, Value};
use crate::model::object::table::Table;
use crate::model::object::{Item, Sequential};
use crate::model::table::{Row, STATES_MAX};

/// How many different rows are few.
const ROWS_MAX: usize = 4096;
/// How many rows may belong to operations that may act for ever.
const OPEN_ROWS_MAX: usize = 16;

/// What an operation's row depends on.
type Told = (Option<Value>, Option<Value>, bool, Option<Cause>, bool);

pub(super) fn decide(part: &Part<'_>, table: &Table<'_>, limits: Limits) -> Fast {
    let rules = table.rules;
    if rules.states() as usize > STATES_MAX || rules.leaves_open(&part.items) {
        return Fast::Unfit;
    }
    let Some(rows) = rows(table, &part.items) else { return Fast::Unfit };
    let budget = Budget::default();
    let allowance = Allowance { until: limits.until, memory_bytes: limits.memory_bytes, width: budget.width };
    match by_rows(rows, table.first as u8, rules.states() as usize, allowance) {
        ByRows::Order(order) => Fast::Legal(whole(&part.items, order)),
        ByRows::Dead { place, part: window, is_anywhere } => {
            let kept = window.into_iter().map(|(at, duty)| {
                let item = part.items[at as usize];
                (at, Item { must: item.must && duty == Duty::Required, ..item })
            });
            let beginnings = if is_anywhere { table.beginnings(&part.items) } else { Some(Vec::new()) };
            match beginnings {
                Some(beginnings) => {
                    Fast::Illegal(shrink::shrink_from(part, table, place, kept.collect(), beginnings))
                }
                None => Fast::Unfit,
            }
        }
        ByRows::Undecided(why) => Fast::Undecided(why),
    }
}

/// What each operation makes of each state; nothing where there are too many rows.
fn rows(table: &Table<'_>, items: &[Item]) -> Option<Vec<RowItem>> {
    let mut known: FxHashMap<Told, Row> = FxHashMap::default();
    let mut open: FxHashSet<Row> = FxHashSet::default();
    let mut rows = Vec::with_capacity(items.len());
    for (place, item) in (0..).zip(items) {
        let told = (item.value, item.saw, item.refused, item.cause, item.must);
        let row = *known.entry(told).or_insert_with(|| table.row(item));
        if !item.must && item.deadline_ns == u64::MAX {
            open.insert(row);
        }
        if known.len() > ROWS_MAX || open.len() > OPEN_ROWS_MAX {
            return None;
        }
        let duty = if item.must { Duty::Required } else { Duty::Optional };
        rows.push(RowItem {
            record: place,
            invoke_ns: item.invoke_ns,
            deadline_ns: item.deadline_ns,
            row,
            duty,
        });
    }
    Some(rows)
}

/// The order with what answered and was never searched for, because it is legal everywhere and changes nothing.
fn whole(items: &[Item], order: Vec<u32>) -> Sequence {
    let mut is_there = vec![false; items.len()];
    for &place in &order {
        is_there[place as usize] = true;
    }
    let free = (0..).zip(items).filter(|(place, item)| item.must && !is_there[*place as usize]);
    let free = free.map(|(place, _)| place).collect();
    Sequence::of(insert_free(items, order, free))
}
