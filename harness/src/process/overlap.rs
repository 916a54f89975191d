//! The owner word: one word a container in shared memory, in which each holder of its lock leaves its identity.
//!
//! Who comes in and finds somebody inside has seen an overlap, whatever the lock says of itself.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::clock;
use super::region::{HOLD_ALONE, HOLD_SHARED, HoldCell, OVERLAPS_MAX, Region};

/// Watches the critical section from inside: a subject says when it has the container's exclusive lock.
///
/// `enter` also waits as long as the plan wants a holder to be slow.
pub trait Watch: Send + Sync + std::fmt::Debug {
    /// The caller holds the container's lock now.
    fn enter(&self, container: u32);
    /// The caller is about to release it.
    fn leave(&self, container: u32);
    /// The caller, a reader, holds the container's lock together with other readers.
    fn enter_shared(&self, _container: u32) {}
    /// The reader is about to release it.
    fn leave_shared(&self, _container: u32) {}
}

/// How far back the hold that ends now may have begun, in holds.
const OPEN_MAX: usize = 16;

/// Who is inside: the process's number and which incarnation of it, unique over the run. Never 0 as a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The process's number.
    pub process: u32,
    /// Which of the run's processes sat at that number.
    pub incarnation: u32,
}

impl Identity {
    /// The identity packed into one word, so that it can be swapped atomically.
    #[must_use]
    pub const fn word(self) -> u64 {
        (self.process as u64 + 1) << 32 | self.incarnation as u64
    }

    /// From a word; `None` for nobody.
    #[must_use]
    pub const fn of_word(word: u64) -> Option<Self> {
        match (word >> 32).checked_sub(1) {
            Some(process) => Some(Self { process: process as u32, incarnation: word as u32 }),
            None => None,
        }
    }
}

/// One process's watch.
#[derive(Debug)]
pub struct OverlapDetector {
    region: Arc<Region>,
    identity: Identity,
    hold_ns: RangeInclusive<u64>,
    /// State of the generator of holding times. They need to be spread, not to be the same in every run.
    random: AtomicU64,
}

impl OverlapDetector {
    /// Watches for this process, and holds it inside for a random time within the range.
    #[must_use]
    pub fn new(region: Arc<Region>, identity: Identity, hold_ns: RangeInclusive<u64>) -> Self {
        Self { region, identity, hold_ns, random: AtomicU64::new(identity.word()) }
    }

    fn hold(&self) {
        let (least, most) = (*self.hold_ns.start(), *self.hold_ns.end());
        if most == 0 {
            return;
        }
        // SplitMix64.
        let mut mixed = self
            .random
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
            .wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let span = u128::from(most.saturating_sub(least)) + 1;
        clock::wait_ns(least + ((u128::from(mixed) * span) >> 64) as u64);
    }

    /// Notes that the lock is held from now on. The time is taken behind the lock and, at the end, before it is let go, so
    /// that two who held it one after the other never seem to have held it at once.
    fn note_hold(&self, container: u32, mode: u32) {
        let cells = self.region.holds(self.identity.process);
        if cells.is_empty() {
            return;
        }
        let begun = &self.region.header(self.identity.process).holds;
        let number = begun.load(Ordering::Relaxed);
        if let Some(cell) = cells.get(number as usize) {
            cell.container.store(container, Ordering::Relaxed);
            cell.mode.store(mode, Ordering::Relaxed);
            cell.to_ns.store(0, Ordering::Relaxed);
            cell.from_ns.store(clock::now_ns(), Ordering::Relaxed);
        }
        // Last: who reads the number sees all of the hold.
        begun.store(number + 1, Ordering::Release);
    }

    /// Notes that it is about to be let go.
    fn note_end(&self, container: u32, mode: u32) {
        let cells = self.region.holds(self.identity.process);
        if cells.is_empty() {
            return;
        }
        let begun = self.region.header(self.identity.process).holds.load(Ordering::Relaxed) as usize;
        // The latest that is open. Few are open at once: an operation on one container holds one lock.
        let first = begun.saturating_sub(OPEN_MAX);
        let latest = cells.get(first..begun.min(cells.len())).unwrap_or_default().iter().rev();
        let is_it = |cell: &&HoldCell| {
            cell.to_ns.load(Ordering::Relaxed) == 0
                && cell.container.load(Ordering::Relaxed) == container
                && cell.mode.load(Ordering::Relaxed) == mode
        };
        if let Some(cell) = latest.take(OPEN_MAX).find(is_it) {
            cell.to_ns.store(clock::now_ns(), Ordering::Release);
        }
    }

    #[cold]
    fn report(&self, container: u32, inside: Identity) {
        // Stamped after the word was swapped. Whoever was killed inside gave up the lock after the kill, so the stamp
        // of a lawful successor is later than the kill, always.
        let at_ns = clock::now_ns();
        let control = self.region.control();
        let killed = self.region.header(inside.process).killed_incarnation.load(Ordering::Acquire);
        if killed != inside.incarnation {
            control.overlaps_unexcused.fetch_add(1, Ordering::Relaxed);
        }
        let index = control.overlaps.fetch_add(1, Ordering::Relaxed) as usize;
        if index >= OVERLAPS_MAX {
            return;
        }
        let cell = &self.region.overlaps()[index];
        cell.inside.store(inside.word(), Ordering::Relaxed);
        cell.entered.store(self.identity.word(), Ordering::Relaxed);
        cell.container.store(u64::from(container), Ordering::Relaxed);
        cell.at_ns.store(at_ns, Ordering::Release);
    }
}

