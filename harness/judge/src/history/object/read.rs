//! Reads histories of objects from JSON lines, as a stream. What other tools wrote is checked line by line.
//!
//! Fields that nobody knows are skipped. What is there must make sense to the model: an error names the line, what is
//! wrong with it and what was expected. Only calls are kept, never the text, and no line is read beyond a bound.

mod fields;
mod header;
mod turns;

use std::collections::HashMap;
use std::io::BufRead;

use rustc_hash::FxHashMap;

use super::{Call, Cause, ObjectHistory, Op, Value};
use crate::history::Outcome;
use crate::history::read::lines::Lines;
use crate::history::read::value::{clipped, shown, text_of, whole_of, word_of};
use crate::history::read::{Limits, ReadError};
use crate::model::object::table::{ABSENT, Rules};
use crate::model::object::{Kind, ObjectModel};
use crate::words::nearest;
use fields::Fields;
pub(in crate::history) use header::{Sort, sort};
use turns::Turns;

/// Reads a whole history of objects, by the model that it names, or by this one.
pub fn read(
    input: impl BufRead,
    model: Option<&ObjectModel>,
    limits: Limits,
) -> Result<ObjectHistory, ReadError> {
    let mut lines = Lines::new(input, limits.until);
    if !lines.advance()? {
        let what = format!("the file is empty; {}", header::EXPECTED);
        return Err(ReadError::Line { line: 1, what });
    }
    let mut reader = Reader::default();
    let header = header::parse(lines.text()?, model).map_err(|what| lines.error(what))?;
    for (name, json) in header.initial {
        reader.begin(&header.model, &name, json).map_err(|what| lines.error(what))?;
    }
    let model = header.model;
    let mut operations = 0;
    let mut is_too_large = false;
    while lines.advance()? {
        let number = lines.number();
        operations += 1;
        let line = lines.text()?;
        let taken = reader.take(&model, line, number).map_err(|what| lines.error(what))?;
        reader.history.calls.push(taken);
        // What is malformed is told before what is too large, so the rest is read and nothing of it kept.
        if reader.history.memory_bytes() > limits.memory_bytes {
            is_too_large = true;
        }
        if is_too_large {
            reader = Reader::default();
        }
    }
    if is_too_large {
        return Err(ReadError::TooLarge { operations, memory_bytes: limits.memory_bytes });
    }
    reader.turns.finish(&reader.history)?;
    let mut history = reader.history;
    history.begin_as(&model);
    history.model = Some(model);
    Ok(history)
}

/// What is read so far, and what is looked up for it.
#[derive(Default)]
struct Reader {
    history: ObjectHistory,
    objects: HashMap<String, u32>,
    /// Actors by number, where they are small, and all others by name.
    numbered: Vec<u32>,
    actors: HashMap<String, u32>,
    /// The longest list read of each object.
    longest: FxHashMap<u32, Value>,
    latest: u32,
    turns: Turns,
    items: Vec<Value>,
}

/// Below this, actors are looked up by number.
const NUMBERED_MAX: usize = 1 << 16;
const NOBODY: u32 = u32::MAX;

/// The status that an object begins in, unless it remembers the status before and there can have been none.
fn entered(model: &ObjectModel, field: &str, value: Value) -> Result<Value, String> {
    let place = value.as_whole().and_then(|place| u8::try_from(place).ok());
    match (model.rules.as_deref(), place) {
        (Some(rules), Some(place)) if rules.states_of(place).next().is_none() => Err(format!(
            "{field}: {} remembers the status before, and no operation leads there from another",
            rules.spelled(place)
        )),
        _ => Ok(value),
    }
}

