//! lost-update: an acknowledged save is missing, or two saves claim one revision.
//!
//! Judged by real time: whoever is invoked after a save has returned must see at least its revision. When all is quiet the container
//! is deleted and created again: that life's generation must be greater than every one that was told before, or its saves would claim
//! the revisions of an earlier life.

use std::collections::HashMap;

use flockwork::Operation;
use rayon::prelude::*;

use super::collect::Collector;
use super::lives::{by_container, deletes};
use super::tell::{Origin, told};
use super::{Check, CheckId, Examination};
use crate::evidence::Evidence;
use crate::history::{History, Outcome, Record};
use crate::model;
use crate::violation::{Class, Violation};

/// Looks for acknowledged saves that a later operation does not see, and for two that claim one revision.
#[derive(Debug)]
pub(super) struct LostUpdate;

impl Check for LostUpdate {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::LostUpdate)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        if let Err(why) = &evidence.tokens {
            return Examination::without(why);
        }
        let history = evidence.history;
        by_container(history)
            .par_iter()
            .enumerate()
            .map(|(container, indexes)| {
                let saves = Saves::of(history, indexes);
                let mut found = twice(history, &saves).merge(stale(history, indexes, &saves));
                if found.is_clean() {
                    found = found.merge(missing_in_the_end(evidence, container, &saves));
                    found = found.merge(lived_before(evidence, container, indexes));
                }
                found
            })
            .reduce(Collector::default, Collector::merge)
            .finish()
    }
}

/// Acknowledged saves of one container: (generation, revision, index), sorted.
struct Saves(Vec<(u64, u64, u32)>);

fn token(record: &Record) -> Option<(u64, u64)> {
    Some((record.generation?.get(), record.revision?.get()))
}

impl Saves {
    fn of(history: &History, indexes: &[u32]) -> Self {
        let save = |&index: &u32| {
            let record = &history.records[index as usize];
            let (generation, revision) = token(record).filter(|_| model::changes(record.into()))?;
            Some((generation, revision, index))
        };
        let mut saves: Vec<_> = indexes.iter().filter_map(save).collect();
        saves.sort_unstable();
        Self(saves)
    }
}

fn twice(history: &History, saves: &Saves) -> Collector {
    let mut collector = Collector::of(saves.0.len() as u64);
    for pair in saves.0.windows(2) {
        let [(generation, revision, first), (_, _, second)] = [pair[0], pair[1]];
        let records = [first, second].map(|index| &history.records[index as usize]);
        // Two creates of one generation are duplicate-create's.
        let are_creates = records.iter().all(|record| record.operation == Operation::Create);
        if (generation, revision) != (pair[1].0, pair[1].1) || are_creates {
            continue;
        }
        collector.add(records[0].invoke_ns.max(records[1].invoke_ns), || {
            let origin = Origin::of(history);
            let [one, other] = records.map(|record| told(history, record, origin));
            Violation {
                class: Class::LostUpdate,
                container: records[0].container(),
                message: format!(
                    "{}: two saves claim generation {generation} revision {revision}, so one undid the other: \
                     {one}; {other}.",
                    history.container_name(records[0])
                ),
                records: vec![first as usize, second as usize],
            }
        });
    }
    collector
}

/// Finds operations that saw, or built upon, less than what had been acknowledged before they were invoked.
fn stale(history: &History, indexes: &[u32], saves: &Saves) -> Collector {
    let records = &history.records;
    let mut collector = Collector::of(0);
    // A delete is no save: who sees the container after one is resurrection's.
    let mut by_return: Vec<_> = saves
        .0
        .iter()
        .filter(|&&(.., index)| !deletes(&records[index as usize]))
        .map(|&save| (records[save.2 as usize].deadline_ns(), save))
        .collect();
    by_return.sort_unstable();
    let is_token = |&index: &u32| {
        let record = &records[index as usize];
        let answered = matches!(record.outcome, Outcome::Ok | Outcome::Refused);
        token(record).filter(|_| answered).map(|token| (record.invoke_ns, token, index))
    };
    let mut by_invoke: Vec<_> = indexes.iter().filter_map(is_token).collect();
    by_invoke.sort_unstable();
    collector.examined = (by_invoke.len() - saves.0.len()) as u64;
    let mut newest: HashMap<u64, (u64, u32)> = HashMap::new();
    let mut returned = by_return.iter().peekable();
    for (invoke_ns, (generation, revision), index) in by_invoke {
        while let Some((_, save)) = returned.next_if(|(return_ns, _)| *return_ns < invoke_ns) {
            let newest = newest.entry(save.0).or_insert((save.1, save.2));
            *newest = (*newest).max((save.1, save.2));
        }
        let Some(&(acknowledged, save)) = newest.get(&generation) else { continue };
        if revision < acknowledged {
            collector.add(invoke_ns, || {
                let origin = Origin::of(history);
                let record = &records[index as usize];
                let [late, early] = [record, &records[save as usize]].map(|r| told(history, r, origin));
                let verb = if model::changes(record.into()) { "built upon" } else { "saw" };
                Violation {
                    class: Class::LostUpdate,
                    container: record.container(),
                    message: format!(
                        "{}: revision {acknowledged} was acknowledged and then missing. Saved by {early}; \
                         p{} {verb} an older one: {late}.",
                        history.container_name(record),
                        record.process
                    ),
                    records: vec![save as usize, index as usize],
                }
            });
        }
    }
    collector
}

