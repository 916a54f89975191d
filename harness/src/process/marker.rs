//! The marker: a word that says to which run of which harness something belongs, be it a process or a folder.
//!
//! A harness that was killed cannot tidy up. Its markers tell whoever comes next that nobody else will.

use std::fmt;
use std::fs;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use super::procfs::{self, Stat};

/// Which run of which harness. Its text is safe as a file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Marker {
    /// The namespace in which the harness's pid has a meaning.
    namespace: u64,
    /// The harness's pid.
    pid: u32,
    /// When it started, in clock ticks since boot: tells it from a later process of the same pid.
    start_ticks: u64,
    /// Which of its runs.
    run: u32,
}

impl Marker {
    /// The variable of the environment that carries the marker.
    pub const VARIABLE: &'static str = "FLOCKWORK_RUN";

    /// A marker for a new run of the calling process.
    #[must_use]
    pub fn next() -> Self {
        static RUNS: AtomicU32 = AtomicU32::new(1);
        let pid = std::process::id();
        let start_ticks = Stat::of(pid).map_or(0, |stat| stat.start_ticks);
        Self { namespace: own_namespace(), pid, start_ticks, run: RUNS.fetch_add(1, Ordering::Relaxed) }
    }

    /// Whether the harness that made it still lives. Of another pid namespace nothing can be known, so it counts as
    /// living.
    #[must_use]
    pub fn owner_alive(&self) -> bool {
        self.namespace != own_namespace()
            || Stat::of(self.pid).is_some_and(|stat| !stat.is_dead() && stat.start_ticks == self.start_ticks)
    }
}

fn own_namespace() -> u64 {
    // "pid:[4026531836]"
    let link = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let digits = link.to_string_lossy().chars().filter(char::is_ascii_digit).collect::<String>();
    digits.parse().unwrap_or(0)
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, pid, start_ticks, run } = self;
        write!(f, "flockwork1-{namespace}-{pid}-{start_ticks}-{run}")
    }
}

/// A text that is no marker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no marker of a run")]
pub struct NoMarker(pub String);

impl FromStr for Marker {
    type Err = NoMarker;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let mut fields = text.strip_prefix("flockwork1-")?.split('-');
            let marker = Self {
                namespace: fields.next()?.parse().ok()?,
                pid: fields.next()?.parse().ok()?,
                start_ticks: fields.next()?.parse().ok()?,
                run: fields.next()?.parse().ok()?,
            };
            fields.next().is_none().then_some(marker)
        };
        parse().ok_or_else(|| NoMarker(text.to_owned()))
    }
}

/// Living processes that carry this marker, but for the calling process.
#[must_use]
pub fn processes_of(marker: &Marker) -> Vec<u32> {
    let text = marker.to_string();
    carriers().into_iter().filter(|(_, carried)| *carried == text).map(|(pid, _)| pid).collect()
}

/// Kills every process that carries the marker of a run whose harness is dead, and gives back their pids.
#[must_use = "they may be worth a word to the user"]
pub fn sweep() -> Vec<u32> {
    let mut swept = Vec::new();
    for (pid, text) in carriers() {
        let orphaned = text.parse::<Marker>().is_ok_and(|marker| !marker.owner_alive());
        if orphaned && kill(pid).is_ok() {
            swept.push(pid);
        }
    }
    swept
}

/// Kills a process; an error says that there was none to kill.
pub fn kill(pid: u32) -> nix::Result<()> {
    let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL)
}

fn carriers() -> Vec<(u32, String)> {
    let own = std::process::id();
    procfs::pids()
        .into_iter()
        .filter(|&pid| pid != own)
        .filter_map(|pid| Some((pid, procfs::environment(pid, Marker::VARIABLE)?)))
        .filter(|&(pid, _)| Stat::of(pid).is_some_and(|stat| !stat.is_dead()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_reads_as_it_was_written() {
        let marker = Marker::next();
        assert_eq!(marker.to_string().parse(), Ok(marker));
        assert_ne!(Marker::next(), marker, "each run has its own");
        for wrong in ["", "flockwork1-1-2-3", "flockwork1-1-2-3-4-5", "flockwork1-1-2-x-4", "1-2-3-4"] {
            assert!(wrong.parse::<Marker>().is_err(), "{wrong:?} is none");
        }
    }

    #[test]
    fn the_owner_is_alive_until_it_is_another() {
        let marker = Marker::next();
        assert!(marker.owner_alive());
        let reused = Marker { start_ticks: marker.start_ticks + 1, ..marker };
        assert!(!reused.owner_alive(), "the same pid, but another process");
        let foreign = Marker { namespace: marker.namespace + 1, ..reused };
        assert!(foreign.owner_alive(), "of another namespace we know nothing");
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
            assert!(begun.elapsed() < std::time::Duration::from_secs(10), "waited in vain");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    #[test]
    fn only_orphans_are_swept() {
        let own = Marker::next();
        let dead = Marker { start_ticks: own.start_ticks + 1, ..Marker::next() };
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
