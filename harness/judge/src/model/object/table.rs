//! Table: one status of several, in the user's own words. What an operation may do, and where it leads, is a table.
//!
//! A *place* is a status, or absence. Where an operation leads back to the status before, a place has a *state* for each
//! status that it can be entered from; elsewhere a place has one. Everything that judges knows states only.

use rustc_hash::FxHashMap;

use super::{Fails, Item, Names, Sequential};
use crate::history::object::{Call, Cause, Value};
use crate::model::rules;
pub use crate::model::rules::Otherwise;

/// How many statuses a table may have.
pub const STATUSES_MAX: usize = 250;
/// How many operations a table may have.
pub const OPERATIONS_MAX: usize = 1000;
/// How absence is spelled.
pub const ABSENT: &str = "absent";

/// A status by its number from 1, or 0: absent.
pub type Place = u8;

/// Where an operation leads.
pub type Target = rules::Target<Place>;

/// One row of the table: from where an operation is permitted, where it leads, and what it gets elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As histories spell it.
    pub name: String,
    /// Where it is permitted.
    pub from: Vec<Place>,
    /// Where it leads from there.
    pub to: Target,
    /// Where it leads instead, if it tells that status.
    pub or: Option<Place>,
    /// Where it succeeds as well, and changes nothing.
    pub idle: Vec<Place>,
    /// What it gets elsewhere.
    pub otherwise: Otherwise,
    /// Whether it may fail.
    pub fails: Fails,
    /// How long it may take, in nanoseconds. `None`: as long as it likes.
    pub within_ns: Option<u64>,
}

impl Rule {
    /// Where it leads from a place; `None`: it is not permitted there.
    fn leads(&self, from: Place) -> Option<Target> {
        let is_idle = self.idle.contains(&from).then_some(Target::Same);
        self.from.contains(&from).then_some(self.to).or(is_idle)
    }

    /// Where it leads instead if it tells that status. Where it is idle it changes nothing, whatever it tells.
    fn leads_else(&self, from: Place) -> Option<Place> {
        self.or.filter(|_| self.from.contains(&from))
    }

    /// Whether it may lead to either of two places, and only tells which by its status.
    fn has_a_choice(&self) -> bool {
        self.or.is_some() && self.to != Target::Same
    }
}

/// A place, and which one it was entered from where that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    place: Place,
    before: Option<Place>,
}

/// Operations that do not fit together: which, by its number, and why.
pub type Unsound = (Option<usize>, String);

/// A whole table, and the states that follow from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    statuses: Vec<String>,
    initial: Place,
    operations: Vec<Rule>,
    states: Vec<State>,
    /// For each operation and state, the state that it leads to; [`ILLEGAL`]: it is not permitted.
    after: Vec<Vec<u16>>,
    /// The same for `or`.
    after_or: Vec<Vec<u16>>,
    numbers: FxHashMap<String, u16>,
}

/// In a row: the operation is not permitted in this state.
const ILLEGAL: u16 = u16::MAX;

impl Rules {
    /// A table of these statuses and operations, if they fit together.
    pub fn of(statuses: Vec<String>, initial: Place, operations: Vec<Rule>) -> Result<Self, Unsound> {
        assert!(
            statuses.len() <= STATUSES_MAX && operations.len() <= OPERATIONS_MAX,
            "whoever reads it counts"
        );
        let numbers = (0..).zip(&operations).map(|(number, rule)| (rule.name.clone(), number)).collect();
        let mut rules = Self {
            statuses,
            initial,
            operations,
            states: Vec::new(),
            after: Vec::new(),
            after_or: Vec::new(),
            numbers,
        };
        rules.make_states()?;
        if rules.states_of(initial).count() != 1 {
            let found = rules.spelled(initial);
            return Err((
                None,
                format!("initial: expected a status entered from one other only, found {found}"),
            ));
        }
        let all = 0..rules.states.len();
        let of = |rule: &Rule| {
            let leads = |from: usize| {
                let was = rules.states[from];
                match rule.leads(was.place) {
                    None => ILLEGAL,
                    Some(Target::Same) => from as u16,
                    Some(Target::Place(place)) => rules.enter(from, place),
                    Some(Target::Remembered) => {
                        rules.enter(from, was.before.expect("what is remembered has a status before"))
                    }
                }
            };
            let leads_else = |from: usize| {
                rule.leads_else(rules.states[from].place).map_or(ILLEGAL, |or| rules.enter(from, or))
            };
            (all.clone().map(leads).collect(), all.clone().map(leads_else).collect())
        };
        (rules.after, rules.after_or) = rules.operations.iter().map(of).unzip();
        Ok(rules)
    }

