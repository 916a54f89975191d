//! Real objects, used by real threads at once: each call is timed before and after, as a program would.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{Call, Cause, ObjectHistory, Op, Value};
use flockwork_judge::model::object::{Kind, ObjectModel, QueueOrder};

use crate::random::Random;

/// What a call is given and what became of it.
#[derive(Clone, Debug)]
struct Action {
    op: Op,
    value: Option<i64>,
    saw: Saw,
    refused: Option<Cause>,
}

/// What it saw.
#[derive(Clone, Debug)]
enum Saw {
    Nothing,
    One(i64),
    Truth(bool),
    List(Vec<i64>),
}

/// All that an object of any kind is, behind its lock.
#[derive(Debug, Default)]
struct Contents {
    number: i64,
    list: VecDeque<i64>,
    elements: BTreeSet<i64>,
    holder: Option<u32>,
}

fn locked(contents: &Mutex<Contents>) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs so many threads, each with so many calls on each of two objects, and returns what they did.
pub fn run(model: &ObjectModel, threads: u32, calls: u64, seed: u64) -> ObjectHistory {
    let objects = [Mutex::new(Contents::default()), Mutex::new(Contents::default())];
    let (start, barrier) = (Instant::now(), Barrier::new(threads as usize));
    let work = |thread: u32| {
        let mut random = Random::new(seed << 8 | u64::from(thread));
        let mut done = Vec::new();
        barrier.wait();
        for number in 0..calls {
            let object = random.below(2) as u32;
            let fresh = i64::from(thread) + i64::from(threads) * number.cast_signed() + 1;
            let mut action = choose(model, fresh, &mut random);
            let from_ns = start.elapsed().as_nanos() as u64;
            if random.chance(30) {
                std::thread::yield_now();
            }
            act(model, &objects[object as usize], thread, &mut action);
            if random.chance(30) {
                std::thread::yield_now();
            }
            done.push((object, thread, from_ns, start.elapsed().as_nanos() as u64, action));
        }
        done
    };
    let work = &work;
    let all: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("it does not panic")).collect()
    });
    told(model, threads, all)
}

fn told(model: &ObjectModel, threads: u32, all: Vec<(u32, u32, u64, u64, Action)>) -> ObjectHistory {
    let mut history = ObjectHistory::default();
    history.model = Some(model.clone());
    for thread in 0..threads {
        history.actor(&thread.to_string());
    }
    history.object("a");
    history.object("b");
    let value = |number: i64| Value::whole(number).expect("small");
    for (object, thread, from_ns, until_ns, action) in all {
        let outcome = if action.refused.is_some() { Outcome::Refused } else { Outcome::Ok };
        let mut call = Call::new(thread, object, action.op, from_ns, until_ns, outcome);
        call.cause = action.refused;
        call.value = action.value.map(value);
        call.saw = match action.saw {
            Saw::Nothing => None,
            Saw::One(number) => Some(value(number)),
            Saw::Truth(truth) => Some(Value::truth(truth)),
            Saw::List(list) => {
                let list: Vec<Value> = list.into_iter().map(value).collect();
                Some(history.values.list(&list, None))
            }
        };
        history.calls.push(call);
    }
    let first = match model.kind {
        Kind::Table => value(model.rules.as_deref().map_or(0, |rules| rules.initial().into())),
        Kind::Register | Kind::Counter | Kind::Lock => value(0),
        Kind::Set | Kind::Log | Kind::Queue => history.values.list(&[], None),
    };
    history.initial = vec![Some(first); 2];
    history
}

