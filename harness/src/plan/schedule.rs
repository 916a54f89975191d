//! Schedules: the order in which controlled processes took their steps, with the faults that met them, as text.
//!
//! A line says who did what: `p2 flock c1/meta.lock exclusive`. A step that a fault met says so behind an exclamation
//! mark: `p1 write c1/meta.json.tmp ! ENOSPC`; with `! kill` the process was killed where this step would have been.
//! Lines name steps by what they do, never by number, so a schedule can be read, and means the same as long as
//! the subject takes the same steps.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};
use strum::{EnumCount, EnumDiscriminants, VariantArray};

use crate::words::every;

/// Marks the fault in a line.
const FAULT_MARK: &str = " ! ";

/// What goes wrong at a step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, EnumDiscriminants,
)]
#[strum_discriminants(name(FaultKind), vis(pub), derive(VariantArray))]
#[strum_discriminants(doc = "A kind of fault: all errors that can be injected are one.")]
#[serde(try_from = "String", into = "String")]
pub enum Fault {
    #[strum_discriminants(doc = "SIGKILL at a step.")]
    /// SIGKILL, where the step would have been; what the process held is let go as the kernel does it.
    Kill,
    #[strum_discriminants(doc = "SIGKILL at a step, for one process of several that a command consists of.")]
    /// SIGKILL for the one process of a command whose step it would have been: who started it, and what it started, live on.
    KillOne,
    #[strum_discriminants(doc = "A call that fails, with whatever error.")]
    /// The call does nothing and fails with this error.
    Error(Injected),
    #[strum_discriminants(doc = "A write that ends early.")]
    /// Only the first half of the bytes is written, and the call says so.
    ShortWrite,
    #[strum_discriminants(doc = "A write that ends early, and with it the process.")]
    /// Only the first half of the bytes is written, and then comes SIGKILL.
    ShortWriteKill,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FaultKind {
    /// All kinds of faults.
    pub const ALL: &'static [Self] = Self::VARIANTS;
}

impl Fault {
    /// Every single fault, each error that can be injected as one of its own.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let of = |kind: &FaultKind| match kind {
            FaultKind::Kill => vec![Self::Kill],
            FaultKind::KillOne => vec![Self::KillOne],
            FaultKind::Error => Injected::ALL.map(Self::Error).to_vec(),
            FaultKind::ShortWrite => vec![Self::ShortWrite],
            FaultKind::ShortWriteKill => vec![Self::ShortWriteKill],
        };
        FaultKind::VARIANTS.iter().flat_map(of).collect()
    }

    /// As scenarios and schedules spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::KillOne => "kill-one",
            Self::Error(error) => error.as_str(),
            Self::ShortWrite => "short-write",
            Self::ShortWriteKill => "short-write-kill",
        }
    }
}

/// A text that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {known}, found {0:?}", known = Fault::all().into_iter().map(Fault::as_str).collect::<Vec<_>>().join(", "))]
pub struct UnknownFault(String);

/// An error that can be injected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, EnumCount, VariantArray)]
pub enum Injected {
    /// No space left on the device.
    NoSpace,
    /// Input or output error.
    Io,
    /// A signal came before anything was done.
    Interrupted,
    /// The process has too many open files.
    TooManyFiles,
    /// `EACCES`: permission was denied.
    Access,
}

impl Injected {
    /// All errors that can be injected.
    pub const ALL: [Self; Self::COUNT] = every(Self::VARIANTS);

    /// Its name, as the manual pages have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoSpace => "ENOSPC",
            Self::Io => "EIO",
            Self::Interrupted => "EINTR",
            Self::TooManyFiles => "EMFILE",
            Self::Access => "EACCES",
        }
    }

    /// The number that the call fails with.
    #[must_use]
    pub const fn errno(self) -> Errno {
        match self {
            Self::NoSpace => Errno::ENOSPC,
            Self::Io => Errno::EIO,
            Self::Interrupted => Errno::EINTR,
            Self::TooManyFiles => Errno::EMFILE,
            Self::Access => Errno::EACCES,
        }
    }
}

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let known = Self::all().into_iter().find(|fault| fault.as_str() == text);
        known.ok_or_else(|| UnknownFault(text.to_owned()))
    }
}

impl TryFrom<String> for Fault {
    type Error = UnknownFault;

    fn try_from(text: String) -> Result<Self, UnknownFault> {
        text.parse()
    }
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        fault.to_string()
    }
}

/// One line of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// The process's number, from 0; as text it counts from 1.
    pub process: usize,
    /// What the step does, or would have done.
    pub label: String,
    /// The fault that met it.
    pub fault: Option<Fault>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{} {}", self.process + 1, self.label)?;
        self.fault.map_or(Ok(()), |fault| write!(f, "{FAULT_MARK}{fault}"))
    }
}

