//! Reads a table in its owner's words: statuses, and operations that lead from one to another.

use super::Fails;
use super::load::bounds;
use super::table::{ABSENT, OPERATIONS_MAX, Otherwise, Place as At, Rule, Rules, STATUSES_MAX, Target};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Entry, Node, Value};
use crate::words::nearest;

/// Words that mean something else than a status of that name.
const TAKEN: [&str; 4] = [ABSENT, "same", "remembered", "unknown"];

/// Reads the rest of a table's model; problems are told to the reader.
pub(super) fn rules(mut reader: Reader<'_>) -> Option<Rules> {
    let statuses = read_statuses(&mut reader)?;
    let words = Words::of(&statuses);
    let initial = match reader.take("initial") {
        Some(entry) => words.place(&mut reader, "initial", &entry.node).unwrap_or(0),
        None => 0,
    };
    if reader.has("deaths") {
        let place = reader.take("deaths").map(|entry| entry.key_place.clone())?;
        let message = "deaths: only a table of containers has them; here an end is an operation";
        reader.complain(Problem::new(&place, message));
    }
    if !reader.has("operations") {
        reader.missing("operations", "a table with an entry for each operation");
    }
    let start = reader.place().clone();
    let mut section = reader.section("operations", "[operations]");
    let entries = section.take_all();
    if entries.len() > OPERATIONS_MAX {
        let message = format!("operations: {}; the limit is {OPERATIONS_MAX}", entries.len());
        section.complain(Problem::new(&start, message));
        return None;
    }
    let read: Vec<Option<Rule>> =
        entries.iter().map(|entry| read_rule(&mut section, entry, &words)).collect();
    let places: Vec<Place> = entries.iter().map(|entry| entry.key_place.clone()).collect();
    let names: Vec<String> = statuses.iter().map(|&status| status.to_owned()).collect();
    let operations: Option<Vec<Rule>> = read.into_iter().collect();
    let rules = operations.map(|operations| Rules::of(names, initial, operations));
    let rules = match rules {
        Some(Ok(rules)) => Some(rules),
        Some(Err((number, why))) => {
            let place = number.map_or(&start, |number| &places[number]);
            reader.complain(Problem::new(place, why));
            None
        }
        None => None,
    };
    reader.finish();
    rules
}

fn read_statuses<'a>(reader: &mut Reader<'a>) -> Option<Vec<&'a str>> {
    let expected = "a list of statuses, such as [\"open\", \"closed\", \"locked\"]";
    if !reader.has("statuses") {
        reader.missing("statuses", expected);
    }
    let (place, nodes) = reader.list("statuses", expected)?;
    if nodes.len() > STATUSES_MAX {
        let message = format!("statuses: {}; the limit is {STATUSES_MAX}", nodes.len());
        reader.complain(Problem::new(place, message));
        return None;
    }
    let mut statuses: Vec<&str> = Vec::new();
    let mut are_sound = true;
    for node in nodes {
        let what = match &node.value {
            Value::Text(text) if TAKEN.contains(&text.as_str()) => {
                format!("statuses: {text:?} cannot name a status: it has its own meaning")
            }
            Value::Text(text) if statuses.contains(&text.as_str()) => {
                format!("statuses: {text} appears twice")
            }
            Value::Text(text) => {
                statuses.push(text);
                continue;
            }
            other => format!("statuses: expected a text, found {}", other.describe()),
        };
        are_sound = false;
        reader.complain(Problem::new(&node.place, what));
    }
    are_sound.then_some(statuses)
}

/// The places that there are, by name.
struct Words<'a>(Vec<(&'a str, At)>);

