//! Timers that programs set, by which they bound how long they wait: `flock -w`, `timeout`, `alarm`.
//!
//! Where sleeps are held, so are timers: the kernel hears nothing of them, and the controller sends their signals. They are due on the
//! clock by which sleeps end: the first to be due, sleep or timer, is next when nobody can go on. So whoever waits at most so long for
//! a lock gives up when everybody else waits, and a program that sleeps in a loop is ended in time. Whoever runs without standing still
//! gets the signal as real time passes.
//!
//! Timers whose signal is not for a process, but for a thread or for nobody, run on the real clock.

mod held;

pub(super) use held::RUNS;

use std::time::{Duration, Instant};

use super::machine::{Machine, Result};
use super::memory::{Memory, View};
use super::task::Task;
use super::tree::Heard;
use crate::books::deed::{Deed, Told};
use crate::explore::step::Gate;
use crate::process::clock;
use crate::process::procfs;
use crate::process::sys::seccomp::Notification;

/// How much later than it is due a timer's signal may come.
const GRACE: Duration = Duration::from_millis(20);
/// How often somebody is looked for who came.
const LOOK: Duration = Duration::from_millis(1);

/// A timer that was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timer {
    /// Whose it is.
    pid: u32,
    /// Which of that process's.
    which: Which,
    due: Due,
    /// How long from one signal to the next, where it sends several.
    every: Option<Duration>,
}

/// When a timer is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// The kernel knows.
    Real(Instant),
    /// The controller sends its signal, when the tree's own clock says so, in nanoseconds.
    Held(u64),
}

/// Which of a process's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// Of `alarm` and `setitimer`.
    Real,
    /// One that was created, by its number.
    Created(u64),
}

/// What a call sets a timer to: after how long it sends a signal, and how long after that again. Nothing is set by a time of
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Setting {
    which: Which,
    after: Duration,
    every: Duration,
    /// Whether there is such a time: the kernel says what is wrong with another.
    is_valid: bool,
}

impl Setting {
    fn of(stop: &Notification) -> Option<Self> {
        let memory = View::of(Memory(stop.task));
        let [first, second, third, ..] = stop.args;
        #[cfg(target_arch = "x86_64")]
        if stop.number == libc::SYS_alarm {
            let after = Duration::from_secs(u64::from(first as u32));
            return Some(Self { which: Which::Real, after, every: Duration::ZERO, is_valid: true });
        }
        match stop.number {
            // The others count time on a processor, which nobody spends who waits.
            libc::SYS_setitimer if first as i32 == libc::ITIMER_REAL => {
                let ([every, after], is_valid) = times(&memory, second, 1_000);
                Some(Self { which: Which::Real, after, every, is_valid })
            }
            libc::SYS_timer_settime => {
                let ([every, until], is_valid) = times(&memory, third, 1);
                let is_absolute = second as i32 & libc::TIMER_ABSTIME != 0 && !until.is_zero();
                let after = if is_absolute { from_now(until) } else { until };
                Some(Self { which: Which::Created(first), after, every, is_valid })
            }
            _ => None,
        }
    }
}

/// Two times at an address, each in seconds and in parts of one, where so many nanoseconds are such a part; and whether they are
/// times.
fn times(memory: &View, address: u64, part_ns: u64) -> ([Duration; 2], bool) {
    let words: [u64; 4] = memory.words(address);
    let (times, _) = words.as_chunks::<2>();
    let time = |[seconds, parts]: [u64; 2]| {
        Duration::from_secs(seconds).saturating_add(Duration::from_nanos(parts.saturating_mul(part_ns)))
    };
    let is_time =
        |[seconds, parts]: &[u64; 2]| i64::try_from(*seconds).is_ok() && *parts < 1_000_000_000 / part_ns;
    ([time(times[0]), time(times[1])], address != 0 && times.iter().all(is_time))
}

/// How long it is until then. By which clock is not told: the two that count seconds since 1970 and since the machine was started
/// are far apart, and it is the one that is nearer.
fn from_now(until: Duration) -> Duration {
    let now =
        [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC].map(|clock| Duration::from_nanos(clock::of(clock)));
    let now = now.into_iter().min_by_key(|now| now.abs_diff(until)).unwrap_or_default();
    until.saturating_sub(now).max(LOOK)
}

