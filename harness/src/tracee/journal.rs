//! The journal: every deed that was let go, with where its open file stood just before.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, FsType, statfs};
use rustix::fs::{AtFlags, StatxFlags};

use super::machine::Machine;
use crate::books::deed::{At, CopiedBy, Copying, Deed, Fd, Known, Offset, Told, Writing};
use crate::process::procfs;

/// Most that is recorded of one copy.
const COPIED_BYTES_MAX: u64 = 64 << 20;
/// Most that is kept of all writes of an execution.
pub const KEPT_BYTES_MAX: u64 = 160 << 20;

/// A deed that was let go, for whoever needs more than its step's label.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Which step it was part of.
    pub step: usize,
    /// Whose.
    pub process: usize,
    /// What.
    pub deed: Known,
    /// Where the open file stood that it changes, where it changes one.
    pub stood: Option<Stood>,
}

/// Where an open file stood just before a deed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stood {
    /// Its path, as the command finds it; with ` (deleted)` behind it where it has none any more.
    pub path: PathBuf,
    /// From which byte on it would be read or written.
    pub position: u64,
    /// The flags with which it is open.
    pub flags: i32,
}

impl Stood {
    fn of(tid: u32, fd: i32) -> Option<Self> {
        let path = fs::read_link(format!("/proc/{tid}/fd/{fd}")).ok()?;
        let information = procfs::text(format!("/proc/{tid}/fdinfo/{fd}")).ok()?;
        let field = |name: &str| {
            let line = information.lines().find_map(|line| line.strip_prefix(name));
            line.map(str::trim)
        };
        Some(Self {
            path,
            position: field("pos:")?.parse().ok()?,
            flags: i32::from_str_radix(field("flags:")?, 8).ok()?,
        })
    }
}

impl Machine {
    /// Notes a deed that is let go, where a journal is kept.
    pub(super) fn journal(&mut self, process: usize, tid: u32, told: &Told, deed: Known) {
        if !self.options.keeps_journal {
            return;
        }
        let changed = match told {
            Deed::Write(fd, _)
            | Deed::Resize(fd, _)
            | Deed::Sync(fd, _)
            | Deed::ChangeAt(fd, _)
            | Deed::Copy { to: fd, .. } => Some(fd.0),
            _ => None,
        };
        let stood = changed.and_then(|fd| Stood::of(tid, fd));
        let deed = match (told, deed) {
            (Deed::Rename { from, to, .. }, Deed::Rename { .. }) if crosses_mounts(tid, from, to) => return,
            (Deed::Copy { from, what, to: at }, Deed::Copy { from: file, to: Some(to), .. }) => {
                match copied(tid, *from, *at, *what) {
                    Some(writing) => Deed::Write(Some(to), writing),
                    None => Deed::Copy { from: file, to: Some(to), what: *what },
                }
            }
            (_, deed) => deed,
        };
        let deed = match deed {
            Deed::Write(file, writing) if writing.bytes.is_some() => {
                self.run.kept_bytes += writing.length;
                let is_kept = self.run.kept_bytes <= KEPT_BYTES_MAX;
                Deed::Write(file, Writing { bytes: writing.bytes.filter(|_| is_kept), ..writing })
            }
            deed => deed,
        };
        let step = self.run.depth.saturating_sub(1);
        self.run.left.journal.push(Entry { step, process, deed, stood });
    }
}

/// Whether a name would be moved from one mount to another, which the kernel refuses.
fn crosses_mounts(tid: u32, from: &At, to: &At) -> bool {
    let mount = |at: &At| {
        let root = format!("/proc/{tid}");
        let path = match at.folder {
            _ if at.path.starts_with('/') => format!("{root}/root{}", at.path),
            libc::AT_FDCWD => format!("{root}/cwd/{}", at.path),
            folder => format!("{root}/fd/{folder}/{}", at.path),
        };
        let about = rustix::fs::statx(
            rustix::fs::CWD,
            Path::new(&path).parent()?,
            AtFlags::empty(),
            StatxFlags::MNT_ID,
        );
        about.ok().map(|about| about.stx_mnt_id)
    };
    matches!((mount(from), mount(to)), (Some(from), Some(to)) if from != to)
}

/// What a copy within the kernel writes; none where that cannot be told, as with pipes.
fn copied(tid: u32, from: Fd, to: Fd, what: Copying) -> Option<Writing> {
    let path = |fd: Fd| format!("/proc/{tid}/fd/{}", fd.0);
    let [source, target] = [fs::metadata(path(from)).ok()?, fs::metadata(path(to)).ok()?];
    if !source.is_file() || !target.is_file() {
        return None;
    }
    let is_within_one = source.dev() == target.dev();
    let happens = match what.by {
        CopiedBy::Range => is_within_one,
        CopiedBy::Clone => is_within_one && shares_blocks(&path(to)),
        CopiedBy::Pipe => true,
    };
    let at = match what.from {
        Offset::At(at) => u64::try_from(at).ok()?,
        Offset::Current => Stood::of(tid, from.0)?.position,
    };
    let length = if happens { what.length.min(source.len().saturating_sub(at)) } else { 0 };
    if length > COPIED_BYTES_MAX {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    File::open(path(from)).ok()?.read_exact_at(&mut bytes, at).ok()?;
    Some(Writing { length, offset: what.to, parts: Vec::new(), bytes: Some(bytes.into()) })
}

/// Whether files can share blocks on the filesystem of this one.
fn shares_blocks(path: &str) -> bool {
    // nix has no name for it with musl.
    const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);
    statfs(path).is_ok_and(|about| [BTRFS_SUPER_MAGIC, XFS_SUPER_MAGIC].contains(&about.filesystem_type()))
}
