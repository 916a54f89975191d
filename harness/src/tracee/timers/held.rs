//! Timers that the controller holds: it answers the calls that set them and ask for them, and sends their signals.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::super::machine::{Machine, Result};
use super::super::memory::Memory;
use super::super::sent::{Does, does};
use super::super::task::handle;
use super::super::tree::Tree;
use super::{Due, Setting, Timer, Which};
use crate::plan::race::Sleeps;
use crate::process::procfs;
use crate::process::sys::seccomp::{Notification, Reply};
use crate::process::sys::task::{signal_by_timer, signal_process};

/// How long somebody must run without standing still before that counts as time.
pub(crate) const RUNS: Duration = Duration::from_secs(1);
/// How many signals timers may send between two steps: one that comes again and again keeps nobody from a deadlock.
const SIGNALS_MAX: u32 = 1_000;

/// Where a call wants to be told how long a timer still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// By what it gives back, in seconds.
    Seconds,
    /// At this address, if any, with microseconds.
    Micros(u64),
    /// The same with nanoseconds.
    Nanos(u64),
}

/// Which timer a call is about, and where it wants to be told of it.
fn asked(stop: &Notification) -> Option<(Which, Asked)> {
    let [first, second, third, fourth, ..] = stop.args;
    #[cfg(target_arch = "x86_64")]
    if stop.number == libc::SYS_alarm {
        return Some((Which::Real, Asked::Seconds));
    }
    match stop.number {
        libc::SYS_setitimer if first as i32 == libc::ITIMER_REAL => Some((Which::Real, Asked::Micros(third))),
        libc::SYS_getitimer if first as i32 == libc::ITIMER_REAL => {
            Some((Which::Real, Asked::Micros(second)))
        }
        libc::SYS_timer_settime => Some((Which::Created(first), Asked::Nanos(fourth))),
        libc::SYS_timer_gettime => Some((Which::Created(first), Asked::Nanos(second))),
        libc::SYS_timer_delete => Some((Which::Created(first), Asked::Nanos(0))),
        _ => None,
    }
}

impl Asked {
    /// Tells the task how long the timer still runs; gives back how the call is answered.
    fn tell(self, task: u32, left: Duration, every: Duration) -> Reply {
        let (address, part_ns) = match self {
            Self::Seconds => return Reply::Value(seconds(left)),
            Self::Micros(address) => (address, 1_000),
            Self::Nanos(address) => (address, 1),
        };
        if address == 0 {
            return Reply::Value(0);
        }
        let words = [every, left].map(|time| [time.as_secs(), u64::from(time.subsec_nanos() / part_ns)]);
        let bytes: Vec<u8> = words.as_flattened().iter().flat_map(|word| word.to_ne_bytes()).collect();
        match Memory(task).write(address, &bytes) {
            Ok(()) => Reply::Value(0),
            Err(_) => Reply::Error(Errno::EFAULT),
        }
    }
}

/// What `alarm` gives back, as the kernel rounds: a timer that runs has a second at least.
fn seconds(left: Duration) -> i64 {
    let is_more = left.subsec_millis() >= 500 || (left.as_secs() == 0 && !left.is_zero());
    left.as_secs().cast_signed().saturating_add(i64::from(is_more))
}

/// What a timer sends to its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sends {
    number: i32,
    /// A word of the program's own, and the timer's number, where it was created.
    value: Option<(u64, i32)>,
}

/// What a timer sends to its process; nothing where it sends to a thread, or to nobody, or counts another time than the real one.
fn sends(pid: u32, which: Which) -> Option<Sends> {
    let Which::Created(id) = which else { return Some(Sends { number: libc::SIGALRM, value: None }) };
    created(&procfs::text(format!("/proc/{pid}/timers")).ok()?, id as i32)
}

