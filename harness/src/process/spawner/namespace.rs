//! What a spawner does before its first command: a mount namespace of its own, in which copies lie in the place of the
//! user's folders.
//!
//! An ordinary user gets one within a user namespace, in which everybody is who they were.

use std::fs::{self, File};
use std::io;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};

use super::words::{Bind, Network};

/// Enters a mount namespace and puts the copies in their places.
pub(crate) fn enter(binds: &[Bind]) -> io::Result<()> {
    if unshare(CloneFlags::CLONE_NEWNS).is_err() {
        enter_as_user()?;
    }
    // What is mounted here must not show outside; what is mounted outside may show here.
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SLAVE, none)?;
    for bind in binds {
        mount(Some(&bind.copy), &bind.place, none, MsFlags::MS_BIND, none).map_err(|error| {
            let why = format!("{} cannot be put at {}: {error}", bind.copy.display(), bind.place.display());
            io::Error::other(why)
        })?;
    }
    Ok(())
}

/// Enters a network namespace, where it is not to be the harness's.
pub(crate) fn join(network: Network) -> io::Result<()> {
    match network {
        Network::Shared => {}
        Network::Own => unshare(CloneFlags::CLONE_NEWNET)?,
        Network::Of(pid) => setns(File::open(format!("/proc/{pid}/ns/net"))?, CloneFlags::CLONE_NEWNET)?,
    }
    Ok(())
}

fn enter_as_user() -> io::Result<()> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    // Without privileges a group map needs this first.
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))
}
