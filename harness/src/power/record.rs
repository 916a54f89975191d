//! The journal of an execution under control, as the disk models read it.
//!
//! A machine's journal tells what each call was about to do. Here the calls are done again on a model of the folder, so
//! that it is known what each changed. What the model comes to must be what the folder holds at the end: else something
//! was not seen, and nothing is claimed.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use super::folders::{self, Number, Seen};
use crate::books::deed::{Deed, Known};
use crate::books::places::{File, Place};
use crate::disk::{Change, Image, Inode, Journal, Line, Node, ROOT, Start, Sync};
use crate::plan::schedule::{Names, as_read};
use crate::tracee::{Entry, Stood};

/// An execution as the disk models read it.
#[derive(Debug)]
pub struct Recorded {
    /// The calls that changed the folder, or asked for something to last.
    pub journal: Journal,
    /// How each inode is named: the path that it had first, or has at the end.
    pub names: BTreeMap<Inode, String>,
    /// How many calls had returned when the command had printed what it was to print.
    pub said: Option<usize>,
}

impl Recorded {
    /// Has its calls told by the names of the execution.
    pub(crate) fn name(&mut self, names: &Names) {
        if !names.is_empty() {
            let lines = self.journal.lines.iter_mut();
            lines.for_each(|line| line.label = as_read(&line.label, names).into());
        }
    }
}

/// Reads a machine's journal. `before` and `after` are what lay in the state folders; `places` is where commands find them. `said` is what
/// the command prints when its work is to last.
pub fn record(
    entries: &[Entry],
    before: &Seen,
    after: &Seen,
    places: &[PathBuf],
    said: Option<&str>,
) -> Result<Recorded, String> {
    Recording::hearing(entries, before, places, said)?.conclude(after)
}

/// A journal that was read, and not yet held against what lies in the folder.
pub struct Recording<'a> {
    builder: JournalBuilder<'a>,
    /// How many calls had returned when the command had printed what it was to print.
    said: Option<usize>,
}

impl<'a> Recording<'a> {
    /// Reads a machine's journal, as [`record`] does.
    pub fn of(entries: &[Entry], before: &Seen, places: &'a [PathBuf]) -> Result<Self, String> {
        Self::hearing(entries, before, places, None)
    }

    /// The same, and listens for what the command prints when its work is to last.
    pub fn hearing(
        entries: &[Entry],
        before: &Seen,
        places: &'a [PathBuf],
        text: Option<&str>,
    ) -> Result<Self, String> {
        let mut recording = Self { builder: JournalBuilder::new(before, places), said: None };
        for entry in entries {
            recording.builder.take(entry)?;
            if let (Deed::Write(None, writing), Some(text), None) = (&entry.deed, text, recording.said) {
                let bytes = writing.bytes.as_deref().unwrap_or_default();
                let has_said = String::from_utf8_lossy(bytes).contains(text);
                recording.said = has_said.then_some(recording.builder.lines.len());
            }
        }
        Ok(recording)
    }

    /// The calls so far.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.builder.lines
    }

    /// What they come to.
    #[must_use]
    pub fn image(&self) -> Image {
        Journal { start: self.builder.start.clone(), lines: self.builder.lines.clone() }.image()
    }

    /// What the calls come to must be what lies there.
    pub fn conclude(self, after: &Seen) -> Result<Recorded, String> {
        self.conclude_but(after, &|_| false)
    }

    /// The same, but for paths at which something else may lie.
    pub fn conclude_but(self, after: &Seen, may_differ: &dyn Fn(&str) -> bool) -> Result<Recorded, String> {
        let said = self.said;
        self.builder.conclude(after, may_differ).map(|whole| Recorded { said, ..whole })
    }
}

/// A key of an entry: its folder and its name there.
pub(super) type Key = (Inode, Box<str>);

pub(super) struct JournalBuilder<'a> {
    pub(super) start: Start,
    places: &'a [PathBuf],
    /// The folder of each state folder.
    roots: Vec<Inode>,
    pub(super) entries: BTreeMap<Key, Inode>,
    /// What each inode is: whether it is a folder, and how long a file is.
    pub(super) kinds: HashMap<Inode, Kind>,
    numbers: HashMap<Number, Inode>,
    pub(super) names: BTreeMap<Inode, String>,
    pub(super) next: Inode,
    lines: Vec<Line>,
}

/// What an inode is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File(u64),
    Link,
}

