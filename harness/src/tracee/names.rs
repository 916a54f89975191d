//! Names that are the same in every execution: pids and random parts of file names become numbers, in the order in which
//! a process first uses them.
//!
//! What a program is written to use comes again in every execution; what it draws at random, or takes from its pid, does
//! not. So the parts of paths that two executions share are words, and every other is a name of the moment. Until two
//! executions are known, a name is judged by its look.

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::plan::schedule;

/// Shortest run of letters and digits that can be random.
const RANDOM_MIN: usize = 6;

/// The names of one machine.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Names that come again; none before two executions are known.
    words: Option<BTreeSet<String>>,
    /// The names that each execution so far had, but for those that are in all.
    shared: Option<HashSet<String>>,
    seen: HashSet<String>,
    /// Pids of this execution, as text, and what they are called.
    pids: HashMap<String, String>,
    /// Names of the moment, and what they are called.
    moment: HashMap<String, String>,
    /// What has numbers, by what it is called: for people. Pids are called as in labels there, too.
    numbered: schedule::Names,
    /// How many of those each process has used.
    used: Vec<usize>,
}

impl Names {
    pub fn new(words: Option<BTreeSet<String>>) -> Self {
        Self { words, ..Self::default() }
    }

    /// A new execution begins.
    pub fn begin(&mut self, processes: usize) {
        if !self.seen.is_empty() {
            let seen = std::mem::take(&mut self.seen);
            self.shared = Some(match self.shared.take() {
                None => seen,
                Some(shared) => shared.intersection(&seen).cloned().collect(),
            });
        }
        self.pids.clear();
        self.moment.clear();
        self.numbered.clear();
        self.used = vec![0; processes];
    }

    /// What all executions so far shared is a word from now on, and nothing else.
    pub fn learn(&mut self) {
        self.begin(self.used.len());
        self.words = self.shared.as_ref().map(|shared| shared.iter().cloned().collect());
    }

    /// What the names of this execution are that have numbers, by what they are called.
    pub fn numbered(&self) -> &schedule::Names {
        &self.numbered
    }

    /// The words, where they are known.
    pub fn words(&self) -> Option<&BTreeSet<String>> {
        self.words.as_ref()
    }

    /// A task's pid, and what it is called.
    pub fn know(&mut self, pid: u32, called: String) {
        self.pids.insert(pid.to_string(), called);
    }

    /// What a name is called, as a process uses it.
    pub fn of(&mut self, process: usize, name: &str) -> String {
        if let Some(known) = self.moment.get(name) {
            return known.clone();
        }
        let plain = self.without_pids(name);
        if !self.seen.contains(&plain) {
            self.seen.insert(plain.clone());
        }
        let called = match &self.words {
            Some(words) if words.contains(&plain) => plain,
            // Whether it looks drawn at random is itself left to chance: it gets a number, and nothing of its own.
            Some(_) => {
                let called = self.next_number(process);
                self.numbered.insert(called.clone(), plain);
                called
            }
            None if has_random_part(&plain) => {
                let called = self.number(process, &plain);
                self.numbered.insert(called.clone(), plain);
                called
            }
            None => plain,
        };
        if called != name {
            self.moment.insert(name.to_owned(), called.clone());
        }
        called
    }

    fn next_number(&mut self, process: usize) -> String {
        if self.used.len() <= process {
            self.used.resize(process + 1, 0);
        }
        self.used[process] += 1;
        format!("new{}#{}", process + 1, self.used[process])
    }

    /// Gives a name of the moment a number; what looks like a word stays.
    fn number(&mut self, process: usize, name: &str) -> String {
        let number = self.next_number(process);
        let mut called = String::new();
        let mut has_number = false;
        for run in runs(name) {
            if is_random(run) && !has_number {
                called.push_str(&number);
                has_number = true;
            } else if !is_random(run) {
                called.push_str(run);
            }
        }
        if has_number { called } else { number }
    }

    fn without_pids(&self, text: &str) -> String {
        let digits = |one: &u8, other: &u8| one.is_ascii_digit() == other.is_ascii_digit();
        let mut called = String::with_capacity(text.len());
        let mut at = 0;
        for run in text.as_bytes().chunk_by(digits) {
            let part = &text[at..at + run.len()];
            at += run.len();
            called.push_str(self.pids.get(part).map_or(part, String::as_str));
        }
        called
    }
}

/// Runs of letters and digits, and what is between them.
fn runs(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let is_word = rest.chars().next()?.is_alphanumeric();
        let end = rest.find(|letter: char| letter.is_alphanumeric() != is_word).unwrap_or(rest.len());
        let (run, others) = rest.split_at(end);
        rest = others;
        Some(run)
    })
}

fn has_random_part(name: &str) -> bool {
    runs(name).any(is_random)
}

/// Whether letters and digits look drawn by lot: long enough, and of several kinds in an order that words do not have, or
/// digits alone.
fn is_random(run: &str) -> bool {
    let (mut digits, mut upper, mut lower) = (0, 0, 0);
    for letter in run.bytes() {
        match letter {
            b'0'..=b'9' => digits += 1,
            b'A'..=b'Z' => upper += 1,
            b'a'..=b'z' => lower += 1,
            _ => return false,
        }
    }
    let camel = upper == 1 && run.starts_with(|first: char| first.is_ascii_uppercase());
    run.len() >= RANDOM_MIN
        && ((digits > 0 && upper + lower > 0) || digits == run.len() || (upper > 0 && lower > 0 && !camel))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        let mut names = Names::default();
        names.begin(2);
        names
    }

    #[test]
    fn pids_and_random_parts_become_numbers() {
        let mut names = names();
        names.know(4711, "PID1".into());
        assert_eq!(names.of(0, "state.tmp.4711"), "state.tmp.PID1");
        assert_eq!(names.of(0, "meta.json"), "meta.json");
        assert_eq!(names.of(0, ".meta.aB3xY9"), ".meta.new1#1");
        assert_eq!(names.of(1, ".meta.Zq81xx"), ".meta.new2#1");
        assert_eq!(names.of(1, ".meta.aB3xY9"), ".meta.new1#1", "whoever meets it later");
        assert_eq!(names.of(0, "README.txt"), "README.txt");
        names.of(0, "n.4711.aB3xY9");
        let told: Vec<_> =
            names.numbered().iter().map(|(called, name)| (called.as_str(), name.as_str())).collect();
        let expected = [
            (".meta.new1#1", ".meta.aB3xY9"),
            (".meta.new2#1", ".meta.Zq81xx"),
            ("n.PID1.new1#2", "n.PID1.aB3xY9"),
        ];
        assert_eq!(told, expected, "as people read them");
    }

    #[test]
    fn what_two_executions_share_is_a_word() {
        let mut names = names();
        names.of(0, "tmpabcdef");
        names.of(0, "state-000001");
        names.begin(2);
        names.of(0, "tmpghijkl");
        names.of(0, "state-000001");
        names.learn();
        names.begin(2);
        assert_eq!(names.of(0, "tmpmnopqr"), "new1#1", "though it looks like a word");
        assert_eq!(names.of(0, "state-000001"), "state-000001", "though it looks drawn");
        assert_eq!(names.of(0, "list"), "new1#2", "as long as only this order uses it");
        assert_eq!(names.numbered()["new1#2"], "list");
        let told = Names::new(names.words().cloned()).of(0, "state-000001");
        assert_eq!(told, "state-000001");
    }
}
