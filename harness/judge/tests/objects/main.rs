//! Procedures against an oracle that tries every order.
//!
//! Each kind judges thousands of small random histories, about half of them illegal; `FLOCKWORK_LONG=1` makes them
//! 200,000 a kind. What is called legal must be so and come with an order that the certificate accepts; what is called
//! illegal must be so, and so must be the operations that explain it, by themselves. Nothing may be left undecided.

mod generate;
mod minimal;
mod oracle;
mod random;
mod says;
mod whole;

use flockwork_judge::check::search::Budget;
use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{Call, ObjectHistory, Op};
use flockwork_judge::model::object::{Kind, ObjectModel, QueueOrder};
use flockwork_judge::procedure::{Way, certify, judge};
use flockwork_judge::verdict::Ruling;
use generate::{Taste, generate, value};
use random::Random;

fn histories() -> u64 {
    if std::env::var_os("FLOCKWORK_LONG").is_some() { 200_000 } else { 5_000 }
}

#[derive(Debug, Default)]
struct Count {
    legal: u64,
    illegal: u64,
    by_procedure: u64,
    objects: u64,
}

fn told(history: &ObjectHistory) -> String {
    let teller = flockwork_judge::procedure::Teller::of(history);
    let lines = (0..history.calls.len() as u32).map(|call| {
        let object = history.calls[call as usize].object;
        format!("  {}: {}", history.objects[object as usize], teller.line(call))
    });
    let initial = history.initial.iter().map(|value| value.map(|value| history.values.json(value)));
    format!("initial {:?}\n{}", initial.collect::<Vec<_>>(), lines.collect::<Vec<_>>().join("\n"))
}

fn hold(model: &ObjectModel, taste: Taste, seed: u64) {
    let mut count = Count::default();
    for number in 0..histories() {
        let mut random = Random::new(seed.wrapping_mul(0x9e37_79b9) + number);
        let history = generate(model, taste, &mut random);
        for (object, ruling, way) in judge(&history, model, Budget::default()) {
            let is_legal = oracle::is_legal(&history, model, object, None);
            count.objects += 1;
            count.by_procedure += u64::from(way == Way::Procedure);
            let context = || {
                format!(
                    "history {number} of {}, {}:\n{}",
                    model.name,
                    history.objects[object as usize],
                    told(&history)
                )
            };
            match &ruling {
                Ruling::Legal(linearization) => {
                    let mut of_it = history.calls.iter().filter(|call| call.object == object);
                    let says = of_it.any(|call| says::says(model, call));
                    assert!(says, "called legal, and says nothing: {}", context());
                    assert!(is_legal, "called legal, and is not: {}", context());
                    let flaw = certify(&history, model, object, linearization);
                    assert_eq!(flaw, Ok(()), "{}", context());
                    count.legal += 1;
                }
                Ruling::Illegal(explanation) => {
                    assert!(
                        !is_legal,
                        "called illegal ({}), and is legal: {}",
                        explanation.sentence,
                        context()
                    );
                    let shown = &explanation.calls;
                    let alone = oracle::is_legal(&history, model, object, Some(shown));
                    assert!(
                        !alone,
                        "{shown:?} are legal by themselves: {}: {}",
                        explanation.sentence,
                        context()
                    );
                    count.illegal += 1;
                }
                Ruling::Undecided(undecided) => {
                    let any =
                        history.calls.iter().any(|call| call.object == object && says::says(model, call));
                    assert!(!any, "undecided ({}): {}", undecided.why(), context());
                }
            }
        }
    }
    println!("{} {taste:?}: {count:?}", model.name);
    let share = count.illegal as f64 / (count.legal + count.illegal) as f64;
    assert!((0.35..0.65).contains(&share), "the share of illegal ones is {share:.2}");
}

fn both(model: &ObjectModel, seed: u64) {
    hold(model, Taste::Unique, seed);
    hold(model, Taste::Wild, seed + 1);
}

#[test]
fn registers() {
    both(&ObjectModel::of(Kind::Register), 1);
}

#[test]
fn counters() {
    both(&ObjectModel::of(Kind::Counter), 3);
}

#[test]
fn sets() {
    both(&ObjectModel::of(Kind::Set), 5);
}

#[test]
fn logs() {
    both(&ObjectModel::of(Kind::Log), 7);
}

#[test]
fn locks() {
    both(&ObjectModel::of(Kind::Lock), 9);
}

#[test]
fn locks_with_leases() {
    let model = ObjectModel { name: "lease".into(), lease_ns: Some(4), ..ObjectModel::of(Kind::Lock) };
    both(&model, 11);
}

#[test]
fn queues() {
    both(&ObjectModel::of(Kind::Queue), 13);
}

