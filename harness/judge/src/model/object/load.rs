//! Reads models of objects: by the name of a kind, or from a TOML file that says `kind`.

use std::path::Path;
use std::sync::Arc;

use super::{Fails, Kind, ObjectModel, QueueOrder};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem, Source, SourceKind};
use crate::document::tree::{self, Entry, Node, Value};
use crate::history::object::Op;
use crate::words::nearest;

/// Longest lease: a day, in nanoseconds.
const LEASE_MAX_NS: u64 = 86_400_000_000_000;

/// The model of the kind of this name.
#[must_use]
pub fn named(name: &str) -> Option<ObjectModel> {
    Kind::named(name).map(ObjectModel::of)
}

/// Whether the text of a model's file says that it is one of an object: it has a `kind` that is no table.
#[must_use]
pub fn is_object_model(text: &str) -> bool {
    let source = Arc::new(Source { kind: SourceKind::File, name: String::new(), text: text.to_owned() });
    let kind = |root: tree::Table| match root.entry("kind").map(|entry| &entry.node.value) {
        Some(Value::Text(kind)) => kind != "table",
        Some(_) => true,
        None => false,
    };
    tree::parse(&source).is_ok_and(kind)
}

/// Parses the text of a model's file. The error holds every problem found.
pub fn parse(path: &str, text: String) -> Result<ObjectModel, Vec<Problem>> {
    let name = Path::new(path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let source = Arc::new(Source { kind: SourceKind::File, name: path.to_owned(), text });
    let root = tree::parse(&source).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    let reader = Reader::titled(&root, "the model", Place::start_of(&source), &mut problems);
    let model = load(name, reader);
    match model {
        Some(model) if problems.is_empty() => Ok(model),
        _ => Err(problems),
    }
}

/// Reads a model from a table, such as a scenario's; problems are told to the reader.
pub fn load(name: String, mut reader: Reader<'_>) -> Option<ObjectModel> {
    let _ = reader.text("about");
    let kinds: Vec<&'static str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let Some(kind) = reader.word("kind", &kinds).and_then(Kind::named) else {
        reader.finish();
        return None;
    };
    let mut model = ObjectModel { name, ..ObjectModel::of(kind) };
    if kind == Kind::Queue {
        let orders: Vec<&'static str> = QueueOrder::ALL.iter().map(|order| order.as_str()).collect();
        model.order = reader.word("order", &orders).and_then(QueueOrder::named).unwrap_or(QueueOrder::Fifo);
    }
    if kind == Kind::Lock {
        model.lease_ns = reader.duration_ns("lease", 1..=LEASE_MAX_NS);
    } else if let Some(entry) = reader.take("initial") {
        model.initial = initial(&mut reader, kind, &entry.node);
    }
    let mut section = reader.section("operations", "[operations]");
    for entry in section.take_all() {
        if let Some((op, fails)) = operation(&mut section, kind, entry) {
            model.fails.insert(op, fails);
        }
    }
    reader.finish();
    Some(model)
}

/// A first value that fits the kind.
fn initial(reader: &mut Reader<'_>, kind: Kind, node: &Node) -> Option<serde_json::Value> {
    let fits = match kind {
        Kind::Counter => matches!(node.value, Value::Integer(_)),
        Kind::Set | Kind::Log | Kind::Queue => matches!(node.value, Value::Array(_)),
        Kind::Register | Kind::Lock => true,
    };
    let value = node.value.json().filter(|_| fits);
    if value.is_none() {
        let expected = match kind {
            Kind::Counter => "a whole number",
            Kind::Set | Kind::Log | Kind::Queue => "a list",
            Kind::Register | Kind::Lock => "a number, text, list or table",
        };
        let message = format!("initial: expected {expected}, found {}", node.value.describe());
        reader.complain(Problem::new(&node.place, message));
    }
    value
}

/// `add = { fails = "never" }`.
fn operation(reader: &mut Reader<'_>, kind: Kind, entry: &Entry) -> Option<(Op, Fails)> {
    let words = || kind.operations().iter().map(|op| op.as_str());
    let Some(op) = Op::named(&entry.key).filter(|op| kind.operations().contains(op)) else {
        let message = format!("a {kind} has no operation {:?}", entry.key);
        let help = match nearest(&entry.key, words()) {
            Some(near) => format!("the nearest is {near:?}"),
            None => format!("it has {}", words().collect::<Vec<_>>().join(", ")),
        };
        reader.complain(Problem::new(&entry.key_place, message).with_help(help));
        return None;
    };
    let expected = "expected { fails = \"never\" }, \"busy\" or \"any\"";
    let fails = match &entry.node.value {
        Value::Table(table) if table.entries.len() == 1 => {
            match table.entry("fails").map(|entry| &entry.node.value) {
                Some(Value::Text(word)) => Fails::named(word),
                _ => None,
            }
        }
        _ => None,
    };
    if fails.is_none() {
        let message = format!("{}: {expected}, found {}", entry.key, entry.node.value.describe());
        reader.complain(Problem::new(&entry.node.place, message));
    }
    Some((op, fails?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<ObjectModel, String> {
        parse("some/tickets.toml", text.to_owned())
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_model_is_read_with_all_that_it_says() {
        let text = "about = \"Tickets.\"\nkind = \"counter\"\ninitial = 7\n\n[operations]\nadd = { fails = \"never\" }\n\
                    read = { fails = \"busy\" }\n";
        let model = parsed(text).expect("well-formed");
        assert_eq!((model.name.as_str(), model.kind), ("tickets", Kind::Counter));
        assert_eq!(model.initial, Some(7.into()));
        assert_eq!((model.fails(Op::Add), model.fails(Op::Read)), (Fails::Never, Fails::Busy));
        let queue = parsed("kind = \"queue\"\norder = \"any\"\ninitial = [1, \"a\"]").expect("well-formed");
        assert_eq!((queue.order, queue.initial), (QueueOrder::Any, Some(serde_json::json!([1, "a"]))));
        assert_eq!(
            parsed("kind = \"lock\"\nlease = \"10s\"").expect("well-formed").lease_ns,
            Some(10_000_000_000)
        );
        assert!(is_object_model(text) && !is_object_model("statuses = []"));
    }

    #[test]
    fn the_page_has_every_kind_and_operation_and_its_example_is_a_model() {
        let page = crate::model::document::OBJECTS;
        for kind in Kind::ALL {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{kind}` | "))).expect("a row");
            for op in kind.operations() {
                assert!(row.contains(&format!("`{op}`")), "{op} of {kind}");
            }
        }
        let (_, rest) = page.split_once("```toml\n").expect("an example");
        let (example, _) = rest.split_once("```").expect("its end");
        assert_eq!(parsed(example).expect("a model").fails(Op::Add), Fails::Never);
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        for (text, expected) in [
            ("kind = \"regster\"", "register"),
            (
                "kind = \"counter\"\n[operations]\nappend = { fails = \"never\" }",
                "a counter has no operation \"append\"",
            ),
            ("kind = \"counter\"\n[operations]\nadd = \"never\"", "add: expected { fails"),
            ("kind = \"counter\"\ninitial = []", "initial: expected a whole number"),
            ("kind = \"counter\"\norder = \"any\"", "unknown key \"order\""),
            ("kind = \"lock\"\nlease = \"soon\"", "lease: expected a duration"),
        ] {
            let told = parsed(text).expect_err(text);
            assert!(told.contains(expected), "{told}");
        }
    }
}
