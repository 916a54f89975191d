//! Evidence: all that a run left for the checks to judge. Plain values.
//!
//! What nobody observed is not here: it is [`Unobserved`], with the reason, and never an empty list or a zero. A check
//! that needs it does not apply, and says why.

use std::borrow::Cow;
use std::fmt;

use flockwork::Status;

use crate::answer::Answer;
use crate::history::History;

/// Why something was not observed: a clause that follows "because".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unobserved {
    /// It is not there to be observed: the subject does not have it, or this kind of run does not look for it. A check
    /// that needs it does not apply.
    Lacking(Cow<'static, str>),
    /// It was to be observed, and nobody could. A check that needs it is inconclusive.
    Missed(String),
}

impl Unobserved {
    /// It is not there, for this reason.
    #[must_use]
    pub const fn lacking(why: &'static str) -> Self {
        Self::Lacking(Cow::Borrowed(why))
    }
}

impl fmt::Display for Unobserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacking(why) => f.write_str(why),
            Self::Missed(why) => f.write_str(why),
        }
    }
}

/// What was observed, or why it was not.
pub type Observed<T> = Result<T, Unobserved>;

/// All that checks may look at.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// Every operation, those of the examiner included.
    pub history: &'a History,
    /// That answers tell the generation and revision that they left or saw.
    pub tokens: Observed<()>,
    /// Critical sections, as the owner words saw them.
    pub sections: Observed<Sections<'a>>,
    /// How each worker process ended.
    pub exits: Observed<&'a [Exit]>,
    /// What lay in the root after the run, and what the examiner could do with it.
    pub quiet: Observed<&'a Quiet>,
    /// Longest that one operation may take, in nanoseconds, where operations were timed.
    pub starvation_ns: Observed<u64>,
    /// Whether the run came to a standstill.
    pub stall: Observed<Option<&'a Stall>>,
}

impl<'a> Evidence<'a> {
    /// The evidence of a history alone: nobody looked at the processes or at the files.
    #[must_use]
    pub fn of_history(history: &'a History) -> Self {
        const ALONE: Unobserved = Unobserved::lacking("a history alone does not show it");
        let tells = history.records.iter().any(|record| record.revision.is_some());
        Self {
            history,
            tokens: if tells { Ok(()) } else { Err(Unobserved::lacking("no operation has a revision")) },
            sections: Err(ALONE),
            exits: Err(ALONE),
            quiet: Err(ALONE),
            starvation_ns: Err(ALONE),
            stall: Err(ALONE),
        }
    }

    /// Each container that was examined after the run, by its index; none where nobody examined any.
    pub fn containers(&self) -> impl Iterator<Item = (usize, &'a QuietContainer)> {
        self.quiet.as_ref().ok().into_iter().flat_map(|quiet| quiet.containers.iter().enumerate())
    }
}

/// Critical sections under watch.
#[derive(Clone, Copy, Debug)]
pub struct Sections<'a> {
    /// How many times one was entered.
    pub entered: u64,
    /// Those that overlapped.
    pub overlaps: &'a [Overlap],
}

/// Two processes were inside one container's critical section at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// Index of the container.
    pub container: u32,
    /// When the second one came in.
    pub at_ns: u64,
    /// The process that was inside.
    pub inside: u32,
    /// The process that came in.
    pub entered: u32,
    /// When the harness sent SIGKILL to the very process that was inside, if it did. A process killed inside cannot
    /// say that it left: such an overlap, later than the kill, is none.
    pub inside_killed_ns: Option<u64>,
}

/// How a worker process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// The worker's number.
    pub process: u32,
    /// The process number that the kernel gave it; the worker keeps its own number in every process.
    pub pid: u32,
    /// By itself with a code, or by a signal.
    pub how: ExitHow,
    /// When the harness sent it SIGKILL, if it did.
    pub killed_ns: Option<u64>,
    /// When it was reaped.
    pub reaped_ns: u64,
    /// Last words of a panic, where there were any.
    pub last_words: Option<String>,
}

/// How a process ended, as `wait` tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitHow {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// No operation ended for the plan's stall time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// When the last operation had ended.
    pub since_ns: u64,
    /// What each process was doing, one line a process (process, pid, operation, for how long, kernel wait channel).
    pub waiting: Vec<String>,
}

/// What came of asking the subject after the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The subject answered, however it answered: a refusal or a failure is an answer too.
    Answered(Answer),
    /// It did not, and this is why.
    Silent(String),
}

impl Reply {
    /// The answer, where there is one.
    #[must_use]
    pub const fn answer(&self) -> Option<&Answer> {
        match self {
            Self::Answered(answer) => Some(answer),
            Self::Silent(_) => None,
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self::Answered(answer)
    }
}

/// The reply in words: `refused (absent)`, `failed (io): no space`, `unanswered: no answer in time`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(answer) => {
                write!(f, "{}", answer.outcome)?;
                if let Some(reason) = answer.reason {
                    write!(f, " ({reason})")?;
                }
                answer.message.as_deref().map_or(Ok(()), |words| write!(f, ": {words}"))
            }
            Self::Silent(why) => write!(f, "unanswered: {why}"),
        }
    }
}

/// What lay in the root after the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// One entry a container of the run, in the order of the history's names.
    pub containers: Vec<QuietContainer>,
    /// Paths below the root that belong to no container of the run and not to the subject itself, before recovery.
    pub strays: Observed<Vec<String>>,
    /// Paths (but the subject's own) that still lay there after every container had been deleted by force.
    pub remains: Observed<Vec<String>>,
    /// Processes of this run's sandboxes that still lived after every container had been deleted by force.
    pub processes: Observed<Vec<String>>,
    /// What `list` answered before anything was tidied.
    pub list: Observed<Reply>,
}

/// One container after the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietContainer {
    /// What `state` answered after the run.
    pub state: Observed<Reply>,
    /// Files below the root that are this container's, folders with a trailing slash.
    pub files: Observed<Vec<String>>,
    /// What its real process does, where metadata names one.
    pub process: Observed<ProcessState>,
    /// What came of trying to delete it by force, create it anew, and delete that.
    pub recovery: Observed<Recovery>,
}

impl QuietContainer {
    /// What `state` answered, where it was asked and did answer.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.state.as_ref().ok()?.answer()
    }

    /// Its files, where anybody looked.
    #[must_use]
    pub fn known_files(&self) -> &[String] {
        self.files.as_deref().unwrap_or_default()
    }
}

/// What a real process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs (or sleeps).
    Running,
    /// It is held: it waits for its start, or a freezer or a signal has stopped it.
    Held,
    /// It has ended.
    Dead,
}

impl ProcessState {
    /// Whether a container of this status may have its process in this state.
    #[must_use]
    pub fn agrees_with(self, status: Status) -> bool {
        match status {
            Status::Created | Status::Paused => self == Self::Held,
            Status::Running => self == Self::Running,
            Status::Stopped => self == Self::Dead,
        }
    }
}

/// Delete by force, create, delete by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The first delete by force.
    pub delete: Reply,
    /// The create that follows.
    pub create: Reply,
    /// The last delete by force.
    pub delete_again: Reply,
}
