//! Models as Markdown: docs/models.md is made here, so that it cannot say anything else than the code does.

use std::fmt::Write;

use super::Builtin;
use super::rules::{Otherwise, Place, Rule, Rules, Target, spelled};

/// The example of a user's own model in the documentation.
pub const EXAMPLE: &str = include_str!("example.toml");

/// The example of a table in the user's own words.
pub const DOOR: &str = include_str!("door.toml");

const BEFORE: &str = include_str!("document-before.md");
const AFTER: &str = include_str!("document-after.md");
/// What there is to say of models of objects; a test holds it against the code.
pub(super) const OBJECTS: &str = include_str!("document-objects.md");

/// The whole of docs/models.md, models and examples included.
#[must_use]
pub fn page() -> String {
    let tables = Builtin::ALL.map(|builtin| section(&Rules::builtin(builtin)));
    let after = AFTER.replace("{EXAMPLE}", EXAMPLE.trim_end()).replace("{DOOR}", DOOR.trim_end());
    format!("{BEFORE}\n{}\n{after}\n{OBJECTS}", tables.join("\n"))
}

/// The section of docs/models.md about one model: its statuses and operations as a table.
#[must_use]
pub fn section(rules: &Rules) -> String {
    let mut text = format!("## `{}`\n\n{}\n\n", rules.name, wrapped(&rules.about));
    text += "| operation | from | to | otherwise |\n|---|---|---|---|\n";
    for rule in &rules.rules {
        let (from, to, otherwise) = (from(rules, rule), to(rule), otherwise(rules, rule));
        writeln!(text, "| `{}` | {from} | {to} | {otherwise} |", rule.operation).expect("memory takes it");
    }
    text
}

/// As the rest of the page is: lines of at most so many characters.
fn wrapped(text: &str) -> String {
    const CHARS_MAX: usize = 125;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= CHARS_MAX {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

fn list(places: impl IntoIterator<Item = Place>) -> String {
    places.into_iter().map(spelled).collect::<Vec<_>>().join(", ")
}

fn every(rules: &Rules) -> impl Iterator<Item = Place> {
    std::iter::once(None).chain(rules.statuses.iter().copied().map(Some))
}

fn from(rules: &Rules, rule: &Rule) -> String {
    let statuses = every(rules).filter(|place| rule.from.contains(place));
    let whole = every(rules).skip(1).all(|place| rule.from.contains(&place));
    match (whole, rule.from.contains(&None)) {
        (true, true) => "any, and absent".into(),
        (true, false) => "any".into(),
        (false, _) => list(statuses),
    }
}

fn to(rule: &Rule) -> String {
    let to = match rule.to {
        Target::Same => "same",
        Target::Place(place) => spelled(place),
        Target::Remembered => "the status before",
    };
    let to = rule.or.map_or(to.into(), |or| format!("{to}, or {or} if it says so"));
    if rule.idle.is_empty() {
        return to;
    }
    format!("{to}; nothing changes from {}", list(rule.idle.iter().copied()))
}

fn otherwise(rules: &Rules, rule: &Rule) -> String {
    let elsewhere = || every(rules).filter(|place| rule.leads(*place).is_none());
    let (is_absent, is_there) =
        (elsewhere().any(|place| place.is_none()), elsewhere().any(|place| place.is_some()));
    match (is_there.then_some(rule.otherwise), is_absent) {
        (None, false) => String::new(),
        (None, true) => "refused: absent".into(),
        (Some(Otherwise::Exists), false) => "refused: exists".into(),
        (Some(Otherwise::Exists), true) => "refused: exists or absent".into(),
        (Some(Otherwise::Status), false) => "refused: status".into(),
        (Some(Otherwise::Status), true) => "refused: status or absent".into(),
        (Some(Otherwise::Waits), false) => "does not return".into(),
        (Some(Otherwise::Waits), true) => "does not return; refused: absent".into(),
    }
}
