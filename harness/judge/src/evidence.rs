//! Evidence: all that a run left for the checks to judge. Plain values.

use flockwork::Status;

use crate::answer::Answer;
use crate::history::History;

/// All that checks may look at.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// Every operation, those of the examiner included.
    pub history: &'a History,
    /// Critical sections that overlapped, as the witness words saw them.
    pub overlaps: &'a [Overlap],
    /// How many times a critical section was entered under watch.
    pub watched_sections: u64,
    /// How each worker process ended.
    pub exits: &'a [Exit],
    /// What lay in the root when all was quiet, and what the examiner could do with it.
    pub quiet: &'a Quiet,
    /// Longest that one operation may take, in nanoseconds.
    pub starvation_ns: u64,
    /// Set where no operation ended for the plan's stall time: what each process was doing, in words.
    pub stall: Option<&'a Stall>,
}

/// Nobody looked when all was quiet.
static UNSEEN: Quiet = Quiet {
    containers: Vec::new(),
    strays: Vec::new(),
    remains: Vec::new(),
    processes: Vec::new(),
    list: None,
};

impl<'a> Evidence<'a> {
    /// What a stored history is evidence of: its operations alone.
    #[must_use]
    pub fn of_history(history: &'a History) -> Self {
        Self {
            history,
            overlaps: &[],
            watched_sections: 0,
            exits: &[],
            quiet: &UNSEEN,
            starvation_ns: u64::MAX,
            stall: None,
        }
    }
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
    /// Its pid.
    pub pid: u32,
    /// How.
    pub how: ExitHow,
    /// When the harness sent it SIGKILL, if it did.
    pub killed_ns: Option<u64>,
    /// When it was reaped.
    pub reaped_ns: u64,
    /// Last words of a panic, where there were any.
    pub last_words: Option<String>,
}

/// Code or signal.
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

/// What lay in the root when all was quiet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    /// One entry a container of the run, in the order of the history's names.
    pub containers: Vec<QuietContainer>,
    /// Paths below the root that belong to no container of the run and not to the subject itself, before recovery.
    pub strays: Vec<String>,
    /// Paths (but the subject's own) that still lay there after every container had been deleted by force.
    pub remains: Vec<String>,
    /// Processes of this run's sandboxes that still lived after every container had been deleted by force.
    pub processes: Vec<String>,
    /// What `list` answered before anything was tidied.
    pub list: Option<Answer>,
}

/// One container when all was quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuietContainer {
    /// What `state` answered.
    pub state: Answer,
    /// Files below the root that are this container's, folders with a trailing slash.
    pub files: Vec<String>,
    /// What its real process does, where the subject has real processes and metadata names one.
    pub process: Option<ProcessState>,
    /// What came of trying to delete it by force, create it anew, and delete that; `None` where it was not tried.
    pub recovery: Option<Recovery>,
}

/// What a real process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessState {
    /// It runs (or sleeps).
    Running,
    /// It is stopped by a signal.
    Stopped,
    /// It has ended.
    Dead,
}

impl ProcessState {
    /// Whether a container of this status may have its process in this state.
    #[must_use]
    pub fn agrees_with(self, status: Status) -> bool {
        match status {
            Status::Created | Status::Paused => self == Self::Stopped,
            Status::Running => self == Self::Running,
            Status::Stopped => self == Self::Dead,
        }
    }
}

/// Delete by force, create, delete by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The first delete by force.
    pub delete: Answer,
    /// The create that follows.
    pub create: Answer,
    /// The last delete by force.
    pub delete_again: Answer,
}
