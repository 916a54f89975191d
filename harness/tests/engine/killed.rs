//! The harness itself is killed: nothing of it may go on.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use flockwork_harness::engine::stress::run;
use flockwork_harness::process::procfs::{self, Stat};
use flockwork_harness::process::{Zygote, marker, sweep};

use super::Case;
use super::cases::plan;

/// The argument that makes this program a harness to be killed.
pub const VICTIM: &str = "--be-a-victim";

pub const ALL: &[Case] = &[("nothing_outlives_a_killed_harness", nothing_outlives_a_killed_harness)];

/// Runs until it is killed, or its zygote is.
pub fn be_victim(zygote: &mut Zygote, root: &str) -> ! {
    println!("{}", zygote.pid());
    for kind in ["locked", "fresh"].into_iter().cycle() {
        let mut plan = plan("litters", Path::new(root).to_owned());
        plan.fresh_processes = kind == "fresh";
        plan.think_ns = 0..=1_000_000;
        plan.auditors = 1;
        if let Err(error) = run(zygote, &plan, &AtomicBool::new(false), &()) {
            assert!(error.to_string().contains("lost the zygote"), "{error}");
            break;
        }
    }
    std::process::exit(1)
}

fn nothing_outlives_a_killed_harness(_: &mut Zygote) {
    // Killed itself, the zygote cannot end its workers: only the kernel can.
    for (delay_ms, killed) in [(100, "harness"), (200, "harness"), (300, "zygote")] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("a root");
        let own = std::env::current_exe().expect("this program");
        let mut command = Command::new(own);
        let mut victim =
            command.arg(VICTIM).arg(&root).stdout(Stdio::piped()).spawn().expect("a second harness");
        let mut line = String::new();
        let output = victim.stdout.take().expect("piped");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let zygote = line.trim().parse::<u32>().expect("the zygote's pid");
        let begun = Instant::now();
        let mut family = Vec::new();
        while family.len() < 4 || begun.elapsed() < Duration::from_millis(delay_ms) {
            assert!(begun.elapsed() < Duration::from_secs(120), "the second harness does not get going");
            family = workers_of(zygote);
        }
        family.push((zygote, Stat::of(zygote).map_or(0, |stat| stat.start_ticks)));
        if killed == "zygote" {
            marker::kill(zygote).expect("killed");
        } else {
            victim.kill().expect("killed");
        }
        assert!(!victim.wait().expect("reaped").success());
        await_end(&family);
        // What the subject started is nobody's child any more; its marker gives it away.
        while !sweep().is_empty() {}
    }
}

fn workers_of(zygote: u32) -> Vec<(u32, u64)> {
    let worker = |pid| {
        let stat = Stat::of(pid).filter(|stat| stat.parent == zygote)?;
        procfs::name(pid).filter(|name| name.starts_with("fw-"))?;
        Some((pid, stat.start_ticks))
    };
    procfs::pids().into_iter().filter_map(worker).collect()
}

fn await_end(family: &[(u32, u64)]) {
    let begun = Instant::now();
    let lives = |&(pid, start): &(u32, u64)| {
        Stat::of(pid).is_some_and(|stat| !stat.is_dead() && stat.start_ticks == start)
    };
    while let Some(survivor) = family.iter().find(|member| lives(member)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "still there: {survivor:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
