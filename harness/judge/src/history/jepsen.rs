//! Reads histories of Jepsen: one operation a line in EDN, its invocation and its completion apart.
//!
//! `{:process 0, :type :invoke, :f :write, :value 3}`. What `:ok` completes happened, what `:fail` completes did not, and
//! what `:info` completes or nothing does may still act. Where every line has a `:time` and they ascend, that is the time,
//! in nanoseconds; else the lines are counted.

mod edn;

use std::collections::HashMap;
use std::io::BufRead;

use super::object::{Call, ObjectHistory, Op, Value};
use super::read::lines::Lines;
use super::read::{Limits, ReadError};
use super::{Clock, FIRST_STEP, Outcome};
use crate::model::object::{Kind, ObjectModel};
use edn::Form;

/// Whether histories of this kind can be read.
#[must_use]
pub const fn can_read(kind: Kind) -> bool {
    match kind {
        Kind::Register | Kind::Counter | Kind::Set => true,
        Kind::Log | Kind::Lock | Kind::Queue | Kind::Table => false,
    }
}

/// Reads a whole history of one object, which is called as the model is.
pub fn read(input: impl BufRead, model: &ObjectModel, limits: Limits) -> Result<ObjectHistory, ReadError> {
    let mut lines = Lines::new(input, limits.until);
    let mut reader = Reader {
        model,
        history: ObjectHistory::default(),
        open: HashMap::new(),
        count: 0,
        told: Some(Vec::new()),
    };
    reader.history.object(&model.name);
    let mut operations = 0;
    while lines.advance()? {
        let taken = match lines.text()?.trim().trim_start_matches('[').trim_end_matches(']') {
            "" => Ok(()),
            line => edn::parse(line).and_then(|form| reader.take(&form)),
        };
        taken.map_err(|what| lines.error(what))?;
        if reader.history.memory_bytes() > limits.memory_bytes {
            operations += reader.history.calls.len() as u64;
            // What is malformed is told before what is too large, so the rest is read and little of it kept.
            reader.history = ObjectHistory::default();
            reader.history.object(&model.name);
            reader.open.clear();
        }
    }
    if operations > 0 {
        operations += reader.history.calls.len() as u64;
        return Err(ReadError::TooLarge { operations, memory_bytes: limits.memory_bytes });
    }
    if reader.count == 0 {
        let what =
            "the file is empty; expected such as {:process 0, :type :invoke, :f :write, :value 3}".to_owned();
        return Err(ReadError::Line { line: 1, what });
    }
    Ok(reader.finish())
}

struct Reader<'a> {
    model: &'a ObjectModel,
    history: ObjectHistory,
    /// The open call of each process.
    open: HashMap<String, usize>,
    /// The number of each line, from 0, is a call's time while it is read.
    count: u64,
    /// The told time of each line, while every line has one.
    told: Option<Vec<u64>>,
}

fn expected(field: &str, what: &str) -> String {
    format!("{field}: expected {what}")
}