impl Reader {
    /// Takes the first value of an object.
    fn begin(&mut self, model: &ObjectModel, name: &str, json: &str) -> Result<(), String> {
        let field = || format!("initial: {}", clipped(name));
        if self.objects.contains_key(name) {
            return Err(format!("{} appears twice; expected it once", field()));
        }
        let object = self.object(name);
        let value = match model.kind {
            Kind::Lock if json == "null" => return Ok(()),
            Kind::Lock => {
                return Err(format!("{}: a lock begins with nothing, found {}", field(), shown(json)));
            }
            Kind::Register => {
                self.history.values.parse(json).map_err(|what| format!("{}: {what}", field()))?
            }
            Kind::Counter => number(&field(), json)?,
            Kind::Set | Kind::Log | Kind::Queue => {
                self.list(&field(), json, model.kind == Kind::Set, object)?
            }
            // What stands for: nobody knows.
            Kind::Table if json == "\"unknown\"" => Value::NULL,
            Kind::Table => place(model, &field(), json).and_then(|value| entered(model, &field(), value))?,
        };
        self.history.initial[object as usize] = Some(value);
        Ok(())
    }

    fn object(&mut self, name: &str) -> u32 {
        if self.history.objects.get(self.latest as usize).is_some_and(|latest| latest == name) {
            return self.latest;
        }
        self.latest = self.objects.get(name).copied().unwrap_or_else(|| {
            let index = u32::try_from(self.history.objects.len()).expect("fewer than 2^32 objects");
            self.history.objects.push(name.to_owned());
            self.history.initial.push(None);
            self.objects.insert(name.to_owned(), index);
            index
        });
        self.latest
    }

    /// Who it is: a number, or a name.
    fn actor(&mut self, field: &str, json: &str) -> Result<u32, String> {
        let number = json.parse::<u32>().ok().filter(|_| !json.starts_with(['+', '0']) || json == "0");
        if let Some(number) = number.map(|number| number as usize).filter(|&number| number < NUMBERED_MAX) {
            if number >= self.numbered.len() {
                self.numbered.resize(number + 1, NOBODY);
            }
            if self.numbered[number] == NOBODY {
                self.numbered[number] = self.named(json.to_owned());
            }
            return Ok(self.numbered[number]);
        }
        let name = match number {
            Some(number) => number.to_string(),
            None if json.starts_with('"') => text_of(field, json)?.into_owned(),
            None => {
                let found = shown(json);
                return Err(format!(
                    "{field}: expected a whole number from 0 to {}, or a name, found {found}",
                    u32::MAX
                ));
            }
        };
        Ok(self.named(name))
    }

    fn named(&mut self, name: String) -> u32 {
        let history = &mut self.history;
        *self.actors.entry(name).or_insert_with_key(|name| {
            history.actors.push(name.clone());
            history.actors.len() as u32 - 1
        })
    }

    /// A list of values; of a set sorted.
    fn list(&mut self, field: &str, json: &str, is_sorted: bool, object: u32) -> Result<Value, String> {
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        let values = &mut self.history.values;
        fields::each_item(json, |item| {
            items.push(values.parse(item)?);
            Ok(())
        })
        .map_err(|what| format!("{field}: {what}"))?;
        if is_sorted {
            items.sort_unstable();
        }
        let near = self.longest.get(&object).copied();
        let list = values.list(&items, near);
        if near.is_none_or(|near| values.items(near).len() < items.len()) {
            self.longest.insert(object, list);
        }
        self.items = items;
        Ok(list)
    }

