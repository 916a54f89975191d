//! Reads histories of Jepsen: one operation a line in EDN, its invocation and its completion apart.
//!
//! `{:process 0, :type :invoke, :f :write, :value 3}`. What `:ok` completes happened, what `:fail` completes did not, and
//! what `:info` completes or nothing does may still act. Where every line has a `:time` and they ascend, that is the time,
//! in nanoseconds; else the lines are counted.
//!
//! Histories of independent keys have `[key value]` for every value; the first read or `cas` shows whether a history is
//! one of those, and then each key is an object of its own. A register is `nil` at first, and a read of `nil` tells
//! nothing: that is how Knossos, Jepsen's own checker, takes both.

mod edn;

use std::collections::HashMap;
use std::io::BufRead;

use rustc_hash::FxHashSet;

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

/// Reads a whole history: of one object, which is called as the model is, or of one for each key.
pub fn read(input: impl BufRead, model: &ObjectModel, limits: Limits) -> Result<ObjectHistory, ReadError> {
    let mut lines = Lines::new(input, limits.until);
    let mut reader = Reader::of(model);
    let mut operations = 0;
    while lines.advance()? {
        let form = match lines.text()?.trim().trim_start_matches('[').trim_end_matches(']') {
            "" => continue,
            line => edn::parse(line).map_err(|what| lines.error(what))?,
        };
        reader.take(form, lines.number())?;
        if reader.history.memory_bytes() > limits.memory_bytes {
            operations += reader.history.calls.len() as u64;
            // What is malformed is told before what is too large, so the rest is read and little of it kept.
            reader.forget();
        }
    }
    reader.settle(Keys::One)?;
    if operations > 0 {
        operations += reader.history.calls.len() as u64;
        return Err(ReadError::TooLarge { operations, memory_bytes: limits.memory_bytes });
    }
    if reader.count == 0 {
        let what = "the file has no operation; expected lines such as {:process 0, :type :invoke, :f :write, :value 3}";
        return Err(ReadError::Line { line: 1, what: what.to_owned() });
    }
    Ok(reader.finish())
}

/// Whether values come with the key that they are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    /// No: all is about one object.
    One,
    /// Each value comes with a key: it is about the object of that name.
    Many,
}

struct Reader<'a> {
    model: &'a ObjectModel,
    history: ObjectHistory,
    objects: HashMap<String, u32>,
    /// The open call of each process.
    open: HashMap<String, usize>,
    /// The number of each line, from 0, is a call's time while it is read.
    count: u64,
    /// The told time of each line, while every line has one.
    told: Option<Vec<u64>>,
    /// Whether there are keys, once that is known, and until then the lines that left it open.
    keys: Option<Keys>,
    waiting: Vec<(u64, Form)>,
    /// Of a set: what was added and did not fail.
    added: FxHashSet<(u32, Value)>,
}

fn expected(field: &str, what: &str) -> String {
    format!("{field}: expected {what}")
}

/// Whether an invocation shows that values come with keys, or that they do not.
fn shows_keys(form: &Form) -> Option<Keys> {
    let is_client = matches!(form.get("process"), Some(Form::Whole(_)));
    let is = |field: &str, word: &str| matches!(form.get(field), Some(Form::Word(found)) if found == word);
    if !is_client || !is("type", ":invoke") {
        return None;
    }
    let pair = match form.get("value") {
        Some(Form::List(pair)) if pair.len() == 2 => Some(pair),
        _ => None,
    };
    match pair {
        None => Some(Keys::One),
        Some(_) if is("f", ":read") => Some(Keys::Many),
        Some(pair) if is("f", ":cas") => match &pair[1] {
            Form::List(inner) if inner.len() == 2 => Some(Keys::Many),
            _ => Some(Keys::One),
        },
        // A write of a list, or of a value under a key.
        Some(_) => None,
    }
}

impl<'a> Reader<'a> {
    fn of(model: &'a ObjectModel) -> Self {
        Self {
            model,
            history: ObjectHistory::default(),
            objects: HashMap::new(),
            open: HashMap::new(),
            count: 0,
            told: Some(Vec::new()),
            keys: None,
            waiting: Vec::new(),
            added: FxHashSet::default(),
        }
    }

    fn forget(&mut self) {
        self.history = ObjectHistory::default();
        self.objects.clear();
        self.open.clear();
        self.added.clear();
    }

    /// Takes a line, once it is known whether there are keys.
    fn take(&mut self, form: Form, line: u64) -> Result<(), ReadError> {
        /// How many lines may leave it open.
        const WAITING_MAX: usize = 10_000;
        if self.keys.is_some() {
            return self.take_known(&form).map_err(|what| ReadError::Line { line, what });
        }
        let shown = shows_keys(&form);
        self.waiting.push((line, form));
        match shown {
            Some(keys) => self.settle(keys),
            None if self.waiting.len() >= WAITING_MAX => self.settle(Keys::One),
            None => Ok(()),
        }
    }

    /// Takes the lines that left open whether there are keys.
    fn settle(&mut self, keys: Keys) -> Result<(), ReadError> {
        self.keys.get_or_insert(keys);
        for (line, form) in std::mem::take(&mut self.waiting) {
            self.take_known(&form).map_err(|what| ReadError::Line { line, what })?;
        }
        Ok(())
    }

