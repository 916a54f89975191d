//! What follows from a deed alone: what it touches, how it reads, which faults it can meet, which entries it changes.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Attribute, Known, Mapping, Node, Renaming, SyncKind};
use crate::books::places::{ATTRIBUTES, File, Inode, Kind, Place};
use crate::explore::step::{Access, Object};
use crate::plan::schedule::{Fault, Injected};

use Access::{Read, Update, Write};

/// Which faults a deed can meet, beyond a kill, which any can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults(u8);

impl Faults {
    const SHORT: u8 = 1 << 7;
    const ALONE: u8 = 1 << 6;
    /// None but a kill.
    pub const NONE: Self = Self(0);

    const fn bit(error: Injected) -> u8 {
        1 << error as u8
    }

    /// The set of these errors.
    #[must_use]
    pub const fn of(errors: &[Injected]) -> Self {
        let (mut bits, mut at) = (0, 0);
        while at < errors.len() {
            bits |= Self::bit(errors[at]);
            at += 1;
        }
        Self(bits)
    }

    /// These and a write that is cut short.
    #[must_use]
    pub const fn and_short(self) -> Self {
        Self(self.0 | Self::SHORT)
    }

    /// These and a kill of one process of several.
    #[must_use]
    pub const fn and_alone(self) -> Self {
        Self(self.0 | Self::ALONE)
    }

    /// Whether it can meet this one.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        match fault {
            Fault::Kill => true,
            Fault::KillOne => self.0 & Self::ALONE != 0,
            Fault::Error(error) => self.0 & Self::bit(error) != 0,
            Fault::ShortWrite | Fault::ShortWriteKill => self.0 & Self::SHORT != 0,
        }
    }
}

const OPENING: Faults =
    Faults::of(&[Injected::Io, Injected::Interrupted, Injected::TooManyFiles, Injected::Access]);
const MAKING_FILE: Faults = Faults(OPENING.0 | Faults::of(&[Injected::NoSpace]).0);
const MAKING: Faults = Faults::of(&[Injected::NoSpace, Injected::Io, Injected::Access]);
const REMOVING: Faults = Faults::of(&[Injected::Io, Injected::Access]);
const READING: Faults = Faults::of(&[Injected::Io]);
const WRITING: Faults = Faults::of(&[Injected::NoSpace, Injected::Io]);

/// An entry of a folder, as it is on disk.
pub type Entry = (Inode, String);

/// What follows from a deed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::books) struct Facets {
    pub touches: Vec<(Object, Access)>,
    pub faults: Faults,
    /// The entries that it makes, removes or replaces.
    pub entries: Vec<Entry>,
    /// The file whose content it changes.
    pub writes: Option<Inode>,
    /// Whether it may do more than is told here: it concerns everybody.
    pub is_opaque: bool,
}

impl Facets {
    fn touching(mut self, touches: impl IntoIterator<Item = (Object, Access)>) -> Self {
        self.touches.extend(touches);
        self
    }

    fn meeting(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    fn along(place: &Place) -> Self {
        Self::default().touching(place.way.iter().copied())
    }

    fn writing(mut self, file: &File) -> Self {
        self.writes = Some(file.inode);
        self.is_opaque |= file.kind == Kind::Channel;
        self.touching([(file.content(), Write)])
    }

    fn reading(mut self, file: &File) -> Self {
        self.is_opaque |= file.kind == Kind::Channel;
        self.touching([(file.content(), Read)])
    }

    /// An entry is made, or taken away.
    fn entry(mut self, folder: &File, place: &Place) -> Self {
        self.entries.push((folder.inode, place.name_on_disk.clone()));
        // A name that is not read as it is cannot be told from another.
        self.is_opaque |= place.shown.contains(char::REPLACEMENT_CHARACTER);
        self.touching([(folder.entry(&place.name), Write), (folder.list(), Update)])
    }

    fn changing(self, file: &File, what: Attribute) -> Self {
        let changed = self.touching([(file.content(), Write)]);
        match what {
            Attribute::Permissions => changed.touching([(Object::named(&ATTRIBUTES), Write)]),
            Attribute::Times | Attribute::Extended => changed,
        }
    }
}

/// What is seen of a file by looking at it from outside.
fn looked_at(file: &File) -> [(Object, Access); 2] {
    // How large a folder is, and how many links it has, depends on its entries.
    let inside = if file.is_folder() { file.list() } else { file.content() };
    [(inside, Read), (file.links(), Read)]
}

impl Known {
    /// What it touches, beside locks and processes.
    #[must_use]
    pub fn footprint(&self) -> Vec<(Object, Access)> {
        self.facets().touches
    }

    /// Which faults it can meet, beside those of a lock.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.facets().faults
    }

