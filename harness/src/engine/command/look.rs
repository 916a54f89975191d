//! Before a run: which files outside of the state its commands change. Each operation is run once, alone, and its calls are looked
//! at; then the state is put back. Operations of the run itself are not looked at: that would cost them time. What is run before each
//! round is not run for this.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::context::CommandContext;
use super::delay::{named, opened};
use super::supervise::GRACE_NS;
use crate::books::deed::{At, Fd};
use crate::process::launch;
use crate::process::perturbed::{Perturber, try_it};
use crate::process::sys::seccomp::Notification;
use crate::subject::command::values;
use crate::tracee::decode::{Recording, decode};
use crate::tracee::filter;
use crate::tracee::keeps_nothing;
use crate::tracee::memory::Memory;

/// How long a command may take that is looked at, in nanoseconds. One that waits for others ends no sooner.
const LIMIT_NS: u64 = 1_000_000_000;
/// So many files are told.
const TOLD_MAX: usize = 50;

/// The files that operations change although they do not lie in the state; none where the kernel does not let anybody look.
pub(super) fn touched(context: &CommandContext) -> io::Result<BTreeSet<String>> {
    let filter = filter::program(None);
    if try_it(&filter).is_err() {
        return Ok(BTreeSet::new());
    }
    let found = Rc::new(RefCell::new(BTreeSet::new()));
    let folders: Vec<PathBuf> =
        [Some(context.places.state.clone()), context.plan.state.clone()].into_iter().flatten().collect();
    let seen = Rc::clone(&found);
    let decide = move |stop: &Notification| {
        note(stop, &folders, &mut seen.borrow_mut());
        None
    };
    let perturber = RefCell::new(Perturber::new(filter, Box::new(decide)));
    let operations = context.plan.operations.iter().filter(|operation| operation.weight > 0);
    for (number, operation) in (1..).zip(operations) {
        let value = values::draw(operation, number, &mut |_| 0);
        let filled = context.filled(operation, &context.plan.objects[0], value.as_ref(), (1, number));
        let limit_ns = operation.time_limit_ns.min(LIMIT_NS);
        let launch = filled.launch(operation, context, limit_ns, &operation.name);
        launch::run(&launch::Launch { perturber: Some(&perturber), ..launch })?;
    }
    perturber.borrow_mut().serve_the_left(GRACE_NS)?;
    let found = found.borrow();
    Ok(found.iter().take(TOLD_MAX).cloned().collect())
}

/// Notes what a call changes outside of the folders, by the paths that it names.
fn note(stop: &Notification, folders: &[PathBuf], found: &mut BTreeSet<String>) {
    let told = decode(stop, Memory(stop.task), Recording::Lengths);
    let mut paths = Vec::new();
    let deed = told.map(
        |At { folder, path }, _| paths.extend(named(stop.task, folder, &path)),
        |Fd(fd)| _ = opened(stop.task, fd),
    );
    if !deed.changes_what_it_names() {
        return;
    }
    for path in paths.iter().map(|path| without_links(path)) {
        let is_inside = folders.iter().any(|folder| path.starts_with(folder));
        let path = path.display().to_string();
        if !is_inside && (!keeps_nothing(&path) || path.starts_with("/sys/")) {
            found.insert(path);
        }
    }
}

/// The path with the links of its folders followed. Its last part may be about to be made.
fn without_links(path: &Path) -> PathBuf {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return path.to_owned() };
    folder.canonicalize().map_or_else(|_| path.to_owned(), |folder| folder.join(name))
}
