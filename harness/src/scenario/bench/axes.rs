//! The axes: for each a value, or a list of values.

use std::ops::RangeInclusive;
use std::str::FromStr;

use flockwork::{ReadPolicy, WritePolicy};

use super::work::{WORK_FORM, Work};
use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::document::tree::{Entry, Node, Value};
use crate::plan::bench::{
    BenchLock, BenchSubject, CommandTask, Descriptor, LOAD_FORM, Load, SKEW_FORM, Skew, WAITING_FORM, Waiting,
};
use crate::scenario::command::{read_environment, read_line, read_lines};
use crate::scenario::stress::{CONTAINERS_MAX, PAYLOAD_BYTES, PROCESSES_MAX};
use crate::subject::command::fill::Placeholder;
use crate::words::nearest;
use crate::words::units;

/// The values of every axis; none is empty.
#[derive(Clone, Debug, PartialEq)]
pub struct Axes {
    /// Which protocol operations follow.
    pub subject: Vec<BenchSubject>,
    /// The locks that are compared.
    pub lock: Vec<BenchLock>,
    /// The ways of waiting that are compared.
    pub wait: Vec<Waiting>,
    /// Where descriptors come from; `None` stands for what is usual.
    pub descriptor: Vec<Option<Descriptor>>,
    /// What is done under the lock.
    pub work: Vec<Work>,
    /// How operations read.
    pub read: Vec<ReadPolicy>,
    /// How operations write.
    pub write: Vec<WritePolicy>,
    /// Reads for each write.
    pub reads: Vec<u32>,
    /// Size of the metadata's payload.
    pub payload_bytes: Vec<u32>,
    /// How many processes.
    pub processes: Vec<u32>,
    /// How many containers.
    pub containers: Vec<u32>,
    /// How containers are chosen.
    pub skew: Vec<Skew>,
    /// How work arrives.
    pub load: Vec<Load>,
    /// The user's command that is measured, where one is.
    pub command: Option<CommandTask>,
}

/// Reads the axes; what is not given has one value.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Axes> {
    let subjects = BenchSubject::ALL.map(BenchSubject::as_str);
    let descriptors = Descriptor::ALL.map(Descriptor::as_str);
    let policies: Vec<_> = ReadPolicy::ALL.iter().map(|policy| policy.as_str()).collect();
    let writes: Vec<_> = WritePolicy::ALL.iter().map(|policy| policy.as_str()).collect();
    let locks: Vec<_> = BenchLock::all().into_iter().map(BenchLock::as_str).collect();
    let is_command = matches!(
        reader.take("subject").map(|entry| &entry.node.value), Some(Value::Text(subject)) if subject == COMMAND
    );
    if is_command {
        return read_command(reader);
    }
    let subject = named(reader, "subject", &subjects, |text| {
        BenchSubject::ALL.into_iter().find(|subject| subject.as_str() == text)
    });
    let lock = named(reader, "lock", &locks, parsed);
    let wait = spelled(reader, "wait", WAITING_FORM);
    let descriptor = named(reader, "descriptor", &descriptors, |text| {
        Descriptor::ALL.into_iter().find(|descriptor| descriptor.as_str() == text)
    });
    let work = spelled(reader, "work", WORK_FORM);
    let read = named(reader, "read", &policies, parsed);
    let write = named(reader, "write", &writes, parsed);
    let reads = counts(reader, "reads", 0..=1_000_000);
    let payload = sizes(reader, "payload");
    let processes = counts(reader, "processes", 1..=PROCESSES_MAX);
    let containers = counts(reader, "containers", 1..=CONTAINERS_MAX);
    let skew = spelled(reader, "skew", SKEW_FORM);
    let load = spelled(reader, "load", LOAD_FORM);
    if processes == Given::Nothing {
        let expected = format!("a whole number of processes from 1 to {PROCESSES_MAX}, or a list");
        reader.missing("processes", &expected);
    }
    Some(Axes {
        subject: subject.or(BenchSubject::Library)?,
        lock: lock.or(BenchLock::Library(flockwork::LockKind::Fs2))?,
        wait: wait.or(Waiting::Block)?,
        descriptor: descriptor.map(Some).or(None)?,
        work: work.or(Work::Nothing)?,
        read: read.or(ReadPolicy::Shared)?,
        write: write.or(WritePolicy::Rename)?,
        reads: reads.or(1)?,
        payload_bytes: payload.or(1 << 10)?,
        processes: processes.values()?,
        containers: containers.or(1)?,
        skew: skew.or(Skew::Uniform)?,
        load: load.or(Load::Closed(0))?,
        command: None,
    })
}

/// The subject that is a user's command.
const COMMAND: &str = "command";
/// How long a command may take, unless a scenario says otherwise.
const TIME_LIMIT_NS: u64 = 10_000_000_000;
/// What stands for something in a command.
const PLACEHOLDERS: [&str; 4] = [
    Placeholder::Object.as_str(),
    Placeholder::State.as_str(),
    Placeholder::Process.as_str(),
    Placeholder::Number.as_str(),
];