    /// What a value is of, and the value itself.
    fn object<'f>(&mut self, value: Option<&'f Form>) -> Result<(u32, Option<&'f Form>), String> {
        let (name, value) = match (self.keys, value) {
            (Some(Keys::Many), Some(Form::List(pair))) if pair.len() == 2 => (pair[0].json(), Some(&pair[1])),
            (Some(Keys::Many), _) => {
                return Err(expected(
                    ":value",
                    "a key and a value, such as [1 nil], as the lines before have",
                ));
            }
            _ => (self.model.name.clone(), value),
        };
        let history = &mut self.history;
        let object = *self.objects.entry(name).or_insert_with_key(|name| {
            history.objects.push(name.clone());
            history.initial.push(None);
            history.objects.len() as u32 - 1
        });
        Ok((object, value))
    }

    fn take_known(&mut self, form: &Form) -> Result<(), String> {
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
        let (object, value) = self.object(form.get("value"))?;
        let mut call = Call::new(actor, object, op, line, Call::NEVER, Outcome::Unknown);
        self.argue(&mut call, value)?;
        if let (Kind::Set, Op::Add, Some(value)) = (self.model.kind, op, call.value)
            && !self.added.insert((object, value))
        {
            let shown = self.history.values.shown(value);
            return Err(format!(
                "{shown} is added a second time, which Jepsen's set accepts and the model set refuses; expected distinct elements"
            ));
        }
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
            let (object, value) = self.object(form.get("value"))?;
            if object != call.object {
                return Err(expected(":value", "the key that was invoked with"));
            }
            call.saw = self.seen(call.op, value)?;
        }
        if let (":fail", Op::Add, Some(value)) = (kind, call.op, call.value) {
            self.added.remove(&(call.object, value));
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
            (_, Some(Form::Nil)) => Ok(None),
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
        if model.kind == Kind::Register {
            history.initial.iter_mut().for_each(|initial| *initial = Some(initial.unwrap_or(Value::NULL)));
        }
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
    fn independent_keys_are_objects_of_their_own() {
        // As jepsen.independent writes them: every value is a pair of key and value.
        let text = "\
{:index 0, :time 1, :type :invoke, :process 0, :f :write, :value [7 1]}
{:index 1, :time 2, :type :info, :process :nemesis, :f :start-partition, :value [:isolated {\"n1\" #{\"n2\"}}]}
{:index 2, :time 3, :type :invoke, :process 1, :f :read, :value [8 nil]}
{:index 3, :time 4, :type :ok, :process 0, :f :write, :value [7 1]}
{:index 4, :time 5, :type :ok, :process 1, :f :read, :value [8 nil]}
{:index 5, :time 6, :type :invoke, :process 0, :f :cas, :value [7 [1 2]]}
{:index 6, :time 7, :type :fail, :process 0, :f :cas, :value [7 [1 2]]}
{:index 7, :time 8, :type :invoke, :process 1, :f :read, :value [7 nil]}
{:index 8, :time 9, :type :ok, :process 1, :f :read, :value [7 1]}
{:index 9, :time 9, :type :invoke, :process 0, :f :write, :value [7 3]}
{:index 10, :time 10, :type :info, :process 0, :f :write, :value [7 3], :error :timeout}
";
        let history = read_all(Kind::Register, text).expect("well-formed");
        assert_eq!(history.objects, ["7", "8"]);
        let of: Vec<(u32, Option<Value>, Option<Value>)> =
            history.calls.iter().map(|call| (call.object, call.value, call.saw)).collect();
        let number = Value::whole;
        assert_eq!(
            of,
            [
                (0, number(1), None),
                (1, None, None),
                (0, number(1), number(2)),
                (0, None, number(1)),
                (0, number(3), None)
            ]
        );
        assert_eq!(history.initial, [Some(Value::NULL); 2]);
        let wrong = text.replace(":read, :value [7 1]", ":read, :value [8 1]");
        assert!(read_all(Kind::Register, &wrong).expect_err("another key").contains("line 9: :value"));
        let wrong = text.replace(":write, :value [7 3]}", ":write, :value 3}");
        assert!(
            read_all(Kind::Register, &wrong).expect_err("no key").contains("line 10: :value: expected a key")
        );
    }

    #[test]
    fn values_that_are_lists_are_no_keys() {
        let text = "\
{:process 0, :type :invoke, :f :write, :value [1 2]}
{:process 0, :type :ok, :f :write, :value [1 2]}
{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value [1 2]}
{:process 0, :type :invoke, :f :cas, :value [[1 2] [3 4]]}
";
        let history = read_all(Kind::Register, text).expect("well-formed");
        assert_eq!(history.objects, ["register"]);
        assert_eq!(history.calls[0].value, history.calls[1].saw);
        assert_eq!(history.calls[2].value, history.calls[0].value);
        // Without a read nothing shows it.
        let history = read_all(Kind::Register, text.lines().next().expect("a line")).expect("well-formed");
        assert_eq!(history.objects, ["register"]);
    }

    #[test]
    fn a_set_of_jepsen_may_not_add_twice_what_did_not_fail() {
        let add = "{:process 0, :type :invoke, :f :add, :value 1}\n";
        let failed = "{:process 0, :type :fail, :f :add, :value 1}\n";
        let ok = "{:process 0, :type :ok, :f :add, :value 1}\n";
        assert!(read_all(Kind::Set, &[add, failed, add, ok].concat()).is_ok());
        let told = read_all(Kind::Set, &[add, ok, add].concat()).expect_err("twice");
        assert!(told.contains("line 3: 1 is added a second time"), "{told}");
    }

    #[test]
    fn what_makes_no_sense_is_told_with_its_line() {
        for (text, expected) in [
            ("", "the file has no operation"),
            ("{:process 0, :type :invoke, :f :push, :value 1}", "line 1: :f: a register has no :push"),
            ("{:process 0, :type :ok, :f :read, :value 1}", "completes what it did not invoke"),
            ("{:process 0, :type :maybe, :f :read}", ":type: unknown :maybe"),
            ("{:process 0, :type :invoke, :f :cas, :value 1}", ":value: expected the value that is there"),
            ("{:process 0, :type :invoke", "line 1: the line is truncated"),
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
