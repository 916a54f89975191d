//! The worker's loop: begin, perform, record, until the round is over. The same for every job and every clock.

use super::choice::Choices;
use super::clock::Clock;
use super::door::Door;
use super::job::{Job, Timing};
use super::meter::Meter;
use super::pace::Pace;

/// What a worker needs besides its job.
pub(super) struct Shift<'a> {
    pub pace: Pace,
    pub choices: Choices,
    pub door: &'a Door,
    /// Time one acquisition in this many.
    pub timed_every: u32,
    /// When warm-up ends.
    pub begin_ns: u64,
    /// When measuring ends, in nanoseconds of the shared clock.
    pub end_ns: u64,
}

/// Works until the round is over, or `is_stopped` says so. Operations count that end while it is measured.
///
/// A closed load without think time reads the clock once where one operation ends and the next begins.
pub(super) fn labour<J: Job, C: Clock>(
    job: &mut J,
    clock: &C,
    shift: &mut Shift<'_>,
    meter: &mut Meter,
    is_stopped: impl Fn() -> bool,
    mut begins: impl FnMut(),
) -> Result<(), String> {
    let (begin_ns, end_ns) = (shift.begin_ns, shift.end_ns);
    let mut turns = Turns::new(shift.timed_every);
    let mut boundary_ns = begin_ns;
    let mut is_measuring = false;
    let mut done_ns = clock.now_ns();
    while let Some(start) = shift.pace.next(clock, done_ns, |now_ns| now_ns >= end_ns || is_stopped()) {
        let performed = job.perform(clock, shift.choices.next(), turns.next())?;
        done_ns = performed.done_ns;
        if done_ns >= boundary_ns {
            if done_ns >= end_ns {
                break;
            }
            meter.begin();
            shift.door.forget();
            begins();
            is_measuring = true;
            boundary_ns = end_ns;
            meter.record(start, &performed);
            done_ns = clock.now_ns();
            continue;
        }
        if is_measuring {
            meter.record(start, &performed);
        }
        if is_stopped() {
            break;
        }
    }
    Ok(())
}

/// Which acquisitions are timed: one in so many on average, at distances that follow no rhythm of the subject's.
#[derive(Debug)]
pub(super) struct Turns {
    every: u32,
    left: u32,
    random: u32,
}

impl Turns {
    pub const fn new(every: u32) -> Self {
        Self { every, left: 1, random: 0x9e37_79b9 }
    }

    #[inline]
    pub fn next(&mut self) -> Timing {
        self.left -= 1;
        if self.left > 0 {
            return Timing::Whole;
        }
        self.left = self.distance();
        Timing::Parts
    }

    /// From 1 to twice the mean less 1, each as often as any other: by Marsaglia's xorshift.
    #[inline]
    fn distance(&mut self) -> u32 {
        if self.every == 1 {
            return 1;
        }
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let span = u64::from(self.every) * 2 - 1;
        1 + ((u64::from(self.random) * span) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_acquisition_in_so_many_is_timed() {
        for every in [1, 2, 4, 16] {
            let mut turns = Turns::new(every);
            let timed = (0..160_000).filter(|_| turns.next() == Timing::Parts).count();
            let share = timed as f64 * f64::from(every) / 160_000.0;
            assert!((0.97..1.03).contains(&share), "1 in {every}: {timed}");
        }
    }
}
