//! Two that got one id. A wildcard hides what stands at its place; but where a command never prints there what another
//! process prints, one after the other, and does where they overlap, no order of them gives that.
//!
//! It can be told of long values alone (short ones meet by chance), and not of clocks: two commands that overlap may well
//! read one time.

use std::collections::{BTreeMap, BTreeSet};

use super::expected::Difference;
use super::outcome::Who;
use super::sheet::{Place, Sheet};
use super::text::{Pattern, words};

/// Values shorter than this are not held apart.
const VALUE_BYTES_MIN: usize = 8;
/// Fewer runs tell nothing of what is always so.
const RUNS_MIN: usize = 3;

/// A wildcard: its place, and its number among those of the place.
type Wildcard = (Place, usize);

/// Wildcards, and the outputs of other processes in which their values never are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distinct {
    pairs: Vec<(Wildcard, Place)>,
}

/// The process whose output this is.
fn process(place: &Place) -> Option<usize> {
    match place {
        Place::Stdout(Who::Command { process, .. }) | Place::Stderr(Who::Command { process, .. }) => {
            Some(*process)
        }
        _ => None,
    }
}

/// What stands at the wildcards of the outputs of processes.
fn values<'s>(patterns: &BTreeMap<Place, Pattern>, sheet: &'s Sheet) -> BTreeMap<Wildcard, &'s [u8]> {
    let mut values = BTreeMap::new();
    for (place, pattern) in patterns.iter().filter(|(place, _)| process(place).is_some()) {
        let text = sheet.get(place).and_then(|value| value.text.as_deref());
        let bound = text.map(|text| pattern.bound(text)).unwrap_or_default();
        values.extend(bound.into_iter().enumerate().map(|(number, value)| ((place.clone(), number), value)));
    }
    values
}

/// Whether a value is a word of what is printed at a place.
fn is_printed(value: &[u8], place: &Place, sheet: &Sheet) -> bool {
    let text = sheet.get(place).and_then(|value| value.text.as_deref());
    text.is_some_and(|text| words(text).any(|word| word == value))
}

/// Whether these may be times: numbers, or dates as in `20261126T062713Z`, that never become less from run to run.
fn may_be_a_clock(values: &[&[u8]]) -> bool {
    let is_time =
        |value: &&[u8]| value.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'T' | b'Z'));
    let grows = |pair: &[&[u8]]| (pair[0].len(), pair[0]) <= (pair[1].len(), pair[1]);
    values.iter().all(is_time) && values.windows(2).all(grows)
}

impl Distinct {
    /// Learns from runs of one order which wildcards never have a value that another process prints.
    pub fn learn(patterns: &BTreeMap<Place, Pattern>, runs: &[Sheet]) -> Self {
        if runs.len() < RUNS_MIN {
            return Self::default();
        }
        let bound: Vec<BTreeMap<Wildcard, &[u8]>> = runs.iter().map(|run| values(patterns, run)).collect();
        let outputs: BTreeSet<&Place> =
            runs.iter().flat_map(Sheet::keys).filter(|place| process(place).is_some()).collect();
        let mut pairs = Vec::new();
        for wildcard in bound[0].keys() {
            let values: Option<Vec<&[u8]>> = bound.iter().map(|run| run.get(wildcard).copied()).collect();
            let Some(values) = values else { continue };
            if values.iter().any(|value| value.len() < VALUE_BYTES_MIN) || may_be_a_clock(&values) {
                continue;
            }
            for other in outputs.iter().filter(|other| process(other) != process(&wildcard.0)) {
                if values.iter().zip(runs).all(|(value, run)| !is_printed(value, other, run)) {
                    pairs.push((wildcard.clone(), (*other).clone()));
                }
            }
        }
        Self { pairs }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Where two print the same after all.
    pub fn shared(&self, patterns: &BTreeMap<Place, Pattern>, sheet: &Sheet) -> Vec<Difference> {
        let values = values(patterns, sheet);
        let mut shared: Vec<Difference> = Vec::new();
        for (wildcard, other) in &self.pairs {
            let Some(value) = values.get(wildcard).filter(|value| is_printed(value, other, sheet)) else {
                continue;
            };
            let is_told = |known: &Difference| known.place == wildcard.0 || known.place == *other;
            if shared.iter().any(is_told) {
                continue;
            }
            shared.push(Difference {
                place: wildcard.0.clone(),
                expected: Some(format!("something that {other} does not have")),
                found: Some(format!("{}, as {other} has", String::from_utf8_lossy(value))),
            });
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::super::expected::Expected;
    use super::super::sheet::Value;
    use super::*;

    fn sheet(printed: [&str; 2]) -> Sheet {
        let who = |process| Who::Command { process, index: 0, alone: true };
        let value = |text: &str| Value { word: String::new(), text: Some(text.as_bytes().into()) };
        printed.iter().enumerate().map(|(process, text)| (Place::Stdout(who(process)), value(text))).collect()
    }

    fn learnt(runs: [[&str; 2]; 3]) -> Expected {
        Expected::learn(&runs.map(sheet)).expect("it can be learnt")
    }

    #[test]
    fn two_that_got_one_id_are_told() {
        let runs =
            [["id 9f3ac01e", "id 1b77e2d0"], ["id 4de0a911", "id c0ffee99"], ["id 71aa03bc", "id 20b4c5d6"]];
        let expected = learnt(runs);
        assert_eq!(expected.differences(&sheet(["id aaaaaaa1", "id aaaaaaa2"])), []);
        let differences = expected.differences(&sheet(["id aaaaaaa1", "id aaaaaaa1"]));
        assert_eq!(differences.len(), 1);
        assert_eq!(differences[0].place.to_string(), "p1 stdout");
        assert_eq!(differences[0].found.as_deref(), Some("aaaaaaa1, as p2 stdout has"));
    }

    #[test]
    fn an_id_of_one_that_is_the_same_in_each_run_counts_too() {
        let runs =
            [["id 9f3ac01e", "id 1b77e2d0"], ["id 9f3ac01e", "id c0ffee99"], ["id 9f3ac01e", "id 20b4c5d6"]];
        let expected = learnt(runs);
        assert_eq!(expected.differences(&sheet(["id 9f3ac01e", "id aaaaaaa2"])), []);
        let differences = expected.differences(&sheet(["id 9f3ac01e", "id 9f3ac01e"]));
        assert_eq!(differences[0].found.as_deref(), Some("9f3ac01e, as p1 stdout has"));
    }

    #[test]
    fn what_is_short_or_shared_or_a_clock_is_not_held_apart() {
        let cases = [
            // Short: it took so many milliseconds.
            [["took 12", "took 31"], ["took 22", "took 17"], ["took 19", "took 20"]],
            // One id for both, now and then.
            [["id 9f3ac01e", "id 1b77e2d0"], ["id 4de0a911", "id 4de0a911"], ["id 71aa03bc", "id 20b4c5d6"]],
            // Times.
            [
                ["at 1790000001", "at 1790000002"],
                ["at 1790000003", "at 1790000004"],
                ["at 1790000005", "at 1790000006"],
            ],
        ];
        for case in cases {
            let shared = case[1].map(|text| text.split_at(text.find(' ').expect("two words") + 1));
            let same = format!("{}{}", shared[0].0, shared[0].1);
            assert_eq!(learnt(case).differences(&sheet([&same, &same])), [], "{case:?}");
        }
    }
}
