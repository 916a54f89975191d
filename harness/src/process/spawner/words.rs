//! What the harness and a spawner say to each other.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::process::slot::SlotSettings;

/// A copy put in the place of a folder, for the spawner's commands alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// The folder that lies over the user's own in the slot's view of the filesystem.
    pub copy: PathBuf,
    /// Where commands find it: a folder that exists.
    pub place: PathBuf,
}

/// Whose network a spawner and all that it starts are in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The harness's.
    #[default]
    Shared,
    /// One of its own, with nothing in it: names of sockets there are its own, too.
    Own,
    /// That of the spawner with this pid.
    Of(u32),
}

/// One instruction of a seccomp filter: code, jump if true, jump if false, value.
pub type FilterInstruction = (u16, u8, u8, u32);

/// What a spawner is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The marker that its commands carry in their environment.
    pub marker: String,
    /// Variables that its commands find set, besides those of the harness.
    pub environment: Vec<(String, String)>,
    /// What lies in the place of what. Where there is any, the spawner has a mount namespace of its own.
    pub binds: Vec<Bind>,
    /// Its network.
    pub network: Network,
    /// The processor on which all of it runs.
    pub processor: Option<usize>,
    /// A seccomp filter that is installed last of all, before the first command: the spawner and all that it starts stand
    /// under it, and its listener comes with `SpawnerMessage::Ready`.
    pub filter: Option<Vec<FilterInstruction>>,
}

/// One command to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Names it in what the spawner tells.
    pub slot: u32,
    /// The program, as an absolute path.
    pub program: PathBuf,
    /// What the program is told to be called, and its arguments.
    pub words: Vec<String>,
    /// Variables of its own.
    pub environment: Vec<(String, String)>,
    /// Where it starts, as seen from within the spawner's namespace.
    pub folder: PathBuf,
    /// What it reads on stdin; nothing unless there is a file.
    pub stdin: Option<PathBuf>,
    /// Where its stdout goes: a file that is made anew.
    pub stdout: PathBuf,
    /// Where its stderr goes, likewise.
    pub stderr: PathBuf,
}

/// What the harness asks of a spawner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SpawnerOrder {
    /// Start these, as much at once as can be. Answered by [`SpawnerMessage::Started`].
    Start(Vec<Start>),
    /// Start a command, and settle as soon as it has ended. Answered by [`SpawnerMessage::Ran`], or by
    /// [`SpawnerMessage::Ended`] at once and [`SpawnerMessage::Settled`] later where it left something behind.
    Run { start: Box<Start>, grace_ns: u64, kill: bool },
    /// Tell the pid of a command that has not ended. Answered by [`SpawnerMessage::Pid`].
    Pid { slot: u32 },
    /// Send a signal to the process group of a command that has not ended; else nothing happens.
    Signal { slot: u32, signal: i32 },
    /// Let what commands left behind end by itself for so long, and then kill it where `kill` is set. Answered by
    /// [`SpawnerMessage::Settled`]. Commands that have not ended are left alone.
    Settle { grace_ns: u64, kill: bool },
    /// Kill every command and all that commands left behind. Answered by [`SpawnerMessage::Settled`], behind the end of each.
    Clear,
    /// Fork a slot, whose memory comes along. Answered by [`SpawnerMessage::Slot`].
    Slot(Box<SlotSettings>),
    /// Make a pid namespace. Answered by [`SpawnerMessage::Nest`].
    Nest,
}

/// A command that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// Its pid, which is that of its process group.
    pub pid: u32,
    /// When, on the clock of [`crate::process::clock`], in nanoseconds.
    pub at_ns: u64,
}

/// A command could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct NotStarted {
    /// The error's number, where the system gave one.
    pub errno: Option<i32>,
    /// What the system said.
    pub message: String,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signaled(i32),
}

/// A command that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The slot whose command ended, by number.
    pub slot: u32,
    /// The code or signal that it ended with.
    pub status: Status,
    /// When it was reaped, on the clock of [`crate::process::clock`], in nanoseconds.
    pub at_ns: u64,
    /// Time on a processor, in nanoseconds: its own and that of the children it waited for.
    pub processor_ns: u64,
    /// The most memory that it had at once, in bytes.
    pub memory_bytes_max: u64,
}

/// A process that a command left behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stray {
    /// The process number of what was still there.
    pub pid: u32,
    /// What the kernel calls it: the first 15 bytes of its name.
    pub name: String,
}

/// Why a spawner is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Unready {
    /// A mount namespace of its own cannot be had.
    #[error("the kernel gives no private mount namespace: {0}")]
    Namespace(String),
    /// The filter cannot be installed.
    #[error("a seccomp filter with user notification cannot be installed: {0}")]
    Filter(String),
    /// Something else went wrong.
    #[error("the spawner cannot be made ready: {0}")]
    Other(String),
}

/// What a spawner tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SpawnerMessage {
    /// It is there, with this pid. With a filter comes its listener.
    Ready(u32),
    /// It is not, and is gone.
    Unready(Unready),
    /// What became of each command, in the order of the request.
    Started(Vec<Result<Started, NotStarted>>),
    /// This signal came that is none of the harness's; SIGSYS for one that a command meant for everybody.
    Signalled(i32),
    /// A command ended.
    Ended(Ended),
    /// A command ended and left nothing behind, or could not be started.
    Ran(Result<Ended, NotStarted>),
    /// The pid of a command; none where it has ended.
    Pid(Option<u32>),
    /// What was still there when the grace was over.
    Settled(Vec<Stray>),
    /// The pid of the slot that was forked, or why there is none.
    Slot(Result<u32, String>),
    /// The pid of the first process of the namespace that was made, or why there is none.
    Nest(Result<u32, String>),
}