impl Reader<'_> {
    fn take(&mut self, form: &Form) -> Result<(), String> {
        let Form::Map(_) = form else {
            return Err("expected a map, such as {:process 0, :type :invoke, :f :read, :value nil}".into());
        };
        let process = match form.get("process") {
            Some(Form::Whole(number)) => number.clone(),
            // The nemesis, which is no client.
            Some(Form::Word(_)) => return Ok(()),
            _ => return Err(expected(":process", "a whole number")),
        };
        let Some(Form::Word(kind)) = form.get("type") else {
            return Err(expected(":type", ":invoke, :ok, :fail or :info"));
        };
        let Some(Form::Word(f)) = form.get("f") else {
            return Err(expected(":f", "a function such as :read"));
        };
        let line = self.count;
        self.count += 1;
        self.note_time(form);
        match kind.as_str() {
            ":invoke" => self.invoke(&process, f, form, line),
            ":ok" | ":fail" | ":info" => self.complete(&process, kind, form, line),
            other => Err(format!(":type: unknown {other}; expected :invoke, :ok, :fail or :info")),
        }
    }

    fn note_time(&mut self, form: &Form) {
        let told = match form.get("time") {
            Some(Form::Whole(digits)) => digits.parse::<u64>().ok(),
            _ => None,
        };
        self.told = match (self.told.take(), told) {
            (Some(mut all), Some(time)) if all.last().is_none_or(|&before| before <= time) => {
                all.push(time);
                Some(all)
            }
            _ => None,
        };
    }

    fn invoke(&mut self, process: &str, f: &str, form: &Form, line: u64) -> Result<(), String> {
        if self.open.contains_key(process) {
            return Err(format!("process {process} has two operations open; expected one at a time"));
        }
        let op = match (self.model.kind, f) {
            (Kind::Register, ":write") => Op::Write,
            (Kind::Register | Kind::Counter, ":read") => Op::Read,
            (Kind::Register, ":cas") => Op::Cas,
            (Kind::Counter | Kind::Set, ":add") => Op::Add,
            (Kind::Set, ":remove") => Op::Remove,
            (Kind::Set, ":read") => Op::Members,
            (kind, f) => return Err(format!(":f: a {kind} has no {f}")),
        };
        let actor = self.history.actor(process);
        let mut call = Call::new(actor, 0, op, line, Call::NEVER, Outcome::Unknown);
        self.argue(&mut call, form.get("value"))?;
        self.open.insert(process.to_owned(), self.history.calls.len());
        self.history.calls.push(call);
        Ok(())
    }

    fn argue(&mut self, call: &mut Call, value: Option<&Form>) -> Result<(), String> {
        match (call.op, value) {
            (Op::Cas, Some(Form::List(pair))) if pair.len() == 2 => {
                call.value = Some(self.history.values.parse(&pair[0].json())?);
                call.saw = Some(self.history.values.parse(&pair[1].json())?);
            }
            (Op::Cas, _) => {
                return Err(expected(":value", "the value that is there and the new one, such as [0 1]"));
            }
            (Op::Read | Op::Members, _) => {}
            (_, None) => return Err(expected(":value", "what to do it with")),
            (_, Some(form)) => {
                let parsed = self.history.values.parse(&form.json())?;
                if self.model.kind == Kind::Counter && parsed.as_whole().is_none() {
                    return Err(expected(":value", "a whole number"));
                }
                call.value = Some(parsed);
            }
        }
        Ok(())
    }

    fn complete(&mut self, process: &str, kind: &str, form: &Form, line: u64) -> Result<(), String> {
        let Some(index) = self.open.remove(process) else {
            return Err(format!("process {process} completes what it did not invoke"));
        };
        // What is no longer kept.
        let Some(&call) = self.history.calls.get(index) else { return Ok(()) };
        let mut call = call;
        if kind == ":info" {
            return Ok(());
        }
        call.deadline_ns = line;
        call.outcome = if kind == ":ok" { Outcome::Ok } else { Outcome::Failed };
        if let (":ok", Op::Read | Op::Members) = (kind, call.op) {
            call.saw = self.seen(call.op, form.get("value"))?;
        }
        if let (":fail", Some(error)) = (kind, form.get("error")) {
            self.history.attach_message(&mut call, error.json());
        }
        self.history.calls[index] = call;
        Ok(())
    }

    fn seen(&mut self, op: Op, value: Option<&Form>) -> Result<Option<Value>, String> {
        let values = &mut self.history.values;
        match (op, value) {
            (_, None) | (Op::Members, Some(Form::Nil)) => Ok(None),
            (Op::Members, Some(Form::List(items))) => {
                let items: Result<Vec<Value>, String> =
                    items.iter().map(|item| values.parse(&item.json())).collect();
                let mut items = items?;
                items.sort_unstable();
                Ok(Some(values.list(&items, None)))
            }
            (Op::Members, Some(_)) => Err(expected(":value", "a set or vector of elements")),
            (_, Some(Form::Nil)) if self.model.kind == Kind::Counter => Ok(None),
            (_, Some(form)) => {
                let parsed = values.parse(&form.json())?;
                if self.model.kind == Kind::Counter && parsed.as_whole().is_none() {
                    return Err(expected(":value", "a whole number"));
                }
                Ok(Some(parsed))
            }
        }
    }

    fn finish(self) -> ObjectHistory {
        let Self { model, mut history, told, .. } = self;
        history.begin_as(model);
        let time = |line: u64| told.as_ref().map_or(FIRST_STEP + line, |told| told[line as usize]);
        for call in &mut history.calls {
            call.invoke_ns = time(call.invoke_ns);
            if call.deadline_ns != Call::NEVER {
                call.deadline_ns = time(call.deadline_ns);
            }
        }
        history.clock = if told.is_some() { Clock::Nanoseconds } else { Clock::Steps };
        history.model = Some(model.clone());
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(kind: Kind, text: &str) -> Result<ObjectHistory, String> {
        read(text.as_bytes(), &ObjectModel::of(kind), Limits::NONE).map_err(|error| error.to_string())
    }

    #[test]
    fn a_register_is_read() {
        let text = "\
{:process 0, :type :invoke, :f :write, :value 3}
{:process 1, :type :invoke, :f :read, :value nil}
{:process :nemesis, :type :info, :f :start, :value nil}
{:process 0, :type :ok, :f :write, :value 3}
{:process 1, :type :ok, :f :read, :value 3}
{:process 0, :type :invoke, :f :cas, :value [3 4]}
{:process 0, :type :fail, :f :cas, :value [3 4], :error \"no\"}
{:process 2, :type :invoke, :f :write, :value 5}
{:process 2, :type :info, :f :write, :value 5}
";
        let history = read_all(Kind::Register, text).expect("well-formed");
        let [write, read, cas, lost] = history.calls.as_slice() else { panic!("four calls") };
        assert_eq!((write.invoke_ns, write.deadline_ns), (FIRST_STEP, FIRST_STEP + 2));
        assert_eq!((read.saw, read.outcome), (Value::whole(3), Outcome::Ok));
        assert_eq!((cas.value, cas.saw, cas.outcome), (Value::whole(3), Value::whole(4), Outcome::Failed));
        assert_eq!(history.message(cas), Some("\"no\""));
        assert_eq!((lost.outcome, lost.return_ns()), (Outcome::Unknown, None));
        assert_eq!(history.clock, Clock::Steps);
    }

    #[test]
    fn a_set_and_a_counter_are_read_with_their_times() {
        let text = "\
#jepsen.history.Op{:index 0, :time 10, :type :invoke, :process 0, :f :add, :value 1}
#jepsen.history.Op{:index 1, :time 20, :type :ok, :process 0, :f :add, :value 1}
{:time 30, :type :invoke, :process 0, :f :read, :value nil}
{:time 30, :type :ok, :process 0, :f :read, :value #{1}}
";
        let history = read_all(Kind::Set, text).expect("well-formed");
        let saw = history.calls[1].saw.expect("told");
        assert_eq!(history.values.items(saw), [Value::whole(1).expect("small")]);
        assert_eq!((history.clock, history.calls[0].deadline_ns), (Clock::Nanoseconds, 20));
        let counter = read_all(Kind::Counter, &text.replace("#{1}", "1")).expect("well-formed");
        assert_eq!(counter.calls[1].saw, Value::whole(1));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (text, expected) in [
            ("", "the file is empty"),
            ("{:process 0, :type :invoke, :f :push, :value 1}", "line 1: :f: a register has no :push"),
            ("{:process 0, :type :ok, :f :read, :value 1}", "completes what it did not invoke"),
            ("{:process 0, :type :maybe, :f :read}", ":type: unknown :maybe"),
            ("{:process 0, :type :invoke, :f :cas, :value 1}", ":value: expected the value that is there"),
            ("{:process 0, :type :invoke", "line 1: the line ends early"),
            ("[1 2]", "line 1: column"),
            ("1", "expected a map"),
            (
                "{:process 0, :type :invoke, :f :read}\n{:process 0, :type :invoke, :f :read}",
                "line 2: process 0 has two",
            ),
        ] {
            let told = read_all(Kind::Register, text).expect_err(text);
            assert!(told.contains(expected), "{text}: {told}");
        }
    }
}
