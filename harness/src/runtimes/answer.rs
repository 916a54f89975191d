//! What a runtime's command answered: read from how it ended and from what it printed.
//!
//! Runtimes have no exit codes for why they refuse, only words, each its own. What is refused must be told by words known
//! here; whatever else ends without success has failed, and is told with the runtime's own words.

use flockwork::{Operation, Status};
use flockwork_judge::answer::Answer;

use super::{Done, Runtime};
use crate::history::{Outcome, Reason};
use crate::process::spawner::Status as Ending;

/// Words by which a runtime refuses, and what they mean; none: any of the reasons, for the words do not say which.
type Words = (&'static str, Option<Reason>);

const RUNC: &[Words] = &[
    ("container with given ID already exists", Some(Reason::Exists)),
    ("container does not exist", Some(Reason::Absent)),
    ("container not paused", Some(Reason::Status)),
    ("container not running", Some(Reason::Status)),
    ("cannot start an already running container", Some(Reason::Status)),
    ("cannot start a container in the", Some(Reason::Status)),
    ("cannot start a container that has stopped", Some(Reason::Status)),
    ("that is not stopped", Some(Reason::Status)),
    ("can't pause container", Some(Reason::Status)),
];

const CRUN: &[Words] = &[
    ("already exists", Some(Reason::Exists)),
    ("/status`: No such file or directory", Some(Reason::Absent)),
    ("cannot open directory", Some(Reason::Absent)),
    // It is gone once the container was started, and with the container.
    ("/exec.fifo`: No such file or directory", None),
    ("is not in `created` or `stopped` state", Some(Reason::Status)),
    ("is not running", Some(Reason::Status)),
    ("No such process", Some(Reason::Status)),
];

const YOUKI: &[Words] = &[
    ("already exists", Some(Reason::Exists)),
    ("does not exist", Some(Reason::Absent)),
    ("incompatible container status", Some(Reason::Status)),
];

const RUNSC: &[Words] = &[
    ("container already exists", Some(Reason::Exists)),
    ("file does not exist", Some(Reason::Absent)),
    ("in state ", Some(Reason::Status)),
    ("sandbox is not running", Some(Reason::Status)),
    // Its state says so no sooner than the sandbox has gone.
    ("connection refused", Some(Reason::Status)),
    ("no such process", Some(Reason::Status)),
    ("that is not stopped without --force", Some(Reason::Status)),
];

/// Words that say that metadata could not be read as what it should be.
const TORN: &[&str] = &[
    "EOF while parsing",
    "expected value at line",
    "trailing characters",
    "unexpected end of JSON",
    "invalid character",
    "premature EOF",
    "parse error",
    "cannot parse",
    "unexpected EOF",
];

/// Words that only a program that fell over prints.
const FALLEN: &[&str] = &["goroutine 1 [", "panicked at", "panic:", "AddressSanitizer"];

/// Words that say, in small letters, that the machine has no more of what every program needs: no fault of the runtime's. Memory
/// is not among it: a process that is started in a namespace whose first has been killed fails with the same words.
const LACKING: &[&str] = &["no space left on device", "disk quota exceeded", "too many open files in system"];
/// What the same words are said of besides: nobody may enter a cgroup whose cpuset has not been set up, which may be another command's doing.
const NO_DISK: &str = "cgroup";

/// Longest message that is kept, in bytes.
const MESSAGE_BYTES_MAX: usize = 400;

/// Reads the answer to an operation. A command that was killed or did not end answered nothing: [`Outcome::Unknown`].
#[must_use]
pub fn read(runtime: Runtime, operation: Operation, done: &Done) -> Answer {
    let said = said(done);
    match done.ending {
        _ if done.is_killed || done.ending.is_none() => {
            Answer { outcome: Outcome::Unknown, ..Answer::done() }
        }
        Some(Ending::Exited(0)) if operation == Operation::State => status(&done.stdout),
        Some(Ending::Exited(0)) => Answer::done(),
        Some(Ending::Exited(_)) if fallen(done).is_some() => Answer::failed(Reason::Other, said),
        Some(Ending::Exited(_)) => {
            let known = words(runtime).iter().find(|(words, _)| said.contains(words));
            match known {
                Some((_, reason)) => Answer {
                    outcome: Outcome::Refused,
                    reason: *reason,
                    message: Some(said),
                    ..Answer::done()
                },
                None if TORN.iter().any(|words| said.contains(words)) => {
                    Answer::failed(Reason::Corrupt, said)
                }
                None => Answer::failed(Reason::Other, said),
            }
        }
        Some(Ending::Signaled(signal)) => {
            Answer::failed(Reason::Other, format!("died of signal {signal}: {said}"))
        }
        None => unreachable!("told above"),
    }
}

/// What it fell over, where it did: a panic, or a signal that nobody sent.
#[must_use]
pub fn fallen(done: &Done) -> Option<String> {
    match done.ending {
        Some(Ending::Signaled(signal)) if !done.is_killed => Some(format!("signal {signal}")),
        Some(Ending::Exited(code)) if code != 0 => {
            let text = text(done);
            let first = text.lines().find(|line| FALLEN.iter().any(|words| line.contains(words)))?;
            Some(cut(first.trim()))
        }
        _ => None,
    }
}

/// What the machine lacked, in the words of a command that failed for it: what the command did then says nothing of the runtime.
#[must_use]
pub fn lacking(done: &Done) -> Option<String> {
    let has_failed = !done.is_killed && !matches!(done.ending, None | Some(Ending::Exited(0)));
    let text = text(done).to_lowercase();
    let lacks = |line: &str| LACKING.iter().any(|words| line.contains(words)) && !line.contains(NO_DISK);
    (has_failed && text.lines().any(lacks)).then(|| said(done))
}

const fn words(runtime: Runtime) -> &'static [Words] {
    match runtime {
        Runtime::Runc => RUNC,
        Runtime::Crun => CRUN,
        Runtime::Youki => YOUKI,
        Runtime::Runsc => RUNSC,
    }
}

