//! subject-crash: the subject panicked or died of a signal nobody sent.

use super::collect::Collector;
use super::tell::Origin;
use super::{Check, CheckId, Examination};
use crate::evidence::{Evidence, Exit, ExitHow};
use crate::violation::{Class, Violation};

const SIGKILL: i32 = 9;

/// Looks for workers that panicked, or died of a signal that nobody sent.
#[derive(Debug)]
pub(super) struct SubjectCrash;

impl Check for SubjectCrash {
    fn id(&self) -> CheckId {
        CheckId::Of(Class::SubjectCrash)
    }

    fn examine(&self, evidence: &Evidence<'_>) -> Examination {
        let exits = match &evidence.exits {
            Ok(exits) => *exits,
            Err(why) => return Examination::without(why),
        };
        let mut collector = Collector::of(exits.len() as u64);
        for exit in exits {
            let how = match (exit.how, exit.killed_ns) {
                (ExitHow::Code(0), _) | (ExitHow::Signal(SIGKILL), Some(_)) => continue,
                (ExitHow::Code(code), _) => format!("exited with code {code}"),
                (ExitHow::Signal(signal), Some(_)) => {
                    format!("died of signal {signal} before the intended SIGKILL")
                }
                (ExitHow::Signal(signal), None) => format!("died of signal {signal}, which nobody sent"),
            };
            collector.add(exit.reaped_ns, || violation(evidence, exit, &how));
        }
        collector.finish()
    }
}

fn violation(evidence: &Evidence<'_>, exit: &Exit, how: &str) -> Violation {
    let history = evidence.history;
    let last = history
        .records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.process == exit.process && record.invoke_ns <= exit.reaped_ns)
        .max_by_key(|(_, record)| record.invoke_ns);
    let at = Origin::of(history).instant(exit.reaped_ns);
    let doing = last.map_or_else(String::new, |(_, record)| {
        format!(", last seen in {} of {}", record.operation, history.container_name(record))
    });
    let words = exit.last_words.as_deref().map_or_else(String::new, |words| format!(": {}", words.trim()));
    Violation {
        class: Class::SubjectCrash,
        container: last.and_then(|(_, record)| record.container()),
        message: format!("p{} (pid {}) {how} by {at}{doing}{words}.", exit.process, exit.pid),
        records: last.map(|(index, _)| index).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use flockwork::Operation::{Create, Pause};

    use super::super::fixture::{Case, ok};
    use super::*;

    fn case(how: ExitHow, killed_ns: Option<u64>) -> Case {
        let mut case = Case::of([ok(0, Create, 1..=2), ok(0, Pause, 3..=4)]);
        let last_words = Some("panicked at src/x.rs".into());
        case.exits.push(Exit { process: 0, pid: 77, how, killed_ns, reaped_ns: 5000, last_words });
        case
    }

    #[test]
    fn a_panic_and_foreign_signals_fail() {
        let message = case(ExitHow::Code(101), None).must_fail(&SubjectCrash);
        assert_eq!(
            message,
            "p0 (pid 77) exited with code 101 by 0.004 ms, last seen in pause of c1: panicked at src/x.rs."
        );
        case(ExitHow::Signal(SIGKILL), None).must_fail(&SubjectCrash);
        case(ExitHow::Signal(11), Some(4000)).must_fail(&SubjectCrash);
        case(ExitHow::Code(101), Some(4000)).must_fail(&SubjectCrash);
    }

    #[test]
    fn a_kill_of_ours_and_a_plain_end_pass() {
        case(ExitHow::Signal(SIGKILL), Some(4000)).must_pass(&SubjectCrash);
        case(ExitHow::Code(0), None).must_pass(&SubjectCrash);
        case(ExitHow::Code(0), Some(4000)).must_pass(&SubjectCrash);
    }
}
