//! Whole histories of objects, over everything that a first line and a line can say: they are written as a file, read,
//! and judged, and the verdict must be what an oracle says that tries every order and knows what may not fail.
//!
//! What is varied is counted, so that a generator that no longer varies it is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use flockwork_judge::check::search::Budget;
use flockwork_judge::history::object::{Call, Cause, ObjectHistory, Op};
use flockwork_judge::history::read::{Limits, read_any};
use flockwork_judge::history::{AnyHistory, Outcome};
use flockwork_judge::judge::{AnyJudged, Checker, judge_any};
use flockwork_judge::model::AnyModel;
use flockwork_judge::model::object::{Fails, Kind, ObjectModel, QueueOrder};
use flockwork_judge::verdict::Verdict;

use crate::generate::{Taste, generate, value};
use crate::oracle;
use crate::random::Random;
use crate::says;

/// What is varied; each must turn up in one of a hundred histories.
const DIMENSIONS: &[&str] = &[
    "register",
    "counter",
    "set",
    "log",
    "lock",
    "lock with leases",
    "queue",
    "bag",
    "table",
    "1 object",
    "2 objects",
    "first values told",
    "first values not told",
    "first value unknown",
    "first line names the model",
    "model named to the judge",
    "never fails",
    "fails only if it is busy",
    "time bounds",
    "messages",
    "unknown outcomes",
    "open returns",
    "equal times",
    "failed",
    "failed (corrupt)",
    "failed (busy)",
    "refused, with a reason",
    "refused, without",
    "nothing answered",
    "actors by name",
    "answered too late",
    "illegal",
];

/// Which verdicts were right, by what was varied.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    histories: u64,
    violations: u64,
    inconclusive: u64,
}

struct Case {
    history: ObjectHistory,
    model: ObjectModel,
    text: String,
    is_named_to_the_judge: bool,
    dimensions: BTreeSet<&'static str>,
}

/// The model's words beside its kind, as the first line has them.
fn options(model: &ObjectModel) -> String {
    let mut text = String::new();
    if model.kind == Kind::Queue {
        _ = write!(text, ",\"order\":\"{}\"", model.order);
    }
    if let Some(lease_ns) = model.lease_ns {
        _ = write!(text, ",\"lease\":\"{lease_ns}ns\"");
    }
    let by_op = |entries: Vec<String>| entries.join(",");
    if !model.fails.is_empty() {
        let fails = model.fails.iter().map(|(op, fails)| format!("\"{op}\":\"{fails}\""));
        _ = write!(text, ",\"fails\":{{{}}}", by_op(fails.collect()));
    }
    if !model.within_ns.is_empty() {
        let within = model.within_ns.iter().map(|(op, ns)| format!("\"{op}\":\"{ns}ns\""));
        _ = write!(text, ",\"within\":{{{}}}", by_op(within.collect()));
    }
    text
}

fn model(number: u64, random: &mut Random) -> ObjectModel {
    let kinds = Kind::ALL;
    let kind = kinds[(number % kinds.len() as u64) as usize];
    let mut model = ObjectModel::of(kind);
    if kind == Kind::Table {
        // Bounds stand in the table.
        let bounded = ["", "fails = \"never\", ", "fails = \"busy\", ", "within = \"4ns\", "];
        let text = crate::SMALL.replace("look   = { ", &format!("look = {{ {}", random.pick(&bounded)));
        return crate::table("door.toml", &text);
    }
    if random.chance(50) {
        model.order = QueueOrder::Any;
    }
    if kind == Kind::Lock && random.chance(50) {
        model.lease_ns = Some(4);
    }
    for &op in kind.operations() {
        if random.chance(30) {
            model.fails.insert(op, random.pick(&[Fails::Never, Fails::Busy, Fails::Any]));
        }
        if random.chance(20) {
            model.within_ns.insert(op, 3 + random.below(4));
        }
    }
    if kind != Kind::Queue {
        model.order = QueueOrder::Fifo;
    }
    model
}

