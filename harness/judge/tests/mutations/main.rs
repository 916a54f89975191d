//! Mutations of real histories of objects: how many the judge detects, and that what it does not detect is no fault.
//!
//! Threads use real objects at once, of each kind; each history is clean, is mutated in one place, and judged anew. What is
//! called legal has an order that the certificate accepts. What is called illegal is explained by operations that are
//! illegal by themselves, which an oracle that tries every order confirms where they are few. What only takes knowledge
//! away is never illegal, and what nobody can have seen always is.
//!
//! `FLOCKWORK_LONG=1 cargo test -p flockwork-judge --release --test mutations -- --nocapture` prints the table of
//! docs/judge.md.

mod mutate;
mod objects;
#[path = "../objects/oracle.rs"]
mod oracle;
#[path = "../objects/random.rs"]
mod random;

use flockwork_judge::check::search::Budget;
use flockwork_judge::history::object::ObjectHistory;
use flockwork_judge::model::object::{Kind, ObjectModel, QueueOrder, parse};
use flockwork_judge::procedure::{certify, judge};
use flockwork_judge::verdict::Ruling;
use mutate::Mutation;
use random::Random;

/// So few operations that the oracle can try every order of them.
const ORACLE_MAX: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    tried: u64,
    detected: u64,
    /// Explanations that the oracle went through.
    proved: u64,
}

fn models() -> Vec<ObjectModel> {
    let mut models: Vec<ObjectModel> = Kind::whole().into_iter().map(ObjectModel::of).collect();
    models.push(ObjectModel { name: "bag".into(), order: QueueOrder::Any, ..ObjectModel::of(Kind::Queue) });
    let door = flockwork_judge::model::document::DOOR;
    models.push(parse("door.toml", door.to_owned()).expect("a model"));
    models
}

/// Whether it is found illegal; whatever is said is proved.
fn is_detected(history: &ObjectHistory, model: &ObjectModel, tally: &mut Tally) -> bool {
    let mut is_illegal = false;
    for (object, ruling, _) in judge(history, model, Budget::default()) {
        match ruling {
            Ruling::Legal(order) => assert_eq!(certify(history, model, object, &order), Ok(())),
            Ruling::Illegal(explanation) => {
                is_illegal = true;
                if explanation.calls.len() <= ORACLE_MAX {
                    let alone = oracle::is_legal(history, model, object, Some(&explanation.calls));
                    assert!(!alone, "{}: legal by themselves: {explanation:?}", model.name);
                    tally.proved += 1;
                }
            }
            Ruling::Undecided(undecided) => panic!("{}: {}", model.name, undecided.why()),
        }
    }
    is_illegal
}

fn measure(model: &ObjectModel, threads: u32, calls: u64, seeds: u64, times: u64) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); Mutation::ALL.len()];
    for seed in 0..seeds {
        let history = objects::run(model, threads, calls, seed);
        assert!(!is_detected(&history, model, &mut Tally::default()), "a real {} is clean", model.name);
        for (&mutation, tally) in Mutation::ALL.iter().zip(&mut tallies) {
            let mut random = Random::new(seed << 16 | mutation as u64);
            for _ in 0..times {
                let Some(mutated) = mutation.of(&history, model, &mut random) else { continue };
                let is_found = is_detected(&mutated, model, tally);
                tally.tried += 1;
                tally.detected += u64::from(is_found);
                let told = format!("{mutation:?} of a {}, seed {seed}", model.name);
                assert!(!(is_found && mutation.only_forgets()), "{told} claims nothing");
                assert!(is_found || mutation != Mutation::Invent, "{told} must be detected");
            }
        }
    }
    tallies
}

#[test]
fn what_is_not_detected_is_legal_and_what_is_detected_is_explained() {
    let is_long = std::env::var_os("FLOCKWORK_LONG").is_some();
    let (calls, seeds, times) = if is_long { (100, 10, 20) } else { (25, 2, 5) };
    let models = models();
    let columns: Vec<Vec<Tally>> =
        models.iter().map(|model| measure(model, 4, calls, seeds, times)).collect();
    let heads: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    println!("| mutation | {} |", heads.join(" | "));
    println!("|---|{}", "---|".repeat(heads.len()));
    for (row, mutation) in Mutation::ALL.iter().enumerate() {
        let cell = |column: &Vec<Tally>| match column[row] {
            Tally { tried: 0, .. } => "–".to_owned(),
            Tally { tried, detected, .. } => format!("{:.0} %", 100.0 * detected as f64 / tried as f64),
        };
        println!("| {} | {} |", mutation.as_str(), columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    let sum = |of: fn(&Tally) -> u64| columns.iter().flatten().map(of).sum::<u64>();
    let (tried, detected, proved) =
        (sum(|tally| tally.tried), sum(|tally| tally.detected), sum(|tally| tally.proved));
    println!("\n{tried} mutations, {detected} detected; {proved} explanations went through the oracle.");
    assert!(detected > 0 && proved > 0, "{tried} tried, {detected} detected, {proved} proved");
}
