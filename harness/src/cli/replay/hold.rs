//! `--hold`: all processes stand still before one step, for whoever wants to attach a debugger or look around.

use std::fmt::Write;

use super::desk::{Desk, show};
use super::scene;
use crate::explore::observe::{Observer, Scene};

/// Stops before one step.
#[derive(Debug)]
pub struct Hold {
    desk: Desk,
    /// The step before which everything is held, counted from 1.
    step: usize,
}

impl Hold {
    /// Stops before this step, counted from 1.
    #[must_use]
    pub fn new(desk: Desk, step: usize) -> Self {
        Self { desk, step }
    }
}

impl Observer for Hold {
    fn before(&mut self, scene: &Scene<'_>) {
        if scene.depth + 1 != self.step {
            return;
        }
        let mut text = format!("held before step {}, which is p{}'s\n", self.step, scene.next + 1);
        text.push_str(&scene::processes(scene));
        writeln!(text, "\n{}:", scene.root.display()).expect("a String takes all");
        text.push_str(&scene::folder(scene.root));
        text.push_str(&ways(scene));
        show(&text);
        self.desk.ask("Enter lets them go on");
    }
}

/// How to look at a process that stands in a system call that has not happened yet.
fn ways(scene: &Scene<'_>) -> String {
    let pids = || scene.pids.iter().take(scene.pending.len()).flatten();
    let Some(pid) = scene.pids.get(scene.next).copied().flatten().or_else(|| pids().next().copied()) else {
        return String::new();
    };
    let all: Vec<String> = pids().map(|pid| format!("-p {pid}")).collect();
    format!(
        "\nTo look around, while each process stands before a system call:\n  \
         gdb -p {pid}                  its stack, its memory\n  \
         cat /proc/{pid}/syscall       the call it is about to make, with its arguments\n  \
         ls -l /proc/{pid}/fd          what it has open\n  \
         cat /proc/locks               who holds which lock\n  \
         strace {}       what each does next: attach, then press Enter here\n",
        all.join(" ")
    )
}
