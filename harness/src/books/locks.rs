//! Who holds which file lock: the controller's own books.
//!
//! Every lock call of every controlled process stops, so the books are complete; that they agree with the kernel is
//! checked whenever a lock is granted, as the kernel itself is asked for it then.
//!
//! A lock belongs to an open file description, or to a process: what has several of both, as a tree of tasks has, holds
//! them apart.

use std::collections::HashMap;

use super::deed::{LockKind, Mode, Range};
use crate::explore::observe::Held;
use crate::explore::step::Object;

/// Who owns a lock, within a schedulable process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// An open file description, by a number that its keeper gives it.
    Description(u64),
    /// A process, by its pid.
    Process(u32),
}

/// A lock that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// The lock, as steps name it.
    pub lock: Object,
    /// The file that it is a lock of.
    pub file: Object,
    /// The schedulable process that it belongs to.
    pub process: usize,
    /// Who of that process owns it.
    pub owner: Owner,
    /// Which family of locks it belongs to: it conflicts only within that.
    pub kind: LockKind,
    /// Whether others may hold the file at the same time.
    pub mode: Mode,
    /// The bytes that it covers.
    pub range: Range,
}

impl Holding {
    /// Whether both have the same owner: a lock of one's own never stands in the way.
    fn is_owned_with(&self, other: &Self) -> bool {
        self.process == other.process && self.kind == other.kind && self.owner == other.owner
    }

    fn excludes(&self, other: &Self) -> bool {
        self.lock == other.lock
            && self.range.overlaps(other.range)
            && (self.mode == Mode::Exclusive || other.mode == Mode::Exclusive)
            && !self.is_owned_with(other)
    }
}

/// All locks that are held.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    held: Vec<Holding>,
    /// The parts of each file that were locked by `fcntl`, since the books were begun.
    parts: HashMap<Object, Vec<Range>>,
}

impl Locks {
    /// Who stands in the way of a lock.
    pub fn in_the_way<'l>(&'l self, wanted: &'l Holding) -> impl Iterator<Item = &'l Holding> {
        self.held.iter().filter(move |held| held.excludes(wanted))
    }

    /// What the owner of a lock has of it already.
    #[must_use]
    pub fn own(&self, wanted: &Holding) -> Option<&Holding> {
        self.held.iter().find(|held| held.lock == wanted.lock && held.is_owned_with(wanted))
    }

    /// Whether a lock can be had.
    #[must_use]
    pub fn is_free(&self, wanted: &Holding) -> bool {
        self.in_the_way(wanted).next().is_none()
    }

    /// Notes that it was taken; what the owner had of it before is replaced.
    pub fn take(&mut self, taken: Holding) {
        self.let_go(&taken);
        self.held.push(taken);
    }

    /// Notes that the owner gave a range up.
    pub fn let_go(&mut self, given: &Holding) {
        let mut kept = Vec::new();
        self.held.retain(|held| {
            let hit =
                held.lock == given.lock && held.is_owned_with(given) && held.range.overlaps(given.range);
            if hit {
                let before = Range { end: given.range.start, ..held.range };
                let behind = Range { start: given.range.end, ..held.range };
                let left = [before, behind].into_iter().filter(|range| range.start < range.end);
                kept.extend(left.map(|range| Holding { range, ..*held }));
            }
            !hit
        });
        self.held.append(&mut kept);
    }

    /// What an owner holds of a file; of every file where none is given.
    #[must_use]
    pub fn owned(&self, process: usize, owner: Owner, file: Option<Object>) -> Vec<Holding> {
        let is_owned = |held: &&Holding| {
            held.process == process && held.owner == owner && file.is_none_or(|file| held.file == file)
        };
        self.held.iter().filter(is_owned).copied().collect()
    }

    /// What a process holds.
    pub fn of(&self, process: usize) -> impl Iterator<Item = &Holding> {
        self.held.iter().filter(move |held| held.process == process)
    }

    /// Whether a process holds anything.
    #[must_use]
    pub fn has_any(&self, process: usize) -> bool {
        self.of(process).next().is_some()
    }

    /// Who holds what, for whoever looks on.
    #[must_use]
    pub fn held(&self) -> Vec<Held> {
        let told = |held: &Holding| Held {
            process: held.process,
            lock: held.lock,
            shared: held.mode == Mode::Shared,
        };
        self.held.iter().map(told).collect()
    }