/// Reads the axes of a user's command.
fn read_command(reader: &mut Reader<'_>) -> Option<Axes> {
    let line = if let Some(node) = reader.take("command").map(|entry| &entry.node) {
        read_line(reader, "command", node, &PLACEHOLDERS)
    } else {
        reader.missing("command", "a command line, or its words such as [\"./tool\", \"inc\"]");
        None
    };
    let setup = read_lines(reader, "setup");
    let environment = read_environment(reader, "env", &["state"]);
    let time_limit_ns = reader.duration_ns("time_limit", 10_000_000..=3_600_000_000_000);
    let processes = counts(reader, "processes", 1..=PROCESSES_MAX);
    let containers = counts(reader, "objects", 1..=CONTAINERS_MAX);
    let load = spelled(reader, "load", LOAD_FORM);
    if processes == Given::Nothing {
        let expected = format!("a whole number of processes from 1 to {PROCESSES_MAX}, or a list");
        reader.missing("processes", &expected);
    }
    let command = CommandTask {
        line: line?,
        setup,
        environment,
        time_limit_ns: time_limit_ns.unwrap_or(TIME_LIMIT_NS),
    };
    Some(Axes {
        subject: vec![BenchSubject::Library],
        lock: vec![BenchLock::None],
        wait: vec![Waiting::Block],
        descriptor: vec![None],
        work: vec![Work::Nothing],
        read: vec![ReadPolicy::Shared],
        write: vec![WritePolicy::Rename],
        reads: vec![1],
        payload_bytes: vec![0],
        processes: processes.values()?,
        containers: containers.or(1)?,
        skew: vec![Skew::Uniform],
        load: load.or(Load::Closed(0))?,
        command: Some(command),
    })
}

/// What a scenario gives for an axis.
#[derive(Clone, Debug, PartialEq)]
enum Given<T> {
    Nothing,
    Values(Vec<T>),
    /// A mistake, which has been told.
    Wrong,
}

impl<T> Given<T> {
    fn values(self) -> Option<Vec<T>> {
        match self {
            Self::Values(values) => Some(values),
            Self::Nothing | Self::Wrong => None,
        }
    }

    fn or(self, default: T) -> Option<Vec<T>> {
        match self {
            Self::Nothing => Some(vec![default]),
            given => given.values(),
        }
    }

    fn map<U>(self, change: impl Fn(T) -> U) -> Given<U> {
        match self {
            Self::Nothing => Given::Nothing,
            Self::Wrong => Given::Wrong,
            Self::Values(values) => Given::Values(values.into_iter().map(change).collect()),
        }
    }
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

/// One of several words each.
fn named<T: PartialEq>(
    reader: &mut Reader<'_>,
    key: &'static str,
    known: &[&str],
    parse: impl Fn(&str) -> Option<T>,
) -> Given<T> {
    let expected = format!("one of {}", known.join(", "));
    axis(reader, key, &expected, known, |value| match value {
        Value::Text(text) => parse(text),
        _ => None,
    })
}

/// A text of a certain form each.
fn spelled<T: FromStr + PartialEq>(reader: &mut Reader<'_>, key: &'static str, form: &str) -> Given<T> {
    axis(reader, key, form, &[], |value| match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    })
}

fn counts(reader: &mut Reader<'_>, key: &'static str, bounds: RangeInclusive<u32>) -> Given<u32> {
    let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
    axis(reader, key, &expected, &[], |value| match value {
        Value::Integer(number) => u32::try_from(*number).ok().filter(|number| bounds.contains(number)),
        _ => None,
    })
}

fn sizes(reader: &mut Reader<'_>, key: &'static str) -> Given<u32> {
    let (low, high) = (PAYLOAD_BYTES.start() >> 10, PAYLOAD_BYTES.end() >> 10);
    let expected = format!("0 (none) or a size from {low}KiB to {high}KiB");
    let allowed = |bytes: &u64| *bytes == 0 || PAYLOAD_BYTES.contains(bytes);
    axis(reader, key, &expected, &[], |value| {
        let bytes = match value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Text(text) => units::size_bytes(text),
            _ => None,
        };
        bytes.filter(allowed).and_then(|bytes| u32::try_from(bytes).ok())
    })
}

/// A value or a list of values. A value that comes twice counts once.
fn axis<T: PartialEq>(
    reader: &mut Reader<'_>,
    key: &'static str,
    expected: &str,
    known: &[&str],
    parse: impl Fn(&Value) -> Option<T>,
) -> Given<T> {
    let Some(Entry { node, .. }) = reader.take(key) else { return Given::Nothing };
    let nodes: &[Node] = match &node.value {
        Value::Array(items) => items,
        _ => std::slice::from_ref(node),
    };
    if nodes.is_empty() {
        let message =
            format!("{key}: expected a value or a list of values, found an empty list: the grid is empty");
        reader.complain(Problem::new(&node.place, message));
        return Given::Wrong;
    }
    let mut values = Vec::new();
    let mut is_sound = true;
    for item in nodes {
        match parse(&item.value) {
            Some(value) if values.contains(&value) => {}
            Some(value) => values.push(value),
            None => {
                is_sound = false;
                reader.complain(wrong(key, expected, known, item));
            }
        }
    }
    if is_sound { Given::Values(values) } else { Given::Wrong }
}

fn wrong(key: &str, expected: &str, known: &[&str], item: &Node) -> Problem {
    let message = format!("{key}: expected {expected}, found {}", item.value.describe());
    let problem = Problem::new(&item.place, message);
    let near = match &item.value {
        Value::Text(text) => nearest(text, known.iter().copied()),
        _ => None,
    };
    match near {
        Some(near) => problem.with_help(format!("the nearest is {near:?}")),
        None => problem,
    }
}
