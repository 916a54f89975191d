//! Numbers for what lies in the folder: executions that leave the same are judged once.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::{Changed, Folder, What, inode, mode};
use crate::books::places::Kind;
use crate::disk::{Image, Node};

/// Keys of JSON whose values differ from run to run and decide nothing, as the subject names them.
pub(super) type Volatile = &'static [&'static str];

/// What stands for the content of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Digest {
    /// A number of every name, kind, mode and byte below the root: equal states have equal ones.
    pub whole: u64,
    /// For all but what the subject calls volatile.
    pub lasting: u64,
}

impl Digest {
    /// Of the content of a file.
    pub(super) fn of(bytes: &[u8], volatile: Volatile) -> Self {
        let hash = |bytes: &[u8]| {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            hasher.finish()
        };
        let whole = hash(bytes);
        let lasting = if volatile.is_empty() { whole } else { hash(&without(bytes, volatile)) };
        Self { whole, lasting }
    }

    /// Of an entry with this content: who may do what with it counts as well, and whether it is the same file as another.
    pub(super) fn with(self, kind: Kind, attributes: Attributes) -> Self {
        let hash = |content: u64| {
            let mut hasher = DefaultHasher::new();
            (content, kind as u8, attributes).hash(&mut hasher);
            hasher.finish()
        };
        Self { whole: hash(self.whole), lasting: hash(self.lasting) }
    }
}

/// What of an entry's inode decides what processes find, besides its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Attributes {
    mode: u32,
    owner: (u32, u32),
    /// Whether a file has another name.
    is_shared: bool,
}

impl Attributes {
    pub(super) fn of(metadata: &fs::Metadata) -> Self {
        let is_shared = !metadata.is_dir() && metadata.nlink() > 1;
        Self { mode: mode(metadata), owner: (metadata.uid(), metadata.gid()), is_shared }
    }
}

impl From<&Stat> for Attributes {
    fn from(stat: &Stat) -> Self {
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is_shared = !is_folder && stat.st_nlink > 1;
        Self { mode: stat.st_mode & 0o7777, owner: (stat.st_uid, stat.st_gid), is_shared }
    }
}

/// The numbers of entries on their way to those of the whole.
#[derive(Debug, Default)]
pub(super) struct Hashed {
    whole: DefaultHasher,
    lasting: DefaultHasher,
}

impl Hashed {
    pub(super) fn tell(&mut self, name: &OsStr, part: Digest) {
        (name, part.whole).hash(&mut self.whole);
        (name, part.lasting).hash(&mut self.lasting);
    }

    pub(super) fn finish(&self) -> Digest {
        Digest { whole: self.whole.finish(), lasting: self.lasting.finish() }
    }
}

/// Goes through a folder, in the order of names, with a number for each entry; what did not change is not read.
pub(super) fn digest(
    folder: &Path,
    known: Option<&Folder>,
    changed: &Changed<'_>,
    tell: &mut dyn FnMut(&OsStr, Digest),
) -> io::Result<()> {
    let mut found = match fs::read_dir(folder) {
        Ok(found) => found.collect::<io::Result<Vec<_>>>()?,
        // A process took its own permissions away: what is in there nobody sees.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
        Err(error) => return Err(error),
    };
    found.sort_by_key(fs::DirEntry::file_name);
    for entry in found {
        let (name, path, metadata) = (entry.file_name(), entry.path(), entry.metadata()?);
        let known = known.and_then(|known| known.entries.get(&name));
        let known = known.filter(|known| known.inode == inode(&metadata));
        if metadata.is_dir() {
            tell(&name, Digest::default().with(Kind::Folder, Attributes::of(&metadata)));
            let inner = known.and_then(|known| match &known.what {
                What::Folder(inner) => Some(inner),
                _ => None,
            });
            digest(&path, inner, changed, tell)?;
            tell(OsStr::new(".."), Digest::default());
        } else if let Some(known) = known.filter(|known| changed.keeps(known.inode)) {
            tell(&name, known.digest);
        } else if metadata.is_symlink() {
            let target = Digest::of(fs::read_link(&path)?.as_os_str().as_encoded_bytes(), &[]);
            tell(&name, target.with(Kind::Link, Attributes::of(&metadata)));
        } else if metadata.is_file() {
            let content = content(&path, changed.volatile)?;
            tell(&name, content.with(Kind::File, Attributes::of(&metadata)));
        } else {
            tell(&name, Digest::default().with(Kind::Channel, Attributes::of(&metadata)));
        }
    }
    Ok(())
}

