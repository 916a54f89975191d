//! What readers ask for, written down while they read: the one source of the JSON schemas that editors complete by.
//!
//! A schema that is made of the readers' own questions cannot say other than they do.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// What a key's value is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Its reader decides by itself.
    #[default]
    Any,
    /// Any text; a schema says `string`.
    Text,
    /// One of several words.
    Word(Vec<&'static str>),
    /// An array whose items were not sketched further.
    List,
    /// A list of some of these words.
    Words(Vec<&'static str>),
    /// A whole number within bounds.
    Count(u64, u64),
    /// A number from 0 to 1.
    Share,
    /// true or false.
    Truth,
    /// A duration, or a range of durations.
    Duration,
    /// A size: a number of bytes, or a text with a unit.
    Size,
    /// A table with keys of its own.
    Table,
}

/// The keys that a reader asked of one table, which are those that it knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableSketch {
    /// What was asked for under each key.
    pub keys: BTreeMap<&'static str, Shape>,
    /// Whether any other key may be in it.
    pub is_open: bool,
}

/// Every table that was read, by its path from the root, such as `explore.budget`; the root's is empty.
pub type Sketch = BTreeMap<String, TableSketch>;

thread_local! {
    static SKETCH: RefCell<Option<Sketch>> = const { RefCell::new(None) };
}

/// What was asked for on this thread while `read` ran.
pub fn of(read: impl FnOnce()) -> Sketch {
    SKETCH.with_borrow_mut(|sketch| *sketch = Some(Sketch::new()));
    read();
    SKETCH.with_borrow_mut(Option::take).unwrap_or_default()
}

/// Both together: what one knows of a key, the other need not know.
#[must_use]
pub fn with(mut one: Sketch, other: Sketch) -> Sketch {
    for (path, table) in other {
        let known = one.entry(path).or_default();
        known.is_open |= table.is_open;
        for (key, shape) in table.keys {
            add(known, key, shape);
        }
    }
    one
}

fn add(table: &mut TableSketch, key: &'static str, shape: Shape) {
    let known = table.keys.entry(key).or_default();
    if *known == Shape::Any {
        *known = shape;
    }
}

/// Writes down that a key was asked for.
pub(super) fn note(path: &str, key: &'static str, shape: impl FnOnce() -> Shape) {
    SKETCH.with_borrow_mut(|sketch| {
        if let Some(sketch) = sketch {
            add(sketch.entry(path.to_owned()).or_default(), key, shape());
        }
    });
}

/// Writes down that a table takes any key.
pub(super) fn note_open(path: &str) {
    SKETCH.with_borrow_mut(|sketch| {
        if let Some(sketch) = sketch {
            sketch.entry(path.to_owned()).or_default().is_open = true;
        }
    });
}
