//! Whose a temporary folder is, as its name says.
//!
//! The name is of one length always: subjects save paths, and with the size of a file it can change in how many calls it
//! is read, so that a schedule of one process would not fit the next. And it is short, because sockets have short paths.

use std::path::Path;

use flockwork::{ProcessIdentity, View};

const START: &str = "flockwork-";

/// What the names of a process's folders begin with.
pub(super) fn prefix(owner: ProcessIdentity) -> String {
    let ProcessIdentity { pid, start_time, view, inode, .. } = owner;
    let view = view.expect("a process that was looked at has a view");
    format!(
        "{START}{pid:07x}-{start_time:010x}-{:08x}-{:08x}-{:08x}-{:010x}-",
        folded(view.boot),
        view.pid_namespace,
        view.time_namespace,
        inode.unwrap_or_default()
    )
}

/// Who made a folder, as its name says.
pub(super) fn of_path(path: &Path) -> Option<ProcessIdentity> {
    let mut parts = path.file_name()?.to_str()?.strip_prefix(START)?.splitn(7, '-');
    let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
    let (pid, start_time, boot) = (number()?, number()?, number()?);
    let (pid_namespace, time_namespace, inode) = (number()?, number()?, number()?);
    parts.next().filter(|random| !random.is_empty())?;
    let mut owner = ProcessIdentity::new(u32::try_from(pid).ok()?, start_time);
    let mut view = View::here()?;
    if boot != folded(view.boot) {
        // Another one, whichever it was.
        view.boot = !view.boot;
    }
    (view.pid_namespace, view.time_namespace) = (pid_namespace, time_namespace);
    owner.view = Some(view);
    owner.inode = Some(inode).filter(|inode| *inode != 0);
    Some(owner)
}

/// Enough of a boot's number to tell it from another.
fn folded(boot: u128) -> u64 {
    u64::from((boot >> 64) as u32 ^ (boot >> 32) as u32 ^ boot as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_says_is_read_again() {
        let own = ProcessIdentity::own().unwrap();
        let name = format!("{}abcdef", prefix(own));
        assert_eq!(of_path(Path::new("/tmp").join(&name).as_path()), Some(own));
        assert!(name.len() < 80, "{name}");
        for wrong in ["flockwork-1-2-3", "flockwork-notes", "other", &name[1..], &prefix(own)] {
            assert_eq!(of_path(Path::new(wrong)), None, "{wrong}");
        }
    }
}
