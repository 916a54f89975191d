//! The shared region: one memory file that the harness, the zygote and every worker map.
//!
//! It holds the run's control words, the owner word, the overlaps they saw, and for each process a header, room for
//! texts and a log. Everything in it is atomic, so that a process killed at any point leaves nothing half-valid; and
//! nothing in it is a lock, so that a killed process can block nobody.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};

use rustix::fs::{FallocateFlags, MemfdFlags};
use serde::{Deserialize, Serialize};

use super::log::Entry;
use super::sys::Mapping;

/// Bytes of one process's last words.
pub const LAST_WORDS_BYTES: usize = 1024;
/// Bytes for the texts of one process's log.
pub const TEXT_BYTES: usize = 256 * 1024;
/// Words that a controller exchanges with one process.
pub const MAIL_WORDS: usize = 8;
/// Overlaps kept; more are counted only.
pub const OVERLAPS_MAX: usize = 16 * 1024;

const PAGE_BYTES: usize = 4096;
/// The owner word come right behind the control words.
const WORDS_AT: usize = PAGE_BYTES;

/// How the region is laid out: a value, so that all who map it agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Processes numbered from 0.
    pub workers: u32,
    /// Processes numbered after the workers; one more, the examiner, comes after them.
    pub auditors: u32,
    /// How many containers, each with a owner word.
    pub containers: u32,
    /// Entries of each worker's log.
    pub worker_entries: u64,
    /// Entries of each auditor's log.
    pub auditor_entries: u64,
    /// Entries of the examiner's log.
    pub examiner_entries: u64,
    /// How many holds of a lock there is room for, an entry of each log; 0 where nobody asks who held a lock when.
    pub holds_per_entry: u32,
}

impl Layout {
    /// The examiner's number.
    #[must_use]
    pub const fn examiner(&self) -> u32 {
        self.workers + self.auditors
    }

    /// How many processes have a header and a log.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.examiner() + 1
    }

    /// Entries of one process's log.
    #[must_use]
    pub const fn entries_of(&self, process: u32) -> u64 {
        if process < self.workers {
            self.worker_entries
        } else if process < self.examiner() {
            self.auditor_entries
        } else {
            self.examiner_entries
        }
    }

    const fn overlaps_at(self) -> usize {
        pages(WORDS_AT + self.containers as usize * size_of::<Word>())
    }

    const fn headers_at(self) -> usize {
        pages(self.overlaps_at() + OVERLAPS_MAX * size_of::<OverlapCell>())
    }

    const fn texts_at(self) -> usize {
        pages(self.headers_at() + self.slots() as usize * size_of::<Header>())
    }

    const fn logs_at(self) -> usize {
        self.texts_at() + self.slots() as usize * TEXT_BYTES
    }

    const fn log_at(self, process: u32) -> usize {
        let workers = if process < self.workers { process } else { self.workers };
        let rest = process - workers;
        let auditors = if rest < self.auditors { rest } else { self.auditors };
        self.logs_at()
            + workers as usize * log_bytes(self.worker_entries)
            + auditors as usize * log_bytes(self.auditor_entries)
    }

    /// How many holds of a lock of one process there is room for.
    const fn holds_of(&self, process: u32) -> usize {
        self.entries_of(process) as usize * self.holds_per_entry as usize
    }

    /// The holds come behind all logs.
    const fn holds_at(&self, process: u32) -> usize {
        let mut at = self.log_at(self.examiner()) + log_bytes(self.examiner_entries);
        let mut before = 0;
        while before < process {
            at += pages(self.holds_of(before) * size_of::<HoldCell>());
            before += 1;
        }
        at
    }

    /// Size of the whole; only what is touched is ever backed by memory.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.holds_at(self.slots())
    }
}

const fn pages(bytes: usize) -> usize {
    bytes.next_multiple_of(PAGE_BYTES)
}

const fn log_bytes(entries: u64) -> usize {
    pages(entries as usize * size_of::<Entry>())
}

