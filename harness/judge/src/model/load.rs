//! Reads models: by name, or from a TOML file that says what one of its own is.
//!
//! Problems are told as those of scenarios are: all at once, with line, column and the nearest known word.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use flockwork::{Operation, Status};

use super::compile::Model;
use super::rules::{Otherwise, Place as At, Rule, Rules, Target, spelled};
use super::{AnyModel, Builtin, object};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem, Source, SourceKind};
use crate::document::tree::{self, Entry, Node, Value};
use crate::history::Deaths;
use crate::words::nearest;

/// A model is something a person wrote. What is larger is some other file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A name or path that leads to no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Neither a name nor a file.
    #[error("{name}: no model of that name, and no such file; {hint}")]
    Absent {
        /// As it was typed.
        name: String,
        /// What to do about it: which models there are.
        hint: String,
    },
    /// It is there and cannot be read as a text.
    #[error("{path}: cannot be read as a model: {why}")]
    Unreadable {
        /// The file that could not be read, as it was given.
        path: String,
        /// What the system said.
        why: String,
    },
    /// It does not say what a model needs to say.
    #[error("{}", all(.0))]
    Malformed(Vec<Problem>),
}

fn all(problems: &[Problem]) -> impl fmt::Display {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The model of this name, or in this file, whatever it is of. A file named as one that is known is reached by `./runsc`.
pub fn load_any(name_or_path: &str) -> Result<AnyModel, LoadError> {
    if let Some(builtin) = Builtin::named(name_or_path) {
        return Ok(AnyModel::Table(Model::builtin(builtin)));
    }
    if let Some(model) = object::named(name_or_path) {
        return Ok(AnyModel::Object(model));
    }
    let path = Path::new(name_or_path);
    if path.symlink_metadata().is_err() {
        let kinds = object::Kind::whole().into_iter().map(object::Kind::as_str);
        let names: Vec<&str> = Builtin::ALL.map(Builtin::as_str).into_iter().chain(kinds).collect();
        let hint = match nearest(name_or_path, names.iter().copied()) {
            Some(near) => format!("the nearest is {near:?}"),
            None => format!("known models: {}, or a TOML file", names.join(", ")),
        };
        return Err(LoadError::Absent { name: name_or_path.into(), hint });
    }
    let text = text(path).map_err(|why| LoadError::Unreadable { path: name_or_path.into(), why })?;
    if object::is_object_model(&text) {
        return object::parse(name_or_path, text).map(AnyModel::Object).map_err(LoadError::Malformed);
    }
    parse(name_or_path, text).map(AnyModel::Table).map_err(LoadError::Malformed)
}

/// The model of this name, or in this file. A file named as a model that is compiled in is reached by `./runsc`.
pub fn load(name_or_path: &str) -> Result<Model, LoadError> {
    if let Some(builtin) = Builtin::named(name_or_path) {
        return Ok(Model::builtin(builtin));
    }
    let path = Path::new(name_or_path);
    if path.symlink_metadata().is_err() {
        let names = Builtin::ALL.map(Builtin::as_str);
        let hint = match nearest(name_or_path, names) {
            Some(near) => format!("the nearest is {near:?}"),
            None => format!("known models: {}, or a TOML file", names.join(", ")),
        };
        return Err(LoadError::Absent { name: name_or_path.into(), hint });
    }
    let text = text(path).map_err(|why| LoadError::Unreadable { path: name_or_path.into(), why })?;
    parse(name_or_path, text).map_err(LoadError::Malformed)
}

fn text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than the limit of {FILE_BYTES_MAX} bytes"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let sound = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        format!("line {} is not UTF-8", sound.split(|byte| *byte == b'\n').count())
    })
}

