//! Steps: what one process does between two of its stops, and which steps depend on one another.
//!
//! Two executions that differ only in the order of independent steps are the same for every process and leave the
//! same files. Everything a strategy may leave out rests on [`Footprint::conflicts`], so where it is not known what a
//! step touches, it must touch too much, never too little.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Something that steps can depend on each other through: a file's content, an entry of a folder, a lock, the passing
/// of an operation's invocation or return.
///
/// It is a hash of the object's name, which is the same in every execution that begins with the same steps. Should two
/// names fall on one hash, steps depend on each other that need not: nothing is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object(u64);

impl Object {
    /// When operations are invoked and return: that one returned before another was invoked is for everybody to see,
    /// and a history is judged by it. An invocation reads it, a return updates it.
    pub const REAL_TIME: Self = Self(0);

    /// What a power loss leaves: every call that changes it, or makes some of it last, writes it, where power losses are tried.
    pub const DISK: Self = Self(1);

    /// The object of this name.
    #[must_use]
    pub fn named(name: &impl Hash) -> Self {
        // Its keys are fixed: the same name must be the same object in every run.
        let mut hasher = siphasher::sip::SipHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish().max(2))
    }

    /// The hash that it is.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// How a step touches an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Access {
    /// It depends on what it finds.
    Read,
    /// It changes the object in a way that commutes with other updates: two entries made in one folder, two shared
    /// locks taken.
    Update,
    /// It changes the object.
    Write,
}

impl Access {
    /// Whether the order of the two matters.
    #[must_use]
    pub const fn conflicts(self, other: Self) -> bool {
        !matches!((self, other), (Self::Read, Self::Read) | (Self::Update, Self::Update))
    }
}

/// All that one step touches: sorted, each object at most once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Footprint(Arc<[(Object, Access)]>);

impl Footprint {
    /// Of these touches. An object touched in several ways is touched in the strongest; an update and a read together
    /// are a write.
    #[must_use]
    pub fn of(mut touches: Vec<(Object, Access)>) -> Self {
        touches.sort_unstable();
        touches.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same && next.1 != kept.1 {
                // Read and update, or anything with a write.
                kept.1 = Access::Write;
            }
            same
        });
        Self(touches.into())
    }

    /// Each object with the kind of access, in no particular order; none twice.
    #[must_use]
    pub fn touches(&self) -> &[(Object, Access)] {
        &self.0
    }

    /// How it touches this object, if it does.
    #[must_use]
    pub fn access(&self, object: Object) -> Option<Access> {
        let found = self.0.binary_search_by_key(&object, |touch| touch.0);
        found.ok().map(|at| self.0[at].1)
    }

    /// Whether the order of two such steps can matter.
    #[must_use]
    pub fn conflicts(&self, other: &Self) -> bool {
        self.conflicts_beside(other, None)
    }

    /// The same, but for one object that is left out of account.
    #[must_use]
    pub fn conflicts_beside(&self, other: &Self, except: Option<Object>) -> bool {
        let (mut ours, mut theirs) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(our), Some(their)) = (ours.peek(), theirs.peek()) {
            match our.0.cmp(&their.0) {
                std::cmp::Ordering::Less => _ = ours.next(),
                std::cmp::Ordering::Greater => _ = theirs.next(),
                std::cmp::Ordering::Equal => {
                    if Some(our.0) != except && our.1.conflicts(their.1) {
                        return true;
                    }
                    ours.next();
                    theirs.next();
                }
            }
        }
        false
    }
}

/// What a step may have to wait for: until then its process is not enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gate {
    /// Nothing: once its process is there, the step can happen.
    #[default]
    Open,
    /// It takes this lock, and waits while others hold it. That a release comes before it is no race: it could not
    /// have come first. Its race is with the acquisition that got ahead of it.
    Lock(Object),
    /// It sleeps before it looks again, and nothing that it looked at has changed: to wake it would repeat what was
    /// seen. It waits for a change to what its footprint reads.
    Change,
}

