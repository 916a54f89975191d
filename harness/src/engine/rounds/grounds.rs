//! Grounds: while it is watched whether what a round left is still there when its time is over, the next rounds are played in others.
//!
//! Each ground has its own runtime's root, bundles, cgroup, marker and spawner. Commands are started in one ground at a time, as if
//! there were but one: all that goes on beside them is the watching, which takes a look now and then. Rounds are told in the
//! order in which they were begun, each when it has been examined to its end. As long as no round leaves anything there is one ground.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::play::{self, Pace};
use super::probe::{Probe, Watch};
use super::{EngineError, Round, refused};
use crate::plan::rounds::RoundsPlan;
use crate::process::Zygote;
use crate::runtimes::Host;
use crate::runtimes::clean::Left;
use crate::runtimes::traces::Seen;
use crate::scratch::Scratch;

/// Most grounds: what stays is watched for about as long as it takes to play so many rounds.
const MOST: usize = 4;
/// How often those who watch are looked after while nothing else is to be done.
const LOOK: Duration = Duration::from_millis(2);

/// A ground in which one round can be played.
#[derive(Debug)]
struct Ground {
    host: Host,
    /// Its folder, but for the first, which whoever wants the run has made.
    scratch: Option<Scratch>,
}

/// What has become of a round that was begun.
enum Course {
    /// What it left is watched.
    Watched(Box<Examined>),
    /// It has been examined to its end.
    Over(Box<Round>),
}

/// A round that is examined, and its ground.
struct Examined {
    ground: Ground,
    probe: Probe,
    watching: JoinHandle<Seen>,
}

/// The grounds of a run, and the rounds that are under way in them.
pub(super) struct Grounds<'p> {
    zygote: &'p Zygote,
    plan: &'p RoundsPlan,
    pace: Pace,
    idle: Vec<Ground>,
    /// In the order in which they were begun.
    under_way: VecDeque<Course>,
    begun: u64,
    /// How many grounds there are.
    count: usize,
    /// How many there may be: fewer, where no more can be had.
    most: usize,
    /// Whether nobody wants to know any more what rounds left.
    is_forgotten: Arc<AtomicBool>,
}

impl<'p> Grounds<'p> {
    /// Begins with this ground.
    pub fn new(zygote: &'p Zygote, plan: &'p RoundsPlan, host: Host) -> Self {
        Self {
            zygote,
            plan,
            pace: Pace::default(),
            idle: vec![Ground { host, scratch: None }],
            under_way: VecDeque::new(),
            begun: 0,
            count: 1,
            most: MOST,
            is_forgotten: Arc::default(),
        }
    }

    /// The host of the first ground, before any round has been begun.
    pub fn host(&mut self) -> &mut Host {
        &mut self.idle[0].host
    }

    /// The next round, when it has been examined; others are begun meanwhile as long as `may_begin` says so of their number. None
    /// where no round is under way and none may be begun.
    pub fn next(&mut self, may_begin: &dyn Fn(u64) -> bool) -> Result<Option<Round>, EngineError> {
        loop {
            if let Some(Course::Over(_)) = self.under_way.front()
                && let Some(Course::Over(round)) = self.under_way.pop_front()
            {
                return Ok(Some(*round));
            }
            let number = self.begun + 1;
            // First those that were begun before.
            if let Some(place) = self.under_way.iter().position(Course::can_go_on) {
                self.go_on(place)?;
            } else if may_begin(number)
                && let Some(ground) = self.idle_ground()
            {
                self.begin(ground, number)?;
            } else if self.under_way.is_empty() {
                return Ok(None);
            } else {
                thread::sleep(LOOK);
            }
        }
    }

    fn begin(&mut self, mut ground: Ground, number: u64) -> Result<(), EngineError> {
        self.begun = number;
        let probe = play::play(&mut ground.host, self.plan, number, &mut self.pace);
        let course = self.examine(ground, probe.map_err(refused)?, None)?;
        self.under_way.push_back(course);
        Ok(())
    }

    /// Goes on with the examination of a round whose watch is over.
    fn go_on(&mut self, place: usize) -> Result<(), EngineError> {
        let course = self.under_way.remove(place).expect("it is under way");
        let course = match course {
            Course::Over(_) => course,
            Course::Watched(examined) => {
                let Examined { ground, probe, watching } = *examined;
                let seen = joined(watching);
                self.examine(ground, probe, Some(seen))?
            }
        };
        self.under_way.insert(place, course);
        Ok(())
    }

    /// Examines a round to its end, or until something of it must be watched.
    fn examine(
        &mut self,
        mut ground: Ground,
        mut probe: Probe,
        seen: Option<Seen>,
    ) -> Result<Course, EngineError> {
        if let Some(watch) = probe.go_on(&mut ground.host, seen).map_err(refused)? {
            let watching = self.watch(watch)?;
            return Ok(Course::Watched(Box::new(Examined { ground, probe, watching })));
        }
        let round = probe.end(&ground.host).map_err(refused)?;
        self.idle.push(ground);
        Ok(Course::Over(Box::new(round)))
    }

    fn watch(&self, watch: Watch) -> Result<JoinHandle<Seen>, EngineError> {
        let is_forgotten = Arc::clone(&self.is_forgotten);
        let watching = thread::Builder::new().name("watch".into()).spawn(move || watch.end(&is_forgotten));
        watching.map_err(|error| EngineError::Failed(format!("a thread cannot be started: {error}")))
    }

    /// A ground in which nothing is under way, if one can be had.
    fn idle_ground(&mut self) -> Option<Ground> {
        if self.idle.is_empty() && self.count < self.most {
            match self.another() {
                Some(ground) => {
                    self.count += 1;
                    self.idle.push(ground);
                }
                // Whatever is lacking, those that there are will do.
                None => self.most = self.count,
            }
        }
        self.idle.pop()
    }

    fn another(&self) -> Option<Ground> {
        let base = self.plan.root.parent().and_then(Path::parent)?;
        let scratch = Scratch::create(base).ok()?;
        let host = Host::open(self.zygote, &self.plan.oci, &scratch.root()).ok()?;
        Some(Ground { host, scratch: Some(scratch) })
    }

    /// Ends and removes all that was made in any ground; gives back what is there still.
    pub fn close(mut self) -> Result<Left, EngineError> {
        self.is_forgotten.store(true, Ordering::Relaxed);
        let mut grounds = std::mem::take(&mut self.idle);
        for course in self.under_way.drain(..) {
            if let Course::Watched(examined) = course {
                _ = joined(examined.watching);
                grounds.push(examined.ground);
            }
        }
        let mut left = Left::default();
        for Ground { host, scratch } in grounds {
            left.add(host.close());
            let removed = scratch.map_or(Ok(()), Scratch::remove);
            removed.map_err(|error| {
                EngineError::Failed(format!("a temporary folder cannot be removed: {error}"))
            })?;
        }
        Ok(left)
    }
}

impl Course {
    /// Whether it has been watched long enough.
    fn can_go_on(&self) -> bool {
        matches!(self, Self::Watched(examined) if examined.watching.is_finished())
    }
}

fn joined<T>(running: JoinHandle<T>) -> T {
    running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
