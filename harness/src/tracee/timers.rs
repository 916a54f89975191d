//! Timers that programs set, by which they bound how long they wait: `flock -w`, `timeout`, `alarm`. They run on the real clock,
//! so where nobody can go on, somebody may, a while later: that is no deadlock.

use std::time::{Duration, Instant};

use super::machine::{Machine, Result};
use super::memory::{Memory, View};
use super::tree::Heard;
use crate::process::procfs::Stat;
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
    due: Instant,
    /// How long from one signal to the next, where it sends several.
    every: Option<Duration>,
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
}

impl Setting {
    fn of(stop: &Notification) -> Option<Self> {
        let memory = View::of(Memory(stop.task));
        let [first, second, third, ..] = stop.args;
        #[cfg(target_arch = "x86_64")]
        if stop.number == libc::SYS_alarm {
            let after = Duration::from_secs(u64::from(first as u32));
            return Some(Self { which: Which::Real, after, every: Duration::ZERO });
        }
        match stop.number {
            // The others count time on a processor, which nobody spends who waits.
            libc::SYS_setitimer if first as i32 == libc::ITIMER_REAL => {
                let [every_s, every_us, after_s, after_us] = memory.words(second);
                let time = |s: u64, us: u64| Duration::from_secs(s).saturating_add(Duration::from_micros(us));
                Some(Self {
                    which: Which::Real,
                    after: time(after_s, after_us),
                    every: time(every_s, every_us),
                })
            }
            libc::SYS_timer_settime => {
                let [every_s, every_ns, after_s, after_ns] = memory.words(third);
                let time = |s: u64, ns: u64| Duration::from_secs(s).saturating_add(Duration::from_nanos(ns));
                let until = time(after_s, after_ns);
                let after = match second as i32 & libc::TIMER_ABSTIME {
                    0 => until,
                    // By which clock is not told: the two that count seconds since 1970 and since the machine was started are
                    // far apart, and it is the one that is nearer.
                    _ => {
                        let clocks = [libc::CLOCK_REALTIME, libc::CLOCK_MONOTONIC];
                        let now = clocks.map(|clock| Duration::from_nanos(crate::process::clock::of(clock)));
                        let now = now.into_iter().min_by_key(|now| now.abs_diff(until)).unwrap_or_default();
                        if until.is_zero() { until } else { until.saturating_sub(now).max(LOOK) }
                    }
                };
                Some(Self { which: Which::Created(first), after, every: time(every_s, every_ns) })
            }
            _ => None,
        }
    }
}

impl Machine {
    /// Notes a timer that a call sets, or stops.
    pub(super) fn note_timer(&mut self, process: usize, stop: &Notification) {
        let Some(Setting { which, after, every }) = Setting::of(stop) else { return };
        let pid = self.trees[process].task(stop.task).map_or(stop.task, |task| task.pid);
        let timers = &mut self.trees[process].timers;
        timers.retain(|timer| timer.pid != pid || timer.which != which);
        let due = Instant::now().checked_add(after).filter(|_| !after.is_zero());
        let every = Some(every).filter(|every| !every.is_zero());
        timers.extend(due.map(|due| Timer { pid, which, due, every }));
    }

    /// Nobody can go on: waits for the timer that is due first, as long as an execution may take; whether there was one.
    pub(super) fn wait_for_a_timer(&mut self) -> Result<bool> {
        let is_there = |timer: &Timer| Stat::of(timer.pid).is_some_and(|stat| !stat.is_dead());
        self.trees.iter_mut().for_each(|tree| tree.timers.retain(is_there));
        let live = self.trees.iter().filter(|tree| tree.is_live());
        let next = live.flat_map(|tree| &tree.timers).map(|timer| timer.due).min();
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
        for timer in self.trees.iter_mut().flat_map(|tree| &mut tree.timers).filter(|timer| timer.due <= next)
        {
            timer.due = timer.every.and_then(|every| next.checked_add(every.max(GRACE))).unwrap_or(last);
        }
        Ok(true)
    }
}