/// Which part a step plays for the locks it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockPart {
    /// It took the lock.
    Acquire(Object),
    /// It let the lock go.
    Release(Object),
}

/// A step that a process is about to take: known before it happens, as everybody stands still.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What it reads and writes: it conflicts with whatever touches the same, unless both only read.
    pub footprint: Footprint,
    /// What it may wait for.
    pub gate: Gate,
    /// What it means for a lock.
    pub lock: Option<LockPart>,
    /// What it does, for people and for replay: `flock c1/meta.lock exclusive`.
    pub label: Arc<str>,
}

impl Step {
    /// The same, which touched more than was foreseen.
    #[must_use]
    pub fn and(self, more: &Footprint) -> Self {
        let both = self.footprint.touches().iter().chain(more.touches()).copied().collect();
        Self { footprint: Footprint::of(both), ..self }
    }
}

/// A step that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The number of the process that took the step, from 0.
    pub process: usize,
    /// The step, as it was just before.
    pub step: Step,
}

/// The set of processes with some property: there are at most [`Mask::CAPACITY`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask(pub u32);

impl Mask {
    /// Most processes that an exploration can control.
    pub const CAPACITY: usize = 32;

    /// Whether the process is in it.
    #[must_use]
    pub const fn has(self, process: usize) -> bool {
        self.0 >> process & 1 == 1
    }

    /// The same set with this process.
    #[must_use]
    pub const fn with(self, process: usize) -> Self {
        Self(self.0 | 1 << process)
    }

    /// Who is in one of the two.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Who is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Who is in this one, but not in the other.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The smallest number in the set; none where it is empty.
    #[must_use]
    pub const fn lowest(self) -> Option<usize> {
        if self.is_empty() { None } else { Some(self.0.trailing_zeros() as usize) }
    }

    /// The same set without this process.
    #[must_use]
    pub const fn without(self, process: usize) -> Self {
        Self(self.0 & !(1 << process))
    }

    /// Whether nobody is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many are in it.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Who is in it, in order.
    pub fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::CAPACITY).filter(move |&process| self.has(process))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touching(touches: &[(&str, Access)]) -> Footprint {
        Footprint::of(touches.iter().map(|(name, access)| (Object::named(name), *access)).collect())
    }

    #[test]
    fn what_commutes_does_not_conflict() {
        use Access::{Read, Update, Write};
        for (one, other, conflict) in [
            (Read, Read, false),
            (Update, Update, false),
            (Read, Update, true),
            (Update, Read, true),
            (Write, Write, true),
            (Write, Read, true),
            (Write, Update, true),
        ] {
            let (one, other) =
                (touching(&[("a", one), ("b", Write)]), touching(&[("a", other), ("c", Write)]));
            assert_eq!(one.conflicts(&other), conflict, "{one:?} {other:?}");
            assert_eq!(other.conflicts(&one), conflict, "{one:?} {other:?}");
            assert!(!one.conflicts_beside(&other, Some(Object::named(&"a"))));
        }
    }

    #[test]
    fn an_object_touched_twice_is_touched_in_the_strongest_way() {
        use Access::{Read, Update, Write};
        assert_eq!(touching(&[("a", Read), ("a", Read)]), touching(&[("a", Read)]));
        assert_eq!(touching(&[("a", Update), ("a", Read)]), touching(&[("a", Write)]));
        assert_eq!(touching(&[("a", Update), ("a", Write), ("a", Read)]), touching(&[("a", Write)]));
    }

    #[test]
    fn masks_are_sets() {
        let mask = Mask::default().with(3).with(31).without(4);
        assert_eq!(mask.iter().collect::<Vec<_>>(), [3, 31]);
        assert_eq!((mask.len(), mask.without(3).without(31).is_empty()), (2, true));
    }
}
