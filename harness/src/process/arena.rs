//! The arena: what the processes of one round of a benchmark share, behind the region that every run has.
//!
//! For each container a [`Mark`], in which its holder says who it is, and a mutex; for each process a [`Tally`] and room
//! for its histograms. As in the region nothing here can block anybody but the mutexes, which are there to be measured.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::region::{Layout, Region};
use super::sys::mutex::Mutex;

/// From how many processes on it is not told from whom to whom the lock went.
pub const MATRIX_PROCESSES_MAX: u32 = 32;
/// Most bytes of one process's encoded histograms, all together.
pub const HISTOGRAM_BYTES: usize = 160 * 1024;

const PAGE_BYTES: usize = 4096;

/// How many of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// How many processes record, workers and lockers alike.
    pub processes: u32,
    /// How many containers they share.
    pub containers: u32,
}

impl Size {
    const fn layout(self) -> Layout {
        Layout {
            workers: self.processes,
            auditors: 0,
            containers: 0,
            worker_entries: 0,
            auditor_entries: 0,
            examiner_entries: 0,
            holds_per_entry: 0,
        }
    }

    const fn mutexes_at(self) -> usize {
        PAGE_BYTES + pages(self.containers as usize * size_of::<Mark>())
    }

    const fn tallies_at(self) -> usize {
        self.mutexes_at() + pages(self.containers as usize * size_of::<Mutex>())
    }

    const fn histograms_at(self) -> usize {
        self.tallies_at() + pages(self.processes as usize * size_of::<Tally>())
    }

    const fn bytes(self) -> usize {
        self.histograms_at() + self.processes as usize * HISTOGRAM_BYTES
    }
}

const fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}

/// Who holds a container's lock, or held it last: see [`Mark::enter`]. On a cache line of its own.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Mark(AtomicU64);

/// What a process saw where it got the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entered {
    /// Who had the lock before, where anybody had.
    pub before: Option<u32>,
    /// Whether somebody was still inside.
    pub overlaps: bool,
}

impl Mark {
    /// Says that this process has the lock. Plain loads and stores: whoever excludes the others needs no more, and
    /// whoever does not is to be caught, not to be ordered.
    #[inline]
    pub fn enter(&self, process: u32) -> Entered {
        let found = self.0.load(Ordering::Relaxed);
        self.0.store(inside(process), Ordering::Release);
        let before = (found >> 1).checked_sub(1).map(|before| before as u32);
        Entered { before, overlaps: found & 1 == 1 }
    }

    /// Says that this process is about to give the lock back; whether somebody else came in meanwhile.
    #[inline]
    pub fn leave(&self, process: u32) -> bool {
        let overlaps = self.0.load(Ordering::Acquire) != inside(process);
        self.0.store(inside(process) & !1, Ordering::Release);
        overlaps
    }
}

const fn inside(process: u32) -> u64 {
    (process as u64 + 1) << 1 | 1
}

/// What one process counted in one round; written by it at the end, but for the first three.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Tally {
    /// Not 0 once it measures: warm-up is over.
    pub measures: AtomicU32,
    /// Not 0 once all that follows is written.
    pub complete: AtomicU32,
    /// How many times it got the lock.
    pub acquisitions: AtomicU64,
    /// How many of them followed one by another process.
    pub handoffs: AtomicU64,
    /// How many operations were reads.
    pub reads: AtomicU64,
    /// How many operations were refused.
    pub refused: AtomicU64,
    /// How many critical sections were watched.
    pub watched: AtomicU64,
    /// In how many somebody else was seen.
    pub overlaps: AtomicU64,
    /// Processor time in user mode while measuring, in nanoseconds.
    pub cpu_user_ns: AtomicU64,
    /// Processor time in the kernel while measuring, in nanoseconds.
    pub cpu_system_ns: AtomicU64,
    /// Context switches by waiting while measuring.
    pub switches_voluntary: AtomicU64,
    /// Context switches by being displaced while measuring.
    pub switches_involuntary: AtomicU64,
    /// Bytes of its encoded histograms: wait, hold, whole, one behind the other.
    pub histogram_bytes: [AtomicU32; 3],
    padding: AtomicU32,
    /// From whom the lock came, itself included, where the processes are few enough to tell.
    pub came_from: [AtomicU64; MATRIX_PROCESSES_MAX as usize],
}

