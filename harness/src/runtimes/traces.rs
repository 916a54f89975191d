//! What is there of one container, whoever looks: it can be watched while the host's commands go on elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::clean::{self, Among, Left};
use crate::process::attention::Deadline;

/// How long until somebody looks again at first: what is about to end is gone soon.
const LOOK_FIRST: Duration = Duration::from_millis(2);
/// How long at the most: whoever is stopped in between does not count the time that he missed.
const LOOK_MAX: Duration = Duration::from_millis(40);

/// Where a container would be seen.
#[derive(Clone, Debug)]
pub struct Traces {
    pub(super) ground: String,
    /// The root that the runtime is given.
    pub(super) root: PathBuf,
    pub(super) id: String,
}

/// What there is of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its processes and cgroups.
    pub left: Left,
    /// What lies in the runtime's root, folders with a trailing slash.
    pub files: Vec<String>,
}

impl Seen {
    /// Whether there is nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left.is_empty() && self.files.is_empty()
    }
}

impl Traces {
    /// What is there now.
    #[must_use]
    pub fn seen(&self) -> Seen {
        let left = clean::left(&self.ground, Some(&self.id), Among::OurOwn);
        Seen { left, files: self.files() }
    }

    /// What is there when the time is over, or whoever asks has waited enough; nothing as soon as nothing is there.
    #[must_use]
    pub fn watch(&self, deadline: &mut Deadline, is_enough: impl Fn() -> bool) -> Seen {
        let mut pause = LOOK_FIRST;
        loop {
            let seen = self.seen();
            if seen.is_empty() || deadline.is_over() || is_enough() {
                return seen;
            }
            std::thread::sleep(pause.min(deadline.left()));
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    /// What lies in the runtime's root that is about this container, folders with a trailing slash.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        gather(&self.root, Path::new(""), &self.id, &mut found);
        found.sort();
        found
    }
}

fn gather(root: &Path, at: &Path, id: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(root.join(at)) else { return };
    for entry in entries.flatten() {
        let path = at.join(entry.file_name());
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let name = path.display().to_string();
        if name.contains(id) {
            found.push(if is_folder { format!("{name}/") } else { name });
        } else if is_folder {
            gather(root, &path, id, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_seen_when_its_time_is_over_and_what_goes_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let of = |id: &str| Traces {
            ground: "flockwork-no-such-ground".into(),
            root: folder.path().into(),
            id: id.into(),
        };
        fs::create_dir_all(folder.path().join("c1/inner")).unwrap();
        fs::write(folder.path().join("c2.lock"), "").unwrap();
        let time = Duration::from_millis(80);
        assert_eq!(of("c1").watch(&mut Deadline::after(time), || false).files, ["c1/"]);
        assert!(of("c3").watch(&mut Deadline::after(time), || false).is_empty());
        // Somebody removes it before the time is over.
        let hour = Duration::from_secs(3600);
        let seen = std::thread::scope(|scope| {
            let watching = scope.spawn(|| of("c2").watch(&mut Deadline::after(hour), || false));
            fs::remove_file(folder.path().join("c2.lock")).unwrap();
            watching.join().unwrap()
        });
        assert!(seen.is_empty(), "{seen:?}");
        // Whoever does not care any more is told what there is.
        assert_eq!(of("c1").watch(&mut Deadline::after(hour), || true).files, ["c1/"]);
    }
}
