//! Findings: a violation with all that is needed to see it again.
//!
//! A finding's signature is a class and a hash of what decides it, so that one bug has one signature in every run: it
//! takes no time, process, token or name of a container into account.

mod command;
pub mod crash;
mod exploration;
pub mod load;
pub mod moments;
pub mod race;

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::check::tell::{Ending, Origin};
use crate::history::{History, Record, Start, Window, write};
use crate::race::{Discovery, RaceRun};
use crate::signature::signature;
use crate::violation::{Class, Violation};
pub use crash::CrashFinding;
pub use exploration::Exploration;
pub use race::RaceFinding;

/// Version of `finding.json`.
pub const SCHEMA_VERSION: u32 = 1;

/// How many operations of each process are shown before and after the decisive ones.
const AROUND: usize = 2;
/// How many operations a window shows at most.
const WINDOW_MAX: usize = 200;

/// A violation with the operations around it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Version of this form.
    pub schema_version: u32,
    /// Class and a hash of what decides it: the same for the same bug, as far as possible.
    pub signature: String,
    /// Which promise was broken.
    pub class: Class,
    /// The subject in a few words, as scenarios describe it.
    pub subject: String,
    /// The container that it is about; none where it is about the whole root.
    pub container: Option<String>,
    /// What was seen, in a sentence for people.
    pub message: String,
    /// The decisive operations and a few around them, by invocation.
    pub window: Vec<Glimpse>,
    /// For a violation that was seen under control: all that it takes to see it again, step by step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploration: Option<Exploration>,
    /// For a violation of a race of commands: what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub race: Option<Box<RaceFinding>>,
    /// For a violation of a crash: what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash: Option<Box<CrashFinding>>,
}

/// One operation of a finding's window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Glimpse {
    /// Its index in the run's history.
    pub index: usize,
    /// Whether it is one of those that decide.
    pub decisive: bool,
    /// When it was invoked, in milliseconds since the run's first operation.
    pub invoke_ms: f64,
    /// When it returned, likewise; for one that was killed: from when on it could no longer act.
    pub return_ms: Option<f64>,
    /// The operation, as a history's line has it.
    pub operation: serde_json::Value,
    /// How it ended and what it saw, in words.
    pub ending: String,
}

impl Finding {
    /// Makes a finding of a violation. `subject` names the subject with the choices that matter.
    #[must_use]
    pub fn of(history: &History, violation: &Violation, subject: &str) -> Self {
        let origin = Origin::of(history);
        let container =
            violation.container.and_then(|container| history.containers.get(container as usize)).cloned();
        let window = window(history, violation);
        Self {
            schema_version: SCHEMA_VERSION,
            signature: signature(history, violation, subject),
            class: violation.class,
            subject: subject.to_owned(),
            container,
            message: violation.message.clone(),
            window: window.into_iter().map(|index| glimpse(history, violation, origin, index)).collect(),
            exploration: None,
            race: None,
            crash: None,
        }
    }

