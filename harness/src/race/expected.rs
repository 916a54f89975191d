//! What one sequential order comes to, learnt from several runs of it, and how an execution differs from that.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::distinct::Distinct;
use super::sheet::{Location, Place, Sheet, Value};
use super::text::{Pattern, Unlearnt, WILDCARD};

/// What a value must be.
#[derive(Clone, Debug)]
struct Wanted {
    word: String,
    text: Option<Pattern>,
}

/// What an order comes to.
#[derive(Clone, Debug)]
pub struct Expected {
    places: BTreeMap<Place, Wanted>,
    /// Entries whose names differ from run to run, by their shape: as many as there are wanted values.
    shaped: BTreeMap<Location, Vec<Wanted>>,
    /// The words of which names are made that are the same in every run.
    vocabulary: HashSet<String>,
    /// Wildcards that never have one value.
    distinct: Distinct,
}

/// Equal runs differ in a way that cannot be learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wild {
    /// The path or stream that has a part that varies.
    pub place: Place,
    /// How it varies, in words.
    pub how: String,
}

/// How an execution differs from an order at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path or stream that differs.
    pub place: Place,
    /// What the order gives; none where it gives nothing. `*` stands for what may be anything.
    pub expected: Option<String>,
    /// What the execution gave; none where it gave nothing.
    pub found: Option<String>,
}

impl Difference {
    /// Whether there is something that the order does not leave.
    #[must_use]
    pub fn is_extra(&self) -> bool {
        self.expected.is_none() && matches!(self.place, Place::Entry(_))
    }

    /// How much of a difference it is: lines that differ, and at least one.
    #[must_use]
    pub fn weight(&self) -> usize {
        let lines = |text: &Option<String>| -> BTreeSet<String> {
            text.iter().flat_map(|text| text.lines().map(str::to_owned)).collect()
        };
        lines(&self.expected).symmetric_difference(&lines(&self.found)).count().max(1)
    }
}

impl Expected {
    /// Learns from runs of one order; there is at least one.
    pub fn learn(runs: &[Sheet]) -> Result<Self, Wild> {
        let vocabulary = vocabulary(runs);
        let mut expected: Option<Self> = None;
        for run in runs {
            expected = Some(match expected {
                None => Self::of(run, vocabulary.clone()),
                Some(known) => known.and(run)?,
            });
        }
        let mut expected = expected.expect("there is at least one");
        expected.distinct = Distinct::learn(&expected.patterns(), runs);
        Ok(expected)
    }

    /// The texts with wildcards, by their places.
    fn patterns(&self) -> BTreeMap<Place, Pattern> {
        let texts = self.places.iter().filter_map(|(place, wanted)| Some((place, wanted.text.as_ref()?)));
        let learnt = texts.filter(|(_, text)| matches!(text, Pattern::Learnt(_)));
        learnt.map(|(place, text)| (place.clone(), text.clone())).collect()
    }

    fn of(run: &Sheet, vocabulary: HashSet<String>) -> Self {
        let mut expected = Self {
            places: BTreeMap::new(),
            shaped: BTreeMap::new(),
            vocabulary,
            distinct: Distinct::default(),
        };
        for (place, value) in run {
            let wanted = Wanted { word: value.word.clone(), text: value.text.as_deref().map(Pattern::same) };
            match expected.shape(place) {
                Some(shape) => expected.shaped.entry(shape).or_default().push(wanted),
                None => _ = expected.places.insert(place.clone(), wanted),
            }
        }
        expected
    }

    /// The shape of an entry whose name differs from run to run: one that is known where it fits, whatever words the drawn
    /// part of the name happens to hold.
    fn shape(&self, place: &Place) -> Option<Location> {
        let Place::Entry(Location { folder, path }) = place else { return None };
        let path = self.drawn(path)?;
        let shape = Location { folder: *folder, path };
        if self.shaped.contains_key(&shape) {
            return Some(shape);
        }
        let Place::Entry(name) = place else { return None };
        let known =
            self.shaped.keys().find(|known| known.folder == name.folder && fits(&known.path, &name.path));
        Some(known.cloned().unwrap_or(shape))
    }