#[test]
fn bags() {
    let model = ObjectModel { name: "bag".into(), order: QueueOrder::Any, ..ObjectModel::of(Kind::Queue) };
    both(&model, 15);
}

/// A table of few states, with all that a table can say.
const SMALL: &str = "\
kind = \"table\"
statuses = [\"open\", \"closed\", \"locked\", \"jammed\"]
[operations]
build  = { from = \"absent\", to = \"closed\", refused = \"exists\" }
open   = { from = \"closed\", to = \"open\" }
close  = { from = \"open\", to = \"closed\", idle = \"closed\" }
lock   = { from = \"closed\", to = \"locked\", refused = \"waits\" }
unlock = { from = \"locked\", to = \"closed\" }
jam    = { from = [\"open\", \"closed\"], to = \"jammed\" }
repair = { from = \"jammed\", to = \"remembered\" }
push   = { from = [\"open\", \"closed\"], to = \"same\", or = \"jammed\" }
kick   = { from = [\"open\", \"closed\", \"jammed\"], to = \"open\", or = \"locked\" }
look   = { from = [\"open\", \"closed\", \"locked\", \"jammed\"], to = \"same\" }
raze   = { from = [\"open\", \"locked\"], to = \"absent\" }
";

fn table(name: &str, text: &str) -> ObjectModel {
    flockwork_judge::model::object::parse(name, text.to_owned()).expect("a model")
}

fn door() -> ObjectModel {
    table("door.toml", SMALL)
}

#[test]
fn tables() {
    both(&door(), 17);
}

/// So many states that the search for few does not apply: a dial of thirty numbers.
fn dial() -> ObjectModel {
    let statuses: Vec<String> = (0..30).map(|number| format!("\"n{number}\"")).collect();
    let some = |from: usize, to: usize| statuses[from..to].join(", ");
    let turn = |number: usize| {
        let next = (number * 7 + 3) % 30;
        format!("turn{number} = {{ from = [{}, \"n{number}\"], to = \"n{next}\" }}", some(9, 25))
    };
    let text = format!(
        "kind = \"table\"\nstatuses = [{0}]\n[operations]\nlook = {{ from = [{0}], to = \"same\" }}\n\
         stop = {{ from = [{1}], to = \"absent\" }}\n\
         start = {{ from = \"absent\", to = \"n0\", or = \"n1\", refused = \"exists\" }}\n{2}\n",
        some(0, 30),
        some(5, 30),
        (0..6).map(turn).collect::<Vec<_>>().join("\n"),
    );
    table("dial.toml", &text)
}

#[test]
fn tables_of_many_statuses() {
    both(&dial(), 19);
}

/// Two operations say the same, but the one that never answered may have led elsewhere: neither stands for the other.
#[test]
fn what_never_answered_may_lead_elsewhere_than_what_answered() {
    let statuses: Vec<String> = (0..30).map(|number| format!("\"n{number}\"")).collect();
    let all = statuses.join(", ");
    let model = table(
        "two.toml",
        &format!(
            "kind = \"table\"\nstatuses = [{all}]\n[operations]\nlook = {{ from = [{all}], to = \"same\" }}\n\
             stop = {{ from = [{all}], to = \"absent\" }}\n\
             start = {{ from = \"absent\", to = \"n0\", or = \"n1\", refused = \"exists\" }}\n"
        ),
    );
    let rules = model.rules.as_deref().expect("a table");
    let op = |name: &str| {
        let at = rules.operations().iter().position(|rule| rule.name == name).expect("an operation");
        Some(value(at as u64))
    };
    let status =
        |name: &str| (0..=30).find(|&place| rules.spelled(place) == name).map(|place| value(place.into()));
    let mut history = ObjectHistory::default();
    history.object("x");
    history.initial[0] = Some(value(0));
    let rows = [
        ("start", 0, 20, Outcome::Unknown, None),
        ("start", 0, 10, Outcome::Ok, None),
        ("look", 0, 3, Outcome::Ok, status("n1")),
        ("stop", 0, 10, Outcome::Ok, None),
        ("look", 11, 12, Outcome::Ok, status("n0")),
    ];
    for (actor, (name, from, until, outcome, saw)) in rows.into_iter().enumerate() {
        history.actor(&actor.to_string());
        let mut call = Call::new(actor as u32, 0, Op::Act, from, until, outcome);
        (call.value, call.saw) = (op(name), saw);
        history.calls.push(call);
    }
    assert!(oracle::is_legal(&history, &model, 0, None));
    let judged = judge(&history, &model, Budget::default());
    assert!(matches!(judged[0].1, Ruling::Legal(_)), "{judged:?}");
}
