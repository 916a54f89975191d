//! The host of a runtime's commands: where its root and its bundles lie, and the spawner that starts the commands.
//!
//! What a container keeps open it has from the command that created it: so stdout and stderr go to files, and a pipe would
//! never end. All that is started lives below the spawner, and ends with it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flockwork::Operation;
use nix::sys::signal::Signal;

use super::bundle::Bundles;
use super::clean::{self, Left, SIGN};
use super::traces::Traces;
use super::{FindError, Runtime, answer, cgroup, find};
use crate::plan::rounds::OciPlan;
use crate::process::Zygote;
use crate::process::attention::Deadline;
use crate::process::clock::now_ns;
use crate::process::procfs::{self, Stat};
use crate::process::spawner::{Bind, Ended, Network, Settings, Spawner, SpawnerError, Start, Status};

/// Longest output that is read of one command, in bytes.
const OUTPUT_BYTES_MAX: usize = 1 << 20;
/// How long a command is waited for until the time is looked at.
pub const ROUND: Duration = Duration::from_millis(20);

/// Commands of a runtime cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The runtime is not there.
    #[error(transparent)]
    Find(#[from] FindError),
    /// Containers need privileges.
    #[error("{0} needs root: containers, cgroups and mounts are made")]
    Unprivileged(Runtime),
    /// The machine lacks something.
    #[error("{0}")]
    Lacking(String),
    /// The machine ran out of something that every program needs, so what a runtime does says nothing of it.
    #[error("{0}")]
    Exhausted(String),
    /// The spawner is not to be had.
    #[error(transparent)]
    Spawner(#[from] SpawnerError),
    /// A file or a process could not be had.
    #[error(transparent)]
    Io(io::Error),
}

impl From<io::Error> for HostError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Exhausted(format!("containers need more room than there is below --root: {error}"))
            }
            _ => Self::Io(error),
        }
    }
}

impl HostError {
    /// The machine lacked what the runtime needed, in its words.
    #[must_use]
    pub fn exhausted(runtime: Runtime, said: &str) -> Self {
        let why = "the machine ran out of a resource, so there is no verdict";
        Self::Exhausted(format!("{runtime}: {why}: {said}"))
    }
}

/// What became of one command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The process number of the command that ended.
    pub pid: u32,
    /// When it was started, on the clock of [`crate::process::clock`], in nanoseconds.
    pub begun_ns: u64,
    /// When it ended, or was given up, likewise.
    pub ended_ns: u64,
    /// How it ended; none where it did not within the time limit.
    pub ending: Option<Status>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// Whether it was killed on purpose.
    pub is_killed: bool,
    /// What it waited for when it was given up, where it was.
    pub waiting: Option<String>,
}

/// A command that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Names it to the spawner.
    pub slot: u32,
    /// The process number of the command, valid until it is reaped.
    pub pid: u32,
    /// When it was started.
    pub begun_ns: u64,
}

/// Where a runtime's commands run.
#[derive(Debug)]
pub struct Host {
    /// The runtime that is called.
    pub runtime: Runtime,
    /// The program that is executed, as an absolute path.
    pub program: PathBuf,
    /// The spawner of its commands.
    pub spawner: Spawner,
    /// What the containers are made of.
    pub bundles: Bundles,
    /// The name by which all that belongs to the containers is found.
    pub ground: String,
    /// The root that the runtime is given.
    pub root: PathBuf,
    /// What its commands find in their environment.
    pub environment: Vec<(String, String)>,
    flags: Vec<String>,
    outputs: PathBuf,
    limit: Duration,
    slots: u32,
}

