//! Random small histories: made by an object that works, and then, half of them, spoiled until no order explains them.

use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{Call, Cause, ObjectHistory, Op, Value};
use flockwork_judge::model::object::table::Table;
use flockwork_judge::model::object::{Item, Kind, ObjectModel, QueueOrder, Sequential};

use crate::oracle;
use crate::random::Random;

/// What histories are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taste {
    /// Every value is written once, and all operations answer.
    Unique,
    /// Values come again, operations are killed, and not everything is told.
    Wild,
}

pub fn value(number: u64) -> Value {
    Value::whole(number.cast_signed()).expect("small")
}

/// A history of one or two objects.
pub fn generate(model: &ObjectModel, taste: Taste, random: &mut Random) -> ObjectHistory {
    let mut history = ObjectHistory::default();
    for actor in 0..4 {
        history.actor(&actor.to_string());
    }
    let objects = 1 + u64::from(random.chance(20));
    let mut names = 1;
    for object in 0..objects as u32 {
        history.object(&format!("o{object}"));
        let count = 2 + random.below(if objects == 1 { 6 } else { 4 });
        begin(&mut history, model, object, random);
        fill(&mut history, model, taste, object, count, &mut names, random);
        let tries = if random.chance(50) { 12 } else { 0 };
        for _ in 0..tries {
            spoil(&mut history, model, object, random);
            if !oracle::is_legal(&history, model, object, None) {
                break;
            }
        }
    }
    history
}

fn begin(history: &mut ObjectHistory, model: &ObjectModel, object: u32, random: &mut Random) {
    let first = match model.kind {
        Kind::Table => {
            let rules = model.rules.as_deref().expect("a table");
            // Where it can be told where an object is, and where not.
            let places: Vec<u8> = (0..=rules.statuses().len() as u8)
                .filter(|&place| rules.states_of(place).next().is_some())
                .collect();
            if random.chance(8) { Value::NULL } else { value(random.pick(&places).into()) }
        }
        Kind::Register | Kind::Counter => value(random.pick(&[0, 0, 7])),
        _ => {
            let items: Vec<Value> =
                (0..random.pick(&[0, 0, 1, 2])).map(|number| value(100 + number)).collect();
            history.values.list(&items, None)
        }
    };
    history.initial[object as usize] = Some(first);
}

fn fill(
    history: &mut ObjectHistory,
    model: &ObjectModel,
    taste: Taste,
    object: u32,
    count: u64,
    names: &mut u64,
    random: &mut Random,
) {
    // (instant, call), in the order of the instants in which they act.
    let mut calls: Vec<(u64, Call)> = Vec::new();
    let actors = 1 + random.below(4);
    let mut free = vec![0; actors as usize];
    for _ in 0..count {
        let actor = random.below(actors) as usize;
        let from = free[actor] + random.below(4);
        let until = from + random.below(7);
        free[actor] = until;
        let op = random.pick(model.kind.operations());
        let own = model.rules.as_deref().map(|rules| random.below(rules.operations().len() as u64));
        let mut call = Call::new(actor as u32, object, op, from, until, Outcome::Ok);
        argue(&mut call, model.kind, taste, names, random);
        call.value = own.map(value).or(call.value);
        let instant = from + random.below(until - from + 1);
        if taste == Taste::Wild && random.chance(15) {
            call.outcome = Outcome::Unknown;
            if random.chance(50) {
                call.deadline_ns = Call::NEVER;
            }
        } else if random.chance(4) {
            call.outcome = Outcome::Failed;
        }
        calls.push((instant, call));
    }
    calls.sort_by_key(|&(instant, _)| instant);
    if model.kind == Kind::Table {
        let calls = calls.into_iter().map(|(_, call)| call).collect();
        let initial = history.initial[object as usize].expect("it is given");
        history.calls.extend(answer_own(model, taste, initial, calls, random));
        return;
    }
    let answered =
        answer(history, model, taste, object, calls.into_iter().map(|(_, call)| call).collect(), random);
    history.calls.extend(answered);
}

/// Gives a call its argument.
fn argue(call: &mut Call, kind: Kind, taste: Taste, names: &mut u64, random: &mut Random) {
    let mut fresh = || {
        *names += 1;
        value(*names)
    };
    match (kind, call.op) {
        (_, Op::Write | Op::Append | Op::Push) => {
            call.value = Some(if taste == Taste::Unique { fresh() } else { value(random.below(3)) });
        }
        (_, Op::Cas) => {
            let to = if taste == Taste::Unique { fresh() } else { value(random.below(3)) };
            // The expected value is chosen when it acts.
            (call.value, call.saw) = (Some(value(random.below(3))), Some(to));
        }
        (Kind::Counter, Op::Add) => {
            let size: i64 = if taste == Taste::Unique { 1 } else { random.pick(&[1, 1, 2, -1]) };
            call.value = Value::whole(size);
        }
        (Kind::Set, Op::Add | Op::Remove | Op::Contains) => {
            call.value = Some(random.pick(&[value(1), value(2), value(100)]));
        }
        _ => {}
    }
}

