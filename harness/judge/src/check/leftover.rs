//! leftover: files or processes remain that no live container owns.
//!
//! A killed operation may leave files until the next holder of the lock comes: those are judged by what remains after
//! the examiner has deleted every container by force.

use std::collections::BTreeSet;

use super::collect::Collector;
use super::lives::Last;
use super::{Check, CheckId, Examination};
use crate::answer::Answer;
use crate::evidence::{Evidence, Observed, Reply, Unobserved};
use crate::history::{Outcome, Reason};
use crate::violation::{Class, Violation};

/// Looks for files and processes that no live container owns once all is quiet.
#[derive(Debug)]
pub(super) struct Leftover;

impl Check for Leftover {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::Leftover)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let quiet = match &evidence.quiet {
            Ok(quiet) => *quiet,
            Err(why) => return Examination::without(why),
        };
        let mut collector = Collector::of(quiet.containers.len() as u64 + u64::from(quiet.list.is_ok()));
        let mut told = BTreeSet::new();
        for path in seen(&quiet.strays, &mut collector) {
            told.insert(path.as_str());
            collector.add(0, || violation(None, format!("{path} belongs to no container.")));
        }
        absent_with_files(evidence, &mut collector, &mut told);
        // Where the examiner could not delete for want of something, what remains is nobody's fault.
        let lacking = lacking(evidence);
        if let Some(why) = &lacking {
            collector.lacks(why);
        }
        let remains = seen(&quiet.remains, &mut collector).iter().filter(|_| lacking.is_none());
        for path in remains.filter(|path| !told.contains(path.as_str())) {
            let words = format!("{path} is still there after every container was deleted by force.");
            collector.add(2, || violation(None, words));
        }
        let processes = seen(&quiet.processes, &mut collector).iter();
        for process in processes.filter(|_| lacking.is_none()) {
            let words = format!(
                "the sandbox process {process} still lives after every container was deleted by force."
            );
            collector.add(3, || violation(None, words));
        }
        match &quiet.list {
            // What it lacked is told already.
            Ok(Reply::Answered(list)) if list.lack().is_some() => {}
            Ok(Reply::Answered(list)) if list.outcome == Outcome::Failed => {
                let words = list.message.as_deref().unwrap_or("no reason given");
                collector.add(4, || violation(None, format!("list fails because of leftovers: {words}.")));
            }
            Ok(Reply::Silent(why)) => {
                collector.add(4, || violation(None, format!("list does not answer: {why}.")));
            }
            Ok(_) => {}
            Err(why) => collector.lacks(why),
        }
        collector.finish()
    }
}

/// What was seen; that it was not is noted.
fn seen<'q, T>(what: &'q Observed<Vec<T>>, collector: &mut Collector) -> &'q [T] {
    what.as_deref().unwrap_or_else(|why| {
        collector.lacks(why);
        &[]
    })
}

/// What the examiner lacked as it listed, or deleted by force.
fn lacking(evidence: &Evidence<'_>) -> Option<Unobserved> {
    let recoveries = evidence.containers().filter_map(|(_, container)| container.recovery.as_ref().ok());
    let deletes = recoveries.flat_map(|recovery| [&recovery.delete, &recovery.delete_again]);
    let list = evidence.quiet.as_ref().ok().and_then(|quiet| quiet.list.as_ref().ok());
    let answers = list.into_iter().chain(deletes).filter_map(Reply::answer);
    let mut lacking = answers.filter_map(|answer| answer.lack().zip(answer.message.as_deref()));
    let (lack, words) = lacking.next()?;
    Some(Unobserved::Missed(format!("after the run, this machine lacked {lack}: {words}")))
}

/// Whether the examiner found no container there.
pub(super) fn is_absent(state: &Answer) -> bool {
    match (state.outcome, state.reason) {
        (Outcome::Refused, reason) => reason == Some(Reason::Absent),
        (Outcome::Ok, _) => state.status.is_none(),
        (Outcome::Failed | Outcome::Unknown, _) => false,
    }
}

fn absent_with_files<'a>(evidence: &Evidence<'a>, collector: &mut Collector, told: &mut BTreeSet<&'a str>) {
    let history = evidence.history;
    let last = Last::of_each(evidence);
    for ((container, quiet), last) in evidence.containers().zip(&last) {
        let files = seen(&quiet.files, collector);
        if let Err(why) = &quiet.state {
            collector.lacks(why);
        }
        if !quiet.answer().is_some_and(is_absent)
            || files.is_empty()
            || last.final_delete(history).is_some()
            || last.may_be_half_done(history)
        {
            continue;
        }
        told.extend(files.iter().map(String::as_str));
        collector.add(1, || {
            let name = &history.containers[container];
            let files = files.join(", ");
            violation(
                Some(container as u32),
                format!("{name} is absent, and no killed operation explains what is left of it: {files}."),
            )
        });
    }
}

fn violation(container: Option<u32>, message: String) -> Violation {
    Violation { class: Class::Leftover, container, message, records: Vec::new() }
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Delete, Load};
    use flockwork::Status::Created;

    use super::super::fixture::{Case, Saw, absent, answer, failed, killed, ok, refused};
    use super::*;
    use crate::check::Upshot;
    use crate::evidence::Unobserved;

    #[test]
    fn files_of_a_container_that_never_was_fail() {
        let case =
            Case::of([refused(0, Load, 1..=2, Reason::Absent)]).quiet(absent(), &["c1/", "c1/meta.lock"]);
        let message = case.must_fail(&Leftover);
        assert!(message.contains("c1 is absent") && message.contains("c1/meta.lock"), "{message}");
    }

    #[test]
    fn files_of_a_create_that_failed_fail() {
        let case = Case::of([failed(0, Create, 1..=2, Reason::Io)]).quiet(absent(), &["c1/"]);
        case.must_fail(&Leftover);
    }

    #[test]
    fn strays_remains_processes_and_a_failing_list_fail() {
        let mut case = Case::of([]).quiet(absent(), &[]);
        case.quiet.strays = Ok(vec!["c1.tmp".into()]);
        case.quiet.remains = Ok(vec!["c1.tmp".into(), "c1/x".into()]);
        case.quiet.processes = Ok(vec!["4711 (sleep)".into()]);
        case.quiet.list = Ok(answer(Outcome::Failed, Some(Reason::Io), None).into());
        let examination = case.examine(&Leftover);
        let messages: Vec<_> = examination.violations.iter().map(|violation| &violation.message).collect();
        assert_eq!(messages.len(), 4, "{messages:?}");
        assert!(messages[1].starts_with("c1/x is still there"));
    }

    #[test]
    fn what_nobody_could_look_at_is_not_clean() {
        let mut case = Case::of([]).quiet(absent(), &[]);
        case.must_pass(&Leftover);
        case.quiet.remains = Err(Unobserved::Missed("the examiner ended".into()));
        assert_eq!(case.examine(&Leftover).upshot(), Upshot::Inconclusive("the examiner ended"));
        case.quiet.remains = Err(Unobserved::lacking("the subject has no delete by force"));
        case.must_pass(&Leftover);
    }

    #[test]
    fn what_a_killed_create_left_passes_until_somebody_had_to_clear_it() {
        let killed = killed(1, Create, 5..=6);
        let life = [ok(0, Create, 1..=2).saw(Created, 1, 1), ok(0, Delete, 3..=4).stamped(1, 2), killed];
        Case::of(life).quiet(absent(), &["c1/"]).must_pass(&Leftover);
    }
}