    /// Makes a call of a line.
    fn take(&mut self, model: &ObjectModel, line: &str, number: u64) -> Result<Call, String> {
        let fields = Fields::of(line)?;
        let (who, json) = match (fields.process, fields.actor) {
            (Some(_), Some(_)) => return Err("both process and actor; expected one of them".into()),
            (Some(json), None) => ("process", json),
            (None, Some(json)) => ("actor", json),
            (None, None) => return Err(missing("process")),
        };
        let actor = self.actor(who, json)?;
        let object = self.which(&fields)?;
        let op = fields.op.ok_or_else(|| missing("op"))?;
        let (op, own) = match model.rules.as_deref() {
            Some(rules) => (Op::Act, Some(own_operation(rules, op)?)),
            None => (word_of("op", op, model.kind.operations(), Op::as_str)?, None),
        };
        let invoke = fields.invoke_ns.ok_or_else(|| missing("invoke_ns"))?;
        // The last numbers stand for "never".
        let invoke_ns = whole_of("invoke_ns", invoke, 0..=u64::MAX - 2)?;
        let deadline_ns = match fields.return_ns {
            Some(json) => whole_of("return_ns", json, 0..=u64::MAX - 2)?,
            None => Call::NEVER,
        };
        let outcome = fields.outcome.ok_or_else(|| missing("outcome"))?;
        let outcome = word_of("outcome", outcome, &Outcome::ALL, Outcome::as_str)?;
        let mut call = Call::new(actor, object, op, invoke_ns, deadline_ns, outcome);
        call.cause =
            fields.reason.map(|json| word_of("reason", json, Cause::ALL, Cause::as_str)).transpose()?;
        check(&call)?;
        match own {
            Some(own) => argue_own(model, own, &mut call, &fields)?,
            None => self.argue(model, &mut call, &fields)?,
        }
        if let Some(json) = fields.message {
            self.history.attach_message(&mut call, text_of("message", json)?.into_owned());
        }
        self.turns.take(&call, self.history.calls.len(), number)?;
        Ok(call)
    }

    fn which(&mut self, fields: &Fields<'_>) -> Result<u32, String> {
        let (field, json) = match (fields.object, fields.container) {
            (Some(_), Some(_)) => return Err("both object and container; expected one of them".into()),
            (Some(json), None) => ("object", json),
            (None, Some(json)) => ("container", json),
            (None, None) => return Err(missing("object")),
        };
        Ok(self.object(&text_of(field, json)?))
    }

    /// Takes the value and what it saw, as the operation has them.
    fn argue(&mut self, model: &ObjectModel, call: &mut Call, fields: &Fields<'_>) -> Result<(), String> {
        let op = call.op;
        call.value = match (model.kind, op, fields.value) {
            (Kind::Register, Op::Cas, Some(json)) => {
                let (from, to) = fields::from_and_to(json)?;
                let values = &mut self.history.values;
                call.saw = Some(values.parse(to).map_err(|what| format!("value: {what}"))?);
                Some(values.parse(from).map_err(|what| format!("value: {what}"))?)
            }
            (Kind::Counter, Op::Add, Some(json)) => Some(number("value", json)?),
            (_, Op::Write | Op::Add | Op::Remove | Op::Contains | Op::Append | Op::Push, Some(json)) => {
                Some(self.history.values.parse(json).map_err(|what| format!("value: {what}"))?)
            }
            (_, Op::Write | Op::Cas | Op::Add | Op::Remove | Op::Contains | Op::Append | Op::Push, None) => {
                return Err(format!("{op} without value; expected what to {op}"));
            }
            (_, _, None | Some("null")) => None,
            (_, _, Some(json)) => return Err(format!("{op} takes no value, found {}", shown(json))),
        };
        let Some(json) = fields.saw else { return Ok(()) };
        if call.outcome != Outcome::Ok {
            return match json {
                "null" => Ok(()),
                _ => Err(format!("outcome {} with saw; expected none", call.outcome)),
            };
        }
        let saw = match (model.kind, op, json) {
            (Kind::Register, Op::Read, _) | (Kind::Queue, Op::Pop, _) => {
                Some(self.history.values.parse(json).map_err(|what| format!("saw: {what}"))?)
            }
            (_, _, "null") => None,
            (Kind::Counter, ..) | (Kind::Log, Op::Append, _) => Some(number("saw", json)?),
            (Kind::Set, Op::Contains, "true") => Some(Value::truth(true)),
            (Kind::Set, Op::Contains, "false") => Some(Value::truth(false)),
            (Kind::Set, Op::Contains, _) => {
                return Err(format!("saw: expected true or false, found {}", shown(json)));
            }
            _ if model.kind.tells_a_list(op) => {
                Some(self.list("saw", json, model.kind == Kind::Set, call.object)?)
            }
            _ => return Err(format!("{op} reports nothing; expected no saw, found {}", shown(json))),
        };
        if op != Op::Cas {
            call.saw = saw;
        }
        Ok(())
    }
}

