//! Traits: what a subject can do, and what can be seen of it. Engines and scenarios ask them, and guess nothing from a
//! subject's name.

use flockwork::Operation;

use crate::history::Deaths;
use crate::model::Builtin;

/// What a subject says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traits {
    /// The operations that it has. Whatever needs another does not apply to it.
    pub operations: &'static [Operation],
    /// Whether its sessions tell the watch whenever they hold a container's lock.
    pub watch: bool,
    /// Whether its operations start processes, which live on behind the containers. Exploration does not control those.
    pub children: bool,
    /// Whether its containers may stop by themselves, where that is known.
    pub deaths: Option<Deaths>,
    /// What is legal for its containers, where that is known: only then what tells no revision can be judged.
    pub model: Option<Builtin>,
    /// Keys of JSON in its files whose values differ from run to run and decide nothing: a time of day, say. Whatever it
    /// does not name counts.
    pub volatile: &'static [&'static str],
}

impl Traits {
    /// Whether it has this operation.
    #[must_use]
    pub fn has(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }
}
