//! Logs: the longest list that was read tells the order of what is in it, told positions that of the rest, and what
//! nobody tells takes any [slot](super::slots) that is left.
//!
//! A value that was appended twice without being told where stands in two places of which nobody says whose is which;
//! there the search decides.

use rustc_hash::FxHashMap;

use super::between::{Between, can, invoked, made};
use super::certificate::Sequence;
use super::order::insert_free;
use super::slots::{self, Job, Sight, Source, Trouble};
use super::{Fast, Fault, Part};
use crate::history::object::{Op, Value};

struct Log<'a> {
    part: &'a Part<'a>,
    /// Appends, and reads that tell, as places.
    appends: Vec<u32>,
    reads: Vec<u32>,
    free: Vec<u32>,
    /// The longest list that was read, and who read it.
    longest: &'a [Value],
    reader: Option<u32>,
}

pub(super) fn decide(part: &Part<'_>) -> Fast {
    let mut log = Log {
        part,
        appends: Vec::new(),
        reads: Vec::new(),
        free: Vec::new(),
        longest: &part.first_list,
        reader: None,
    };
    for (place, item) in (0..).zip(&part.items) {
        match (item.op, item.saw) {
            (Op::Append, _) => log.appends.push(place),
            (_, Some(_)) if item.must => log.reads.push(place),
            (_, None) if item.must => log.free.push(place),
            _ => {}
        }
    }
    match log.compare().and_then(|()| log.jobs()).and_then(|jobs| log.order(&jobs)) {
        Ok(order) => Fast::Legal(Sequence::of(insert_free(&part.items, order, log.free))),
        Err(fast) => fast,
    }
}

