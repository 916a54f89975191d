//! What the instrument itself costs: its loop and the bare loop, in one process and in turns. For `benches/contention.rs`.

use std::path::Path;
use std::sync::Arc;

use flockwork::lock::measured::Place;

use super::bare::Bare;
use super::choice::{Choices, stream};
use super::clock::{Clock, Monotonic};
use super::door::Door;
use super::labour::{Shift, labour};
use super::locker::{Files, InMemory, Kept, Locker, Nothing};
use super::meter::Meter;
use super::pace::Pace;
use super::worker::container_ids;
use crate::plan::bench::{BenchLock, Load, Skew, Waiting};
use crate::process::arena::{Arena, Size};

/// What one acquisition took, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// In the loop that only takes the lock and gives it back.
    pub bare_ns: f64,
    /// In the loop that measures it.
    pub measured_ns: f64,
}

/// Takes turns, so that whatever drifts hits both loops alike: measures for `turn_ns`, and then does without measuring as
/// many acquisitions as it got. The descriptor is kept, nobody else wants the lock, and nothing is done under it.
pub fn turns(
    folder: &Path,
    lock: BenchLock,
    timed_every: u32,
    (turns, turn_ns): (u32, u64),
) -> Result<Vec<Turn>, String> {
    let arena =
        Arc::new(Arena::create(Size { processes: 1, containers: 1 }).map_err(|error| error.to_string())?);
    let runs = Runs { arena, timed_every, turns, turn_ns };
    let waiting = Waiting::Block;
    match lock {
        BenchLock::None => runs.all(Nothing),
        BenchLock::Mutex => {
            let arena = Arc::clone(&runs.arena);
            runs.all(InMemory { arena, waiting })
        }
        BenchLock::Library(kind) => {
            let place = Place::open(folder, kind).map_err(|error| error.to_string())?;
            let ids = container_ids(&super::ground::names(1))?;
            let kept = Kept::open(Files { place: &place, kind, ids: &ids, waiting })?;
            runs.all(kept)
        }
    }
}

/// Long enough to make ready, and for the loop to be warm.
const WARM_UP_NS: u64 = 100_000;

struct Runs {
    arena: Arc<Arena>,
    timed_every: u32,
    turns: u32,
    turn_ns: u64,
}

impl Runs {
    fn all(&self, locker: impl Locker) -> Result<Vec<Turn>, String> {
        let door = Door::new(Arc::clone(&self.arena), 0);
        let mut job = Bare { locker, door: &door, spin_ns: 0 };
        (0..self.turns).map(|_| self.one(&mut job, &door)).collect()
    }

    fn one<L: Locker>(&self, job: &mut Bare<'_, L>, door: &Door) -> Result<Turn, String> {
        let mut meter = Meter::new();
        let begin_ns = Monotonic.now_ns() + WARM_UP_NS;
        let end_ns = begin_ns + self.turn_ns;
        let mut shift = Shift {
            pace: Pace::new(Load::Closed(0), (0, 1), begin_ns),
            choices: Choices::new(1, Skew::Uniform, &mut stream(0, 0)),
            door,
            timed_every: self.timed_every,
            begin_ns,
            end_ns,
        };
        let control = self.arena.region().control();
        let is_stopped = || control.end.load(std::sync::atomic::Ordering::Relaxed) != 0;
        labour(job, &Monotonic, &mut shift, &mut meter, is_stopped, || ())?;
        let acquisitions = meter.acquisitions().max(1);
        let bare_begin_ns = Monotonic.now_ns();
        for _ in 0..acquisitions {
            job.locker.acquire(&Monotonic, 0)?;
            job.locker.release(0)?;
        }
        let bare_ns = (Monotonic.now_ns() - bare_begin_ns) as f64 / acquisitions as f64;
        Ok(Turn { bare_ns, measured_ns: self.turn_ns as f64 / acquisitions as f64 })
    }
}