/// Lets the calls act in this order, and tells what each told.
fn answer(
    history: &mut ObjectHistory,
    model: &ObjectModel,
    taste: Taste,
    object: u32,
    calls: Vec<Call>,
    random: &mut Random,
) -> Vec<Call> {
    let initial = history.initial[object as usize].expect("it is given");
    let first = history.values.items(initial).to_vec();
    let mut contents: Vec<Value> = first.clone();
    let mut register = initial;
    let mut sum = initial.as_whole().unwrap_or(0);
    let mut holder: Option<u32> = None;
    let tells = |random: &mut Random| taste == Taste::Unique || random.chance(70);
    let mut answered = Vec::new();
    for mut call in calls {
        let may_act = match call.outcome {
            Outcome::Failed => false,
            Outcome::Unknown => random.chance(50),
            _ => true,
        };
        if !may_act {
            if call.op == Op::Cas && call.outcome == Outcome::Failed {
                call.outcome = Outcome::Unknown;
            }
            answered.push(call);
            continue;
        }
        let is_known = call.outcome == Outcome::Ok;
        let mut refuse = None;
        match (model.kind, call.op) {
            (Kind::Register, Op::Write) => register = call.value.expect("given"),
            (Kind::Register, Op::Read) if is_known && tells(random) => call.saw = Some(register),
            (Kind::Register, Op::Cas) => {
                if random.chance(60) {
                    call.value = Some(register);
                }
                if call.value == Some(register) {
                    register = call.saw.expect("given");
                } else {
                    refuse = Some(Cause::Status);
                }
            }
            (Kind::Counter, Op::Add) => {
                sum += call.value.and_then(Value::as_whole).unwrap_or(0);
                if is_known && random.chance(40) {
                    call.saw = Value::whole(sum);
                }
            }
            (Kind::Counter, Op::Read) if is_known && tells(random) => call.saw = Value::whole(sum),
            (Kind::Set, Op::Members) if is_known && random.chance(60) => {
                let mut listed = contents.clone();
                listed.sort_unstable();
                call.saw = Some(history.values.list(&listed, None));
            }
            (Kind::Set, Op::Members) => {}
            (Kind::Set, op) => {
                let element = call.value.expect("given");
                let at = contents.iter().position(|&other| other == element);
                match (op, at) {
                    (Op::Add, None) => contents.push(element),
                    (Op::Add, Some(_)) => refuse = Some(Cause::Exists),
                    (Op::Remove, Some(at)) => _ = contents.remove(at),
                    (Op::Remove, None) => refuse = Some(Cause::Absent),
                    _ if is_known && tells(random) => call.saw = Some(Value::truth(at.is_some())),
                    _ => {}
                }
            }
            (Kind::Log, Op::Append) => {
                if is_known && random.chance(30) {
                    call.saw = Some(value(contents.len() as u64));
                }
                contents.push(call.value.expect("given"));
            }
            (Kind::Log, _) if is_known && tells(random) => {
                call.saw = Some(history.values.list(&contents, None));
            }
            (Kind::Lock, Op::Release) if holder == Some(call.actor) => holder = None,
            (Kind::Lock, Op::Release) => refuse = Some(Cause::Status),
            (Kind::Lock, Op::Try) if holder.is_some() => refuse = Some(Cause::Held),
            (Kind::Lock, Op::Acquire) if holder.is_some() => {
                // It would wait for ever.
                call.outcome = Outcome::Failed;
            }
            (Kind::Lock, _) => holder = Some(call.actor),
            (Kind::Queue, Op::Push) => contents.push(call.value.expect("given")),
            (Kind::Queue, Op::Pop) if contents.is_empty() => refuse = Some(Cause::Empty),
            (Kind::Queue, Op::Pop) => {
                let at = if model.order == QueueOrder::Any {
                    random.below(contents.len() as u64) as usize
                } else {
                    0
                };
                let taken = contents.remove(at);
                if is_known && tells(random) {
                    call.saw = Some(taken);
                }
            }
            _ => {}
        }
        if let Some(cause) = refuse.filter(|_| is_known) {
            call.outcome = Outcome::Refused;
            call.cause = random.chance(70).then_some(cause);
        }
        answered.push(call);
    }
    answered
}

/// The same of a table.
fn answer_own(
    model: &ObjectModel,
    taste: Taste,
    initial: Value,
    mut calls: Vec<Call>,
    random: &mut Random,
) -> Vec<Call> {
    let mut state = oracle::starts(model, initial).first().copied().unwrap_or(0);
    for call in &mut calls {
        let is_known = call.outcome == Outcome::Ok;
        if call.outcome == Outcome::Failed || (!is_known && random.chance(50)) {
            continue;
        }
        let tells = is_known && (taste == Taste::Unique || random.chance(70));
        let refused = act(model, &mut state, call, tells, random);
        if let Some(cause) = refused.filter(|_| is_known) {
            call.outcome = Outcome::Refused;
            call.cause = random.chance(70).then_some(cause);
        }
    }
    calls
}