    /// Forgets all that a process held.
    pub fn forget(&mut self, process: usize) {
        self.held.retain(|held| held.process != process);
    }

    /// Nobody holds anything any more: a new execution begins.
    pub fn clear(&mut self) {
        self.held.clear();
        self.parts.clear();
    }

    /// Notes which part of a file a `fcntl` lock is about. Each part is an object of its own, so they must not overlap:
    /// the error says what overlaps.
    pub fn note_part(&mut self, file: Object, part: Range) -> Result<(), &'static str> {
        let known = self.parts.entry(file).or_default();
        if known.contains(&part) {
            return Ok(());
        }
        if known.iter().any(|other| other.overlaps(part)) {
            return Err("locks parts of a file that overlap");
        }
        known.push(part);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(process: usize, description: u64, mode: Mode) -> Holding {
        let (lock, file) = (Object::named(&"l"), Object::named(&"f"));
        let owner = Owner::Description(description);
        Holding { lock, file, process, owner, kind: LockKind::Flock, mode, range: Range::ALL }
    }

    #[test]
    fn shared_go_together_and_exclusive_alone() {
        let mut locks = Locks::default();
        locks.take(holding(0, 3, Mode::Shared));
        assert!(locks.is_free(&holding(1, 3, Mode::Shared)));
        assert!(!locks.is_free(&holding(1, 3, Mode::Exclusive)));
        assert!(locks.is_free(&holding(0, 3, Mode::Exclusive)), "one's own is no obstacle");
        assert!(
            !locks.is_free(&holding(0, 4, Mode::Exclusive)),
            "another description of the same file is one"
        );
        locks.take(holding(0, 3, Mode::Exclusive));
        assert_eq!(locks.in_the_way(&holding(1, 9, Mode::Shared)).count(), 1);
        assert_eq!(locks.owned(0, Owner::Description(3), None).len(), 1);
        locks.forget(0);
        assert!(locks.is_free(&holding(1, 3, Mode::Exclusive)));
    }

    #[test]
    fn posix_locks_belong_to_the_process_and_have_ranges() {
        let posix = |process, pid, start, end| Holding {
            kind: LockKind::Posix,
            owner: Owner::Process(pid),
            range: Range { start, end },
            ..holding(process, 0, Mode::Exclusive)
        };
        let mut locks = Locks::default();
        locks.take(posix(0, 7, 0, 100));
        assert!(locks.is_free(&posix(0, 7, 50, 60)) && !locks.is_free(&posix(0, 8, 50, 60)));
        locks.let_go(&posix(0, 7, 40, 60));
        assert!(locks.is_free(&posix(1, 9, 40, 60)));
        assert!(!locks.is_free(&posix(1, 9, 39, 40)) && !locks.is_free(&posix(1, 9, 60, 61)));
        assert_eq!(locks.owned(0, Owner::Process(7), Some(Object::named(&"f"))).len(), 2);
        assert!(locks.has_any(0) && !locks.has_any(1));
        let of_description = |process| Holding {
            kind: LockKind::Ofd,
            owner: Owner::Description(3),
            ..posix(process, 7, 0, 10)
        };
        assert!(!locks.is_free(&of_description(0)), "they have another owner, though it is the same process");
        locks.let_go(&posix(0, 7, 0, 100));
        locks.take(of_description(0));
        locks.let_go(&posix(0, 7, 0, 100));
        assert!(!locks.is_free(&posix(0, 7, 0, 10)), "nobody gives up what is not theirs");
    }

    #[test]
    fn parts_of_a_file_are_the_same_or_apart() {
        let mut locks = Locks::default();
        let (file, other) = (Object::named(&"f"), Object::named(&"g"));
        let part = |start, end| Range { start, end };
        assert!(locks.note_part(file, part(0, 10)).is_ok() && locks.note_part(file, part(0, 10)).is_ok());
        assert!(locks.note_part(file, part(10, 20)).is_ok() && locks.note_part(other, Range::ALL).is_ok());
        assert!(locks.note_part(file, part(5, 6)).is_err());
        locks.clear();
        assert!(locks.note_part(file, part(5, 6)).is_ok());
    }
}
