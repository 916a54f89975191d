//! Which steps a violation rests on, as far as their labels tell: those of the operations that show it which touch
//! what another process touches as well, one of the two changing it; and how each of these operations returned.

use super::Interleaving;
use crate::engine::explore::schedule::{Line, without_number};
use crate::history::Record;

/// Calls that only look.
const LOOKS: [&str; 7] = ["open", "read", "stat", "fstat", "list", "readlink", "query-lock"];
/// Calls that are of no interest to whoever wants to understand a race.
const SILENT: [&str; 3] = ["close", "exit", "fsync"];

/// What a label says: the call, and the paths it is about.
struct Label<'a> {
    verb: &'a str,
    paths: Vec<&'a str>,
}

impl<'a> Label<'a> {
    fn of(label: &'a str) -> Self {
        let mut words = without_number(label).split(' ');
        let verb = words.next().unwrap_or_default();
        Self { verb, paths: words.filter(|word| word.contains('/')).collect() }
    }

    fn is_change(&self) -> bool {
        !LOOKS.contains(&self.verb)
    }

    fn is_call(&self) -> bool {
        !SILENT.contains(&self.verb) && !matches!(self.verb, "invoke" | "return" | "")
    }

    /// Whether the order of the two can matter.
    fn conflicts(&self, other: &Self) -> bool {
        self.is_call()
            && other.is_call()
            && (self.is_change() || other.is_change())
            && self.paths.iter().any(|path| other.paths.contains(path))
    }
}

/// For each step, whether it is decisive.
pub(super) fn steps(interleaving: &Interleaving<'_>) -> Vec<bool> {
    let lines = &interleaving.exploration.schedule.lines;
    let labels: Vec<_> = lines.iter().map(|line| Label::of(&line.label)).collect();
    let records: Vec<&Record> = interleaving
        .violation
        .records
        .iter()
        .filter_map(|index| interleaving.history.records.get(*index))
        .collect();
    let is_shown =
        |step: usize| records.is_empty() || records.iter().any(|record| covers(record, &lines[step], step));
    let meets = |step: usize| {
        (0..lines.len()).any(|other| {
            lines[other].process != lines[step].process && labels[step].conflicts(&labels[other])
        })
    };
    (0..lines.len())
        .map(|step| {
            let is_return = labels[step].verb == "return" && !records.is_empty();
            is_shown(step) && (lines[step].fault.is_some() || is_return || meets(step))
        })
        .collect()
}

/// Whether a step is part of an operation: a history's times are numbers of steps here.
fn covers(record: &Record, line: &Line, step: usize) -> bool {
    let step = step as u64;
    // An invocation may or may not be a step itself: one more at each end does no harm, as the process is the same.
    record.process as usize == line.process
        && record.invoke_ns <= step + 1
        && record.return_ns().is_none_or(|returned| step <= returned)
}