/// Parses the text of a model's file. The error holds every problem found.
pub fn parse(path: &str, text: String) -> Result<Model, Vec<Problem>> {
    let stem = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let source = Arc::new(Source { kind: SourceKind::File, name: path.to_owned(), text });
    let root = tree::parse(&source).map_err(|problem| vec![problem])?;
    let start = Place::start_of(&source);
    let mut problems = Vec::new();
    let (rules, places) = read(stem, Reader::titled(&root, "the model", start.clone(), &mut problems));
    if !problems.is_empty() {
        return Err(problems);
    }
    Model::of(rules).map_err(|unsound| {
        let place = places.iter().find(|(of, _)| Some(*of) == unsound.operation).map_or(&start, |(_, at)| at);
        vec![Problem::new(place, unsound.why)]
    })
}

/// The rules, and where each operation's stand.
fn read(name: String, mut reader: Reader<'_>) -> (Rules, Vec<(Operation, Place)>) {
    let about = reader.text("about").map(|(text, _)| text.to_owned()).unwrap_or_default();
    let statuses = read_statuses(&mut reader);
    let initial = match reader.take("initial") {
        Some(entry) => known_place(&mut reader, "initial", &entry.node, &statuses).flatten(),
        None => None,
    };
    let deaths = match reader.take("deaths") {
        Some(entry) => {
            let words = Deaths::ALL.map(|deaths| (deaths.as_str(), deaths));
            one_of(&mut reader, "deaths", &entry.node, &words).unwrap_or(Deaths::Never)
        }
        None => Deaths::Never,
    };
    let mut rules = Vec::new();
    let mut places = Vec::new();
    if reader.take("operations").is_none() {
        reader.missing("operations", "a table with an entry for each operation");
    }
    let mut section = reader.section("operations", "[operations]");
    for entry in section.take_all() {
        if let Some(rule) = read_rule(&mut section, entry, &statuses) {
            places.push((rule.operation, entry.key_place.clone()));
            rules.push(rule);
        }
    }
    rules.sort_by_key(|rule: &Rule| rule.operation);
    reader.finish();
    (Rules { name, about, initial, deaths, statuses, rules }, places)
}

fn read_statuses(reader: &mut Reader<'_>) -> Vec<Status> {
    let expected = "a list of statuses, such as [\"created\", \"running\", \"stopped\"]";
    let Some(entry) = reader.take("statuses") else {
        reader.missing("statuses", expected);
        return Vec::new();
    };
    let mut statuses = Vec::new();
    for node in items(&entry.node) {
        match known_place(reader, "statuses", node, &Status::ALL) {
            Some(Some(status)) if !statuses.contains(&status) => statuses.push(status),
            Some(Some(status)) => {
                reader.complain(Problem::new(&node.place, format!("statuses: {status} appears twice")));
            }
            Some(None) => {
                let message = "statuses: leave out absent: it is the lack of a status, and always exists";
                reader.complain(Problem::new(&node.place, message));
            }
            None => {}
        }
    }
    // In the order of a container's life, whatever the order in the file.
    statuses.sort();
    statuses
}

