//! The oracle: tries every order.

use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{ObjectHistory, Value};
use flockwork_judge::model::object::{
    Item, Kind, ObjectModel, QueueOrder, Sequential, counter, lock, log, queue, register, set, table,
};

/// Whether any order explains the object's operations, or those of them that are meant.
pub fn is_legal(history: &ObjectHistory, model: &ObjectModel, object: u32, meant: Option<&Vec<u32>>) -> bool {
    is_legal_by(history, model, object, |index, item| {
        meant.is_none_or(|meant| meant.contains(&index)).then_some(item)
    })
}

/// The same where each operation is taken to be something else, or not to have acted.
pub fn is_legal_by(
    history: &ObjectHistory,
    model: &ObjectModel,
    object: u32,
    taken: impl Fn(u32, Item) -> Option<Item>,
) -> bool {
    let of_object = (0..)
        .zip(&history.calls)
        .filter(|(_, call)| call.object == object && call.outcome != Outcome::Failed);
    let item = |(index, call)| taken(index, Item::of(index, call)?);
    let items: Vec<Item> = of_object.filter_map(item).collect();
    let values = &history.values;
    let initial = history.initial[object as usize];
    let first = initial.map_or(&[][..], |value| values.items(value));
    match (model.kind, model.order) {
        (Kind::Register, _) => any(&register::Register { first: initial.expect("it is given") }, &items),
        (Kind::Counter, _) => {
            let first = initial.and_then(Value::as_whole).expect("it is given").into();
            any(&counter::Counter { first }, &items)
        }
        (Kind::Set, _) => any(&set::Set { first: first.into(), values }, &items),
        (Kind::Log, _) => any(&log::Log { first, values }, &items),
        (Kind::Lock, _) => any(&lock::Lock { first: None, lease_ns: model.lease_ns }, &items),
        (Kind::Queue, QueueOrder::Fifo) => any(&queue::Fifo { first }, &items),
        (Kind::Queue, QueueOrder::Any) => any(&queue::Bag { first }, &items),
        (Kind::Table, _) => {
            let rules = model.rules.as_deref().expect("a table");
            let starts = starts(model, initial.expect("it is given"));
            starts.into_iter().any(|first| any(&table::Table { rules, first }, &items))
        }
    }
}

/// The states that an object of a table can begin in; nobody may know.
pub fn starts(model: &ObjectModel, initial: Value) -> Vec<u16> {
    let Some(rules) = model.rules.as_deref() else { return Vec::new() };
    match initial.as_whole().and_then(|place| u8::try_from(place).ok()) {
        Some(place) => rules.states_of(place).collect(),
        None => (0..rules.states()).collect(),
    }
}

fn any<S: Sequential>(model: &S, items: &[Item]) -> bool {
    go(model, items, &model.first(), 0, 0)
}

/// Goes on where these have acted, the latest of them invoked at that time.
fn go<S: Sequential>(model: &S, items: &[Item], state: &S::State, acted: u32, now_ns: u64) -> bool {
    let left = || (0..items.len()).filter(|at| acted & (1 << at) == 0);
    if left().all(|at| !items[at].must) {
        return true;
    }
    left().any(|at| {
        let item = &items[at];
        let now_ns = now_ns.max(item.invoke_ns);
        // Nobody that must still act may be over by then.
        let is_late = left().any(|other| items[other].must && items[other].deadline_ns < now_ns)
            || item.deadline_ns < now_ns;
        !is_late
            && model.choices(state, item).into_iter().any(|took| {
                let mut state = state.clone();
                model.step(&mut state, item, took) && go(model, items, &state, acted | 1 << at, now_ns)
            })
    })
}
