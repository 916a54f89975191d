//! From push to pop: the life of each value.

use rayon::slice::ParallelSliceMut;

use super::SHARED_MIN;
use crate::history::object::{Op, Value};
use crate::model::object::QueueOrder;
use crate::procedure::{Fast, Fault, Part};

/// A value in the queue. Instants are those of [`Lives::at`]; an end that never comes is `u64::MAX`.
#[derive(Clone, Debug)]
pub struct Life {
    pub value: Value,
    /// Who pushed it; `None`: it was there at first.
    pub push: Option<u32>,
    /// Who popped it, if anybody did.
    pub pop: Option<u32>,
    pub push_from: u64,
    pub push_until: u64,
    pub pop_from: u64,
    pub pop_until: u64,
    /// Whether the pop does not tell that it was this value.
    pub is_guessed: bool,
}

/// What became of every value of a queue: who pushed it, and who popped it.
#[derive(Debug, Default)]
pub struct Lives {
    pub all: Vec<Life>,
    /// Pops that found nothing.
    pub empties: Vec<u32>,
    /// Whether somebody else's push or pop may be that of a value: then a contradiction proves nothing.
    pub is_guess: bool,
    /// How many values there were at first: they were pushed one after the other before all time.
    first: u64,
}

impl Lives {
    /// A time of the history as an instant.
    pub fn at(&self, ns: u64) -> u64 {
        ns.saturating_add(self.first)
    }
}

/// What was done with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Touch {
    /// It was there at first.
    First,
    /// It was pushed.
    Push,
    /// It was pushed, or not: nobody answered.
    MaybePush,
    /// It was popped.
    Pop,
}

/// A value, what was done with it, and the place of the operation; of a first value its number among them.
type Touched = (Value, Touch, u32);

/// Pushes and pops of one value, by places.
#[derive(Debug, Default)]
struct Ends {
    pushes: Vec<Option<u32>>,
    maybe_pushes: Vec<u32>,
    pops: Vec<u32>,
    /// Which of the first values these are.
    firsts: Vec<u64>,
}

/// The lives of all values, or why there are none.
pub(super) fn of(part: &Part<'_>) -> Result<Lives, Fast> {
    let mut builder = Builder {
        part,
        lives: Lives { first: part.first_list.len() as u64, ..Lives::default() },
        untold: Vec::new(),
        spare: Vec::new(),
    };
    let touched = builder.gather()?;
    builder.pair(&touched)?;
    builder.guess()?;
    for life in &mut builder.lives.all {
        if life.push_from > life.pop_until {
            if builder.lives.is_guess {
                return Err(Fast::Unfit);
            }
            let (Some(_), Some(pop)) = (life.push, life.pop) else { return Err(Fast::Unfit) };
            let value = part.teller.value(life.value);
            let sentence = format!("{} was over before {value} was pushed.", part.the(pop));
            return Err(Fast::illegal(sentence, [pop]));
        }
        life.push_until = life.push_until.min(life.pop_until);
        life.pop_from = life.pop_from.max(life.push_from);
    }
    Ok(builder.lives)
}

impl Ends {
    /// Begins anew with all that was done with one value.
    fn take(&mut self, touched: &[Touched]) {
        self.pushes.clear();
        self.maybe_pushes.clear();
        self.pops.clear();
        self.firsts.clear();
        for &(_, touch, place) in touched {
            match touch {
                Touch::First => {
                    self.pushes.push(None);
                    self.firsts.push(place.into());
                }
                Touch::Push => self.pushes.push(Some(place)),
                Touch::MaybePush => self.maybe_pushes.push(place),
                Touch::Pop => self.pops.push(place),
            }
        }
    }
}

struct Builder<'a> {
    part: &'a Part<'a>,
    lives: Lives,
    /// Pops that do not tell what they took: those that must have acted and the others.
    untold: Vec<u32>,
    /// Pushes that never answered, and that nobody needs so far.
    spare: Vec<u32>,
}