    /// The window as lines a person reads; decisive operations are marked.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.window
            .iter()
            .map(|glimpse| {
                let mark = if glimpse.decisive { '>' } else { ' ' };
                let end =
                    glimpse.return_ms.map_or_else(|| "open".to_owned(), |end_ms| format!("{end_ms:.3}"));
                let field = |name| glimpse.operation.get(name);
                let process = field("process").and_then(serde_json::Value::as_u64).unwrap_or(0);
                let operation = field("op").and_then(serde_json::Value::as_str).unwrap_or("?");
                let mut line = format!("{mark} {:>12.3} … {end:>12} ms", glimpse.invoke_ms);
                write!(line, "  p{process:<3} {operation:<12} {}", glimpse.ending)
                    .expect("a string takes everything");
                line
            })
            .collect()
    }

    /// Writes `finding.json` and the history's window into `<findings>/<signature>/`, and the schedule as a scenario
    /// where there is one; gives back that folder.
    pub fn write(&self, history: &History, findings: &Path) -> io::Result<PathBuf> {
        let folder = findings.join(&self.signature);
        fs::create_dir_all(&folder)?;
        let out = BufWriter::new(File::create(folder.join("history.jsonl"))?);
        write::write(&self.part(history), out)?;
        if let Some(exploration) = &self.exploration {
            fs::write(folder.join("schedule.toml"), exploration.scenario(self.class))?;
        }
        self.write_itself(&folder)?;
        Ok(folder)
    }

    /// Writes the finding of a race into `<findings>/<signature>/`, with the folders before and after, outputs, what is told of
    /// it, and the script that runs it again; gives back that folder.
    pub fn write_race(
        &self,
        findings: &Path,
        run: &RaceRun,
        discovery: &Discovery,
        (told, script): (&str, &str),
    ) -> io::Result<PathBuf> {
        let folder = findings.join(&self.signature);
        fs::create_dir_all(&folder)?;
        race::write(&folder, run, discovery, told, script)?;
        self.write_itself(&folder)?;
        Ok(folder)
    }

    /// Writes the finding of a crash as that of a race is written.
    pub fn write_crash(
        &self,
        findings: &Path,
        run: &crate::crash::CrashRun,
        discovery: &crate::crash::Discovery,
        (told, script): (&str, &str),
    ) -> io::Result<PathBuf> {
        let folder = findings.join(&self.signature);
        fs::create_dir_all(&folder)?;
        crash::write(&folder, run, discovery, told, script)?;
        self.write_itself(&folder)?;
        Ok(folder)
    }

    /// Writes `finding.json` alone.
    pub fn write_itself(&self, folder: &Path) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(folder.join("finding.json"))?);
        serde_json::to_writer_pretty(&mut out, self)?;
        out.write_all(b"\n")?;
        out.flush()
    }
}

impl Finding {
    /// From the first invocation in its window to the last return; `None` where it has no window.
    #[must_use]
    pub fn span_ns(&self, history: &History) -> Option<(u64, u64)> {
        let shown = || self.window.iter().map(|glimpse| &history.records[glimpse.index]);
        let from_ns = shown().map(|record| record.invoke_ns).min()?;
        let to_ns = shown().filter_map(Record::return_ns).max().unwrap_or(from_ns);
        Some((from_ns, to_ns.max(from_ns)))
    }

    /// The part of the history from which the window was taken: of its container all operations that were under way
    /// between its first invocation and its last return, so that it can be judged by itself.
    ///
    /// What the container was before is not known, unless the part begins with the history; and where anything was left
    /// out before or after, the part says which time it holds.
    fn part(&self, history: &History) -> History {
        let shown = || self.window.iter().map(|glimpse| &history.records[glimpse.index]);
        let span = self.span_ns(history).map(|(from_ns, to_ns)| Window { from_ns, to_ns });
        let container = shown().find_map(Record::container);
        let mut part = history.without_records();
        let (Some(window), Some(container)) = (span, container) else { return part };
        let own = || history.records.iter().filter(|record| record.container() == Some(container));
        let is_under_way =
            |record: &Record| record.deadline_ns() >= window.from_ns && record.invoke_ns <= window.to_ns;
        part.records.extend(own().filter(|record| is_under_way(record)));
        part.records.sort_by_key(|record| record.invoke_ns);
        let is_whole = part.records.len() == own().count();
        if !is_whole {
            part.window = Some(window);
            if own().any(|record| record.deadline_ns() < window.from_ns) {
                part.set_start(container, Start::Unknown);
            }
        }
        part
    }
}

fn glimpse(history: &History, violation: &Violation, origin: Origin, index: usize) -> Glimpse {
    let record = &history.records[index];
    Glimpse {
        index,
        decisive: violation.records.contains(&index),
        invoke_ms: origin.ms(record.invoke_ns),
        return_ms: record.return_ns().map(|return_ns| origin.ms(return_ns)),
        operation: write::to_json(history, record),
        ending: Ending(record).to_string(),
    }
}

