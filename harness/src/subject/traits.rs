//! Traits: what a subject can do, and what can be seen of it. Engines and scenarios ask them, and guess nothing from a
//! subject's name.

use flockwork::Operation;

use crate::history::Deaths;
use crate::model::Builtin;
use crate::plan::schedule::{Fault, FaultKind};

/// What a subject says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a trait of its own, and none follows from another"
)]
pub struct Traits {
    /// The operations that it has. Whatever needs another does not apply to it.
    pub operations: &'static [Operation],
    /// Whether its answers tell the generation and revision that they left or saw. Where they do, the order of its saves is
    /// known; where they do not, no check of revisions applies, and a search decides what is linearizable.
    pub tokens: bool,
    /// Whether the generation that a create takes follows from its files alone, as that of a counter in a file does: then it is the
    /// same whenever the files are. One that is taken from a clock is not, and no execution may be judged by that of another.
    pub counts_generations: bool,
    /// Whether its sessions tell the watch whenever they hold a container's lock.
    pub watch: bool,
    /// Whether its operations start processes, which live on behind the containers. Exploration does not control those.
    pub children: bool,
    /// Whether a reader without any lock must always find whole metadata, as it does where saves replace the file. Where
    /// not, only a reader that takes the lock may call metadata torn.
    pub lock_free_reads: bool,
    /// Whether its containers may stop by themselves, where that is known.
    pub deaths: Option<Deaths>,
    /// What is legal for its containers, where that is known: only then what tells no revision can be judged.
    pub model: Option<Builtin>,
    /// Every folder in which its processes share state: exploration controls steps in these, and puts them back.
    pub roots: &'static [Root],
    /// What may go wrong in its processes: it is asked for nothing else. A subject that cannot be killed half-way, say,
    /// leaves out `kill`.
    pub faults: &'static [FaultKind],
    /// Keys of JSON in its files whose values differ from run to run and decide nothing: a time of day, say. Whatever it
    /// does not name counts.
    pub volatile: &'static [&'static str],
}

/// A folder of shared state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// The folder that the session's seat names.
    Seat,
    /// The folder beside it whose name is the seat's and then this suffix. It is there only once something lies in it.
    Beside(&'static str),
}

impl Traits {
    /// Of a subject that has nothing to say of itself: what a test's subject starts from.
    #[cfg(test)]
    pub const NONE: Self = Self {
        operations: &[],
        tokens: false,
        counts_generations: false,
        watch: false,
        children: false,
        lock_free_reads: false,
        deaths: None,
        model: None,
        roots: &[],
        faults: &[],
        volatile: &[],
    };

    /// Whether it has this operation.
    #[must_use]
    pub fn has(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }

    /// Whether this fault may meet its processes.
    #[must_use]
    pub fn takes(&self, fault: Fault) -> bool {
        self.faults.contains(&FaultKind::from(fault))
    }

    /// The suffix of the folder that it has beside the seat's, where it has one.
    #[must_use]
    pub fn beside(&self) -> Option<&'static str> {
        self.roots.iter().find_map(|root| match root {
            Root::Seat => None,
            Root::Beside(suffix) => Some(*suffix),
        })
    }
}