impl Host {
    /// Finds the runtime, prepares the ground below `root` (the root of a temporary folder whose name nothing else has),
    /// and raises a spawner.
    pub fn open(zygote: &Zygote, plan: &OciPlan, root: &Path) -> Result<Self, HostError> {
        let runtime = plan.runtime;
        let found = find(runtime, plan.path.as_deref())?;
        if !rustix::process::geteuid().is_root() {
            return Err(HostError::Unprivileged(runtime));
        }
        let ground = root.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let ground = ground.ok_or_else(|| io::Error::other("the ground has no name"))?.to_owned();
        fs::write(root.join(SIGN), runtime.as_str())?;
        let bundles = Bundles::make(root, &ground).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => HostError::Lacking(error.to_string()),
            _ => error.into(),
        })?;
        let (containers, outputs) = (root.join("state"), root.join("outputs"));
        fs::create_dir_all(&containers)?;
        fs::create_dir_all(&outputs)?;
        let environment = runtime.environment(&outputs);
        let spawner = Spawner::open(
            zygote,
            Settings {
                marker: ground.clone(),
                environment: environment.clone(),
                binds: binds(runtime)?,
                network: if runtime.has_names_in_networks() { Network::Own } else { Network::Shared },
                ..Settings::default()
            },
        )?;
        Ok(Self {
            runtime,
            program: found.program,
            spawner,
            bundles,
            ground,
            root: containers,
            environment,
            flags: plan.flags.clone(),
            outputs,
            limit: Duration::from_nanos(plan.time_limit_ns),
            slots: 0,
        })
    }

    /// The network that commands must be in to find the containers.
    #[must_use]
    pub fn network(&self) -> Network {
        if self.runtime.has_names_in_networks() { Network::Of(self.spawner.pid()) } else { Network::Shared }
    }

    /// How long a command may take.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// The words of an operation on a container, the program's name first.
    #[must_use]
    pub fn words(&self, operation: Operation, id: &str) -> Vec<String> {
        let bundle = self.bundles.path(id).display().to_string();
        let own: Vec<&str> = match operation {
            Operation::Create => vec!["create", "--bundle", &bundle, id],
            Operation::Kill => vec!["kill", id, "KILL"],
            Operation::ForceDelete => vec!["delete", "--force", id],
            other => vec![other.as_str(), id],
        };
        let root = self.root.display().to_string();
        let general = ["--root", &root];
        let flags = self.runtime.flags().iter().copied().chain(self.flags.iter().map(String::as_str));
        let words = std::iter::once(self.runtime.as_str()).chain(general).chain(flags).chain(own);
        words.map(str::to_owned).collect()
    }

    /// What the program says of its version, in a line.
    pub fn version(&mut self) -> Result<String, HostError> {
        let done = self.run(vec![self.runtime.as_str().to_owned(), "--version".to_owned()])?;
        let first = done.stdout.lines().next().unwrap_or_default().trim();
        match done.ending {
            Some(Status::Exited(0)) if !first.is_empty() => Ok(first.to_owned()),
            Some(_) => Err(HostError::Lacking(format!(
                "{} does not print its version: {}",
                self.program.display(),
                done.stderr.lines().next().unwrap_or("it said nothing").trim()
            ))),
            None => Err(HostError::Lacking(format!(
                "{} does not answer within {:?}",
                self.program.display(),
                self.limit
            ))),
        }
    }

    /// Performs one operation, to its end.
    pub fn perform(&mut self, operation: Operation, id: &str) -> Result<Done, HostError> {
        self.run(self.words(operation, id))
    }

    fn run(&mut self, words: Vec<String>) -> Result<Done, HostError> {
        let running = self.start(vec![words])?;
        let running = running.into_iter().next().expect("one was started");
        match self.spawner_ended(running.slot, self.limit)? {
            Some(ended) => self.done(running, Some(ended), false, None),
            None => self.give_up(running, false),
        }
    }

    /// Starts commands, as much at once as can be.
    pub fn start(&mut self, commands: Vec<Vec<String>>) -> Result<Vec<Running>, HostError> {
        let first = self.slots;
        let start = |(number, words): (u32, Vec<String>)| {
            let slot = first + number;
            Start {
                slot,
                program: self.program.clone(),
                words,
                environment: Vec::new(),
                folder: self.root.clone(),
                stdin: None,
                stdout: self.outputs.join(format!("{slot}.out")),
                stderr: self.outputs.join(format!("{slot}.err")),
            }
        };
        let starts: Vec<Start> = (0..).zip(commands).map(start).collect();
        self.slots += starts.len() as u32;
        let started = self.spawner.start(starts)?;
        let running = (first..).zip(started).map(|(slot, started)| match started {
            Ok(started) => Ok(Running { slot, pid: started.pid, begun_ns: started.at_ns }),
            Err(error) => Err(match error.errno.map(io::Error::from_raw_os_error).map(HostError::from) {
                Some(exhausted @ HostError::Exhausted(_)) => exhausted,
                _ => HostError::Lacking(format!("{}: {error}", self.program.display())),
            }),
        });
        running.collect()
    }

    /// Waits for one command alone.
    fn spawner_ended(&mut self, slot: u32, at_most: Duration) -> io::Result<Option<Ended>> {
        let mut deadline = Deadline::after(at_most);
        loop {
            let left = deadline.left();
            match self.spawner.ended(left.min(ROUND))? {
                Some(ended) if ended.slot == slot => return Ok(Some(ended)),
                // One of an earlier round that was given up.
                None if left.is_zero() => return Ok(None),
                Some(_) | None => {}
            }
        }
    }

    /// What a command that ended came to. That the machine lacked something is an error: nothing is judged by that.
    pub fn done(
        &self,
        running: Running,
        ended: Option<Ended>,
        is_killed: bool,
        waiting: Option<String>,
    ) -> Result<Done, HostError> {
        let read = |kind: &str| {
            let path = self.outputs.join(format!("{}.{kind}", running.slot));
            let mut bytes = fs::read(&path)?;
            bytes.truncate(OUTPUT_BYTES_MAX);
            fs::remove_file(&path)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&bytes).into_owned())
        };
        let done = Done {
            pid: running.pid,
            begun_ns: running.begun_ns,
            ended_ns: ended.map_or_else(now_ns, |ended| ended.at_ns),
            ending: ended.map(|ended| ended.status),
            stdout: read("out")?,
            stderr: read("err")?,
            is_killed,
            waiting,
        };
        match answer::lacking(&done) {
            Some(said) => Err(HostError::exhausted(self.runtime, &said)),
            None => Ok(done),
        }
    }

    /// Notes what a command waits for that does not end, and kills it.
    pub fn give_up(&mut self, running: Running, is_killed: bool) -> Result<Done, HostError> {
        let waiting = waiting(running.pid);
        // A command that was stopped does not go on by itself.
        self.spawner.signal(running.slot, Signal::SIGKILL)?;
        let _ = self.spawner_ended(running.slot, Duration::from_secs(2))?;
        self.done(running, None, is_killed, Some(waiting))
    }

    /// Where a container would be seen.
    #[must_use]
    pub fn traces(&self, id: &str) -> Traces {
        Traces { ground: self.ground.clone(), root: self.root.clone(), id: id.to_owned() }
    }

    /// What lies in the runtime's root that is about this container, folders with a trailing slash.
    #[must_use]
    pub fn files_of(&self, id: &str) -> Vec<String> {
        self.traces(id).files()
    }

    /// Ends and removes all that is left of a container.
    pub fn clear(&self, id: &str) -> Result<Left, HostError> {
        let left = clean::away(&self.ground, Some(id));
        for file in self.files_of(id) {
            let path = self.root.join(file.trim_end_matches('/'));
            let removed = if file.ends_with('/') { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        self.bundles.remove(id)?;
        Ok(left)
    }

    /// Ends all that runs and removes all that containers left, but for files; gives back what is there still.
    #[must_use = "it may not be empty"]
    pub fn close(mut self) -> Left {
        // What has gone already has nothing to clear.
        _ = self.spawner.clear();
        drop(self.spawner);
        clean::away(&self.ground, None)
    }
}

/// How long a process and all below it were on a processor so far, in nanoseconds.
#[must_use]
pub fn ran_ns(pid: u32) -> u64 {
    let mut tree = procfs::descendants(pid);
    tree.push(pid);
    tree.iter().flat_map(|pid| procfs::threads(*pid)).map(procfs::ran_ns).sum()
}

/// What a process and its last descendant wait for, in words.
fn waiting(pid: u32) -> String {
    let mut last = pid;
    while let Some(child) = procfs::children(last).pop() {
        last = child;
    }
    let state = Stat::of(pid).map_or('?', |stat| stat.state);
    let channel =
        procfs::wait_channel(pid).unwrap_or_else(|| "something that the kernel does not name".into());
    let name = procfs::name(pid).unwrap_or_else(|| "?".into());
    let below = if last == pid {
        String::new()
    } else {
        let channel =
            procfs::wait_channel(last).unwrap_or_else(|| "something that the kernel does not name".into());
        format!("; its last descendant, {}, for {channel}", procfs::name(last).unwrap_or_else(|| "?".into()))
    };
    format!("{name} (pid {pid}, state {state}) waits for {channel}{below}")
}

/// What a runtime's commands are to find in another place: the unified hierarchy of cgroups alone, where they need that and the
/// machine has both.
pub fn binds(runtime: Runtime) -> Result<Vec<Bind>, HostError> {
    if !runtime.needs_unified_cgroups() {
        return Ok(Vec::new());
    }
    match cgroup::unified() {
        Some((_, false)) => Ok(Vec::new()),
        Some((unified, true)) => Ok(vec![Bind { copy: unified, place: PathBuf::from("/sys/fs/cgroup") }]),
        None => Err(HostError::Lacking(format!(
            "{runtime} needs cgroups of version 2, and no such hierarchy is mounted here"
        ))),
    }
}