impl<'a> Words<'a> {
    fn of(statuses: &[&'a str]) -> Self {
        let numbered = (1..).zip(statuses).map(|(number, &status)| (status, number));
        Self(std::iter::once((ABSENT, 0)).chain(numbered).collect())
    }

    fn place(&self, reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<At> {
        one_of(reader, key, node, &self.0)
    }

    /// One place, or a list of them.
    fn places(&self, reader: &mut Reader<'_>, key: &str, node: &Node) -> Option<Vec<At>> {
        let nodes = match &node.value {
            Value::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        // Each is read, so that all mistakes are told.
        let places: Vec<Option<At>> = nodes.iter().map(|node| self.place(reader, key, node)).collect();
        places.into_iter().collect()
    }
}

/// What one of several words means.
fn one_of<T: Copy>(reader: &mut Reader<'_>, key: &str, node: &Node, words: &[(&str, T)]) -> Option<T> {
    /// How many words a message lists.
    const LISTED_MAX: usize = 20;
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    if let Some(&(_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Some(meaning);
    }
    let mut names: Vec<&str> = words.iter().take(LISTED_MAX).map(|(word, _)| *word).collect();
    if words.len() > LISTED_MAX {
        names.push("…");
    }
    let message = format!("{key}: expected one of {}, found {}", names.join(", "), node.value.describe());
    let mut problem = Problem::new(&node.place, message);
    if let Some(near) = nearest(text, words.iter().map(|(word, _)| *word)) {
        problem = problem.with_help(format!("the nearest is {near:?}"));
    }
    reader.complain(problem);
    None
}

fn read_rule<'a>(section: &mut Reader<'a>, entry: &'a Entry, words: &Words<'_>) -> Option<Rule> {
    let Value::Table(table) = &entry.node.value else {
        let found = entry.node.value.describe();
        let message = format!("{}: expected {{ from = …, to = … }}, found {found}", entry.key);
        section.complain(Problem::new(&entry.node.place, message));
        return None;
    };
    let mut reader = section.inner(table, &entry.key, entry.key_place.clone());
    let rule = read_fields(&mut reader, &entry.key, words);
    reader.finish();
    rule
}

fn read_fields(reader: &mut Reader<'_>, name: &str, words: &Words<'_>) -> Option<Rule> {
    let from = if let Some(entry) = reader.take("from") {
        words.places(reader, "from", &entry.node)
    } else {
        reader.missing("from", "the statuses it is permitted in");
        None
    };
    let to = read_to(reader, words);
    let or = match reader.take("or") {
        Some(entry) => words.place(reader, "or", &entry.node),
        None => None,
    };
    let idle = match reader.take("idle") {
        Some(entry) => words.places(reader, "idle", &entry.node)?,
        None => Vec::new(),
    };
    let refusals =
        [("status", Otherwise::Status), ("exists", Otherwise::Exists), ("waits", Otherwise::Waits)];
    let otherwise = match reader.take("refused") {
        Some(entry) => one_of(reader, "refused", &entry.node, &refusals),
        None => Some(Otherwise::Status),
    };
    let bounds = bounds(reader);
    let (from, (to, to_place)) = (from?, to?);
    let wrong = if from.is_empty() {
        Some("from: expected at least one status; it is empty")
    } else if idle.iter().any(|place| from.contains(place)) {
        Some("idle: one of these is one of from already")
    } else if to == Target::Remembered && from.contains(&0) {
        Some("to: nothing is remembered of what is absent, which is one of from")
    } else if or == Some(0) {
        Some("or: expected a status: what is absent reports none")
    } else {
        None
    };
    if let Some(wrong) = wrong {
        reader.complain(Problem::new(&to_place, wrong));
        return None;
    }
    Some(Rule {
        name: name.to_owned(),
        from,
        to,
        or,
        idle,
        otherwise: otherwise?,
        fails: bounds.fails.unwrap_or(Fails::Any),
        within_ns: bounds.within_ns,
    })
}

/// Where it leads, and where that stands.
fn read_to(reader: &mut Reader<'_>, words: &Words<'_>) -> Option<(Target, Place)> {
    let Some(entry) = reader.take("to") else {
        reader.missing("to", "the status it leads to, \"absent\", \"same\" or \"remembered\"");
        return None;
    };
    let places = words.0.iter().map(|&(word, place)| (word, Target::Place(place)));
    let mut all = vec![("same", Target::Same), ("remembered", Target::Remembered)];
    all.extend(places);
    one_of(reader, "to", &entry.node, &all).map(|to| (to, entry.node.place.clone()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::super::{Fails, Kind, ObjectModel, parse};

    const DOOR: &str = "\
kind = \"table\"
about = \"A door.\"
initial = \"closed\"
statuses = [\"open\", \"closed\", \"locked\", \"jammed\"]

[operations]
open   = { from = \"closed\", to = \"open\", fails = \"never\" }
close  = { from = \"open\", to = \"closed\", idle = \"closed\", within = \"2s\" }
lock   = { from = \"closed\", to = \"locked\", refused = \"exists\" }
jam    = { from = [\"open\", \"closed\"], to = \"jammed\" }
repair = { from = \"jammed\", to = \"remembered\" }
look   = { from = [\"open\", \"closed\", \"locked\", \"jammed\"], to = \"same\" }
";

    fn parsed(text: &str) -> Result<ObjectModel, String> {
        parse("some/door.toml", text.to_owned())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_table_is_read_with_all_that_it_says() {
        let model = parsed(DOOR).expect("well-formed");
        assert_eq!((model.name.as_str(), model.kind), ("door", Kind::Table));
        let rules = model.rules.as_deref().expect("a table");
        // Absent, open, closed, locked, and jammed from open and from closed.
        assert_eq!((rules.states(), rules.place("locked"), rules.initial()), (6, Some(3), 2));
        let rule = |name: &str| rules.operation(rules.number(name).expect("it has it")).expect("it has it");
        assert_eq!((rule("open").fails, rule("look").fails), (Fails::Never, Fails::Any));
        assert_eq!((rule("close").within_ns, rule("open").within_ns), (Some(2_000_000_000), None));
        assert_eq!(model.op_names().len(), 6);
    }

    #[test]
    fn there_may_be_many_statuses_and_no_more() {
        let table = |count: usize| {
            let statuses: Vec<String> = (0..count).map(|number| format!("\"s{number}\"")).collect();
            let mut text = format!("kind = \"table\"\nstatuses = [{}]\n[operations]\n", statuses.join(", "));
            _ = writeln!(text, "make = {{ from = \"absent\", to = \"s0\" }}");
            text
        };
        assert_eq!(
            parsed(&table(250)).expect("as many as there may be").rules.expect("a table").states(),
            251
        );
        assert!(parsed(&table(251)).expect_err("one too many").contains("statuses: 251"));
    }

    #[test]
    fn a_mistake_in_a_table_is_told_with_its_place() {
        for (old, new, expected) in [
            ("to = \"open\"", "to = \"opne\"", "the nearest is \"open\""),
            ("from = \"closed\", to = \"open\"", "to = \"open\"", "open needs from"),
            ("\"jammed\"]\n", "\"jammed\", \"open\"]\n", "statuses: open appears twice"),
            ("\"jammed\"]\n", "\"same\"]\n", "cannot name a status"),
            ("fails = \"never\"", "fails = \"seldom\"", "fails: expected one of never, busy, any"),
            ("within = \"2s\"", "within = \"soon\"", "within: expected a duration"),
            ("idle = \"closed\"", "idle = \"open\"", "one of these is one of from already"),
            ("initial = \"closed\"", "initial = \"jammed\"", "entered from one other only"),
            ("refused = \"exists\"", "refused = \"no\"", "refused: expected one of status, exists, waits"),
            ("look ", "look.x", "unknown key"),
            ("about", "deaths = \"free\"\nabout", "deaths: only a table of containers"),
        ] {
            let text = DOOR.replacen(old, new, 1);
            assert_ne!(text, DOOR, "{old}");
            let told = parsed(&text).expect_err(&text);
            assert!(told.contains(expected), "{new}: {told}");
            assert!(told.contains("door.toml:"), "{told}");
        }
    }
}
