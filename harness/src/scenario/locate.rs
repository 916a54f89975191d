//! Where in a scenario stands what a run found wrong: a folder that is not there, a program that cannot be run. Whether they are
//! there is known only on the machine that runs it, so no reader of scenarios can tell.

use std::path::Path;
use std::sync::Arc;

use super::{Found, Scenario};
use crate::document::source::{Place, Problem, Source, SourceKind};
use crate::document::tree::{self, Table, Value};

/// Tables that name folders and commands.
const TABLES: [&str; 4] = ["subject", "race", "crash", "bench"];
/// Their keys that do so, and those that hold further tables.
const KEYS: [&str; 13] = [
    "command",
    "cwd",
    "env",
    "observe",
    "operations",
    "processes",
    "round_setup",
    "round_teardown",
    "setup",
    "state",
    "teardown",
    "then",
    "watch",
];

impl Scenario {
    /// The message, with the file, line and column of the folder or command that it begins with; as it is, where none of the
    /// file's is meant.
    #[must_use]
    pub fn located(&self, why: &str) -> String {
        if self.argument.extension().is_none_or(|extension| extension != "toml") {
            return why.to_owned();
        }
        let name = Found { argument: self.argument.clone(), text: self.text.clone() }.shown();
        let source = Arc::new(Source { kind: SourceKind::File, name, text: self.text.clone() });
        let Ok(root) = tree::parse(&source) else { return why.to_owned() };
        let mut named = Vec::new();
        for entry in TABLES.iter().filter_map(|table| root.entry(table)) {
            gather(&entry.node.value, &entry.node.place, &mut named);
        }
        let best = named.into_iter().filter_map(|(text, place)| Some((meant(why, &text)?, place)));
        match best.max_by_key(|(length, _)| *length) {
            Some((_, place)) => Problem::new(&place, why).to_string(),
            None => why.to_owned(),
        }
    }
}

/// All texts that may be meant, with their places.
fn gather(value: &Value, place: &Place, named: &mut Vec<(String, Place)>) {
    match value {
        Value::Text(text) => named.push((text.clone(), place.clone())),
        Value::Array(items) => {
            for item in items {
                gather(&item.value, &item.place, named);
            }
        }
        Value::Table(table) => gather_table(table, named),
        Value::Integer(_) | Value::Float(_) | Value::Boolean(_) => {}
    }
}

fn gather_table(table: &Table, named: &mut Vec<(String, Place)>) {
    for entry in &table.entries {
        // What operations and variables are called, users choose.
        let is_table = matches!(entry.node.value, Value::Table(_));
        if is_table || KEYS.contains(&entry.key.as_str()) {
            gather(&entry.node.value, &entry.node.place, named);
        }
    }
}

/// How much of the text a message begins with, after the names of keys; none where it begins with something else. What a text
/// names may be a command, of which its program is told, or a path, of which something below it is told.
fn meant(why: &str, text: &str) -> Option<usize> {
    let program = text.split_whitespace().next()?;
    let absolute = std::path::absolute(Path::new(text)).ok()?.display().to_string();
    let begins = |why: &str| {
        let is_whole = |text: &str| {
            why.strip_prefix(text).is_some_and(|rest| rest.starts_with([':', '/']) || rest.starts_with("\":"))
        };
        [text, &absolute, program].into_iter().find(|named| is_whole(named)).map(str::len)
    };
    let mut rest = why;
    loop {
        if let Some(length) = begins(rest.trim_start_matches('"')) {
            return Some(length);
        }
        // "subject.setup: …" and "--setup …" say which key it is.
        let (key, after) = rest.split_once([' '])?;
        if !key.ends_with(':') && !key.starts_with("--") {
            return None;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "kind = \"stress\"\n[subject]\nname = \"command\"\nmodel = \"counter\"\nstate = \"no/where\"\nsetup = [\"true\", \"./prepare x\"]\n\
        [subject.operations.add]\ncommand = [\"./tool\", \"add\"]\n[stress]\nprocesses = 2\noperations = 1\n";

    fn told(why: &str) -> String {
        let found = Found { argument: "it.toml".into(), text: TEXT.into() };
        Scenario::parse(&found, &[]).unwrap().located(why)
    }

    #[test]
    fn what_a_run_found_wrong_is_told_with_its_place() {
        let absolute = std::path::absolute("no/where").unwrap().display().to_string();
        for (why, place) in [
            (format!("{absolute}: no such folder"), "it.toml:5:9: "),
            (format!("{absolute}/pipe: it is a FIFO"), "it.toml:5:9: "),
            ("./tool: no such program".into(), "it.toml:8:12: "),
            ("subject.setup: ./prepare x: exit code 3; it said: no".into(), "it.toml:6:18: "),
            ("--setup \"./prepare x\": exit code 3".into(), "it.toml:6:18: "),
        ] {
            let told = told(&why);
            assert!(told.starts_with(&format!("{place}{why}\n")), "{told}");
        }
    }

    #[test]
    fn what_the_file_does_not_name_is_told_as_it_is() {
        for why in ["command: it ended", "elsewhere: no such folder", "./too: no such program", "counter: x"]
        {
            assert_eq!(told(why), why);
        }
    }
}
