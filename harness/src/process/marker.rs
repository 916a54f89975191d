//! The marker: a word that says to which run of which harness something belongs, be it a process or a folder.
//!
//! A harness that was killed cannot tidy up. Its markers tell whoever comes next that nobody else will.

use std::fmt;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use flockwork::ProcessIdentity;
use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

use super::procfs;

/// Which run of which harness. Its text is safe as a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// The harness whose runs the processes belong to.
    owner: ProcessIdentity,
    /// The number of the run among those of its harness.
    run: u32,
}

impl Marker {
    /// The variable of the environment that carries the marker.
    pub const VARIABLE: &'static str = "FLOCKWORK_RUN";

    /// A marker for a new run of the calling process.
    #[must_use]
    pub fn next() -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(1);
        // Without the /proc of its pid namespace a harness does not get as far as this: there is no zygote.
        let owner = ProcessIdentity::own().unwrap_or_else(|| ProcessIdentity::new(std::process::id(), 0));
        Self { owner, run: RUNS.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether the harness that made it still lives. One of which that cannot be told counts as living.
    #[must_use]
    pub fn owner_alive(&self) -> bool {
        self.owner.is_alive()
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, run } = self;
        write!(f, "{START}{owner}-{run}")
    }
}

const START: &str = "flockwork2-";

/// A text that is no marker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no marker of a run")]
pub struct NoMarker(pub String);

impl FromStr for Marker {
    type Err = NoMarker;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (owner, run) = text.strip_prefix(START)?.split_once('-')?;
            Some(Self { owner: owner.parse().ok()?, run: run.parse().ok()? })
        };
        parse().ok_or_else(|| NoMarker(text.to_owned()))
    }
}

/// Living processes that carry this marker, but for the calling process.
#[must_use]
pub fn processes_of(marker: &Marker) -> Vec<u32> {
    let text = marker.to_string();
    carriers().into_iter().filter(|carrier| carrier.text == text).map(|carrier| carrier.handle.pid).collect()
}

/// Kills every process that carries the marker of a run whose harness is dead, and gives back their pids.
#[must_use = "they may be worth a word to the user"]
pub fn sweep() -> Vec<u32> {
    let is_orphaned = |text: &str| text.parse::<Marker>().is_ok_and(|marker| !marker.owner_alive());
    carriers()
        .into_iter()
        .filter(|carrier| is_orphaned(&carrier.text) && carrier.handle.kill().is_ok())
        .map(|carrier| carrier.handle.pid)
        .collect()
}

/// A process that was looked at. What is signalled is that one, though its number may be another's by then.
#[derive(Debug)]
pub struct Handle {
    pid: u32,
    /// None on kernels that have none (before 5.3).
    pidfd: Option<OwnedFd>,
}

impl Handle {
    /// Of whoever has this number now. Only what is looked at from here on is told of this process, and only as long as
    /// it lives.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let number = Pid::from_raw(pid.cast_signed());
        let pidfd = number.and_then(|number| pidfd_open(number, PidfdFlags::empty()).ok());
        Self { pid, pidfd }
    }

    /// Kills it; an error says that there was none to kill.
    pub fn kill(&self) -> nix::Result<()> {
        self.send(rustix::process::Signal::KILL)
    }

    /// Lets it go on, if it stands still.
    pub fn wake(&self) -> nix::Result<()> {
        self.send(rustix::process::Signal::CONT)
    }

    fn send(&self, signal: rustix::process::Signal) -> nix::Result<()> {
        let number = nix::unistd::Pid::from_raw(self.pid.cast_signed());
        match &self.pidfd {
            Some(pidfd) => pidfd_send_signal(pidfd, signal)
                .map_err(|errno| nix::errno::Errno::from_raw(errno.raw_os_error())),
            None => nix::sys::signal::kill(number, nix::sys::signal::Signal::try_from(signal.as_raw())?),
        }
    }
}

/// Kills a process, which must be the caller's own child, or else may be another by now; an error says that there was
/// none to kill.
pub fn kill(pid: u32) -> nix::Result<()> {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)
}

/// A living process with a marker.
struct Carrier {
    handle: Handle,
    text: String,
}

fn carriers() -> Vec<Carrier> {
    let own = std::process::id();
    let carrier = |pid: u32| {
        procfs::environment(pid, Marker::VARIABLE)?;
        let handle = Handle::of(pid);
        // Once more: what was seen before the handle was had may have been another.
        let text = procfs::environment(pid, Marker::VARIABLE)?;
        let is_living = procfs::lives(pid);
        is_living.then_some(Carrier { handle, text })
    };
    procfs::pids().into_iter().filter(|&pid| pid != own).filter_map(carrier).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_as_it_was_written() {
        let marker = Marker::next();
        assert_eq!(marker.to_string().parse(), Ok(marker));
        assert_ne!(Marker::next(), marker, "each run has its own");
        for wrong in
            ["", "flockwork2-1.2", "flockwork2-1-2", "flockwork2-1.2-3-4", "flockwork2-1.2-x", "1.2-3"]
        {
            assert!(wrong.parse::<Marker>().is_err(), "{wrong:?} is none");
        }
    }

    #[test]
    fn the_owner_is_alive_until_it_is_another() {
        let marker = Marker::next();
        assert!(marker.owner_alive());
        let mut reused = marker;
        reused.owner.start_time += 1;
        assert!(!reused.owner_alive(), "the same pid, but another process");
        let mut foreign = reused;
        foreign.owner.view.as_mut().unwrap().pid_namespace += 1;
        assert!(foreign.owner_alive(), "of another namespace we know nothing");
        let mut shifted = reused;
        shifted.owner.view.as_mut().unwrap().time_namespace += 1;
        shifted.owner.inode = None;
        assert!(
            shifted.owner_alive(),
            "of another time we know nothing, unless the kernel numbers processes"
        );
    }

    /// A process that carries a marker, and does not outlive its test.
    struct Sleeper(std::process::Child);

    impl Sleeper {
        fn start(marker: Marker) -> Self {
            let mut command = std::process::Command::new("sleep");
            command.arg("1000").env(Marker::VARIABLE, marker.to_string()).stdout(std::process::Stdio::null());
            let sleeper = Self(command.spawn().expect("sleep"));
            // A program shows its environment a moment after it has been started.
            wait_for(|| procfs::environment(sleeper.0.id(), Marker::VARIABLE).is_some());
            sleeper
        }

        fn has_ended(&mut self) -> bool {
            self.0.try_wait().expect("our child").is_some()
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            _ = self.0.kill();
            _ = self.0.wait();
        }
    }

    fn wait_for(mut condition: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !condition() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "waited in vain");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn only_orphans_are_swept() {
        let own = Marker::next();
        let mut dead = Marker::next();
        dead.owner.start_time += 1;
        let (mut kept, mut orphan) = (Sleeper::start(own), Sleeper::start(dead));
        let swept = sweep();
        assert!(!swept.contains(&kept.0.id()));
        // Another harness on this machine may have swept it before us; gone it is in any case.
        wait_for(|| orphan.has_ended());
        assert!(!kept.has_ended());
        assert_eq!(processes_of(&own), [kept.0.id()]);
        assert!(processes_of(&dead).is_empty());
    }
}