/// Words that concern the whole run.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Control {
    /// The start barrier: 0 until all may go. A futex.
    pub go: AtomicU32,
    /// Not 0 once everybody is to finish the operation at hand and leave.
    pub end: AtomicU32,
    /// Not 0 once every worker has left: auditors leave too.
    pub workers_left: AtomicU32,
    /// From when on no worker begins an operation.
    pub deadline_ns: AtomicU64,
    padding: [AtomicU64; 13],
    /// How many have opened their sessions and wait at the barrier.
    pub ready: AtomicU32,
    /// How many overlaps there were, those beyond the table included.
    pub overlaps: AtomicU32,
    /// Overlaps in which the one inside had not been sent SIGKILL.
    pub overlaps_unexcused: AtomicU64,
    /// Processes that ended in a way nobody asked for.
    pub crashes: AtomicU64,
}

/// The owner word of one container, on a cache line of its own: see [`super::overlap`].
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Word(pub AtomicU64);

/// One overlap; `at_ns` is stored last, and is 0 in a cell that is not complete.
#[repr(C)]
#[derive(Debug)]
pub struct OverlapCell {
    /// When the second process came in, in nanoseconds.
    pub at_ns: AtomicU64,
    /// Identity of the process that was inside.
    pub inside: AtomicU64,
    /// Identity of the process that came in.
    pub entered: AtomicU64,
    /// The container whose critical section it was.
    pub container: AtomicU64,
}

/// One time that a process held a container's lock.
#[repr(C)]
#[derive(Debug)]
pub struct HoldCell {
    /// When it had the lock.
    pub from_ns: AtomicU64,
    /// When it was about to let go; 0 until then.
    pub to_ns: AtomicU64,
    /// The index of the container whose lock was held.
    pub container: AtomicU32,
    /// [`HOLD_SHARED`] or [`HOLD_ALONE`].
    pub mode: AtomicU32,
}

/// A reader held the lock, together with others perhaps.
pub const HOLD_SHARED: u32 = 1;
/// One process held the lock alone.
pub const HOLD_ALONE: u32 = 2;

/// What one process says of itself, and what the zygote says of it.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct Header {
    /// How many entries of its log it has begun.
    pub published: AtomicU64,
    /// How many operations returned: what progress shows.
    pub completed: AtomicU64,
    /// Answers that found the metadata torn.
    pub torn: AtomicU64,
    /// Critical sections entered under watch.
    pub sections: AtomicU64,
    /// When it first went.
    pub started_ns: AtomicU64,
    /// When it had done all it should; 0 until then.
    pub finished_ns: AtomicU64,
    /// Not 0 where its log was full before its work was done.
    pub full: AtomicU32,
    /// Bytes used of its texts.
    pub text_used: AtomicU32,
    /// Holds of a lock begun, those included for which there was no room.
    pub holds: AtomicU64,
    padding: [AtomicU64; 8],
    /// Which incarnation of the process was last sent SIGKILL; written by the zygote before the signal.
    pub killed_incarnation: AtomicU32,
    /// A fresh process that performs the operation at hand: see the engine's fresh processes.
    pub child: AtomicU32,
    /// Words that a controller and this process exchange; their meaning is the engine's.
    pub mail: [AtomicU32; MAIL_WORDS],
    /// Length of its last words.
    pub last_words_bytes: AtomicU32,
    /// What it said as it panicked.
    pub last_words: [AtomicU8; LAST_WORDS_BYTES],
}

/// The region, mapped.
#[derive(Debug)]
pub struct Region {
    memory: OwnedFd,
    mapping: Mapping,
    layout: Layout,
}

impl Region {
    /// Makes a new region, all zero.
    pub fn create(layout: Layout) -> io::Result<Self> {
        Self::create_with_room(layout, 0)
    }

    /// The same with room behind it for what else an engine shares.
    pub fn create_with_room(layout: Layout, room_bytes: usize) -> io::Result<Self> {
        let memory = rustix::fs::memfd_create("flockwork-log", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, (layout.bytes() + room_bytes) as u64)?;
        Self::attach_with_room(memory, layout, room_bytes)
    }

    /// Maps a region that another process made.
    pub fn attach(memory: OwnedFd, layout: Layout) -> io::Result<Self> {
        Self::attach_with_room(memory, layout, 0)
    }

