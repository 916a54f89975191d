//! Failures: what a history's operations failed with, and which of them prove a violation by themselves.
//!
//! A failed operation changes nothing by any model, so no order is wrong for its sake: whoever only orders says nothing of
//! it. A history in which every fourth operation failed must not look like one in which none did.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::check::tell::{Origin, told};
use crate::check::{self, Examination};
use crate::evidence::Evidence;
use crate::history::{History, Outcome};
use crate::verdict::Ruling;

/// The failed operations of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// How many there are.
    pub count: u64,
    /// How many by reason.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// The first one, in words.
    pub first: Option<String>,
    /// What they prove: that metadata was torn.
    #[serde(skip)]
    pub torn: Examination,
}

impl Failures {
    /// Those of this history.
    #[must_use]
    pub fn of(history: &History) -> Self {
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
        let torn = check::torn_reads(&Evidence::of_history(history));
        Self { count: failed().count() as u64, by_reason, first, torn }
    }

    /// What they say of the history. Without a proof of a violation that is nothing: failures verify nothing.
    #[must_use]
    pub fn ruling(&self) -> Ruling {
        if self.torn.violations.is_empty() {
            Ruling::nothing("failures verify nothing")
        } else {
            Ruling::Illegal(())
        }
    }
}
