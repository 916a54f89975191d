//! A slot: a small process under a filter that starts the commands of one schedulable process, one after the other.
//!
//! The filter is installed once; whatever is started here inherits it, and is heard of by the slot's one listener. The
//! slot's own calls are harmless, or carry the pass. It is forked by a spawner, which kills all that it leaves if the
//! harness is gone; it keeps a copy of its own listener until then, so that nobody goes on uncontrolled meanwhile.
//!
//! Orders and reports pass through shared memory and futexes, which no filter stops.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::process::{
    PidfdFlags, PidfdGetfdFlags, getpriority_process, pidfd_getfd, pidfd_open, setpriority_process,
};
use rustix::thread::futex;
use serde::{Deserialize, Serialize};

use super::spawner::{FilterInstruction, Status};
use super::sys::seccomp::{self, Listener};
use super::sys::slot::{Image, Starting, start};
use super::sys::{self, Mapping};
use super::{Marker, lifeline};

/// The niceness of whoever commands in the class `SCHED_FIFO` wait for.
pub(crate) const FIRST: i32 = -20;
/// What slots are called in lists of processes.
const NAME: &str = "fw-slot";
/// Words of shared memory.
const BYTES: usize = 4096;

/// A command line as a slot executes it: program, arguments, environment, folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandLine {
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
}

/// What a slot is made with: its commands, its limits and where its output goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SlotSettings {
    pub commands: Vec<CommandLine>,
    /// What all of them find set.
    pub environment: Vec<(String, String)>,
    pub marker: String,
    pub filter: Vec<FilterInstruction>,
    pub pass: u64,
    /// Where stdout and stderr go: files that are appended to.
    pub output: [PathBuf; 2],
    pub processor: Option<usize>,
    /// Whether commands are to run in the class `SCHED_FIFO`.
    pub real_time: bool,
    /// Whether signals wait until a call that is stopped is answered.
    pub uninterrupted: bool,
}

/// What lies at which place in shared memory.
#[derive(Clone, Copy)]
enum Word {
    /// The number of the slot's listener + 1; 0 until it is there, [`u32::MAX`] if it will never be. A futex.
    Listener,
    /// Counts requests. A futex.
    Requests,
    /// What the slot is asked for: a run, or its end.
    Request,
    /// Which command, or whose pid.
    Subject,
    /// Counts reports. A futex.
    Reports,
    /// A pid, or how a command ended.
    Result,
    /// An error's number; 0 for none.
    Error,
    /// Why a command is not in the class that was wanted.
    ClassError,
    /// 1 where signals wait until a call that is stopped is answered.
    SignalsWait,
}

const RUN: u32 = 1;
const REAP: u32 = 2;
/// To reap whoever ends and has no other parent, until the next command is started.
const KEEP_REAPING: u32 = 3;

/// How often whoever ended is looked for then.
const REAPING: Duration = Duration::from_millis(2);

/// The shared words.
#[derive(Debug)]
struct Words(Mapping);

impl Words {
    fn word(&self, word: Word) -> &AtomicU32 {
        &self.0.view::<AtomicU32>(0, 16)[word as usize]
    }

    fn load(&self, word: Word) -> u32 {
        self.word(word).load(Ordering::Acquire)
    }

    fn store(&self, word: Word, value: u32) {
        self.word(word).store(value, Ordering::Release);
    }

    /// Stores a futex and wakes whoever waits for it.
    fn ring(&self, word: Word, value: u32) {
        self.store(word, value);
        // Nobody may be waiting.
        _ = futex::wake(self.word(word), futex::Flags::empty(), 1);
    }

    /// Waits a while as long as a word has this value; gives back what it has then.
    fn wait_while(&self, word: Word, value: u32, at_most: Option<Duration>) -> u32 {
        let timeout = at_most.map(|at_most| rustix::fs::Timespec {
            tv_sec: at_most.as_secs().cast_signed(),
            tv_nsec: at_most.subsec_nanos().into(),
        });
        if self.load(word) == value {
            // Woken, interrupted or too late to sleep: look again.
            _ = futex::wait(self.word(word), futex::Flags::empty(), value, timeout.as_ref());
        }
        self.load(word)
    }
}

/// Memory for a new slot.
pub(super) fn memory() -> io::Result<OwnedFd> {
    let memory = rustix::fs::memfd_create("flockwork-slot", rustix::fs::MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&memory, BYTES as u64)?;
    Ok(memory)
}

