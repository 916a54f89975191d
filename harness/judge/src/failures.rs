//! Failures: what a history's operations failed with, and which of them prove a violation by themselves.
//!
//! A failed operation changes nothing by any model, so no order is wrong for its sake: whoever only orders says nothing of
//! it. A history in which every fourth operation failed must not look like one in which none did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::tell::{Origin, told};
use crate::check::{self, Examination, VIOLATIONS_MAX};
use crate::evidence::Evidence;
use crate::history::{Clock, History, Outcome, Reason};
use crate::model::Model;
use crate::model::object::Fails;
use crate::verdict::Ruling;
use crate::violation::{Class, Violation};
use crate::words::units;

/// The failed operations of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// How many there are.
    pub count: u64,
    /// How many by reason.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// The first one, in words.
    pub first: Option<String>,
    /// What they prove: that metadata was torn, that an operation failed that the model says must not, or that one
    /// answered later than it says.
    #[serde(skip)]
    pub broken: Examination,
}

impl Failures {
    /// Those of this history, by what the model permits.
    #[must_use]
    pub fn of(history: &History, model: &Model) -> Self {
        let failed = || history.records.iter().filter(|record| record.outcome == Outcome::Failed);
        let mut by_reason = BTreeMap::new();
        for record in failed() {
            *by_reason.entry(record.reason.map_or("other", |reason| reason.as_str())).or_default() += 1;
        }
        let first = failed().min_by_key(|record| record.invoke_ns);
        let first = first.map(|record| {
            let name = history.container_name(record);
            let separator = if name.is_empty() { "" } else { ": " };
            format!("{name}{separator}{}", told(history, record, Origin::of(history)))
        });
        let mut broken = check::torn_reads(&Evidence::of_history(history));
        broken.merge(unpermitted(history, model));
        Self { count: failed().count() as u64, by_reason, first, broken }
    }

    /// What they say of the history. Without a proof of a violation that is nothing: failures verify nothing.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        if self.broken.violations.is_empty() {
            Ruling::nothing("failures verify nothing")
        } else {
            Ruling::Illegal(())
        }
    }
}

/// Failures that the model does not permit, and answers later than it says. What never answered is left out: nobody knows
/// when it was killed, or whether it went on.
fn unpermitted(history: &History, model: &Model) -> Examination {
    let mut found = Examination::default();
    let rules = model.rules();
    if rules.rules.iter().all(|rule| rule.fails == Fails::Any && rule.within_ns.is_none()) {
        return found;
    }
    let mut breaches: Vec<(u64, usize, Class, String)> = Vec::new();
    for (index, record) in history.records.iter().enumerate() {
        let Some(rule) = rules.rule(record.operation) else { continue };
        found.examined += 1;
        let operation = rule.operation;
        let is_busy = record.reason == Some(Reason::Locked);
        let breach = match (record.outcome, rule.fails) {
            (Outcome::Failed, _) if record.reason == Some(Reason::Corrupt) => None,
            (Outcome::Failed, Fails::Never) => {
                Some((Class::UnexpectedFailure, format!("the model says that {operation} never fails")))
            }
            (Outcome::Failed, Fails::Busy) if !is_busy => Some((
                Class::UnexpectedFailure,
                format!("the model says that {operation} fails only if it is busy"),
            )),
            _ => None,
        };
        let late = || {
            let within_ns = rule.within_ns.filter(|_| history.clock == Clock::Nanoseconds)?;
            let took_ns = record.return_ns()?.checked_sub(record.invoke_ns)?;
            let is_late = took_ns > within_ns && record.outcome != Outcome::Unknown;
            let (took, within) = (units::show_ns(took_ns), units::show_ns(within_ns));
            let why = format!("it took {took}, but the model allows {operation} {within}");
            is_late.then_some((Class::Starvation, why))
        };
        breaches.extend(breach.or_else(late).map(|(class, why)| (record.invoke_ns, index, class, why)));
    }
    breaches.sort_by_key(|&(at_ns, index, ..)| (at_ns, index));
    found.violations_total = breaches.len() as u64;
    let violation = |(_, index, class, why): (u64, usize, Class, String)| {
        let record = &history.records[index];
        let name = history.container_name(record);
        let message = format!("{name}: {} ({why})", told(history, record, Origin::of(history)));
        Violation { class, container: record.container(), message, records: vec![index] }
    };
    found.violations = breaches.into_iter().take(VIOLATIONS_MAX).map(violation).collect();
    found
}
