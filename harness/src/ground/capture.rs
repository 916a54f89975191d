//! What lies in a folder: names, types, contents, modes and links. Times are left out: they differ in every execution.

use std::collections::BTreeMap;
use std::fs::File;
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

/// Files longer than this are kept by a hash of their content.
pub const LARGE_BYTES: u64 = 1 << 20;
/// Bytes of a block.
const BLOCK: usize = 4096;

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
        /// SHA-256 of the blocks that are not all zeros, each with its number: the bytes are too many to keep, and this is enough to see
        /// whether they changed.
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
        let blocks = bytes.chunks(BLOCK).enumerate();
        Self::large(bytes.len() as u64, blocks.map(|(number, block)| (number as u64, block)))
    }

    /// What a file holds; a long one is not kept in memory, not even while it is read, and its holes are not read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        // One call reads a short file whole, and one more sees its end.
        let length = file.metadata()?.len().min(LARGE_BYTES) + 1;
        let mut block = Vec::with_capacity(length as usize);
        file.by_ref().take(LARGE_BYTES + 1).read_to_end(&mut block)?;
        if block.len() as u64 <= LARGE_BYTES {
            return Ok(Self::Whole(block.into()));
        }
        let (mut hasher, mut at) = (Blocks::default(), 0);
        loop {
            match seek(&file, SeekFrom::Data(at)) {
                Ok(data) => at = data / BLOCK as u64 * BLOCK as u64,
                Err(Errno::NXIO) => break,
                Err(error) => return Err(error.into()),
            }
            let hole = seek(&file, SeekFrom::Hole(at))?;
            file.seek(io::SeekFrom::Start(at))?;
            while at < hole {
                block.clear();
                let read = file.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
                if read == 0 {
                    break;
                }
                hasher.add(at / BLOCK as u64, &block);
                at += read as u64;
            }
        }
        Ok(hasher.end(file.metadata()?.len()))
    }

    /// The body of a file of this length that holds these bytes at these offsets, which are multiples of 4096, a block at the most
    /// each, in order, and zeros elsewhere.
    #[must_use]
    pub fn of_written<'a>(length: u64, written: impl Iterator<Item = (u64, &'a [u8])>) -> Self {
        if length > LARGE_BYTES {
            return Self::large(length, written.map(|(offset, bytes)| (offset / BLOCK as u64, bytes)));
        }
        let mut whole = vec![0; length as usize];
        for (offset, bytes) in written {
            whole[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        Self::Whole(whole.into())
    }

    fn large<'a>(length: u64, blocks: impl Iterator<Item = (u64, &'a [u8])>) -> Self {
        let mut hasher = Blocks::default();
        blocks.for_each(|(number, bytes)| hasher.add(number, bytes));
        hasher.end(length)
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

/// What a long file holds, as a number: what is all zeros costs nothing, be it a hole or not.
#[derive(Default)]
struct Blocks(Sha256);

impl Blocks {
    fn add(&mut self, number: u64, bytes: &[u8]) {
        let Some(last) = bytes.iter().rposition(|byte| *byte != 0) else { return };
        self.0.update(number.to_le_bytes());
        self.0.update((last as u64).to_le_bytes());
        self.0.update(&bytes[..=last]);
    }

    fn end(self, length: u64) -> Body {
        Body::Large { bytes: length, sha256: self.0.finalize().into() }
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
