//! Stores with real processes behind their containers. Every process is marked with its store's folder, and none outlives
//! the store: a container that could not be deleted, or a test that failed, leaves nothing on the machine.

use std::path::Path;
use std::sync::Arc;

use flockwork::StoreOptions;
use flockwork::sandbox::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::Scratch;

/// The variable by which the processes of a test's sandboxes are recognised.
const MARK: &str = "FLOCKWORK_TEST_MARK";

/// A store whose sandboxes are processes that end with it.
pub struct Marked(Scratch);

impl Marked {
    pub fn with(options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = with_processes(options, folder.path()).open(folder.path()).unwrap();
        Self(Scratch { folder, store })
    }
}

impl std::ops::Deref for Marked {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        &self.0
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        // A shell that is about to fork is ended before it can, or its child is found by the next look.
        for pid in
            std::iter::repeat_with(|| marked(self.path())).take_while(|pids| !pids.is_empty()).flatten()
        {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
    }
}

/// A store of this folder whose sandboxes are processes with the folder's mark, for the children of a test as well.
pub fn with_processes(options: StoreOptions, root: &Path) -> StoreOptions {
    with_command(options, root, Process::default())
}

/// The same, of another command.
pub fn with_command(options: StoreOptions, root: &Path, command: Process) -> StoreOptions {
    options.sandbox(Arc::new(command.environment(MARK, root.to_str().unwrap())))
}

/// Every living process with the mark of this folder.
pub fn marked(root: &Path) -> Vec<u32> {
    let mark = format!("{MARK}={}", root.display());
    // The environment of a zombie is empty.
    let is_marked = |pid: u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let pids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| is_marked(*pid)).collect()
}
