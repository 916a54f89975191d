//! Reads how an operation's answer is read: `answers = [{ exit = 0, stdout = "…", outcome = "ok" }, …]`.

use flockwork::Status;

use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::history::Reason;
use crate::history::object::Cause;
use crate::plan::command::{Codes, Ends, Reading, Rule};
use crate::subject::command::answer::{Compiled, FIELDS};
use crate::words::nearest;

/// What a list of rules looks like.
pub const EXAMPLE: &str =
    "a list of rules, such as [{ exit = 0, stdout = '^(?<saw>\\d+)$', outcome = \"ok\" }]";

/// The rules under a key.
pub fn read(reader: &mut Reader<'_>, key: &'static str) -> Vec<Rule> {
    let Some((_, nodes)) = reader.list(key, EXAMPLE) else { return Vec::new() };
    nodes.iter().filter_map(|node| rule(reader, node)).collect()
}

/// What holds where a scenario says nothing: exit code 0 is a success, all else is not known.
#[must_use]
pub fn usual() -> Rule {
    Rule {
        codes: Codes::Of(vec![0]),
        stdout: None,
        stderr: None,
        json: Vec::new(),
        outcome: Ends::Ok,
        reason: None,
        status: None,
        saw: None,
        reading: Reading::Auto,
    }
}

fn rule<'a>(reader: &mut Reader<'a>, node: &'a Node) -> Option<Rule> {
    let Value::Table(table) = &node.value else {
        let message = format!("answers: expected {EXAMPLE}, found {}", node.value.describe());
        reader.complain(Problem::new(&node.place, message));
        return None;
    };
    let mut reader = reader.inner(table, "a rule of answers", node.place.clone());
    let text = |reader: &mut Reader<'_>, key| reader.text(key).map(|(text, _)| text.to_owned());
    let codes = codes(&mut reader);
    let (stdout, stderr) = (text(&mut reader, "stdout"), text(&mut reader, "stderr"));
    let json = pointers(&mut reader);
    let outcome = match reader.word("outcome", &["ok", "refused", "failed", "unknown"]) {
        Some("ok") => Ends::Ok,
        Some("refused") => Ends::Refused,
        Some("failed") => Ends::Failed,
        Some(_) => Ends::Unknown,
        None => {
            if reader.take("outcome").is_none() {
                reader.missing("outcome", "\"ok\", \"refused\", \"failed\" or \"unknown\"");
            }
            return None;
        }
    };
    let reason = reason(&mut reader, outcome);
    let status = reader.word("status", &Status::ALL.map(Status::as_str)).map(str::to_owned);
    let saw = reader.take("saw").and_then(|entry| entry.node.value.json());
    let reading = match reader.word("as", &["auto", "text", "json", "lines", "words"]) {
        Some("text") => Reading::Text,
        Some("json") => Reading::Json,
        Some("lines") => Reading::Lines,
        Some("words") => Reading::Words,
        _ => Reading::Auto,
    };
    let rule = Rule { codes, stdout, stderr, json, outcome, reason, status, saw, reading };
    if let Err(why) = Compiled::new(&rule) {
        let place = ["stdout", "stderr"].into_iter().find_map(|key| table.entry(key));
        let place = place.map_or(&node.place, |entry| &entry.node.place).clone();
        reader.complain(Problem::new(&place, why));
    }
    reader.finish();
    Some(rule)
}

/// `exit = 0`, `exit = [1, 2]`, `exit = "not 0"`, `exit = "any"`.
fn codes(reader: &mut Reader<'_>) -> Codes {
    let Some(entry) = reader.take("exit") else { return Codes::Any };
    let code = |node: &Node| match node.value {
        Value::Integer(code @ 0..=255) => i32::try_from(code).ok(),
        _ => None,
    };
    let codes = match &entry.node.value {
        Value::Integer(_) => code(&entry.node).map(|code| Codes::Of(vec![code])),
        Value::Array(nodes) => nodes.iter().map(code).collect::<Option<Vec<_>>>().map(Codes::Of),
        Value::Text(text) if text == "not 0" => Some(Codes::NotZero),
        Value::Text(text) if text == "any" => Some(Codes::Any),
        _ => None,
    };
    codes.unwrap_or_else(|| {
        let found = entry.node.value.describe();
        let message = format!(
            "exit: expected a code from 0 to 255, a list of codes, \"not 0\" or \"any\", found {found}"
        );
        reader.complain(Problem::new(&entry.node.place, message));
        Codes::Any
    })
}

/// `json = { saw = "/count" }`.
fn pointers(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let mut section = reader.section("json", "json");
    let entries = section.take_all();
    let mut pointers = Vec::new();
    for entry in entries {
        let problem = match &entry.node.value {
            _ if !FIELDS.contains(&entry.key.as_str()) => {
                let near = nearest(&entry.key, FIELDS).map(|near| format!("; the nearest is {near:?}"));
                let near = near.unwrap_or_default();
                format!("json: {:?} means nothing; expected {}{near}", entry.key, FIELDS.join(", "))
            }
            Value::Text(pointer) if pointer.is_empty() || pointer.starts_with('/') => {
                pointers.push((entry.key.clone(), pointer.clone()));
                continue;
            }
            other => format!(
                "{}: expected a JSON pointer such as \"/count\", found {}",
                entry.key,
                other.describe()
            ),
        };
        section.complain(Problem::new(&entry.node.place, problem));
    }
    pointers
}

/// The reasons that histories know, of a table or of objects: those of refusals, or those of failures.
fn reasons(is_refusal: bool) -> Vec<&'static str> {
    let objects = Cause::ALL.iter().copied().filter(|cause| cause.is_refusal() == is_refusal);
    let mut known: Vec<_> = objects.map(Cause::as_str).collect();
    let tables = Reason::ALL.into_iter().filter(|reason| reason.is_refusal() == is_refusal);
    for word in tables.map(Reason::as_str) {
        if !known.contains(&word) {
            known.push(word);
        }
    }
    known
}

fn reason(reader: &mut Reader<'_>, outcome: Ends) -> Option<String> {
    let known = match outcome {
        Ends::Refused => reasons(true),
        Ends::Failed => reasons(false),
        Ends::Ok | Ends::Unknown => {
            let place =
                reader.take("reason").map(|entry: &crate::document::tree::Entry| entry.key_place.clone());
            if let Some(place) = place {
                no_reason(reader, &place);
            }
            return None;
        }
    };
    reader.word("reason", &known).map(str::to_owned)
}

fn no_reason(reader: &mut Reader<'_>, place: &Place) {
    let message = "reason: only a refused or failed operation has one";
    reader.complain(Problem::new(place, message));
}