/// Words that concern the whole round.
#[derive(Debug)]
pub struct Times<'a>(&'a [AtomicU64]);

impl Times<'_> {
    /// When warm-up ends and measuring begins.
    #[must_use]
    pub fn begin_ns(&self) -> u64 {
        self.0[0].load(Ordering::Acquire)
    }

    /// When measuring ends.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        self.0[1].load(Ordering::Acquire)
    }

    /// Stores when measuring begins and when it ends, in nanoseconds of the shared clock.
    pub fn set(&self, begin_ns: u64, end_ns: u64) {
        self.0[0].store(begin_ns, Ordering::Release);
        self.0[1].store(end_ns, Ordering::Release);
    }
}

/// The arena, mapped.
#[derive(Debug)]
pub struct Arena {
    region: Arc<Region>,
    size: Size,
    /// Where each part begins in the mapping: kept, because the marks are looked up at each acquisition.
    at: Offsets,
}

#[derive(Clone, Copy, Debug)]
struct Offsets {
    times: usize,
    marks: usize,
    mutexes: usize,
    tallies: usize,
    histograms: usize,
}

impl Arena {
    /// Makes a new one, all zero, its mutexes ready.
    pub fn create(size: Size) -> io::Result<Self> {
        let arena = Self::of(Region::create_with_room(size.layout(), size.bytes())?, size);
        arena.mutexes().iter().try_for_each(Mutex::prepare)?;
        Ok(arena)
    }

    /// Maps one that another process made.
    pub fn attach(memory: OwnedFd, size: Size) -> io::Result<Self> {
        Ok(Self::of(Region::attach_with_room(memory, size.layout(), size.bytes())?, size))
    }

    fn of(region: Region, size: Size) -> Self {
        let times = region.room_at();
        let at = Offsets {
            times,
            marks: times + PAGE_BYTES,
            mutexes: times + size.mutexes_at(),
            tallies: times + size.tallies_at(),
            histograms: times + size.histograms_at(),
        };
        Self { region: Arc::new(region), size, at }
    }

    /// The region in front of it.
    #[must_use]
    pub fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// How many of what.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// The times at which measuring begins and ends.
    #[must_use]
    pub fn times(&self) -> Times<'_> {
        Times(self.region.mapping().view(self.at.times, 2))
    }

    /// The containers' marks.
    #[inline]
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        self.region.mapping().view(self.at.marks, self.size.containers as usize)
    }

    /// The containers' mutexes.
    #[inline]
    pub(crate) fn mutexes(&self) -> &[Mutex] {
        self.region.mapping().mutexes(self.at.mutexes, self.size.containers as usize)
    }

    /// The processes' tallies.
    #[must_use]
    pub fn tallies(&self) -> &[Tally] {
        self.region.mapping().view(self.at.tallies, self.size.processes as usize)
    }

    /// Room for one process's encoded histograms.
    #[must_use]
    pub fn histograms(&self, process: u32) -> &[AtomicU8] {
        assert!(process < self.size.processes, "no such process");
        let at = self.at.histograms + process as usize * HISTOGRAM_BYTES;
        self.region.mapping().view(at, HISTOGRAM_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holders_one_after_the_other_are_told_apart_and_two_at_once_are_seen() {
        let arena = Arena::create(Size { processes: 3, containers: 5 }).expect("an arena");
        let mark = &arena.marks()[4];
        assert_eq!(mark.enter(2), Entered { before: None, overlaps: false });
        assert!(!mark.leave(2));
        assert_eq!(mark.enter(0), Entered { before: Some(2), overlaps: false });
        assert_eq!(mark.enter(1), Entered { before: Some(0), overlaps: true }, "seen by who comes in");
        assert!(mark.leave(0), "and by who is inside");
        assert!(mark.leave(1), "and by who came");
    }

    #[test]
    fn the_mutexes_can_be_taken() {
        let arena = Arena::create(Size { processes: 1, containers: 70 }).expect("an arena");
        let mutex = &arena.mutexes()[69];
        mutex.lock().expect("it is free");
        assert!(!mutex.try_lock().expect("it is there"));
        mutex.unlock().expect("it is held");
        assert!(mutex.unlock().is_err(), "it is not");
        assert!(mutex.try_lock().expect("it is free"));
        assert_eq!(arena.histograms(0).len(), HISTOGRAM_BYTES);
    }
}
