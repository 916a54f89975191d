//! From where processes are looked at: the numbers and times that `/proc` tells hold within one boot, one pid namespace
//! and one time namespace. And whether `/proc` is the one of this process's pid namespace: another one tells of strangers.

use std::fs;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Where the numbers and times of processes hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct View {
    /// Which boot of the machine, as a number; 0 where the system does not tell.
    pub boot: u128,
    /// The pid namespace, by its inode; 0 where the kernel has none.
    pub pid_namespace: u64,
    /// The time namespace, by its inode; 0 where the kernel has none.
    pub time_namespace: u64,
}

static BOOT: LazyLock<u128> = LazyLock::new(|| {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot_of(text.trim()).unwrap_or_default()
});

/// This process's view, and whose it is: a fork may lead into another namespace.
static HERE: Mutex<Option<(u32, Option<View>)>> = Mutex::new(None);

impl View {
    /// That of the calling process; `None` where `/proc` is missing, or is that of another pid namespace.
    #[must_use]
    pub fn here() -> Option<Self> {
        let mut kept = HERE.lock().unwrap_or_else(PoisonError::into_inner);
        Self::kept_or_found(&mut kept, std::process::id(), Self::find)
    }

    fn kept_or_found(
        kept: &mut Option<(u32, Option<Self>)>,
        pid: u32,
        find: impl FnOnce(u32) -> Option<Self>,
    ) -> Option<Self> {
        // The first process of a namespace may be the child of the first process of another: its view is not kept.
        let known = kept.filter(|(of, _)| *of == pid && pid != 1);
        kept.insert(known.unwrap_or_else(|| (pid, find(pid)))).1
    }

    fn find(pid: u32) -> Option<Self> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        is_own(&status, pid).then(|| Self {
            boot: *BOOT,
            pid_namespace: namespace("pid"),
            time_namespace: namespace("time"),
        })
    }

    /// Whether it is certain that the machine was started anew between the two.
    pub(super) const fn is_of_another_boot_than(self, other: Self) -> bool {
        self.boot != 0 && other.boot != 0 && self.boot != other.boot
    }
}

/// Whether the `/proc` in which this process's status reads so is that of its own pid namespace. `NSpid` has its number
/// in each namespace from that of the `/proc` down to its own: one number if they are the same.
fn is_own(status: &str, pid: u32) -> bool {
    let line = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let numbers = line("NSpid:").or_else(|| line("Pid:")).unwrap_or_default();
    numbers.split_ascii_whitespace().map(str::parse).eq([Ok(pid)])
}

fn namespace(kind: &str) -> u64 {
    let link = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
    inode_of(&link.to_string_lossy())
}

/// `pid:[4026531836]`
fn inode_of(link: &str) -> u64 {
    let inode = link.split_once('[').and_then(|(_, rest)| rest.strip_suffix(']'));
    inode.and_then(|inode| inode.parse().ok()).unwrap_or_default()
}

/// A boot's name, `01234567-89ab-cdef-0123-456789abcdef`, as a number.
pub(crate) fn boot_of(text: &str) -> Option<u128> {
    let digits = text.replace('-', "");
    (digits.len() == 32).then(|| u128::from_str_radix(&digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_view_is_complete_and_stays_the_same() {
        let here = View::here().unwrap();
        assert!(here.boot != 0 && here.pid_namespace != 0);
        assert_eq!(View::here(), Some(here));
        assert_eq!(View::find(std::process::id()), Some(here));
        assert_eq!(View::find(std::process::id() + 1), None);
    }

    #[test]
    fn a_view_is_kept_for_the_process_that_found_it() {
        let view = |boot| View { boot, pid_namespace: 1, time_namespace: 1 };
        let mut kept = None;
        let mut look = |pid, found| View::kept_or_found(&mut kept, pid, |_| found);
        assert_eq!(look(7, Some(view(1))), Some(view(1)));
        assert_eq!(look(7, Some(view(2))), Some(view(1)), "it is not looked for again");
        assert_eq!(look(8, None), None, "another process looks for itself");
        assert_eq!(look(8, Some(view(3))), None);
        assert_eq!(look(1, Some(view(4))), Some(view(4)));
        assert_eq!(look(1, Some(view(5))), Some(view(5)), "the first of a namespace may be another");
    }

    #[test]
    fn a_foreign_proc_is_told_by_the_numbers_in_it() {
        assert!(is_own("Name:\tx\nPid:\t12\nNSpid:\t12\n", 12));
        assert!(!is_own("Name:\tx\nPid:\t4711\nNSpid:\t4711\t12\n", 12), "that of a namespace above");
        assert!(!is_own("Name:\tx\nPid:\t12\nNSpid:\t12\t12\n", 12), "where both numbers happen to be alike");
        assert!(!is_own("Name:\tx\nPid:\t4711\nNSpid:\t4711\n", 12));
        assert!(is_own("Name:\tx\nPid:\t12\n", 12), "a kernel without namespaces");
        assert!(!is_own("", 12));
    }

    #[test]
    fn links_and_boots_are_read_as_the_kernel_writes_them() {
        assert_eq!(inode_of("pid:[4026531836]"), 4_026_531_836);
        assert_eq!(inode_of("pid:4026531836"), 0);
        assert_eq!(boot_of("00000000-0000-0000-0000-0000000000ff"), Some(255));
        assert_eq!(boot_of("ff"), None);
        assert_eq!(boot_of("0000000g-0000-0000-0000-0000000000ff"), None);
    }

    #[test]
    fn only_what_two_boots_tell_makes_them_two() {
        let view = |boot| View { boot, pid_namespace: 1, time_namespace: 1 };
        assert!(view(1).is_of_another_boot_than(view(2)));
        assert!(!view(1).is_of_another_boot_than(view(1)));
        assert!(!view(0).is_of_another_boot_than(view(1)));
        assert!(!view(1).is_of_another_boot_than(view(0)));
    }
}