fn choose(model: &ObjectModel, fresh: i64, random: &mut Random) -> Action {
    let op = random.pick(model.kind.operations());
    let (value, saw) = match (model.kind, op) {
        (Kind::Counter, Op::Add) => (Some(1), Saw::Nothing),
        (Kind::Set, Op::Add | Op::Remove | Op::Contains) => {
            (Some(random.below(4).cast_signed()), Saw::Nothing)
        }
        (_, Op::Write | Op::Append | Op::Push) => (Some(fresh), Saw::Nothing),
        (_, Op::Cas) => (Some(random.below(3).cast_signed()), Saw::One(fresh)),
        (Kind::Table, _) => {
            let operations = model.rules.as_deref().map_or(1, |rules| rules.operations().len());
            (Some(random.below(operations as u64).cast_signed()), Saw::Nothing)
        }
        _ => (None, Saw::Nothing),
    };
    Action { op, value, saw, refused: None }
}

fn act(model: &ObjectModel, object: &Mutex<Contents>, thread: u32, action: &mut Action) {
    let mut contents = locked(object);
    let contents = &mut *contents;
    let value = action.value.unwrap_or(0);
    let refuse = |action: &mut Action, cause: Cause| action.refused = Some(cause);
    match (model.kind, action.op) {
        (Kind::Register, Op::Write) => contents.number = value,
        (Kind::Register | Kind::Counter, Op::Read) => action.saw = Saw::One(contents.number),
        (Kind::Register, _) => {
            // It expects what is there, or what was not there for long.
            action.value = Some(if value % 3 == 0 { contents.number } else { 0 });
            match action.saw {
                Saw::One(to) if action.value == Some(contents.number) => contents.number = to,
                _ => refuse(action, Cause::Status),
            }
        }
        (Kind::Counter, _) => {
            contents.number += value;
            action.saw = Saw::One(contents.number);
        }
        (Kind::Set, Op::Add) if !contents.elements.insert(value) => refuse(action, Cause::Exists),
        (Kind::Set, Op::Remove) if !contents.elements.remove(&value) => refuse(action, Cause::Absent),
        (Kind::Set, Op::Contains) => action.saw = Saw::Truth(contents.elements.contains(&value)),
        (Kind::Set, Op::Members) => action.saw = Saw::List(contents.elements.iter().copied().collect()),
        (Kind::Log, Op::Append) => {
            action.saw = Saw::One(contents.list.len().cast_signed() as i64);
            contents.list.push_back(value);
        }
        (Kind::Log, _) => action.saw = Saw::List(contents.list.iter().copied().collect()),
        (Kind::Lock, Op::Release) if contents.holder == Some(thread) => contents.holder = None,
        (Kind::Lock, Op::Release) => refuse(action, Cause::Status),
        // To wait here would be to wait for a thread that may never release it.
        (Kind::Lock, _) => {
            action.op = Op::Try;
            match contents.holder {
                Some(_) => refuse(action, Cause::Held),
                None => contents.holder = Some(thread),
            }
        }
        (Kind::Queue, Op::Push) => contents.list.push_back(value),
        (Kind::Queue, _) => {
            let taken = match model.order {
                QueueOrder::Fifo => contents.list.pop_front(),
                QueueOrder::Any => contents.list.pop_back(),
            };
            match taken {
                Some(taken) => action.saw = Saw::One(taken),
                None => refuse(action, Cause::Empty),
            }
        }
        (Kind::Table, _) => door(contents, action),
        (Kind::Set, _) => {}
    }
}

/// The door of the documentation: `open`, `close`, `lock`, `unlock`, `look`; places are absent, open, closed, locked.
fn door(contents: &mut Contents, action: &mut Action) {
    const FIRST: i64 = 2;
    let place = if contents.number == 0 { FIRST } else { contents.number };
    let (leads, told) = match (action.value, place) {
        (Some(0), 2) => (1, 1),
        (Some(1), 1 | 2) | (Some(3), 3) => (2, 2),
        (Some(2), 2) => (3, 3),
        (Some(4), _) => (place, place),
        _ => {
            (action.refused, action.saw) = (Some(Cause::Status), Saw::One(place));
            return;
        }
    };
    (contents.number, action.saw) = (leads, Saw::One(told));
}
