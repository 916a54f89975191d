//! Which process a number means. A pid is used again after its process has ended; together with the time at which
//! the process started it is not. Nothing here changes a process: it only looks at `/proc`, and asks whether a
//! number is used.

use std::fs;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

/// A process, told apart from a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// Its number.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub start_time: u64,
}

/// What `/proc` tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    /// The state's letter: `R`, `S`, `T`, `Z` and so on.
    pub state: u8,
    /// The process group.
    pub group: u32,
    /// When it started.
    pub start_time: u64,
}

impl ProcessIdentity {
    /// The process that has this number now, if any.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        glance(pid).map(|glance| Self { pid, start_time: glance.start_time })
    }

    /// The calling process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether the process lives: it is there, is this one, and is no zombie. One that cannot be looked at counts as
    /// alive.
    #[must_use]
    pub fn is_alive(self) -> bool {
        self.life() != Life::Dead
    }

    /// What can be seen of its life. Death is irrevocable, so it must be certain: a file of `/proc` that cannot be
    /// read, for lack of descriptors or because it is hidden from this user, does not prove it.
    pub(crate) fn life(self) -> Life {
        match fs::read(format!("/proc/{}/stat", self.pid)) {
            Ok(stat) => match parse_stat(&stat) {
                Some(glance) if glance.start_time == self.start_time && !glance.is_zombie() => {
                    Life::Alive(Some(glance.state))
                }
                Some(_) => Life::Dead,
                None => Life::Alive(None),
            },
            Err(_) if is_number_unused(self.pid) => Life::Dead,
            Err(_) => Life::Alive(None),
        }
    }
}

/// What can be seen of a process's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It has ended.
    Dead,
    /// It lives; with the state's letter where that can be seen.
    Alive(Option<u8>),
}

impl Glance {
    pub(crate) const fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

fn is_number_unused(pid: u32) -> bool {
    i32::try_from(pid).map_or(true, |pid| pid <= 0 || kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH))
}

/// Looks at a process.
pub(crate) fn glance(pid: u32) -> Option<Glance> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The command's name stands in parentheses and may hold anything, parentheses and newlines too: what follows the
/// last one is safe to split.
fn parse_stat(stat: &[u8]) -> Option<Glance> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let group = fields.nth(1)?.parse().ok()?;
    // Field 5 was the last one taken; 22 is the seventeenth after it.
    let start_time = fields.nth(16)?.parse().ok()?;
    Some(Glance { state, group, start_time })
}

/// What a process was started as, for people: its arguments, or its name where it has none.
pub(crate) fn command(pid: u32) -> Option<String> {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let arguments = String::from_utf8_lossy(&arguments).trim_end_matches('\0').replace('\0', " ");
    if !arguments.is_empty() {
        return Some(arguments);
    }
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Every process there is.
pub(crate) fn all_pids() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = b"7 (a) S (b) T 1 70 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_stat(stat), Some(Glance { state: b'T', group: 70, start_time: 4242 }));
        assert_eq!(parse_stat(b"7 (cut) S 1"), None);
    }

    #[test]
    fn own_process_lives_and_another_start_time_does_not() {
        let own = ProcessIdentity::own().unwrap();
        assert!(own.is_alive());
        assert!(!ProcessIdentity { start_time: own.start_time + 1, ..own }.is_alive());
        assert!(all_pids().any(|pid| pid == own.pid));
        assert!(command(own.pid).is_some());
    }
}