    /// The statuses that some operation leads back from.
    fn remembers(&self, place: Place) -> bool {
        self.operations.iter().any(|rule| rule.to == Target::Remembered && rule.from.contains(&place))
    }

    fn make_states(&mut self) -> Result<(), Unsound> {
        self.states.push(State { place: 0, before: None });
        for place in 1..=self.statuses.len() as Place {
            if !self.remembers(place) {
                self.states.push(State { place, before: None });
                continue;
            }
            let mut entered = Vec::new();
            for (number, rule) in self.operations.iter().enumerate() {
                if rule.to != Target::Place(place) && rule.or != Some(place) {
                    continue;
                }
                for &from in rule.from.iter().filter(|&&from| from != place) {
                    if from == 0 || self.remembers(from) {
                        let why = match from {
                            0 => "nothing can be remembered of what is absent",
                            _ => "only one status before is remembered",
                        };
                        let (from, place) = (self.spelled(from), self.spelled(place));
                        let why = format!(
                            "{} leads from {from} to {place}, which remembers the status before: {why}",
                            rule.name
                        );
                        return Err((Some(number), why));
                    }
                    entered.push(from);
                }
            }
            entered.sort_unstable();
            entered.dedup();
            self.states.extend(entered.into_iter().map(|before| State { place, before: Some(before) }));
        }
        Ok(())
    }

    /// The state that is entered from a state.
    fn enter(&self, from: usize, place: Place) -> u16 {
        let was = self.states[from];
        if was.place == place {
            return from as u16;
        }
        let fits = |state: &State| {
            state.place == place && (state.before.is_none() || state.before == Some(was.place))
        };
        self.states.iter().position(fits).expect("every place that is entered has a state for it") as u16
    }

    /// How many states there are.
    #[must_use]
    pub fn states(&self) -> u16 {
        self.states.len() as u16
    }

