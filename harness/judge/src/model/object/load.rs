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
/// Longest time that an operation may be given: a day, in nanoseconds.
const WITHIN_MAX_NS: u64 = 86_400_000_000_000;

/// The model of the kind of this name.
#[must_use]
pub fn named(name: &str) -> Option<ObjectModel> {
    Kind::of_name(name).map(ObjectModel::of)
}

/// Whether the text of a model's file says that it is one of an object: it has a `kind`. Without one it is of containers.
#[must_use]
pub fn is_object_model(text: &str) -> bool {
    let source = Arc::new(Source { kind: SourceKind::File, name: String::new(), text: text.to_owned() });
    tree::parse(&source).is_ok_and(|root| root.entry("kind").is_some())
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
    if !reader.has("kind") {
        reader.missing("kind", &format!("one of {}", kinds.join(", ")));
    }
    let Some(kind) = reader.word("kind", &kinds).and_then(Kind::named) else {
        reader.finish();
        return None;
    };
    let mut model = ObjectModel { name, ..ObjectModel::of(kind) };
    if kind == Kind::Table {
        model.rules = super::load_table::rules(reader).map(Arc::new);
        return Some(model);
    }
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
        if let Some((op, limits)) = operation(&mut section, kind, entry) {
            model.fails.extend(limits.fails.map(|fails| (op, fails)));
            model.within_ns.extend(limits.within_ns.map(|within_ns| (op, within_ns)));
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
        Kind::Register | Kind::Lock | Kind::Table => true,
    };
    let value = node.value.json().filter(|_| fits);
    if value.is_none() {
        let expected = match kind {
            Kind::Counter => "a whole number",
            Kind::Set | Kind::Log | Kind::Queue => "a list",
            Kind::Register | Kind::Lock | Kind::Table => "a number, text, list or table",
        };
        let message = format!("initial: expected {expected}, found {}", node.value.describe());
        reader.complain(Problem::new(&node.place, message));
    }
    value
}

/// What a model says of an operation beside what it does.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::model) struct Bounds {
    /// Whether it may fail.
    pub fails: Option<Fails>,
    /// How long it may take.
    pub within_ns: Option<u64>,
}

/// Reads `fails` and `within`.
pub(in crate::model) fn bounds(reader: &mut Reader<'_>) -> Bounds {
    let words: Vec<&'static str> = Fails::ALL.iter().map(|fails| fails.as_str()).collect();
    Bounds {
        fails: reader.word("fails", &words).and_then(Fails::named),
        within_ns: reader.duration_ns("within", 1..=WITHIN_MAX_NS),
    }
}

/// `add = { fails = "never", within = "2s" }`.
fn operation<'a>(reader: &mut Reader<'a>, kind: Kind, entry: &'a Entry) -> Option<(Op, Bounds)> {
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
    let Value::Table(table) = &entry.node.value else {
        let expected = "expected { fails = \"never\" }, \"busy\" or \"any\", or { within = \"2s\" }";
        let message = format!("{}: {expected}, found {}", entry.key, entry.node.value.describe());
        reader.complain(Problem::new(&entry.node.place, message));
        return None;
    };
    let mut inner = reader.inner(table, op.as_str(), entry.key_place.clone());
    let bounds = bounds(&mut inner);
    inner.finish();
    Some((op, bounds))
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
        for kind in Kind::whole() {
            let row = page.lines().find(|line| line.starts_with(&format!("| `{kind}` | "))).expect("a row");
            for op in kind.operations() {
                assert!(row.contains(&format!("`{op}`")), "{op} of {kind}");
            }
        }
        let (_, rest) = page.split_once("```toml\n").expect("an example");
        let (example, _) = rest.split_once("```").expect("its end");
        let example = parsed(example).expect("a model");
        assert_eq!((example.fails(Op::Add), example.within_ns[&Op::Add]), (Fails::Never, 5_000_000_000));
        assert_eq!(parsed(crate::model::document::DOOR).expect("a model").kind, Kind::Table);
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
