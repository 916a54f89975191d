//! Locks: who held it when follows from what each process did, and holds must not overlap.
//!
//! The successful operations of one process alternate between having and giving back, so each *hold* is known: it began
//! by the return of its `acquire` and lasted until the invocation of its `release` at least. Two holds whose certain parts
//! overlap cannot both be; if none do, the holds have one order, and each operation acts at its earliest instant in it.
//! Where somebody was refused the lock, some hold must reach into that interval; a refusal is put into the earliest hold
//! that can, and refusals in that order never stand the wrong way round.
//!
//! What never answered is taken to have acted where the process went on as if it had; else an `acquire` is taken not to
//! have had it and a `release` to have given it back. Where that leads nowhere, or leases end, the search decides.

use super::certificate::Sequence;
use super::order::{insert_free, reversed};
use super::{Fast, Fault, Part};
use crate::history::object::Op;

/// From an `acquire` or `try` to the `release`, if there is one.
#[derive(Clone, Copy, Debug)]
struct Hold {
    acquire: u32,
    release: Option<u32>,
}

pub(super) fn decide(part: &Part<'_>) -> Fast {
    let by_actor = by_actor(part);
    let has_unknown = part.items.iter().any(|item| !item.must);
    // Equal times are concurrent, and so no order of one process either.
    let is_ordered = by_actor
        .iter()
        .all(|places| places.windows(2).all(|pair| part.item(pair[0]).precedes(part.item(pair[1]))));
    match holds(part, &by_actor).and_then(|holds| order(part, &holds)) {
        Ok(order) if is_ordered => Fast::Legal(Sequence::of(order)),
        Err(fast) if is_ordered && !has_unknown && part.model.lease_ns.is_none() => fast,
        // What is assumed of leases, of what never answered and of what one process did at one time is not all that can be.
        _ => Fast::Unfit,
    }
}

/// The operations of each process, in its order.
fn by_actor(part: &Part<'_>) -> Vec<Vec<u32>> {
    let mut by_actor: Vec<Vec<u32>> = vec![Vec::new(); part.history.actors.len()];
    for (place, item) in (0..).zip(&part.items) {
        by_actor[item.actor as usize].push(place);
    }
    for places in &mut by_actor {
        places.sort_by_key(|&place| (part.item(place).invoke_ns, part.item(place).deadline_ns));
    }
    by_actor
}

/// What each process did, made into holds.
fn holds(part: &Part<'_>, by_actor: &[Vec<u32>]) -> Result<Vec<Hold>, Fast> {
    let mut holds = Vec::with_capacity(part.items.len() / 2);
    for places in by_actor {
        one_actor(part, places, &mut holds)?;
    }
    Ok(holds)
}

fn one_actor(part: &Part<'_>, places: &[u32], holds: &mut Vec<Hold>) -> Result<(), Fast> {
    let mut held: Option<u32> = None;
    // An acquire that never answered, and may have had it.
    let mut maybe: Option<u32> = None;
    for &place in places {
        let item = part.item(place);
        match (item.op, item.refused, item.must) {
            (Op::Release, false, must) => match held.take().or(maybe.take()) {
                Some(acquire) => holds.push(Hold { acquire, release: Some(place) }),
                None if must => {
                    let who = part.teller.actor(item.actor);
                    let sentence = format!("{} cannot be: {who} did not hold the lock.", part.the(place));
                    return Err(Fast::illegal(
                        sentence,
                        before(part, places, place).into_iter().chain([place]),
                    ));
                }
                None => {}
            },
            (Op::Release, true, _) => {
                if let Some(acquire) = held {
                    let (the, who) = (part.the(place), part.teller.actor(item.actor));
                    let sentence =
                        format!("{the} cannot be: {who} held the lock since {}.", part.the(acquire));
                    return Err(Fast::illegal(sentence, [acquire, place]));
                }
            }
            (_, false, true) => {
                if let Some(acquire) = held {
                    let sentence = format!(
                        "{} had the lock, which {} had given to it and nothing took back.",
                        part.the(place),
                        part.the(acquire)
                    );
                    return Err(Fast::illegal(sentence, [acquire, place]));
                }
                held = Some(place);
                maybe = None;
            }
            (_, false, false) if held.is_none() => maybe = Some(place),
            _ => {}
        }
    }
    holds.extend(held.map(|acquire| Hold { acquire, release: None }));
    Ok(())
}

/// What the same process did to the lock last.
fn before(part: &Part<'_>, places: &[u32], place: u32) -> Option<u32> {
    let at = places.iter().position(|&other| other == place)?;
    places[..at].iter().rev().copied().find(|&other| !part.item(other).refused)
}