impl<'a> JournalBuilder<'a> {
    fn new(before: &Seen, places: &'a [PathBuf]) -> Self {
        let start = Start::of(&before.image);
        let kinds = start.inodes.iter().map(|(inode, node)| (*inode, kind_of(node))).collect();
        let mut recorder = Self {
            places,
            roots: Vec::new(),
            entries: start.entries.clone(),
            kinds,
            numbers: HashMap::new(),
            names: BTreeMap::new(),
            next: start.next_inode(),
            lines: Vec::new(),
            start,
        };
        for path in before.image.nodes().keys() {
            if let Some(inode) = recorder.at(path) {
                recorder.names.entry(inode).or_insert_with(|| named(path));
            }
        }
        for (number, path) in &before.numbers {
            if let Some(inode) = recorder.at(path) {
                recorder.numbers.insert(*number, inode);
            }
        }
        recorder.roots = (0..places.len())
            .map(|folder| match folders::prefix(folder, places.len()) {
                Some(prefix) => recorder.at(&prefix).unwrap_or(ROOT),
                None => ROOT,
            })
            .collect();
        recorder
    }

    /// What a path within the image leads to.
    fn at(&self, path: &str) -> Option<Inode> {
        let components = path.split('/').filter(|component| !component.is_empty());
        components
            .into_iter()
            .try_fold(ROOT, |folder, name| self.entries.get(&(folder, name.into())).copied())
    }

    /// What a path leads to, as commands find it.
    fn found(&self, path: &Path) -> Option<Inode> {
        let (folder, rest) = self
            .places
            .iter()
            .enumerate()
            .find_map(|(folder, place)| Some((folder, path.strip_prefix(place).ok()?)))?;
        rest.iter().try_fold(self.roots[folder], |folder, name| {
            self.entries.get(&(folder, name.to_str()?.into())).copied()
        })
    }

    fn take(&mut self, entry: &Entry) -> Result<(), String> {
        self.learn(&entry.deed);
        let stood = entry.stood.as_ref();
        let Some((label, change)) = self.change(&entry.deed, stood)? else { return Ok(()) };
        let process = entry.process + 1;
        let syncs = is_synced(&change, stood);
        self.apply(&change);
        let step = entry.step;
        self.lines.push(Line { process, step, label: label.into(), change });
        if let Some((inode, what)) = syncs {
            let label =
                format!("(the file is open with O_{}SYNC)", if what == Sync::Data { "D" } else { "" });
            self.lines.push(Line {
                process,
                step,
                label: label.into(),
                change: Change::Sync { inode, what },
            });
        }
        Ok(())
    }

    /// A file that is met by its path tells which inode of the kernel's it is.
    fn learn(&mut self, deed: &Known) {
        let looked_at = match deed {
            Deed::ReadLink(at) | Deed::Look(at, _) => Some(at),
            _ => None,
        };
        for place in deed.changed_places().chain(looked_at).flatten() {
            let Some(file) = &place.file else { continue };
            if let Some(key) = self.key(place)
                && let Some(inode) = self.entries.get(&key)
            {
                self.numbers.insert(file.inode, *inode);
            }
        }
    }

    fn key(&self, place: &Place) -> Option<Key> {
        let folder = self.file(place.folder.as_ref()?, None)?;
        Some((folder, place.name_on_disk.as_str().into()))
    }

    /// Which inode of ours a file is.
    fn file(&self, file: &File, stood: Option<&Stood>) -> Option<Inode> {
        stood
            .and_then(|stood| self.found(&stood.path))
            .or_else(|| self.numbers.get(&file.inode).copied())
            .or_else(|| self.at(&file.shown))
            .or_else(|| self.only_unknown(file))
    }

    /// The only inode whose number is not known yet.
    fn only_unknown(&self, file: &File) -> Option<Inode> {
        let known: std::collections::HashSet<Inode> = self.numbers.values().copied().collect();
        let fits = |kind: &Kind| (*kind == Kind::Folder) == file.is_folder();
        let mut unknown =
            self.kinds.iter().filter(|(inode, kind)| !known.contains(inode) && fits(kind) && **inode != ROOT);
        let only = unknown.next()?;
        unknown.next().is_none().then_some(*only.0)
    }

    pub(super) fn must(&mut self, file: &File, stood: Option<&Stood>) -> Result<Inode, String> {
        let found = self.file(file, stood);
        let inode = found.ok_or_else(|| format!("it is not known which file {} is", file.shown))?;
        // Names come and go: it stays.
        self.numbers.insert(file.inode, inode);
        Ok(inode)
    }