impl Builder<'_> {
    /// All that was done, value by value: what belongs to one value lies together, and a million values need no table.
    fn gather(&mut self) -> Result<Vec<Touched>, Fast> {
        let mut touched: Vec<Touched> =
            Vec::with_capacity(self.part.items.len() + self.part.first_list.len());
        let firsts = (0..).zip(&self.part.first_list);
        touched.extend(firsts.map(|(number, &value)| (value, Touch::First, number)));
        for (place, item) in (0..).zip(&self.part.items) {
            match (item.op, item.value, item.saw) {
                (Op::Push, Some(value), _) => {
                    let touch = if item.must { Touch::Push } else { Touch::MaybePush };
                    touched.push((value, touch, place));
                }
                (Op::Pop, ..) if item.refused => self.lives.empties.push(place),
                (Op::Pop, _, Some(value)) if item.must => touched.push((value, Touch::Pop, place)),
                (Op::Pop, ..) => self.untold.push(place),
                _ => return Err(Fast::Unfit),
            }
        }
        if touched.len() < SHARED_MIN {
            touched.sort_unstable();
        } else {
            touched.par_sort_unstable();
        }
        Ok(touched)
    }

    /// Pairs pushes and pops of each value, in the order of the values, so that the same history is always told the same.
    fn pair(&mut self, touched: &[Touched]) -> Result<(), Fast> {
        let part = self.part;
        let is_bag = part.model.order == QueueOrder::Any;
        let is_simple = is_bag && self.lives.empties.is_empty() && self.untold.is_empty();
        self.lives.all.reserve(touched.len() / 2);
        let mut of = Ends::default();
        for all_of_it in touched.chunk_by(|one, next| one.0 == next.0) {
            let value = all_of_it[0].0;
            of.take(all_of_it);
            let of = &mut of;
            let missing = of.pops.len().saturating_sub(of.pushes.len());
            if missing > of.maybe_pushes.len() {
                return Err(self.surplus(value, of));
            }
            let is_spare = !of.pops.is_empty() && missing < of.maybe_pushes.len();
            let is_choice = is_spare || of.pushes.len() + missing > 1;
            self.lives.is_guess |= is_choice && !(is_simple && of.maybe_pushes.is_empty());
            of.maybe_pushes.sort_unstable_by_key(|&place| part.item(place).invoke_ns);
            of.pushes.extend(of.maybe_pushes.drain(..missing).map(Some));
            self.spare.append(&mut of.maybe_pushes);
            of.pushes.sort_by_key(|push| push.map_or(0, |place| part.item(place).invoke_ns));
            of.pops.sort_unstable_by_key(|&place| part.item(place).deadline_ns);
            let mut pops = of.pops.iter();
            let mut firsts = of.firsts.iter();
            for &push in &of.pushes {
                let first = if push.is_none() { firsts.next().copied() } else { None };
                let life = self.life(value, push, first, pops.next().copied());
                self.lives.all.push(life);
            }
        }
        Ok(())
    }

    fn life(&self, value: Value, push: Option<u32>, first: Option<u64>, pop: Option<u32>) -> Life {
        let span = |place: u32| {
            let item = self.part.item(place);
            (self.lives.at(item.invoke_ns), self.lives.at(item.deadline_ns))
        };
        let (push_from, push_until) = push.map_or((first.unwrap_or(0), first.unwrap_or(0)), span);
        let (pop_from, pop_until) = pop.map_or((u64::MAX, u64::MAX), span);
        Life { value, push, pop, push_from, push_until, pop_from, pop_until, is_guessed: false }
    }

    fn surplus(&self, value: Value, of: &Ends) -> Fast {
        let shown = self.part.teller.value(value);
        let (pushes, pops) = (of.pushes.len() + of.maybe_pushes.len(), of.pops.len());
        let sentence = match pushes {
            0 => format!("{} cannot be: nobody pushed {shown}.", self.part.the(of.pops[0])),
            _ => format!(
                "{shown} was popped {pops} times, but there {} of it.",
                if pushes == 1 { "was only 1".to_owned() } else { format!("were only {pushes}") }
            ),
        };
        // One more than there were shows it.
        let pops = of.pops.iter().take(pushes + 1).copied();
        let pushes = of.pushes.iter().flatten().chain(&of.maybe_pushes).copied();
        Fault::new(sentence, pops).with_few(pushes).into()
    }

    /// Gives pops that do not tell what they took a value that somebody must have popped, and those that must have acted
    /// any value that is left.
    fn guess(&mut self) -> Result<(), Fast> {
        /// How many pairs are looked at.
        const PAIRS_MAX: usize = 50_000_000;
        if self.untold.is_empty() {
            return Ok(());
        }
        self.lives.is_guess = true;
        let part = self.part;
        let mut left: Vec<(u64, u32)> = self.due();
        if left.len().saturating_mul(self.untold.len()) > PAIRS_MAX {
            return Err(Fast::Unfit);
        }
        let mut untold = std::mem::take(&mut self.untold);
        untold.sort_unstable_by_key(|&place| (part.item(place).deadline_ns, part.item(place).invoke_ns));
        left.sort_unstable();
        for (due, at) in left {
            let must_have = untold.iter().any(|&place| part.item(place).must);
            if due == u64::MAX && !must_have {
                break;
            }
            let life = &self.lives.all[at as usize];
            let fits = |&place: &u32| {
                let item = part.item(place);
                let (from, until) = (self.lives.at(item.invoke_ns), self.lives.at(item.deadline_ns));
                (due != u64::MAX || item.must) && from <= due && until >= life.push_from
            };
            if let Some(found) = untold.iter().position(fits) {
                let place = untold.remove(found);
                let life = self.life(life.value, life.push, Some(life.push_from), Some(place));
                self.lives.all[at as usize] = Life { is_guessed: true, ..life };
            }
        }
        if untold.iter().any(|&place| part.item(place).must) { Err(Fast::Unfit) } else { Ok(()) }
    }

    /// The values that nobody popped, each with the instant by which somebody must have, if anybody.
    fn due(&self) -> Vec<(u64, u32)> {
        let all = &self.lives.all;
        // What is pushed after a value and popped needs it popped before; who finds nothing, too.
        let mut after: Vec<(u64, u64)> = Vec::new();
        if self.part.model.order == QueueOrder::Fifo {
            after.extend(all.iter().map(|life| (life.push_from, life.pop_until)));
        }
        after.extend(self.lives.empties.iter().map(|&place| {
            let item = self.part.item(place);
            (self.lives.at(item.invoke_ns), self.lives.at(item.deadline_ns))
        }));
        after.sort_unstable();
        let mut least = u64::MAX;
        for (_, until) in after.iter_mut().rev() {
            least = least.min(*until);
            *until = least;
        }
        let due = |life: &Life| {
            let at = after.partition_point(|&(from, _)| from <= life.push_until);
            after.get(at).map_or(u64::MAX, |&(_, until)| until)
        };
        let unpopped = (0..).zip(all).filter(|(_, life)| life.pop.is_none());
        unpopped.map(|(at, life)| (due(life), at)).collect()
    }
}
