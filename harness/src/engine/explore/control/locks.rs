//! Who holds which file lock: the controller's own books.
//!
//! Every lock call of every controlled process stops, so the books are complete; that they agree with the kernel is
//! checked whenever a lock is granted, as the kernel itself is asked for it then.

use std::collections::HashMap;

use super::call::{LockKind, Mode, Range};
use crate::explore::step::Object;

/// A lock that somebody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holding {
    pub lock: Object,
    /// The file that it is a lock of.
    pub file: Object,
    pub process: usize,
    /// The descriptor that it was taken with; locks of kind posix belong to the process.
    pub fd: i32,
    pub kind: LockKind,
    pub mode: Mode,
    pub range: Range,
}

impl Holding {
    /// Whether both have the same owner: a lock of one's own never stands in the way.
    fn is_owned_with(&self, other: &Self) -> bool {
        self.process == other.process
            && self.kind == other.kind
            && (self.kind == LockKind::Posix || self.fd == other.fd)
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
pub(super) struct Locks {
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
    pub fn own(&self, wanted: &Holding) -> Option<&Holding> {
        self.held.iter().find(|held| held.lock == wanted.lock && held.is_owned_with(wanted))
    }

    /// Whether a lock can be had.
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

    /// What a process gives up as it closes a descriptor of this inode: its locks by this descriptor, and all its
    /// posix locks of the file.
    pub fn closing(&self, process: usize, fd: i32, file: Option<Object>) -> Vec<Holding> {
        let goes = |held: &&Holding| {
            held.process == process
                && match held.kind {
                    LockKind::Posix => Some(held.file) == file,
                    LockKind::Flock | LockKind::Ofd => held.fd == fd,
                }
        };
        self.held.iter().filter(goes).copied().collect()
    }

    /// What a process holds.
    pub fn of(&self, process: usize) -> impl Iterator<Item = &Holding> {
        self.held.iter().filter(move |held| held.process == process)
    }

    /// Whether a process holds posix locks: only then does it matter which inode a descriptor is of.
    pub fn has_posix(&self, process: usize) -> bool {
        self.of(process).any(|held| held.kind == LockKind::Posix)
    }

    /// Forgets all that a process held.
    pub fn forget(&mut self, process: usize) {
        self.held.retain(|held| held.process != process);
    }

    /// Forgets everything.
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

    fn holding(process: usize, fd: i32, mode: Mode) -> Holding {
        let (lock, file) = (Object::named(&"l"), Object::named(&"f"));
        Holding { lock, file, process, fd, kind: LockKind::Flock, mode, range: Range::ALL }
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
        assert_eq!(locks.closing(0, 3, None).len(), 1);
        locks.forget(0);
        assert!(locks.is_free(&holding(1, 3, Mode::Exclusive)));
    }

    #[test]
    fn posix_locks_belong_to_the_process_and_have_ranges() {
        let posix = |process, fd, start, end| Holding {
            kind: LockKind::Posix,
            range: Range { start, end },
            ..holding(process, fd, Mode::Exclusive)
        };
        let mut locks = Locks::default();
        locks.take(posix(0, 3, 0, 100));
        assert!(locks.is_free(&posix(0, 4, 50, 60)));
        locks.let_go(&posix(0, 9, 40, 60));
        assert!(locks.is_free(&posix(1, 3, 40, 60)));
        assert!(!locks.is_free(&posix(1, 3, 39, 40)) && !locks.is_free(&posix(1, 3, 60, 61)));
        assert_eq!(
            locks.closing(0, 77, Some(Object::named(&"f"))).len(),
            2,
            "any descriptor of the file will do"
        );
        assert!(locks.has_posix(0) && !locks.has_posix(1));
        let of_description = |process| Holding { kind: LockKind::Ofd, ..posix(process, 3, 0, 10) };
        assert!(!locks.is_free(&of_description(0)), "they have another owner, though it is the same process");
        locks.let_go(&posix(0, 9, 0, 100));
        locks.take(of_description(0));
        locks.let_go(&posix(0, 3, 0, 100));
        assert!(!locks.is_free(&posix(0, 3, 0, 10)), "nobody gives up what is not theirs");
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
