//! The `[expect]` table: which violations must appear, and which may.

use serde::{Deserialize, Serialize};

use crate::document::reader::Reader;
use crate::document::sketch::Shape;
use crate::document::source::Problem;
use crate::document::tree::Value;
use crate::violation::Class;
use crate::words::nearest;

/// What should come of a scenario.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expect {
    /// Classes of which each must appear.
    pub violations: Vec<Class>,
    /// Classes that may appear besides; any other is unexpected.
    pub also: Vec<Class>,
}

impl Expect {
    /// Whether a class must or may appear.
    #[must_use]
    pub fn covers(&self, class: Class) -> bool {
        self.violations.contains(&class) || self.also.contains(&class)
    }
}

/// Reads the table; without one, nothing may be violated.
pub fn read(mut reader: Reader<'_>) -> Expect {
    let violations = classes(&mut reader, "violations");
    let also = classes(&mut reader, "also");
    reader.finish();
    Expect { violations, also }
}

fn classes(reader: &mut Reader<'_>, key: &'static str) -> Vec<Class> {
    reader.hint(key, || Shape::Words(Class::ALL.map(Class::as_str).to_vec()));
    let Some(entry) = reader.take(key) else { return Vec::new() };
    let Value::Array(items) = &entry.node.value else {
        let message = format!("{key}: expected a list of classes, found {}", entry.node.value.describe());
        reader.complain(Problem::new(&entry.node.place, message));
        return Vec::new();
    };
    let known = Class::ALL.map(Class::as_str);
    let mut classes = Vec::new();
    for item in items {
        let text = match &item.value {
            Value::Text(text) => text.as_str(),
            _ => "",
        };
        if let Some(class) = Class::ALL.into_iter().find(|class| class.as_str() == text) {
            classes.push(class);
            continue;
        }
        let message = format!("{key}: expected a class of violation, found {}", item.value.describe());
        let help = match nearest(text, known) {
            Some(near) => format!("the nearest known class is {near:?}"),
            None => format!("known classes: {}", known.join(", ")),
        };
        reader.complain(Problem::new(&item.place, message).with_help(help));
    }
    classes
}