/// Lets an operation of a table act: then it may tell where it led. What is refused says why, and may tell where it is.
fn act(
    model: &ObjectModel,
    state: &mut u16,
    call: &mut Call,
    tells: bool,
    random: &mut Random,
) -> Option<Cause> {
    let rules = model.rules.as_deref().expect("a table");
    let table = Table { rules, first: *state };
    let places: Vec<Value> = (0..=rules.statuses().len() as u64).map(value).collect();
    let ends = |call: &Call| {
        let mut after = *state;
        let item = Item::of(0, call).expect("it did not fail");
        table.step(&mut after, &item, None).then_some(after)
    };
    let mut told = *call;
    told.saw = None;
    let mut leads: Vec<(Call, u16)> = ends(&told).map(|after| (told, after)).into_iter().collect();
    for &saw in &places {
        told.saw = Some(saw);
        leads.extend(ends(&told).map(|after| (told, after)));
    }
    if !leads.is_empty() {
        let chosen: Vec<_> = leads.iter().filter(|(told, _)| told.saw.is_some() == tells).collect();
        let (told, after) = if chosen.is_empty() { leads[0] } else { *random.pick(&chosen) };
        *state = after;
        if call.outcome == Outcome::Ok {
            *call = told;
        }
        return None;
    }
    told.outcome = Outcome::Refused;
    for cause in [Cause::Absent, Cause::Exists, Cause::Status] {
        for saw in std::iter::once(None).chain(places.iter().copied().map(Some)) {
            (told.cause, told.saw) = (Some(cause), saw);
            if ends(&told).is_some() && (saw.is_some() || !tells) {
                if call.outcome == Outcome::Ok {
                    call.saw = saw;
                }
                return Some(cause);
            }
        }
    }
    // It would wait for ever.
    call.outcome = Outcome::Failed;
    None
}

/// Changes something of one call, so that the history is likely illegal.
fn spoil(history: &mut ObjectHistory, model: &ObjectModel, object: u32, random: &mut Random) {
    let indexes: Vec<usize> =
        (0..history.calls.len()).filter(|&index| history.calls[index].object == object).collect();
    if indexes.is_empty() {
        return;
    }
    let index = random.pick(&indexes);
    let mut call = history.calls[index];
    if call.outcome == Outcome::Failed {
        return;
    }
    match random.below(4) {
        // Somebody saw something else.
        0 | 1 if call.outcome == Outcome::Ok => match (model.kind, call.op) {
            (Kind::Log, Op::Read) | (Kind::Set, Op::Members) => {
                let mut items = call.saw.map_or(Vec::new(), |saw| history.values.items(saw).to_vec());
                let anywhere = random.below(items.len().max(1) as u64) as usize;
                match random.below(5) {
                    0 => _ = items.pop(),
                    1 => items.push(value(random.below(4))),
                    2 => items.reverse(),
                    3 if !items.is_empty() => items[anywhere] = value(random.below(4)),
                    4 if !items.is_empty() => _ = items.remove(anywhere),
                    _ => {}
                }
                if model.kind == Kind::Set {
                    items.sort_unstable();
                }
                call.saw = Some(history.values.list(&items, None));
            }
            (_, Op::Read | Op::Pop) => {
                let seen: Vec<Value> = history
                    .calls
                    .iter()
                    .filter(|other| other.object == object)
                    .flat_map(|other| [other.value, other.saw])
                    .flatten()
                    .filter(|value| value.as_whole().is_some())
                    .collect();
                call.saw = Some(if seen.is_empty() { value(random.below(4)) } else { random.pick(&seen) });
            }
            (Kind::Table, _) => {
                let places = model.rules.as_deref().expect("a table").statuses().len() as u64;
                call.saw = Some(value(random.below(places + 1)));
            }
            (_, Op::Contains) => call.saw = Some(Value::truth(random.chance(50))),
            (_, Op::Add) if model.kind == Kind::Counter => {
                call.saw = Some(value(random.below(4)));
            }
            (_, Op::Append) => call.saw = Some(value(random.below(4))),
            _ => call.outcome = Outcome::Refused,
        },
        // It was refused, or was not.
        2 if call.outcome == Outcome::Refused => (call.outcome, call.cause) = (Outcome::Ok, None),
        2 if call.outcome == Outcome::Ok
            && matches!(
                call.op,
                Op::Act | Op::Add | Op::Remove | Op::Try | Op::Release | Op::Pop | Op::Cas
            )
            && model.kind != Kind::Counter =>
        {
            call.outcome = Outcome::Refused;
            if call.op == Op::Pop {
                call.saw = None;
            }
        }
        // It happened at another time.
        _ => {
            call.invoke_ns = random.below(18);
            if call.deadline_ns != Call::NEVER {
                call.deadline_ns = call.invoke_ns + random.below(4);
            }
        }
    }
    history.calls[index] = call;
}