/// What `state` printed.
fn status(stdout: &str) -> Answer {
    let Ok(state) = serde_json::from_str::<serde_json::Value>(stdout) else {
        let words = format!("the output of state is not JSON: {:?}", cut(stdout));
        return Answer::failed(Reason::Corrupt, words);
    };
    match state.get("status").and_then(serde_json::Value::as_str) {
        // It is on its way: nothing is said of where it is.
        Some("creating") => Answer::done(),
        Some(word) => match Status::ALL.into_iter().find(|status| status.as_str() == word) {
            Some(status) => Answer { status: Some(status), ..Answer::done() },
            None => Answer::failed(Reason::Corrupt, format!("state gave an unknown status: {word:?}")),
        },
        None => Answer::failed(Reason::Corrupt, "the output of state has no status"),
    }
}

/// The pid that `state` printed, where it did.
#[must_use]
pub fn pid(stdout: &str) -> Option<u32> {
    let state: serde_json::Value = serde_json::from_str(stdout).ok()?;
    let pid = state.get("pid")?.as_u64()?;
    u32::try_from(pid).ok().filter(|pid| *pid > 0)
}

fn text(done: &Done) -> String {
    format!("{}\n{}", done.stderr, done.stdout)
}

/// What a command said when it did not succeed, in a line.
fn said(done: &Done) -> String {
    let text = if done.stderr.trim().is_empty() { &done.stdout } else { &done.stderr };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() { "it said nothing".into() } else { cut(&line) }
}

