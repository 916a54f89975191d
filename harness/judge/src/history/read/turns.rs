//! A process has one operation at a time: the next begins when the one before has answered, or later.
//!
//! An operation of unknown outcome never answered, and nobody knows when its process gave it up: it may still act while
//! the process goes on. So only its invocation counts.
//!
//! Lines may come in any order. Where those of one process come in the order of their times, each is checked against
//! the one before; the others are sorted out at the end.

use std::collections::{HashMap, HashSet};

use super::ReadError;
use crate::history::{Outcome, Record};

/// Below this, processes are looked up by number: nobody has more, but numbers can be anything.
const DIRECT_MAX: usize = 1 << 16;

/// The latest operation of a process.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    from_ns: u64,
    until_ns: u64,
    /// 0: there is none yet.
    line: u64,
}

#[derive(Debug, Default)]
pub(super) struct Turns {
    direct: Vec<Turn>,
    others: HashMap<u32, Turn>,
    disordered: HashSet<u32>,
    /// How many records there were.
    records: u64,
    /// (position of a record, its line less that position), wherever the latter changes: blank lines are skipped.
    offsets: Vec<(u64, u64)>,
}

impl Turns {
    /// Takes the next record, of this line, into account.
    #[inline]
    pub fn take(&mut self, record: &Record, line: u64) -> Result<(), String> {
        let offset = line - self.records;
        if self.offsets.last().is_none_or(|&(_, latest)| latest != offset) {
            self.offsets.push((self.records, offset));
        }
        self.records += 1;
        let (from_ns, until_ns) = span_ns(record);
        let latest = self.latest(record.process);
        if from_ns >= latest.until_ns || latest.line == 0 {
            *latest = Turn { from_ns, until_ns, line };
            return Ok(());
        }
        if until_ns > latest.from_ns {
            return Err(overlap(record, latest.line, (latest.from_ns, latest.until_ns)));
        }
        self.disordered.insert(record.process);
        Ok(())
    }

    fn latest(&mut self, process: u32) -> &mut Turn {
        let position = process as usize;
        if position >= DIRECT_MAX {
            return self.others.entry(process).or_default();
        }
        if position >= self.direct.len() {
            self.direct.resize(position + 1, Turn::default());
        }
        &mut self.direct[position]
    }

    /// Checks the processes whose operations were not in order, now that all are there.
    pub fn finish(&self, records: &[Record]) -> Result<(), ReadError> {
        if self.disordered.is_empty() {
            return Ok(());
        }
        let is_disordered = |index: &usize| self.disordered.contains(&records[*index].process);
        let mut indexes: Vec<usize> = (0..records.len()).filter(is_disordered).collect();
        indexes.sort_unstable_by_key(|&index| {
            let (from_ns, until_ns) = span_ns(&records[index]);
            (records[index].process, from_ns, until_ns, index)
        });
        for pair in indexes.windows(2) {
            let [earlier, later] = [pair[0], pair[1]].map(|index| &records[index]);
            let ((_, until_ns), (from_ns, _)) = (span_ns(earlier), span_ns(later));
            if earlier.process == later.process && from_ns < until_ns {
                let (line, what) = (self.line(pair[1]), overlap(later, self.line(pair[0]), span_ns(earlier)));
                return Err(ReadError::Line { line, what });
            }
        }
        Ok(())
    }

    /// The line of a record.
    fn line(&self, index: usize) -> u64 {
        let index = index as u64;
        let after = self.offsets.partition_point(|&(position, _)| position <= index);
        after.checked_sub(1).map_or(0, |before| self.offsets[before].1 + index)
    }
}

/// From when until when its process was occupied by it for sure.
fn span_ns(record: &Record) -> (u64, u64) {
    let until_ns = match record.outcome {
        Outcome::Unknown => record.invoke_ns,
        _ => record.deadline_ns(),
    };
    (record.invoke_ns, until_ns)
}

#[cold]
fn overlap(record: &Record, other_line: u64, (from_ns, until_ns): (u64, u64)) -> String {
    let (process, operation, invoke_ns) = (record.process, record.operation, record.invoke_ns);
    format!(
        "process {process} has two operations open: {operation}, invoked at {invoke_ns}, and that of line \
         {other_line}, from {from_ns} to {until_ns}; expected one at a time"
    )
}