impl Watch for OverlapDetector {
    fn enter(&self, container: u32) {
        let mine = self.identity.word();
        let before = self.region.words()[container as usize].0.swap(mine, Ordering::AcqRel);
        self.region.header(self.identity.process).sections.fetch_add(1, Ordering::Relaxed);
        if before != mine
            && let Some(inside) = Identity::of_word(before)
        {
            self.report(container, inside);
        }
        self.note_hold(container, HOLD_ALONE);
        self.hold();
    }

    fn leave(&self, container: u32) {
        self.note_end(container, HOLD_ALONE);
        clear(&self.region, container, self.identity);
    }

    fn enter_shared(&self, container: u32) {
        self.note_hold(container, HOLD_SHARED);
    }

    fn leave_shared(&self, container: u32) {
        self.note_end(container, HOLD_SHARED);
    }
}

/// Takes an identity out of a container's word, where it still is what the word says.
fn clear(region: &Region, container: u32, identity: Identity) {
    let word = &region.words()[container as usize].0;
    _ = word.compare_exchange(identity.word(), 0, Ordering::AcqRel, Ordering::Relaxed);
}

/// Takes a dead process out of every word.
pub fn clear_all(region: &Region, identity: Identity) {
    for (container, word) in region.words().iter().enumerate() {
        if word.0.load(Ordering::Relaxed) == identity.word() {
            clear(region, container as u32, identity);
        }
    }
}

/// Takes a dead process out of every word, whichever incarnation of it.
pub fn clear_process(region: &Region, process: u32) {
    for word in region.words() {
        let found = word.0.load(Ordering::Relaxed);
        if Identity::of_word(found).is_some_and(|identity| identity.process == process) {
            _ = word.0.compare_exchange(found, 0, Ordering::AcqRel, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::region::Layout;

    fn watches() -> (Arc<Region>, [OverlapDetector; 2]) {
        let layout = Layout {
            workers: 2,
            auditors: 0,
            containers: 2,
            worker_entries: 1,
            auditor_entries: 0,
            examiner_entries: 0,
            holds_per_entry: 2,
        };
        let region = Arc::new(Region::create(layout).expect("a region"));
        let watch = |process| {
            OverlapDetector::new(Arc::clone(&region), Identity { process, incarnation: process + 10 }, 0..=0)
        };
        let watches = [watch(0), watch(1)];
        (region, watches)
    }

    #[test]
    fn one_after_the_other_is_no_overlap() {
        let (region, [first, second]) = watches();
        for watch in [&first, &second, &first] {
            watch.enter(1);
            watch.leave(1);
        }
        first.enter(0);
        second.enter(1);
        assert_eq!(region.control().overlaps.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn two_at_once_are_seen_and_the_first_to_leave_does_not_hide_the_other() {
        let (region, [first, second]) = watches();
        first.enter(1);
        second.enter(1);
        first.leave(1);
        first.enter(1);
        assert_eq!(region.control().overlaps.load(Ordering::Relaxed), 2);
        let cell = &region.overlaps()[0];
        let inside = Identity::of_word(cell.inside.load(Ordering::Relaxed));
        assert_eq!(inside, Some(Identity { process: 0, incarnation: 10 }));
        assert_eq!(cell.container.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn who_was_killed_inside_is_excused_and_can_be_cleared() {
        let (region, [first, second]) = watches();
        first.enter(0);
        region.header(0).killed_incarnation.store(10, Ordering::Release);
        second.enter(0);
        assert_eq!(region.control().overlaps.load(Ordering::Relaxed), 1);
        assert_eq!(region.control().overlaps_unexcused.load(Ordering::Relaxed), 0);
        clear_all(&region, Identity { process: 1, incarnation: 11 });
        assert_eq!(region.words()[0].0.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn who_held_a_lock_when_is_noted_as_far_as_there_is_room() {
        let (region, [first, second]) = watches();
        first.enter(1);
        first.enter_shared(0);
        first.leave(1);
        second.enter(1);
        second.leave(1);
        first.enter(1);
        first.leave(1);
        assert_eq!(region.header(0).holds.load(Ordering::Relaxed), 3, "one of them found no room");
        let [alone, shared] = region.holds(0) else { panic!("room for two") };
        let of = |cell: &HoldCell| {
            let [container, mode] = [&cell.container, &cell.mode].map(|word| word.load(Ordering::Relaxed));
            let [from_ns, to_ns] = [&cell.from_ns, &cell.to_ns].map(|word| word.load(Ordering::Relaxed));
            assert!(from_ns > 0 && (to_ns == 0 || to_ns >= from_ns));
            (container, mode, to_ns == 0)
        };
        assert_eq!(of(alone), (1, HOLD_ALONE, false));
        assert_eq!(of(shared), (0, HOLD_SHARED, true), "it has not been let go");
        let next_ns = region.holds(1)[0].from_ns.load(Ordering::Relaxed);
        assert!(alone.to_ns.load(Ordering::Relaxed) <= next_ns, "one after the other");
    }
}
