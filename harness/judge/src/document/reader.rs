//! Takes values out of a table by key, and afterwards knows which keys nobody asked for.
//!
//! Problems are gathered rather than returned one at a time: whoever wrote the scenario sees all of them at once.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::sketch::{self, Shape};
use super::source::{Place, Problem};
use super::tree::{Entry, Node, Table, Value};
use crate::words::{nearest, units};

/// Reads one table of a document, notes which keys were asked for, and collects what is wrong with it.
#[derive(Debug)]
pub struct Reader<'a> {
    table: Option<&'a Table>,
    /// The table as people name it: `[stress]`, or "the scenario" for the root.
    title: &'a str,
    /// The table's path from the root, its keys joined by points.
    path: String,
    place: Place,
    asked: Vec<&'static str>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Reads the root table of a scenario.
    pub fn root(table: &'a Table, place: Place, problems: &'a mut Vec<Problem>) -> Self {
        Self::titled(table, "the scenario", place, problems)
    }

    /// Reads a table that people know by this title.
    pub fn titled(table: &'a Table, title: &'a str, place: Place, problems: &'a mut Vec<Problem>) -> Self {
        Self { table: Some(table), title, path: String::new(), place, asked: Vec::new(), problems }
    }

    /// Reads the table under a key; one that is missing reads as empty.
    pub fn section(&mut self, key: &'static str, title: &'a str) -> Reader<'_> {
        let entry = self.take(key);
        self.hint(key, || Shape::Table);
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        let (table, place) = match entry {
            None => (None, self.place.clone()),
            Some(Entry { node: Node { value: Value::Table(table), .. }, key_place, .. }) => {
                (Some(table), key_place.clone())
            }
            Some(entry) => {
                self.wrong(entry, "a table");
                (None, entry.key_place.clone())
            }
        };
        Reader { table, title, path, place, asked: Vec::new(), problems: self.problems }
    }

    /// Reads a table that stands in this one under a key of the writer's choice, or in a list.
    pub fn inner(&mut self, table: &'a Table, title: &'a str, place: Place) -> Reader<'_> {
        let path = format!("{}.*", self.path);
        Reader { table: Some(table), title, path, place, asked: Vec::new(), problems: self.problems }
    }

    /// The place of the table itself.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Notes something that is wrong; reading goes on, so that its author hears of all at once.
    pub fn complain(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// The entry of a key, which is known from now on.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Entry> {
        self.asked.push(key);
        self.hint(key, Shape::default);
        self.table?.entry(key)
    }

    /// Whether a key is there. It is no more known by this than before.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.entry(key).is_some())
    }

    /// Says what a key's value is to be, for schemas. Readers of values say it by themselves.
    pub fn hint(&self, key: &'static str, shape: impl FnOnce() -> Shape) {
        sketch::note(&self.path, key, shape);
    }

    /// All entries, none of which is unknown from now on.
    pub fn take_all(&mut self) -> &'a [Entry] {
        sketch::note_open(&self.path);
        let table = self.table.take();
        table.map_or(&[], |table| table.entries.as_slice())
    }

    fn wrong(&mut self, entry: &Entry, expected: &str) {
        let message = format!("{}: expected {expected}, found {}", entry.key, entry.node.value.describe());
        self.complain(Problem::new(&entry.node.place, message));
    }

    /// Says that a key without default is missing.
    pub fn missing(&mut self, key: &str, expected: &str) {
        let place = self.place.clone();
        self.complain(Problem::new(&place, format!("{} needs {key}: expected {expected}", self.title)));
    }

    /// The text under a key, with its place; anything but a text is complained of, and nothing is given back.
    pub fn text(&mut self, key: &'static str) -> Option<(&'a str, &'a Place)> {
        self.hint(key, || Shape::Text);
        let entry = self.take(key)?;
        if let Value::Text(text) = &entry.node.value {
            return Some((text, &entry.node.place));
        }
        self.wrong(entry, "a text");
        None
    }

    /// One of several words.
    pub fn word(&mut self, key: &'static str, known: &[&'static str]) -> Option<&'static str> {
        self.hint(key, || Shape::Word(known.to_vec()));
        let entry = self.take(key)?;
        let text = match &entry.node.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        };
        if let Some(word) = known.iter().find(|word| **word == text) {
            return Some(word);
        }
        let message =
            format!("{key}: expected one of {}, found {}", known.join(", "), entry.node.value.describe());
        let mut problem = Problem::new(&entry.node.place, message);
        if let Some(near) = nearest(text, known.iter().copied()) {
            problem = problem.with_help(format!("the nearest is {near:?}"));
        }
        self.complain(problem);
        None
    }

    /// A list and its place.
    pub fn list(&mut self, key: &'static str, expected: &str) -> Option<(&'a Place, &'a [Node])> {
        self.hint(key, || Shape::List);
        let entry = self.take(key)?;
        if let Value::Array(items) = &entry.node.value {
            return Some((&entry.node.place, items));
        }
        self.wrong(entry, expected);
        None
    }

    /// A whole number within bounds.
    pub fn count(&mut self, key: &'static str, bounds: RangeInclusive<u64>, unit: &str) -> Option<u64> {
        self.hint(key, || Shape::Count(*bounds.start(), *bounds.end()));
        let entry = self.take(key)?;
        let (low, high) = (*bounds.start(), *bounds.end());
        match entry.node.value {
            Value::Integer(number) if (i128::from(low)..=i128::from(high)).contains(&number) => {
                return u64::try_from(number).ok();
            }
            Value::Integer(number) if number > i128::from(high) => {
                let message = format!("{key}: the limit is {high} {unit}, found {number}");
                self.complain(Problem::new(&entry.node.place, message));
            }
            _ => self.wrong(entry, &format!("a whole number of {unit} from {low} to {high}")),
        }
        None
    }

    /// A whole number within bounds that fits 32 bits.
    pub fn count_u32(&mut self, key: &'static str, bounds: RangeInclusive<u32>, unit: &str) -> Option<u32> {
        let bounds = u64::from(*bounds.start())..=u64::from(*bounds.end());
        self.count(key, bounds, unit).and_then(|number| u32::try_from(number).ok())
    }

    /// A share of the whole, from 0 to 1.
    pub fn share(&mut self, key: &'static str) -> Option<f64> {
        self.hint(key, || Shape::Share);
        let entry = self.take(key)?;
        let number = match entry.node.value {
            Value::Float(number) => number,
            Value::Integer(number) => number as f64,
            _ => f64::NAN,
        };
        if (0.0..=1.0).contains(&number) {
            return Some(number);
        }
        self.wrong(entry, "a number from 0 to 1");
        None
    }

    /// The truth under a key; anything else is complained of.
    pub fn truth(&mut self, key: &'static str) -> Option<bool> {
        self.hint(key, || Shape::Truth);
        let entry = self.take(key)?;
        if let Value::Boolean(truth) = entry.node.value {
            return Some(truth);
        }
        self.wrong(entry, "true or false");
        None
    }

    /// A duration within bounds, in nanoseconds.
    pub fn duration_ns(&mut self, key: &'static str, bounds_ns: RangeInclusive<u64>) -> Option<u64> {
        let range = self.duration_range_of(key, &bounds_ns, units::DURATION_FORM, |text| {
            units::duration_ns(text).map(|ns| ns..=ns)
        })?;
        Some(*range.start())
    }

    /// A range of durations up to a limit, in nanoseconds.
    pub fn duration_range_ns(&mut self, key: &'static str, limit_ns: u64) -> Option<RangeInclusive<u64>> {
        self.duration_range_of(key, &(0..=limit_ns), units::RANGE_FORM, units::duration_range_ns)
    }

    fn duration_range_of(
        &mut self,
        key: &'static str,
        bounds_ns: &RangeInclusive<u64>,
        form: &str,
        parse: impl Fn(&str) -> Option<RangeInclusive<u64>>,
    ) -> Option<RangeInclusive<u64>> {
        self.hint(key, || Shape::Duration);
        let entry = self.take(key)?;
        let parsed = match &entry.node.value {
            Value::Text(text) => parse(text),
            _ => None,
        };
        let Some(range) = parsed else {
            self.wrong(entry, form);
            return None;
        };
        if bounds_ns.contains(range.start()) && bounds_ns.contains(range.end()) {
            return Some(range);
        }
        let (low, high) = (units::show_ns(*bounds_ns.start()), units::show_ns(*bounds_ns.end()));
        let message = format!("{key}: expected from {low} to {high}, found {}", entry.node.value.describe());
        self.complain(Problem::new(&entry.node.place, message));
        None
    }

    /// A size in bytes within bounds, or 0 for none.
    pub fn size_bytes(&mut self, key: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        self.hint(key, || Shape::Size);
        let entry = self.take(key)?;
        let bytes = match &entry.node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => units::size_bytes(text),
            _ => None,
        };
        match bytes {
            None => self.wrong(entry, units::SIZE_FORM),
            Some(bytes) if bytes == 0 || bounds.contains(&bytes) => return Some(bytes),
            Some(_) => {
                let (low, high) = (bounds.start() >> 10, bounds.end() >> 10);
                self.wrong(entry, &format!("0 (none) or from {low}KiB to {high}KiB"));
            }
        }
        None
    }

    /// The keys that were asked for, each once.
    fn known(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.asked.iter().copied().filter(|key| seen.insert(*key)).collect()
    }

    /// Reports the keys that nobody asked for.
    pub fn finish(self) {
        let Some(table) = self.table else { return };
        for entry in table.entries.iter().filter(|entry| !self.asked.contains(&entry.key.as_str())) {
            let problem =
                Problem::new(&entry.key_place, format!("unknown key {:?} in {}", entry.key, self.title));
            let help = match nearest(&entry.key, self.asked.iter().copied()) {
                Some(near) => format!("the nearest known key is {near:?}"),
                None => format!("known keys: {}", self.known().join(", ")),
            };
            self.problems.push(problem.with_help(help));
        }
    }
}
