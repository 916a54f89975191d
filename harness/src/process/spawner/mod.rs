//! A spawner: a small process without threads that starts commands where the harness, which has threads, must not fork.
//!
//! It is forked from the zygote for a run, enters a mount namespace of its own where copies are to lie in the place of the
//! user's folders, and starts commands with `posix_spawn`: never by way of a shell. It tells how each ended, and is the
//! reaper of whatever commands leave behind. All of it is gone when this hold on it is dropped, or when the harness dies.

mod guard;
mod life;
pub(crate) mod namespace;
mod nest;
mod words;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::socket::{Shutdown, shutdown};

use super::procfs;
use super::slot::{self, Slot, SlotError, SlotSettings};
use super::{Channel, Zygote};

pub(crate) use guard::{Harm, OWN_PARENT};
pub(crate) use life::raise;
pub use words::{
    Bind, Ended, FilterInstruction, Network, NotStarted, Settings, Start, Started, Status, Stray, Unready,
};
use words::{SpawnerMessage, SpawnerOrder};

/// How long a spawner may take to be gone.
const GONE: Duration = Duration::from_secs(5);
/// How long a spawner may take to answer what it can answer at once.
const ANSWER: Duration = Duration::from_secs(20);

/// A spawner cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum SpawnerError {
    /// It is not there.
    #[error(transparent)]
    Unready(#[from] Unready),
    /// It cannot be talked to.
    #[error("the spawner of commands is gone: {0}")]
    Gone(#[from] io::Error),
}

/// The harness's hold on a spawner. When it is dropped, the spawner kills all that it started, and ends.
#[derive(Debug)]
pub struct Spawner {
    line: Channel,
    pid: u32,
    listener: Option<OwnedFd>,
    /// Ends that were told while another answer was waited for.
    ended: VecDeque<Ended>,
    /// What was told while something else was awaited.
    heard: VecDeque<SpawnerMessage>,
}

impl Spawner {
    /// Has one forked, and waits until it is ready.
    pub fn open(zygote: &Zygote, settings: Settings) -> Result<Self, SpawnerError> {
        let (ours, theirs) = Channel::pair()?;
        zygote.order_spawner(settings, theirs.as_fd())?;
        drop(theirs);
        if !ours.wait(ANSWER)? {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer").into());
        }
        match ours.receive::<SpawnerMessage>()? {
            Some((SpawnerMessage::Ready(pid), listener)) => {
                Ok(Self { line: ours, pid, listener, ended: VecDeque::new(), heard: VecDeque::new() })
            }
            Some((SpawnerMessage::Unready(why), _)) => Err(why.into()),
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before it was ready").into()),
        }
    }

    /// Its pid: the reaper of all that its commands start.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The listener of its filter, once, where it has one.
    pub fn take_listener(&mut self) -> Option<OwnedFd> {
        self.listener.take()
    }

    /// Has a slot forked: a process under a filter that starts commands for whoever serves its listener. It ends with the
    /// spawner.
    pub(crate) fn slot(&mut self, settings: SlotSettings) -> Result<Slot, SlotError> {
        let memory = slot::memory()?;
        self.line.send(&SpawnerOrder::Slot(Box::new(settings)), Some(memory.as_fd()))?;
        let forked = self.answer(ANSWER, |message| match message {
            SpawnerMessage::Slot(forked) => Some(forked),
            _ => None,
        })?;
        Slot::take(forked.map_err(io::Error::other)?, memory)
    }

    /// Has a pid namespace made, in which clones of programs have the pids of those that they are clones of; gives back the
    /// pid of its first process, with which all in it ends. It ends with the spawner.
    pub(crate) fn nest(&mut self) -> io::Result<u32> {
        self.line.send(&SpawnerOrder::Nest, None)?;
        let made = self.answer(ANSWER, |message| match message {
            SpawnerMessage::Nest(made) => Some(made),
            _ => None,
        })?;
        made.map_err(io::Error::other)
    }

    /// Starts commands, as much at once as can be.
    pub fn start(&mut self, commands: Vec<Start>) -> io::Result<Vec<Result<Started, NotStarted>>> {
        self.line.send(&SpawnerOrder::Start(commands), None)?;
        self.answer(ANSWER, |message| match message {
            SpawnerMessage::Started(started) => Some(started),
            _ => None,
        })
    }

    /// Asks to start commands and does not wait for the answer, which [`Spawner::started`] gives: for whoever must serve the
    /// spawner's own calls meanwhile.
    pub fn ask_start(&mut self, commands: Vec<Start>) -> io::Result<()> {
        self.line.send(&SpawnerOrder::Start(commands), None)
    }

    /// The answer to [`Spawner::ask_start`], if it has come within this time.
    pub fn started(&mut self, at_most: Duration) -> io::Result<Option<Vec<Result<Started, NotStarted>>>> {
        let until = Instant::now() + at_most;
        loop {
            match self.hear(until.saturating_duration_since(Instant::now()))? {
                None => return Ok(None),
                Some(SpawnerMessage::Started(started)) => return Ok(Some(started)),
                Some(SpawnerMessage::Ended(ended)) => self.ended.push_back(ended),
                Some(_) => return Err(io::Error::other("the spawner answered what was not asked")),
            }
        }
    }

    /// Starts a command, and has everything settle once it has ended: [`Spawner::ran`] tells. Until then nothing else is asked but
    /// for its pid, and no signal is sent but to it.
    pub fn run(&mut self, command: Start, grace: Duration, then: Then) -> io::Result<()> {
        let grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        let kill = then == Then::Kill;
        self.line.send(&SpawnerOrder::Run { start: Box::new(command), grace_ns, kill }, None)
    }

    /// What became of the command of this slot that [`Spawner::run`] started, with what it left behind, if it ends within this time.
    pub fn ran(&mut self, slot: u32, at_most: Duration, grace: Duration) -> io::Result<Option<Ran>> {
        let until = Instant::now() + at_most;
        loop {
            match self.hear(until.saturating_duration_since(Instant::now()))? {
                None => return Ok(None),
                Some(SpawnerMessage::Ran(ran)) => return Ok(Some(ran.map(|ended| (ended, Vec::new())))),
                Some(SpawnerMessage::Ended(ended)) if ended.slot == slot => {
                    return Ok(Some(Ok((ended, self.answer(grace + ANSWER, settled)?))));
                }
                Some(SpawnerMessage::Ended(ended)) => self.ended.push_back(ended),
                Some(_) => return Err(io::Error::other("the spawner answered what was not asked")),
            }
        }
    }

    /// The pid of a command; none where it has ended.
    pub fn pid_of(&mut self, slot: u32) -> io::Result<Option<u32>> {
        self.line.send(&SpawnerOrder::Pid { slot }, None)?;
        // It may end meanwhile: what is told of that is for whoever waits for its end.
        let mut others = VecDeque::new();
        let until = Instant::now() + ANSWER;
        let pid = loop {
            match self.hear(until.saturating_duration_since(Instant::now()))? {
                None => return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
                Some(SpawnerMessage::Pid(pid)) => break pid,
                Some(other) => others.push_back(other),
            }
        };
        self.heard = others;
        Ok(pid)
    }

    /// The next command that ended, if one does within this time.
    pub fn ended(&mut self, at_most: Duration) -> io::Result<Option<Ended>> {
        if let Some(ended) = self.ended.pop_front() {
            return Ok(Some(ended));
        }
        match self.hear(at_most)? {
            None => Ok(None),
            Some(SpawnerMessage::Ended(ended)) => Ok(Some(ended)),
            Some(_) => Err(io::Error::other("the spawner answered what was not asked")),
        }
    }

    /// Sends a signal to the process group of a command; nothing happens where it has ended.
    pub fn signal(&mut self, slot: u32, signal: nix::sys::signal::Signal) -> io::Result<()> {
        self.line.send(&SpawnerOrder::Signal { slot, signal: signal as i32 }, None)
    }

    /// Lets what commands left behind end by itself for a time; tells what is there still, and kills it where that is wanted.
    pub fn settle(&mut self, grace: Duration, then: Then) -> io::Result<Vec<Stray>> {
        let grace_ns = u64::try_from(grace.as_nanos()).unwrap_or(u64::MAX);
        self.line.send(&SpawnerOrder::Settle { grace_ns, kill: then == Then::Kill }, None)?;
        self.answer(grace + ANSWER, settled)
    }

    /// Kills every command, and all that commands left behind, which it tells. The ends of the commands are still to be heard
    /// by [`Spawner::ended`].
    pub fn clear(&mut self) -> io::Result<Vec<Stray>> {
        self.line.send(&SpawnerOrder::Clear, None)?;
        self.answer(ANSWER, settled)
    }

    fn answer<T>(&mut self, at_most: Duration, of: impl Fn(SpawnerMessage) -> Option<T>) -> io::Result<T> {
        let until = Instant::now() + at_most;
        loop {
            match self.hear(until.saturating_duration_since(Instant::now()))? {
                None => return Err(io::Error::new(io::ErrorKind::TimedOut, "it does not answer")),
                Some(SpawnerMessage::Ended(ended)) => self.ended.push_back(ended),
                Some(message) => {
                    let wrong = || io::Error::other("the spawner answered what was not asked");
                    return of(message).ok_or_else(wrong);
                }
            }
        }
    }

    fn hear(&mut self, at_most: Duration) -> io::Result<Option<SpawnerMessage>> {
        if let Some(message) = self.heard.pop_front() {
            return Ok(Some(message));
        }
        let until = Instant::now() + at_most;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if self.line.wait(left)? {
                return match self.line.receive()? {
                    Some((SpawnerMessage::Signalled(libc::SIGSYS), _)) => {
                        Err(io::Error::other(Harm::Everybody))
                    }
                    Some((SpawnerMessage::Signalled(signal), _)) => {
                        Err(io::Error::other(Harm::Signal(signal)))
                    }
                    Some((message, _)) => Ok(Some(message)),
                    None => Err(io::Error::other(Harm::Killed)),
                };
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }
}

impl Drop for Spawner {
    /// Waits until it is gone, and with it all that it started: whatever they could write they have written.
    fn drop(&mut self) {
        // Where it is gone already, so is the other end.
        _ = shutdown(self.line.as_fd().as_raw_fd(), Shutdown::Both);
        let until = Instant::now() + GONE;
        while procfs::lives(self.pid) && Instant::now() < until {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// How a command ended that was run by itself, with what it left behind when everything had settled; or why it did not start.
pub type Ran = Result<(Ended, Vec<Stray>), NotStarted>;

/// What becomes of what commands left behind, when the grace is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// What is left gets SIGKILL.
    Kill,
    /// It lives on.
    Leave,
}

fn settled(message: SpawnerMessage) -> Option<Vec<Stray>> {
    match message {
        SpawnerMessage::Settled(strays) => Some(strays),
        _ => None,
    }
}