/// What a timer sends that is in such a list of a process's.
fn created(listed: &str, id: i32) -> Option<Sends> {
    let is_it =
        |line: &&str| line.strip_prefix("ID:").and_then(|number| number.trim().parse().ok()) == Some(id);
    let mut lines = listed.lines().skip_while(|line| !is_it(line)).skip(1);
    let mut field = |name: &str| lines.next()?.strip_prefix(name).map(str::trim);
    let (number, value) = field("signal:")?.split_once('/')?;
    let is_for_its_process = field("notify:")?.starts_with("signal/pid.");
    let clock: i32 = field("ClockID:")?.parse().ok()?;
    let is_real = [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC, libc::CLOCK_BOOTTIME].contains(&clock);
    let value = u64::from_str_radix(value.trim_start_matches("0x"), 16).ok()?;
    (is_for_its_process && is_real)
        .then_some(Sends { number: number.parse().ok()?, value: Some((value, id)) })
}

fn in_ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Tree {
    /// How long a timer still runs on the tree's own clock, in nanoseconds; nothing where it runs on the real one.
    fn left_ns(&self, timer: &Timer) -> Option<u64> {
        match timer.due {
            Due::Held(due_ns) => Some(due_ns.saturating_sub(self.slept_ns)),
            Due::Real(_) => None,
        }
    }

    /// How long the held timer still runs that is due first, in nanoseconds.
    pub(crate) fn first_timer_ns(&self) -> Option<u64> {
        let may_send = self.is_live() && self.timer_signals < SIGNALS_MAX;
        self.timers.iter().filter(|_| may_send).filter_map(|timer| self.left_ns(timer)).min()
    }
}

impl Machine {
    /// Notes a timer that a call sets, stops or asks for, and holds it where that can be; how the call is answered, where the kernel
    /// is not to hear of it.
    pub(crate) fn note_timer(&mut self, process: usize, stop: &Notification) -> Option<Reply> {
        let (which, asked) = asked(stop)?;
        let tree = &mut self.trees[process];
        let pid = tree.task(stop.task).map_or(stop.task, |task| task.pid);
        let is_it = |timer: &Timer| timer.pid == pid && timer.which == which;
        let known = tree.timers.iter().copied().find(is_it);
        let left_ns = known.and_then(|timer| tree.left_ns(&timer));
        let left = Duration::from_nanos(left_ns.unwrap_or(0));
        let every = known.and_then(|timer| timer.every).unwrap_or_default();
        let Some(setting) = Setting::of(stop) else {
            if stop.number == libc::SYS_timer_delete {
                tree.timers.retain(|timer| !is_it(timer));
                return None;
            }
            // The kernel tells of one that it runs, or that does not run.
            return left_ns.map(|_| asked.tell(stop.task, left, every));
        };
        tree.timers.retain(|timer| !is_it(timer));
        let is_held = self.options.sleeps == Sleeps::Held
            && !self.run.is_perturbed
            && setting.is_valid
            && sends(pid, which).is_some();
        let tree = &mut self.trees[process];
        let due = if is_held {
            Some(Due::Held(tree.slept_ns.saturating_add(in_ns(setting.after))))
        } else {
            Instant::now().checked_add(setting.after).map(Due::Real)
        };
        let again = Some(setting.every).filter(|every| !every.is_zero());
        let due = due.filter(|_| !setting.after.is_zero());
        tree.timers.extend(due.map(|due| Timer { pid, which, due, every: again }));
        is_held.then(|| asked.tell(stop.task, left, every))
    }

    /// Whether a timer of a process is due before a sleep of this length is over, in nanoseconds.
    pub(crate) fn is_timed(&self, process: usize, sleep_ns: u64) -> bool {
        self.trees[process].first_timer_ns().is_some_and(|left| left < sleep_ns)
    }

    /// Nobody can go on: lets time pass until the first sleep ends or the first timer is due; whether there was one.
    pub(crate) fn let_time_pass(&mut self) -> Result<bool> {
        let turn = self.whose_turn();
        let is_in_turn = |process: &usize| turn.is_none_or(|turn| turn == *process);
        let timers = (0..self.trees.len()).filter(is_in_turn);
        let timer = timers.filter_map(|process| Some((self.trees[process].first_timer_ns()?, process))).min();
        // Who has looked in vain for too long looks no more before anybody else has gone on.
        let is_over = self.has_looked_for_long();
        let sleeper = self.first_sleeper(|tree| !is_over || !tree.is_in_vain());
        match (timer, sleeper) {
            (Some((left_ns, process)), sleeper)
                if sleeper.is_none_or(|(sleeps_ns, ..)| left_ns <= sleeps_ns) =>
            {
                self.send_first(process)?;
                self.settle(process)?;
            }
            (_, Some(sleeper)) => self.wake(sleeper),
            (_, None) => return Ok(false),
        }
        if is_over {
            self.doubt_looks();
        }
        Ok(true)
    }

