//! Queues whose every value is pushed once.
//!
//! A value is pushed at some instant and popped at a later one, or never. Narrow both intervals so that the push is over
//! when the pop is, and the pop begins no earlier than the push. Then in a queue that gives back first what came first,
//! value a must be before value b exactly if a's push was over before b's was invoked, or a's pop before b's. Intervals
//! have no cycle of such demands without one of two values: of two demands in a row of the same sort the first and last
//! values stand so as well, and of two pairs of intervals one end of the first is before the beginning of the second or
//! the reverse. So there is an order exactly if no value was pushed wholly before another and popped wholly after it
//! (Henzinger, Sezgin and Vafeiadis 2013). Every order that meets the demands will do: pushes and pops both in this order,
//! each at its earliest instant.
//!
//! Who found the queue empty needs an instant at which no value was certainly in it: between the end of its push and the
//! beginning of its pop. Any such instant will do: values popped by then on one side, the others pushed no earlier on the
//! other, and that agrees with every demand. Narrow the intervals to that, and go on as before. A bag has no demands of
//! order at all, and the same of emptiness.
//!
//! A `pop` that never answered, or does not tell what it took, is given a value that nobody else popped, where that helps;
//! that is a guess, and where it leads nowhere the search decides. So it is with values pushed twice.

mod lives;

use rayon::slice::ParallelSliceMut;

use super::certificate::Sequence;
use super::{Fast, Fault, Part};
use crate::history::object::Value;
use crate::model::object::QueueOrder;
use lives::{Life, Lives};

/// To share out work on fewer than this among threads costs more than it saves.
const SHARED_MIN: usize = 10_000;

pub(super) fn decide(part: &Part<'_>) -> Fast {
    let lives = match lives::of(part) {
        Ok(lives) => lives,
        Err(fast) => return fast,
    };
    let is_guess = lives.is_guess;
    match order(part, lives) {
        Ok(order) => Fast::Legal(order),
        Err(_) if is_guess => Fast::Unfit,
        Err(fast) => fast,
    }
}

fn order(part: &Part<'_>, mut lives: Lives) -> Result<Sequence, Fast> {
    let instants = empty_instants(part, &mut lives)?;
    let is_bag = part.model.order == QueueOrder::Any;
    let sequence: Vec<u32> = if is_bag {
        (0..lives.all.len() as u32).collect()
    } else {
        let sorted = Sorted::of(&lives.all);
        if let Some((a, b)) = overtaken(&lives.all, &sorted) {
            return Err(overtook(part, &lives.all[a as usize], &lives.all[b as usize]));
        }
        sequence(&lives.all, sorted)
    };
    Ok(merge(&lives, &sequence, &instants, is_bag))
}

/// When something is certainly there: first instant, first instant after it, whose. Between two instants of the clock
/// there is nothing to look for: whoever finds an empty queue does so at its invocation or where a pop can begin.
type Certain = (u64, u64, u32);

/// For each `pop` that found nothing the earliest instant at which there can have been nothing, by instants; and the
/// lives narrowed to that.
fn empty_instants(part: &Part<'_>, lives: &mut Lives) -> Result<Vec<(u64, u32)>, Fast> {
    if lives.empties.is_empty() {
        return Ok(Vec::new());
    }
    let certain =
        (0..).zip(&lives.all).map(|(at, life)| (life.push_until.saturating_add(1), life.pop_from, at));
    let mut certain: Vec<Certain> = certain.filter(|(from, end, _)| from < end).collect();
    certain.sort_unstable();
    // What is covered without a gap, as (first, end).
    let mut covered: Vec<(u64, u64)> = Vec::new();
    for &(from, end, _) in &certain {
        match covered.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(end),
            _ => covered.push((from, end)),
        }
    }
    let mut instants = Vec::with_capacity(lives.empties.len());
    for &place in &lives.empties {
        let item = part.item(place);
        let (from, until) = (lives.at(item.invoke_ns), lives.at(item.deadline_ns));
        let at = covered.partition_point(|&(first, _)| first <= from);
        let free = match at.checked_sub(1).map(|before| covered[before].1) {
            Some(end) if end > from => end,
            _ => from,
        };
        if free > until {
            return Err(never_empty(part, lives, &certain, place));
        }
        instants.push((free, place));
    }
    instants.sort_unstable();
    for life in &mut lives.all {
        let after = instants.partition_point(|&(instant, _)| instant < life.pop_from);
        if let Some(&(instant, _)) = instants.get(after) {
            life.pop_until = life.pop_until.min(instant);
            life.push_until = life.push_until.min(instant);
        }
        if let Some(before) = after.checked_sub(1) {
            life.push_from = life.push_from.max(instants[before].0);
        }
    }
    Ok(instants)
}

