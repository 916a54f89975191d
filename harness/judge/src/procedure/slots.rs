//! Slots: operations that each take the next number, where it does not matter which takes which: additions of one size
//! to a counter, appends whose position nobody told.
//!
//! Number k is taken at some instant, and these instants do not decrease. Whoever saw that c numbers were taken bounds
//! them: numbers below c were taken before it returned, the others after it was invoked. So each number has a window, and
//! both ends of the windows ascend. An operation that tells its number narrows that window to its own interval.
//!
//! An operation fits a number if its interval meets the window, so it fits a run of numbers: a convex bipartite matching,
//! which the rule "the one that is over first" solves (Glover 1967), and in what it makes no two stand the wrong way
//! round, so that it is an order. Where some operations need not have acted, there are two questions: whether all that
//! must fit, and whether every number below the last one seen is taken. If both have a matching, one matching answers both
//! (Mendelsohn and Dulmage 1958), and it is found along the paths on which the two differ.
//!
//! If there is none, a run of numbers shows it: more operations lie wholly between two sights of the counter than the
//! numbers between allow, or fewer can lie there than they need.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An operation that takes a number.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Earliest and latest instant.
    pub from_ns: u64,
    /// The latest instant at which it can have acted, in nanoseconds.
    pub until_ns: u64,
    /// Whether it must have acted.
    pub must: bool,
    /// The number that it tells.
    pub fixed: Option<u32>,
}

/// Somebody saw so many numbers taken.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// How many numbers it saw taken.
    pub count: u32,
    /// When it was invoked, in nanoseconds.
    pub from_ns: u64,
    /// When it returned, in nanoseconds.
    pub until_ns: u64,
}

/// Where a bound comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: the beginning or the end.
    None,
    /// A sight, by its place in the list.
    Sight(u32),
    /// A job that tells its number, by its place in the list.
    Job(u32),
}

/// Why there is no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Two jobs tell one number.
    Same(u32, u32),
    /// The first saw fewer numbers taken than the second, which was over before the first was invoked.
    Back(Source, Source),
    /// More jobs lie wholly between the two than there are numbers between.
    Many(Source, Source),
    /// Fewer jobs can lie between the two than there are numbers between.
    Few(Source, Source),
}

/// The windows of numbers.
struct Windows {
    /// Earliest instant and who says so, by number; beyond the last for all further numbers.
    from: Vec<(u64, Source)>,
    /// Latest instant and who says so, by number.
    until: Vec<(u64, Source)>,
    fixed: Vec<Option<u32>>,
}

/// An order of the jobs, as places in the list, one a number: all that must have acted, and others where they are needed.
pub fn order(jobs: &[Job], sights: &[Sight]) -> Result<Vec<u32>, Trouble> {
    let windows = Windows::of(jobs, sights)?;
    let slots = windows.fixed.len();
    let free: Vec<u32> = (0..jobs.len() as u32).filter(|&job| jobs[job as usize].fixed.is_none()).collect();
    let runs: Vec<(u32, u32)> = free.iter().map(|&job| windows.run(&jobs[job as usize])).collect();
    let has_tail = |at: usize| runs[at].1 as usize > slots;
    let must = |at: usize| jobs[free[at] as usize].must && !has_tail(at);
    let all_must = free.iter().all(|&job| jobs[job as usize].must);
    let untils: Vec<u64> = free.iter().map(|&job| jobs[job as usize].until_ns).collect();
    // By slot, the job in it, as a place in `free`.
    let filled = matching(&windows, &runs, &untils, |_| true);
    // Whoever fits nowhere shows it best.
    if let Some(at) = (0..free.len()).find(|&at| must(at) && runs[at].0 >= runs[at].1) {
        return Err(windows.many(&runs, &filled, at, must));
    }
    let unfilled = (0..slots).find(|&slot| windows.fixed[slot].is_none() && filled[slot].is_none());
    if let Some(slot) = unfilled {
        return Err(windows.few(&runs, &filled, slot));
    }
    let chosen = if all_must {
        if let Some(at) = left_out(&filled, free.len(), must) {
            return Err(windows.many(&runs, &filled, at, must));
        }
        filled
    } else {
        let musts = matching(&windows, &runs, &untils, must);
        if let Some(at) = left_out(&musts, free.len(), must) {
            return Err(windows.many(&runs, &musts, at, must));
        }
        both(&musts, &filled, free.len())
    };
    // What must act and is in no slot comes after all.
    let mut acts: Vec<bool> = free.iter().map(|&job| jobs[job as usize].must).collect();
    chosen.iter().flatten().for_each(|&at| acts[at as usize] = true);
    let settled = matching(&windows, &runs, &untils, |at| acts[at]);
    settled.iter().flatten().for_each(|&at| acts[at as usize] = false);
    let mut tail: Vec<u32> = (0..free.len()).filter(|&at| acts[at]).map(|at| free[at]).collect();
    tail.sort_unstable_by_key(|&job| jobs[job as usize].from_ns);
    let slot = |(fixed, settled): (&Option<u32>, &Option<u32>)| fixed.or(settled.map(|at| free[at as usize]));
    Ok(windows.fixed.iter().zip(&settled).filter_map(slot).chain(tail).collect())
}