    /// The states of a place: several where it remembers what was before.
    pub fn states_of(&self, place: Place) -> impl Iterator<Item = u16> + '_ {
        (0..).zip(&self.states).filter(move |(_, state)| state.place == place).map(|(number, _)| number)
    }

    /// Where an object is at first, if its history does not say.
    #[must_use]
    pub fn initial(&self) -> Place {
        self.initial
    }

    /// The operation of this number.
    #[must_use]
    pub fn operation(&self, number: u16) -> Option<&Rule> {
        self.operations.get(number as usize)
    }

    /// All operations, by number.
    #[must_use]
    pub fn operations(&self) -> &[Rule] {
        &self.operations
    }

    /// The number of the operation of this name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u16> {
        self.numbers.get(name).copied()
    }

    /// All statuses in the order in which the model lists them, without absence.
    #[must_use]
    pub fn statuses(&self) -> &[String] {
        &self.statuses
    }

    /// The place of this name.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<Place> {
        if name == ABSENT {
            return Some(0);
        }
        let at = self.statuses.iter().position(|status| status == name)?;
        Place::try_from(at + 1).ok()
    }

    /// How a place is spelled.
    #[must_use]
    pub fn spelled(&self, place: Place) -> &str {
        match place {
            0 => ABSENT,
            _ => self.statuses.get(place as usize - 1).map_or("?", String::as_str),
        }
    }

    /// The operation that a call is of.
    #[must_use]
    pub fn rule_of(&self, call: &Call) -> Option<&Rule> {
        self.operation(number(call.value)?)
    }

    /// Whether some operation of unknown outcome may have led to either of two states.
    pub(crate) fn leaves_open(&self, items: &[Item]) -> bool {
        let rule = |item: &Item| self.operation(number(item.value)?);
        items.iter().any(|item| !item.answered && rule(item).is_some_and(Rule::has_a_choice))
    }

    /// What an operation makes of a state; `None`: it cannot have ended so.
    fn step(&self, state: u16, item: &Item, took: Option<Value>) -> Option<u16> {
        let at = number(item.value)?;
        let rule = self.operation(at)?;
        let place = self.states[state as usize].place;
        let after = self.after[at as usize][state as usize];
        let saw = number(item.saw);
        if item.refused {
            let holds = match (place, rule.otherwise) {
                (0, _) => item.refused_for(&[Cause::Absent]),
                (_, Otherwise::Exists) => item.refused_for(&[Cause::Exists]),
                (_, Otherwise::Status) => item.refused_for(&[Cause::Status]),
                (_, Otherwise::Waits) => false,
            };
            let is_so = after == ILLEGAL && holds && saw.is_none_or(|saw| saw == u16::from(place));
            return is_so.then_some(state);
        }
        if after == ILLEGAL {
            return None;
        }
        if rule.leads_else(place).is_some_and(|or| saw.or(number(took)) == Some(or.into())) {
            return Some(self.after_or[at as usize][state as usize]);
        }
        let left = self.states[after as usize].place;
        // What a removal tells is what it removed.
        let is_removal = place != 0 && left == 0;
        (is_removal || saw.is_none_or(|saw| saw == u16::from(left))).then_some(after)
    }
}

/// The number that a value is.
fn number(value: Option<Value>) -> Option<u16> {
    u16::try_from(value?.as_whole()?).ok()
}

/// A table that begins in a state.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// Its statuses and operations.
    pub rules: &'a Rules,
    /// The first state.
    pub first: u16,
}

impl Table<'_> {
    /// What an operation makes of each state, where these fit a row of the search for tables of few states. One of unknown
    /// outcome has a row of what it changes.
    pub(crate) fn row<const N: usize>(&self, item: &Item) -> [u8; N] {
        let mut row = [u8::MAX; N];
        for (state, slot) in (0..self.rules.states()).zip(&mut row) {
            let after = self.rules.step(state, item, self.told(item));
            if let Some(after) = after.filter(|&after| item.must || after != state) {
                *slot = after as u8;
            }
        }
        row
    }

    /// Where what never answered leads if it leads to what it would have told.
    fn told(&self, item: &Item) -> Option<Value> {
        let rule = self.rules.operation(number(item.value)?)?;
        let or = rule.or.filter(|_| !item.answered)?;
        Value::whole(or.into())
    }
}

impl Sequential for Table<'_> {
    type State = u16;

    fn first(&self) -> u16 {
        self.first
    }

    fn step(&self, state: &mut u16, item: &Item, took: Option<Value>) -> bool {
        let after = self.rules.step(*state, item, took);
        *state = after.unwrap_or(*state);
        after.is_some()
    }

    fn choices(&self, _: &u16, item: &Item) -> Vec<Option<Value>> {
        match self.told(item) {
            None => vec![None],
            told => vec![None, told],
        }
    }

    fn shown(&self, state: &u16, _: &dyn Names) -> String {
        let state = self.rules.states[*state as usize];
        let place = self.rules.spelled(state.place);
        match state.before {
            Some(before) => format!("it {place} (from {})", self.rules.spelled(before)),
            None => format!("it {place}"),
        }
    }

    fn says(&self, item: &Item) -> bool {
        (0..self.rules.states()).any(|state| self.rules.step(state, item, None).is_none())
    }

    fn looks(&self, item: &Item) -> bool {
        let Some(rule) = number(item.value).and_then(|number| self.rules.operation(number)) else {
            return true;
        };
        let may_lead_else = rule.or.is_some_and(|or| !item.answered || number(item.saw) == Some(or.into()));
        item.refused || (rule.to == Target::Same && !may_lead_else)
    }

    fn beginnings(&self, _: &[Item]) -> Option<Vec<Self>> {
        let states = self.rules.states();
        let is_few = states as usize <= super::BEGINNINGS_MAX;
        is_few.then(|| (0..states).map(|first| Self { first, ..*self }).collect())
    }
}