fn case(number: u64, random: &mut Random) -> Case {
    let model = model(number, random);
    let taste = if random.chance(50) { Taste::Unique } else { Taste::Wild };
    let mut history = generate(&model, taste, random);
    let mut dimensions = BTreeSet::from([word(&model)]);
    if random.chance(10) {
        for call in &mut history.calls {
            (call.outcome, call.cause, call.saw) = (
                if random.chance(50) { Outcome::Failed } else { Outcome::Unknown },
                None,
                if call.op == Op::Cas { call.saw } else { None },
            );
            if call.outcome == Outcome::Failed && call.deadline_ns == Call::NEVER {
                call.deadline_ns = call.invoke_ns;
            }
        }
    }
    if random.chance(25) {
        for call in &mut history.calls {
            call.invoke_ns = call.invoke_ns / 4 * 4;
            if call.deadline_ns != Call::NEVER {
                call.deadline_ns = call.deadline_ns / 4 * 4;
            }
        }
        dimensions.insert("equal times");
    }
    for call in history.calls.iter_mut().filter(|call| call.outcome == Outcome::Failed) {
        call.cause = random.pick(&[
            None,
            Some(Cause::Busy),
            Some(Cause::Locked),
            Some(Cause::Io),
            Some(Cause::Other),
            Some(Cause::Corrupt),
        ]);
    }
    // What would have waited for ever is told as failed.
    let is_waiting = |call: &&mut Call| call.outcome == Outcome::Failed && call.deadline_ns == Call::NEVER;
    history.calls.iter_mut().filter(is_waiting).for_each(|call| call.deadline_ns = call.invoke_ns);
    // Every call is of a process of its own: what is spoilt need not leave one process one operation at a time. Only a
    // lock asks who it is, and there nothing may be changed.
    let tells_first = model.kind != Kind::Lock && random.chance(80);
    if !tells_first {
        let first = match (model.kind, model.rules.as_deref()) {
            (Kind::Table, Some(rules)) => value(rules.initial().into()),
            (Kind::Register | Kind::Counter, _) => value(0),
            _ => history.values.list(&[], None),
        };
        history.initial.iter_mut().for_each(|initial| *initial = Some(first));
    }
    let is_named_to_the_judge = model.kind == Kind::Table || random.chance(30);
    let by_name = random.chance(30);
    let text = written(&mut history, &model, tells_first, is_named_to_the_judge, by_name, random);
    let mut tell = |word: &'static str, is_so: bool| {
        if is_so {
            dimensions.insert(word);
        }
    };
    tell("1 object", history.objects.len() == 1);
    tell("2 objects", history.objects.len() == 2);
    tell("first values told", tells_first);
    tell("first values not told", !tells_first);
    tell("model named to the judge", is_named_to_the_judge);
    tell("first line names the model", !is_named_to_the_judge);
    tell("actors by name", by_name);
    tell("messages", text.contains("\"message\""));
    tell(
        "first value unknown",
        model.kind == Kind::Table && history.initial.iter().flatten().any(|first| first.as_whole().is_none()),
    );
    let any = |is: &dyn Fn(&Call) -> bool| history.calls.iter().any(is);
    let failed = |cause: Cause| any(&|call| call.outcome == Outcome::Failed && call.cause == Some(cause));
    tell("never fails", any(&|call| model.fails_of(call) == Fails::Never));
    tell("fails only if it is busy", any(&|call| model.fails_of(call) == Fails::Busy));
    tell("time bounds", any(&|call| model.within_ns_of(call).is_some()));
    tell("unknown outcomes", any(&|call| call.outcome == Outcome::Unknown));
    tell("open returns", any(&|call| call.deadline_ns == Call::NEVER));
    tell("failed", any(&|call| call.outcome == Outcome::Failed));
    tell("failed (corrupt)", failed(Cause::Corrupt));
    tell("failed (busy)", failed(Cause::Busy) || failed(Cause::Locked));
    tell("refused, with a reason", any(&|call| call.outcome == Outcome::Refused && call.cause.is_some()));
    tell("refused, without", any(&|call| call.outcome == Outcome::Refused && call.cause.is_none()));
    tell("nothing answered", !any(&answered));
    tell("answered too late", any(&|call| is_late(&model, call)));
    Case { history, model, text, is_named_to_the_judge, dimensions }
}

fn word(model: &ObjectModel) -> &'static str {
    match (model.kind, model.order, model.lease_ns) {
        (Kind::Queue, QueueOrder::Any, _) => "bag",
        (Kind::Lock, _, Some(_)) => "lock with leases",
        (kind, ..) => kind.as_str(),
    }
}

fn answered(call: &Call) -> bool {
    matches!(call.outcome, Outcome::Ok | Outcome::Refused)
}

fn is_late(model: &ObjectModel, call: &Call) -> bool {
    let took_ns = call.deadline_ns.saturating_sub(call.invoke_ns);
    call.outcome != Outcome::Unknown && model.within_ns_of(call).is_some_and(|within_ns| took_ns > within_ns)
}

