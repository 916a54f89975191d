//! A watchdog for programs in the class `SCHED_FIFO`: whoever runs on and on there starves its controller, which could not
//! help it. So a thread on another processor takes the class away; the controller, which can run then, does the rest.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::still::descendants;
use crate::process::clock::now_ns;
use crate::process::procfs;
use crate::process::sys::task::{demote, watch_over_all};

/// How long somebody may run before the class is taken away.
const PATIENCE_NS: u64 = 200_000_000;
/// How often it looks.
const ROUND: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
struct Shared {
    /// The slot whose tree runs; 0 for none.
    slot: AtomicU32,
    /// Below whom clones are that lost their parents; 0 for nobody.
    nest: AtomicU32,
    since_ns: AtomicU64,
    fired: AtomicBool,
    over: AtomicBool,
}

/// The watchdog of one machine.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Watchdog {
    /// On every processor but this one; none where there is no other.
    pub fn beside(processor: usize) -> io::Result<Option<Self>> {
        let mut others = sched_getaffinity(Pid::from_raw(0))?;
        for other in 0..CpuSet::count() {
            // The calling thread may be bound to one processor itself.
            _ = if other == processor { others.unset(other) } else { others.set(other) };
        }
        let shared = Arc::new(Shared::default());
        let watched = Arc::clone(&shared);
        let (told, hears) = std::sync::mpsc::channel();
        let watch = move || {
            let elsewhere = sched_setaffinity(Pid::from_raw(0), &others).is_ok();
            // Another harness may hold programs there. Where it cannot be, the machine gives its share to everybody.
            _ = watch_over_all();
            // Whoever started us waits for this.
            _ = told.send(elsewhere);
            if elsewhere {
                watched.watch();
            }
        };
        let thread = std::thread::Builder::new().name("fw-watchdog".into()).spawn(watch)?;
        let dog = Self { shared, thread: Some(thread) };
        Ok(hears.recv().unwrap_or(false).then_some(dog))
    }

    /// There are others, below this process, whoever runs.
    pub fn also_watch(&self, nest: u32) {
        self.shared.nest.store(nest, Ordering::Relaxed);
    }

    /// A slot's tree runs from now on.
    pub fn watch(&self, slot: u32) {
        self.shared.since_ns.store(now_ns(), Ordering::Relaxed);
        self.shared.slot.store(slot, Ordering::Release);
    }

    /// Nobody runs.
    pub fn rest(&self) {
        self.shared.slot.store(0, Ordering::Release);
    }

    /// Whether somebody lost the class, or is just losing it.
    pub fn has_fired(&self) -> bool {
        self.shared.fired.load(Ordering::Acquire)
    }

    /// A new execution begins, in which all that is started has the class.
    pub fn begin(&self) {
        self.rest();
        self.shared.fired.store(false, Ordering::Release);
    }
}

impl Shared {
    fn watch(&self) {
        // What the tree that is late had run when that was first seen: its controller may be late itself.
        let mut late: Option<(u64, u64)> = None;
        while !self.over.load(Ordering::Relaxed) {
            std::thread::park_timeout(ROUND);
            let (slot, since_ns) = (self.slot.load(Ordering::Acquire), self.since_ns.load(Ordering::Relaxed));
            if slot == 0 || now_ns() < since_ns.saturating_add(PATIENCE_NS) {
                continue;
            }
            let nest = self.nest.load(Ordering::Relaxed);
            let watched = || {
                let orphans = if nest == 0 { Vec::new() } else { descendants(nest) };
                descendants(slot).into_iter().chain(orphans)
            };
            let ran_ns = watched().map(procfs::ran_ns).sum::<u64>();
            let (_, before_ns) =
                *late.insert(late.filter(|late| late.0 == since_ns).unwrap_or((since_ns, ran_ns)));
            if ran_ns.saturating_sub(before_ns) < PATIENCE_NS {
                continue;
            }
            // Told before it is done: from here on it takes more to know that they stand still.
            self.fired.store(true, Ordering::Release);
            for pid in watched() {
                let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { continue };
                for task in tasks.flatten() {
                    let tid = task.file_name().to_str().and_then(|name| name.parse().ok());
                    // It may be gone by now.
                    _ = tid.map(demote);
                }
            }
        }
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            _ = thread.join();
        }
    }
}
