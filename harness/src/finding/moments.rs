//! A schedule for whoever walks through it: its steps, and what lay in the files before each.
//!
//! Files are stored as what each step changed, since most steps change one file or none.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Version of `walk.json`.
pub const SCHEMA_VERSION: u32 = 1;
/// Its name in a finding's folder.
pub const FILE_NAME: &str = "walk.json";

/// Of a longer file the beginning is enough.
const SHOWN_BYTES_MAX: usize = 8 << 10;
/// More files than these nobody looks through.
const FILES_MAX: usize = 200;
/// Deeper folders than these are somebody's mistake.
const DEPTH_MAX: usize = 16;

/// A schedule as somebody walks through it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Walk {
    /// Version of this form.
    pub schema_version: u32,
    /// What each process does, as a heading.
    pub processes: Vec<String>,
    /// The steps, in their order.
    pub steps: Vec<WalkStep>,
    /// What happened, in words.
    pub sentence: String,
    /// What lay in the files before each step, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moments: Option<Moments>,
}

/// What the folders held between two steps of one walk through a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkStep {
    /// Whose it is, from 0.
    pub process: usize,
    /// The step as schedules spell it.
    pub text: String,
    /// Whether the violation rests on it.
    pub decisive: bool,
}

/// What a path was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub enum Entry {
    /// A regular file: its length and what may be shown of its bytes.
    File {
        /// How long it was.
        bytes: u64,
        /// How it began; what is no UTF-8 in it is replaced.
        text: String,
        /// Whether there was more of it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut: bool,
    },
    /// A directory; what lies in it has entries of its own.
    Folder,
    /// A symbolic link.
    Link {
        /// Where it led.
        target: String,
    },
    /// Something else, or nothing that could be read.
    Other,
}

/// Everything below a folder, by its path in it.
pub type Files = BTreeMap<String, Entry>;

/// What changed from one moment to the next; `None`: it was gone.
pub type Change = BTreeMap<String, Option<Entry>>;

/// What lay in the files before each step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moments {
    /// What lay there before the first step.
    pub first: Files,
    /// What each step changed, as far as a moment after it was seen.
    pub changes: Vec<Change>,
    /// The file locks that were held before each step, each in words; `None` where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Vec<Vec<String>>>,
}

impl Moments {
    /// Of the moments in their order; `None` where there is none.
    #[must_use]
    pub fn of(moments: &[Files]) -> Option<Self> {
        let first = moments.first()?.clone();
        let changes = moments.windows(2).map(|pair| change(&pair[0], &pair[1])).collect();
        Some(Self { first, changes, held: None })
    }

    /// What lay there before each step, and after the last that was seen.
    #[must_use]
    pub fn all(&self) -> Vec<Files> {
        let mut all = vec![self.first.clone()];
        for change in &self.changes {
            let mut next = all[all.len() - 1].clone();
            for (path, entry) in change {
                match entry {
                    Some(entry) => next.insert(path.clone(), entry.clone()),
                    None => next.remove(path),
                };
            }
            all.push(next);
        }
        all
    }
}

fn change(before: &Files, after: &Files) -> Change {
    let gone = before.keys().filter(|path| !after.contains_key(*path)).map(|path| (path.clone(), None));
    let new = after.iter().filter(|(path, entry)| before.get(*path) != Some(entry));
    gone.chain(new.map(|(path, entry)| (path.clone(), Some(entry.clone())))).collect()
}

/// What lies below a folder now. What goes away meanwhile is not there.
#[must_use]
pub fn look(root: &Path) -> Files {
    let mut files = Files::new();
    gather(root, root, 0, &mut files);
    files
}

fn gather(root: &Path, folder: &Path, depth: usize, files: &mut Files) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if files.len() >= FILES_MAX {
            return;
        }
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        files.insert(name, of(&path));
        if is_folder && depth < DEPTH_MAX {
            gather(root, &path, depth + 1, files);
        }
    }
}

fn of(path: &Path) -> Entry {
    let Ok(about) = path.symlink_metadata() else { return Entry::Other };
    match about.file_type() {
        kind if kind.is_dir() => Entry::Folder,
        kind if kind.is_symlink() => match fs::read_link(path) {
            Ok(target) => Entry::Link { target: target.to_string_lossy().into_owned() },
            Err(_) => Entry::Other,
        },
        kind if kind.is_file() => match beginning(path) {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                Entry::File { bytes: about.len(), text, cut: about.len() > bytes.len() as u64 }
            }
            Err(_) => Entry::Other,
        },
        _ => Entry::Other,
    }
}

fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(SHOWN_BYTES_MAX as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_stored_and_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let mut moments = vec![look(root)];
        fs::create_dir(root.join("c1")).unwrap();
        moments.push(look(root));
        fs::write(root.join("c1/meta.json"), "{}").unwrap();
        fs::write(root.join("large"), "x".repeat(10_000)).unwrap();
        moments.push(look(root));
        moments.push(look(root));
        fs::rename(root.join("c1/meta.json"), root.join("c1/other")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.join("link")).unwrap();
        moments.push(look(root));
        let stored = Moments::of(&moments).unwrap();
        assert_eq!(stored.changes.iter().map(BTreeMap::len).collect::<Vec<_>>(), [1, 2, 0, 3]);
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(serde_json::from_str::<Moments>(&text).unwrap().all(), moments);
        assert!(matches!(&moments[2]["large"], Entry::File { bytes: 10_000, cut: true, .. }));
        assert_eq!(Moments::of(&[]), None);
    }
}
