//! Control groups by name, in every hierarchy that is mounted: containers of a ground have theirs below one that is called
//! as the ground is.

use std::fs;
use std::path::{Path, PathBuf};

/// Where hierarchies of cgroups are mounted, of either version.
#[must_use]
pub fn hierarchies() -> Vec<PathBuf> {
    mounted(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

fn mounted(mountinfo: &str) -> Vec<PathBuf> {
    // "36 25 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu"
    let point = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let kind = after.split(' ').next()?;
        matches!(kind, "cgroup" | "cgroup2").then(|| before.split(' ').nth(4).map(PathBuf::from))?
    };
    let mut points: Vec<PathBuf> = mountinfo.lines().filter_map(point).collect();
    points.sort();
    points.dedup();
    points
}

/// The one hierarchy of version 2, and whether there are any of version 1 beside it.
#[must_use]
pub fn unified() -> Option<(PathBuf, bool)> {
    let all = hierarchies();
    let is_unified = |path: &&PathBuf| path.join("cgroup.controllers").exists();
    let unified = all.iter().find(is_unified)?.clone();
    Some((unified, all.iter().any(|path| !is_unified(&path))))
}

/// The cgroups of a ground, or of one container in it where an id is given.
#[must_use]
pub fn of(ground: &str, id: Option<&str>) -> Vec<PathBuf> {
    let inner = |hierarchy: PathBuf| {
        let own = hierarchy.join(ground);
        id.map_or_else(|| own.clone(), |id| own.join(id))
    };
    hierarchies().into_iter().map(inner).filter(|path| path.is_dir()).collect()
}

/// The cgroups below one.
fn children(cgroup: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(cgroup) else { return Vec::new() };
    let folder =
        |entry: fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir()).then(|| entry.path());
    entries.flatten().filter_map(folder).collect()
}

/// The processes in a cgroup and in all below it.
#[must_use]
pub fn pids(cgroup: &Path) -> Vec<u32> {
    let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    let mut pids: Vec<u32> = listed.lines().filter_map(|line| line.trim().parse().ok()).collect();
    pids.extend(children(cgroup).iter().flat_map(|child| self::pids(child)));
    pids
}

/// Whether a container's processes are frozen; none where it has no freezer.
#[must_use]
pub fn frozen(ground: &str, id: &str) -> Option<bool> {
    of(ground, Some(id)).iter().find_map(|cgroup| {
        let state = fs::read_to_string(cgroup.join("freezer.state")).ok();
        let events = fs::read_to_string(cgroup.join("cgroup.events")).ok();
        let old = state.map(|state| state.trim() != "THAWED");
        let new = events.filter(|events| !events.is_empty() && !is_empty_of_tasks(events));
        old.or_else(|| new.map(|events| events.lines().any(|line| line == "frozen 1")))
    })
}

/// A runtime of version 1 may leave an empty cgroup in the unified hierarchy too, whose freezer says nothing.
fn is_empty_of_tasks(events: &str) -> bool {
    events.lines().any(|line| line == "populated 0")
}

/// Lets a cgroup and all below it run again: what is frozen does not die.
pub fn thaw(cgroup: &Path) {
    for child in children(cgroup) {
        thaw(&child);
    }
    for (file, text) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        let file = cgroup.join(file);
        if file.exists() {
            // One that cannot be thawed is seen by what stays in it.
            _ = fs::write(file, text);
        }
    }
}

/// Removes a cgroup and all below it, the lowest first. What holds processes stays.
pub fn remove(cgroup: &Path) {
    for child in children(cgroup) {
        remove(&child);
    }
    _ = fs::remove_dir(cgroup);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::procfs;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mountinfo = "22 1 0:20 / /sys rw - sysfs sysfs rw\n\
                         36 25 0:31 / /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu\n\
                         37 25 0:32 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw\nrubbish\n";
        let expected = ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(mounted(mountinfo), expected);
    }

    #[test]
    fn this_very_process_is_in_no_cgroup_of_a_ground() {
        assert!(!procfs::is_in_cgroup(std::process::id(), "flockwork-no-such-ground"));
        assert!(of("flockwork-no-such-ground", None).is_empty());
    }
}