/// The first job that must have a slot and has none.
fn left_out(filled: &[Option<u32>], jobs: usize, must: impl Fn(usize) -> bool) -> Option<usize> {
    let mut has_slot = vec![false; jobs];
    filled.iter().flatten().for_each(|&at| has_slot[at as usize] = true);
    (0..jobs).find(|&at| must(at) && !has_slot[at])
}

/// A largest matching of slots and jobs: each slot takes the job that is over first.
///
/// No two jobs stand the wrong way round in it: whoever was over before the other was invoked fits an earlier slot as
/// well, and was taken first.
fn matching(
    windows: &Windows,
    runs: &[(u32, u32)],
    untils: &[u64],
    is_in: impl Fn(usize) -> bool,
) -> Vec<Option<u32>> {
    let slots = windows.fixed.len();
    let mut waiting: Vec<u32> = (0..runs.len() as u32)
        .filter(|&at| is_in(at as usize) && runs[at as usize].0 < runs[at as usize].1)
        .collect();
    waiting.sort_unstable_by_key(|&at| runs[at as usize].0);
    let mut waiting = waiting.into_iter().peekable();
    let mut ready: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
    let mut filled = vec![None; slots];
    for (slot, filled) in filled.iter_mut().enumerate() {
        while let Some(at) = waiting.next_if(|&at| runs[at as usize].0 as usize <= slot) {
            ready.push(Reverse((untils[at as usize], at)));
        }
        if windows.fixed[slot].is_some() {
            continue;
        }
        while let Some(Reverse((_, at))) = ready.pop() {
            if runs[at as usize].1 as usize > slot {
                *filled = Some(at);
                break;
            }
        }
    }
    filled
}

/// A matching with all jobs of the first and all slots of the second: along each path on which they differ, one of them.
fn both(first: &[Option<u32>], second: &[Option<u32>], jobs: usize) -> Vec<Option<u32>> {
    const NONE: u32 = u32::MAX;
    let slot_of = |filled: &[Option<u32>]| {
        let mut slots = vec![NONE; jobs];
        for (slot, at) in (0..).zip(filled) {
            if let Some(at) = at {
                slots[*at as usize] = slot;
            }
        }
        slots
    };
    let (slot_first, slot_second) = (slot_of(first), slot_of(second));
    let mut merged = second.to_vec();
    // A job of the first that the second has not: let it into its slot, and whom it displaces into theirs of the first,
    // until somebody is displaced who has no slot in the first, so that it need not act.
    for job in 0..jobs as u32 {
        if slot_first[job as usize] == NONE || slot_second[job as usize] != NONE {
            continue;
        }
        let mut job = job;
        loop {
            let slot = slot_first[job as usize];
            if slot == NONE {
                break;
            }
            match merged[slot as usize].replace(job) {
                Some(displaced) => job = displaced,
                None => break,
            }
        }
    }
    merged
}

