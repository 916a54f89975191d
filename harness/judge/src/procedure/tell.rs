//! Words: how operations on objects are told to a person.

use std::fmt::Write as _;

use crate::history::object::{Call, ObjectHistory, Op, Value};
use crate::history::{Clock, FIRST_STEP, Outcome};
use crate::model::object::table::Rules;
use crate::model::object::{Item, Names};
use crate::words::Unit;

/// Tells the operations of a history. Times count from its first invocation, in the unit that fits.
#[derive(Clone, Copy, Debug)]
pub struct Teller<'a> {
    history: &'a ObjectHistory,
    origin_ns: u64,
    unit: Unit,
}

impl<'a> Teller<'a> {
    /// A teller of a history.
    #[must_use]
    pub fn of(history: &'a ObjectHistory) -> Self {
        let (mut first_ns, mut last_ns) = (u64::MAX, 0);
        for call in &history.calls {
            first_ns = first_ns.min(call.invoke_ns);
            last_ns = last_ns.max(call.return_ns().unwrap_or(call.invoke_ns));
        }
        Self { history, origin_ns: first_ns, unit: Unit::fitting(last_ns.saturating_sub(first_ns)) }
    }

    /// A value as the history spells it, in JSON.
    #[must_use]
    pub fn value(&self, value: Value) -> String {
        self.history.values.shown(value)
    }

    /// Who, as people name it: `p3` where it is a number.
    #[must_use]
    pub fn actor(&self, actor: u32) -> String {
        let name = &self.history.actors[actor as usize];
        let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { format!("p{name}") } else { name.clone() }
    }

    /// From its invocation to its return, in the unit that fits the history: `10 µs–40 µs`.
    #[must_use]
    pub fn span(&self, call: &Call) -> String {
        if self.history.clock == Clock::Steps {
            let step = |ns: u64| (ns + 1).saturating_sub(FIRST_STEP);
            return match call.return_ns() {
                Some(end) => format!("steps {}–{}", step(call.invoke_ns), step(end)),
                None => format!("step {}, open", step(call.invoke_ns)),
            };
        }
        let at = |ns: u64| self.unit.number(ns.saturating_sub(self.origin_ns));
        match call.return_ns() {
            Some(end) => format!("{}–{} {}", at(call.invoke_ns), at(end), self.unit.as_str()),
            None => format!("{} {}, open", at(call.invoke_ns), self.unit.as_str()),
        }
    }

    /// The table that the history's operations are of.
    fn rules(&self) -> Option<&'a Rules> {
        self.history.model.as_ref()?.rules.as_deref()
    }

    /// Of a table: the operation's name, and the status that it told.
    fn own_words(&self, value: Option<Value>, saw: Option<Value>) -> Option<(&'a str, Option<&'a str>)> {
        let rules = self.rules()?;
        let number = |value: Value| u16::try_from(value.as_whole()?).ok();
        let rule = rules.operation(value.and_then(number)?)?;
        let place = saw.and_then(number).and_then(|place| u8::try_from(place).ok());
        Some((&rule.name, place.map(|place| rules.spelled(place))))
    }

    /// The operation in a sentence: `the write 3 by p1`, `the read by p2 that saw 3`.
    #[must_use]
    pub fn the(&self, item: &Item) -> String {
        // Of one element alone, a list is a look at it; people know it as what the history says.
        let call = &self.history.calls[item.call as usize];
        let own = if call.op == item.op { None } else { Item::of(item.call, call) };
        let item = own.as_ref().unwrap_or(item);
        let own = self.own_words(item.value, item.saw).filter(|_| item.op == Op::Act);
        let name = own.map_or(item.op.as_str(), |(name, _)| name);
        let mut text = if item.refused { format!("the refused {name}") } else { format!("the {name}") };
        let shown = |value: Option<Value>| value.map_or_else(String::new, |value| self.value(value));
        match (item.op, item.value) {
            (Op::Act, _) | (_, None) => {}
            (Op::Cas, from) => _ = write!(text, " from {} to {}", shown(from), shown(item.saw)),
            (_, value) => _ = write!(text, " {}", shown(value)),
        }
        _ = write!(text, " by {}", self.actor(item.actor));
        match (item.op, own, item.saw) {
            (Op::Cas, ..) | (_, None | Some((_, None)), None) | (Op::Act, Some((_, None)), _) => {}
            (_, Some((_, Some(told))), _) => _ = write!(text, " that told {told}"),
            (Op::Append, _, saw) => _ = write!(text, " that took position {}", shown(saw)),
            (.., saw) => _ = write!(text, " that saw {}", shown(saw)),
        }
        text
    }

    /// The operation as a line of its own.
    #[must_use]
    pub fn line(&self, index: u32) -> String {
        let call = &self.history.calls[index as usize];
        let own = self.own_words(call.value, call.saw).filter(|_| call.op == Op::Act);
        let name = own.map_or(call.op.as_str(), |(name, _)| name);
        let mut text = format!("{} {name} ({})", self.actor(call.actor), self.span(call));
        let shown = |value: Value| self.value(value);
        match (call.op, call.value, call.saw) {
            (Op::Act, ..) => text.push(':'),
            (Op::Cas, Some(from), Some(to)) => _ = write!(text, ": from {} to {}", shown(from), shown(to)),
            (_, Some(value), _) => _ = write!(text, ": {}", shown(value)),
            _ => text.push(':'),
        }
        let ending = match call.outcome {
            Outcome::Unknown if call.return_ns().is_some() => "killed before it answered",
            Outcome::Unknown => "never answered",
            outcome => outcome.as_str(),
        };
        _ = write!(text, "{} {ending}", if text.ends_with(':') { "" } else { "," });
        if let Some(cause) = call.cause {
            _ = write!(text, " ({cause})");
        }
        match (own, call.saw) {
            (Some((_, Some(told))), _) => _ = write!(text, ", told {told}"),
            (None, Some(saw)) if call.op != Op::Cas => _ = write!(text, ", saw {}", shown(saw)),
            _ => {}
        }
        if let Some(message) = self.history.message(call) {
            _ = write!(text, " {message:?}");
        }
        text
    }
}

impl Names for Teller<'_> {
    fn value(&self, value: Value) -> String {
        Teller::value(self, value)
    }

    fn actor(&self, actor: u32) -> String {
        Teller::actor(self, actor)
    }
}