fn never_empty(part: &Part<'_>, lives: &Lives, certain: &[Certain], place: u32) -> Fast {
    let item = part.item(place);
    let (mut now, until) = (lives.at(item.invoke_ns), lives.at(item.deadline_ns));
    let mut chain: Vec<&Life> = Vec::new();
    while now <= until {
        let covers = certain.iter().filter(|&&(from, end, _)| from <= now && now < end);
        let Some(&(_, end, at)) = covers.max_by_key(|certain| certain.1) else { break };
        chain.push(&lives.all[at as usize]);
        now = end;
    }
    let values: Vec<String> = chain.iter().map(|life| part.teller.value(life.value)).collect();
    let sentence = format!(
        "{} found nothing, but all the while it was under way {} in it.",
        part.the(place),
        match values.as_slice() {
            [one] => format!("{one} was"),
            several => format!("one of {} was", several.join(", ")),
        }
    );
    // Whose push never answered is known to have been pushed by its pop.
    let is_known = |push: &u32| part.item(*push).must;
    let needed = chain
        .iter()
        .filter_map(|life| life.push.filter(is_known).or(life.pop.filter(|_| life.push.is_some())));
    let possible = chain.iter().filter_map(|life| life.push.filter(|push| !is_known(push)));
    Fault::new(sentence, needed.chain([place])).with_possible(possible).into()
}

/// Two values of which the first was pushed wholly before the second, and popped wholly after it or never.
fn overtaken(all: &[Life], sorted: &Sorted) -> Option<(u32, u32)> {
    let mut by_end = sorted.push_until.iter().copied().peekable();
    let mut slowest: Option<u32> = None;
    for &b in &sorted.push_from {
        let second = &all[b as usize];
        while let Some(a) = by_end.next_if(|&a| all[a as usize].push_until < second.push_from) {
            if slowest.is_none_or(|slowest| all[slowest as usize].pop_from < all[a as usize].pop_from) {
                slowest = Some(a);
            }
        }
        if let Some(a) = slowest.filter(|&a| second.pop_until < all[a as usize].pop_from) {
            return Some((a, b));
        }
    }
    None
}

fn overtook(part: &Part<'_>, first: &Life, second: &Life) -> Fast {
    let (a, b) = (part.teller.value(first.value), part.teller.value(second.value));
    let later = if first.pop.is_some() { "was popped only after it" } else { "was never popped" };
    let began = if first.push.is_some() { "was pushed before" } else { "was there before" };
    let sentence = format!("{a} {began} {b}, but {b} came out first: {a} {later}.");
    let is_known = |push: &u32| part.item(*push).must;
    let pushed = first.push.filter(is_known).or(first.pop.filter(|_| first.push.is_some()));
    Fault::new(sentence, pushed.into_iter().chain(second.pop))
        .with_possible([first.push, first.pop, first.push.and(second.push)].into_iter().flatten())
        .into()
}

/// The values by each of their four instants.
struct Sorted {
    push_from: Vec<u32>,
    push_until: Vec<u32>,
    pop_from: Vec<u32>,
    pop_until: Vec<u32>,
}

impl Sorted {
    fn of(all: &[Life]) -> Self {
        let sorted = |key: fn(&Life) -> u64| {
            // Times are sorted with their places: to look each up again and again misses the cache.
            let mut order: Vec<(u64, u32)> = (0..).zip(all).map(|(at, life)| (key(life), at)).collect();
            order.sort_unstable();
            order.into_iter().map(|(_, at)| at).collect::<Vec<u32>>()
        };
        let pushes = || (sorted(|life| life.push_from), sorted(|life| life.push_until));
        let pops = || (sorted(|life| life.pop_from), sorted(|life| life.pop_until));
        let ((push_from, push_until), (pop_from, pop_until)) =
            if all.len() < SHARED_MIN { (pushes(), pops()) } else { rayon::join(pushes, pops) };
        Self { push_from, push_until, pop_from, pop_until }
    }
}