/// A label without the number that tells recurring steps apart.
#[must_use]
pub fn without_number(label: &str) -> &str {
    match label.rsplit_once(" #") {
        Some((rest, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            rest
        }
        _ => label,
    }
}

/// A text that is no line of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It does not begin with a process.
    #[error("expected a process and its step, such as \"p2 flock c1/meta.lock exclusive\", found {0:?}")]
    Process(String),
    /// It has no step.
    #[error("expected what p{process} does, found nothing after it")]
    Step {
        /// The process, counted from 1.
        process: usize,
    },
    /// Its fault is unknown.
    #[error(transparent)]
    Fault(#[from] UnknownFault),
}

impl FromStr for Line {
    type Err = LineError;

    fn from_str(text: &str) -> Result<Self, LineError> {
        let (step, fault) = match text.rsplit_once(FAULT_MARK) {
            Some((step, fault)) => (step, Some(fault.trim().parse::<Fault>()?)),
            None => (text, None),
        };
        let (who, label) = step.trim().split_once(' ').unwrap_or((step.trim(), ""));
        let number = who.strip_prefix('p').and_then(|digits| digits.parse::<usize>().ok());
        let process =
            number.filter(|&number| number > 0).ok_or_else(|| LineError::Process(text.to_owned()))?;
        let label = label.trim().to_owned();
        if label.is_empty() {
            return Err(LineError::Step { process });
        }
        Ok(Self { process: process - 1, label, fault })
    }
}

/// A schedule: who took which step, with any faults, line by line, from the first step to the last.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct Schedule {
    /// Its lines, in order.
    pub lines: Vec<Line>,
    /// What the names that have numbers in its lines (`new1#1`) were in the execution that took them, as far as that is known.
    /// Another execution may have others, so they are no part of what a schedule is, and are not stored with it.
    pub names: Names,
}

/// What names of the moment were in one execution, by what they are called in labels.
pub type Names = BTreeMap<String, String>;

/// A label as people read it: with the names of the execution that took the step. Its parts are names and words, between
/// blanks and slashes.
pub(crate) fn as_read(label: &str, names: &Names) -> String {
    if names.is_empty() {
        return label.to_owned();
    }
    let parts = label.split_inclusive([' ', '/']).map(|part| {
        let name = part.trim_end_matches([' ', '/']);
        let between = &part[name.len()..];
        names.get(name).map_or_else(|| part.to_owned(), |name| format!("{name}{between}"))
    });
    parts.collect()
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines
    }
}

impl Eq for Schedule {}

impl From<Vec<Line>> for Schedule {
    fn from(lines: Vec<Line>) -> Self {
        Self { lines, names: Names::new() }
    }
}

impl Schedule {
    /// The same for people: with the names of the execution that took its steps. Only its labels can be replayed.
    pub(crate) fn as_read(&self) -> Self {
        let line = |line: &Line| Line { label: as_read(&line.label, &self.names), ..line.clone() };
        self.lines.iter().map(line).collect::<Vec<_>>().into()
    }

    /// What was taken: the steps, by process and label, and at which of them a fault met somebody.
    pub(crate) fn taken<'s>(
        steps: impl Iterator<Item = (usize, &'s str)>,
        faults: &[(usize, Fault)],
    ) -> Self {
        let line = |(process, label): (usize, &str)| Line { process, label: label.to_owned(), fault: None };
        let mut lines: Vec<Line> = steps.map(line).collect();
        for &(step, fault) in faults {
            lines[step].fault = Some(fault);
        }
        lines.into()
    }
}

impl TryFrom<Vec<String>> for Schedule {
    type Error = LineError;

    fn try_from(lines: Vec<String>) -> Result<Self, LineError> {
        Ok(lines.iter().map(|line| line.parse()).collect::<Result<Vec<_>, _>>()?.into())
    }
}

impl From<Schedule> for Vec<String> {
    fn from(schedule: Schedule) -> Self {
        schedule.lines.iter().map(ToString::to_string).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        for text in [
            "p1 flock c1/meta.lock exclusive",
            "p12 write c1/meta.json.tmp 312 bytes #2 ! ENOSPC",
            "p2 return pause c1 ok ! kill",
            "p1 write log [task 2] #3 ! kill-one",
            "p1 write c1/meta.json ! short-write-kill",
        ] {
            let line: Line = text.parse().expect(text);
            assert_eq!(line.to_string(), text);
        }
    }

    #[test]
    fn people_read_the_names_of_the_execution() {
        let names: Names =
            [("new1#1", "list.tmp"), ("new1#12", "two words"), (".p.new2#1.link", ".p.aB3xY9.link")]
                .map(|(called, name)| (called.to_owned(), name.to_owned()))
                .into();
        for (label, read) in [
            ("rename new1#1 list #2", "rename list.tmp list #2"),
            ("link a/new1#1/new1#12 to new1#12 [task 2]", "link a/list.tmp/two words to two words [task 2]"),
            ("rename .p.new2#1.link p", "rename .p.aB3xY9.link p"),
            ("write new1#123 1 byte to xnew1#1", "write new1#123 1 byte to xnew1#1"),
            ("open /new1#1", "open /list.tmp"),
        ] {
            assert_eq!(as_read(label, &names), read);
        }
        let line = Line { process: 0, label: "unlink new1#1".into(), fault: Some(Fault::Kill) };
        let schedule = Schedule { lines: vec![line.clone()], names };
        assert_eq!(schedule.as_read().lines[0].to_string(), "p1 unlink list.tmp ! kill");
        assert_eq!(schedule, Schedule::from(vec![line]), "whatever its names were");
        assert_eq!(serde_json::to_string(&schedule).expect("a text"), r#"["p1 unlink new1#1 ! kill"]"#);
    }

    #[test]
    fn what_is_no_line_is_told() {
        for (text, told) in [
            ("flock c1/meta.lock", "found \"flock c1/meta.lock\""),
            ("p0 open", "expected a process"),
            ("p1", "expected what p1 does"),
            ("p1 write x ! ENOENT", "found \"ENOENT\""),
            ("p1 ! EIO", "expected what p1 does"),
        ] {
            let error = text.parse::<Line>().expect_err(text).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
