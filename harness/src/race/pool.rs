//! A pool of prepared containers: while one execution is under control, others are looked at and deleted, and the containers of
//! the next are prepared, on another processor.
//!
//! Each ground has its own runtime's root, bundles, cgroup and marker, and a machine of its own. A container has the same id in
//! each, and all lie as deep, so labels are the same wherever an execution took place. Commands are held in one ground at a time.
//! What came of an execution is told when its ground has been examined, in the order in which executions were handed out: so
//! whatever its delete leaves is the execution's own, and all are judged as they would be without a pool.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use super::control::{Holder, Search, played};
use super::error::RaceError;
use super::holding::Looking;
use super::outcome::Output;
use super::run::Played;
use super::site::Site;
use crate::explore::machine::{Chooser, Execution};
use crate::explore::strategy::{Assignment, Ticket};
use crate::plan::race::ForkServer;
use crate::scratch::Scratch;
use crate::tracee::{Left, Machine, Planned, TraceeError};

/// Grounds at the beginning: one that is raced in, and one that is prepared.
const GROUNDS_FIRST: usize = 2;
/// Most grounds: a delete that waits may take several times as long as the race before it.
const GROUNDS_MAX: usize = 8;

/// What came of running an execution; the inner error is the machine's.
pub(super) type Ran = Result<Result<(Execution<Left>, Played), TraceeError>, RaceError>;

/// The processor on which commands are held, by one execution at a time.
#[derive(Debug)]
pub(super) struct Lane {
    turn: Mutex<()>,
    /// All that there are, one of which is the lane's.
    processors: CpuSet,
}

impl Lane {
    /// None where there is no processor but the lane's: then nothing is gained.
    fn new() -> Option<Self> {
        let processors = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let mut all = (0..CpuSet::count()).filter(|&one| processors.is_set(one).unwrap_or(false));
        all.nth(1).map(|_| Self { turn: Mutex::new(()), processors })
    }

    /// Waits until nobody else is at it.
    pub fn enter(&self) -> Turn<'_> {
        Turn { lane: self, _held: self.turn.lock().unwrap_or_else(PoisonError::into_inner) }
    }

    fn is_free(&self) -> bool {
        self.turn.try_lock().is_ok()
    }
}

/// Whoever has this is at the lane; to drop it leaves the lane to others.
#[derive(Debug)]
pub(crate) struct Turn<'l> {
    lane: &'l Lane,
    _held: MutexGuard<'l, ()>,
}

impl Turn<'_> {
    /// The calling thread goes on wherever there is room: not elsewhere by all means, as others may keep a processor busy.
    pub fn leave(self) {
        // Where it cannot be, the thread stays where commands are held, and all takes longer.
        _ = sched_setaffinity(Pid::from_raw(0), &self.lane.processors);
    }
}

/// A ground with what is needed to run executions in it.
struct Berth {
    // First, so that nobody is held when what it shares goes.
    machine: Machine,
    site: Site,
    members: Vec<usize>,
    // Last: the others lie in it.
    scratch: Scratch,
}

impl Berth {
    /// Prepares containers, runs an execution of them when it is its turn, and deletes them.
    fn run(&mut self, lane: &Lane, planned: &[Planned], chooser: &mut dyn Chooser) -> Ran {
        self.site.put_back()?;
        let mut nobody = ();
        let mut looking = Looking::in_turn(&mut nobody, &mut self.site, Some(lane.enter()));
        let run = self.machine.run(planned, chooser, &mut looking);
        looking.told()?;
        let execution = match run {
            Ok(execution) => execution,
            Err(error) => return Ok(Err(error)),
        };
        let played = played(&mut self.site, &self.members, &execution)?;
        Ok(Ok((execution, played)))
    }

    fn close(self) -> Result<(), RaceError> {
        drop(self.machine);
        let closed = self.site.close();
        closed.and(self.scratch.remove().map_err(RaceError::failed("a temporary folder cannot be removed")))
    }
}

