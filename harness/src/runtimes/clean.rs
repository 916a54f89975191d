//! Finds all that containers of a ground left on the machine, and removes it: processes, cgroups, mounts.
//!
//! A ground is a temporary folder of a run, and its name is nowhere else: it is in the environment and the arguments of
//! containers' processes, in the command lines of the runtimes (`--root`), and it is the name of their cgroup. So whoever
//! comes later finds it all by the folder that lies there, though every process of the harness was killed.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, umount2};

use super::cgroup;
use crate::process::Marker;
use crate::process::attention::Deadline;
use crate::process::marker::Handle;
use crate::process::procfs::{self, Stat};

/// How long processes may take to die of SIGKILL.
const DEATH_MAX: Duration = Duration::from_secs(5);
/// A file in a ground that says that containers were made there.
pub const SIGN: &str = "containers";

/// What containers left on the machine, apart from files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Living processes, as `name (pid)`.
    pub processes: Vec<String>,
    /// Cgroups that the runtime made and did not remove.
    pub cgroups: Vec<PathBuf>,
    /// Mounts below the ground.
    pub mounts: Vec<PathBuf>,
}

impl Left {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.processes.is_empty() && self.cgroups.is_empty() && self.mounts.is_empty()
    }

    /// Adds what containers of another ground left.
    pub fn add(&mut self, other: Self) {
        self.processes.extend(other.processes);
        self.cgroups.extend(other.cgroups);
        self.mounts.extend(other.mounts);
    }
}

/// Whose processes are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// All of the machine's: the ground may be that of a run whose processes are gone.
    Everybody,
    /// Those below this process, whose ground it is: all of a run are, as its warden is the reaper of whatever it starts. Its own
    /// copies are left out, such as spawners: no container is made of them. It takes a small part of the time.
    OurOwn,
}

/// What is left of a ground: of all of it, or of one container.
#[must_use]
pub fn left(ground: &str, id: Option<&str>, among: Among) -> Left {
    let named = |pid: &u32| format!("{} (pid {pid})", procfs::name(*pid).unwrap_or_else(|| "?".into()));
    Left {
        processes: processes(ground, id, among).iter().map(named).collect(),
        cgroups: cgroup::of(ground, id),
        mounts: if id.is_some() { Vec::new() } else { mounts(ground) },
    }
}

/// Living processes of a ground's containers, or of one of them.
#[must_use]
pub fn processes(ground: &str, id: Option<&str>, among: Among) -> Vec<u32> {
    let own = std::process::id();
    let is_meant = |pid: u32| match id {
        None => is_of(ground, pid),
        Some(id) => is_of(ground, pid) && is_about(id, pid),
    };
    let candidates = match among {
        Among::Everybody => procfs::pids(),
        Among::OurOwn => below(own),
    };
    candidates.into_iter().filter(|&pid| pid != own && is_meant(pid) && procfs::lives(pid)).collect()
}

/// Whether anybody of a ground is seen below the calling process. It takes a small part of the time of [`processes`], and may
/// miss somebody whose parent ends meanwhile: only what it sees is told.
#[must_use]
pub fn sees_any(ground: &str) -> bool {
    procfs::descendants(std::process::id()).into_iter().any(|pid| is_of(ground, pid) && procfs::lives(pid))
}

/// All that may be below a process, but for its own copies: whoever's parent is gone by the time that it is looked at may be.
fn below(root: u32) -> Vec<u32> {
    let seen: HashMap<u32, Stat> =
        procfs::pids().into_iter().filter_map(|pid| Some((pid, Stat::of(pid)?))).collect();
    let image = seen.get(&root).map(|stat| stat.image);
    let is_below = |pid: u32| {
        let mut at = pid;
        // No longer than there are processes: a number that was used anew may lead in circles.
        for _ in 0..seen.len() {
            match seen.get(&at).map(|stat| stat.parent) {
                Some(parent) if parent == root => return true,
                // Nobody is above the first process, nor above the kernel's.
                Some(0) => return false,
                Some(parent) => at = parent,
                None => return true,
            }
        }
        true
    };
    let is_copy = |stat: &Stat| image.is_some_and(|image| stat.image.is_copy_of(&image));
    seen.iter().filter(|(pid, stat)| !is_copy(stat) && is_below(**pid)).map(|(pid, _)| *pid).collect()
}

