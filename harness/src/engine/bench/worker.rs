//! A worker's life: opens what its job needs, waits for all others, works until the round is over, writes down what it saw.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flockwork::lock::measured::Place;
use flockwork::{ContainerId, LockKind};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::futex;

use super::bare::Bare;
use super::choice::{Choices, stream};
use super::clock::Monotonic;
use super::door::{Door, TimedDoor};
use super::job::Job;
use super::labour::{Shift, labour};
use super::locker::{Files, Fresh, InMemory, Inode, Kept, Links, Locker, Nothing};
use super::meter::Meter;
use super::operate::{Operate, saved_payload_bytes};
use super::pace::Pace;
use super::wire::BenchTask;
use crate::plan::bench::{BenchLock, BenchSubject, Descriptor, Operations, Task, Waiting};
use crate::process::arena::Arena;
use crate::process::lifeline;
use crate::subject::{Seat, Subject};

/// What all processes of one round share; made in the zygote, inherited by fork.
pub(super) struct RoundContext {
    pub order: BenchTask,
    pub arena: Arc<Arena>,
    pub subject: Option<Box<dyn Subject>>,
    pub names: Arc<[String]>,
    /// The lock files that were opened before the fork, where that mistake is to be shown.
    pub inherited: Vec<File>,
}

/// Lives; gives back the exit code.
pub(super) fn work(context: &RoundContext, process: u32) -> i32 {
    let worked = Worker { context, process }.work();
    worked.map_or_else(
        |words| {
            lifeline::leave_words(context.arena.region().header(process), &words);
            lifeline::UNOPENED
        },
        |()| 0,
    )
}

#[derive(Clone, Copy)]
struct Worker<'s> {
    context: &'s RoundContext,
    process: u32,
}

impl Worker<'_> {
    fn work(self) -> Result<(), String> {
        let door = Arc::new(Door::new(Arc::clone(&self.context.arena), self.process));
        match &self.context.order.cell.task {
            Task::Bare { lock, wait, descriptor, spin_ns } => {
                self.bare((*lock, *wait, *descriptor), *spin_ns, &door)
            }
            Task::Command(task) => {
                let mut job =
                    super::command::Run::new(task, &self.context.order, &self.context.names, self.process)?;
                self.labour(&mut job, &door)
            }
            Task::Operate { subject, payload_bytes, operations, .. } => {
                let mut job = self.operate(*subject, *payload_bytes, *operations, &door)?;
                self.labour(&mut job, &door)
            }
        }
    }

    fn bare(
        self,
        (lock, waiting, descriptor): (BenchLock, Waiting, Descriptor),
        spin_ns: u64,
        door: &Door,
    ) -> Result<(), String> {
        let kind = match lock {
            BenchLock::None => return self.locked(Nothing, spin_ns, door),
            BenchLock::Mutex => {
                let arena = Arc::clone(&self.context.arena);
                return self.locked(InMemory { arena, waiting }, spin_ns, door);
            }
            BenchLock::Library(kind) => kind,
        };
        let place = Place::open(&self.context.order.folder, kind).map_err(words)?;
        let ids = container_ids(&self.context.names)?;
        let files = Files { place: &place, kind, ids: &ids, waiting };
        match (kind, descriptor) {
            (LockKind::Lockfile, _) => self.locked(Links { files, folder: None }, spin_ns, door),
            (_, Descriptor::Kept) => {
                make_room_for_descriptors(ids.len())?;
                self.locked(Kept::open(files)?, spin_ns, door)
            }
            (_, Descriptor::Inherited) => {
                let open = self.context.inherited.iter().map(File::try_clone).collect::<Result<_, _>>();
                self.locked(Kept::inherited(files, open.map_err(words)?), spin_ns, door)
            }
            (_, Descriptor::Opened) => {
                self.locked(Fresh { files, inode: Inode::Trusted, open: None }, spin_ns, door)
            }
            (_, Descriptor::Checked) => {
                self.locked(Fresh { files, inode: Inode::Compared, open: None }, spin_ns, door)
            }
        }
    }

    fn locked(self, locker: impl Locker, spin_ns: u64, door: &Door) -> Result<(), String> {
        self.labour(&mut Bare { locker, door, spin_ns }, door)
    }

    fn operate(
        self,
        subject: BenchSubject,
        payload_bytes: u32,
        operations: Operations,
        door: &Arc<Door>,
    ) -> Result<Operate, String> {
        let timed = Arc::new(TimedDoor::new(Arc::clone(door)));
        let seat = Seat {
            root: self.context.order.folder.clone(),
            process: self.process,
            containers: Arc::clone(&self.context.names),
            payload_bytes: saved_payload_bytes(subject, payload_bytes),
            marker: self.context.order.marker.clone(),
            watch: Arc::clone(&timed) as _,
        };
        let built = self.context.subject.as_ref().ok_or("there is no subject to operate with")?;
        Ok(Operate {
            session: built.open(seat).map_err(|error| format!("cannot open the subject: {error}"))?,
            subject,
            door: timed,
            operations,
            paused: vec![false; self.context.names.len()],
            // In step, all processes would write at once.
            sequence: u64::from(self.process),
        })
    }

    fn labour(self, job: &mut impl Job, door: &Door) -> Result<(), String> {
        let Self { context, process } = self;
        let cell = &context.order.cell;
        let mut generator = stream(context.order.seed, u64::from(process));
        let choices = Choices::new(cell.containers, cell.skew, &mut generator);
        let mut meter = Meter::new();
        self.wait_at_barrier();
        let times = context.arena.times();
        let (begin_ns, end_ns) = (times.begin_ns(), times.end_ns());
        let from_ns = begin_ns - context.order.warm_up_ns;
        let pace = Pace::new(cell.load, (process, cell.processes), from_ns);
        let mut shift = Shift { pace, choices, door, timed_every: cell.timed_every, begin_ns, end_ns };
        let control = context.arena.region().control();
        let is_stopped = || control.end.load(Ordering::Relaxed) != 0;
        let tally = &context.arena.tallies()[process as usize];
        let begins = || tally.measures.store(1, Ordering::Relaxed);
        labour(job, &Monotonic, &mut shift, &mut meter, is_stopped, begins)?;
        door.write(tally);
        meter.write(&context.arena, process).map_err(words)
    }

    fn wait_at_barrier(self) {
        let control = self.context.arena.region().control();
        control.ready.fetch_add(1, Ordering::AcqRel);
        while control.go.load(Ordering::Acquire) == 0 {
            // Woken, interrupted or too late to sleep: in every case, look again.
            _ = futex::wait(&control.go, futex::Flags::empty(), 0, None);
        }
    }
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// The names of the plan as ids; an error names the one that the library does not accept.
pub(super) fn container_ids(names: &[String]) -> Result<Vec<ContainerId>, String> {
    names.iter().map(|name| ContainerId::new(name.as_str()).map_err(words)).collect()
}

/// Lets this process have a descriptor for each container, where the user's limit is high enough.
pub(super) fn make_room_for_descriptors(containers: usize) -> Result<(), String> {
    let wanted = containers as u64 + 64;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(wanted), maximum: limit.maximum };
    setrlimit(Resource::Nofile, raised).map_err(|error| {
        format!("cannot keep {containers} lock files open: {error}; raise the limit (ulimit -Hn), or use descriptor = \"opened\"")
    })
}