/// A list's items; what is no list is its own item.
fn items(node: &Node) -> &[Node] {
    match &node.value {
        Value::Array(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// A status of the model, or absent.
fn known_place(reader: &mut Reader<'_>, key: &str, node: &Node, statuses: &[Status]) -> Option<At> {
    let places = std::iter::once(None).chain(statuses.iter().copied().map(Some));
    let words: Vec<_> = places.map(|place| (spelled(place), place)).collect();
    one_of(reader, key, node, &words)
}

/// What one of several words means.
fn one_of<T: Copy>(
    reader: &mut Reader<'_>,
    key: &str,
    node: &Node,
    words: &[(&'static str, T)],
) -> Option<T> {
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    if let Some(&(_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Some(meaning);
    }
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let message = format!("{key}: expected one of {}, found {}", names.join(", "), node.value.describe());
    let mut problem = Problem::new(&node.place, message);
    if let Some(near) = nearest(text, names) {
        problem = problem.with_help(format!("the nearest is {near:?}"));
    }
    reader.complain(problem);
    None
}

fn read_rule(section: &mut Reader<'_>, entry: &Entry, statuses: &[Status]) -> Option<Rule> {
    let Ok(operation) = entry.key.parse::<Operation>() else {
        let known = Operation::ALL.map(Operation::as_str);
        let problem = Problem::new(&entry.key_place, format!("unknown operation {:?}", entry.key));
        section.complain(match nearest(&entry.key, known) {
            Some(near) => problem.with_help(format!("the nearest known operation is {near:?}")),
            None => problem.with_help(format!("known operations: {}", known.join(", "))),
        });
        return None;
    };
    let Value::Table(table) = &entry.node.value else {
        let found = entry.node.value.describe();
        let message = format!("{operation}: expected {{ from = …, to = … }}, found {found}");
        section.complain(Problem::new(&entry.node.place, message));
        return None;
    };
    if operation == Operation::List {
        let message = "list concerns no single container, so no model judges it: leave it out";
        section.complain(Problem::new(&entry.key_place, message));
        return None;
    }
    let mut problems = Vec::new();
    let mut reader = Reader::titled(table, operation.as_str(), entry.key_place.clone(), &mut problems);
    let rule = read_fields(&mut reader, operation, statuses);
    reader.finish();
    for problem in problems {
        section.complain(problem);
    }
    rule
}

fn read_fields(reader: &mut Reader<'_>, operation: Operation, statuses: &[Status]) -> Option<Rule> {
    let from = read_from(reader, statuses);
    let to = read_to(reader, statuses);
    let or = reader.take("or").and_then(|entry| {
        let words: Vec<_> = statuses.iter().map(|&status| (status.as_str(), status)).collect();
        one_of(reader, "or", &entry.node, &words)
    });
    let otherwise = match reader.take("refused") {
        None => Some(Otherwise::Status),
        Some(entry) => {
            let words =
                [("status", Otherwise::Status), ("exists", Otherwise::Exists), ("waits", Otherwise::Waits)];
            one_of(reader, "refused", &entry.node, &words)
        }
    };
    let idle = match reader.take("idle") {
        None => Vec::new(),
        Some(entry) => {
            let nodes = items(&entry.node).iter();
            nodes.filter_map(|node| known_place(reader, "idle", node, statuses)).collect()
        }
    };
    let bounds = object::bounds(reader);
    let (from, (to, to_place)) = (from?, to?);
    if let Some(both) = idle.iter().find(|place| from.contains(place)) {
        let message = format!("idle: {} is one of from already", spelled(*both));
        let place = reader.place().clone();
        reader.complain(Problem::new(&place, message));
    }
    if to == Target::Remembered && from.contains(&None) {
        let message = "to: nothing is remembered of an absent container, which is one of from";
        reader.complain(Problem::new(to_place, message));
    }
    let fails = bounds.fails.unwrap_or(object::Fails::Any);
    Some(Rule { operation, from, to, or, idle, otherwise: otherwise?, fails, within_ns: bounds.within_ns })
}

fn read_from(reader: &mut Reader<'_>, statuses: &[Status]) -> Option<Vec<At>> {
    let Some(entry) = reader.take("from") else {
        reader.missing("from", "the statuses it is permitted in");
        return None;
    };
    let nodes = items(&entry.node);
    if nodes.is_empty() {
        reader.complain(Problem::new(&entry.node.place, "from: expected at least one status; it is empty"));
    }
    Some(nodes.iter().filter_map(|node| known_place(reader, "from", node, statuses)).collect())
}

/// Where it leads, and where that stands.
fn read_to<'a>(reader: &mut Reader<'a>, statuses: &[Status]) -> Option<(Target, &'a Place)> {
    let Some(entry) = reader.take("to") else {
        reader.missing("to", "the status it leads to, \"absent\", \"same\" or \"remembered\"");
        return None;
    };
    let places = std::iter::once(None).chain(statuses.iter().copied().map(Some));
    let mut words: Vec<_> = places.map(|place| (spelled(place), Target::Place(place))).collect();
    words.extend([("same", Target::Same), ("remembered", Target::Remembered)]);
    one_of(reader, "to", &entry.node, &words).map(|to| (to, &entry.node.place))
}