impl Machine {
    /// What the end of a sleep waits for. A mere pause may end at any time, and so it is a choice when it does: but for one in a loop that
    /// waits for a change, which would go round without end, and for one beside others of its own tree or beside a timer, which go
    /// first.
    pub(super) fn gate_of_sleep(&self, process: usize, tid: u32, told: &Told, gate: Gate) -> Gate {
        let (is_pause, time) = match told {
            Deed::Sleep(time) => (true, *time),
            Deed::Await(waited, time) => (waited.is_empty(), *time),
            _ => (false, 0),
        };
        let tree = &self.trees[process];
        let is_another = |task: &Task| task.tid != tid && task.held.is_some();
        let is_beside =
            self.explores_tasks() || self.is_timed(process, time) || tree.tasks.iter().any(is_another);
        match gate {
            Gate::Change if is_pause && !is_beside && !tree.goes_round() => Gate::Open,
            Gate::Open if is_pause && (is_beside || tree.sleeps_on()) => Gate::Change,
            gate => gate,
        }
    }

    /// Nobody can go on: waits for the timer of the kernel's that is due first, as long as an execution may take; whether there was
    /// one.
    pub(super) fn wait_for_a_timer(&mut self) -> Result<bool> {
        let is_there = |timer: &Timer| procfs::lives(timer.pid);
        self.trees.iter_mut().for_each(|tree| tree.timers.retain(is_there));
        let real = |timer: &Timer| match timer.due {
            Due::Real(due) => Some(due),
            Due::Held(_) => None,
        };
        let live = self.trees.iter().filter(|tree| tree.is_live());
        let next = live.flat_map(|tree| &tree.timers).filter_map(real).min();
        let last = self.run.begun + self.options.time_limit;
        let Some(next) = next.filter(|next| *next < last) else { return Ok(false) };
        while Instant::now() < next + GRACE {
            for process in
                (0..self.trees.len()).filter(|process| self.trees[*process].is_live()).collect::<Vec<_>>()
            {
                self.drop_the_gone(process);
                if self.interrupt(process)? || self.trees[process].hear(Duration::ZERO)? != Heard::Nothing {
                    let what = format!("p{} went on by itself, as time passed", process + 1);
                    self.run.left.uncertain.insert(what);
                    self.settle(process)?;
                    return Ok(true);
                }
            }
            std::thread::sleep(LOOK);
        }
        // Whoever it was for took no notice, or it sends more.
        for timer in self.trees.iter_mut().flat_map(|tree| &mut tree.timers) {
            if real(timer).is_some_and(|due| due <= next) {
                let again = timer.every.and_then(|every| next.checked_add(every.max(GRACE)));
                timer.due = Due::Real(again.unwrap_or(last));
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a call of this process would set.
    fn set(number: i64, args: [u64; 3]) -> Option<Setting> {
        let [first, second, third] = args;
        let args = [first, second, third, 0, 0, 0];
        Setting::of(&Notification { id: 1, task: std::process::id(), number, arch: 0, args })
    }

    #[test]
    fn what_a_timer_is_set_to_is_read() {
        let words = |words: [u64; 4]| Box::leak(Box::new(words)).as_ptr().addr() as u64;
        let ms = Duration::from_millis;
        let of = |which, after, every| Some(Setting { which, after, every, is_valid: true });
        let real = libc::ITIMER_REAL as u64;
        let at = words([0, 250_000, 1, 500_000]);
        assert_eq!(set(libc::SYS_setitimer, [real, at, 0]), of(Which::Real, ms(1500), ms(250)));
        assert_eq!(
            set(libc::SYS_setitimer, [libc::ITIMER_PROF as u64, at, 0]),
            None,
            "it counts no real time"
        );
        let at = words([0, 0, 2, 5_000_000]);
        assert_eq!(set(libc::SYS_timer_settime, [7, 0, at]), of(Which::Created(7), ms(2005), ms(0)));
        let stopped = words([0; 4]);
        let absolute = libc::TIMER_ABSTIME as u64;
        assert_eq!(set(libc::SYS_timer_settime, [7, absolute, stopped]), of(Which::Created(7), ms(0), ms(0)));
        for clock in [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC] {
            let at = words([0, 0, clock::of(clock) / 1_000_000_000 + 100, 0]);
            let after = set(libc::SYS_timer_settime, [7, absolute, at]).expect("set").after;
            assert!(after <= ms(100_000) && after > ms(0), "{after:?} by clock {clock}");
        }
        #[cfg(target_arch = "x86_64")]
        assert_eq!(set(libc::SYS_alarm, [3, 0, 0]), of(Which::Real, ms(3000), ms(0)));
        assert_eq!(set(libc::SYS_getpid, [3, 0, 0]), None);
        for (address, why) in [
            (0, "nothing"),
            (words([0, 0, 1, 1_000_000]), "more than a second"),
            (words([u64::MAX; 4]), "less than none"),
        ] {
            assert!(!set(libc::SYS_setitimer, [real, address, 0]).expect("set").is_valid, "{why}");
        }
    }
}