/// Whether a process belongs to containers of this ground: its cgroup says so, its environment, or the root that it was
/// given as a runtime. That its arguments merely name the ground is not enough: somebody may be looking at its files.
fn is_of(ground: &str, pid: u32) -> bool {
    let is_marked = || procfs::environment(pid, Marker::VARIABLE).is_some_and(|value| value == ground);
    let has_root = || {
        let line = procfs::command_line(pid).unwrap_or_default();
        let mut after_root = false;
        line.iter().any(|word| {
            let is_value = std::mem::replace(&mut after_root, word == "--root");
            (is_value || word.starts_with("--root=")) && word.split('/').any(|part| part == ground)
        })
    };
    procfs::is_in_cgroup(pid, ground) || is_marked() || has_root()
}

/// Whether a process is about one container: by its cgroup, or by its arguments.
fn is_about(id: &str, pid: u32) -> bool {
    let line = procfs::command_line(pid).unwrap_or_default();
    line.iter().any(|word| word.split('/').any(|part| part == id)) || procfs::is_in_cgroup(pid, id)
}

/// Mounts below a folder of this name.
fn mounts(ground: &str) -> Vec<PathBuf> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    let own = points.filter(|point| point.split('/').any(|part| part == ground));
    // The innermost first.
    let mut own: Vec<PathBuf> = own.map(PathBuf::from).collect();
    own.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    own
}

/// Ends and removes all that is left of a ground, or of one container in it; gives back what is there still.
#[must_use = "it may not be empty"]
pub fn away(ground: &str, id: Option<&str>) -> Left {
    let mut deadline = Deadline::after(DEATH_MAX);
    loop {
        for cgroup in cgroup::of(ground, id) {
            cgroup::thaw(&cgroup);
        }
        let mut pids = processes(ground, id, Among::Everybody);
        pids.extend(cgroup::of(ground, id).iter().flat_map(|cgroup| cgroup::pids(cgroup)));
        for pid in pids {
            let handle = Handle::of(pid);
            // Once more: what was seen before the handle was had may have been another.
            if is_of(ground, pid) {
                _ = handle.kill();
            }
        }
        for cgroup in cgroup::of(ground, id) {
            cgroup::remove(&cgroup);
        }
        if id.is_none() {
            for mount in mounts(ground) {
                _ = umount2(&mount, MntFlags::MNT_DETACH);
            }
        }
        let left = left(ground, id, Among::Everybody);
        if left.is_empty() || deadline.is_over() {
            return left;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether containers were made in this folder, so that something may be left of them on the machine.
#[must_use]
pub fn has_sign(folder: &Path) -> bool {
    folder.join("root").join(SIGN).is_file()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_child_and_its_child_are_below_and_the_first_process_is_not() {
        let mut shell = Command::new("sh").args(["-c", "sleep 60 & echo; wait"]).spawn().unwrap();
        let mut grandchild = Vec::new();
        while grandchild.is_empty() {
            grandchild = procfs::children(shell.id());
        }
        let own = below(std::process::id());
        assert!(own.contains(&shell.id()) && own.contains(&grandchild[0]), "{own:?}");
        assert!(!own.contains(&1), "{own:?}");
        assert!(!below(shell.id()).contains(&std::process::id()));
        let seen = procfs::descendants(std::process::id());
        assert!(seen.contains(&shell.id()) && seen.contains(&grandchild[0]), "{seen:?}");
        _ = Handle::of(grandchild[0]).kill();
        shell.wait().unwrap();
    }
}
