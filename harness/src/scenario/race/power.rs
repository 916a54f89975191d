//! Power losses of a race: which disk model they are on, and which races cannot have them.

use std::path::Path;

use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, FsType, statfs};

use super::Race;
use crate::disk::model;
use crate::plan::race::{ForkServer, Mode};
use crate::race::RaceError;
use crate::words::nearest;

/// Most commands: whether each of them had run is a question of its own.
const COMMANDS_MAX: usize = 8;

impl Race {
    /// The disk model that is meant.
    #[must_use]
    pub(in crate::scenario) fn disk_model(&self) -> String {
        let of_folder = || self.state.first().map_or("posix", |folder| disk_of(folder)).to_owned();
        self.disk.clone().unwrap_or_else(of_folder)
    }

    /// Checks what is said of power losses.
    pub(super) fn must_be_able_to_lose_power(&self) -> Result<(), RaceError> {
        let usage = |why: &str| Err(RaceError::Usage(why.into()));
        if let Some(disk) = &self.disk {
            check_disk(disk).map_err(RaceError::Usage)?;
        }
        if !self.power {
            return match self.disk {
                Some(_) => usage("--disk is for power losses: expected --faults power-loss with it"),
                None => Ok(()),
            };
        }
        let commands: usize = self.processes.iter().map(Vec::len).sum();
        match () {
            () if self.mode != Mode::Auto => {
                usage("--faults power-loss needs commands under control: leave out --free and --perturb")
            }
            () if self.fork_server == ForkServer::Auto => {
                usage("--faults power-loss does not work with --fork-server")
            }
            () if self.modelled.as_ref().is_some_and(|modelled| modelled.after.is_empty()) => usage(
                "after: a model judges the state after a power loss by operations that read it: expected some, such as [\"read x\"]",
            ),
            () if self.state.is_empty() && !self.own_state => {
                usage("--faults power-loss: name the folder that the commands change with --state DIR")
            }
            () if commands > COMMANDS_MAX => Err(RaceError::Usage(format!(
                "--faults power-loss takes at most {COMMANDS_MAX} commands in all, as each of them may have run or not; these are \
                 {commands}"
            ))),
            () => Ok(()),
        }
    }
}

/// Whether there is a model of this name.
pub(in crate::scenario) fn check_disk(disk: &str) -> Result<(), String> {
    if model::named(disk).is_some() {
        return Ok(());
    }
    let known = model::ALL.map(model::Disk::name);
    let near = nearest(disk, known).map(|near| format!("; the nearest is {near:?}")).unwrap_or_default();
    Err(format!("--disk {disk}: expected {}{near}", known.join(", ")))
}

/// The model of the filesystem that a folder lies on; the strictest where there is none of its own.
pub(in crate::scenario) fn disk_of(folder: &Path) -> &'static str {
    // nix has no name for it with musl.
    const XFS_SUPER_MAGIC: FsType = FsType(0x5846_5342);
    let Ok(about) = statfs(folder) else { return "posix" };
    match about.filesystem_type() {
        EXT4_SUPER_MAGIC => "ext4",
        XFS_SUPER_MAGIC => "xfs",
        BTRFS_SUPER_MAGIC => "btrfs",
        _ => "posix",
    }
}
