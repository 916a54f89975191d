//! Reach: whether a run contended at all. A race run in which processes never met is no pass.

use std::collections::BTreeMap;

use flockwork::Operation;
use rayon::prelude::*;

use crate::history::{History, Outcome, Reason, Record};
use crate::model;

/// How much a run's processes met.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// How often the owner of a container's lock changed from one acquisition to the next, from 0 to 1.
    pub handoff_ratio: f64,
    /// Ordered pairs of different processes of which one took a container's lock next after the other.
    pub pairs_seen: u64,
    /// How many such pairs there could be.
    pub pairs_possible: u64,
    /// How often each operation ended how.
    pub counts: BTreeMap<(Operation, Outcome), u64>,
}

impl Reach {
    /// Measures a history.
    ///
    /// Reads are left out: they share the lock. So is the examiner, who comes when all is quiet.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut counts = BTreeMap::new();
        for record in &history.records {
            *counts.entry((record.operation, record.outcome)).or_default() += 1;
        }
        let examiner = crate::check::examiner(history);
        let seats = Seats::of(history, examiner);
        let mut acquisitions = vec![Vec::new(); history.containers.len()];
        for record in &history.records {
            if let Some(container) = record.container()
                && takes_the_lock(record)
                && Some(record.process) != examiner
            {
                acquisitions[container as usize].push(acquisition(record));
            }
        }
        let (mut transitions, mut handoffs) = (0_u64, 0_u64);
        acquisitions.par_iter_mut().for_each(|acquisitions| acquisitions.par_sort_unstable());
        let mut met = vec![0_u64; (seats.count * seats.count).div_ceil(64)];
        for pair in acquisitions.iter().flat_map(|acquisitions| acquisitions.windows(2)) {
            transitions += 1;
            let [from, to] = [pair[0].3, pair[1].3];
            if from != to {
                handoffs += 1;
                let bit = seats.of_process[from as usize] * seats.count + seats.of_process[to as usize];
                met[bit / 64] |= 1 << (bit % 64);
            }
        }
        Self {
            handoff_ratio: if transitions == 0 { 0.0 } else { handoffs as f64 / transitions as f64 },
            pairs_seen: met.iter().map(|word| u64::from(word.count_ones())).sum(),
            pairs_possible: (seats.count * seats.count.saturating_sub(1)) as u64,
            counts,
        }
    }
}

/// Where in the order an acquisition of the lock lies: generation, revision (doubled, changes first), time; and by whom.
type Acquisition = (u64, u64, u64, u32);

fn acquisition(record: &Record) -> Acquisition {
    match (record.generation, record.revision) {
        (Some(generation), Some(revision)) => {
            let rank = revision.get().saturating_mul(2) | u64::from(!model::changes(record.into()));
            (generation.get(), rank, record.invoke_ns, record.process)
        }
        _ => (0, 0, record.deadline_ns(), record.process),
    }
}

/// Whether it had the lock for itself, as far as can be told: it changed something, or was refused what it had to lock
/// for.
fn takes_the_lock(record: &Record) -> bool {
    match record.outcome {
        Outcome::Ok => model::changes(record.into()),
        Outcome::Refused => {
            matches!(record.reason, Some(Reason::Exists | Reason::Status))
                && model::can_change(record.operation)
        }
        Outcome::Failed | Outcome::Unknown => false,
    }
}

/// The processes that take locks, numbered without gaps.
struct Seats {
    of_process: Vec<usize>,
    count: usize,
}

impl Seats {
    fn of(history: &History, examiner: Option<u32>) -> Self {
        let takers = || {
            history
                .records
                .iter()
                .filter(|record| Some(record.process) != examiner && model::can_change(record.operation))
                .map(|record| record.process as usize)
        };
        let mut of_process = vec![usize::MAX; takers().max().map_or(0, |highest| highest + 1)];
        let mut count = 0;
        for process in takers() {
            if of_process[process] == usize::MAX {
                of_process[process] = count;
                count += 1;
            }
        }
        Self { of_process, count }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use super::*;

    fn record(process: u32, operation: Operation, at_ns: u64, revision: u64) -> Record {
        let mut record = Record::invoked(process, Some(0), operation, at_ns);
        record.set_return_ns(Some(at_ns + 100));
        record.outcome = Outcome::Ok;
        record.generation = NonZeroU64::new(revision.min(1));
        record.revision = NonZeroU64::new(revision);
        record
    }

    fn history(records: Vec<Record>) -> History {
        let mut history = History::default();
        history.containers.push("c1".into());
        history.records = records;
        history
    }

    #[test]
    fn handoffs_follow_the_tokens_and_leave_reads_and_the_examiner_out() {
        let records = vec![
            record(0, Operation::Create, 5, 1),
            record(1, Operation::Pause, 9, 2),
            record(1, Operation::Resume, 1, 3),
            record(0, Operation::Pause, 0, 4),
            record(2, Operation::State, 3, 2),
            record(3, Operation::ForceDelete, 500, 5),
        ];
        let reach = Reach::of(&history(records));
        assert!((reach.handoff_ratio - 2.0 / 3.0).abs() < 1e-9, "{reach:?}");
        assert_eq!((reach.pairs_seen, reach.pairs_possible), (2, 2));
        assert_eq!(reach.counts[&(Operation::Pause, Outcome::Ok)], 2);
    }

    #[test]
    fn without_tokens_the_returns_decide() {
        let records = vec![
            record(0, Operation::Create, 0, 0),
            record(1, Operation::Pause, 20, 0),
            record(0, Operation::Resume, 10, 0),
            record(0, Operation::Pause, 30, 0),
        ];
        let reach = Reach::of(&history(records));
        assert!((reach.handoff_ratio - 2.0 / 3.0).abs() < 1e-9, "{reach:?}");
        assert_eq!((reach.pairs_seen, reach.pairs_possible), (2, 2));
    }

    #[test]
    fn nothing_reaches_nothing() {
        assert_eq!(Reach::of(&History::default()), Reach::default());
        let alone = Reach::of(&history(vec![
            record(0, Operation::Create, 0, 1),
            record(0, Operation::Pause, 200, 2),
        ]));
        assert_eq!((alone.handoff_ratio, alone.pairs_possible), (0.0, 0));
    }
}
