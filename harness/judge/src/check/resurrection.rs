//! resurrection: a deleted container, or its folder, came back without a create.
//!
//! During the run: an operation proves that the container existed, although a delete had returned before it was
//! invoked and no create can have acted in between. When all is quiet: files, although a delete came last.

use std::collections::HashMap;

use flockwork::Operation;
use rayon::prelude::*;

use super::collect::Collector;
use super::leftover::is_absent;
use super::lives::{Last, by_container, deletes, proves_existence};
use super::tell::{Origin, told};
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{History, Outcome, Record};
use crate::violation::{Class, Violation};

/// Looks for containers that were seen after their delete without a create.
#[derive(Debug)]
pub(super) struct Resurrection;

impl Check for Resurrection {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::Resurrection)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let last = Last::of_each(evidence);
        by_container(evidence.history)
            .par_iter()
            .enumerate()
            .map(|(container, indexes)| {
                let during = during_the_run(evidence.history, indexes);
                let Some(last) = last.get(container).filter(|_| during.is_clean()) else { return during };
                during.merge(when_quiet(evidence, container, last))
            })
            .reduce(Collector::default, Collector::merge)
            .finish()
    }
}

/// A time and the record it is of.
type At = (u64, u32);

/// What one container's history says of deletes and creates.
struct Timeline {
    /// When the first successful delete of each generation returned.
    ends: HashMap<u64, At>,
    /// Successful deletes by return; with each the latest invocation among it and those before.
    deletes: Vec<(u64, At)>,
    /// Creates that can have acted, by invocation; with each the latest deadline among it and those before.
    creates: Vec<(u64, u64)>,
}

impl Timeline {
    fn of(records: &[Record], indexes: &[u32]) -> Self {
        let mut timeline = Self { ends: HashMap::new(), deletes: Vec::new(), creates: Vec::new() };
        for &index in indexes {
            let record = &records[index as usize];
            let deadline_ns = record.deadline_ns();
            if deletes(record) && record.outcome == Outcome::Ok {
                timeline.deletes.push((deadline_ns, (record.invoke_ns, index)));
                if let Some(generation) = record.generation {
                    let end = timeline.ends.entry(generation.get()).or_insert((deadline_ns, index));
                    *end = (*end).min((deadline_ns, index));
                }
            }
            if record.operation == Operation::Create
                && matches!(record.outcome, Outcome::Ok | Outcome::Unknown)
            {
                timeline.creates.push((record.invoke_ns, deadline_ns));
            }
        }
        timeline.deletes.sort_unstable();
        timeline.creates.sort_unstable();
        for position in 1..timeline.deletes.len() {
            timeline.deletes[position].1 = timeline.deletes[position].1.max(timeline.deletes[position - 1].1);
        }
        for position in 1..timeline.creates.len() {
            timeline.creates[position].1 = timeline.creates[position].1.max(timeline.creates[position - 1].1);
        }
        timeline
    }

    /// The delete after which this operation cannot have seen what it saw.
    fn delete_before(&self, record: &Record) -> Option<u32> {
        let of_its_own = record.generation.and_then(|generation| self.ends.get(&generation.get()));
        if let Some(&(return_ns, index)) = of_its_own
            && return_ns < record.invoke_ns
        {
            return Some(index);
        }
        let returned = self.deletes.partition_point(|&(return_ns, _)| return_ns < record.invoke_ns);
        let (_, (delete_invoke_ns, index)) = *self.deletes.get(returned.checked_sub(1)?)?;
        let invoked = self.creates.partition_point(|&(invoke_ns, _)| invoke_ns <= record.deadline_ns());
        let create_deadline_ns = invoked.checked_sub(1).map_or(0, |position| self.creates[position].1);
        (create_deadline_ns < delete_invoke_ns).then_some(index)
    }
}

