//! unrecoverable: after a kill or an injected error a container can be neither used nor deleted and re-created.
//!
//! The examiner deletes each container by force, creates it anew and deletes that: each must succeed.

use flockwork::Operation;

use super::collect::Collector;
use super::{Check, CheckId, Examination};
use crate::answer::Answer;
use crate::evidence::{Evidence, Reply, Unobserved};
use crate::history::{Outcome, Reason};
use crate::violation::{Class, Violation};

/// Looks for containers that could be neither used nor deleted and made anew once all was quiet.
#[derive(Debug)]
pub(super) struct Unrecoverable;

impl Check for Unrecoverable {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::Unrecoverable)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        if let Err(why) = &evidence.quiet {
            return Examination::without(why);
        }
        let mut collector = Collector::default();
        for (container, quiet) in evidence.containers() {
            let recovery = match &quiet.recovery {
                Ok(recovery) => recovery,
                Err(why) => {
                    collector.lacks(why);
                    continue;
                }
            };
            collector.examined += 1;
            let steps = [
                ("a forced delete", &recovery.delete),
                (CREATE, &recovery.create),
                ("deleting that by force", &recovery.delete_again),
            ];
            let is_done = |reply: &Reply| reply.answer().is_some_and(|answer| answer.outcome == Outcome::Ok);
            let Some((step, reply)) = steps.into_iter().find(|(_, reply)| !is_done(reply)) else { continue };
            let answer = reply.answer();
            if let Some(lack) = answer.and_then(Answer::lack) {
                let name = evidence.history.containers.get(container).map_or("a container", String::as_str);
                let words = answer.and_then(|answer| answer.message.as_deref()).unwrap_or_default();
                collector.lacks(&Unobserved::Missed(format!(
                    "{name}: after the run, {step} failed because this machine lacks {lack}: {words}"
                )));
                continue;
            }
            if step == CREATE
                && answer.is_some_and(|answer| never_could_be_created(evidence, container as u32, answer))
            {
                continue;
            }
            collector.add(container as u64, || {
                let name = evidence.history.containers.get(container).map_or("a container", String::as_str);
                Violation {
                    class: Class::Unrecoverable,
                    container: Some(container as u32),
                    message: format!("{name}: after the run, {step} {}.", told(reply)),
                    records: Vec::new(),
                }
            });
        }
        collector.finish()
    }
}

const CREATE: &str = "creating it again";

fn told(reply: &Reply) -> String {
    match reply {
        Reply::Answered(answer) if answer.outcome == Outcome::Refused => format!("was {reply}"),
        Reply::Answered(_) => reply.to_string(),
        Reply::Silent(why) => format!("got no answer: {why}"),
    }
}

/// Whether no create of it ever came through, and files are what failed: a full filesystem, say. Then there was no
/// container to recover.
fn never_could_be_created(evidence: &Evidence<'_>, container: u32, answer: &Answer) -> bool {
    let records = evidence.history.records.iter();
    let mut creates = records
        .filter(|record| record.operation == Operation::Create && record.container() == Some(container))
        .peekable();
    answer.reason == Some(Reason::Io)
        && creates.peek().is_some()
        && creates.all(|create| (create.outcome, create.reason) == (Outcome::Failed, Some(Reason::Io)))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Case, absent, answer};
    use super::*;
    use crate::check::Upshot;
    use crate::evidence::Recovery;
    use crate::history::Record;

    fn case(create: Outcome) -> Case {
        let ok = || Reply::from(answer(Outcome::Ok, None, None));
        let reason = (create == Outcome::Failed).then_some(Reason::Io);
        let mut case = Case::of([]).quiet(absent(), &[]);
        case.quiet.containers[0].recovery =
            Ok(Recovery { delete: ok(), create: answer(create, reason, None).into(), delete_again: ok() });
        case
    }

    #[test]
    fn a_container_that_cannot_be_created_anew_fails() {
        let message = case(Outcome::Failed).must_fail(&Unrecoverable);
        assert_eq!(message, "c1: after the run, creating it again failed (io).");
    }

    #[test]
    fn one_that_never_could_be_created_passes() {
        let mut case = case(Outcome::Failed);
        case.history.records.push(create(Outcome::Failed, Some(Reason::Io)));
        case.must_pass(&Unrecoverable);
        case.history.records.push(create(Outcome::Ok, None));
        case.must_fail(&Unrecoverable);
    }

    fn create(outcome: Outcome, reason: Option<Reason>) -> Record {
        let mut record = Record::invoked(0, Some(0), Operation::Create, 1);
        (record.outcome, record.reason) = (outcome, reason);
        record
    }

    /// Where the examiner itself met the machine's limits, nobody knows whether the container would have recovered.
    #[test]
    fn what_the_machine_lacked_is_nobodys_fault() {
        let mut case = case(Outcome::Failed);
        let message = "/r/c1/meta.lock: Too many open files (os error 24)";
        if let Ok(recovery) = &mut case.quiet.containers[0].recovery {
            let errno = std::num::NonZeroU16::new(24);
            recovery.create = Reply::Answered(Answer { errno, ..Answer::failed(Reason::Io, message) });
        }
        let examination = case.examine(&Unrecoverable);
        assert_eq!(examination.violations, []);
        let why = examination.inconclusive.expect("it is not clean either");
        assert!(why.contains("creating it again") && why.contains("/r/c1/meta.lock"), "{why}");
    }

    #[test]
    fn one_whose_examination_got_no_answer_fails_and_one_that_was_not_tried_is_not_judged() {
        let mut case = case(Outcome::Ok);
        if let Ok(recovery) = &mut case.quiet.containers[0].recovery {
            recovery.delete = Reply::Silent("no answer in time".into());
        }
        let message = case.must_fail(&Unrecoverable);
        assert_eq!(message, "c1: after the run, a forced delete got no answer: no answer in time.");
        let untried = Unobserved::lacking("the subject has no delete by force");
        case.quiet.containers[0].recovery = Err(untried.clone());
        assert_eq!(case.examine(&Unrecoverable).upshot(), Upshot::NotApplicable(Some(&untried.to_string())));
    }

    #[test]
    fn a_container_that_recovers_passes() {
        case(Outcome::Ok).must_pass(&Unrecoverable);
    }
}