/// Grounds, and the executions that are under way in them.
pub(super) struct Pool {
    pub lane: Arc<Lane>,
    /// Those in which nothing is under way, in the order in which they became so.
    idle: VecDeque<Berth>,
    under_way: VecDeque<(Ticket, JoinHandle<(Berth, Ran)>)>,
    /// How many grounds there may be so far.
    most: usize,
    /// How many there may ever be.
    limit: usize,
    /// What the ground is called in which executions are repeated: all are told as if they had taken place there.
    called: String,
}

impl Pool {
    /// How many executions are under way.
    pub fn under_way(&self) -> usize {
        self.under_way.len()
    }

    /// Begins an execution in a ground that is idle: there is one.
    pub fn begin(&mut self, planned: &[Planned], assignment: Assignment) -> Result<(), RaceError> {
        let mut berth = self.idle.pop_front().expect("a ground is idle");
        let (lane, planned) = (Arc::clone(&self.lane), planned.to_vec());
        let Assignment { ticket, mut chooser } = assignment;
        let run = move || {
            let ran = berth.run(&lane, &planned, &mut *chooser);
            (berth, ran)
        };
        let running = thread::Builder::new().name("ground".into()).spawn(run);
        let running = running.map_err(RaceError::failed("a thread cannot be started"))?;
        self.under_way.push_back((ticket, running));
        Ok(())
    }

    /// The first of the executions under way, when its ground has been examined.
    pub fn take(&mut self) -> Option<(Ticket, Ran)> {
        let (ticket, running) = self.under_way.pop_front()?;
        let (berth, mut ran) = joined(running);
        if let Ok(Ok((execution, played))) = &mut ran {
            rename(&mut execution.outcome, played, (&berth.site.marker, &self.called));
        }
        self.idle.push_back(berth);
        if self.lane.is_free() && self.idle.len() == 1 {
            // All others are looked at, deleted or prepared: one more would be raced in now.
            self.most = (self.most + 1).min(self.limit);
        }
        Some((ticket, ran))
    }

    /// Waits for all that are under way; what comes of them concerns nobody.
    pub fn forget(&mut self) {
        while let Some((_, running)) = self.under_way.pop_front() {
            self.idle.push_back(joined(running).0);
        }
    }

    /// Removes all grounds, and tells what cannot be removed.
    pub fn close(mut self) -> Result<(), RaceError> {
        self.forget();
        let closing: Vec<_> = self.idle.drain(..).map(|berth| thread::spawn(move || berth.close())).collect();
        let closed: Vec<_> = closing.into_iter().map(joined).collect();
        closed.into_iter().collect()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // Grounds must not outlive the run, though an error ends it.
        self.forget();
    }
}

fn joined<T>(running: JoinHandle<T>) -> T {
    running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

impl Search<'_> {
    /// A pool for the executions of this machine, where there is anything to prepare, and a processor to do it on.
    pub(super) fn pool(&self) -> Option<Pool> {
        let has_containers = self.plan.oci.is_some() && self.power.is_none();
        let lane = Lane::new().filter(|_| has_containers)?;
        Some(Pool {
            lane: Arc::new(lane),
            idle: VecDeque::new(),
            under_way: VecDeque::new(),
            most: GROUNDS_FIRST,
            limit: GROUNDS_MAX,
            called: self.site.marker.clone(),
        })
    }

    /// Whether an execution can begin now, rather than when another has ended: there is no pool, or a ground is idle, or one more
    /// could be made.
    pub(super) fn has_room(&self, holder: &mut Holder) -> bool {
        let words = holder.machine.words().cloned();
        let Some(pool) = &mut holder.pool else { return true };
        let under_way = pool.under_way.len();
        if !pool.idle.is_empty() || under_way >= pool.most {
            return !pool.idle.is_empty();
        }
        match self.berth(&holder.members, words) {
            Ok(berth) => pool.idle.push_back(berth),
            // Whatever is lacking, the search can do with fewer.
            Err(_) if under_way > 0 => {
                (pool.most, pool.limit) = (under_way, under_way);
                return false;
            }
            Err(_) => holder.pool = None,
        }
        true
    }

    fn berth(&self, members: &[usize], words: Option<BTreeSet<String>>) -> Result<Berth, RaceError> {
        let base = self.root.parent().and_then(Path::parent);
        let base = base.ok_or_else(|| RaceError::Failed("the temporary folder lies nowhere".into()))?;
        let scratch = Scratch::create(base)?;
        let site = Site::beside(self.zygote, self.plan, &scratch.root())?;
        let machine = self.machine_at(&site, &scratch.root(), members, words, ForkServer::Off);
        let machine = machine.map_err(super::holding::refusal)?;
        Ok(Berth { machine, site, members: members.to_vec(), scratch })
    }
}