    /// Nobody can go on for so long: it passes for all.
    pub(crate) fn pass_time(&mut self, time_ns: u64) {
        for tree in &mut self.trees {
            tree.slept_ns = tree.slept_ns.saturating_add(time_ns);
        }
    }

    /// Sends the signal of a process's held timer that is due first.
    fn send_first(&mut self, process: usize) -> Result<()> {
        let tree = &mut self.trees[process];
        let held = (0..tree.timers.len()).filter_map(|at| Some((tree.left_ns(&tree.timers[at])?, at)));
        let Some((left_ns, at)) = held.min() else { return Ok(()) };
        let timer = tree.timers.remove(at);
        tree.timer_signals += 1;
        self.pass_time(left_ns);
        let tree = &mut self.trees[process];
        // A program that was executed meanwhile has none that was created.
        let Some(sends) = sends(timer.pid, timer.which) else { return Ok(()) };
        if let Some(every) = timer.every {
            let due = Due::Held(tree.slept_ns.saturating_add(in_ns(every)));
            tree.timers.push(Timer { due, ..timer });
        }
        let ends = does(timer.pid, sends.number) == Does::Ends;
        self.watch(process);
        let sent = handle(timer.pid).and_then(|handle| match sends.value {
            Some((value, id)) => signal_by_timer(handle.as_fd(), sends.number, id, value),
            None => signal_process(handle.as_fd(), sends.number),
        });
        if sent.is_err() {
            // It is gone, and its timers with it.
            self.trees[process].timers.retain(|other| other.pid != timer.pid);
            return Ok(());
        }
        let what = format!("a timer of p{} was due, which might have been earlier or later", process + 1);
        self.run.left.uncertain.insert(what);
        if ends {
            self.wait_until_gone(process, timer.pid)?;
        }
        self.drop_the_gone(process);
        Ok(())
    }

    /// Somebody of a process runs: sends the signal of its first timer, if that is due after so long.
    pub(crate) fn send_overdue(&mut self, process: usize) -> Result<()> {
        let tree = &mut self.trees[process];
        if tree.timers.is_empty() {
            return Ok(());
        }
        let Some(left_ns) = tree.first_timer_ns() else { return Ok(()) };
        if tree.runs_since.elapsed() >= RUNS.max(Duration::from_nanos(left_ns)) {
            tree.runs_since = Instant::now();
            self.send_first(process)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_timer_sends_is_read() {
        let listed = "ID: 0\nsignal: 14/00007ffd5f3c1a10\nnotify: signal/pid.2634\nClockID: 0\n\
                      ID: 1\nsignal: 34/0000000000000000\nnotify: signal/tid.7\nClockID: 1\n\
                      ID: 2\nsignal: 10/0\nnotify: none/pid.7\nClockID: 1\n\
                      ID: 3\nsignal: 10/2a\nnotify: signal/pid.7\nClockID: 1\n\
                      ID: 4\nsignal: 10/2a\nnotify: signal/pid.7\nClockID: 2\n";
        let sends = |number, value, id| Some(Sends { number, value: Some((value, id)) });
        assert_eq!(created(listed, 0), sends(14, 0x7ffd_5f3c_1a10, 0));
        assert_eq!(created(listed, 3), sends(10, 0x2a, 3));
        for (id, why) in
            [(1, "for a thread"), (2, "for nobody"), (4, "processor time"), (5, "none"), (-1, "none")]
        {
            assert_eq!(created(listed, id), None, "{why}");
        }
    }

    #[test]
    fn alarms_are_told_in_seconds_as_the_kernel_does() {
        for (ms, told) in [(0, 0), (1, 1), (499, 1), (1_000, 1), (1_499, 1), (1_500, 2), (9_999, 10)] {
            assert_eq!(seconds(Duration::from_millis(ms)), told, "{ms} ms");
        }
    }
}