fn missing_in_the_end(evidence: &Evidence<'_>, container: usize, saves: &Saves) -> Collector {
    let history = evidence.history;
    let mut collector = Collector::default();
    let examined = evidence.containers().nth(container);
    let Some(state) = examined.and_then(|(_, quiet)| quiet.answer()) else {
        return collector;
    };
    let (Outcome::Ok, Some(generation), Some(revision)) = (state.outcome, state.generation, state.revision)
    else {
        return collector;
    };
    let end = saves.0.partition_point(|save| save.0 <= generation);
    // The examiner's own delete comes later than what it answered here.
    let newest = saves.0[..end].iter().rev().find(|save| !deletes(&history.records[save.2 as usize]));
    if let Some(&(of, acknowledged, save)) = newest
        && of == generation
        && acknowledged > revision
    {
        collector.add(u64::MAX, || Violation {
            class: Class::LostUpdate,
            container: Some(container as u32),
            message: format!(
                "{}: after the run it was at revision {revision}, but revision {acknowledged} had been \
                 acknowledged: {}.",
                history.containers[container],
                told(history, &history.records[save as usize], Origin::of(history))
            ),
            records: vec![save as usize],
        });
    }
    collector
}

/// The generation of the life that began after the run, where an earlier life had as great a one.
fn lived_before(evidence: &Evidence<'_>, container: usize, indexes: &[u32]) -> Collector {
    let history = evidence.history;
    let mut collector = Collector::default();
    let recovery = evidence.containers().nth(container).and_then(|(_, quiet)| quiet.recovery.as_ref().ok());
    let created = recovery.and_then(|recovery| recovery.create.answer());
    let Some(new) =
        created.filter(|answer| answer.outcome == Outcome::Ok).and_then(|answer| answer.generation)
    else {
        return collector;
    };
    let told_of = |&index: &u32| Some((history.records[index as usize].generation?.get(), index));
    let Some((greatest, index)) = indexes.iter().filter_map(told_of).max() else { return collector };
    collector.examined = 1;
    if greatest >= new {
        collector.add(u64::MAX, || Violation {
            class: Class::LostUpdate,
            container: Some(container as u32),
            message: format!(
                "{}: deleted and created again after the run, it has generation {new}, but generation {greatest} had been \
                 seen: {}. Two lives claim the same revisions.",
                history.containers[container],
                told(history, &history.records[index as usize], Origin::of(history))
            ),
            records: vec![index as usize],
        });
    }
    collector
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause, Resume, Start, State};
    use flockwork::Status::{Created, Paused, Running};

    use super::super::fixture::{Case, Saw, answer, ok};
    use super::*;
    use crate::answer::Answer;
    use crate::evidence::{Recovery, Reply};

    fn started() -> Vec<Record> {
        vec![ok(0, Create, 1..=2).saw(Created, 1, 1), ok(0, Start, 3..=4).saw(Running, 1, 2)]
    }

    #[test]
    fn two_saves_of_one_revision_fail() {
        let mut records = started();
        records.push(ok(1, Pause, 5..=8).saw(Paused, 1, 3));
        records.push(ok(2, Pause, 6..=7).saw(Paused, 1, 3));
        let message = Case::of(records).must_fail(&LostUpdate);
        assert!(message.contains("two saves claim generation 1 revision 3"), "{message}");
        assert!(message.contains("p1 pause (0.004–0.007 ms)") && message.contains("p2 pause"), "{message}");
    }

    #[test]
    fn a_read_and_a_save_that_miss_an_acknowledged_save_fail() {
        let mut records = started();
        records.push(ok(1, State, 5..=6).saw(Created, 1, 1));
        assert!(Case::of(records).must_fail(&LostUpdate).contains("p1 saw an older one"));
        let mut records = started();
        records.push(ok(1, Pause, 5..=6).saw(Paused, 1, 3));
        records.push(ok(1, Resume, 7..=8).saw(Running, 1, 4));
        records.push(ok(2, Pause, 9..=9).saw(Paused, 1, 3));
        assert_eq!(Case::of(records).examine(&LostUpdate).violations_total, 2);
    }

    #[test]
    fn an_acknowledged_save_that_is_missing_in_the_end_fails() {
        let stamp =
            Answer { generation: Some(1), revision: Some(1), ..answer(Outcome::Ok, None, Some(Created)) };
        let message = Case::of(started()).quiet(stamp, &[]).must_fail(&LostUpdate);
        assert!(message.contains("at revision 1, but revision 2 had been acknowledged"), "{message}");
    }

    #[test]
    fn a_new_life_with_the_generation_of_an_earlier_one_fails() {
        let life = |generation| {
            let mut case = Case::of(started()).quiet(answer(Outcome::Ok, None, None), &[]);
            let create = Answer {
                generation: Some(generation),
                revision: Some(1),
                ..answer(Outcome::Ok, None, Some(Created))
            };
            let ok = || Reply::from(answer(Outcome::Ok, None, None));
            case.quiet.containers[0].recovery =
                Ok(Recovery { delete: ok(), create: create.into(), delete_again: ok() });
            case
        };
        let message = life(1).must_fail(&LostUpdate);
        assert!(message.contains("it has generation 1, but generation 1 had been seen"), "{message}");
        assert!(life(1).examine(&LostUpdate).violations[0].records == [1], "{message}");
        life(2).must_pass(&LostUpdate);
    }

    #[test]
    fn reads_that_overlap_a_save_pass() {
        let mut records = started();
        records.push(ok(1, State, 4..=6).saw(Created, 1, 1));
        records.push(ok(1, State, 7..=8).saw(Running, 1, 2));
        Case::of(records).must_pass(&LostUpdate);
    }
}