/// An order of the values that meets every demand: again and again one before which none must come that is left.
fn sequence(all: &[Life], sorted: Sorted) -> Vec<u32> {
    let mut push = Side::of(sorted.push_from, sorted.push_until);
    let mut pop = Side::of(sorted.pop_from, sorted.pop_until);
    let mut sides = vec![0_u8; all.len()];
    let mut is_out = vec![false; all.len()];
    let mut ready: Vec<u32> = Vec::new();
    let mut sequence = Vec::with_capacity(all.len());
    loop {
        push.advance(all, &is_out, |life| (life.push_from, life.push_until), &mut sides, &mut ready);
        pop.advance(all, &is_out, |life| (life.pop_from, life.pop_until), &mut sides, &mut ready);
        let Some(next) = ready.pop() else { break };
        is_out[next as usize] = true;
        sequence.push(next);
    }
    sequence
}

/// One of the two intervals of every value.
struct Side {
    by_start: Vec<u32>,
    by_end: Vec<u32>,
    started: usize,
    ended: usize,
}

impl Side {
    fn of(by_start: Vec<u32>, by_end: Vec<u32>) -> Self {
        Self { by_start, by_end, started: 0, ended: 0 }
    }

    /// Finds those before which, by this side, none must come that is left.
    fn advance(
        &mut self,
        all: &[Life],
        is_out: &[bool],
        span: impl Fn(&Life) -> (u64, u64),
        sides: &mut [u8],
        ready: &mut Vec<u32>,
    ) {
        while self.by_end.get(self.ended).is_some_and(|&at| is_out[at as usize]) {
            self.ended += 1;
        }
        let first_end = self.by_end.get(self.ended).map_or(u64::MAX, |&at| span(&all[at as usize]).1);
        while let Some(&at) = self.by_start.get(self.started) {
            if span(&all[at as usize]).0 > first_end {
                break;
            }
            self.started += 1;
            sides[at as usize] += 1;
            if sides[at as usize] == 2 {
                ready.push(at);
            }
        }
    }
}

/// Everything at its earliest instant.
fn merge(lives: &Lives, sequence: &[u32], instants: &[(u64, u32)], is_bag: bool) -> Sequence {
    /// What comes first at one instant: pushes of what is popped by then, pops, who finds nothing, other pushes.
    const EARLY_PUSH: u8 = 0;
    const POP: u8 = 1;
    const EMPTY: u8 = 2;
    const LATE_PUSH: u8 = 3;
    let mut events: Vec<(u64, u8, u32, u32)> = Vec::with_capacity(sequence.len() * 2 + instants.len());
    let (mut pushed, mut popped) = (0, 0);
    let mut took: Vec<(u32, Value)> = Vec::new();
    for (rank, &at) in (0..).zip(sequence) {
        let life = &lives.all[at as usize];
        if is_bag {
            (pushed, popped) = (life.push_from, life.pop_from);
        } else {
            pushed = life.push_from.max(pushed);
            popped = life.pop_from.max(popped).max(pushed);
        }
        if let Some(push) = life.push {
            let is_late =
                life.pop_from > pushed && instants.binary_search_by_key(&pushed, |&(at, _)| at).is_ok();
            events.push((pushed, if is_late { LATE_PUSH } else { EARLY_PUSH }, rank, push));
        }
        if let Some(pop) = life.pop {
            events.push((popped, POP, rank, pop));
            if is_bag && life.is_guessed {
                took.push((pop, life.value));
            }
        }
    }
    events.extend(instants.iter().map(|&(at, place)| (at, EMPTY, 0, place)));
    if events.len() < SHARED_MIN {
        events.sort_unstable();
    } else {
        events.par_sort_unstable();
    }
    took.sort_unstable();
    Sequence { places: events.into_iter().map(|(.., place)| place).collect(), took }
}
