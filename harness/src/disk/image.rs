//! A folder's content as a value: what a crash left, as whoever comes next would read it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::content::Content;
use super::journal::{Inode, ROOT, Start};

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// A regular file.
    File {
        /// Permission bits, as `chmod` takes them.
        mode: u32,
        /// What it holds; states share what they have in common.
        content: Content,
    },
    /// A directory; what lies in it has paths of its own.
    Folder {
        /// Permission bits, as `chmod` takes them.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: Box<str>,
    },
}

/// Every path below a folder. Paths that share a number are hard links to one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    nodes: BTreeMap<Box<str>, (u32, Node)>,
}

impl Image {
    /// Adds a path, relative to the folder; a parent comes before what is in it.
    pub fn insert(&mut self, path: impl Into<Box<str>>, inode: u32, node: Node) {
        self.nodes.insert(path.into(), (inode, node));
    }

    /// Every path with the number of its inode, parents first.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<Box<str>, (u32, Node)> {
        &self.nodes
    }

    /// What this path leads to.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path).map(|(_, node)| node)
    }

    /// A number that equal images share, and different ones do not: 128 bits of SipHash-1-3.
    #[must_use]
    pub fn digest(&self) -> u128 {
        // Inode numbers tell hard links apart from copies, and mean nothing else.
        let mut known: HashMap<u32, usize> = HashMap::new();
        let mut hasher = SipHasher13::new();
        for (path, (inode, node)) in &self.nodes {
            let next = known.len();
            (path, *known.entry(*inode).or_insert(next), node).hash(&mut hasher);
        }
        hasher.finish128().as_u128()
    }

    /// What is reachable from the root by these entries. A folder that is entered twice is shown once.
    pub(super) fn reachable(state: &Start) -> Self {
        let mut children: HashMap<Inode, Vec<(&str, Inode)>> = HashMap::new();
        for ((folder, name), inode) in &state.entries {
            children.entry(*folder).or_default().push((name, *inode));
        }
        let mut image = Self::default();
        let mut open = vec![(ROOT, String::new())];
        let mut entered = vec![ROOT];
        while let Some((folder, path)) = open.pop() {
            for (name, inode) in children.get(&folder).into_iter().flatten() {
                let Some(node) = state.inodes.get(inode) else { continue };
                let path = if path.is_empty() { (*name).to_owned() } else { format!("{path}/{name}") };
                if matches!(node, Node::Folder { .. }) {
                    if entered.contains(inode) {
                        continue;
                    }
                    entered.push(*inode);
                    open.push((*inode, path.clone()));
                }
                image.insert(path, inode.0, node.clone());
            }
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Node {
        Node::File { mode: 0o644, content: Content::of(text.to_owned()) }
    }

    #[test]
    fn an_image_becomes_a_start_and_an_image_again() {
        let mut image = Image::default();
        image.insert("a", 7, Node::Folder { mode: 0o755 });
        image.insert("a/b", 9, file("b"));
        image.insert("a/c", 9, file("b"));
        image.insert("d", 3, Node::Link { target: "a/b".into() });
        let again = Image::reachable(&Start::of(&image));
        assert_eq!(again.digest(), image.digest());
        assert_eq!(again.nodes().len(), 4);
    }

    #[test]
    fn hard_links_are_told_from_copies() {
        let (mut linked, mut copied) = (Image::default(), Image::default());
        for (image, second) in [(&mut linked, 1), (&mut copied, 2)] {
            image.insert("a", 1, file("x"));
            image.insert("b", second, file("x"));
        }
        assert_ne!(linked.digest(), copied.digest());
    }
}