/// Numbers for a state that no process left: no state that one left has the same.
pub(crate) fn digest_of(image: &Image, volatile: Volatile) -> Digest {
    let mut hashed = Hashed::default();
    for (path, (_, node)) in image.nodes() {
        let content = match node {
            Node::File { content, mode } => (Digest::of(&content.bytes(), volatile), *mode),
            Node::Folder { mode } => (Digest::default(), *mode),
            Node::Link { target } => (Digest::of(target.as_bytes(), &[]), 0),
        };
        let number = |part: u64| {
            let mut all = DefaultHasher::new();
            ("image", std::mem::discriminant(node), part, content.1).hash(&mut all);
            all.finish()
        };
        let part = Digest { whole: number(content.0.whole), lasting: number(content.0.lasting) };
        hashed.tell(OsStr::new(&**path), part);
    }
    hashed.finish()
}

/// What a file holds; nothing where a process took the permission to read it away, which the mode tells.
pub(super) fn content(path: &Path, volatile: Volatile) -> io::Result<Digest> {
    match fs::read(path) {
        Ok(bytes) => Ok(Digest::of(&bytes, volatile)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Digest::default()),
        Err(error) => Err(error),
    }
}

/// The content without the values of these keys. Everything else counts, whatever it looks like: a number may be a token
/// as well as a time.
pub(crate) fn without(bytes: &[u8], volatile: Volatile) -> Cow<'_, [u8]> {
    let mut kept = Cow::Borrowed(bytes);
    for key in volatile {
        let quoted = format!("\"{key}\"");
        let mut from = 0;
        while let Some(value) = value_of(&kept[from..], quoted.as_bytes()) {
            let (start, end) = (from + value.start, from + value.end);
            kept.to_mut().drain(start..end);
            from = start;
        }
    }
    kept
}

/// Where the first value of this key lies: a number, a word or a text. What is put together counts as it is.
fn value_of(bytes: &[u8], quoted: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut from = 0;
    loop {
        let key = from + bytes[from..].windows(quoted.len()).position(|window| window == quoted)?;
        let blank = |at: usize| bytes[at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let colon = key + quoted.len() + blank(key + quoted.len());
        from = key + quoted.len();
        if bytes.get(colon) != Some(&b':') {
            continue;
        }
        let start = colon + 1 + blank(colon + 1);
        let end = start + scalar_len(&bytes[start..]);
        if end > start {
            return Some(start..end);
        }
    }
}

fn scalar_len(bytes: &[u8]) -> usize {
    if bytes.first() != Some(&b'"') {
        return bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte)).count();
    }
    let mut is_escaped = false;
    let end = bytes[1..].iter().position(|&byte| {
        let is_end = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    // A text without an end is no value: the file is torn, and that counts.
    end.map_or(0, |end| end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_called_volatile_does_not_count() {
        let first = br#"{"token":1764000000123456789,"created_at": 1764000000123456789,"by":"created_at"}"#;
        let second = br#"{"token":1764000000123456789,"created_at": 5,"by":"created_at"}"#;
        let third = br#"{"token":1764000000123456780,"created_at": 5,"by":"created_at"}"#;
        let [first, second, third] =
            [&first[..], &second[..], &third[..]].map(|bytes| Digest::of(bytes, &["created_at"]));
        assert_ne!(first.whole, second.whole);
        assert_eq!(first.lasting, second.lasting);
        assert_ne!(second.lasting, third.lasting, "a long number is no time until the subject says so");
        let nothing = Digest::of(b"1764000000123456789", &[]);
        assert_eq!(nothing.whole, nothing.lasting);
    }

    #[test]
    fn values_of_every_kind_are_left_out_and_torn_ones_count() {
        let kept =
            |bytes: &'static [u8]| String::from_utf8(without(bytes, &["t"]).into_owned()).expect("text");
        assert_eq!(kept(br#"{"t":"a\"b","u":1}"#), r#"{"t":,"u":1}"#);
        assert_eq!(kept(br#"{"t":-1.5e9,"t" : null}"#), r#"{"t":,"t" : }"#);
        assert_eq!(kept(br#"{"t":{"t":3}}"#), r#"{"t":{"t":}}"#);
        assert_eq!(kept(br#"{"t":"cut sho"#), r#"{"t":"cut sho"#);
        assert_eq!(kept(br#"["t"]"#), r#"["t"]"#);
    }
}
