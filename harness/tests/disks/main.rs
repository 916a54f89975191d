//! The disk models held against real filesystems: what they leave when the power goes lies within what their models allow.
//!
//! A disk of our own is watched while calls are made; then each crash of it is mounted and read (docs/disks.md). Without
//! libtest: the work is done in a process of its own, in a mount namespace of its own, so that nothing is left behind
//! whatever is killed. Needs root, `/dev/fuse`, loop devices and the programs that make the filesystems; what is missing is
//! told by name.

#[path = "../support/serial.rs"]
mod serial;

mod cases;
mod device;
mod filesystem;
mod fuse;
mod images;
mod log;
mod publish;
mod suite;
mod sys;
mod watch;

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;

use serial::Tally;

const TESTS: &[(&str, &str)] = &[
    ("what_real_disks_leave_lies_within_their_models", "short"),
    ("a_killed_watch_leaves_nothing", "killed"),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", size] => {
            set_pdeathsig(Signal::SIGKILL).expect("a signal at the parent's death");
            let device = std::io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
            fuse::serve(File::from(device), size.parse().expect("a size"));
            ExitCode::SUCCESS
        }
        ["work", form] => {
            set_pdeathsig(Signal::SIGKILL).expect("a signal at the parent's death");
            suite::work(form)
        }
        ["--publish"] => suite::run("long"),
        _ => test(&arguments),
    }
}

fn test(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in TESTS {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let mut tally = Tally::default();
    for (name, form) in TESTS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            continue;
        }
        if let Some(lack) = lack() {
            assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{name} needs {lack}");
            println!("skipped: {name} needs {lack}");
            continue;
        }
        tally.run(name, || match *form {
            "killed" => suite::a_killed_watch_leaves_nothing(),
            form => assert_eq!(suite::run(form), ExitCode::SUCCESS),
        });
    }
    tally.end()
}

/// What this machine lacks for any filesystem.
fn lack() -> Option<&'static str> {
    if !nix::unistd::geteuid().is_root() {
        return Some("root");
    }
    let there = |path: &str| Path::new(path).exists();
    if !there("/dev/fuse") {
        return Some("/dev/fuse");
    }
    (!there("/dev/loop-control")).then_some("loop devices")
}

/// Starts this binary once more, as the process that does the work.
fn worker(form: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this binary"));
    command.args(["work", form]).stdin(Stdio::null());
    command
}
