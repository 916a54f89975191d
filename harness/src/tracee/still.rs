//! When everybody stands still.
//!
//! A task that was let go may run, or wait in the kernel for another: for a pipe, a child, a mutex. There is nothing to
//! emulate in that, if only it is known when all of them wait.
//!
//! Where commands run in the class `SCHED_FIFO` on their controller's processor, and the controller does not, the
//! controller runs only when they all sleep: one look suffices, for who is about to wake by itself (state D). Else it
//! takes two looks that see the same: that nobody ran between them. Then there was a moment at which all slept.

use crate::process::procfs;
use crate::process::sys::task::share_memory;

/// What a look at all tasks saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Somebody runs, or is about to.
    Busy,
    /// All sleep.
    Calm(Waiting),
}

/// How tasks wait in the kernel, by their numbers.
pub(crate) type Waiting = Vec<(u32, String)>;

/// How many threads the processes have that are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Threads {
    /// One each.
    One,
    /// Any number.
    Any,
}

/// Looks at all tasks of these processes, but for those that are held.
pub(crate) fn look(pids: &[u32], threads: Threads, is_held: impl Fn(u32) -> bool) -> Look {
    let mut seen = Vec::new();
    for &pid in pids {
        let tids = if threads == Threads::One { vec![pid] } else { procfs::threads(pid) };
        for tid in tids {
            if is_held(tid) {
                continue;
            }
            let path = |file: &str| format!("/proc/{pid}/task/{tid}/{file}");
            let Ok(stat) = procfs::record(path("stat")) else { continue };
            let Some(state) = state_of(&stat) else { continue };
            if is_dead(state) {
                continue;
            }
            if !may_sleep(state) {
                return Look::Busy;
            }
            let call = procfs::record(path("syscall")).unwrap_or_default();
            if !is_asleep(pid, state, &call) {
                return Look::Busy;
            }
            // How long it ran so far, and how often: whoever has run since the last look is told by that.
            let ran = procfs::record(path("schedstat")).unwrap_or_default();
            seen.push((tid, format!("{state} {call} {ran}")));
        }
    }
    seen.sort();
    Look::Calm(seen)
}

/// The state of a task in its `stat`: a letter.
pub(super) fn state_of(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim_start().chars().next()
}

/// Whether a task in this state has ended.
pub(super) const fn is_dead(state: char) -> bool {
    matches!(state, 'Z' | 'X' | 'x')
}

/// Whether a task in this state may sleep; else it runs, or is about to.
pub(super) const fn may_sleep(state: char) -> bool {
    matches!(state, 'S' | 'T' | 't' | 'D')
}

/// Whether a task in one of these states sleeps, whose `syscall` says this: `running`, of whoever is just going to sleep, or was just
/// woken. One that is frozen, as container runtimes pause processes, sleeps until another thaws it.
pub(super) fn is_asleep(pid: u32, state: char, call: &str) -> bool {
    if state == 'D' {
        waits_for_a_child(pid, call) || procfs::is_frozen(pid)
    } else {
        !call.starts_with("running")
    }
}

/// Whether a task in state D, whose call `/proc` shows so, waits for a child of it to execute a program: then the child
/// is there, in the memory of its parent. Who is in D in the midst of a fork waits for the kernel, and not for long.
fn waits_for_a_child(pid: u32, call: &str) -> bool {
    let number = call.split_ascii_whitespace().next().and_then(|number| number.parse::<i64>().ok());
    #[cfg(target_arch = "x86_64")]
    let is_vfork = number == Some(libc::SYS_vfork);
    #[cfg(not(target_arch = "x86_64"))]
    let is_vfork = false;
    let starts = is_vfork || matches!(number, Some(libc::SYS_clone | libc::SYS_clone3));
    let is_alive = |child: &u32| procfs::lives(*child);
    // Where the kernel does not tell who shares memory, any child may be the one.
    let shares = |child: u32| share_memory(pid, child).unwrap_or(true);
    starts && procfs::children(pid).into_iter().filter(is_alive).any(shares)
}

/// Whether a calm task waits with a limit of its own, so that it may go on by itself.
pub(crate) fn has_limit(seen: &str) -> bool {
    let mut words = seen.split_ascii_whitespace().skip_while(|word| word.parse::<i64>().is_err());
    let number = words.next().and_then(|number| number.parse::<i64>().ok());
    let argument = |index: usize| {
        let word = seen.split_ascii_whitespace().filter(|word| word.starts_with("0x")).nth(index);
        word.and_then(|word| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()).unwrap_or(0)
    };
    match number {
        Some(libc::SYS_futex) => argument(3) != 0 && matches!(argument(1) & 0x7f, 0 | 9 | 6 | 11),
        Some(libc::SYS_nanosleep | libc::SYS_clock_nanosleep) => true,
        Some(libc::SYS_rt_sigtimedwait) => argument(2) != 0,
        Some(libc::SYS_ppoll) => argument(2) != 0,
        Some(libc::SYS_pselect6) => argument(4) != 0,
        Some(libc::SYS_epoll_pwait) => is_limit(argument(3)),
        #[cfg(target_arch = "x86_64")]
        Some(libc::SYS_poll) => is_limit(argument(2)),
        #[cfg(target_arch = "x86_64")]
        Some(libc::SYS_select) => argument(4) != 0,
        #[cfg(target_arch = "x86_64")]
        Some(libc::SYS_epoll_wait) => is_limit(argument(3)),
        _ => false,
    }
}

/// Whether a number of milliseconds is a limit: less than none is for ever.
const fn is_limit(argument: u64) -> bool {
    (argument as u32).cast_signed() >= 0
}

/// All that descends from a process, dead ones among them.
pub(crate) fn descendants(of: u32) -> Vec<u32> {
    procfs::descendants(of)
}

/// All that descends from a process, where only these have started anybody; this tells the children of each.
pub(crate) fn descendants_by(
    of: u32,
    starters: &[u32],
    mut children: impl FnMut(u32) -> Vec<u32>,
) -> Vec<u32> {
    let has_any = |pid| pid == of || starters.contains(&pid);
    procfs::descendants_by(of, |pid| if has_any(pid) { children(pid) } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn who_forks_does_not_wait_for_a_child_that_is_there_already() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().expect("started");
        let own = std::process::id();
        let call = format!("{} 0x1200011 0x0 0x0 0x0 0x0 0x0 0x0 0x0", libc::SYS_clone);
        match share_memory(own, child.id()) {
            Ok(shares) => {
                assert!(!shares && share_memory(own, own).expect("told"));
                assert!(!waits_for_a_child(own, &call));
            }
            Err(error) => println!("skipped: the kernel does not tell who shares memory: {error}"),
        }
        child.kill().and_then(|()| child.wait()).expect("ended");
    }
}
