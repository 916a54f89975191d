//! Which steps a violation rests on, as far as their labels tell: those of the operations that show it which touch
//! what another process touches as well, one of the two changing it; what changed it; and how each of these operations
//! returned.

use super::Interleaving;
use crate::history::{FIRST_STEP, Record};
use crate::plan::schedule::{Line, without_number};

/// What a call is to what it is about, as far as its label tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// It takes a lock.
    Lock,
    /// It looks at a file's content.
    Read,
    /// It changes a file's content.
    Write,
    /// It looks whether an entry is there, or needs it there.
    Find,
    /// It makes an entry or removes one.
    Enter,
    /// It puts one file in the place of another: content and entries.
    Replace,
    /// It is of no interest to whoever wants to understand a race.
    Silent,
}

impl Part {
    fn of(words: &[&str]) -> Self {
        match words[0] {
            "flock" | "try-flock" | "fcntl-lock" | "try-fcntl-lock" => Self::Lock,
            "read" => Self::Read,
            "open" if words.contains(&"truncate") => Self::Write,
            "write" | "truncate" | "resize" | "change" | "copy" => Self::Write,
            "open" | "stat" | "readlink" | "list" => Self::Find,
            // It may fail, and then it has changed nothing.
            "rename" if words.ends_with(&["unless", "there"]) => Self::Enter,
            "mkdir" | "rmdir" | "unlink" | "link" | "symlink" | "mknod" => Self::Enter,
            "rename" | "exchange" => Self::Replace,
            _ => Self::Silent,
        }
    }

    /// Whether the order of the two can matter, when both are about one path.
    const fn conflicts(self, other: Self) -> bool {
        use Part::{Enter, Find, Lock, Read, Replace, Write};
        matches!(
            (self, other),
            (Lock, Lock)
                | (Write | Replace, Read | Write | Replace)
                | (Read, Write | Replace)
                | (Enter, Find | Enter | Replace | Read | Write)
                | (Find | Replace | Read | Write, Enter)
        )
    }

    const fn is_change(self) -> bool {
        matches!(self, Self::Write | Self::Enter | Self::Replace)
    }
}

/// What a label says: the part that the call plays, and the paths it is about.
pub(super) struct Label<'a> {
    part: Part,
    /// Whether it makes an entry besides what its part says.
    creates: bool,
    /// Whether it looks at what an entry is, and not at its content.
    looks: bool,
    pub(super) is_return: bool,
    paths: Vec<&'a str>,
}

impl<'a> Label<'a> {
    pub(super) fn of(label: &'a str) -> Self {
        let words: Vec<&str> = without_number(label).split(' ').collect();
        let is_path = |index: usize, word: &str| index == 0 || words[index] == "to" || word.contains('/');
        let paths = words[1..].iter().enumerate().filter(|(index, word)| is_path(*index, word));
        Self {
            part: Part::of(&words),
            creates: words[0] == "open" && words.contains(&"create"),
            looks: matches!(words[0], "stat" | "access"),
            is_return: words[0] == "return",
            paths: paths.map(|(_, word)| *word).collect(),
        }
    }

    /// Whether it looks at the content of a file.
    pub(super) fn reads(&self, path: &str) -> bool {
        self.part == Part::Read && self.paths.contains(&path)
    }

    /// Whether it looks whether an entry is there, or what it is.
    pub(super) fn looks_at(&self, path: &str) -> bool {
        self.looks && self.paths.contains(&path)
    }

    /// The files whose content it changes; of a renaming that which is replaced.
    pub(super) fn changed(&self) -> impl Iterator<Item = &'a str> {
        let changed = match self.part {
            Part::Write => self.paths.first(),
            Part::Replace => self.paths.last(),
            _ => None,
        };
        changed.copied().into_iter()
    }

    fn conflicts(&self, other: &Self) -> bool {
        let makes = |one: &Self, other: &Self| one.creates && other.part == Part::Find;
        let is_conflict = self.part.conflicts(other.part) || makes(self, other) || makes(other, self);
        is_conflict && self.paths.iter().any(|path| other.paths.contains(path))
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
    // A file is read until there is no more: the last of these says nothing new.
    let is_repeated = |step: usize| {
        let same = |other: &Line| without_number(&other.label) == without_number(&lines[step].label);
        step > 0 && lines[step - 1].process == lines[step].process && same(&lines[step - 1])
    };
    let is_decisive = |step: usize| match &labels[step] {
        _ if lines[step].fault.is_some() => true,
        label if label.is_return => shown[step] && !records.is_empty(),
        _ if is_repeated(step) => false,
        _ if shown[step] => meets(step, &|_| true),
        label => label.part.is_change() && meets(step, &|other| shown[other]),
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