    pub(in crate::books) fn facets(&self) -> Facets {
        match self {
            Self::Open(Some(place), how) => {
                open(place, how.has(libc::O_CREAT), how.has(libc::O_EXCL), how.has(libc::O_TRUNC))
            }
            Self::Read(Some(file)) => Facets::default().reading(file).meeting(READING),
            Self::Write(Some(file), writing) => {
                let faults = if writing.length > 1 { WRITING.and_short() } else { WRITING };
                Facets::default().writing(file).meeting(faults)
            }
            Self::Copy { from, to, .. } => copy(from.as_ref(), to.as_ref()),
            Self::Resize(Some(file), _) => Facets::default().writing(file).meeting(WRITING),
            Self::Truncate(Some(place), _) => {
                let along = Facets::along(place);
                place.file.as_ref().map_or(along.clone(), |file| along.writing(file))
            }
            Self::Rename { from, to, how } => rename(from.as_deref(), to.as_deref(), *how),
            Self::Link { from, to, .. } => link(from.as_deref(), to.as_deref()),
            Self::Unlink(Some(place)) => unlink(place),
            Self::RemoveFolder(Some(place)) => remove_folder(place),
            Self::MakeFolder(Some(place))
            | Self::MakeNode(Some(place), _)
            | Self::Symlink(_, Some(place)) => make(place),
            Self::Bind(Some(place)) => Facets { is_opaque: true, ..make(place) },
            Self::ReadLink(Some(place)) | Self::ChangeFolder(Some(place)) => Facets::along(place),
            Self::List(Some(file)) => Facets::default().touching([(file.list(), Read)]).meeting(READING),
            Self::Look(Some(place), _) | Self::Watch(Some(place)) => look(place),
            Self::LookAt(Some(file)) => Facets::default().touching(looked_at(file)),
            Self::Change(Some(place), _, what) => {
                let along = Facets::along(place);
                place.file.as_ref().map_or(along.clone(), |file| along.changing(file, *what))
            }
            Self::ChangeAt(Some(file), what) => Facets::default().changing(file, *what),
            Self::Sync(Some(_), _) => Facets::default().meeting(READING),
            Self::Map(Some(file), how) => {
                Facets { is_opaque: *how == Mapping::SharedWritable, ..Facets::default().reading(file) }
            }
            Self::Exec(Some(place)) => {
                let along = Facets::along(place);
                place.file.as_ref().map_or(along.clone(), |file| along.reading(file))
            }
            Self::Connect(Some(Some(place))) => Facets { is_opaque: true, ..Facets::along(place) },
            _ => Facets::default(),
        }
    }

    /// What it does, for people and for replay; empty where none of its files is a concern.
    #[must_use]
    pub fn label(&self) -> String {
        let of = |verb: &str, file: &Option<File>| named(verb, file.as_ref().map(|file| &*file.shown));
        let at =
            |verb: &str, place: &Option<Arc<Place>>| named(verb, place.as_ref().map(|place| &*place.shown));
        match self {
            Self::Open(place, how) => {
                let mut words = at("open", place);
                for (flag, word) in
                    [(libc::O_CREAT, "create"), (libc::O_EXCL, "exclusive"), (libc::O_TRUNC, "truncate")]
                {
                    if !words.is_empty() && how.has(flag) {
                        _ = write!(words, " {word}");
                    }
                }
                words
            }
            Self::Read(file) => of("read", file),
            Self::Write(file, _) => of("write", file),
            Self::Copy { from, to, .. } if to.is_none() => of("copy", from),
            Self::Copy { to, .. } => of("copy to", to),
            Self::Resize(file, _) => of("resize", file),
            Self::Truncate(place, _) => at("truncate", place),
            Self::Rename { from, to, how } => {
                let verb = if *how == Renaming::Exchange { "exchange" } else { "rename" };
                match (from, to) {
                    (Some(from), Some(to)) => {
                        let unless = if *how == Renaming::Keep { " unless there" } else { "" };
                        format!("{verb} {} to {}{unless}", shown(&from.shown), shown(&to.shown))
                    }
                    (Some(one), None) => format!("{verb} {} to the outside", shown(&one.shown)),
                    (None, Some(one)) => format!("{verb} from outside to {}", shown(&one.shown)),
                    (None, None) => String::new(),
                }
            }
            Self::Link { from, to, .. } => at("link", if to.is_some() { to } else { from }),
            Self::Unlink(place) => at("unlink", place),
            Self::RemoveFolder(place) => at("rmdir", place),
            Self::MakeFolder(place) => at("mkdir", place),
            Self::MakeNode(place, Node::Fifo) => at("mkfifo", place),
            Self::MakeNode(place, _) => at("mknod", place),
            Self::Symlink(_, place) => at("symlink", place),
            Self::ReadLink(place) => at("readlink", place),
            Self::List(file) => of("list", file),
            Self::Look(place, _) => at("stat", place),
            Self::LookAt(file) => of("fstat", file),
            Self::Change(place, ..) => at("change", place),
            Self::ChangeAt(file, _) => of("change", file),
            Self::Sync(file, kind) => of(
                match kind {
                    SyncKind::File => "fsync",
                    SyncKind::Data => "fdatasync",
                    SyncKind::Range => "sync-range",
                    SyncKind::Filesystem => "syncfs",
                },
                file,
            ),
            Self::ChangeFolder(place) => at("chdir", place),
            Self::Map(file, Mapping::Private) => of("map", file),
            Self::Map(file, _) => of("map shared", file),
            Self::Exec(place) => at("exec", place),
            Self::Connect(Some(place)) => at("connect", place),
            Self::Bind(place) => at("bind", place),
            Self::Watch(place) => at("watch", place),
            Self::Close(file) => of("close", file),
            Self::Replace { to, .. } => of("close", to),
            Self::SyncAll => "sync".to_owned(),
            _ => String::new(),
        }
    }
}