fn cut(text: &str) -> String {
    let is_within = |end: &usize| *end <= MESSAGE_BYTES_MAX;
    let ends = text.char_indices().map(|(at, character)| at + character.len_utf8());
    text[..ends.take_while(is_within).last().unwrap_or(0)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(code: i32, stderr: &str, stdout: &str) -> Done {
        Done {
            pid: 7,
            begun_ns: 1,
            ended_ns: 2,
            ending: Some(Ending::Exited(code)),
            stdout: stdout.into(),
            stderr: stderr.into(),
            is_killed: false,
            waiting: None,
        }
    }

    fn told(runtime: Runtime, operation: Operation, done: &Done) -> (Outcome, Option<Reason>) {
        let answer = read(runtime, operation, done);
        (answer.outcome, answer.reason)
    }

    #[test]
    fn refusals_are_told_from_failures_by_their_words() {
        use Operation::{Create, Delete, Start};
        let runc = |words: &str| done(1, &format!("time=\"x\" level=error msg=\"{words}\""), "");
        let refused = |reason| (Outcome::Refused, Some(reason));
        let exists = runc("runc create failed: container with given ID already exists");
        assert_eq!(told(Runtime::Runc, Create, &exists), refused(Reason::Exists));
        let stopped = runc("cannot delete container c1 that is not stopped: running");
        assert_eq!(told(Runtime::Runc, Delete, &stopped), refused(Reason::Status));
        let other = runc("unable to start container process: exec format error");
        assert_eq!(told(Runtime::Runc, Create, &other), (Outcome::Failed, Some(Reason::Other)));
        let fifo = done(1, "cannot open `/r/c1/exec.fifo`: No such file or directory", "");
        assert_eq!(told(Runtime::Crun, Start, &fifo), (Outcome::Refused, None));
        for words in ["sandbox is not running", "PID 7: connection refused", "PID 0: no such process"] {
            let ended = done(128, words, "");
            assert_eq!(told(Runtime::Runsc, Operation::Kill, &ended), refused(Reason::Status));
        }
        let torn = done(1, "Error: EOF while parsing a value at line 1 column 0", "");
        assert_eq!(told(Runtime::Youki, Operation::State, &torn), (Outcome::Failed, Some(Reason::Corrupt)));
    }

    #[test]
    fn a_panic_is_no_refusal_whatever_else_it_says() {
        let panic = done(2, "panic: invalid state transition in state created\n\ngoroutine 1 [running]:", "");
        assert_eq!(told(Runtime::Runsc, Operation::Pause, &panic), (Outcome::Failed, Some(Reason::Other)));
        assert!(fallen(&panic).unwrap().starts_with("panic: invalid state transition"));
        assert_eq!(fallen(&done(1, "container does not exist", "")), None);
        let mut killed = done(1, "", "");
        killed.ending = Some(Ending::Signaled(11));
        assert_eq!(fallen(&killed).unwrap(), "signal 11");
        killed.is_killed = true;
        assert_eq!(fallen(&killed), None);
    }

    #[test]
    fn what_the_machine_lacks_is_told_apart_from_what_a_runtime_does() {
        let full = done(1, "write /r/c1/state.json: No space left on device (os error 28)", "");
        assert!(lacking(&full).unwrap().contains("No space left"), "{full:?}");
        assert_eq!(lacking(&done(1, "container does not exist", "")), None);
        // A cpuset that another command has not set up yet is no lack of the machine's.
        let cpuset = "write /sys/fs/cgroup/cpuset/c1/cgroup.procs: no space left on device";
        assert_eq!(lacking(&done(1, cpuset, "")), None);
        assert_eq!(lacking(&Done { ending: Some(Ending::Exited(0)), ..full.clone() }), None);
        // What was killed says nothing of the machine, nor what did not end.
        assert_eq!(lacking(&Done { is_killed: true, ..full.clone() }), None);
        assert_eq!(lacking(&Done { ending: None, ..full }), None);
    }

    #[test]
    fn what_state_prints_is_a_status_or_torn() {
        let state = |stdout: &str| read(Runtime::Crun, Operation::State, &done(0, "", stdout));
        assert_eq!(state(r#"{"status":"paused","pid":4}"#).status, Some(Status::Paused));
        assert_eq!(state(r#"{"status":"creating"}"#), Answer::done());
        for torn in ["", "{", r#"{"status":"asleep"}"#, r#"{"pid":4}"#] {
            assert_eq!(state(torn).reason, Some(Reason::Corrupt), "{torn}");
        }
        assert_eq!(pid(r#"{"status":"paused","pid":4}"#), Some(4));
        assert_eq!(pid(r#"{"status":"stopped","pid":0}"#), None);
    }
}
