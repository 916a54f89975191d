//! Faults: where no legal order goes on, in words and as a span of time.

use std::fmt::Write as _;

use crate::check::tell::{Ending, Origin, told};
use crate::history::{History, Record};
use crate::model::Illegal;
use crate::violation::{Class, Violation};

/// How the order of the tokens contradicts the model or the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The model forbids what the operation did.
    Illegal(Illegal),
    /// It saw less than had happened before it was invoked, or claims more than can have happened by its return.
    TooLate,
    /// Saves that nobody made.
    Missing,
    /// A new life although nobody ended the one before.
    NotDeleted,
    /// A life that nobody began.
    NotCreated,
    /// A life was seen after its end.
    Dead,
    /// The container was found absent while nobody had deleted it.
    Vanished,
    /// Several operations claim one revision, and no order of them is legal.
    Tied,
    /// A refusal for which there is no moment in its interval.
    Nowhere,
}

impl Kind {
    /// Whether something changed that nobody claims to have changed.
    #[must_use]
    pub fn is_unclaimed_change(self) -> bool {
        match self {
            Self::Missing | Self::NotDeleted | Self::NotCreated | Self::Vanished => true,
            Self::Illegal(Illegal::WrongStatus(operation, ..)) => !crate::model::can_change(operation),
            _ => false,
        }
    }

    /// Whether the container came without anybody claiming that.
    #[must_use]
    pub fn is_appearance(self) -> bool {
        self == Self::NotCreated
    }

    /// Whether the container went without anybody claiming that.
    #[must_use]
    pub fn is_disappearance(self) -> bool {
        matches!(self, Self::NotDeleted | Self::Vanished)
    }
}

/// One place where no legal order goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The container, by index into the history's names.
    pub container: u32,
    /// How the order of the tokens contradicts the model or the times.
    pub kind: Kind,
    /// The latest operation for which there was an order, and those that cannot follow it.
    pub records: Vec<usize>,
}

impl Fault {
    pub(super) fn new(container: u32, kind: Kind, latest: Option<u32>, decisive: &[u32]) -> Self {
        let records = latest.into_iter().chain(decisive.iter().copied()).map(|index| index as usize);
        let mut records: Vec<_> = records.collect();
        records.dedup();
        Self { container, kind, records }
    }

    /// From when to when what is wrong can have happened: from the invocation of the first operation that shows it to
    /// the deadline of the last.
    #[must_use]
    pub fn span_ns(&self, records: &[Record]) -> (u64, u64) {
        let shown = || self.records.iter().map(|&index| &records[index]);
        (
            shown().map(|record| record.invoke_ns).min().unwrap_or(0),
            shown().map(Record::deadline_ns).max().unwrap_or(u64::MAX),
        )
    }

    /// The fault as a violation of this class; `cause` is added to the words.
    #[must_use]
    pub fn violation(&self, history: &History, class: Class, cause: &str) -> Violation {
        let origin = Origin::of(history);
        let mut message = format!("{}: {}", history.containers[self.container as usize], self.why(history));
        let mut separator = " Seen by: ";
        for &index in &self.records {
            write!(message, "{separator}{}", told(history, &history.records[index], origin))
                .expect("a string takes everything");
            separator = "; ";
        }
        message.push('.');
        message.push_str(cause);
        Violation { class, container: Some(self.container), message, records: self.records.clone() }
    }

    fn why(&self, history: &History) -> String {
        let records = &history.records;
        let last = self.records.last().map(|&index| &records[index]);
        let process = last.map_or(0, |record| record.process);
        let operation = last.map_or("operation", |record| record.operation.as_str());
        let saw = last.map_or_else(String::new, |record| Ending(record).to_string());
        match self.kind {
            Kind::Illegal(illegal) => {
                format!("p{process}'s {illegal}, after everything that its generation and revision say came before.")
            }
            Kind::TooLate => format!(
                "p{process}'s {operation} ended as \"{saw}\", but an operation that must come before it by \
                 generation and revision was invoked only after it had returned."
            ),
            Kind::Missing => format!(
                "p{process}'s {operation} ended as \"{saw}\", but nobody made all the saves before it: a revision \
                 is missing that neither a successful nor a killed operation can have made."
            ),
            Kind::NotDeleted => format!(
                "a new generation appears in p{process}'s {operation} ({saw}), but nobody deleted the one before."
            ),
            Kind::NotCreated => format!(
                "p{process}'s {operation} ended as \"{saw}\", but nobody created that generation."
            ),
            Kind::Dead => format!(
                "p{process}'s {operation} ended as \"{saw}\", but that generation had been deleted, or never \
                 created."
            ),
            Kind::Vanished => format!(
                "p{process}'s {operation} found it absent ({saw}), but it existed all the while: nobody had \
                 deleted it."
            ),
            Kind::Tied => "several operations claim to have made one and the same revision, and no order of them is legal.".into(),
            Kind::Nowhere => format!(
                "p{process}'s {operation} ended as \"{saw}\", but at no moment of its interval was the container \
                 so that it must be refused for that."
            ),
        }
    }
}