    /// A path with a wildcard for each part that is drawn, where any is. Names are drawn of `_` and `-` as well as of letters
    /// and digits: all between the first unknown word and the last of one part is of the drawn.
    fn drawn(&self, path: &str) -> Option<String> {
        let is_unknown = |token: &&str| is_word(token) && !self.vocabulary.contains(*token);
        let mut shape = String::new();
        let mut is_drawn = false;
        for part in parts(path) {
            let tokens = tokens(part);
            let Some(first) = tokens.iter().position(&is_unknown) else {
                shape.push_str(part);
                continue;
            };
            is_drawn = true;
            let last = tokens.iter().rposition(&is_unknown).unwrap_or(first);
            let is_joint = |token: &&str| matches!(*token, "_" | "-");
            // What joins a drawn part to nothing is drawn as well.
            let from = if tokens[..first].iter().all(is_joint) { 0 } else { first };
            let to = if tokens[last + 1..].iter().all(is_joint) { tokens.len() } else { last + 1 };
            shape.extend(tokens[..from].iter().copied());
            shape.push_str(WILDCARD);
            shape.extend(tokens[to..].iter().copied());
        }
        is_drawn.then_some(shape)
    }

    /// The same, made to allow for another run.
    fn and(mut self, run: &Sheet) -> Result<Self, Wild> {
        let mut shaped: BTreeMap<Location, Vec<(&Place, &Value)>> = BTreeMap::new();
        let mut seen = 0;
        for (place, value) in run {
            if let Some(shape) = self.shape(place) {
                shaped.entry(shape).or_default().push((place, value));
                continue;
            }
            let Some(wanted) = self.places.get_mut(place) else {
                return Err(Wild { place: place.clone(), how: "it exists in some runs only".into() });
            };
            seen += 1;
            wanted.learn(value).map_err(|how| Wild { place: place.clone(), how })?;
        }
        if seen < self.places.len() {
            let place = self.places.keys().find(|place| !run.contains_key(place)).expect("one is missing");
            return Err(Wild { place: place.clone(), how: "it exists in some runs only".into() });
        }
        let forms: BTreeSet<&Location> = shaped.keys().chain(self.shaped.keys()).collect();
        for shape in forms {
            let (known, new) =
                (self.shaped.get(shape).map_or(0, Vec::len), shaped.get(shape).map_or(0, Vec::len));
            if known != new {
                let how = format!("there are {known} of this form in one run and {new} in another");
                return Err(Wild { place: Place::Entry(shape.clone()), how });
            }
        }
        for (shape, new) in shaped {
            let known = self.shaped.get_mut(&shape).expect("as many as there are");
            learn_shaped(known, &new).map_err(|how| Wild { place: Place::Entry(shape), how })?;
        }
        Ok(self)
    }

    /// How a sheet differs from this; nothing where it is as expected.
    #[must_use]
    pub fn differences(&self, sheet: &Sheet) -> Vec<Difference> {
        let mut differences = Vec::new();
        let mut shaped: BTreeMap<Location, Vec<(&Place, &Value)>> = BTreeMap::new();
        for (place, value) in sheet {
            match (self.shape(place), self.places.get(place)) {
                (Some(shape), _) => shaped.entry(shape).or_default().push((place, value)),
                (None, Some(wanted)) if wanted.is_met_by(value) => {}
                (None, wanted) => differences.push(Difference {
                    place: place.clone(),
                    expected: wanted.map(Wanted::shown),
                    found: Some(shown(value)),
                }),
            }
        }
        for (place, wanted) in self.places.iter().filter(|(place, _)| !sheet.contains_key(place)) {
            differences.push(Difference {
                place: place.clone(),
                expected: Some(wanted.shown()),
                found: None,
            });
        }
        for (shape, values) in &shaped {
            let wanted = self.shaped.get(shape).map_or(&[][..], Vec::as_slice);
            let (unmet, extra) = matched(wanted, values);
            let mut unmet = unmet.into_iter();
            for index in extra {
                let (place, value) = values[index];
                let expected = unmet.next().map(|index| wanted[index].shown());
                differences.push(Difference { place: place.clone(), expected, found: Some(shown(value)) });
            }
            differences.extend(unmet.map(|index| missing(shape, &wanted[index])));
        }
        for (shape, wanted) in self.shaped.iter().filter(|(shape, _)| !shaped.contains_key(shape)) {
            differences.extend(wanted.iter().map(|wanted| missing(shape, wanted)));
        }
        if !self.distinct.is_empty() {
            differences.extend(self.distinct.shared(&self.patterns(), sheet));
        }
        differences.sort_by(|one, other| one.place.cmp(&other.place));
        differences
    }

    /// What may be anything, in words: the place, and how it is shown.
    #[must_use]
    pub fn masked(&self) -> Vec<(String, String)> {
        let places = self.places.iter().filter_map(|(place, wanted)| Some((place, wanted.text.as_ref()?)));
        let mut masked: Vec<(String, String)> = places
            .flat_map(|(place, text)| text.masked().into_iter().map(move |line| (place.to_string(), line)))
            .collect();
        for (shape, wanted) in &self.shaped {
            masked.push(("a name".into(), shape.path.clone()));
            let texts = wanted.iter().filter_map(|wanted| wanted.text.as_ref());
            masked.extend(texts.flat_map(Pattern::masked).map(|line| (shape.path.clone(), line)));
        }
        masked.dedup();
        masked
    }
}

