//! lock-overlap: two processes held a container's lock at once.
//!
//! The harness watches critical sections from inside. A process that was killed inside cannot say that it left: who
//! comes in after the kill overlaps nobody.

use super::collect::Collector;
use super::tell::Origin;
use super::{Check, CheckId, Examination};
use crate::evidence::{Evidence, Unobserved};
use crate::violation::{Class, Violation};

const NOBODY_CAME: Unobserved = Unobserved::lacking("no process entered a watched critical section");

/// Looks for two processes that were inside one container's critical section at once.
#[derive(Debug)]
pub(super) struct LockOverlap;

impl Check for LockOverlap {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::LockOverlap)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let history = evidence.history;
        let sections = match &evidence.sections {
            Ok(sections) if sections.entered > 0 => sections,
            Ok(_) => return Examination::without(&NOBODY_CAME),
            Err(why) => return Examination::without(why),
        };
        let mut collector = Collector::of(sections.entered);
        for overlap in sections.overlaps {
            if overlap.inside_killed_ns.is_some_and(|killed_ns| killed_ns <= overlap.at_ns) {
                continue;
            }
            collector.add(overlap.at_ns, || {
                // The two operations: those of the two processes that were open at that time.
                let open = |process| {
                    history.records.iter().position(|record| {
                        record.process == process
                            && record.container() == Some(overlap.container)
                            && (record.invoke_ns..=record.deadline_ns()).contains(&overlap.at_ns)
                    })
                };
                let records: Vec<_> =
                    [overlap.inside, overlap.entered].into_iter().filter_map(open).collect();
                let name =
                    history.containers.get(overlap.container as usize).map_or("a container", String::as_str);
                let at = Origin::of(history).instant(overlap.at_ns);
                let (entered, inside) = (overlap.entered, overlap.inside);
                Violation {
                    class: Class::LockOverlap,
                    container: Some(overlap.container),
                    message: format!(
                        "{name}: at {at} p{entered} got the lock while p{inside} still held it."
                    ),
                    records,
                }
            });
        }
        collector.finish()
    }
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause};

    use super::super::fixture::{Case, ok};
    use super::*;
    use crate::check::Upshot;
    use crate::evidence::Overlap;

    fn case(inside_killed_ns: Option<u64>) -> Case {
        let overlap = Overlap { container: 0, at_ns: 2500, inside: 0, entered: 1, inside_killed_ns };
        let mut case = Case::of([ok(0, Create, 1..=3), ok(1, Pause, 2..=4)]);
        case.overlaps.push(overlap);
        case.entered = Ok(2);
        case
    }

    #[test]
    fn two_inside_fail() {
        let message = case(None).must_fail(&LockOverlap);
        assert_eq!(message, "c1: at 0.002 ms p1 got the lock while p0 still held it.");
        assert_eq!(case(Some(2501)).examine(&LockOverlap).violations[0].records, [0, 1]);
    }

    #[test]
    fn whom_nobody_watched_is_not_judged() {
        let unwatched = Unobserved::lacking("nobody watched");
        for (entered, why) in [(Err(unwatched.clone()), &unwatched), (Ok(0), &NOBODY_CAME)] {
            let why = why.to_string();
            let examination = Case { entered, overlaps: Vec::new(), ..case(None) }.examine(&LockOverlap);
            assert_eq!(examination.upshot(), Upshot::NotApplicable(Some(&why)));
        }
    }

    #[test]
    fn who_comes_after_one_that_was_killed_inside_passes() {
        case(Some(2500)).must_pass(&LockOverlap);
    }
}
