//! Holds what `flockwork check` says against an oracle that tries every order, over everything that a header and a record
//! can say: first statuses, several containers, each model, deaths, tokens whole, in part or absent, messages, failures,
//! unknown and open returns, equal times.
//!
//! Every history goes the way of a file: it is written, read again, and judged whole. What each dimension is worth is
//! counted, so that a generator that no longer varies one is noticed.

mod generate;
#[path = "../support/oracle.rs"]
mod oracle;
#[path = "../support/random.rs"]
mod random;
mod said;
#[path = "../checks_oracle/oracle.rs"]
mod tokens;

use std::collections::BTreeMap;

use flockwork::Operation;
use flockwork_harness::check::search;
use flockwork_harness::check::witness::DeathRule;
use flockwork_harness::history::{self, History, Outcome, Reason, Record, read, write};
use flockwork_harness::model::table::ILLEGAL;
use flockwork_harness::model::{Builtin, Model};
use generate::Case;
use oracle::Reads;
use said::Said;

/// How a history's containers ended, by what was varied.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    histories: u64,
    illegal: u64,
    /// Illegal ones that were called legal.
    missed: u64,
    /// Nothing was verified, and that was called legal.
    empty_missed: u64,
    undecided: u64,
}

#[derive(Debug, Default)]
struct Tally(BTreeMap<String, Count>);

impl Tally {
    fn add(&mut self, dimensions: &[String], change: impl Fn(&mut Count)) {
        for dimension in dimensions {
            change(self.0.entry(dimension.clone()).or_default());
        }
    }

    fn print(&self) {
        println!(
            "{:<28} {:>9} {:>8} {:>7} {:>13} {:>9}",
            "", "histories", "illegal", "missed", "empty, clean", "undecided"
        );
        for (dimension, count) in &self.0 {
            let Count { histories, illegal, missed, empty_missed, undecided } = count;
            println!(
                "{dimension:<28} {histories:>9} {illegal:>8} {missed:>7} {empty_missed:>13} {undecided:>9}"
            );
        }
    }
}

/// What is true of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Truth {
    /// No operation says anything.
    is_empty: bool,
    /// By statuses, and by generations where all tell them.
    has_an_order: bool,
    /// The same where what stands behind the container may die at any time.
    has_an_order_with_deaths: bool,
    /// By generation and revision as well; `None`: the oracle of tokens does not know such histories.
    by_tokens: Option<bool>,
}

fn truth(history: &History, model: &Model, container: u32) -> Truth {
    // What is refused as ambiguous met no container: a generation that it tells is that of none.
    let met = |record: &Record| {
        let mut record = *record;
        if record.reason == Some(Reason::Ambiguous) {
            (record.generation, record.revision) = (None, None);
        }
        record
    };
    let records: Vec<Record> =
        history.records.iter().filter(|record| record.container() == Some(container)).map(met).collect();
    let lanes = search::partitions(history);
    let lane = lanes.iter().find(|lane| lane.container == container);
    let lives = lane.is_some_and(|lane| search::tells_lives(history, model, lane));
    let reads = if lives { Reads::Generations } else { Reads::Statuses };
    let order = |history: &History| {
        let (starts, death) = (model.starts(history, container), model.death(history));
        oracle::has_an_order(model, &records, starts, death, reads).expect("a small history")
    };
    let mut mortal = history.clone();
    mortal.deaths = Some(history::Deaths::Free);
    let is_tokened = |record: &Record| record.generation.is_some() && record.revision.is_some();
    // In a window generations and revisions are those of lives of which a part was cut away: only statuses are judged.
    let knows_tokens = model.name() == "runsc"
        && history.window.is_none()
        && history.model.is_none_or(|model| model == Builtin::Runsc)
        && history.start(container) == history::Start::Absent
        && records.iter().all(|record| {
            is_tokened(record)
                || record.outcome != Outcome::Ok
                || (record.operation == Operation::ForceDelete && record.status.is_none())
        });
    Truth {
        is_empty: !records.iter().any(|record| says_something(model, record)),
        has_an_order: order(history),
        has_an_order_with_deaths: order(&mortal),
        by_tokens: knows_tokens
            .then(|| tokens::Oracle::new(&records, DeathRule::of_history(history)).finds_an_order()),
    }
}

