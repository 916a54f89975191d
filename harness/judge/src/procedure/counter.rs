//! Counters: additions of one size by [`slots`], told additions of one sign by their sums.
//!
//! Additions of several sizes that nobody tells are a matter of subset sums, which is as hard as anything; there the
//! search decides, and so it does where sums go up and down.

use super::between::{Between, can, invoked, made};
use super::certificate::Sequence;
use super::order::{insert_free, reversed};
use super::slots::{self, Job, Sight, Source, Trouble};
use super::{Fast, Fault, Part};
use crate::history::object::Op;
use crate::model::object::Item;
use crate::model::object::counter::number;

struct Counter<'a> {
    part: &'a Part<'a>,
    first: i128,
    /// Additions of something, and what tells the sum.
    adds: Vec<u32>,
    sights: Vec<u32>,
    /// What tells nothing and adds nothing.
    free: Vec<u32>,
}

pub(super) fn decide(part: &Part<'_>) -> Fast {
    let first = part.first.as_whole().unwrap_or(0).into();
    let mut counter = Counter { part, first, adds: Vec::new(), sights: Vec::new(), free: Vec::new() };
    for (place, item) in (0..).zip(&part.items) {
        match (size(item), item.saw) {
            (0, _) if !item.must => {}
            (0, Some(_)) => counter.sights.push(place),
            (0, None) => counter.free.push(place),
            _ => counter.adds.push(place),
        }
    }
    let sizes = || counter.adds.iter().map(|&place| size(part.item(place)));
    let one = sizes().next().unwrap_or(1);
    let result = if sizes().all(|size| size == one) {
        counter.by_slots(one)
    } else if counter.adds.iter().all(|&place| part.item(place).saw.is_some())
        && sizes().all(|size| size.signum() == one.signum())
    {
        counter.by_sums(one.signum())
    } else {
        return Fast::Unfit;
    };
    match result {
        Ok(order) => Fast::Legal(Sequence::of(insert_free(&part.items, order, counter.free))),
        Err(fast) => fast,
    }
}

/// By how much it changes the sum.
fn size(item: &Item) -> i128 {
    if item.op == Op::Add { number(item.value).unwrap_or(0) } else { 0 }
}

