//! What the harness and the zygote say to each other about a stress run.

use std::io;

use serde::{Deserialize, Serialize};

use super::examine::Observation;
use crate::engine::Ended;
use crate::evidence::{Exit, ExitHow};
use crate::plan::StressPlan;
use crate::process::lifeline;
use crate::process::log::Packed;
use crate::process::overlap::Identity;
use crate::process::region::Layout;
use crate::subject::Answer;

/// Asks the zygote to run the workers of a stress plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StressTask {
    pub plan: StressPlan,
    pub layout: Layout,
    pub marker: String,
    pub recording: Recording,
}

/// Whether workers record what they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Recording {
    /// Every invocation and return is written to the shared log.
    Full,
    /// Nothing but how many operations there were: to measure what recording costs.
    Off,
}

/// What the zygote tells of a run.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// A process has ended.
    Departed(Departure),
    /// The run is over.
    Finished(Finished),
    /// The run could not be done.
    Failed(String),
}

/// One process that ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Departure {
    pub process: u32,
    pub incarnation: u32,
    pub pid: u32,
    /// Exit code, or the negative of the signal.
    pub how: i32,
    pub killed_ns: Option<u64>,
    pub reaped_ns: u64,
    pub last_words: Option<String>,
}

impl Departure {
    pub fn identity(&self) -> Identity {
        Identity { process: self.process, incarnation: self.incarnation }
    }

    /// Whether nobody asked for it: neither done nor killed.
    pub fn is_crash(&self) -> bool {
        self.how != 0 && !self.was_killed()
    }

    /// Refuses an end that says nothing of the subject: a panic in the harness's own code.
    pub fn is_the_subjects(&self) -> io::Result<()> {
        if self.how == lifeline::HARNESS_PANICKED {
            let what = lifeline::harness_panicked(self.process, self.last_words.as_deref());
            return Err(io::Error::other(what));
        }
        Ok(())
    }

    /// Whether it ended by the harness's signal.
    pub fn was_killed(&self) -> bool {
        self.killed_ns.is_some() && self.how == -libc::SIGKILL
    }

    pub fn into_exit(self) -> Exit {
        let how = if self.how < 0 { ExitHow::Signal(-self.how) } else { ExitHow::Code(self.how) };
        Exit {
            process: self.process,
            pid: self.pid,
            how,
            killed_ns: self.killed_ns,
            reaped_ns: self.reaped_ns,
            last_words: self.last_words,
        }
    }
}

/// How a run ended, and what the examiner found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub ended: Ended,
    pub stall: Option<Stillness>,
    pub kills: u64,
    pub observations: Vec<Observation>,
}

/// No operation of any process ended for the plan's stall time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stillness {
    pub since_ns: u64,
    pub waiting: Vec<String>,
}

/// A subject's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WireAnswer {
    packed: u32,
    generation: Option<u64>,
    revision: Option<u64>,
    message: Option<String>,
    errno: Option<std::num::NonZeroU16>,
}

impl From<Answer> for WireAnswer {
    fn from(answer: Answer) -> Self {
        // The operation is known from the step; any will do.
        let packed = Packed::answered(flockwork::Operation::State, &answer).0;
        let Answer { generation, revision, message, errno, .. } = answer;
        Self { packed, generation, revision, message, errno }
    }
}

impl From<WireAnswer> for Answer {
    fn from(wire: WireAnswer) -> Self {
        let packed = Packed(wire.packed);
        Self {
            outcome: packed.outcome(),
            reason: packed.reason(),
            status: packed.status(),
            generation: wire.generation,
            revision: wire.revision,
            message: wire.message,
            errno: wire.errno,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Reason;

    #[test]
    fn answers_cross_unchanged() {
        let answer = Answer {
            status: Some(flockwork::Status::Stopped),
            generation: Some(3),
            revision: Some(u64::MAX),
            errno: std::num::NonZeroU16::new(28),
            ..Answer::failed(Reason::Corrupt, "why not")
        };
        let text = serde_json::to_string(&WireAnswer::from(answer.clone())).expect("JSON");
        assert_eq!(Answer::from(serde_json::from_str::<WireAnswer>(&text).expect("JSON")), answer);
    }

    #[test]
    fn a_kill_is_no_crash_but_another_signal_is() {
        let departure = |how, killed_ns| Departure {
            process: 0,
            incarnation: 1,
            pid: 2,
            how,
            killed_ns,
            reaped_ns: 9,
            last_words: None,
        };
        assert!(!departure(0, None).is_crash());
        assert!(!departure(-9, Some(1)).is_crash());
        assert!(departure(-9, None).is_crash(), "somebody else's SIGKILL");
        assert!(departure(-11, Some(1)).is_crash());
        assert!(departure(101, None).is_crash());
    }
}
