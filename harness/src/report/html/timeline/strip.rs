//! The strip above the lanes: who held which container's lock, as columns of small numbers in base64.
//!
//! Lock by lock: how many holds, then of each, as variable-length numbers: the time since the one before began; how long it
//! lasted, plus 1, or 0 where it had no end; the lane of who held it, with two bits below: shared, and end not seen.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::Timeline;
use super::encode::varint;
use crate::history::holds::{Hold, Holds};

/// More locks than these make no picture; those of violations come first.
const ROWS_MAX: usize = 8;
/// What one hold takes at most, nearly always.
const BYTES_EACH: usize = 8;

/// What is known of who held which lock.
#[derive(Clone, Debug)]
pub enum Locks<'a> {
    /// It was observed.
    Seen(&'a Holds),
    /// It was not: a clause that follows "because".
    NotSeen(&'a str),
}

/// The strip, as the page's script takes it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Strip {
    /// The containers whose locks are drawn, a row each.
    pub locks: Vec<String>,
    #[serde(skip)]
    pub data: String,
    /// How many containers had a lock that was held.
    #[serde(skip)]
    pub held: usize,
    /// How many holds are drawn, and how many there were of these locks.
    #[serde(skip)]
    pub drawn: (usize, usize),
}

/// The strip of a timeline that begins at a time; each lane is a process. It takes so many bytes at most.
pub(super) fn encode(timeline: &Timeline<'_>, origin_ns: u64, lanes: &[u32], bytes_max: usize) -> Strip {
    let Locks::Seen(holds) = timeline.locks else { return Strip::default() };
    let mut by_lock = BTreeMap::<u32, Vec<&Hold>>::new();
    for hold in &holds.all {
        by_lock.entry(hold.container).or_default().push(hold);
    }
    let held = by_lock.len();
    keep_rows(&mut by_lock, timeline, holds);
    let total: usize = by_lock.values().map(Vec::len).sum();
    thin_out(&mut by_lock, timeline, (total * BYTES_EACH).div_ceil(bytes_max.max(1)));
    let mut bytes = Vec::new();
    for row in by_lock.values_mut() {
        row.sort_unstable_by_key(|hold| (hold.from_ns, hold.to_ns));
        varint(&mut bytes, row.len() as u64);
        let mut before_ns = origin_ns;
        for hold in row {
            let from_ns = hold.from_ns.max(before_ns);
            varint(&mut bytes, from_ns - before_ns);
            before_ns = from_ns;
            varint(&mut bytes, hold.to_ns.map_or(0, |to_ns| to_ns.saturating_sub(from_ns) + 1));
            let lane = lanes.binary_search(&hold.process).unwrap_or(lanes.len()) as u64;
            varint(&mut bytes, lane << 2 | u64::from(hold.end_unseen) << 1 | u64::from(hold.shared));
        }
    }
    let name = |lock: &u32| holds.containers.get(*lock as usize).cloned().unwrap_or_default();
    Strip {
        locks: by_lock.keys().map(name).collect(),
        data: STANDARD.encode(bytes),
        held,
        drawn: (by_lock.values().map(Vec::len).sum(), total),
    }
}

/// Keeps the locks that violations are about, and of the others those that were held most often.
fn keep_rows(by_lock: &mut BTreeMap<u32, Vec<&Hold>>, timeline: &Timeline<'_>, holds: &Holds) {
    if by_lock.len() <= ROWS_MAX {
        return;
    }
    let decisive: BTreeSet<(u32, u64)> =
        timeline.violations.iter().flat_map(|spot| spot.decisive.iter().copied()).collect();
    let history = timeline.history;
    let broken: BTreeSet<&str> = history
        .records
        .iter()
        .filter(|record| decisive.contains(&(record.process, record.invoke_ns)))
        .map(|record| history.container_name(record))
        .collect();
    let mut order: Vec<u32> = by_lock.keys().copied().collect();
    order.sort_by_key(|lock| {
        let is_broken =
            holds.containers.get(*lock as usize).is_some_and(|name| broken.contains(name.as_str()));
        (!is_broken, std::cmp::Reverse(by_lock[lock].len()), *lock)
    });
    for lock in order.drain(ROWS_MAX..) {
        by_lock.remove(&lock);
    }
}

/// Keeps what lies around violations, and of the rest one in so many.
fn thin_out(by_lock: &mut BTreeMap<u32, Vec<&Hold>>, timeline: &Timeline<'_>, one_in: usize) {
    if one_in <= 1 {
        return;
    }
    let around = super::encode::around(timeline);
    let mut number = 0;
    for row in by_lock.values_mut() {
        row.retain(|hold| {
            number += 1;
            number % one_in == 0 || around.iter().any(|(from, to)| (*from..=*to).contains(&hold.from_ns))
        });
    }
}