/// Whether there is a state in which it cannot have ended so, or which it changes.
fn says_something(model: &Model, record: &Record) -> bool {
    let row = model.table().row(record.into());
    let states = 0..model.table().states().len() as u8;
    let is_silent = |state: u8| row[state as usize] != ILLEGAL && row[state as usize] == state;
    matches!(record.outcome, Outcome::Ok | Outcome::Refused) && !states.into_iter().all(is_silent)
}

/// The history as it is read from a file.
fn stored(history: &History) -> (History, String) {
    let mut bytes = Vec::new();
    write::write(history, &mut bytes).expect("memory");
    let text = String::from_utf8(bytes).expect("JSON is UTF-8");
    let read = read::read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    (read, text)
}

/// Judges one history, and compares.
fn compare(seed: u64, tally: &mut Tally) {
    let Case { history, model, tokens, dimensions } = generate::case(seed);
    let (history, text) = stored(&history);
    let said = said::of(&history, &model, &text);
    let told = || format!("seed {seed}, {tokens:?} by {}: {said:?}\n{text}", model.name());
    let mut all = Vec::new();
    for (container, said) in &said.containers {
        let truth = truth(&history, &model, *container);
        all.push(truth);
        let is_right = match said {
            Said::Legal => {
                !truth.is_empty
                    && truth.by_tokens.unwrap_or(truth.has_an_order_with_deaths)
                    && (truth.has_an_order || history.deaths.is_none())
            }
            Said::Illegal => !truth.has_an_order || truth.by_tokens == Some(false),
            Said::Nothing => truth.is_empty,
            Said::Open => !truth.is_empty,
        };
        assert!(is_right || said::ONLY_COUNTS, "container {container}: {truth:?}; {}", told());
    }
    let is_illegal = |truth: &Truth| !truth.has_an_order_with_deaths || truth.by_tokens == Some(false);
    let illegal = all.iter().any(is_illegal);
    let torn = history.records.iter().any(|record| record.reason == Some(Reason::Corrupt));
    let empty = all.iter().all(|truth| truth.is_empty);
    // Where a force delete tells nothing and only tokens show that no order is legal, it may be left open.
    let is_silent = |record: &Record| {
        record.operation == Operation::ForceDelete
            && record.outcome == Outcome::Ok
            && (record.generation, record.revision, record.status) == (None, None, None)
    };
    let illegal_as_is = if history.records.iter().any(is_silent) {
        all.iter().any(|truth| !truth.has_an_order_with_deaths)
    } else {
        illegal
    };
    let is_right = match said.whole {
        Said::Legal => !illegal && !torn && !empty,
        Said::Illegal => torn || said.containers.iter().any(|(_, said)| *said == Said::Illegal),
        Said::Nothing => empty && !torn,
        Said::Open => !illegal_as_is && !torn,
    };
    assert!(is_right || said::ONLY_COUNTS, "the whole: {all:?}; {}", told());
    tally.add(&dimensions, |count| {
        count.histories += 1;
        count.illegal += u64::from(illegal || torn);
        count.missed += u64::from((illegal || torn) && said.whole == Said::Legal);
        count.empty_missed += u64::from(empty && !torn && said.whole == Said::Legal);
        count.undecided += u64::from(said.whole == Said::Open);
    });
}

fn compare_all(seeds: std::ops::Range<u64>) {
    let histories = seeds.end - seeds.start;
    let mut tally = Tally::default();
    for seed in seeds {
        compare(seed, &mut tally);
    }
    tally.print();
    let all = tally.0["all"];
    assert_eq!(all.histories, histories);
    assert!(all.illegal >= histories / 4 && all.illegal <= histories * 3 / 4, "{all:?}");
    assert!(all.undecided <= histories / 100, "it gives up too often: {all:?}");
    for dimension in generate::DIMENSIONS {
        let count = tally.0.get(*dimension).copied().unwrap_or_default();
        assert!(count.histories >= histories / 100, "{dimension} is hardly varied: {count:?}");
    }
    assert_eq!((all.missed, all.empty_missed), (0, 0), "{all:?}");
}

#[test]
fn what_check_says_is_what_every_order_tried_says() {
    compare_all(0..6_000);
}

#[test]
#[ignore = "the same over many more histories: minutes"]
fn what_check_says_is_what_every_order_tried_says_at_length() {
    compare_all(1_000_000..1_400_000);
}