fn missing(shape: &Location, wanted: &Wanted) -> Difference {
    Difference { place: Place::Entry(shape.clone()), expected: Some(wanted.shown()), found: None }
}

impl Wanted {
    fn learn(&mut self, value: &Value) -> Result<(), String> {
        if self.word != value.word {
            return Err(format!("it is {:?} in one run and {:?} in another", self.word, value.word));
        }
        if let (Some(pattern), Some(text)) = (&mut self.text, &value.text) {
            *pattern = pattern.learn(text).map_err(|error: Unlearnt| error.to_string())?;
        }
        Ok(())
    }

    fn is_met_by(&self, value: &Value) -> bool {
        let is_text_met = match (&self.text, &value.text) {
            (Some(pattern), Some(text)) => pattern.matches(text),
            (None, None) => true,
            _ => false,
        };
        self.word == value.word && is_text_met
    }

    fn shown(&self) -> String {
        told(&self.word, self.text.as_ref().map(Pattern::shown))
    }
}

fn shown(value: &Value) -> String {
    told(&value.word, value.text.as_ref().map(|text| String::from_utf8_lossy(text).into_owned()))
}

/// What stands at a place in one text: what is compared exactly on a line of its own, before the rest.
fn told(word: &str, text: Option<String>) -> String {
    match text {
        None => word.to_owned(),
        Some(text) if word.is_empty() => text,
        Some(text) => format!("{word}\n{text}"),
    }
}

/// Learns of entries of one shape: those are set side by side that are most alike.
fn learn_shaped(known: &mut [Wanted], new: &[(&Place, &Value)]) -> Result<(), String> {
    let (unmet, mut left) = matched(known, new);
    for index in unmet {
        let learnt = left.iter().enumerate().find_map(|(at, value)| {
            let mut wanted = known[index].clone();
            wanted.learn(new[*value].1).ok().map(|()| (at, wanted))
        });
        let Some((at, wanted)) = learnt else {
            return Err("its content differs from run to run and cannot be compared".into());
        };
        known[index] = wanted;
        left.remove(at);
    }
    Ok(())
}

/// Which wanted values are met by nobody, and which values meet none, where as many as possible are matched.
fn matched(wanted: &[Wanted], values: &[(&Place, &Value)]) -> (Vec<usize>, Vec<usize>) {
    let mut of_value: Vec<Option<usize>> = vec![None; values.len()];
    let fits = |index: usize, value: usize| wanted[index].is_met_by(values[value].1);
    let mut unmet = Vec::new();
    for index in 0..wanted.len() {
        if !place(index, &fits, &mut vec![false; values.len()], &mut of_value) {
            unmet.push(index);
        }
    }
    let extra = (0..values.len()).filter(|value| of_value[*value].is_none()).collect();
    (unmet, extra)
}

/// Finds a value for a wanted one, by augmenting paths (Kuhn 1955).
fn place(
    index: usize,
    fits: &dyn Fn(usize, usize) -> bool,
    tried: &mut [bool],
    of_value: &mut [Option<usize>],
) -> bool {
    for value in 0..of_value.len() {
        if !tried[value] && fits(index, value) {
            tried[value] = true;
            let is_free = match of_value[value] {
                None => true,
                Some(other) => place(other, fits, tried, of_value),
            };
            if is_free {
                of_value[value] = Some(index);
                return true;
            }
        }
    }
    false
}

/// The words of names that every run has.
fn vocabulary(runs: &[Sheet]) -> HashSet<String> {
    let words = |run: &Sheet| -> HashSet<String> {
        let paths = run.keys().filter_map(|place| match place {
            Place::Entry(location) => Some(location.path.as_str()),
            _ => None,
        });
        paths.flat_map(tokens).filter(|token| is_word(token)).map(str::to_owned).collect()
    };
    let mut sets = runs.iter().map(words);
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |known, words| known.intersection(&words).cloned().collect())
}

/// Whether a name is of a shape, each wildcard standing for at least one character that names are drawn of.
fn fits(shape: &str, name: &str) -> bool {
    let literal: Vec<String> = shape.split(WILDCARD).map(regex::escape).collect();
    regex::Regex::new(&format!("^{}$", literal.join(r"[\w-]+"))).is_ok_and(|shape| shape.is_match(name))
}

/// The parts of a path that names can be drawn of, and what stands between them.
fn parts(path: &str) -> Vec<&str> {
    let is_drawable = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let mut parts = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| is_drawable(c) != is_drawable(first)).unwrap_or(rest.len());
        parts.push(&rest[..end]);
        rest = &rest[end..];
    }
    parts
}

