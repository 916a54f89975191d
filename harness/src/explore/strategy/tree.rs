//! The prefixes of executions that a search still needs: a node per step, and nothing but who took it.
//!
//! A node lives as long as something below it is still to be run or under way: only executions that pass through it
//! can add to it. What a step touched is not kept: whoever runs the prefix again sees it again.

use crate::explore::step::Mask;

/// A node's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node(u32);

impl Node {
    /// Where every execution begins.
    pub const ROOT: Self = Self(0);
}

/// How a node is entered from the one above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who takes the step.
    pub process: usize,
    /// Whose steps were already wanted instead, from the node above, when this one came to be wanted.
    pub earlier: Mask,
}

#[derive(Debug)]
struct Slot {
    parent: u32,
    /// Children, and one for each time that somebody holds it.
    holds: u32,
    /// Who was ever wanted to take the next step.
    wanted: Mask,
    earlier: Mask,
    process: u8,
}

/// The prefixes that were tried, as a tree: each node is a step, its children the steps taken after it.
#[derive(Debug)]
pub struct Tree {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Default for Tree {
    /// With nothing but its root, held once.
    fn default() -> Self {
        let root =
            Slot { parent: 0, holds: 1, wanted: Mask::default(), earlier: Mask::default(), process: 0 };
        Self { slots: vec![root], free: Vec::new() }
    }
}

impl Tree {
    /// A new node below this one, held once.
    pub fn grow(&mut self, parent: Node, entry: Entry) -> Node {
        self.hold(parent);
        let slot = Slot {
            parent: parent.0,
            holds: 1,
            wanted: Mask::default(),
            earlier: entry.earlier,
            process: entry.process as u8,
        };
        if let Some(free) = self.free.pop() {
            self.slots[free as usize] = slot;
            return Node(free);
        }
        self.slots.push(slot);
        Node(u32::try_from(self.slots.len() - 1).expect("fewer prefixes than memory holds"))
    }

    /// Keeps the node until it is released once more.
    pub fn hold(&mut self, node: Node) {
        self.slots[node.0 as usize].holds += 1;
    }

    /// Gives up a hold: nodes that nobody holds any more are gone, up towards the root.
    pub fn release(&mut self, node: Node) {
        let mut at = node.0;
        loop {
            let slot = &mut self.slots[at as usize];
            slot.holds -= 1;
            if slot.holds > 0 || at == Node::ROOT.0 {
                return;
            }
            self.free.push(at);
            at = slot.parent;
        }
    }

    /// Who was ever wanted to take the next step after the node.
    #[must_use]
    pub fn wanted(&self, node: Node) -> Mask {
        self.slots[node.0 as usize].wanted
    }

    /// Wants these as well.
    pub fn want(&mut self, node: Node, processes: Mask) {
        let slot = &mut self.slots[node.0 as usize];
        slot.wanted = slot.wanted.union(processes);
    }

    /// The nodes from the root to this one, both included.
    #[must_use]
    pub fn path(&self, node: Node) -> Vec<Node> {
        let mut path = vec![node];
        let mut at = node.0;
        while at != Node::ROOT.0 {
            at = self.slots[at as usize].parent;
            path.push(Node(at));
        }
        path.reverse();
        path
    }

    /// How the node is entered; the root is not.
    #[must_use]
    pub fn entry(&self, node: Node) -> Entry {
        let slot = &self.slots[node.0 as usize];
        Entry { process: usize::from(slot.process), earlier: slot.earlier }
    }

    /// How many nodes there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}
