//! Reads which files readers must always find whole.

use super::read::read_line;
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Entry, Value};
use crate::plan::command::{Watched, Whole};
use crate::subject::command::glob;

/// `watch = ["*.json", { path = "*.db", command = "check {file}" }]`.
pub fn read(reader: &mut Reader<'_>) -> Vec<Watched> {
    const EXPECTED: &str =
        "a list of patterns such as [\"*.json\"], or of tables such as { path = \"*\", as = \"json\" }";
    let Some((_, nodes)) = reader.list("watch", EXPECTED) else { return Vec::new() };
    let mut all = Vec::new();
    for node in nodes {
        match &node.value {
            Value::Text(pattern) => {
                let whole = by_name(pattern);
                watched(reader, &node.place, pattern, whole, &mut all);
            }
            Value::Table(table) => {
                let mut inner = reader.inner(table, "a watched file", node.place.clone());
                let pattern = inner.text("path").map(|(text, _)| text.to_owned());
                let own = match inner.word("as", &["json", "toml", "yaml"]) {
                    Some("json") => Some(Whole::Json),
                    Some("toml") => Some(Whole::Toml),
                    Some(_) => Some(Whole::Yaml),
                    None => None,
                };
                let command = inner.take("command").map(|entry: &Entry| &entry.node);
                let command =
                    command.and_then(|node| read_line(&mut inner, "command", node, &["state", "file"]));
                let Some(pattern) = pattern else {
                    inner.missing("path", "a pattern such as \"*.json\"");
                    continue;
                };
                inner.finish();
                let whole = command.map(Whole::Command).or(own).or_else(|| by_name(&pattern));
                watched(reader, &node.place, &pattern, whole, &mut all);
            }
            other => {
                let message = format!("watch: expected {EXPECTED}, found {}", other.describe());
                reader.complain(Problem::new(&node.place, message));
            }
        }
    }
    all
}

fn by_name(pattern: &str) -> Option<Whole> {
    match pattern.rsplit('.').next() {
        Some("json") => Some(Whole::Json),
        Some("toml") => Some(Whole::Toml),
        Some("yaml" | "yml") => Some(Whole::Yaml),
        _ => None,
    }
}

fn watched(
    reader: &mut Reader<'_>,
    place: &Place,
    pattern: &str,
    whole: Option<Whole>,
    all: &mut Vec<Watched>,
) {
    let Some(whole) = whole else {
        let message = format!(
            "watch: the name {pattern:?} does not show the format: expected {{ path = {pattern:?}, as = \"json\" }}, \
             \"toml\", \"yaml\", or a command that ends with 0 for a file that is whole"
        );
        reader.complain(Problem::new(place, message));
        return;
    };
    if let Err(why) = glob(pattern) {
        reader.complain(Problem::new(place, format!("watch: {why}")));
    }
    all.push(Watched { pattern: pattern.to_owned(), whole });
}