/// The number of an operation of a table.
fn own_operation(rules: &Rules, json: &str) -> Result<Value, String> {
    let name = text_of("op", json)?;
    if let Some(number) = rules.number(&name) {
        return Ok(Value::whole(number.into()).expect("a small number"));
    }
    let names = || rules.operations().iter().map(|rule| rule.name.as_str());
    let hint = match nearest(&clipped(&name), names()) {
        Some(near) => format!("the nearest is {near:?}"),
        None => format!("expected one of {}", some(names())),
    };
    Err(format!("op: unknown {:?}; {hint}", clipped(&name)))
}

/// The number of a place of a table.
fn place(model: &ObjectModel, field: &str, json: &str) -> Result<Value, String> {
    let rules =
        model.rules.as_deref().ok_or("a table without its model; expected it to be named to the judge")?;
    let name = text_of(field, json)?;
    if let Some(place) = rules.place(&name) {
        return Ok(Value::whole(place.into()).expect("a small number"));
    }
    let names = || std::iter::once(ABSENT).chain(rules.statuses().iter().map(String::as_str));
    let hint = match nearest(&clipped(&name), names()) {
        Some(near) => format!("the nearest is {near:?}"),
        None => format!("expected one of {}", some(names())),
    };
    Err(format!("{field}: unknown {:?}; {hint}", clipped(&name)))
}

/// The first of several words, for a message.
fn some<'a>(words: impl Iterator<Item = &'a str>) -> String {
    const LISTED_MAX: usize = 20;
    let mut listed: Vec<&str> = words.take(LISTED_MAX + 1).collect();
    if listed.len() > LISTED_MAX {
        listed[LISTED_MAX] = "…";
    }
    listed.join(", ")
}

/// Takes what an operation of a table told: its status, as `status` or as `saw`. A value is not judged.
fn argue_own(model: &ObjectModel, own: Value, call: &mut Call, fields: &Fields<'_>) -> Result<(), String> {
    call.value = Some(own);
    let told = match (fields.status, fields.saw.filter(|&json| json != "null")) {
        (Some(_), Some(_)) => return Err("both status and saw; expected one of them".into()),
        (Some(json), None) => Some(("status", json)),
        (None, Some(json)) => Some(("saw", json)),
        (None, None) => None,
    };
    let Some((field, json)) = told else { return Ok(()) };
    if !matches!(call.outcome, Outcome::Ok | Outcome::Refused) {
        return Err(format!("outcome {} with {field}; expected none", call.outcome));
    }
    call.saw = Some(place(model, field, json)?);
    Ok(())
}

fn missing(field: &str) -> String {
    format!("{field} is missing; expected process, object, op, invoke_ns, return_ns and outcome")
}

/// A whole number that a counter can hold.
fn number(field: &str, json: &str) -> Result<Value, String> {
    let whole = json.parse().ok().and_then(Value::whole);
    whole.ok_or_else(|| {
        format!("{field}: expected a whole number between -2^60 and 2^60, found {}", shown(json))
    })
}

/// Whether the fields make sense together.
fn check(call: &Call) -> Result<(), String> {
    let outcome = call.outcome;
    let what = match (outcome, call.cause) {
        _ if call.return_ns().is_some_and(|return_ns| return_ns < call.invoke_ns) => {
            "return_ns is earlier than invoke_ns; expected the same or later".into()
        }
        _ if call.return_ns().is_none() && outcome != Outcome::Unknown => {
            format!("outcome {outcome} without return_ns; only \"unknown\" may lack it")
        }
        (Outcome::Ok | Outcome::Unknown, Some(cause)) => {
            format!("outcome {outcome} with reason {cause}; expected none")
        }
        (Outcome::Refused, Some(cause)) if !cause.is_refusal() => {
            format!("refused for {cause}; expected exists, absent, status, held or empty")
        }
        (Outcome::Failed, Some(cause)) if cause.is_refusal() => {
            format!("failed for {cause}; expected corrupt, busy, locked, io or other")
        }
        _ => return Ok(()),
    };
    Err(what)
}

#[cfg(test)]
mod tests;
