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
use crate::share::both;

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
    let (early, late) = items.split_at(items.len() / 2);
    let with_room = |count| Rows { items: Vec::with_capacity(count), ..Rows::default() };
    let (mut rows, mut rest) = (with_room(items.len()), with_room(late.len()));
    let (first, second) =
        both(items.len(), || rows.add(table, 0, early), || rest.add(table, early.len() as u32, late));
    first.and(second)?;
    rows.open.extend(rest.open);
    rows.known.extend(rest.known);
    rows.items.append(&mut rest.items);
    rows.is_few().then_some(rows.items)
}

/// The rows of operations, and what they are of.
#[derive(Default)]
struct Rows {
    known: FxHashMap<Told, Row>,
    open: FxHashSet<Row>,
    items: Vec<RowItem>,
}

impl Rows {
    fn is_few(&self) -> bool {
        self.known.len() <= ROWS_MAX && self.open.len() <= OPEN_ROWS_MAX
    }

    /// Adds those of operations that are numbered from `first` on; nothing where there are too many.
    fn add(&mut self, table: &Table<'_>, first: u32, items: &[Item]) -> Option<()> {
        for (place, item) in (first..).zip(items) {
            let told = (item.value, item.saw, item.refused, item.cause, item.must);
            let row = *self.known.entry(told).or_insert_with(|| table.row(item));
            if !item.must && item.deadline_ns == u64::MAX {
                self.open.insert(row);
            }
            if !self.is_few() {
                return None;
            }
            self.items.push(RowItem {
                record: place,
                invoke_ns: item.invoke_ns,
                deadline_ns: item.deadline_ns,
                row,
                duty: if item.must { Duty::Required } else { Duty::Optional },
            });
        }
        Some(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::object::Op;
    use crate::model::object::parse;
    use crate::procedure::fixture::item;

    /// However many there are, and by however many threads they are looked at.
    #[test]
    fn every_operation_has_its_own_row() {
        let text = "kind = \"table\"\ninitial = \"off\"\nstatuses = [\"off\", \"on\"]\n[operations]\n\
                    press = { from = \"off\", to = \"on\" }\nrelease = { from = \"on\", to = \"off\" }\n";
        let model = parse("door.toml", text.to_owned()).expect("a model");
        let table = Table { rules: model.rules.as_deref().expect("a table"), first: 1 };
        let press = |number: u64| Item {
            value: Value::whole(i64::from(number % 2 == 1)),
            refused: number.is_multiple_of(3),
            must: !number.is_multiple_of(5),
            ..item(Op::Act, number, number + 1)
        };
        let items: Vec<Item> = (0..70_001).map(press).collect();
        let all = rows(&table, &items).expect("there are few rows");
        assert_eq!(all.len(), items.len());
        for (place, (of, item)) in (0..).zip(all.iter().zip(&items)) {
            assert_eq!((of.record, of.invoke_ns, of.deadline_ns), (place, item.invoke_ns, item.deadline_ns));
            assert_eq!((of.row, of.duty == Duty::Required), (table.row(item), item.must));
        }
    }
}
