//! Container runtimes as they are installed: runc, crun, youki and runsc, each behind its own command line.
//!
//! A runtime is opaque: what is known of it is what its commands print, how they exit, and what the machine shows of
//! processes, cgroups and files. So all of that is here: how it is found, the bundle that it is given, how its answers are
//! read, what it is known to do, and how everything that it made is found again and removed, whoever was killed.
//!
//! Nothing here chooses what is done at once, and nothing judges: that is the engine's business, and the checks'.

pub mod answer;
pub mod bundle;
pub mod cgroup;
pub mod clean;
pub mod find;
pub mod host;
pub mod life;
pub mod profile;
pub mod traces;

pub use find::{FindError, Found, find};
pub use host::{Done, Host, HostError};

use std::path::Path;

use flockwork::Operation;

use crate::plan::rounds::OciPlan;
pub use crate::plan::rounds::Runtime;

impl Runtime {
    /// What it can be asked for.
    pub fn operations() -> impl Iterator<Item = Operation> {
        Operation::ALL.into_iter().filter(|operation| match operation {
            Operation::Create
            | Operation::Start
            | Operation::Pause
            | Operation::Resume
            | Operation::Kill
            | Operation::State
            | Operation::Delete
            | Operation::ForceDelete => true,
            Operation::Restore
            | Operation::Signal
            | Operation::Checkpoint
            | Operation::Wait
            | Operation::Load
            | Operation::List => false,
        })
    }

    /// The plan of this runtime as it is installed.
    #[must_use]
    pub fn plan(self) -> OciPlan {
        OciPlan { runtime: self, path: None, flags: Vec::new(), time_limit_ns: OciPlan::TIME_LIMIT_NS }
    }

    /// What is given before the operation, besides the root.
    #[must_use]
    pub const fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Runc | Self::Youki => &[],
            // systemd, its default, is not everywhere, and gives cgroups names of its own.
            Self::Crun => &["--cgroup-manager=cgroupfs"],
            // KVM is not everywhere, and hangs where it is virtual; a network would need a namespace of its own.
            Self::Runsc => &["--platform=ptrace", "--network=none"],
        }
    }

    /// What its commands find in their environment. The folder is theirs alone.
    #[must_use]
    pub fn environment(self, own: &Path) -> Vec<(String, String)> {
        let variable = match self {
            // It looks up the lines of its source for every error otherwise, which takes longer than all it does.
            Self::Youki => ("RUST_BACKTRACE", "0".into()),
            // There it makes a file on which it binds its own program; one that is killed just then leaves it, in /tmp otherwise
            // (`try_bindfd` in src/libcrun/cloned_binary.c, 1.8.1).
            Self::Crun => ("_LIBCONTAINER_STATEDIR", own.display().to_string()),
            Self::Runc | Self::Runsc => return Vec::new(),
        };
        vec![(variable.0.to_owned(), variable.1)]
    }

    /// Whether it refuses a machine that has cgroups of both versions.
    #[must_use]
    pub const fn needs_unified_cgroups(self) -> bool {
        matches!(self, Self::Crun)
    }

    /// Whether it gives containers names that no two in one network may have, whatever their roots: then each root has a network.
    #[must_use]
    pub const fn has_names_in_networks(self) -> bool {
        // An abstract socket is called as the id is.
        matches!(self, Self::Runsc)
    }

    /// Whether the pid that it tells is that of the container's own first process, which its freezer freezes.
    #[must_use]
    pub const fn shows_its_process(self) -> bool {
        // runsc tells the pid of the sandbox, which runs whatever the container does.
        !matches!(self, Self::Runsc)
    }

    /// The file with a container's metadata, below the folder of its id.
    #[must_use]
    pub fn metadata_name(self, id: &str) -> String {
        match self {
            Self::Runc | Self::Youki => format!("{id}/state.json"),
            Self::Crun => format!("{id}/status"),
            // Since 2020 it lies beside the folders, with the id of its sandbox in its name.
            Self::Runsc => format!("{id}_sandbox:{id}.state"),
        }
    }
}
