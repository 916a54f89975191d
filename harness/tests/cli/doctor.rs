//! `flockwork doctor`.

use std::fs;
use std::process::Command;

use crate::support::{Place, json, stderr, stdout};

/// The name of a folder of a process that has ended: its pid may be used again, with its inode and start it never is.
fn folder_of_the_dead() -> String {
    let mut child = Command::new("sleep").arg("60").spawn().unwrap();
    let dead = flockwork::ProcessIdentity::of(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let view = dead.view.unwrap();
    let boot = (view.boot >> 64) as u32 ^ (view.boot >> 32) as u32 ^ view.boot as u32;
    format!(
        "flockwork-{:07x}-{:010x}-{boot:08x}-{:08x}-{:08x}-{:010x}-x",
        dead.pid,
        dead.start_time,
        view.pid_namespace,
        view.time_namespace,
        dead.inode.unwrap_or_default()
    )
}

fn finding<'a>(diagnosis: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let findings = diagnosis["findings"].as_array().unwrap();
    findings
        .iter()
        .find(|finding| finding["name"] == name)
        .unwrap_or_else(|| panic!("{name} in {diagnosis:#}"))
}

#[test]
fn every_lock_backend_is_tried_by_two_processes() {
    let place = Place::new();
    let diagnosis =
        json(&place.flockwork(&["doctor", "--root", "root", "--format", "json"]).output().unwrap());
    for lock in ["fs2", "std", "ofd", "posix", "lockfile"] {
        let lock = finding(&diagnosis, &format!("lock {lock}"));
        assert_eq!(lock["health"], "ok", "{lock}");
    }
    for name in [
        "kernel",
        "processors",
        "memory",
        "shared memory",
        "root",
        "process files",
        "user notification",
        "programs",
    ] {
        finding(&diagnosis, name);
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

#[test]
fn leftovers_of_the_dead_are_cleared_and_told() {
    let place = Place::new();
    let dead = place.root().join(folder_of_the_dead());
    let other = place.root().join("flockwork-notes");
    fs::create_dir_all(dead.join("root/c1")).unwrap();
    fs::create_dir(&other).unwrap();
    let output = place.flockwork(&["doctor", "--root", "root"]).output().unwrap();
    let told = stdout(&output);
    let name = dead.file_name().unwrap().to_str().unwrap();
    assert!(told.contains("cleared ") && told.contains(&format!("root/{name}")), "{told}");
    assert!(!dead.exists() && other.exists());
}

#[test]
fn colours_are_asked_for_or_not() {
    let place = Place::new();
    let said = |words: &[&str], variables: &[(&str, &str)]| {
        let mut command = place.flockwork(&["doctor", "--root", "root"]);
        let output = command.args(words).envs(variables.iter().copied()).output().unwrap();
        assert!(!stderr(&output).contains("panicked"));
        stdout(&output)
    };
    assert!(!said(&[], &[]).contains('\x1b'), "a pipe is no terminal");
    assert!(said(&["--color", "always"], &[]).contains('\x1b'));
    assert!(said(&[], &[("CLICOLOR_FORCE", "1")]).contains('\x1b'));
    assert!(!said(&[], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]).contains('\x1b'));
    assert!(!said(&["--color", "never"], &[("CLICOLOR_FORCE", "1")]).contains('\x1b'));
}

#[test]
fn the_canary_is_caught() {
    let place = Place::new();
    let output = place.flockwork(&["doctor", "--root", "root", "--format", "json"]).output().unwrap();
    let diagnosis = json(&output);
    assert_eq!(finding(&diagnosis, "canary")["health"], "ok", "{diagnosis:#}");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(diagnosis["exit_code"], 0);
}
