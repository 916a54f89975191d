//! TOML as a tree in which every key and value knows its place, and the overrides of the command line on top of it.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::source::{Place, Problem, Source, SourceKind};

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What was written there.
    pub value: Value,
    /// Where in the document the value stands, for messages.
    pub place: Place,
}

/// A TOML value, reduced to what scenarios use.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A string; a date counts as one, spelled as it was.
    Text(String),
    /// A whole number.
    Integer(i128),
    /// A number with a fraction.
    Float(f64),
    /// true or false.
    Boolean(bool),
    /// An array: its items in their order, each with its place.
    Array(Vec<Node>),
    /// A table, inline or under a heading.
    Table(Table),
}

impl Value {
    /// What it is, in words, for "expected …, found …".
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Text(text) => format!("the text {text:?}"),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Boolean(truth) => truth.to_string(),
            Self::Array(_) => "a list".into(),
            Self::Table(_) => "a table".into(),
        }
    }

    /// The same as JSON; none where a number has no like there (not finite, or of more than 64 bits).
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Text(text) => text.as_str().into(),
            Self::Integer(number) => serde_json::Number::from_i128(*number)?.into(),
            Self::Float(number) => serde_json::Number::from_f64(*number)?.into(),
            Self::Boolean(truth) => (*truth).into(),
            Self::Array(items) => {
                items.iter().map(|item| item.value.json()).collect::<Option<Vec<_>>>()?.into()
            }
            Self::Table(table) => {
                let entries =
                    table.entries.iter().map(|entry| Some((entry.key.clone(), entry.node.value.json()?)));
                entries.collect::<Option<serde_json::Map<_, _>>>()?.into()
            }
        })
    }
}

/// A table: few entries, so a list is its own index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Keys and values in the order in which they were written.
    pub entries: Vec<Entry>,
}

/// A key of a table, and its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key without its quotes.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// What the key was given.
    pub node: Node,
}

impl Table {
    /// The entry of a key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn set(&mut self, new: Entry) {
        match self.entries.iter_mut().find(|entry| entry.key == new.key) {
            Some(entry) => *entry = new,
            None => self.entries.push(new),
        }
    }
}

/// Parses a TOML document, each value with the place at which it stands; the error has a place too.
pub fn parse(source: &Arc<Source>) -> Result<Table, Problem> {
    let root = DeTable::parse(&source.text).map_err(|error| syntax(source, 0, &error))?;
    Ok(table(source, 0, root.get_ref()))
}

/// Pairs of keys of which one makes the other meaningless: setting either on the command line clears the other.
const RIVALS: [(&str, &str, &str); 1] = [("stress", "operations", "duration")];

/// Sets one value: the argument has the form `key.path=value`.
///
/// The value is TOML; what is no TOML but a plain word (`ofd`, `10s`, `0us..50us`) is a string.
pub fn set(root: &mut Table, argument: &Arc<Source>) -> Result<(), Problem> {
    let text = argument.text.as_str();
    let whole = Place { source: Arc::clone(argument), span: 0..text.len() };
    let Some((path, value)) = split_assignment(text) else {
        return Err(Problem::new(&whole, "expected key.path=value, such as stress.processes=4"));
    };
    let path = key_path(path).map_err(|why| Problem::new(&whole, why))?;
    let key_place = Place { source: Arc::clone(argument), span: 0..text.len() - value.len() - 1 };
    let node = argument_value(argument, value)?;
    let (last, folders) = path.split_last().expect("split yields at least one part");
    let mut table = root;
    for folder in folders {
        table = descend(table, folder, &key_place)?;
    }
    table.set(Entry { key: last.clone(), key_place, node });
    if let [folder] = folders {
        clear_rival(table, folder, last);
    }
    Ok(())
}

/// The path and the value of `key.path=value`: split at the first = that is not in quotes.
fn split_assignment(text: &str) -> Option<(&str, &str)> {
    let at = outside_quotes(text).find(|(_, c)| *c == '=')?.0;
    Some((&text[..at], &text[at + 1..]))
}

/// The keys of a path, as TOML spells them: a key with a point in it stands in quotes.
fn key_path(path: &str) -> Result<Vec<String>, &'static str> {
    let points: Vec<usize> = outside_quotes(path).filter(|(_, c)| *c == '.').map(|(at, _)| at).collect();
    let starts = std::iter::once(0).chain(points.iter().map(|at| at + 1));
    let ends = points.iter().copied().chain([path.len()]);
    let keys = starts.zip(ends).map(|(start, end)| {
        let key = path[start..end].trim();
        let quoted = ['"', '\''].into_iter().find_map(|quote| key.strip_prefix(quote)?.strip_suffix(quote));
        match quoted {
            _ if key.is_empty() => Err("expected key.path=value, found an empty key"),
            Some(key) => Ok(key.to_owned()),
            None if key.starts_with(['"', '\'']) => {
                Err("expected key.path=value, found a quote that does not end: 'thresholds.\"wait.p99\"=\"< 5ms\"'")
            }
            None => Ok(key.to_owned()),
        }
    });
    keys.collect()
}

/// The characters of a text that stand outside of quotes, each with its place.
fn outside_quotes(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut open = None;
    text.char_indices().filter(move |(_, c)| match (open, *c) {
        (Some(quote), c) => {
            if quote == c {
                open = None;
            }
            false
        }
        (None, quote @ ('"' | '\'')) => {
            open = Some(quote);
            false
        }
        (None, _) => true,
    })
}

fn clear_rival(table: &mut Table, folder: &str, key: &str) {
    for (rivals_of, one, other) in RIVALS {
        let cleared = match () {
            () if folder != rivals_of => continue,
            () if key == one => other,
            () if key == other => one,
            () => continue,
        };
        // Both on the command line is a contradiction that the reader reports.
        table.entries.retain(|entry| entry.key != cleared || entry.key_place.is_argument());
    }
}