impl Counter<'_> {
    fn saw(&self, place: u32) -> i128 {
        number(self.part.item(place).saw).unwrap_or(0)
    }

    /// After how many additions of this size the sum was what it told.
    fn count(&self, place: u32, size: i128, least: i128) -> Result<u32, Fast> {
        let (saw, most) = (self.saw(place), self.adds.len() as i128);
        let (quotient, rest) = ((saw - self.first) / size, (saw - self.first) % size);
        if let (0, true, Ok(count)) = (rest, (least..=most).contains(&quotient), u32::try_from(quotient)) {
            return Ok(count);
        }
        let the = self.part.the(place);
        let first = self.first;
        let all = || match self.adds.len() {
            0 => "nothing was ever added".to_owned(),
            1 => format!("the only addition of {size} leads no further than {}", first + size),
            count => format!("{count} additions of {size} lead no further than {}", first + most * size),
        };
        let sentence = if rest != 0 {
            format!("{the} cannot be: from {first} additions of {size} never lead there.")
        } else if quotient < least {
            format!("{the} cannot be: the counter began with {first}, and {size} is all that is ever added.")
        } else {
            format!("{the} cannot be: the counter began with {first}, and {}.", all())
        };
        Err(Fast::illegal(sentence, [place]))
    }

    fn by_slots(&self, size: i128) -> Result<Vec<u32>, Fast> {
        let mut jobs = Vec::with_capacity(self.adds.len());
        for &place in &self.adds {
            let item = self.part.item(place);
            let fixed = match item.saw.filter(|_| item.must) {
                Some(_) => Some(self.count(place, size, 1)? - 1),
                None => None,
            };
            jobs.push(Job { from_ns: item.invoke_ns, until_ns: item.deadline_ns, must: item.must, fixed });
        }
        let mut sights = Vec::with_capacity(self.sights.len());
        for &place in &self.sights {
            let item = self.part.item(place);
            let count = self.count(place, size, 0)?;
            sights.push(Sight { count, from_ns: item.invoke_ns, until_ns: item.deadline_ns });
        }
        let order =
            slots::order(&jobs, &sights).map_err(|trouble| self.trouble(&jobs, &sights, size, trouble))?;
        // Who only saw stands after as many additions as it saw, by invocation.
        let mut seers: Vec<u32> = (0..sights.len() as u32).collect();
        seers.sort_unstable_by_key(|&at| (sights[at as usize].count, sights[at as usize].from_ns));
        let mut seers = seers.into_iter().peekable();
        let mut whole = Vec::with_capacity(order.len() + sights.len());
        for count in 0..=order.len() {
            while let Some(at) = seers.next_if(|&at| sights[at as usize].count as usize == count) {
                whole.push(self.sights[at as usize]);
            }
            whole.extend(order.get(count).map(|&job| self.adds[job as usize]));
        }
        Ok(whole)
    }

    /// Says what is wrong, with the operations that show it.
    fn trouble(&self, jobs: &[Job], sights: &[Sight], size: i128, trouble: Trouble) -> Fast {
        let place = |source: Source| match source {
            Source::None => None,
            Source::Sight(at) => Some(self.sights[at as usize]),
            Source::Job(at) => Some(self.adds[at as usize]),
        };
        let the =
            |source: Source| place(source).map_or("the beginning".to_owned(), |place| self.part.the(place));
        match trouble {
            Trouble::Same(a, b) => {
                let places = [self.adds[a as usize], self.adds[b as usize]];
                let [a, b] = places.map(|place| self.part.the(place));
                Fast::illegal(format!("{a} and {b} both made the same sum: one of the two is lost."), places)
            }
            Trouble::Back(later, earlier) => {
                let sentence = format!(
                    "{} was over before {} was invoked, and the sum went back.",
                    the(earlier),
                    the(later)
                );
                Fast::illegal(sentence, [place(later), place(earlier)].into_iter().flatten())
            }
            Trouble::Many(before, after) => {
                let ends = Between::many(jobs, sights, before, after);
                let between: Vec<u32> = ends.wholly(jobs);
                if ends.grown() >= between.len() as i128 {
                    return self.part.unexplained();
                }
                // One more than there is room for shows it.
                let shown = between.into_iter().take(ends.one_too_many());
                let shown: Vec<u32> = shown.map(|at| self.adds[at as usize]).collect();
                let made = made(shown.len(), "addition");
                let sentence = match (place(before), ends.grown() * size) {
                    (None, _) => format!("{made} before {}, more than it tells of.", the(after)),
                    (_, 0) => {
                        format!("{made} between {} and {}, and the sum stayed.", the(before), the(after))
                    }
                    (_, sum) => format!(
                        "{made} between {} and {}, and the sum changed by {sum} only.",
                        the(before),
                        the(after)
                    ),
                };
                Fast::illegal(sentence, shown.into_iter().chain(place(before)).chain(place(after)))
            }
            Trouble::Few(before, after) => {
                let ends = Between::few(jobs, sights, before, after);
                let possible = ends.possibly(jobs);
                if ends.grown() <= possible.len() as i128 {
                    return self.part.unexplained();
                }
                let (sum, to) = (ends.grown() * size, the(after));
                let sentence = match place(before) {
                    Some(_) => format!(
                        "From {} to {to} the sum changed by {sum}, but {}.",
                        the(before),
                        can(possible.len(), "addition")
                    ),
                    None => format!("{to} cannot be: {}.", invoked(possible.len(), "addition")),
                };
                let shown = possible.into_iter().map(|at| self.adds[at as usize]);
                Fault::new(sentence, place(before).into_iter().chain(place(after)))
                    .with_few(shown.filter(|_| place(before).is_some()))
                    .into()
            }
        }
    }

    /// Every addition tells its sum, and all have one sign: the sums are the order.
    fn by_sums(&self, sign: i128) -> Result<Vec<u32>, Fast> {
        // What never answered tells nothing, so all of these did.
        let mut adds = self.adds.clone();
        adds.sort_unstable_by_key(|&place| self.saw(place) * sign);
        let mut sum = self.first;
        let mut before: Option<u32> = None;
        for &place in &adds {
            let found = self.saw(place) - size(self.part.item(place));
            if found != sum {
                let the = self.part.the(place);
                let sentence = match before {
                    Some(before) => format!(
                        "{the} found {found}, but the sum next to its own is that made by {}.",
                        self.part.the(before)
                    ),
                    None => format!("{the} found {found}, but the counter began with {sum}."),
                };
                return Err(Fast::illegal(sentence, before.into_iter().chain([place])));
            }
            sum = self.saw(place);
            before = Some(place);
        }
        let mut order: Vec<u32> = adds.iter().chain(&self.sights).copied().collect();
        order.sort_by_key(|&place| {
            let item = self.part.item(place);
            (self.saw(place) * sign, size(item) == 0, item.invoke_ns)
        });
        let mut sum = self.first;
        for &place in &order {
            if size(self.part.item(place)) != 0 {
                sum = self.saw(place);
            } else if self.saw(place) != sum {
                let sentence = format!("{} cannot be: no addition made that sum.", self.part.the(place));
                return Err(Fast::illegal(sentence, [place]));
            }
        }
        match reversed(&self.part.items, &order) {
            None => Ok(order),
            Some((earlier, later)) => {
                let (a, b) = (self.part.the(earlier), self.part.the(later));
                Err(Fast::illegal(
                    format!("{b} was over before {a} was invoked, and the sum went back."),
                    [earlier, later],
                ))
            }
        }
    }
}