fn order(part: &Part<'_>, holds: &[Hold]) -> Result<Vec<u32>, Fast> {
    // Whoever gave it back had it before.
    let begun_ns = |hold: &Hold| {
        let release_ns = hold.release.map_or(u64::MAX, |release| part.item(release).deadline_ns);
        part.item(hold.acquire).deadline_ns.min(release_ns)
    };
    let ended_ns = |hold: &Hold| hold.release.map_or(u64::MAX, |release| part.item(release).invoke_ns);
    let mut holds = holds.to_vec();
    // Which of two that begin at one instant can be over by then.
    holds.sort_by_key(|hold| (begun_ns(hold), ended_ns(hold), hold.release.is_none()));
    for pair in holds.windows(2) {
        let is_over = pair[0].release.is_some() && ended_ns(&pair[0]) <= begun_ns(&pair[1]);
        if !is_over {
            return Err(overlap(part, pair[0], pair[1]));
        }
    }
    let chain: Vec<u32> =
        holds.iter().flat_map(|hold| std::iter::once(hold.acquire).chain(hold.release)).collect();
    if let Some((earlier, later)) = reversed(&part.items, &chain) {
        let sentence = format!("{} was over before {} was invoked.", part.the(later), part.the(earlier));
        return Err(Fast::illegal(sentence, [earlier, later]));
    }
    let (mut free, mut refused) = (Vec::new(), Vec::new());
    for (place, item) in (0..).zip(&part.items).filter(|(_, item)| item.must && item.refused) {
        if item.op == Op::Try { refused.push(place) } else { free.push(place) }
    }
    let whole = put_refused(part, &holds, refused)?;
    Ok(insert_free(&part.items, whole, free))
}

fn overlap(part: &Part<'_>, a: Hold, b: Hold) -> Fast {
    let (first, second) = (part.the(a.acquire), part.the(b.acquire));
    let sentence = match a.release {
        Some(release) => format!("{second} had the lock while {first} held it, until {}.", part.the(release)),
        None => format!("{second} had the lock while {first} held it, and nobody released it."),
    };
    Fault::new(sentence, [a.acquire, b.acquire]).with_possible(a.release).into()
}

/// Puts who was refused the lock into the earliest hold that can reach there.
fn put_refused(part: &Part<'_>, holds: &[Hold], mut refused: Vec<u32>) -> Result<Vec<u32>, Fast> {
    // The earliest instant at which each hold can begin, and the latest at which it can end.
    let (mut earliest, mut now_ns) = (Vec::with_capacity(holds.len()), 0);
    for hold in holds {
        now_ns = part.item(hold.acquire).invoke_ns.max(now_ns);
        earliest.push(now_ns);
        now_ns = hold.release.map_or(now_ns, |release| part.item(release).invoke_ns.max(now_ns));
    }
    let (mut latest, mut end_ns) = (vec![0; holds.len()], u64::MAX);
    for (latest, hold) in latest.iter_mut().zip(holds).rev() {
        end_ns = hold.release.map_or(end_ns, |release| part.item(release).deadline_ns.min(end_ns));
        *latest = end_ns;
        end_ns = part.item(hold.acquire).deadline_ns.min(end_ns);
    }
    refused.sort_unstable_by_key(|&place| part.item(place).invoke_ns);
    let mut whole = Vec::with_capacity(part.items.len());
    let mut refused = refused.into_iter().peekable();
    let held_until = |at: usize| latest[at];
    for (at, hold) in holds.iter().enumerate() {
        whole.push(hold.acquire);
        while let Some(place) = refused.next_if(|&place| part.item(place).invoke_ns <= held_until(at)) {
            if part.item(place).deadline_ns < earliest[at] {
                return Err(nobody(part, place));
            }
            whole.push(place);
        }
        whole.extend(hold.release);
    }
    match refused.next() {
        Some(place) => Err(nobody(part, place)),
        None => Ok(whole),
    }
}

fn nobody(part: &Part<'_>, place: u32) -> Fast {
    let item = part.item(place);
    let around = |other: &&u32| {
        let other = part.item(**other);
        !other.refused && other.op != Op::Try && other.op != Op::Acquire
    };
    // The release that was over last before it, and nothing else: whoever reads this can look there.
    let places: Vec<u32> = (0..part.items.len() as u32).collect();
    let last = places
        .iter()
        .filter(around)
        .filter(|&&other| part.item(other).precedes(item))
        .max_by_key(|&&other| part.item(other).deadline_ns)
        .copied();
    let sentence = format!("{} cannot be: nobody can have held the lock then.", part.the(place));
    Fast::illegal(sentence, last.into_iter().chain([place]))
}
