//! State folders as images, and images as state folders.

use std::collections::HashMap;
use std::fs::{self, Permissions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

use crate::disk::{BLOCK, Content, Image, Node};
use crate::ground::{Body, Capture, Entry, Kind};

/// An inode as the kernel numbers it: device and number.
pub type Number = (u64, u64);

/// What lies in the state folders, as one image; and which path each inode was met by first.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What lies there.
    pub image: Image,
    /// The path of each inode.
    pub numbers: Vec<(Number, Box<str>)>,
}

/// Where in the image a state folder lies: at the root where it is the only one.
pub(super) fn prefix(folder: usize, count: usize) -> Option<String> {
    (count > 1).then(|| format!("{}", folder + 1))
}

/// Reads the state folders.
pub fn read(folders: &[PathBuf]) -> io::Result<Seen> {
    read_like(folders, None)
}

/// The same; what lies there as in another image shares its memory.
pub fn read_like(folders: &[PathBuf], like: Option<&Image>) -> io::Result<Seen> {
    let mut seen = Seen { image: Image::default(), numbers: Vec::new() };
    let mut known: HashMap<Number, u32> = HashMap::new();
    for (number, folder) in folders.iter().enumerate() {
        let about = fs::metadata(folder)?;
        let at = prefix(number, folders.len()).unwrap_or_default();
        if !at.is_empty() {
            let inode = known.len() as u32;
            known.insert((about.dev(), about.ino()), inode);
            seen.image.insert(at.as_str(), inode, Node::Folder { mode: about.mode() & 0o7777 });
        }
        seen.numbers.push(((about.dev(), about.ino()), at.as_str().into()));
        read_folder(folder, &at, like, &mut seen, &mut known)?;
    }
    Ok(seen)
}

fn read_folder(
    folder: &Path,
    at: &str,
    like: Option<&Image>,
    seen: &mut Seen,
    known: &mut HashMap<Number, u32>,
) -> io::Result<()> {
    let mut open = vec![(folder.to_owned(), at.to_owned())];
    while let Some((folder, at)) = open.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else {
                let why = format!("{}: its name is not UTF-8", entry.path().display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            };
            let path = if at.is_empty() { name } else { format!("{at}/{name}") };
            let about = fs::symlink_metadata(entry.path())?;
            let mode = about.mode() & 0o7777;
            let node = if about.is_dir() {
                open.push((entry.path(), path.clone()));
                Node::Folder { mode }
            } else if about.is_symlink() {
                let target = fs::read_link(entry.path())?;
                Node::Link { target: target.to_string_lossy().into() }
            } else if about.is_file() {
                Node::File { mode, content: read_file(&entry.path(), like.and_then(|like| like.get(&path)))? }
            } else {
                let why = format!("{}: it is not a file, folder or link", entry.path().display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            };
            let number = (about.dev(), about.ino());
            let next = known.len() as u32;
            let inode = *known.entry(number).or_insert_with(|| {
                seen.numbers.push((number, path.as_str().into()));
                next
            });
            seen.image.insert(path, inode, node);
        }
    }
    Ok(())
}

