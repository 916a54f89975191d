//! Explanations name nothing that the proof does not need.
//!
//! An operation is *needed* where an order exists as soon as it need not have acted. What stands in an explanation without
//! a mark must be needed; together, with everything else in the history free to have acted or not, it must have no
//! order. What is marked may have acted or not, and must be able to make a difference: with others that are not needed it
//! explains all that are needed but one, and without it they do not; or it would explain them all, had it been made at
//! another time.

use std::collections::BTreeSet;

use flockwork_judge::check::search::Budget;
use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{Call, ObjectHistory};
use flockwork_judge::model::object::{Item, Kind, ObjectModel, QueueOrder};
use flockwork_judge::procedure::{Explanation, judge};
use flockwork_judge::verdict::Ruling;

use crate::generate::{Taste, generate};
use crate::oracle;
use crate::random::Random;

/// How many illegal histories a model are looked at: some in each run, and at length.
const SOME: u64 = 150;
const MANY: u64 = 5_000;

/// What is taken of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has acted.
    Must,
    /// It has acted or not.
    May,
    /// It has acted, and nobody knows when.
    MustAtAnyTime,
    /// It has not acted.
    Not,
}

/// One object of a history, and what is said to have no order.
struct Case<'a> {
    history: &'a ObjectHistory,
    model: &'a ObjectModel,
    object: u32,
    explanation: &'a Explanation,
}

impl Case<'_> {
    fn context(&self) -> String {
        let lines = self.explanation.calls.iter().map(|call| format!("{call}"));
        format!(
            "{}: {} {:?}\n{}",
            self.model.name,
            self.explanation.sentence,
            lines.collect::<Vec<_>>(),
            crate::told(self.history)
        )
    }

    fn is_legal(&self, fate: impl Fn(u32) -> Fate) -> bool {
        oracle::is_legal_by(self.history, self.model, self.object, |index, item| match fate(index) {
            Fate::Must => Some(Item { must: true, ..item }),
            Fate::May => Some(Item { must: false, ..item }),
            Fate::MustAtAnyTime => Some(Item { must: true, invoke_ns: 0, deadline_ns: Call::NEVER, ..item }),
            Fate::Not => None,
        })
    }

    /// The named operations that need not be there.
    fn superfluous(&self) -> BTreeSet<u32> {
        let Explanation { calls, possible, .. } = self.explanation;
        let answered = |call: u32| self.history.calls[call as usize].outcome != Outcome::Unknown;
        let needed = |call: u32| calls.contains(&call) && !possible.contains(&call) && answered(call);
        let rest = |call: u32| if needed(call) { Fate::Must } else { Fate::May };
        assert!(!self.is_legal(rest), "others can explain what is named: {}", self.context());
        let is_needed = |one: u32| self.is_legal(|call| if call == one { Fate::May } else { rest(call) });
        let is_possible = |one: u32| {
            calls.iter().filter(|&&call| needed(call)).any(|&without| {
                let rest = |call: u32| (needed(call) && call != without).then_some(Fate::Must);
                self.explains(one, without, &rest, [Fate::Must, Fate::Not])
            }) || {
                let rest = |call: u32| needed(call).then_some(Fate::Must);
                self.explains(one, u32::MAX, &rest, [Fate::MustAtAnyTime, Fate::Not])
            } || self.is_legal(|call| if call == one { Fate::MustAtAnyTime } else { rest(call) })
        };
        let is_superfluous = |&one: &u32| if needed(one) { !is_needed(one) } else { !is_possible(one) };
        calls.iter().copied().filter(is_superfluous).collect()
    }

    /// Whether it is in a smallest set of operations that explains the rest.
    fn explains(
        &self,
        one: u32,
        without: u32,
        rest: &dyn Fn(u32) -> Option<Fate>,
        [is_in, is_out]: [Fate; 2],
    ) -> bool {
        let acts = |call: u32| {
            let of_it = &self.history.calls[call as usize];
            of_it.object == self.object && of_it.outcome != Outcome::Failed
        };
        let all = 0..self.history.calls.len() as u32;
        let others: Vec<u32> = all
            .filter(|&call| acts(call) && rest(call).is_none() && call != one && call != without)
            .collect();
        (0_u32..1 << others.len()).any(|set| {
            let chosen = |call: u32| match others.iter().position(|&other| other == call) {
                Some(at) if set & (1 << at) != 0 => is_in,
                _ => is_out,
            };
            let fate = |call: u32| rest(call).unwrap_or_else(|| chosen(call));
            self.is_legal(|call| if call == one { is_in } else { fate(call) }) && !self.is_legal(fate)
        })
    }
}

/// Looks at so many illegal histories.
fn look(model: &ObjectModel, taste: Taste, wanted: u64, seed: u64) {
    let (mut looked_at, mut superfluous, mut named, mut number) = (0, 0, 0, 0);
    let mut first = None;
    while looked_at < wanted {
        let mut random = Random::new(seed.wrapping_mul(0x51_7cc1) + number);
        number += 1;
        let history = generate(model, taste, &mut random);
        for (object, ruling, _) in judge(&history, model, Budget::default()) {
            let Ruling::Illegal(explanation) = &ruling else { continue };
            let case = Case { history: &history, model, object, explanation };
            looked_at += 1;
            named += explanation.calls.len();
            let unneeded = case.superfluous();
            if !unneeded.is_empty() {
                superfluous += 1;
                _ = first.get_or_insert_with(|| format!("{unneeded:?} of {}", case.context()));
            }
        }
    }
    println!("{} {taste:?}: {superfluous} of {looked_at} name too much, {named} named", model.name);
    assert_eq!(superfluous, 0, "of {looked_at} explanations; the first: {}", first.unwrap_or_default());
}

fn models() -> Vec<ObjectModel> {
    let lease = ObjectModel { name: "lease".into(), lease_ns: Some(4), ..ObjectModel::of(Kind::Lock) };
    let bag = ObjectModel { name: "bag".into(), order: QueueOrder::Any, ..ObjectModel::of(Kind::Queue) };
    Kind::whole().into_iter().map(ObjectModel::of).chain([lease, bag, crate::door(), crate::dial()]).collect()
}

fn look_at(name: &str, wanted: u64) {
    let model = models().into_iter().find(|model| model.name == name).expect("a model");
    look(&model, Taste::Unique, wanted, 1);
    look(&model, Taste::Wild, wanted, 2);
}

macro_rules! minimal {
    ($($name:ident),*) => {
        mod some {
            $(#[test] fn $name() { super::look_at(stringify!($name), super::SOME); })*
        }
        mod many {
            $(#[test] #[ignore = "some minutes"] fn $name() { super::look_at(stringify!($name), super::MANY); })*
        }
    };
}

minimal!(register, counter, set, log, lock, lease, queue, bag, door, dial);

#[test]
fn every_model_is_looked_at() {
    assert_eq!(models().len(), Kind::whole().len() + 4);
}
