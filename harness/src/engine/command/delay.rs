//! Which calls of commands are delayed, and by how much: those on files of the state, by a time that the run's seed gives.

use std::cell::Cell;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::context::CommandContext;
use crate::books::deed::{At, Fd};
use crate::explore::strategy::sampling::Dice;
use crate::process::perturbed::{Perturber, try_it};
use crate::process::sys::seccomp::Notification;
use crate::tracee::decode::{Recording, decode};
use crate::tracee::filter;
use crate::tracee::memory::Memory;

/// Keeps the numbers that delays are drawn from apart from those of everything else.
const STREAM: u64 = 1 << 63;

/// Finds out whether calls can be delayed, where they are to be; why not, where they cannot.
pub(super) fn make_ready(context: &mut CommandContext) -> Option<String> {
    context.plan.perturb_ns.as_ref()?;
    match try_it(&filter::program(None)) {
        Ok(()) => {
            context.perturbs = true;
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// What delays the calls of a worker's commands; none where none are delayed.
pub(super) fn perturber(context: &CommandContext, stream: u64) -> Option<Perturber> {
    let range_ns = context.plan.perturb_ns.clone().filter(|_| context.perturbs)?;
    let mut dice = Dice::of(context.plan.seed, stream | STREAM);
    let folders: Vec<PathBuf> =
        [Some(context.places.state.clone()), context.plan.state.clone()].into_iter().flatten().collect();
    let decide = move |stop: &Notification| {
        let (least_ns, most_ns) = (*range_ns.start(), *range_ns.end());
        concerns(stop, &folders).then(|| least_ns + dice.number() % (most_ns - least_ns + 1))
    };
    Some(Perturber::new(filter::program(None), Box::new(decide)))
}

/// Whether a call is about a file below one of these folders, as far as its path or descriptor tells.
fn concerns(stop: &Notification, folders: &[PathBuf]) -> bool {
    let told = decode(stop, Memory(stop.task), Recording::Lengths);
    let is_hit = Cell::new(false);
    let look = |path: Option<PathBuf>| {
        let is_below = path.is_some_and(|path| folders.iter().any(|folder| path.starts_with(folder)));
        is_hit.set(is_hit.get() || is_below);
    };
    told.map(
        |At { folder, path }, _| look(named(stop.task, folder, &path)),
        |Fd(fd)| look(opened(stop.task, fd)),
    );
    is_hit.get()
}

/// The path of an open file.
pub(super) fn opened(task: u32, fd: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{task}/fd/{fd}")).ok()
}

/// The path that a task names, without following links.
pub(super) fn named(task: u32, folder: i32, path: &str) -> Option<PathBuf> {
    if path.starts_with('/') {
        return Some(plain(Path::new(path)));
    }
    let folder = match folder {
        libc::AT_FDCWD => fs::read_link(format!("/proc/{task}/cwd")).ok(),
        fd => opened(task, fd),
    };
    Some(plain(&folder?.join(path)))
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut all = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = all.pop(),
            Component::CurDir => {}
            part => all.push(part),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_without_detours() {
        assert_eq!(plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(plain(Path::new("/../a")), Path::new("/a"));
    }
}
