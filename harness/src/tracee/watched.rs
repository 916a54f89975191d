//! Files of `/proc` about a tree's tasks that are read at most of its steps, kept open: one call each time instead of three. An
//! open one is of the task that it was opened for. Whoever gets its number later has another.

use std::collections::hash_map::Entry;
use std::fs::File;
use std::io;

use rustc_hash::FxHashMap;

use super::still::{self, Threads};
use crate::process::procfs;

/// What a glance at all tasks saw, where nobody runs as long as the controller does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Glance {
    /// Somebody runs, or is about to.
    Busy,
    /// All that are not held sleep: these.
    Calm(Vec<u32>),
}

/// The open files, by task or process, and what was read of them.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    stat: FxHashMap<u32, File>,
    call: FxHashMap<u32, File>,
    children: FxHashMap<u32, File>,
    status: FxHashMap<u32, File>,
    /// The threads of a process, and how many tasks its tree had started when they were listed.
    threads: FxHashMap<u32, (usize, Vec<u32>)>,
}

impl Watched {
    /// Looks at all tasks of these processes that are not held. `starts` counts the tasks that the tree has started.
    pub fn glance(
        &mut self,
        pids: &[u32],
        threads: Threads,
        starts: usize,
        is_held: impl Fn(u32) -> bool,
    ) -> Glance {
        let mut seen = Vec::new();
        for &pid in pids {
            let tids = if threads == Threads::One { vec![pid] } else { self.threads_of(pid, starts) };
            for tid in tids {
                if is_held(tid) {
                    continue;
                }
                seen.push(tid);
                match self.sleeps(pid, tid) {
                    Some(true) => {}
                    Some(false) => {
                        // Who was started meanwhile is not among those that were listed.
                        self.threads.clear();
                        return Glance::Busy;
                    }
                    None => _ = seen.pop(),
                }
            }
        }
        self.stat.retain(|tid, _| seen.contains(tid));
        self.call.retain(|tid, _| seen.contains(tid));
        self.threads.retain(|pid, _| pids.contains(pid));
        Glance::Calm(seen)
    }

    /// Whether a task sleeps; nothing where it is gone.
    fn sleeps(&mut self, pid: u32, tid: u32) -> Option<bool> {
        let stat = read(&mut self.stat, tid, || format!("/proc/{pid}/task/{tid}/stat")).ok()?;
        let state = still::state_of(&stat).filter(|&state| !still::is_dead(state))?;
        if !still::may_sleep(state) {
            return Some(false);
        }
        let call = read(&mut self.call, tid, || format!("/proc/{pid}/task/{tid}/syscall"));
        Some(still::is_asleep(pid, state, &call.unwrap_or_default()))
    }

    fn threads_of(&mut self, pid: u32, starts: usize) -> Vec<u32> {
        match self.threads.get(&pid) {
            Some((known, listed)) if *known == starts && procfs::thread_count(pid) == Some(listed.len()) => {
                listed.clone()
            }
            _ => {
                let listed = procfs::threads(pid);
                self.threads.insert(pid, (starts, listed.clone()));
                listed
            }
        }
    }

    /// The children of a process that has one thread, dead ones among them.
    pub fn children(&mut self, pid: u32) -> Vec<u32> {
        let listed = read(&mut self.children, pid, || format!("/proc/{pid}/task/{pid}/children"));
        match listed {
            // A list as long as that goes on.
            Ok(listed) if listed.len() < SHORT => procfs::numbers(&listed),
            _ => procfs::children_of_single(pid),
        }
    }

    /// What `/proc` says of a task that is held.
    pub fn status(&mut self, pid: u32, tid: u32) -> io::Result<String> {
        let mut status = || read(&mut self.status, tid, || format!("/proc/{pid}/task/{tid}/status"));
        // The one that is open may be of somebody who had that number before.
        status().or_else(|_| status())
    }

    /// Closes the status of all but these.
    pub fn keep_status_of(&mut self, is_kept: impl Fn(u32) -> bool) {
        self.status.retain(|tid, _| is_kept(*tid));
    }

    /// Closes what tells the children of others than a slot and its family.
    pub fn keep_children_of(&mut self, slot: u32, family: &[u32]) {
        self.children.retain(|pid, _| *pid == slot || family.contains(pid));
    }
}

/// What is shorter was read as a whole.
const SHORT: usize = procfs::PAGE / 2;

/// Reads a file that is kept open from the first time on.
fn read(open: &mut FxHashMap<u32, File>, number: u32, path: impl FnOnce() -> String) -> io::Result<String> {
    let file = match open.entry(number) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(new) => new.insert(File::open(path())?),
    };
    let text = procfs::first_page(file);
    if text.is_err() {
        open.remove(&number);
    }
    text
}
