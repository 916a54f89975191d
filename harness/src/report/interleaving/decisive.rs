//! Which steps a violation rests on, as far as their labels tell: those of the operations that show it which touch
//! what another process touches as well, one of the two changing it; what changed it; and how each of these operations
//! returned.

use super::Interleaving;
use crate::engine::explore::schedule::{Line, without_number};
use crate::history::{FIRST_STEP, Record};

/// Calls that only look.
const LOOKS: [&str; 8] = ["open", "read", "stat", "fstat", "list", "readlink", "query-lock", "fsync"];
/// Calls about locks: who changed what a violation rests on is told by other calls.
const LOCKS: [&str; 3] = ["flock", "fcntl", "unlock"];
/// Steps that are of no interest to whoever wants to understand a race.
const SILENT: [&str; 5] = ["close", "exit", "invoke", "return", ""];

/// What a label says: the call, the paths it is about, and whether it changes something.
struct Label<'a> {
    verb: &'a str,
    paths: Vec<&'a str>,
    is_change: bool,
}

impl<'a> Label<'a> {
    fn of(label: &'a str) -> Self {
        let words: Vec<&str> = without_number(label).split(' ').collect();
        let verb = words[0];
        let paths = words[1..].iter().enumerate().filter(|(index, word)| *index == 0 || word.contains('/'));
        let is_change = !LOOKS.contains(&verb) || words.contains(&"truncate");
        Self { verb, paths: paths.map(|(_, word)| *word).collect(), is_change }
    }

    /// Whether the order of the two can matter.
    fn conflicts(&self, other: &Self) -> bool {
        let is_call = |label: &Self| !SILENT.contains(&label.verb);
        is_call(self)
            && is_call(other)
            && (self.is_change || other.is_change)
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
    let shown: Vec<bool> = (0..lines.len())
        .map(|step| records.is_empty() || records.iter().any(|record| covers(record, &lines[step], step)))
        .collect();
    let meets = |step: usize, is_sought: &dyn Fn(usize) -> bool| {
        (0..lines.len()).any(|other| {
            lines[other].process != lines[step].process
                && is_sought(other)
                && labels[step].conflicts(&labels[other])
        })
    };
    let is_decisive = |step: usize| match labels[step].verb {
        _ if lines[step].fault.is_some() => true,
        "return" => shown[step] && !records.is_empty(),
        _ if shown[step] => meets(step, &|_| true),
        verb => labels[step].is_change && !LOCKS.contains(&verb) && meets(step, &|other| shown[other]),
    };
    (0..lines.len()).map(is_decisive).collect()
}

/// Whether a step is part of an operation: a history's times are numbers of steps here, and its processes count from 1.
fn covers(record: &Record, line: &Line, step: usize) -> bool {
    let at = FIRST_STEP + step as u64;
    record.process as usize == line.process + 1
        && record.invoke_ns <= at
        && record.return_ns().is_none_or(|returned| at <= returned)
}