fn named(verb: &str, what: Option<&str>) -> String {
    what.map_or_else(String::new, |what| format!("{verb} {}", shown(what)))
}

/// The state folder itself is shown as a dot.
pub(in crate::books) fn shown(path: &str) -> &str {
    if path.is_empty() { "." } else { path }
}

fn open(place: &Place, creates: bool, exclusive: bool, truncates: bool) -> Facets {
    let along = Facets::along(place).meeting(OPENING);
    match (&place.file, &place.folder) {
        (None, Some(folder)) if creates => along.entry(folder, place).meeting(MAKING_FILE),
        (Some(_), _) if creates && exclusive => along,
        (Some(file), _) if file.kind == Kind::Channel => Facets { is_opaque: true, ..along },
        (Some(file), _) if truncates => along.writing(file),
        _ => along,
    }
}

fn copy(from: Option<&File>, to: Option<&File>) -> Facets {
    let copy = to.map_or_else(Facets::default, |to| Facets::default().writing(to).meeting(WRITING));
    match from {
        Some(from) => copy.reading(from),
        None => copy,
    }
}

fn look(place: &Place) -> Facets {
    let along = Facets::along(place);
    place.file.as_ref().map_or(along.clone(), |file| along.touching(looked_at(file)))
}

fn make(place: &Place) -> Facets {
    let along = Facets::along(place);
    match (&place.file, &place.folder) {
        (None, Some(folder)) => along.entry(folder, place).meeting(MAKING),
        _ => along,
    }
}

fn unlink(place: &Place) -> Facets {
    let along = Facets::along(place);
    match (&place.file, &place.folder) {
        (Some(file), Some(folder)) if !file.is_folder() => {
            along.entry(folder, place).touching([(file.links(), Write)]).meeting(REMOVING)
        }
        _ => along,
    }
}

fn remove_folder(place: &Place) -> Facets {
    let along = Facets::along(place);
    match (&place.file, &place.folder) {
        // Whether it is empty is not looked at: that it goes and that it stays depend on its entries alike.
        (Some(file), Some(folder)) if file.is_folder() => {
            along.entry(folder, place).touching([(file.list(), Write)]).meeting(REMOVING)
        }
        _ => along,
    }
}

fn link(from: Option<&Place>, to: Option<&Place>) -> Facets {
    let link = to.map_or_else(Facets::default, make);
    match from {
        Some(source) => {
            let links = source.file.as_ref().map(|file| (file.links(), Write));
            link.touching(source.way.iter().copied().chain(links))
        }
        None => link,
    }
}

fn rename(from: Option<&Place>, to: Option<&Place>, how: Renaming) -> Facets {
    let (source, target) = match (from, to) {
        (Some(source), Some(target)) => (source, target),
        (None, None) => return Facets::default(),
        // To the outside, or in from there. What else lies in a folder that moves is not known.
        (Some(place), None) | (None, Some(place)) => {
            let along = Facets { is_opaque: true, ..Facets::along(place) };
            let replaced = place.file.as_ref().map(|file| (file.links(), Write));
            return match &place.folder {
                Some(folder) => along.entry(folder, place).touching(replaced),
                None => along,
            };
        }
    };
    let ways = Facets::along(source).touching(target.way.iter().copied());
    let (Some(moved), Some(old), Some(new)) = (&source.file, &source.folder, &target.folder) else {
        return ways;
    };
    if how == Renaming::Keep && target.file.is_some() {
        return ways;
    }
    let rename = ways.entry(new, target).entry(old, source).meeting(MAKING);
    // What is above a folder is seen from within it.
    let above = |file: &File| file.is_folder().then(|| (file.entry(".."), Write));
    let rename = rename.touching(above(moved));
    match &target.file {
        Some(file) if how == Renaming::Exchange => rename.touching(above(file)),
        Some(file) if file.is_folder() => rename.touching([(file.list(), Write)]),
        Some(file) => rename.touching([(file.links(), Write)]),
        None => rename,
    }
}
