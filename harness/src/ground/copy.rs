//! Copies of folders: contents, modes, owners, links and times, and nothing that a copy cannot stand for.

use std::collections::HashMap;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use super::GroundError;

/// The most that is copied, in bytes of all files.
pub const BYTES_MAX: u64 = 1_000_000_000;

/// How many bytes the files below a folder hold; the error says what cannot be copied. What `leaves_out` says of is as if it
/// were not there.
pub fn copied_bytes(folder: &Path, leaves_out: &dyn Fn(&Path) -> bool) -> Result<u64, GroundError> {
    let about = fs::metadata(folder).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => GroundError::Absent { path: folder.to_owned() },
        _ => GroundError::io(folder, "it cannot be looked at")(error),
    })?;
    if !about.is_dir() {
        return Err(GroundError::NoFolder { path: folder.to_owned(), found: kind_of(&about) });
    }
    let mut bytes = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(&at).map_err(GroundError::io(&at, "it cannot be listed"))? {
            let path = entry.map_err(GroundError::io(&at, "it cannot be listed"))?.path();
            if leaves_out(&path) {
                continue;
            }
            let about =
                fs::symlink_metadata(&path).map_err(GroundError::io(&path, "it cannot be looked at"))?;
            let kind = about.file_type();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                // Asked now, so that an error comes before anything is copied.
                fs::File::open(&path)
                    .map_err(GroundError::io(&path, "it cannot be read, so it cannot be copied"))?;
                bytes += about.len();
            } else if !kind.is_symlink() {
                return Err(GroundError::Uncopied { path, found: kind_of(&about) });
            }
            if bytes > BYTES_MAX {
                let limit_mb = BYTES_MAX / 1_000_000;
                return Err(GroundError::TooLarge { path: folder.to_owned(), limit_mb });
            }
        }
    }
    Ok(bytes)
}

fn kind_of(about: &Metadata) -> &'static str {
    let kind = about.file_type();
    match () {
        () if kind.is_socket() => "a socket",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_block_device() => "a block device",
        () if kind.is_char_device() => "a character device",
        () if kind.is_dir() => "a folder",
        () if kind.is_file() => "a file",
        () => "something else",
    }
}

/// Copies what lies in a folder into another that is there and empty. Files with several names in it have them in the copy.
pub fn copy(from: &Path, to: &Path, leaves_out: &dyn Fn(&Path) -> bool) -> Result<(), GroundError> {
    let mut names = HashMap::new();
    copy_into(from, to, leaves_out, &mut names)?;
    let about = fs::metadata(from).map_err(GroundError::io(from, "it cannot be looked at"))?;
    dress(to, &about)
}

fn copy_into(
    from: &Path,
    to: &Path,
    leaves_out: &dyn Fn(&Path) -> bool,
    names: &mut HashMap<(u64, u64), PathBuf>,
) -> Result<(), GroundError> {
    for entry in fs::read_dir(from).map_err(GroundError::io(from, "it cannot be listed"))? {
        let entry = entry.map_err(GroundError::io(from, "it cannot be listed"))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if leaves_out(&source) {
            continue;
        }
        let about =
            fs::symlink_metadata(&source).map_err(GroundError::io(&source, "it cannot be looked at"))?;
        let kind = about.file_type();
        if kind.is_dir() {
            fs::create_dir(&target).map_err(GroundError::io(&target, "it cannot be made"))?;
            copy_into(&source, &target, leaves_out, names)?;
        } else if kind.is_symlink() {
            let points_to = fs::read_link(&source).map_err(GroundError::io(&source, "it cannot be read"))?;
            symlink(points_to, &target).map_err(GroundError::io(&target, "it cannot be made"))?;
        } else if kind.is_file() {
            let inode = (about.dev(), about.ino());
            if let Some(first) = names.get(&inode).filter(|_| about.nlink() > 1) {
                fs::hard_link(first, &target).map_err(GroundError::io(&target, "it cannot be linked"))?;
                continue;
            }
            fs::copy(&source, &target).map_err(GroundError::io(&source, "it cannot be copied"))?;
            names.insert(inode, target.clone());
        } else {
            return Err(GroundError::Uncopied { path: source, found: kind_of(&about) });
        }
        dress(&target, &about)?;
    }
    Ok(())
}

/// Gives a copy the owner, the mode and the times of what it is a copy of.
pub(super) fn dress(target: &Path, about: &Metadata) -> Result<(), GroundError> {
    // Only root may give files away; of others' files an ordinary user's copy is their own.
    let is_root = rustix::process::geteuid().is_root();
    let owner = (about.uid(), about.gid());
    if is_root {
        std::os::unix::fs::lchown(target, Some(owner.0), Some(owner.1))
            .map_err(GroundError::io(target, "its owner cannot be set"))?;
    } else if about.gid() != rustix::process::getegid().as_raw() && !about.is_symlink() {
        _ = chown(target, None, Some(about.gid()));
    }
    if !about.is_symlink() {
        fs::set_permissions(target, Permissions::from_mode(about.mode() & 0o7777))
            .map_err(GroundError::io(target, "its mode cannot be set"))?;
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: about.atime(), tv_nsec: about.atime_nsec() },
        last_modification: Timespec { tv_sec: about.mtime(), tv_nsec: about.mtime_nsec() },
    };
    utimensat(CWD, target, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| GroundError::io(target, "its times cannot be set")(error.into()))
}
