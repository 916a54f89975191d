//! A process has one operation at a time: the next begins when the one before has answered, or later.
//!
//! Of an operation of unknown outcome only the invocation counts: nobody knows when its process gave it up. Lines may
//! come in any order; where those of one process come in the order of their times, each is checked against the one
//! before, and the others are sorted out at the end.

use crate::history::Outcome;
use crate::history::object::{Call, ObjectHistory};
use crate::history::read::ReadError;

/// The latest operation of a process.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    from_ns: u64,
    until_ns: u64,
    /// 0: there is none yet.
    line: u64,
    is_disordered: bool,
}

#[derive(Debug, Default)]
pub struct Turns {
    actors: Vec<Turn>,
    has_disorder: bool,
    /// (index of a call, its line less that index), wherever the latter changes: blank lines are skipped.
    offsets: Vec<(usize, u64)>,
}

impl Turns {
    /// Takes the next call, of this line, into account.
    #[inline]
    pub fn take(&mut self, call: &Call, index: usize, line: u64) -> Result<(), String> {
        let offset = line - index as u64;
        if self.offsets.last().is_none_or(|&(_, latest)| latest != offset) {
            self.offsets.push((index, offset));
        }
        let actor = call.actor as usize;
        if actor >= self.actors.len() {
            self.actors.resize(actor + 1, Turn::default());
        }
        let (from_ns, until_ns) = span_ns(call);
        let latest = &mut self.actors[actor];
        if from_ns >= latest.until_ns || latest.line == 0 {
            *latest = Turn { from_ns, until_ns, line, ..*latest };
            return Ok(());
        }
        if until_ns > latest.from_ns {
            return Err(overlap(call, latest.line, (latest.from_ns, latest.until_ns)));
        }
        latest.is_disordered = true;
        self.has_disorder = true;
        Ok(())
    }

    /// Checks the processes whose operations were not in order, now that all are there.
    pub fn finish(&self, history: &ObjectHistory) -> Result<(), ReadError> {
        if !self.has_disorder {
            return Ok(());
        }
        let calls = &history.calls;
        let is_disordered = |index: &usize| self.actors[calls[*index].actor as usize].is_disordered;
        let mut indexes: Vec<usize> = (0..calls.len()).filter(is_disordered).collect();
        indexes.sort_unstable_by_key(|&index| (calls[index].actor, span_ns(&calls[index]), index));
        for pair in indexes.windows(2) {
            let [earlier, later] = [pair[0], pair[1]].map(|index| &calls[index]);
            if earlier.actor == later.actor && span_ns(later).0 < span_ns(earlier).1 {
                let what = overlap(later, self.line(pair[0]), span_ns(earlier));
                return Err(ReadError::Line { line: self.line(pair[1]), what });
            }
        }
        Ok(())
    }

    /// The line of a call.
    fn line(&self, index: usize) -> u64 {
        let after = self.offsets.partition_point(|&(first, _)| first <= index);
        after.checked_sub(1).map_or(0, |before| self.offsets[before].1 + index as u64)
    }
}

/// From when until when its process was occupied by it for sure.
fn span_ns(call: &Call) -> (u64, u64) {
    let until_ns = if call.outcome == Outcome::Unknown { call.invoke_ns } else { call.deadline_ns };
    (call.invoke_ns, until_ns)
}

#[cold]
fn overlap(call: &Call, other_line: u64, (from_ns, until_ns): (u64, u64)) -> String {
    format!(
        "its process has two operations open: {}, invoked at {}, and that of line {other_line}, from {from_ns} to \
         {until_ns}; expected one at a time",
        call.op, call.invoke_ns
    )
}
