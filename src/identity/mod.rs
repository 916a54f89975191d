//! Which process a number means. A number is used again after its process has ended, and it means another process in
//! another pid namespace; the time at which a process started, too, is told otherwise in another time namespace. So an
//! identity says from where it was read, and where the kernel numbers processes for good (pidfs, since Linux 6.9), by
//! which number.
//!
//! Nothing here changes a process: it only looks at `/proc`, and asks the kernel who a number is. What cannot be told is
//! [`Standing::Unknown`]: it is never taken for death, and never for life where somebody would be signalled.

mod spelling;
mod view;

use std::fs;

use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open, test_kill_process};

pub use self::spelling::NoIdentity;
pub use self::view::View;
pub(crate) use self::view::boot_of;

/// Why [`View::here`] and with it [`ProcessIdentity::own`] can tell nothing, and the way out.
pub(crate) const FOREIGN_PROC: &str = "/proc is missing, or is that of another pid namespace; mount the one of this \
                                       namespace (mount -t proc proc /proc, or unshare --mount-proc)";

/// The filesystem whose inodes are processes.
const PID_FS_MAGIC: u64 = 0x5049_4446;

/// A process, told apart from every other: from a later one with the same number, and from one of another namespace.
///
/// Its text, `<pid>.<start time>.<boot>.<pid namespace>.<time namespace>.<inode>`, can be a part of a file's name.
///
/// ```
/// use flockwork::ProcessIdentity;
///
/// let own = ProcessIdentity::own().expect("/proc");
/// assert!(own.is_alive());
/// assert_eq!(own.to_string().parse(), Ok(own));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ProcessIdentity {
    /// The process number, which another process may get once this one is gone: alone it identifies nobody.
    pub pid: u32,
    /// When it started, in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub start_time: u64,
    /// From where both were read; `None` where an older version has written it, which did not say.
    pub view: Option<View>,
    /// The inode of its pidfd, which no other process of this boot ever has; `None` where the kernel has none such.
    pub inode: Option<u64>,
}

/// What `/proc` tells of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Glance {
    /// The state's letter: `R`, `S`, `T`, `Z` and so on.
    pub state: u8,
    /// The process group.
    pub group: u32,
    /// When the process started, in clock ticks since the machine did: with the number it identifies the process.
    pub start_time: u64,
}

/// What can be told of the process that an identity means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lives; with the letter of its state (`R`, `S`, `T` and so on) where that can be seen.
    Lives(Option<u8>),
    /// It has ended, and may be a zombie. Its number means nobody else.
    Ended,
    /// It has ended, and its number means another process, or it was one of another boot.
    Replaced,
    /// It cannot be told: it belongs to another pid namespace, or it may not be looked at.
    Unknown,
}

/// Who has a number, by the kernel's word.
enum Owner {
    Nobody,
    /// The namespace of this inode.
    Inode(u64),
    /// Somebody, or it may not be asked.
    Somebody,
}

impl ProcessIdentity {
    /// The process of this number that started then, by the numbers and times that hold here.
    #[must_use]
    pub const fn new(pid: u32, start_time: u64) -> Self {
        Self { pid, start_time, view: None, inode: None }
    }

    /// The process that has this number now; `None` where there is none, or where `/proc` is missing or is that of
    /// another pid namespace.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let view = View::here()?;
        let start_time = glance(pid)?.start_time;
        let inode = match owner_of(pid) {
            Owner::Nobody => return None,
            Owner::Inode(inode) => Some(inode),
            Owner::Somebody => None,
        };
        // The same before and after: the inode is that of the process that started then.
        let is_the_same = glance(pid)?.start_time == start_time;
        is_the_same.then_some(Self { pid, start_time, view: Some(view), inode })
    }

    /// The calling process.
    #[must_use]
    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether the process lives: it is there, is this one, and is no zombie. One of which that cannot be told counts as
    /// alive.
    #[must_use]
    pub fn is_alive(self) -> bool {
        matches!(self.standing(), Standing::Lives(_) | Standing::Unknown)
    }

    /// What can be told of it. Death is irrevocable, so it must be certain: a file of `/proc` that cannot be read, for
    /// lack of descriptors or because it is hidden from this user, does not prove it.
    #[must_use]
    pub fn standing(self) -> Standing {
        let Some(here) = View::here() else { return Standing::Unknown };
        let view = self.view.unwrap_or(here);
        if view.is_of_another_boot_than(here) {
            return Standing::Replaced;
        }
        if view.pid_namespace != here.pid_namespace {
            return Standing::Unknown;
        }
        // In this order: where the kernel says afterwards that the number is this process's, it was so before as well.
        let seen = glance(self.pid);
        let owner = owner_of(self.pid);
        let ticks_compare = view.time_namespace == here.time_namespace;
        self.judge(seen, &owner, ticks_compare)
    }

    fn judge(self, seen: Option<Glance>, owner: &Owner, ticks_compare: bool) -> Standing {
        let by_inode = match (owner, self.inode) {
            (Owner::Nobody, _) => return Standing::Ended,
            (Owner::Inode(inode), Some(own)) => Some(*inode == own),
            _ => None,
        };
        let by_ticks = seen.filter(|_| ticks_compare).map(|glance| glance.start_time == self.start_time);
        match (by_inode, by_ticks) {
            (Some(false), _) | (_, Some(false)) => Standing::Replaced,
            (None, None) => Standing::Unknown,
            (Some(true), _) | (_, Some(true)) => match seen {
                Some(glance) if glance.is_zombie() => Standing::Ended,
                seen => Standing::Lives(seen.map(|glance| glance.state)),
            },
        }
    }
}

