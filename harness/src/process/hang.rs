//! Who waits for what, where commands do not end: told by what the kernel says of their processes and of file locks.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::procfs::{self, Stat};

/// A lock that somebody waits for: device and inode, as `/proc/locks` has them.
type LockedFile = (u32, u32, u64);

/// What each of these commands waits for, a line each, while all of them are still there. `reaper` is the process that all are
/// descendants of; `folders` are where files are looked for.
#[must_use]
pub fn told(commands: &[(String, u32)], reaper: u32, folders: &[PathBuf]) -> Vec<String> {
    let owners = owners(commands, reaper);
    let waits = waits(&fs::read_to_string("/proc/locks").unwrap_or_default());
    let names = names(folders);
    let mut lines = Vec::new();
    for (who, pid) in commands {
        let tree = tree(*pid);
        let waiting = tree.iter().find_map(|pid| waits.get(pid).map(|file| (*pid, *file)));
        let line = match waiting {
            Some((pid, file)) => {
                let at = names.get(&file).map_or_else(|| "a file".to_owned(), Clone::clone);
                let holders = holders(file, &tree, &owners);
                let held = if holders.is_empty() {
                    String::new()
                } else {
                    format!(", held by {}", holders.join(" and "))
                };
                format!("{who} ({}) waits for the lock on {at}{held}", name(pid))
            }
            None => format!("{who} {}", doing(&tree)),
        };
        lines.push(line);
    }
    lines
}

/// What the last process of a tree does: those before it wait for it.
fn doing(tree: &[u32]) -> String {
    let Some(&pid) = tree.last() else { return "has just ended".into() };
    let name = name(pid);
    match (Stat::of(pid).map(|stat| stat.state), procfs::wait_channel(pid)) {
        (Some('R'), _) => format!("({name}) is running"),
        (Some('T' | 't'), _) => format!("({name}) is stopped"),
        (Some('Z'), _) => format!("({name}) has ended, and nobody has waited for it"),
        (_, Some(channel)) => format!("({name}) waits in the kernel: {channel}{}", stack(pid)),
        (_, None) => format!("({name}) waits"),
    }
}

/// Where in the kernel it waits, where the caller may know; the innermost function is the wait channel.
fn stack(pid: u32) -> String {
    const FRAMES_MAX: usize = 4;
    let frames = procfs::stack(pid);
    if frames.len() < 2 {
        return String::new();
    }
    format!(", called by {}", frames.into_iter().skip(1).take(FRAMES_MAX).collect::<Vec<_>>().join(" < "))
}

fn name(pid: u32) -> String {
    procfs::name(pid).unwrap_or_else(|| "?".into())
}

/// A process and its descendants, parents first.
#[must_use]
pub fn tree(pid: u32) -> Vec<u32> {
    let mut tree = vec![pid];
    let mut at = 0;
    while let Some(&pid) = tree.get(at) {
        tree.extend(procfs::children(pid));
        at += 1;
    }
    tree
}

/// Whose each process below the reaper is: a command's, or left behind by one.
fn owners(commands: &[(String, u32)], reaper: u32) -> BTreeMap<u32, String> {
    let mut owners = BTreeMap::new();
    for (who, pid) in commands {
        for pid in tree(*pid) {
            owners.insert(pid, format!("{who} ({})", name(pid)));
        }
    }
    for child in procfs::children(reaper) {
        for pid in tree(child) {
            owners.entry(pid).or_insert_with(|| format!("{}, which a command left behind", name(pid)));
        }
    }
    owners
}

/// Who has the file open, but for those who wait: a lock outlives whoever took it, as long as somebody has it open.
fn holders(file: LockedFile, waiters: &[u32], owners: &BTreeMap<u32, String>) -> Vec<String> {
    let has_open = |pid: u32| {
        let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        open.flatten().any(|open| fs::metadata(open.path()).is_ok_and(|about| locked_file(&about) == file))
    };
    let others = owners.iter().filter(|(pid, _)| !waiters.contains(pid));
    others.filter(|(pid, _)| has_open(**pid)).map(|(_, owner)| owner.clone()).collect()
}

/// The files that processes wait to lock, by pid.
fn waits(locks: &str) -> BTreeMap<u32, LockedFile> {
    // "1: -> FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF"
    let wait = |line: &str| {
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != "->").skip(4);
        let pid = words.next()?.parse().ok()?;
        let mut file = words.next()?.split(':');
        let major = u32::from_str_radix(file.next()?, 16).ok()?;
        let minor = u32::from_str_radix(file.next()?, 16).ok()?;
        Some((pid, (major, minor, file.next()?.parse().ok()?)))
    };
    locks.lines().filter_map(wait).collect()
}

fn locked_file(about: &fs::Metadata) -> LockedFile {
    (rustix::fs::major(about.dev()), rustix::fs::minor(about.dev()), about.ino())
}

/// The names of all files in these folders.
fn names(folders: &[PathBuf]) -> BTreeMap<LockedFile, String> {
    let mut names = BTreeMap::new();
    for folder in folders {
        gather(folder, Path::new(""), &mut names);
    }
    names
}

fn gather(root: &Path, at: &Path, names: &mut BTreeMap<LockedFile, String>) {
    let Ok(entries) = fs::read_dir(root.join(at)) else { return };
    for entry in entries.flatten() {
        let path = at.join(entry.file_name());
        let Ok(about) = fs::symlink_metadata(root.join(&path)) else { continue };
        if about.is_dir() {
            gather(root, &path, names);
        } else {
            names.entry(locked_file(&about)).or_insert_with(|| path.display().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_read_from_the_kernels_list() {
        let locks = "1: FLOCK  ADVISORY  WRITE 17 fe:0a:5678 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 18 fe:0a:5678 0 EOF\n\
                     2: POSIX  ADVISORY  READ 19 00:1f:9 0 EOF\n2: -> POSIX  ADVISORY  WRITE 20 00:1f:9 0 EOF\nrubbish ->\n";
        let waits = waits(locks);
        assert_eq!(waits, BTreeMap::from([(18, (0xfe, 10, 5678)), (20, (0, 0x1f, 9))]));
    }
}