fn descend<'a>(table: &'a mut Table, key: &str, place: &Place) -> Result<&'a mut Table, Problem> {
    if table.entry(key).is_none() {
        let node = Node { value: Value::Table(Table::default()), place: place.clone() };
        table.set(Entry { key: key.to_owned(), key_place: place.clone(), node });
    }
    let entry = table.entries.iter_mut().find(|entry| entry.key == key).expect("it was just set");
    match &mut entry.node.value {
        Value::Table(inner) => Ok(inner),
        other => Err(Problem::new(place, format!("{key} is {}, not a table", other.describe()))),
    }
}

fn argument_value(argument: &Arc<Source>, value: &str) -> Result<Node, Problem> {
    let offset = argument.text.len() - value.len();
    let place = Place { source: Arc::clone(argument), span: offset..argument.text.len() };
    match DeValue::parse(value) {
        Ok(parsed) => Ok(node(argument, offset, parsed.get_ref(), parsed.span())),
        Err(_) if is_plain_word(value) => Ok(Node { value: Value::Text(value.trim().to_owned()), place }),
        Err(error) => Err(syntax(argument, offset, &error)),
    }
}

fn is_plain_word(value: &str) -> bool {
    let value = value.trim();
    !value.is_empty() && value.chars().all(|c| c.is_alphanumeric() || "._-+:/µ".contains(c))
}

fn syntax(source: &Arc<Source>, offset: usize, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let what = match source.kind {
        SourceKind::File => "not valid TOML",
        SourceKind::Argument => "not a valid TOML value",
    };
    Problem::new(&shifted(source, offset, &span), format!("{what}: {}", error.message()))
}

fn shifted(source: &Arc<Source>, offset: usize, span: &Range<usize>) -> Place {
    Place { source: Arc::clone(source), span: span.start + offset..span.end + offset }
}

fn table(source: &Arc<Source>, offset: usize, parsed: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = parsed
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_place: shifted(source, offset, &key.span()),
            node: node(source, offset, value.get_ref(), value.span()),
        })
        .collect();
    // In the order of the file, so that problems come in that order too.
    entries.sort_by_key(|entry| entry.key_place.span.start);
    Table { entries }
}

fn node(source: &Arc<Source>, offset: usize, parsed: &DeValue<'_>, span: Range<usize>) -> Node {
    let value = match parsed {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Datetime(date) => Value::Text(date.to_string()),
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Integer(number) => {
            // A number of more than 38 digits is out of every range that a key has; the greatest says so as well.
            Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| node(source, offset, item.get_ref(), item.span())).collect())
        }
        DeValue::Table(inner) => Value::Table(table(source, offset, inner)),
    };
    Node { value, place: shifted(source, offset, &span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: SourceKind, text: &str) -> Arc<Source> {
        Arc::new(Source { kind, name: "--set".into(), text: text.into() })
    }

    fn tree(text: &str) -> Table {
        parse(&source(SourceKind::File, text)).unwrap()
    }

    fn at<'a>(root: &'a Table, folder: &str, key: &str) -> Option<&'a Value> {
        let Value::Table(inner) = &root.entry(folder)?.node.value else { return None };
        Some(&inner.entry(key)?.node.value)
    }

    #[test]
    fn overrides_take_toml_and_plain_words() {
        let mut root = tree("[stress]\nprocesses = 2\n");
        for argument in
            ["stress.processes=4", "subject.lock=ofd", "stress.think=0us..50us", "stress.mix={ create = 1 }"]
        {
            set(&mut root, &source(SourceKind::Argument, argument)).unwrap();
        }
        assert_eq!(at(&root, "stress", "processes"), Some(&Value::Integer(4)));
        assert_eq!(at(&root, "subject", "lock"), Some(&Value::Text("ofd".into())));
        assert_eq!(at(&root, "stress", "think"), Some(&Value::Text("0us..50us".into())));
        assert!(matches!(at(&root, "stress", "mix"), Some(Value::Table(mix)) if mix.entries.len() == 1));
    }

    #[test]
    fn a_key_in_quotes_may_have_points_and_equals_signs() {
        let mut root = tree("kind = \"bench\"\n");
        for argument in [r#"thresholds."wait.p99"="< 5ms""#, r#"thresholds.'whole.p99 at lock:a=b'="< 1s""#] {
            set(&mut root, &source(SourceKind::Argument, argument)).unwrap();
        }
        assert_eq!(at(&root, "thresholds", "wait.p99"), Some(&Value::Text("< 5ms".into())));
        assert!(at(&root, "thresholds", "whole.p99 at lock:a=b").is_some());
        assert!(set(&mut root, &source(SourceKind::Argument, "a.\"b=1")).is_err());
    }

    #[test]
    fn operations_clear_a_duration_from_the_file_and_the_reverse() {
        let mut root = tree("[stress]\nduration = \"1s\"\n");
        set(&mut root, &source(SourceKind::Argument, "stress.operations=9")).unwrap();
        assert_eq!(at(&root, "stress", "duration"), None);
        set(&mut root, &source(SourceKind::Argument, "stress.duration=9s")).unwrap();
        assert!(at(&root, "stress", "operations").is_some(), "both typed is for the reader to refuse");
    }

    #[test]
    fn malformed_overrides_are_problems() {
        let mut root = tree("about = \"x\"\n");
        for argument in ["stress", "=3", "a..b=1", "about.x=1", "stress.mix={ create = ", "a=\"open"] {
            assert!(set(&mut root, &source(SourceKind::Argument, argument)).is_err(), "{argument}");
        }
    }
}
