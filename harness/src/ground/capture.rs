//! What lies in a folder: names, types, contents, modes and links. Times are left out: they differ in every execution.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// Files longer than this are kept by a hash of their content.
pub const LARGE_BYTES: u64 = 1 << 20;

/// A folder as it was at one moment: its entries by their paths within it. Names that are no UTF-8 are shown as well as
/// can be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capture {
    /// The entries; the folder itself has the empty path.
    pub entries: BTreeMap<String, Entry>,
}

/// One name below a folder, and what lies under it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Whether it is a file, a folder, a link or something else, with what that kind has.
    pub kind: Kind,
    /// Its permissions; 0 for links, which have none.
    pub mode: u32,
    /// Which of the entries with several names it is the same file as: the first of their paths. None for a file of one
    /// name in this folder.
    pub same_as: Option<String>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory; what lies in it has entries of its own.
    Folder,
    /// A file, and what it holds.
    File(Body),
    /// A symbolic link, and where it points.
    Link(String),
    /// A named pipe: its name is put back, and whatever was in it is lost.
    Fifo,
    /// The name of a socket, which nobody listens on once it is put back.
    Socket,
    /// A device, or something else that has no content of its own.
    Other,
}

impl Kind {
    /// In a word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File(_) => "file",
            Self::Link(_) => "link",
            Self::Fifo => "FIFO",
            Self::Socket => "socket",
            Self::Other => "special file",
        }
    }
}

/// What a file holds.
#[derive(Clone, Debug)]
pub enum Body {
    /// Every byte, kept in memory.
    Whole(Arc<[u8]>),
    /// How long it is, and a hash: it is long.
    Large {
        /// Its length, in bytes.
        bytes: u64,
        /// SHA-256 of the bytes, which are too many to keep: enough to see whether they changed.
        sha256: [u8; 32],
    },
}

impl Body {
    /// The body of these bytes.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        if bytes.len() as u64 <= LARGE_BYTES {
            return Self::Whole(bytes.into());
        }
        Self::Large { bytes: bytes.len() as u64, sha256: Sha256::digest(&bytes).into() }
    }

    /// What a file holds; a long one is not kept in memory, not even while it is read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut start = Vec::new();
        file.by_ref().take(LARGE_BYTES + 1).read_to_end(&mut start)?;
        if start.len() as u64 <= LARGE_BYTES {
            return Ok(Self::Whole(start.into()));
        }
        let mut hasher = Sha256::new();
        let mut bytes = start.len() as u64;
        hasher.update(&start);
        loop {
            match file.read(&mut start)? {
                0 => return Ok(Self::Large { bytes, sha256: hasher.finalize().into() }),
                read => {
                    hasher.update(&start[..read]);
                    bytes += read as u64;
                }
            }
        }
    }

    /// The body of a file of this length that holds these bytes at these offsets, in order, and zeros elsewhere.
    #[must_use]
    pub fn of_written<'a>(length: u64, written: impl Iterator<Item = (u64, &'a [u8])>) -> Self {
        const ZEROS: [u8; 4096] = [0; 4096];
        let is_large = length > LARGE_BYTES;
        let (mut whole, mut hasher, mut at) = (Vec::new(), Sha256::new(), 0);
        let mut put =
            |bytes: &[u8]| if is_large { hasher.update(bytes) } else { whole.extend_from_slice(bytes) };
        for (offset, bytes) in written.chain([(length, &[][..])]) {
            while at < offset {
                let zeros = (offset - at).min(ZEROS.len() as u64);
                put(&ZEROS[..zeros as usize]);
                at += zeros;
            }
            put(bytes);
            at += bytes.len() as u64;
        }
        if is_large {
            Self::Large { bytes: length, sha256: hasher.finalize().into() }
        } else {
            Self::Whole(whole.into())
        }
    }

    /// Its length, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Whole(bytes) => bytes.len() as u64,
            Self::Large { bytes, .. } => *bytes,
        }
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            // Bodies of files that nobody touched are one.
            (Self::Whole(one), Self::Whole(other)) => Arc::ptr_eq(one, other) || one == other,
            (Self::Large { bytes, sha256 }, Self::Large { bytes: length, sha256: hash }) => {
                bytes == length && sha256 == hash
            }
            _ => false,
        }
    }
}

impl Eq for Body {}

impl Hash for Body {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Whole(bytes) => bytes.hash(state),
            Self::Large { bytes, sha256 } => (bytes, sha256).hash(state),
        }
    }
}
