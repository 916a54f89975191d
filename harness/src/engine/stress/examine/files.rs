//! The root's files: whose they are, and a copy of them as they were left.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::subject::{Owner, Subject};

/// Largest root that is copied, in bytes.
const COPY_BYTES_MAX: u64 = 64 << 20;

/// The files of a root, by owner. Folders have a trailing slash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sorted {
    /// Each container's, by index; containers without files are left out.
    pub containers: Vec<(u32, Vec<String>)>,
    /// Paths that belong to no container and not to the subject itself.
    pub strays: Vec<String>,
}

/// Notes whose each file below the root is.
pub(crate) fn sort(root: &Path, subject: &dyn Subject, containers: &[String]) -> Sorted {
    let mut owned = vec![Vec::new(); containers.len()];
    let mut strays = Vec::new();
    for found in walk(root) {
        match subject.owner(&found.relative) {
            Owner::Root => {}
            Owner::Container(name) => match containers.iter().position(|known| *known == name) {
                Some(index) => owned[index].push(found.shown()),
                None => strays.push(found.shown()),
            },
            Owner::Nobody => strays.push(found.shown()),
        }
    }
    let containers = (0..).zip(owned).filter(|(_, files)| !files.is_empty()).collect();
    Sorted { containers, strays }
}

/// Every path below the root that is not the subject's own.
pub(crate) fn remains(root: &Path, subject: &dyn Subject) -> Vec<String> {
    let is_left = |found: &Found| subject.owner(&found.relative) != Owner::Root;
    walk(root).iter().filter(|found| is_left(found)).map(Found::shown).collect()
}

/// The folder next to the root where its copy goes.
pub(crate) fn left_beside(root: &Path) -> PathBuf {
    let mut name = root.file_name().unwrap_or_default().to_owned();
    name.push(".left");
    root.with_file_name(name)
}

/// Copies the root to the folder beside it, as it is; does nothing where it is too large.
pub(super) fn copy_left(root: &Path) -> io::Result<()> {
    if walk(root).iter().map(|found| found.bytes).sum::<u64>() > COPY_BYTES_MAX {
        return Ok(());
    }
    let left = left_beside(root);
    flockwork::tree::remove_path(&left)?;
    copy_tree(root, &left)
}

/// Copies a folder with all that is in it to a new one. Sockets, pipes and devices are left out.
pub(crate) fn copy_tree(source: &Path, copy: &Path) -> io::Result<()> {
    fs::create_dir(copy)?;
    let mut folders = Vec::new();
    for found in &walk(source) {
        let (from, to) = (source.join(&found.relative), copy.join(&found.relative));
        match found.kind {
            Kind::Folder => {
                fs::create_dir(&to)?;
                folders.push((to, fs::metadata(&from)?.permissions()));
            }
            Kind::File => _ = fs::copy(&from, &to)?,
            Kind::Link => symlink(fs::read_link(&from)?, &to)?,
            Kind::Other => {}
        }
    }
    // Only now, and the deepest first: a folder that may not be written could not have been filled.
    for (folder, permissions) in folders.iter().rev() {
        fs::set_permissions(folder, fs::Permissions::from_mode(permissions.mode()))?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
    Link,
    Other,
}

#[derive(Debug)]
struct Found {
    relative: PathBuf,
    kind: Kind,
    bytes: u64,
}

impl Found {
    fn shown(&self) -> String {
        let path = self.relative.to_string_lossy();
        if self.kind == Kind::Folder { format!("{path}/") } else { path.into_owned() }
    }
}

/// Everything below the root, sorted, a folder before what is in it. Links are not followed; what cannot be read is
/// left out.
fn walk(root: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(root.join(&folder)) else { continue };
        for entry in entries.flatten() {
            let relative = folder.join(entry.file_name());
            let Ok(metadata) = entry.metadata() else { continue };
            let kind = match metadata.file_type() {
                kind if kind.is_dir() => Kind::Folder,
                kind if kind.is_file() => Kind::File,
                kind if kind.is_symlink() => Kind::Link,
                _ => Kind::Other,
            };
            if kind == Kind::Folder {
                folders.push(relative.clone());
            }
            found.push(Found { relative, kind, bytes: metadata.len() });
        }
    }
    found.sort_by(|one, other| one.relative.cmp(&other.relative));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subject::{Seat, Session, Traits};

    /// Folders are containers, `lock` is the subject's own.
    struct ByFolder;

    impl Subject for ByFolder {
        fn open(&self, _seat: Seat) -> Result<Box<dyn Session>, String> {
            Err("only for its owner".into())
        }
        fn traits(&self) -> Traits {
            Traits::NONE
        }
        fn owner(&self, relative: &Path) -> Owner {
            let first = relative.iter().next().and_then(|first| first.to_str()).unwrap_or("");
            match first {
                "lock" => Owner::Root,
                name if name.starts_with('c') => Owner::Container(name.into()),
                _ => Owner::Nobody,
            }
        }
        fn metadata_path(&self, container: &str) -> PathBuf {
            Path::new(container).join("meta.json")
        }
    }

    #[test]
    fn files_go_to_their_owners_and_a_copy_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir_all(root.join("c2/deep")).expect("folders");
        fs::create_dir(root.join("c9")).expect("a folder");
        for file in ["lock", "c2/meta.json", "c2/deep/x", "junk"] {
            fs::write(root.join(file), file).expect("a file");
        }
        symlink("/nowhere", root.join("c2/link")).expect("a link");
        let names = ["c1".to_owned(), "c2".to_owned()];
        let sorted = sort(&root, &ByFolder, &names);
        let of_c2 = ["c2/", "c2/deep/", "c2/deep/x", "c2/link", "c2/meta.json"].map(str::to_owned);
        assert_eq!(sorted.containers, [(1, of_c2.to_vec())]);
        assert_eq!(sorted.strays, ["c9/", "junk"]);
        assert_eq!(remains(&root, &ByFolder).len(), 7);
        for _ in 0..2 {
            copy_left(&root).expect("copied, and copied over");
        }
        let left = left_beside(&root);
        assert_eq!(sort(&left, &ByFolder, &names), sorted);
        assert_eq!(fs::read_to_string(left.join("c2/deep/x")).expect("its text"), "c2/deep/x");
    }
}
