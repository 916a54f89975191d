//! What forbids its own removal is removed nevertheless, where it is its owner who asks: folders that may be neither
//! searched, read nor changed, whoever left them so.

mod support;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use flockwork::tree::remove_path;

/// Where the folder lies that is to be removed.
const PLACE: &str = "FLOCKWORK_REMOVED";

/// Root without a privilege: its files are its own, and no more than that.
const WITHOUT_PRIVILEGES: &[&str] = &["setpriv", "--bounding-set=-all"];

fn forbid(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Folders of every mode that forbids something, at the top, within and within that, with files in them.
fn make(top: &Path) {
    for mode in [0o000, 0o100, 0o200, 0o300, 0o400, 0o500, 0o600] {
        let outer = top.join(format!("{mode:o}"));
        for inner in [outer.join("empty"), outer.join("full"), outer.join("full/deeper")] {
            fs::create_dir_all(&inner).unwrap();
        }
        fs::write(outer.join("full/file"), "x").unwrap();
        fs::write(outer.join("full/deeper/file"), "x").unwrap();
        for name in ["full/deeper", "full", "empty", ""] {
            forbid(&outer.join(name), mode);
        }
    }
    forbid(top, 0o500);
}

/// Not a test by itself: what the child does.
#[test]
fn child() {
    if let Some(place) = std::env::var_os(PLACE) {
        remove_path(Path::new(&place)).unwrap();
    }
}

#[test]
fn folders_that_forbid_their_removal_to_their_owner_are_removed() {
    let scratch = tempfile::tempdir().unwrap();
    let beside = scratch.path().join("beside");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("kept"), "x").unwrap();
    forbid(&beside, 0o500);
    let top = scratch.path().join("top");
    fs::create_dir(&top).unwrap();
    std::os::unix::fs::symlink(&beside, top.join("link")).unwrap();
    make(&top);
    let own = std::env::current_exe().unwrap();
    let mut command = Command::new(&own);
    if rustix::process::geteuid().is_root() {
        command = Command::new(WITHOUT_PRIVILEGES[0]);
        command.args(&WITHOUT_PRIVILEGES[1..]).arg(&own);
    }
    let Ok(output) = command.args(["--exact", "child", "--nocapture"]).env(PLACE, &top).output() else {
        return support::skip("folders_that_forbid_their_removal", "setpriv (util-linux) is not installed");
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!top.exists());
    // What a link led to is as it was.
    assert_eq!(fs::metadata(&beside).unwrap().permissions().mode() & 0o777, 0o500);
    assert!(beside.join("kept").exists());
    forbid(&beside, 0o700);
}