#[cfg(test)]
mod tests {
    use flockwork::Status;

    use super::*;
    use crate::history::object::Op;
    use crate::history::{Outcome, Reason};
    use crate::model::object::parse;
    use crate::model::table::Row;
    use crate::model::{self, Seen};

    /// The example of the documentation, as a table of containers and as one in words of one's own, says the same of all
    /// that can be told.
    #[test]
    fn the_same_words_mean_the_same_in_both_kinds_of_table() {
        let text = model::document::EXAMPLE;
        let containers = model::parse("example.toml", text.to_owned()).expect("a model");
        let own = parse("example.toml", format!("kind = \"table\"\n{text}")).expect("a model");
        let rules = own.rules.as_deref().expect("a table");
        assert_eq!(rules.states() as usize, containers.table().states().len());
        let table = Table { rules, first: 0 };
        let mut compared = 0;
        for rule in &containers.rules().rules {
            let operation = rules.number(rule.operation.as_str()).expect("the same operations");
            for outcome in [Outcome::Ok, Outcome::Refused, Outcome::Unknown] {
                for (reason, cause) in [
                    (None, None),
                    (Some(Reason::Exists), Some(Cause::Exists)),
                    (Some(Reason::Absent), Some(Cause::Absent)),
                    (Some(Reason::Status), Some(Cause::Status)),
                ] {
                    for status in std::iter::once(None).chain(Status::ALL.iter().copied().map(Some)) {
                        let is_told = outcome != Outcome::Unknown || status.is_none();
                        if !is_told || (reason.is_some() && outcome != Outcome::Refused) {
                            continue;
                        }
                        let mut call = Call::new(0, 0, Op::Act, 0, 1, outcome);
                        let place = status.and_then(|status| rules.place(status.as_str()));
                        (call.value, call.cause) = (Value::whole(operation.into()), cause);
                        call.saw = place.and_then(|place| Value::whole(place.into()));
                        let row: Row = table.row(&Item::of(0, &call).expect("it did not fail"));
                        let seen = Seen { operation: rule.operation, outcome, reason, status };
                        assert_eq!(&row, containers.table().row(seen), "{seen:?}");
                        compared += 1;
                    }
                }
            }
        }
        assert!(compared > 200, "{compared}");
    }

    /// Where an operation is idle it changes nothing, though it tells the status of `or`.
    #[test]
    fn an_idle_operation_leads_nowhere_else() {
        for back in ["", "back = { from = \"shut\", to = \"remembered\" }\n"] {
            let text = format!(
                "kind = \"table\"\nstatuses = [\"open\", \"shut\", \"new\"]\n[operations]\n\
                 make = {{ from = \"absent\", to = \"new\" }}\n\
                 poke = {{ from = \"open\", to = \"same\", or = \"shut\", idle = [\"new\", \"absent\"] }}\n{back}"
            );
            let model = parse("own.toml", text).expect("a model");
            let rules = model.rules.as_deref().expect("a table");
            let state = |name: &str| {
                rules.states_of(rules.place(name).expect("it has it")).next().expect("one state")
            };
            let poked = &rules.after_or[rules.number("poke").expect("it has it") as usize];
            let expected = [("absent", ILLEGAL), ("new", ILLEGAL), ("open", state("shut"))];
            for (from, to) in expected {
                assert_eq!(poked[state(from) as usize], to, "{from} {back}");
            }
        }
    }
}