impl Windows {
    fn of(jobs: &[Job], sights: &[Sight]) -> Result<Self, Trouble> {
        let counts = sights.iter().map(|sight| sight.count as usize);
        let told = jobs.iter().filter_map(|job| job.fixed).map(|number| number as usize + 1);
        let slots = counts.chain(told).max().unwrap_or(0);
        let mut from = vec![(0, Source::None); slots + 1];
        let mut until = vec![(u64::MAX, Source::None); slots + 1];
        let mut fixed = vec![None; slots];
        let later = |bound: &mut (u64, Source), other: (u64, Source)| {
            if other.0 > bound.0 {
                *bound = other;
            }
        };
        let earlier = |bound: &mut (u64, Source), other: (u64, Source)| {
            if other.0 < bound.0 {
                *bound = other;
            }
        };
        for (at, sight) in (0..).zip(sights) {
            let count = sight.count as usize;
            later(&mut from[count], (sight.from_ns, Source::Sight(at)));
            if let Some(before) = count.checked_sub(1) {
                earlier(&mut until[before], (sight.until_ns, Source::Sight(at)));
            }
        }
        for (at, job) in (0..).zip(jobs) {
            let Some(number) = job.fixed.map(|number| number as usize) else { continue };
            if let Some(other) = fixed[number].replace(at) {
                return Err(Trouble::Same(other, at));
            }
            later(&mut from[number], (job.from_ns, Source::Job(at)));
            earlier(&mut until[number], (job.until_ns, Source::Job(at)));
        }
        for slot in 1..=slots {
            let before = from[slot - 1];
            later(&mut from[slot], before);
        }
        for slot in (0..slots).rev() {
            let after = until[slot + 1];
            earlier(&mut until[slot], after);
        }
        let windows = Self { from, until, fixed };
        match (0..slots).find(|&slot| windows.from[slot].0 > windows.until[slot].0) {
            Some(slot) => Err(Trouble::Back(windows.from[slot].1, windows.until[slot].1)),
            None => Ok(windows),
        }
    }

    /// The slots that a job fits: from, and up to but not. The slot after the last stands for all that follow.
    fn run(&self, job: &Job) -> (u32, u32) {
        let slots = self.fixed.len();
        let low = self.until[..slots].partition_point(|bound| bound.0 < job.from_ns);
        let high = self.from.partition_point(|bound| bound.0 <= job.until_ns);
        (low as u32, high as u32)
    }

    /// More jobs than slots, of which `at` is left out.
    fn many(
        &self,
        runs: &[(u32, u32)],
        filled: &[Option<u32>],
        at: usize,
        must: impl Fn(usize) -> bool,
    ) -> Trouble {
        let (mut low, high) = runs[at];
        // The slots that it fits are taken by jobs that fit no longer; those fit earlier slots, and so on.
        for slot in (0..high).rev() {
            if slot < low {
                break;
            }
            if let Some(taken) = filled[slot as usize].filter(|&taken| must(taken as usize)) {
                low = low.min(runs[taken as usize].0);
            }
        }
        let before = low.checked_sub(1).map_or(Source::None, |slot| self.until[slot as usize].1);
        Trouble::Many(before, self.from[high as usize].1)
    }

    /// A slot that nobody fills.
    fn few(&self, runs: &[(u32, u32)], filled: &[Option<u32>], slot: usize) -> Trouble {
        let mut low = slot;
        // Whoever fits one of these slots and is in an earlier one makes that one belong to them.
        for earlier in (0..slot).rev() {
            if filled[earlier].is_some_and(|at| runs[at as usize].1 as usize > low) {
                low = earlier;
            }
        }
        Trouble::Few(self.from[low].1, self.until[slot].1)
    }
}