impl Glance {
    pub(crate) const fn is_zombie(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Asks the kernel who has a number in the pid namespace of the calling process. `/proc` has no part in that.
fn owner_of(pid: u32) -> Owner {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Owner::Nobody };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(pidfd) => match (fstatfs(&pidfd), fstat(&pidfd)) {
            (Ok(filesystem), Ok(stat)) if filesystem.f_type.cast_unsigned() == PID_FS_MAGIC => {
                Owner::Inode(stat.st_ino)
            }
            _ => Owner::Somebody,
        },
        Err(Errno::SRCH) => Owner::Nobody,
        // No such call, no descriptor left, or the number of a thread.
        Err(_) => owner_by_signal(pid),
    }
}

/// Asks by the signal that does nothing: it says no more than whether there is anybody.
fn owner_by_signal(pid: Pid) -> Owner {
    match test_kill_process(pid) {
        Err(Errno::SRCH) => Owner::Nobody,
        _ => Owner::Somebody,
    }
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

    const ALIVE: Glance = Glance { state: b'S', group: 7, start_time: 40 };
    const ZOMBIE: Glance = Glance { state: b'Z', ..ALIVE };
    const LATER: Glance = Glance { start_time: 41, ..ALIVE };

    fn process(inode: Option<u64>) -> ProcessIdentity {
        ProcessIdentity { pid: 7, start_time: 40, view: None, inode }
    }

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = b"7 (a) S (b) T 1 70 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20";
        assert_eq!(parse_stat(stat), Some(Glance { state: b'T', group: 70, start_time: 4242 }));
        assert_eq!(parse_stat(b"7 (cut) S 1"), None);
        assert_eq!(parse_stat(b"7 no name"), None);
    }

    #[test]
    fn own_process_lives_and_another_start_time_or_inode_is_another() {
        let own = ProcessIdentity::own().unwrap();
        assert!(matches!(own.standing(), Standing::Lives(Some(_))), "{:?}", own.standing());
        assert!(own.is_alive());
        let later = ProcessIdentity { start_time: own.start_time + 1, ..own };
        assert_eq!(later.standing(), Standing::Replaced);
        assert!(!later.is_alive());
        if let Some(inode) = own.inode {
            let other = ProcessIdentity { inode: Some(inode + 1), ..own };
            assert_eq!(other.standing(), Standing::Replaced);
        }
        let unversed = ProcessIdentity { view: None, inode: None, ..own };
        assert!(unversed.is_alive(), "what an older version wrote");
        assert!(all_pids().any(|pid| pid == own.pid));
        assert!(command(own.pid).is_some_and(|command| !command.is_empty() && !command.contains('\0')));
    }

    #[test]
    fn numbers_that_nobody_can_have_are_nobodys() {
        let own = ProcessIdentity::own().unwrap();
        for pid in [0, 1 << 31, u32::MAX, i32::MAX as u32] {
            assert_eq!(ProcessIdentity { pid, ..own }.standing(), Standing::Ended, "{pid}");
            assert_eq!(ProcessIdentity::of(pid), None, "{pid}");
        }
    }

    #[test]
    fn where_the_kernel_numbers_processes_each_has_its_inode() {
        let own = ProcessIdentity::own().unwrap();
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
        let version = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!(own.inode.is_some() || version < (6, 9), "{release}");
        assert_ne!(own.inode, Some(0));
    }

    #[test]
    fn without_pidfds_a_signal_tells_whether_there_is_anybody() {
        let pid = |pid: u32| Pid::from_raw(pid.cast_signed()).unwrap();
        assert!(matches!(owner_by_signal(pid(std::process::id())), Owner::Somebody));
        assert!(matches!(owner_by_signal(pid(i32::MAX as u32)), Owner::Nobody));
        // The number of a thread is somebody's, though there is no pidfd of it.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let number = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
                ProcessIdentity { pid: number, ..process(None) }.standing()
            });
            assert_eq!(thread.join().unwrap(), Standing::Replaced);
        });
    }

    #[test]
    fn a_child_is_seen_to_end() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = ProcessIdentity::of(child.id()).unwrap();
        assert!(matches!(identity.standing(), Standing::Lives(Some(_))));
        child.kill().unwrap();
        let since = std::time::Instant::now();
        while identity.standing() != Standing::Ended {
            assert!(since.elapsed().as_secs() < 30, "a zombie has ended");
        }
        child.wait().unwrap();
        assert!(!identity.is_alive());
    }

    #[test]
    fn another_boot_is_death_and_another_pid_namespace_is_unknown() {
        let own = ProcessIdentity::own().unwrap();
        let here = own.view.unwrap();
        let seen_from = |view| ProcessIdentity { view: Some(view), ..own };
        assert_eq!(seen_from(View { boot: here.boot ^ 1, ..here }).standing(), Standing::Replaced);
        let elsewhere = View { pid_namespace: here.pid_namespace + 1, ..here };
        for start_time in [own.start_time, own.start_time + 1] {
            let there = ProcessIdentity { start_time, ..seen_from(elsewhere) };
            assert_eq!(there.standing(), Standing::Unknown);
            assert!(there.is_alive());
        }
    }

    #[test]
    fn where_ticks_do_not_compare_the_inode_decides_or_nobody() {
        let own = ProcessIdentity::own().unwrap();
        let here = own.view.unwrap();
        let view = Some(View { time_namespace: here.time_namespace + 1, ..here });
        let shifted = ProcessIdentity { view, start_time: own.start_time + 500_000, ..own };
        assert!(shifted.is_alive());
        assert_eq!(ProcessIdentity { inode: None, ..shifted }.standing(), Standing::Unknown);
        if let Some(inode) = own.inode {
            assert!(matches!(shifted.standing(), Standing::Lives(Some(_))));
            let other = ProcessIdentity { inode: Some(inode + 1), ..shifted };
            assert_eq!(other.standing(), Standing::Replaced);
        }
    }

    #[test]
    fn every_combination_of_what_is_seen_is_judged() {
        use Owner::{Inode, Nobody, Somebody};
        let lives = Standing::Lives(Some(b'S'));
        for (inode, seen, owner, ticks_compare, standing) in [
            (Some(9), Some(ALIVE), Inode(9), true, lives),
            (Some(9), Some(ALIVE), Inode(9), false, lives),
            (Some(9), Some(LATER), Inode(9), false, lives),
            (Some(9), Some(LATER), Inode(9), true, Standing::Replaced),
            (Some(9), Some(ALIVE), Inode(8), true, Standing::Replaced),
            (Some(9), None, Inode(9), true, Standing::Lives(None)),
            (Some(9), None, Inode(8), true, Standing::Replaced),
            (Some(9), Some(ZOMBIE), Inode(9), true, Standing::Ended),
            (Some(9), Some(ALIVE), Somebody, true, lives),
            (Some(9), Some(ALIVE), Somebody, false, Standing::Unknown),
            (Some(9), Some(LATER), Somebody, true, Standing::Replaced),
            (Some(9), None, Somebody, true, Standing::Unknown),
            (Some(9), Some(ALIVE), Nobody, true, Standing::Ended),
            (None, Some(ALIVE), Inode(9), true, lives),
            (None, Some(ALIVE), Inode(9), false, Standing::Unknown),
            (None, Some(ZOMBIE), Somebody, true, Standing::Ended),
            (None, Some(LATER), Inode(9), true, Standing::Replaced),
            (None, None, Somebody, true, Standing::Unknown),
        ] {
            let judged = process(inode).judge(seen, &owner, ticks_compare);
            assert_eq!(judged, standing, "{inode:?} {seen:?} {ticks_compare}");
        }
    }
}