impl<'a> Log<'a> {
    fn list(&self, place: u32) -> &'a [Value] {
        self.part.item(place).saw.map_or(&[], |saw| self.part.history.values.items(saw))
    }

    /// Of any two lists one begins with the other.
    fn compare(&mut self) -> Result<(), Fast> {
        for &place in &self.reads {
            let list = self.list(place);
            if list.len() > self.longest.len() {
                (self.longest, self.reader) = (list, Some(place));
            }
        }
        let first = self.part.first_list.len();
        for &place in &self.reads {
            let list = self.list(place);
            if list.len() < first {
                let begin = crate::words::plural(first as u64, "value");
                return Err(Fast::illegal(
                    format!("{} cannot be: the log began with {begin}.", self.part.the(place)),
                    [place],
                ));
            }
            let differs = |other: &[Value]| list.iter().zip(other).position(|(one, other)| one != other);
            let shown = |list: &[Value], at: usize| self.part.teller.value(list[at]);
            let the = self.part.the(place);
            if let Some(at) = differs(&self.part.first_list) {
                let (value, first) = (shown(list, at), shown(&self.part.first_list, at));
                let sentence =
                    format!("{the} has {value} at position {at}, where the log began with {first}.");
                return Err(Fast::illegal(sentence, [place]));
            }
            // The first list is the longest, or begins as the longest does.
            if let (Some(reader), Some(at)) = (self.reader, differs(self.longest)) {
                let (value, other) = (shown(list, at), shown(self.longest, at));
                let sentence = format!(
                    "{the} and {} differ at position {at}: {value} and {other}.",
                    self.part.the(reader)
                );
                return Err(Fast::illegal(sentence, [reader, place]));
            }
        }
        Ok(())
    }

    /// What each append may take.
    fn jobs(&self) -> Result<Vec<Job>, Fast> {
        let first = self.part.first_list.len();
        let mut fixed: Vec<Option<u32>> = vec![None; self.appends.len()];
        // Who has which position of the longest list.
        let mut owners: Vec<Option<u32>> = vec![None; self.longest.len()];
        let mut untold: FxHashMap<Value, (u32, u32)> = FxHashMap::default();
        for (at, &place) in (0..).zip(&self.appends) {
            let item = self.part.item(place);
            if let Some(told) = item.saw.and_then(Value::as_whole).filter(|_| item.must) {
                fixed[at as usize] = Some(self.told(at, place, told, &mut owners)?);
            } else {
                let Some(value) = item.value else { return Err(Fast::Unfit) };
                untold.entry(value).or_insert((at, 0)).1 += 1;
            }
        }
        let mut counts: FxHashMap<Value, u32> = FxHashMap::default();
        let free = (first..).zip(&owners[first..]).filter(|(_, owner)| owner.is_none());
        for (position, _) in free {
            let value = self.longest[position];
            *counts.entry(value).or_default() += 1;
            match untold.get(&value) {
                None => return Err(self.unowned(position, 0)),
                Some(&(at, 1)) => fixed[at as usize] = Some((position - first) as u32),
                Some(_) => return Err(Fast::Unfit),
            }
            if counts[&value] > 1 {
                return Err(self.unowned(position, 1));
            }
        }
        let job = |(at, &place): (usize, &u32)| {
            let item = self.part.item(place);
            // Whose value was read has acted, whatever became of it.
            let must = item.must || fixed[at].is_some();
            Job { from_ns: item.invoke_ns, until_ns: item.deadline_ns, must, fixed: fixed[at] }
        };
        Ok(self.appends.iter().enumerate().map(job).collect())
    }

    /// The slot of an append that tells its position.
    fn told(&self, at: u32, place: u32, told: i64, owners: &mut [Option<u32>]) -> Result<u32, Fast> {
        let first = self.part.first_list.len();
        let the = || self.part.the(place);
        let Some(slot) = usize::try_from(told).ok().and_then(|told| told.checked_sub(first)) else {
            let begin = crate::words::plural(first as u64, "value");
            return Err(Fast::illegal(format!("{} cannot be: the log began with {begin}.", the()), [place]));
        };
        if slot >= self.appends.len() {
            let all = match self.appends.len() {
                1 => "there was no other append".to_owned(),
                count => format!("there were only {count} appends"),
            };
            return Err(Fast::illegal(format!("{} cannot be: {all}.", the()), [place]));
        }
        if let Some(owner) = owners.get_mut(slot + first) {
            if let Some(other) = owner.replace(at) {
                let other = self.appends[other as usize];
                return Err(Fast::illegal(
                    format!("{} and {} cannot both be.", self.part.the(other), the()),
                    [other, place],
                ));
            }
            let value = self.longest[slot + first];
            if self.part.item(place).value != Some(value) {
                let reader = self.reader.map_or_else(String::new, |reader| self.part.the(reader));
                let sentence =
                    format!("{} cannot be: {reader} found {} there.", the(), self.part.teller.value(value));
                return Err(Fast::illegal(sentence, self.reader.into_iter().chain([place])));
            }
        }
        Ok(slot as u32)
    }

    /// A position of the longest list that nobody can have written.
    fn unowned(&self, position: usize, appended: u32) -> Fast {
        let value = self.longest[position];
        let shown = self.part.teller.value(value);
        // The shortest list shows it best.
        let readers = self.reads.iter().filter(|&&place| self.list(place).len() > position);
        let reader = readers.min_by_key(|&&place| self.list(place).len()).copied();
        let the = reader.map_or_else(String::new, |reader| self.part.the(reader));
        let sentence = match appended {
            0 => {
                let is_told = |place: &&u32| self.part.item(**place).value == Some(value);
                match self.appends.iter().find(is_told) {
                    Some(_) => format!(
                        "{the} has {shown} at position {position}, where no append of it can have put it."
                    ),
                    None => format!("{the} has {shown} at position {position}, which nobody appended."),
                }
            }
            _ => format!(
                "{the} has {shown} once more at position {position}, more often than it was appended."
            ),
        };
        Fast::illegal(sentence, reader)
    }

    fn order(&self, jobs: &[Job]) -> Result<Vec<u32>, Fast> {
        let first = self.part.first_list.len();
        let sight = |&place: &u32| {
            let item = self.part.item(place);
            let count = (self.list(place).len() - first) as u32;
            Sight { count, from_ns: item.invoke_ns, until_ns: item.deadline_ns }
        };
        let sights: Vec<Sight> = self.reads.iter().map(sight).collect();
        let order = slots::order(jobs, &sights).map_err(|trouble| self.trouble(jobs, &sights, trouble))?;
        let mut readers: Vec<u32> = (0..sights.len() as u32).collect();
        readers.sort_unstable_by_key(|&at| (sights[at as usize].count, sights[at as usize].from_ns));
        let mut readers = readers.into_iter().peekable();
        let mut whole = Vec::with_capacity(order.len() + sights.len());
        for count in 0..=order.len() {
            while let Some(at) = readers.next_if(|&at| sights[at as usize].count as usize == count) {
                whole.push(self.reads[at as usize]);
            }
            whole.extend(order.get(count).map(|&job| self.appends[job as usize]));
        }
        Ok(whole)
    }

    fn trouble(&self, jobs: &[Job], sights: &[Sight], trouble: Trouble) -> Fast {
        let place = |source: Source| match source {
            Source::None => None,
            Source::Sight(at) => Some(self.reads[at as usize]),
            Source::Job(at) => Some(self.appends[at as usize]),
        };
        let the =
            |source: Source| place(source).map_or("the beginning".to_owned(), |place| self.part.the(place));
        // What does not tell where it stands stands where the longest list has it; it has acted, whether it must or not.
        let is_listed = |source: Source| {
            place(source).is_some_and(|place| {
                let item = self.part.item(place);
                item.op == Op::Append && (item.saw.is_none() || !item.must)
            })
        };
        let fault = |sentence: String, ends: [Source; 2]| {
            let (listed, told): (Vec<Source>, Vec<Source>) =
                ends.into_iter().partition(|&end| is_listed(end));
            let reader = self.reader.filter(|_| !listed.is_empty());
            let needed = told.into_iter().filter_map(place).chain(reader);
            Fault::new(sentence, needed).with_possible(listed.into_iter().filter_map(place))
        };
        match trouble {
            Trouble::Same(a, b) => {
                let places = [a, b].map(|at| self.appends[at as usize]);
                let [a, b] = places.map(|place| self.part.the(place));
                Fast::illegal(format!("{a} and {b} cannot both be."), places)
            }
            Trouble::Back(later, earlier) => {
                let what = match (earlier, later) {
                    (Source::Job(_), Source::Job(_)) => "but its value stands after the other's",
                    (Source::Job(_), _) => "which does not have it",
                    (_, Source::Job(_)) => "but saw its value",
                    _ => "but saw more",
                };
                let sentence =
                    format!("{} was over before {} was invoked, {what}.", the(earlier), the(later));
                match (earlier, later) {
                    // A list that lacks what was over before it needs no other to be wrong.
                    (Source::Job(_), Source::Sight(_)) => {
                        Fast::illegal(sentence, [later, earlier].into_iter().filter_map(place))
                    }
                    // Who saw the value of what came too late.
                    (Source::Sight(_), Source::Job(_)) => {
                        Fault::new(sentence, place(earlier)).with_possible(place(later)).into()
                    }
                    _ => fault(sentence, [later, earlier]).into(),
                }
            }
            Trouble::Many(before, after) => {
                let ends = Between::many(jobs, sights, before, after);
                let between = ends.wholly(jobs);
                if ends.grown() >= between.len() as i128 {
                    return self.part.unexplained();
                }
                // One more than there is room for shows it.
                let between = between.into_iter().take(ends.one_too_many());
                let between: Vec<u32> = between.map(|at| self.appends[at as usize]).collect();
                let made = made(between.len(), "append");
                let sentence = match place(before) {
                    None => format!("{made} before {}, more than it has.", the(after)),
                    Some(_) => format!(
                        "{made} between {} and {}, and the log grew by {} only.",
                        the(before),
                        the(after),
                        ends.grown()
                    ),
                };
                let mut fault = fault(sentence, [before, after]);
                fault.places.extend(between);
                fault.into()
            }
            Trouble::Few(before, after) => {
                let ends = Between::few(jobs, sights, before, after);
                let possible = ends.possibly(jobs);
                if ends.grown() <= possible.len() as i128 {
                    return self.part.unexplained();
                }
                let sentence = match place(before) {
                    None => format!("{} cannot be: {}.", the(after), invoked(possible.len(), "append")),
                    Some(_) => format!(
                        "From {} to {} the log grew by {}, but {}.",
                        the(before),
                        the(after),
                        ends.grown(),
                        can(possible.len(), "append")
                    ),
                };
                let shown = possible.into_iter().map(|at| self.appends[at as usize]);
                fault(sentence, [before, after]).with_few(shown.filter(|_| place(before).is_some())).into()
            }
        }
    }
}