    pub(super) fn entry(&self, place: &Place) -> Result<(Key, Option<Inode>), String> {
        if place.folder.is_none() && place.name.is_empty() {
            // The state folder itself.
            let root = place.file.as_ref().and_then(|file| self.file(file, None)).unwrap_or(ROOT);
            return Ok(((root, "".into()), Some(root)));
        }
        let key =
            self.key(place).ok_or_else(|| format!("it is not known which folder {} is in", place.shown))?;
        let inode = self.entries.get(&key).copied();
        Ok((key, inode))
    }

    pub(super) fn name(&self, inode: Inode) -> String {
        self.names.get(&inode).cloned().unwrap_or_else(|| "the state folder".into())
    }

    /// What is there afterwards.
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Create { inode, folder, name, .. } | Change::Link { inode, folder, name } => {
                self.entries.insert((*folder, name.clone()), *inode);
            }
            Change::Unlink { folder, name } => _ = self.entries.remove(&(*folder, name.clone())),
            Change::Rename { inode, from, to, .. } => {
                self.entries.remove(from);
                self.entries.insert(to.clone(), *inode);
            }
            Change::Exchange { one, other } => {
                self.entries.insert((one.0, one.1.clone()), other.2);
                self.entries.insert((other.0, other.1.clone()), one.2);
            }
            Change::Write { inode, offset, bytes } => {
                if let Some(Kind::File(size)) = self.kinds.get_mut(inode) {
                    *size = (*size).max(offset + bytes.len() as u64);
                }
            }
            Change::Resize { inode, size } => _ = self.kinds.insert(*inode, Kind::File(*size)),
            Change::Mode { .. } | Change::Sync { .. } | Change::SyncAll => {}
        }
    }

    /// What the calls come to must be what lies there.
    fn conclude(mut self, after: &Seen, may_differ: &dyn Fn(&str) -> bool) -> Result<Recorded, String> {
        self.adopt_modes(&after.image);
        let journal = Journal { start: self.start, lines: self.lines };
        let told = journal.image();
        if let Some(path) = difference(&told, &after.image, may_differ) {
            return Err(format!(
                "{path} does not match the recorded calls: something changes it that is not recorded"
            ));
        }
        Ok(Recorded { journal, names: self.names, said: None })
    }

    /// Which permissions a call gave is not recorded: those that are there at the end are taken for it.
    fn adopt_modes(&mut self, after: &Image) {
        let mut modes: HashMap<Inode, u32> = HashMap::new();
        for (path, (_, node)) in after.nodes() {
            if let (Some(inode), Node::File { mode, .. } | Node::Folder { mode }) = (self.at(path), node) {
                modes.insert(inode, *mode);
            }
        }
        for line in &mut self.lines {
            let (inode, mode) = match &mut line.change {
                Change::Create { inode, node: Node::File { mode, .. } | Node::Folder { mode }, .. }
                | Change::Mode { inode, mode } => (*inode, mode),
                _ => continue,
            };
            *mode = modes.get(&inode).copied().unwrap_or(0o644);
        }
    }
}

pub(super) fn kind_of(node: &Node) -> Kind {
    match node {
        Node::File { content, .. } => Kind::File(content.len()),
        Node::Folder { .. } => Kind::Folder,
        Node::Link { .. } => Kind::Link,
    }
}

fn named(path: &str) -> String {
    if path.is_empty() { "the state folder".into() } else { path.to_owned() }
}

/// What a write to a file opened with `O_SYNC` or `O_DSYNC` makes last.
fn is_synced(change: &Change, stood: Option<&Stood>) -> Option<(Inode, Sync)> {
    let Change::Write { inode, .. } = change else { return None };
    let flags = stood?.flags;
    if flags & libc::O_SYNC == libc::O_SYNC {
        Some((*inode, Sync::All))
    } else if flags & libc::O_DSYNC != 0 {
        Some((*inode, Sync::Data))
    } else {
        None
    }
}

/// The first path at which two images differ, links and contents compared.
fn difference(one: &Image, other: &Image, may_differ: &dyn Fn(&str) -> bool) -> Option<String> {
    let paths = one.nodes().keys().chain(other.nodes().keys());
    let mut differing: Vec<&str> = paths
        .map(|path| &**path)
        .filter(|path| !may_differ(path) && one.get(path) != other.get(path))
        .collect();
    differing.sort_unstable();
    differing.first().map(ToString::to_string)
}