/// Reads a file block by block; holes are skipped.
fn read_file(path: &Path, like: Option<&Node>) -> io::Result<Content> {
    let like = match like {
        Some(Node::File { content, .. }) => Some(content),
        _ => None,
    };
    let mut file = fs::File::open(path)?;
    let mut content = Content::default();
    let mut block = Vec::with_capacity(BLOCK as usize);
    loop {
        let at = match seek(&file, SeekFrom::Data(content.len())) {
            Ok(at) => at / BLOCK * BLOCK,
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(&file, SeekFrom::Hole(at))?;
        content.skip_to(at);
        file.seek(io::SeekFrom::Start(at))?;
        while content.len() < end {
            block.clear();
            if file.by_ref().take(BLOCK).read_to_end(&mut block)? == 0 {
                return Ok(content);
            }
            content.push_like(like, &block);
        }
    }
    content.skip_to(file.metadata()?.len());
    Ok(content)
}

/// Writes a file anew; zeros that nobody wrote stay holes.
fn write_file(path: &Path, content: &Content, mode: u32) -> io::Result<()> {
    let file = fs::File::create(path)?;
    let mut end = 0;
    for (offset, bytes) in content.written() {
        file.write_all_at(bytes, offset)?;
        end = offset + bytes.len() as u64;
    }
    if end != content.len() {
        file.set_len(content.len())?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// The first folder below this one at which another filesystem is mounted. A copy has it all on one, where renames between the two
/// are one step rather than none.
pub fn mounted_within(folder: &Path) -> io::Result<Option<PathBuf>> {
    let device = fs::metadata(folder)?.dev();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(&at)? {
            let entry = entry?;
            if !entry.file_type()?.is_dir() {
                continue;
            }
            // Of the entry itself: what a mount hides has another device.
            if fs::symlink_metadata(entry.path())?.dev() != device {
                return Ok(Some(entry.path()));
            }
            open.push(entry.path());
        }
    }
    Ok(None)
}

/// Lays an image out in a folder in which nothing lies.
pub fn lay_anew(image: &Image, folder: &Path) -> io::Result<()> {
    make(image, |_| false, |path| folder.join(path))
}

/// Turns state folders that hold one image into folders that hold another.
pub fn lay(from: &Image, to: &Image, folders: &[PathBuf]) -> io::Result<()> {
    let place = |path: &str| -> PathBuf {
        if folders.len() == 1 {
            return folders[0].join(path);
        }
        let (folder, rest) = path.split_once('/').unwrap_or((path, ""));
        let number: usize = folder.parse().unwrap_or(1);
        folders[number - 1].join(rest)
    };
    let is_kept = |path: &str| to.nodes().get(path) == from.nodes().get(path) && !is_linked(to, path);
    for (path, (_, node)) in from.nodes().iter().rev().filter(|(path, _)| !is_kept(path)) {
        match (node, to.get(path)) {
            (Node::Folder { .. }, Some(Node::Folder { .. })) => {}
            (Node::Folder { .. }, _) => fs::remove_dir(place(path))?,
            _ => fs::remove_file(place(path))?,
        }
    }
    make(to, is_kept, place)
}

/// Makes all of an image that is not there already.
fn make(image: &Image, is_there: impl Fn(&str) -> bool, place: impl Fn(&str) -> PathBuf) -> io::Result<()> {
    let mut first: HashMap<u32, &str> = HashMap::new();
    for (path, (inode, node)) in image.nodes().iter().filter(|(path, _)| !is_there(path)) {
        let target = place(path);
        match node {
            Node::Folder { mode } => {
                match fs::create_dir(&target) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !target.is_dir() => {
                        return Err(error);
                    }
                    _ => {}
                }
                fs::set_permissions(&target, Permissions::from_mode(*mode))?;
            }
            Node::Link { target: points_to } => symlink(&**points_to, &target)?,
            Node::File { mode, content } => {
                if let Some(other) = first.get(inode) {
                    fs::hard_link(place(other), &target)?;
                    continue;
                }
                write_file(&target, content, *mode)?;
                first.insert(*inode, path);
            }
        }
    }
    Ok(())
}

/// An image as captures of the state folders; the folders themselves are as they were at first.
#[must_use]
pub fn captures(image: &Image, initial: &[Capture]) -> Vec<Capture> {
    let mut captures: Vec<Capture> = initial
        .iter()
        .map(|capture| Capture {
            entries: capture.entries.iter().filter(|(path, _)| path.is_empty()).map(clone).collect(),
        })
        .collect();
    let mut names: HashMap<u32, Vec<&str>> = HashMap::new();
    for (path, (inode, _)) in image.nodes() {
        names.entry(*inode).or_default().push(path);
    }
    for (path, (inode, node)) in image.nodes() {
        let (folder, within) = if initial.len() == 1 {
            (0, &**path)
        } else {
            let (folder, rest) = path.split_once('/').unwrap_or((path, ""));
            (folder.parse::<usize>().map_or(0, |number| number - 1), rest)
        };
        if within.is_empty() {
            continue;
        }
        let (kind, mode) = match node {
            Node::File { mode, content } => {
                (Kind::File(Body::of_written(content.len(), content.written())), *mode)
            }
            Node::Folder { mode } => (Kind::Folder, *mode),
            Node::Link { target } => (Kind::Link(target.to_string()), 0),
        };
        let several = &names[inode];
        let is_file = matches!(kind, Kind::File(_));
        let first = several[0];
        let first =
            if initial.len() == 1 { first } else { first.split_once('/').map_or(first, |(_, rest)| rest) };
        let same_as = (several.len() > 1 && is_file).then(|| first.to_owned());
        captures[folder].entries.insert(within.to_owned(), Entry { kind, mode, same_as });
    }
    captures
}

fn clone((path, entry): (&String, &Entry)) -> (String, Entry) {
    (path.clone(), entry.clone())
}

/// Whether the path is one of several names of a file: they are laid out together.
fn is_linked(image: &Image, path: &str) -> bool {
    let Some((inode, Node::File { .. })) = image.nodes().get(path) else { return false };
    image.nodes().values().filter(|(other, _)| other == inode).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_become_images_and_images_folders_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = folder.path().to_owned();
        fs::create_dir(at.join("a")).expect("made");
        fs::write(at.join("a/one"), "1").expect("written");
        fs::hard_link(at.join("a/one"), at.join("two")).expect("linked");
        symlink("a/one", at.join("link")).expect("linked");
        let folders = [at.clone()];
        let first = read(&folders).expect("read").image;
        let mut other = Image::default();
        other.insert("a", 0, Node::File { mode: 0o600, content: Content::of(b"now a file".to_vec()) });
        other.insert("b", 1, Node::Folder { mode: 0o700 });
        other.insert("b/x", 2, Node::File { mode: 0o644, content: Content::default() });
        lay(&first, &other, &folders).expect("laid");
        assert_eq!(read(&folders).expect("read").image.digest(), other.digest());
        lay(&other, &first, &folders).expect("laid");
        assert_eq!(read(&folders).expect("read").image.digest(), first.digest());
    }
}