/// Writes a history as its file, with its own spelling of all that has several.
fn written(
    history: &mut ObjectHistory,
    model: &ObjectModel,
    tells_first: bool,
    is_named_to_the_judge: bool,
    by_name: bool,
    random: &mut Random,
) -> String {
    let rules = model.rules.as_deref();
    let place = |history: &ObjectHistory, value: flockwork_judge::history::object::Value| match (
        rules,
        value.as_whole().and_then(|place| u8::try_from(place).ok()),
    ) {
        (Some(rules), Some(place)) => format!("\"{}\"", rules.spelled(place)),
        (Some(_), None) => "\"unknown\"".to_owned(),
        (None, _) => history.values.json(value),
    };
    let mut text = "{\"flockwork_history\":2".to_owned();
    if !is_named_to_the_judge {
        _ = write!(text, ",\"model\":\"{}\"{}", model.kind, options(model));
    }
    if tells_first {
        let first = history.objects.iter().zip(&history.initial);
        let first =
            first.map(|(name, first)| format!("\"{name}\":{}", place(history, first.expect("given"))));
        _ = write!(text, ",\"initial\":{{{}}}", first.collect::<Vec<_>>().join(","));
    }
    text += "}\n";
    for (index, call) in history.calls.iter().enumerate() {
        let who = if model.kind == Kind::Lock { call.actor as usize } else { index };
        let who = if by_name { format!("\"actor\":\"a{who}\"") } else { format!("\"process\":{who}") };
        let on = random.pick(&["object", "container"]);
        let (object, op) = (&history.objects[call.object as usize], model.op_name(call));
        _ = write!(text, "{{{who},\"{on}\":\"{object}\",\"op\":\"{op}\"");
        match (call.op, call.value, call.saw) {
            (Op::Act, ..) | (_, None, _) => {}
            (Op::Cas, Some(from), Some(to)) => {
                let (from, to) = (history.values.json(from), history.values.json(to));
                _ = write!(text, ",\"value\":{{\"from\":{from},\"to\":{to}}}");
            }
            (_, Some(value), _) => _ = write!(text, ",\"value\":{}", history.values.json(value)),
        }
        let told = call.saw.filter(|_| call.op != Op::Cas);
        if let Some(saw) = told {
            let field = if rules.is_some() { random.pick(&["saw", "status"]) } else { "saw" };
            _ = write!(text, ",\"{field}\":{}", place(history, saw));
        }
        _ = write!(text, ",\"invoke_ns\":{}", call.invoke_ns);
        match call.return_ns() {
            Some(return_ns) => _ = write!(text, ",\"return_ns\":{return_ns}"),
            None => text += random.pick(&[",\"return_ns\":null", ""]),
        }
        _ = write!(text, ",\"outcome\":\"{}\"", call.outcome);
        if let Some(cause) = call.cause {
            _ = write!(text, ",\"reason\":\"{cause}\"");
        }
        if random.chance(10) {
            text += ",\"message\":\"it said \\\"so\\\"\\n\"";
        }
        text += "}\n";
    }
    text
}

/// What must be said of the whole.
fn expected(case: &Case) -> Verdict {
    let Case { history, model, .. } = case;
    let breaks = |call: &Call| {
        let is_failed = call.outcome == Outcome::Failed;
        let fails = model.fails_of(call);
        let is_busy = matches!(call.cause, Some(Cause::Busy | Cause::Locked));
        let is_permitted = fails == Fails::Any || (fails == Fails::Busy && is_busy);
        (is_failed && (call.cause == Some(Cause::Corrupt) || !is_permitted)) || is_late(model, call)
    };
    let objects = 0..history.objects.len() as u32;
    let is_legal = |object: u32| oracle::is_legal(history, model, object, None);
    if history.calls.iter().any(breaks) || objects.clone().any(|object| !is_legal(object)) {
        return Verdict::Violation;
    }
    if history.calls.iter().any(|call| says::says(model, call)) {
        Verdict::Clean
    } else {
        Verdict::Inconclusive
    }
}

fn compare(number: u64, counts: &mut BTreeMap<&'static str, Count>) {
    let mut random = Random::new(0x77_0000_0000 + number);
    let mut case = case(number, &mut random);
    let named = AnyModel::Object(case.model.clone());
    let named = case.is_named_to_the_judge.then_some(&named);
    let history = match read_any(case.text.as_bytes(), named, Limits::NONE) {
        Ok(history) => history,
        // What is spoilt of a lock may let one process do two things at once, which no file may say.
        Err(error) if error.to_string().contains("two operations open") => return,
        Err(error) => panic!("{error}\n{}", case.text),
    };
    let AnyHistory::Object(read) = &history else { panic!("of objects") };
    assert_eq!(read.calls.len(), case.history.calls.len(), "{}", case.text);
    let own = AnyModel::Object(read.model.clone().expect("a reader gives it"));
    let judged = judge_any(&history, &own, Checker::Auto, Budget::default()).expect("it fits");
    let said = judged.ruling().verdict();
    let expected = expected(&case);
    let AnyJudged::Object(judged) = &judged else { panic!("judged as objects") };
    assert_eq!(said, expected, "history {number}: {judged:?}\n{}", case.text);
    if judged.objects.iter().any(|object| object.ruling.illegal().is_some()) {
        case.dimensions.insert("illegal");
    }
    for dimension in case.dimensions.into_iter().chain(["all"]) {
        let count = counts.entry(dimension).or_default();
        count.histories += 1;
        count.violations += u64::from(expected == Verdict::Violation);
        count.inconclusive += u64::from(expected == Verdict::Inconclusive);
    }
}

#[test]
fn what_is_said_of_a_file_is_what_every_order_tried_says() {
    let histories = crate::histories();
    let mut counts = BTreeMap::new();
    for number in 0..histories {
        compare(number, &mut counts);
    }
    for (dimension, count) in &counts {
        println!("{dimension:<28} {:>8} {:>8} {:>8}", count.histories, count.violations, count.inconclusive);
    }
    for dimension in DIMENSIONS {
        let count = counts.get(dimension).copied().unwrap_or_default();
        assert!(count.histories >= histories / 100, "{dimension} is hardly varied: {count:?}");
    }
    let all = counts["all"];
    assert!(all.histories >= histories * 9 / 10, "{all:?}");
    assert!((all.histories / 4..all.histories * 3 / 4).contains(&all.violations), "{all:?}");
}
