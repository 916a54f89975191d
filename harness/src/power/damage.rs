//! What files hold after a power loss that they never held before it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::disk::{Disk, Image, Journal, Node, state_of};

/// What is wrong with a file by itself.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Damage {
    /// It is missing, and was there all the time.
    Missing,
    /// It is empty, and never was.
    Empty,
    /// It holds zeros and nothing else.
    Zeros,
    /// It holds the beginning of what it once held.
    Cut,
    /// It holds something else.
    Mixed,
    /// Every file is one that was there: it is what they are together that never was, or was to last.
    None,
}

/// How often files were damaged in which way; by their paths, and by no path where each file by itself is whole.
pub type Damages = BTreeMap<(String, Damage), u64>;

/// What the files of an execution held at any time, with the power on.
#[derive(Debug)]
pub struct Versions {
    /// Paths that were there before, or are there after it: temporary ones are of no interest.
    lasting: BTreeSet<Box<str>>,
    contents: HashMap<Box<str>, Vec<Vec<u8>>>,
    seen: HashMap<Box<str>, HashSet<u64>>,
    /// Paths that were absent at some time.
    absent: HashSet<Box<str>>,
}

fn number(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

impl Versions {
    /// Of an execution.
    #[must_use]
    pub fn of(journal: &Journal, disk: &dyn Disk) -> Self {
        let images: Vec<Image> = (0..=journal.lines.len())
            .filter_map(|calls| Some(state_of(journal, disk, calls, &[])?.0.image))
            .collect();
        let paths = |image: &Image| image.nodes().keys().cloned().collect::<BTreeSet<Box<str>>>();
        let ends = [images.first(), images.last()].into_iter().flatten();
        let lasting: BTreeSet<Box<str>> = ends.flat_map(paths).collect();
        let mut versions =
            Self { lasting, contents: HashMap::new(), seen: HashMap::new(), absent: HashSet::new() };
        for (moment, image) in images.iter().enumerate() {
            let is_end = moment == 0 || moment + 1 == images.len();
            for path in &versions.lasting {
                match image.get(path) {
                    // On its way to what it is to hold, it is not whole.
                    Some(Node::File { content, .. }) if content.bytes().is_empty() && !is_end => {}
                    Some(Node::File { content, .. }) => {
                        let bytes = content.bytes();
                        if versions.seen.entry(path.clone()).or_default().insert(number(&bytes)) {
                            versions.contents.entry(path.clone()).or_default().push(bytes.into_owned());
                        }
                    }
                    Some(_) => {}
                    None => _ = versions.absent.insert(path.clone()),
                }
            }
        }
        versions
    }

    /// What is wrong with each file of a state; where each is whole, that is told.
    #[must_use]
    pub fn damage(&self, image: &Image) -> Vec<(String, Damage)> {
        let mut all: Vec<(String, Damage)> = self
            .lasting
            .iter()
            .filter_map(|path| Some((path.to_string(), self.of_file(path, image)?)))
            .collect();
        if all.is_empty() {
            all.push((String::new(), Damage::None));
        }
        all
    }

    fn of_file(&self, path: &str, image: &Image) -> Option<Damage> {
        let Some(node) = image.get(path) else {
            // A folder that is gone takes its files along: the files are told.
            let is_file = self.seen.contains_key(path);
            return (is_file && !self.absent.contains(path)).then_some(Damage::Missing);
        };
        let Node::File { content, .. } = node else { return None };
        let bytes = content.bytes();
        if self.seen.get(path).is_some_and(|seen| seen.contains(&number(&bytes))) {
            return None;
        }
        let is_beginning =
            || self.contents.get(path).is_some_and(|all| all.iter().any(|one| one.starts_with(&bytes)));
        Some(match () {
            () if bytes.is_empty() => Damage::Empty,
            () if bytes.iter().all(|byte| *byte == 0) => Damage::Zeros,
            () if is_beginning() => Damage::Cut,
            () => Damage::Mixed,
        })
    }
}