/// The slot's life, in a process just forked from the spawner. It ends with the spawner.
pub(super) fn live(settings: &SlotSettings, memory: OwnedFd, spawner: Pid) -> ! {
    let work = || -> io::Result<()> {
        lifeline::tie_to(spawner)?;
        lifeline::call_oneself(NAME);
        let words = Words(Mapping::of(memory, BYTES)?);
        let niceness = settings.real_time.then(hurry).flatten();
        let prepared = prepare(settings).and_then(|images| Ok((images, install(settings)?)));
        let (images, (listener, signals_wait)) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => {
                words.store(Word::Error, error.raw_os_error().unwrap_or(libc::EIO).cast_unsigned());
                words.ring(Word::Listener, u32::MAX);
                return Err(error);
            }
        };
        words.store(Word::SignalsWait, signals_wait.into());
        words.ring(Word::Listener, listener.as_raw_fd().cast_unsigned() + 1);
        serve(settings, &images, niceness, &words)
    };
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work))
        .map_or(lifeline::PANICKED, |done| i32::from(done.is_err()));
    sys::exit_now(code)
}

/// Goes before others of the class `SCHED_OTHER`; gives back the niceness that commands are to have.
fn hurry() -> Option<i32> {
    let before = getpriority_process(None).ok()?;
    setpriority_process(None, FIRST).ok().map(|()| before)
}

fn prepare(settings: &SlotSettings) -> io::Result<Vec<Image>> {
    nix::sys::prctl::set_child_subreaper(true)?;
    sys::restore_default(Signal::SIGPIPE)?;
    lifeline::restore_signals()?;
    if let Some(processor) = settings.processor {
        let mut set = CpuSet::new();
        set.set(processor)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
    }
    nix::unistd::dup2_stdin(File::open("/dev/null")?)?;
    let [stdout, stderr] = settings
        .output
        .each_ref()
        .map(|path| File::options().create(true).append(true).read(true).open(path));
    nix::unistd::dup2_stdout(stdout?)?;
    nix::unistd::dup2_stderr(stderr?)?;
    settings.commands.iter().map(|command| image(command, settings)).collect()
}

fn image(command: &CommandLine, settings: &SlotSettings) -> io::Result<Image> {
    let text = |bytes: &[u8]| CString::new(bytes).map_err(io::Error::from);
    let mut variables: std::collections::BTreeMap<Vec<u8>, Vec<u8>> = std::env::vars_os()
        .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect();
    let marker = (Marker::VARIABLE.to_owned(), settings.marker.clone());
    for (name, value) in settings.environment.iter().chain(&command.environment).chain([&marker]) {
        variables.insert(name.clone().into_bytes(), value.clone().into_bytes());
    }
    let environment = variables.into_iter().map(|(name, value)| text(&[name, value].join(&b'=')));
    Ok(Image::new(
        text(command.program.as_os_str().as_bytes())?,
        command.words.iter().map(|word| text(word.as_bytes())).collect::<io::Result<_>>()?,
        environment.collect::<io::Result<_>>()?,
        text(command.folder.as_os_str().as_bytes())?,
        command.stdin.as_ref().map(|path| text(path.as_os_str().as_bytes())).transpose()?,
    ))
}

/// Gives back the listener, and whether signals wait.
fn install(settings: &SlotSettings) -> io::Result<(OwnedFd, bool)> {
    let filter: Vec<_> =
        settings.filter.iter().map(|&(code, jt, jf, k)| seccomp::Instruction { code, jt, jf, k }).collect();
    if settings.uninterrupted {
        seccomp::install_uninterrupted(&filter)
    } else {
        Ok((seccomp::install(&filter)?, false))
    }
}

/// Under the filter from here on: what is called is harmless, or carries the pass; to start a command, the slot
/// may stop once, and its controller lets it go on.
fn serve(settings: &SlotSettings, images: &[Image], niceness: Option<i32>, words: &Words) -> io::Result<()> {
    let mut seen = 0;
    let mut keeps_reaping = false;
    loop {
        let requests = words.wait_while(Word::Requests, seen, keeps_reaping.then_some(REAPING));
        if requests == seen {
            if keeps_reaping {
                reap_others();
            }
            continue;
        }
        seen = requests;
        let subject = words.load(Word::Subject);
        let request = words.load(Word::Request);
        keeps_reaping = request == KEEP_REAPING;
        let result = match request {
            RUN => {
                let starting = Starting { pass: settings.pass, real_time: settings.real_time, niceness };
                run(starting, images, words, subject)
            }
            REAP => reap(subject),
            KEEP_REAPING => Ok(0),
            _ => return Ok(()),
        };
        match result {
            Ok(result) => {
                words.store(Word::Result, result);
                words.store(Word::Error, 0);
            }
            Err(error) => words.store(Word::Error, error.raw_os_error().unwrap_or(libc::EIO).cast_unsigned()),
        }
        words.ring(Word::Reports, requests);
    }
}

fn run(starting: Starting, images: &[Image], words: &Words, command: u32) -> io::Result<u32> {
    let image = images.get(command as usize).ok_or(io::ErrorKind::InvalidInput)?;
    let child = start(image, starting)?;
    words.store(Word::ClassError, child.class_error.cast_unsigned());
    Ok(child.pid.cast_unsigned())
}