fn is_word(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphanumeric())
}

/// Words of letters and digits, and what stands between them.
fn tokens(path: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let end = if first.is_alphanumeric() {
            rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..end]);
        rest = &rest[end..];
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::race::outcome::Who;

    const P1: Who = Who::Command { process: 0, index: 0, alone: true };

    fn sheet(stdout: &str, files: &[(&str, &str)]) -> Sheet {
        let text = |text: &str| Some(text.as_bytes().into());
        let mut sheet = Sheet::new();
        sheet.insert(Place::Stdout(P1), Value { word: String::new(), text: text(stdout) });
        for (path, holds) in files {
            let place = Place::Entry(Location { folder: 0, path: (*path).to_owned() });
            sheet.insert(place, Value { word: "file 0644".into(), text: text(holds) });
        }
        sheet
    }

    fn places(differences: &[Difference]) -> Vec<String> {
        differences.iter().map(|difference| difference.place.to_string()).collect()
    }

    #[test]
    fn what_is_as_in_every_run_is_as_expected() {
        let runs = [sheet("a 1", &[("f", "x")]), sheet("a 2", &[("f", "x")])];
        let expected = Expected::learn(&runs).unwrap();
        assert_eq!(expected.differences(&sheet("a 99", &[("f", "x")])), []);
        let differences = expected.differences(&sheet("b 1", &[("f", "y"), ("g", "")]));
        assert_eq!(places(&differences), ["p1 stdout", "f", "g"]);
        assert_eq!(differences[0].expected.as_deref(), Some("a *"));
        assert!(differences[2].is_extra() && !differences[1].is_extra());
        assert_eq!(places(&expected.differences(&sheet("a 1", &[]))), ["f"]);
        assert_eq!(expected.masked(), [("p1 stdout".to_owned(), "a *".to_owned())]);
    }

    #[test]
    fn names_that_are_drawn_are_matched_by_their_shape() {
        let runs = [
            sheet("", &[("job-17", "a"), ("job-18", "b"), ("tmp/x.900", "17")]),
            sheet("", &[("job-27", "b"), ("job-28", "a"), ("tmp/x.901", "18")]),
        ];
        let expected = Expected::learn(&runs).unwrap();
        assert_eq!(expected.differences(&sheet("", &[("job-1", "b"), ("job-2", "a"), ("tmp/x.3", "4")])), []);
        let twice = expected.differences(&sheet("", &[("job-1", "b"), ("job-2", "b"), ("tmp/x.3", "4")]));
        assert_eq!(places(&twice).len(), 1);
        let one = expected.differences(&sheet("", &[("job-1", "b"), ("tmp/x.3", "4")]));
        assert_eq!((places(&one), one[0].found.is_none()), (vec!["job-*".to_owned()], true));
        let more = expected
            .differences(&sheet("", &[("job-1", "b"), ("job-2", "a"), ("job-3", "c"), ("tmp/x.3", "4")]));
        assert_eq!((places(&more), more[0].is_extra()), (vec!["job-3".to_owned()], true));
    }

    #[test]
    fn names_may_be_drawn_of_underscores_and_dashes_and_known_words() {
        let runs = [
            sheet("", &[(".p.8d2kq_1x", "a"), ("p", ""), ("run-91_a", "")]),
            sheet("", &[(".p.k3n5d0aa", "a"), ("p", ""), ("run-17_b", "")]),
        ];
        let expected = Expected::learn(&runs).unwrap();
        for name in [".p.3ubtx41_", ".p._3ubtx41", ".p.a-b_c-d1", ".p.p_3ubtx4", ".p.3ub_p_x4", ".p.3ubtx4_p"]
        {
            assert_eq!(
                expected.differences(&sheet("", &[(name, "a"), ("p", ""), ("run-2", "")])),
                [],
                "{name}"
            );
        }
        let other = expected.differences(&sheet("", &[(".q.3ubtx41x", "a"), ("p", ""), ("run-2", "")]));
        assert!(!other.is_empty());
    }

    #[test]
    fn what_cannot_be_learnt_is_named() {
        let wild = |one: Sheet, other: Sheet| {
            let wild = Expected::learn(&[one, other]).unwrap_err();
            format!("{}: {}", wild.place, wild.how)
        };
        assert_eq!(
            wild(sheet("", &[("f", "")]), sheet("", &[])),
            "f: there are 1 of this form in one run and 0 in another".replace("f:", "*:")
        );
        assert_eq!(
            wild(sheet("a\n", &[]), sheet("a\nb\n", &[])),
            "p1 stdout: the number of lines differs from run to run"
        );
    }
}