/// The decisive operations, and of each process the few of that container just before the first and after the last.
fn window(history: &History, violation: &Violation) -> Vec<usize> {
    let records = &history.records;
    let decisive = || violation.records.iter().map(|&index| &records[index]);
    let Some(from_ns) = decisive().map(|record| record.invoke_ns).min() else { return Vec::new() };
    let to_ns =
        decisive().map(|record| record.return_ns().unwrap_or(record.invoke_ns)).max().unwrap_or(from_ns);
    let mut by_process = std::collections::BTreeMap::<u32, Vec<usize>>::new();
    for (index, record) in records.iter().enumerate() {
        if record.container() == violation.container && violation.container.is_some() {
            by_process.entry(record.process).or_default().push(index);
        }
    }
    let mut window: Vec<_> = violation.records.clone();
    for indexes in by_process.values_mut() {
        indexes.sort_by_key(|&index| records[index].invoke_ns);
        // Of a process that has nothing to do with it, the operations of the span are enough.
        let first = indexes.partition_point(|&index| records[index].deadline_ns() < from_ns);
        let end = indexes.partition_point(|&index| records[index].invoke_ns <= to_ns);
        let first = first.saturating_sub(AROUND);
        let end = (end + AROUND).min(indexes.len());
        window.extend(indexes.get(first..end).unwrap_or_default());
    }
    // Where there are too many, those nearest to the decisive ones stay.
    let distance = |index: usize| {
        let invoke_ns = records[index].invoke_ns;
        let nearest = decisive().map(|record| record.invoke_ns.abs_diff(invoke_ns)).min();
        (!violation.records.contains(&index), nearest)
    };
    window.sort_unstable();
    window.dedup();
    window.sort_by_cached_key(|&index| distance(index));
    window.truncate(WINDOW_MAX);
    window.sort_by_key(|&index| (records[index].invoke_ns, index));
    window
}

#[cfg(test)]
mod tests {
    use flockwork::Operation;

    use super::*;
    use crate::history::{Outcome, Record, read};

    fn history(start_ns: u64) -> History {
        let mut history = History::default();
        history.containers.push("c1".into());
        for number in 0..40_u64 {
            let invoke_ns = start_ns + number * 1_000_000;
            let operation = if number == 20 { Operation::Resume } else { Operation::Pause };
            let mut record = Record::invoked(number as u32 % 2, Some(0), operation, invoke_ns);
            record.set_return_ns(Some(invoke_ns + 500_000));
            record.outcome = Outcome::Ok;
            history.records.push(record);
        }
        history
    }

    fn violation() -> Violation {
        let message = "c1: two saves claim one revision.".into();
        Violation { class: Class::LostUpdate, container: Some(0), message, records: vec![20, 21] }
    }

    #[test]
    fn the_window_holds_a_few_around_the_decisive_ones() {
        let finding = Finding::of(&history(7), &violation(), "library");
        let indexes: Vec<_> = finding.window.iter().map(|glimpse| glimpse.index).collect();
        assert_eq!(indexes, [16, 17, 18, 19, 20, 21, 22, 23, 24, 25]);
        let lines = finding.lines();
        assert_eq!(lines[4], ">       20.000 …       20.500 ms  p0   resume       ok");
        assert!(lines[0].starts_with("        16.000"), "{}", lines[0]);
    }

    #[test]
    fn the_signature_ignores_when_and_where() {
        let one = Finding::of(&history(7), &violation(), "library").signature;
        let mut later = violation();
        later.records = vec![20, 33];
        assert_eq!(Finding::of(&history(900), &later, "library").signature, one);
        assert_ne!(Finding::of(&history(7), &violation(), "replica").signature, one);
        assert!(one.starts_with("lost-update-") && one.len() == "lost-update-".len() + 8, "{one}");
    }

    #[test]
    fn what_is_written_reads_back() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let history = history(7);
        let finding = Finding::of(&history, &violation(), "library");
        let path = finding.write(&history, folder.path()).expect("writable");
        assert_eq!(path, folder.path().join(&finding.signature));
        let text = fs::read_to_string(path.join("finding.json")).expect("written");
        assert_eq!(serde_json::from_str::<Finding>(&text).expect("our own"), finding);
        let part = read::read_file(&path.join("history.jsonl")).expect("our own");
        assert_eq!(part.records.len(), finding.window.len());
        // It was cut from the middle: what came before is not known, and it says so.
        assert_eq!(part.start(0), Start::Unknown);
        let window = Window { from_ns: 16_000_007, to_ns: 25_500_007 };
        assert_eq!(part.window, Some(window));
    }
}
