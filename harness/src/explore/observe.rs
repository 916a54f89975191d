//! Looking on while an execution goes its way.

use std::path::Path;

use super::step::{Mask, Object, Step};

/// A file lock that a process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Whose it is, from 0.
    pub process: usize,
    /// The lock, as steps name it.
    pub lock: Object,
    /// Whether others may share it.
    pub shared: bool,
}

/// A moment before a step, for whoever looks on. Every process stands still.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'s> {
    /// How many steps have happened.
    pub depth: usize,
    /// Whose step is next.
    pub next: usize,
    /// The step that each process is about to take.
    pub pending: &'s [Option<Step>],
    /// Who can take a step.
    pub enabled: Mask,
    /// The pid of each process; none where it was killed.
    pub pids: &'s [Option<u32>],
    /// The file locks that are held.
    pub held: &'s [Held],
    /// The folder in which the containers live.
    pub root: &'s Path,
}

/// Looks on while a schedule is followed.
pub trait Observer {
    /// Whether it wants to be called at all.
    fn looks_on(&self) -> bool {
        true
    }

    /// Called before each step; all processes stay where they are until it returns.
    fn before(&mut self, scene: &Scene<'_>);

    /// Called when all commands have ended by themselves. What they left behind is still there, and is ended afterwards.
    fn over(&mut self) {}
}

/// Nobody looks on.
impl Observer for () {
    fn looks_on(&self) -> bool {
        false
    }

    fn before(&mut self, _scene: &Scene<'_>) {}
}
