//! What had happened when the power went, as a model is told.

use std::hash::Hash;

use super::orders::Step;
use super::outcome::Ending;
use super::run::Played;
use crate::disk::{Fsync, Line, recorded_among, returned_behind};
use crate::power::Recorded;

/// What had happened when the power went, as a model is told: when each command began, and whether its answer counts.
#[derive(Debug, Hash)]
pub(crate) struct Moment {
    begun: Vec<(Step, u64)>,
    returned: Vec<(Step, (u64, u64))>,
}

/// What moves the moment at which a command returns.
#[derive(Clone, Copy, Default)]
pub(crate) struct Order<'a> {
    /// The fsyncs that are tried, in their order.
    pub fsyncs: &'a [Fsync],
    /// Commands that did not take part.
    pub absent: &'a [Step],
}

impl Order<'_> {
    /// After how many calls, with the fsyncs, a command has returned that ends with this step. An fsync behind the last of the calls
    /// until then is made before the command returns that made that call: it counts for this one and for whoever returns later.
    fn returned(self, lines: &[Line], played: &Played, end: u64) -> usize {
        let calls = calls_until(lines, end);
        let last = calls.checked_sub(1).map(|last| &lines[last]);
        let maker = last.and_then(|last| self.end_of(last, played));
        returned_behind(calls, self.fsyncs, maker.is_some_and(|maker| maker <= end))
    }

    /// The step with which the command ends that made a call; nothing where none did.
    fn end_of(self, line: &Line, played: &Played) -> Option<u64> {
        let step = line.step as u64;
        let number =
            |process: usize| (0..process).filter(|&other| !self.absent.contains(&(other, 0))).count() + 1;
        let is_maker = |((process, _), (begun, end)): &(&Step, &(u64, u64))| {
            number(*process) == line.process && *begun <= step && step <= *end
        };
        played.spans.iter().find(is_maker).map(|(_, (_, end))| *end)
    }
}

/// After how many calls the commands of a race return, ascending.
pub(crate) fn acknowledged_by(lines: &[Line], order: Order<'_>, played: &Played) -> Vec<usize> {
    let ends = played.spans.values().map(|(_, end)| *end).filter(|end| *end != u64::MAX);
    let mut acknowledged: Vec<usize> = ends.map(|end| order.returned(lines, played, end)).collect();
    acknowledged.sort_unstable();
    acknowledged
}

/// How many calls of the journal were made until a step.
fn calls_until(lines: &[Line], step: u64) -> usize {
    lines.iter().filter(|line| line.step as u64 <= step).count()
}

impl Moment {
    /// A command has returned with its last step; unless what it did must last by then, it counts as one that may have acted or not, as
    /// does whoever had begun.
    pub fn of(
        recorded: &Recorded,
        order: Order<'_>,
        calls: usize,
        played: Option<&Played>,
        is_durable: bool,
    ) -> Self {
        let lines = &recorded.journal.lines;
        let last = recorded_among(order.fsyncs, calls).checked_sub(1).map(|last| lines[last].step as u64);
        let (mut begun, mut returned) = (Vec::new(), Vec::new());
        if let Some(played) = played {
            for (step, span) in &played.spans {
                let has_returned = span.1 != u64::MAX && order.returned(lines, played, span.1) <= calls;
                if is_durable && has_returned {
                    returned.push((*step, *span));
                } else if last.is_some_and(|last| span.0 <= last) {
                    begun.push((*step, span.0));
                }
            }
        }
        Self { begun, returned }
    }

    /// Puts it into what was found after the power loss.
    pub fn tell(&self, found: &mut Played, played: Option<&Played>) {
        let begun = self.begun.iter().map(|(_, at)| *at);
        let ends = self.returned.iter().map(|(_, span)| span.1);
        let end = begun.chain(ends).max().map_or(0, |last| last + 1);
        for (process, commands) in found.outcome.processes.iter_mut().enumerate() {
            for (index, done) in commands.iter_mut().enumerate() {
                let step = (process, index);
                let answer = played.and_then(|played| played.outcome.processes.get(process)?.get(index));
                if let Some((_, span)) = self.returned.iter().find(|(returned, _)| *returned == step)
                    && let Some(answer) = answer
                {
                    done.clone_from(answer);
                    found.spans.insert(step, *span);
                } else if let Some((_, at)) = self.begun.iter().find(|(begun, _)| *begun == step) {
                    done.ending = Ending::Killed;
                    // It is gone with the power, and can act no more.
                    found.spans.insert(step, (*at, end));
                } else {
                    done.ending = Ending::Skipped;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Change, ROOT};

    fn line(process: usize, step: usize) -> Line {
        Line { process, step, label: "sync".into(), change: Change::SyncAll }
    }

    #[test]
    fn a_command_returns_behind_its_own_fsync_and_behind_those_of_who_returned_before() {
        // p1 makes the calls 0 and 1 and returns; p2 makes the calls 2 and 3 and returns.
        let lines = [line(1, 0), line(1, 1), line(2, 4), line(2, 5)];
        let mut played = Played::nothing();
        played.spans.insert((0, 0), (0, 2));
        played.spans.insert((1, 0), (3, 6));
        played.spans.insert((1, 1), (7, u64::MAX));
        let behind = |played: &Played, befores: &[usize]| {
            let fsyncs: Vec<Fsync> = befores.iter().map(|&before| Fsync { inode: ROOT, before }).collect();
            acknowledged_by(&lines, Order { fsyncs: &fsyncs, absent: &[] }, played)
        };
        assert_eq!(behind(&played, &[]), [2, 4]);
        // After p1's last call: it is p1's own.
        assert_eq!(behind(&played, &[2]), [3, 5]);
        // After p2's first call.
        assert_eq!(behind(&played, &[3]), [2, 5]);
        assert_eq!(behind(&played, &[0, 4]), [3, 6]);
        // An fsync at the end is p2's. p1 returned before p2 did: whether before the fsync as well, nobody knows.
        played.spans.insert((1, 0), (3, 9));
        played.spans.insert((0, 0), (0, 6));
        assert_eq!(behind(&played, &[4]), [4, 5]);
        // It returned after p2: the fsync was made by then.
        played.spans.insert((0, 0), (0, 11));
        assert_eq!(behind(&played, &[4]), [5, 5]);
        // p2 never returned: nor may its fsync have been made.
        played.spans.insert((1, 0), (3, u64::MAX));
        assert_eq!(behind(&played, &[4]), [4]);
        // Where p1 did not take part, the first of the journal is p2.
        played.spans.remove(&(0, 0));
        played.spans.insert((1, 0), (0, 4));
        let (fsyncs, absent) = ([Fsync { inode: ROOT, before: 4 }], [(0, 0)]);
        let order = Order { fsyncs: &fsyncs, absent: &absent };
        let lines = [line(1, 0), line(1, 1), line(1, 2), line(1, 3)];
        assert_eq!(order.returned(&lines, &played, 4), 5);
    }
}