fn during_the_run(history: &History, indexes: &[u32]) -> Collector {
    let timeline = Timeline::of(&history.records, indexes);
    let mut collector = Collector::of(indexes.len() as u64);
    if timeline.deletes.is_empty() {
        return collector;
    }
    for &index in indexes {
        let record = &history.records[index as usize];
        if !proves_existence(record) {
            continue;
        }
        let Some(delete) = timeline.delete_before(record) else { continue };
        collector.add(record.invoke_ns, || {
            let origin = Origin::of(history);
            let name = history.container_name(record);
            let saw = told(history, record, origin);
            let gone = told(history, &history.records[delete as usize], origin);
            Violation {
                class: Class::Resurrection,
                container: record.container(),
                message: format!(
                    "{name} came back: {saw}, but it had been deleted before and not created since: {gone}."
                ),
                records: vec![delete as usize, index as usize],
            }
        });
    }
    collector
}

fn when_quiet(evidence: &Evidence<'_>, container: usize, last: &Last) -> Collector {
    let history = evidence.history;
    let mut collector = Collector::default();
    let examined = evidence.containers().nth(container).map(|(_, quiet)| quiet);
    let (Some(quiet), Some(delete)) = (examined, last.final_delete(history)) else { return collector };
    let (state, files) = (quiet.answer(), quiet.known_files());
    if state.is_none_or(is_absent) && files.is_empty() {
        return collector;
    }
    collector.add(u64::MAX, || {
        let name = &history.containers[container];
        let gone = told(history, &history.records[delete], Origin::of(history));
        let found = match (state.and_then(|state| state.status), state) {
            (Some(status), _) => format!("it is {status}"),
            (None, Some(state)) if files.is_empty() => format!("its state is {}", state.outcome),
            (None, _) => format!("there is {}", files.join(", ")),
        };
        Violation {
            class: Class::Resurrection,
            container: Some(container as u32),
            message: format!(
                "{name} came back: after the run {found}, but the last operation was a delete: {gone}."
            ),
            records: vec![delete],
        }
    });
    collector
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Delete, Load, Pause, State};
    use flockwork::Status::{Created, Paused};

    use super::super::fixture::{Case, Saw, absent, answer, killed, ok, refused};
    use super::*;
    use crate::history::Reason;

    fn life() -> Vec<Record> {
        vec![ok(0, Create, 1..=2).saw(Created, 1, 1), ok(0, Delete, 3..=4).stamped(1, 2)]
    }

    #[test]
    fn a_generation_seen_after_its_delete_fails() {
        let mut records = life();
        records.push(ok(0, Create, 5..=6).saw(Created, 2, 1));
        records.push(ok(1, Pause, 7..=8).saw(Paused, 1, 3));
        let message = Case::of(records).must_fail(&Resurrection);
        assert!(message.contains("c1 came back: p1 pause (0.006–0.007 ms): ok, paused"), "{message}");
    }

    #[test]
    fn a_container_without_tokens_seen_after_its_delete_fails() {
        let mut records = life();
        let mut seen = ok(1, State, 5..=6);
        seen.status = Some(Created);
        records.push(seen);
        Case::of(records).must_fail(&Resurrection);
    }

    #[test]
    fn a_folder_after_the_last_delete_fails() {
        let mut records = life();
        records.push(refused(1, Load, 5..=6, Reason::Absent));
        let message = Case::of(records).quiet(absent(), &["c1/"]).must_fail(&Resurrection);
        assert!(message.contains("after the run there is c1/"), "{message}");
        let alive = answer(Outcome::Ok, None, Some(Paused));
        Case::of(life()).quiet(alive, &["c1/meta.json"]).must_fail(&Resurrection);
    }

    #[test]
    fn overlaps_and_creates_that_may_have_acted_pass() {
        let mut records = life();
        records.push(ok(1, Pause, 4..=8).saw(Paused, 1, 2));
        records.push(killed(2, Create, 2..=3));
        Case::of(records).quiet(absent(), &["c1/"]).must_pass(&Resurrection);
        Case::of(life()).quiet(absent(), &[]).must_pass(&Resurrection);
    }

    #[test]
    fn what_the_examiner_does_in_the_end_passes() {
        let mut records = vec![ok(0, Create, 1..=2).saw(Created, 1, 1)];
        records.push(ok(9, State, 5..=6).saw(Created, 1, 1));
        records.push(ok(9, Operation::ForceDelete, 7..=8).stamped(1, 2));
        let alive = answer(Outcome::Ok, None, Some(Created));
        Case::of(records).quiet(alive, &["c1/meta.json"]).must_pass(&Resurrection);
    }
}