/// Tells what came of an execution as if its ground were called otherwise. Both names are of one length.
fn rename(left: &mut Left, played: &mut Played, (from, to): (&str, &str)) {
    let text = |text: &String| text.replace(from, to);
    let all = |texts: &mut BTreeSet<String>| *texts = texts.iter().map(text).collect();
    [&mut left.uncertain, &mut left.touched_outside, &mut left.renamed_across, &mut left.spoilt]
        .into_iter()
        .for_each(all);
    let mut uncontrolled = BTreeMap::new();
    for (call, times) in &left.uncontrolled {
        *uncontrolled.entry(text(call)).or_default() += times;
    }
    left.uncontrolled = uncontrolled;
    for told in left.stall.iter_mut().flatten().chain(&mut played.waiting) {
        *told = text(told);
    }
    let outcome = &mut played.outcome;
    let done = outcome.processes.iter_mut().flatten().chain(&mut outcome.then).chain(&mut outcome.observed);
    for done in done {
        for output in [&mut done.stdout, &mut done.stderr] {
            rename_bytes(output, from.as_bytes(), to.as_bytes());
        }
    }
}

fn rename_bytes(output: &mut Output, from: &[u8], to: &[u8]) {
    let starts = (0..output.text.len()).filter(|&at| output.text[at..].starts_with(from));
    let starts: Vec<usize> = starts.collect();
    if starts.is_empty() || from.len() != to.len() {
        return;
    }
    let mut text = output.text.to_vec();
    for at in starts {
        text[at..at + to.len()].copy_from_slice(to);
    }
    output.text = text.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_enters_the_lane_is_alone_there() {
        let Some(lane) = Lane::new() else {
            return;
        };
        let turn = lane.enter();
        assert!(!lane.is_free());
        drop(turn);
        assert!(lane.is_free());
    }

    #[test]
    fn whatever_names_a_ground_is_told_by_another_name() {
        let mut left = Left::default();
        left.uncertain.insert("p1 and p2 meet at /sys/fs/cgroup/ground-b/c1".into());
        left.uncontrolled.insert("mount /dev/shm/ground-b/root".into(), 2);
        left.uncontrolled.insert("mount /dev/shm/ground-a/root".into(), 1);
        let mut played = Played::nothing();
        played.waiting.push("state waits for ground-b".into());
        let mut output = Output { text: b"\xff /ground-b/ground-b".as_slice().into(), bytes: 20 };
        rename(&mut left, &mut played, ("ground-b", "ground-a"));
        rename_bytes(&mut output, b"ground-b", b"ground-a");
        assert!(left.uncertain.contains("p1 and p2 meet at /sys/fs/cgroup/ground-a/c1"), "{left:?}");
        assert_eq!(left.uncontrolled["mount /dev/shm/ground-a/root"], 3);
        assert_eq!(played.waiting, ["state waits for ground-a"]);
        assert_eq!(&*output.text, b"\xff /ground-a/ground-a");
    }
}