    /// The same for one that was made with room.
    pub fn attach_with_room(memory: OwnedFd, layout: Layout, room_bytes: usize) -> io::Result<Self> {
        let mapping = Mapping::of(&memory, layout.bytes() + room_bytes)?;
        Ok(Self { memory, mapping, layout })
    }

    /// Where the room behind the region begins in its mapping.
    pub(super) const fn room_at(&self) -> usize {
        self.layout.bytes()
    }

    pub(super) const fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The memory file.
    #[must_use]
    pub fn memory(&self) -> impl AsFd + '_ {
        &self.memory
    }

    /// How it is laid out.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The run's words.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.mapping.view(0, 1)[0]
    }

    /// The containers' owner word.
    #[must_use]
    pub fn words(&self) -> &[Word] {
        self.mapping.view(WORDS_AT, self.layout.containers as usize)
    }

    /// The table of overlaps.
    #[must_use]
    pub fn overlaps(&self) -> &[OverlapCell] {
        self.mapping.view(self.layout.overlaps_at(), OVERLAPS_MAX)
    }

    /// Every process's header.
    #[must_use]
    pub fn headers(&self) -> &[Header] {
        self.mapping.view(self.layout.headers_at(), self.layout.slots() as usize)
    }

    /// One process's header.
    #[must_use]
    pub fn header(&self, process: u32) -> &Header {
        &self.headers()[process as usize]
    }

    /// One process's texts.
    #[must_use]
    pub fn texts(&self, process: u32) -> &[AtomicU8] {
        assert!(process < self.layout.slots(), "no such process");
        self.mapping.view(self.layout.texts_at() + process as usize * TEXT_BYTES, TEXT_BYTES)
    }

    /// One process's log.
    #[must_use]
    pub fn entries(&self, process: u32) -> &[Entry] {
        assert!(process < self.layout.slots(), "no such process");
        self.mapping.view(self.layout.log_at(process), self.layout.entries_of(process) as usize)
    }

    /// What one process held, and when.
    #[must_use]
    pub fn holds(&self, process: u32) -> &[HoldCell] {
        assert!(process < self.layout.slots(), "no such process");
        self.mapping.view(self.layout.holds_at(process), self.layout.holds_of(process))
    }

    /// Gives the memory behind one process's log back. Its entries read as zero from then on.
    pub fn release_entries(&self, process: u32) {
        self.release(self.layout.log_at(process), log_bytes(self.layout.entries_of(process)));
    }

    /// The same for what it held.
    pub fn release_holds(&self, process: u32) {
        self.release(
            self.layout.holds_at(process),
            pages(self.layout.holds_of(process) * size_of::<HoldCell>()),
        );
    }

    fn release(&self, at: usize, bytes: usize) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        if bytes > 0 {
            // Only a matter of economy: where it cannot be done, the memory goes with the region.
            _ = rustix::fs::fallocate(&self.memory, flags, at as u64, bytes as u64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_do_not_overlap_and_fill_the_region() {
        let layout = Layout {
            workers: 3,
            auditors: 2,
            containers: 70,
            worker_entries: 1000,
            auditor_entries: 10,
            examiner_entries: 7,
            holds_per_entry: 2,
        };
        for process in 0..layout.examiner() {
            let end = layout.log_at(process) + layout.entries_of(process) as usize * size_of::<Entry>();
            assert!(end <= layout.log_at(process + 1), "log {process} runs into the next");
            let end = layout.holds_at(process) + layout.holds_of(process) * size_of::<HoldCell>();
            assert!(end <= layout.holds_at(process + 1), "the holds of {process} run into the next");
        }
        let last = layout.log_at(layout.examiner()) + 7 * size_of::<Entry>();
        assert!(last <= layout.holds_at(0), "the last log runs into the holds");
        let region = Region::create(layout).expect("a region");
        assert_eq!(region.entries(layout.examiner()).len(), 7);
        assert_eq!((region.holds(0).len(), region.holds(4).len()), (2000, 20));
        assert_eq!(region.words().len(), 70);
    }
}