/// Reaps a command that has ended, and whatever else has; gives back how the command ended: its code, or its signal and a
/// flag.
fn reap(command: u32) -> io::Result<u32> {
    let status = match waitpid(Pid::from_raw(command.cast_signed()), None)? {
        WaitStatus::Exited(_, code) => code.cast_unsigned(),
        WaitStatus::Signaled(_, signal, _) => SIGNALED | signal as u32,
        other => return Err(io::Error::other(format!("{other:?}"))),
    };
    reap_others();
    Ok(status)
}

fn reap_others() {
    while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|other| other != WaitStatus::StillAlive) {}
}

const SIGNALED: u32 = 1 << 16;

/// The controller's hold on a slot.
#[derive(Debug)]
pub(crate) struct Slot {
    pub pid: u32,
    pub listener: Listener,
    words: Words,
    requests: u32,
    /// Whether the kernel wakes a task as soon as it is answered.
    pub wakes_in_step: bool,
    /// Whether signals wait until a call that is stopped, and was heard of, is answered.
    pub signals_wait: bool,
}

/// A slot could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SlotError {
    /// The kernel, or whoever restricts it, lets no process be controlled.
    #[error("processes cannot be controlled on this machine: {0}")]
    Unsupported(io::Error),
    /// The machine or the harness.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl Slot {
    /// Takes hold of a slot that was forked with this memory.
    pub(super) fn take(pid: u32, memory: OwnedFd) -> Result<Self, SlotError> {
        let words = Words(Mapping::of(memory, BYTES)?);
        let number = match words.wait_while(Word::Listener, 0, Some(Duration::from_secs(20))) {
            0 => return Err(io::Error::new(io::ErrorKind::TimedOut, "a slot does not come up").into()),
            u32::MAX => {
                let error = io::Error::from_raw_os_error(words.load(Word::Error).cast_signed());
                return Err(Self::told(error));
            }
            number => number - 1,
        };
        let raw = rustix::process::Pid::from_raw(pid.cast_signed())
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let handle = pidfd_open(raw, PidfdFlags::empty()).map_err(io::Error::from)?;
        let listener = pidfd_getfd(&handle, number.cast_signed(), PidfdGetfdFlags::empty());
        let listener = Listener::from_fd(listener.map_err(|error| Self::told(error.into()))?);
        // Without it everything works, and takes longer.
        let wakes_in_step = listener.wake_in_step().is_ok();
        let signals_wait = words.load(Word::SignalsWait) == 1;
        Ok(Self { pid, listener, words, requests: 0, wakes_in_step, signals_wait })
    }

    fn told(error: io::Error) -> SlotError {
        match error.raw_os_error() {
            Some(libc::ENOSYS | libc::EINVAL | libc::EPERM | libc::EACCES | libc::EBUSY) => {
                SlotError::Unsupported(error)
            }
            _ => SlotError::Io(error),
        }
    }

    fn request(&mut self, request: u32, subject: u32) {
        self.words.store(Word::Request, request);
        self.words.store(Word::Subject, subject);
        self.requests += 1;
        self.words.ring(Word::Requests, self.requests);
    }

    /// Orders the command of this index to be started; [`Slot::report`] gives its pid. The slot may stop once meanwhile, and
    /// must be let go on.
    pub(crate) fn ask_run(&mut self, command: u32) {
        self.request(RUN, command);
    }

    /// What came of the last request, if that is known within this time.
    pub(crate) fn report(&self, at_most: Duration) -> Option<io::Result<u32>> {
        if self.words.load(Word::Reports) != self.requests && !at_most.is_zero() {
            self.words.wait_while(Word::Reports, self.requests - 1, Some(at_most));
        }
        (self.words.load(Word::Reports) == self.requests).then(|| match self.words.load(Word::Error) {
            0 => Ok(self.words.load(Word::Result)),
            error => Err(io::Error::from_raw_os_error(error.cast_signed())),
        })
    }

    /// Why the last command is not in the class `SCHED_FIFO`, though that was wanted.
    pub(crate) fn class_error(&self) -> Option<i32> {
        Some(self.words.load(Word::ClassError).cast_signed()).filter(|error| *error != 0)
    }

    /// Has whoever ends reaped that has no other parent, until the next command is started: as the first process of a machine
    /// does. All commands have ended.
    pub(crate) fn keep_reaping(&mut self) -> io::Result<()> {
        self.request(KEEP_REAPING, 0);
        self.answered().map(drop)
    }

    fn answered(&self) -> io::Result<u32> {
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "a slot does not answer"));
        self.report(Duration::from_secs(20)).unwrap_or_else(late)
    }

    /// Has a command reaped that has ended; gives back how.
    pub(crate) fn reap(&mut self, pid: u32) -> io::Result<Status> {
        self.request(REAP, pid);
        let status = self.answered()?;
        Ok(match status & SIGNALED {
            0 => Status::Exited(status.cast_signed()),
            _ => Status::Signaled((status & !SIGNALED).cast_signed()),
        })
    }
}
