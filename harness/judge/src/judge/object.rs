//! The judge of histories of objects: what is said of each, and what failed.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::check::search::Budget;
use crate::history::object::{Call, Cause, ObjectHistory};
use crate::history::{Clock, Outcome};
use crate::model::object::{Fails, ObjectModel};
use crate::procedure::{self, Explanation, ObjectRuling, Teller, Way};
use crate::share::both;
use crate::verdict::{self, Verdict};
use crate::violation::{Class, Violation};
use crate::words::units;

/// What is said of one object, and how it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectJudgement {
    /// The object, as the history calls it.
    pub object: String,
    /// How many operations it had.
    pub operations: u64,
    /// What is said; what is legal comes with the order that shows it.
    pub ruling: ObjectRuling,
    /// How it was found.
    pub way: Way,
    /// The operations that explain a violation, as lines.
    pub lines: Vec<String>,
}

impl ObjectJudgement {
    /// The verdict in one word; a violation is always `not-linearizable`.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.ruling.verdict()
    }

    /// The operations that explain a violation, for people: `?` marks those that may have acted or not, and a last line
    /// says so.
    #[must_use]
    pub fn marked(&self) -> Vec<String> {
        let Some(explanation) = self.ruling.illegal() else { return Vec::new() };
        let mark = |call: &u32| if explanation.possible.contains(call) { "? " } else { "" };
        let marked =
            explanation.calls.iter().zip(&self.lines).map(|(call, line)| mark(call).to_owned() + line);
        let legend = "? may have acted or not: there is no order either way".to_owned();
        marked.chain((!explanation.possible.is_empty()).then_some(legend)).collect()
    }

    /// Why, where it is not clean.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match &self.ruling {
            ObjectRuling::Legal(_) => None,
            ObjectRuling::Illegal(explanation) => Some(&explanation.sentence),
            ObjectRuling::Undecided(undecided) => Some(undecided.why()),
        }
    }
}

/// An explanation, and its operations in words.
#[derive(Serialize)]
struct Shown<'a> {
    sentence: &'a str,
    /// Indexes into the history's operations.
    window: &'a [u32],
    /// Those of them that may have acted or not.
    possible: &'a [u32],
    operations: &'a [String],
}

impl Serialize for ObjectJudgement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = |Explanation { sentence, calls, possible }: &Explanation| {
            serde_json::to_value(Shown { sentence, window: calls, possible, operations: &self.lines }).ok()
        };
        let mut fields = serializer.serialize_struct("ObjectJudgement", 7)?;
        fields.serialize_field("object", &self.object)?;
        fields.serialize_field("operations", &self.operations)?;
        fields.serialize_field("decided", &self.ruling.legal().map(|order| order.calls.len()))?;
        fields.serialize_field("verdict", &self.verdict())?;
        fields.serialize_field("tier", &self.way)?;
        fields.serialize_field("why", &self.why())?;
        fields.serialize_field("explanation", &self.ruling.illegal().and_then(shown))?;
        fields.end()
    }
}

/// The failed operations of a history of objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ObjectFailures {
    /// How many there are.
    pub count: u64,
    /// How many by reason.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// The first one, in words.
    pub first: Option<String>,
    /// What they break: data that was found corrupt, failures that the model does not permit, and answers later than it
    /// says; at most
    /// [`VIOLATIONS_MAX`](crate::check::VIOLATIONS_MAX), the earliest first.
    #[serde(skip)]
    pub violations: Vec<Violation>,
    /// How many there are, those that are not kept among them.
    #[serde(skip)]
    pub violations_total: u64,
}

impl ObjectFailures {
    fn of(history: &ObjectHistory, model: &ObjectModel, teller: &Teller<'_>) -> Self {
        let named = |index: u32| {
            let call = &history.calls[index as usize];
            format!("{}: {}", history.objects[call.object as usize], teller.line(index))
        };
        let is_timed = history.clock == Clock::Nanoseconds;
        let mut by_reason = BTreeMap::new();
        let mut failed: Vec<(u64, u32)> = Vec::new();
        let mut breaches: Vec<(u64, u32, Class, String)> = Vec::new();
        for (index, call) in (0..).zip(&history.calls) {
            let mut broke = None;
            if call.outcome == Outcome::Failed {
                failed.push((call.invoke_ns, index));
                *by_reason.entry(call.cause.map_or("other", Cause::as_str)).or_default() += 1;
                broke = broken(model, call);
            }
            let broke = broke.or_else(|| late(model, call).filter(|_| is_timed));
            breaches.extend(broke.map(|(class, why)| (call.invoke_ns, index, class, why)));
        }
        breaches.sort_by_key(|&(at_ns, index, ..)| (at_ns, index));
        let violations_total = breaches.len() as u64;
        let violation = |(_, index, class, why): (u64, u32, Class, String)| Violation {
            class,
            container: Some(history.calls[index as usize].object),
            message: format!("{} ({why})", named(index)),
            records: vec![index as usize],
        };
        Self {
            count: failed.len() as u64,
            by_reason,
            first: failed.iter().min().map(|&(_, index)| named(index)),
            violations: breaches.into_iter().take(crate::check::VIOLATIONS_MAX).map(violation).collect(),
            violations_total,
        }
    }

    /// What they say of the history. Without a violation that is nothing: failures verify nothing.
    #[must_use]
    pub fn ruling(&self) -> verdict::Ruling {
        if self.violations.is_empty() {
            verdict::Ruling::nothing("failures verify nothing")
        } else {
            verdict::Ruling::Illegal(())
        }
    }
}

/// Which promise a failure breaks, and why.
fn broken(model: &ObjectModel, call: &Call) -> Option<(Class, String)> {
    let fails = model.fails_of(call);
    match (call.cause, fails) {
        (Some(Cause::Corrupt), _) => Some((Class::TornRead, "what it found was corrupt".to_owned())),
        _ if fails.permits(call.cause) => None,
        (_, Fails::Never) => Some((
            Class::UnexpectedFailure,
            format!("the model says that {} never fails", model.op_name(call)),
        )),
        (_, Fails::Busy | Fails::Any) => Some((
            Class::UnexpectedFailure,
            format!("the model says that {} fails only if it is busy", model.op_name(call)),
        )),
    }
}

/// Which promise an operation breaks that answered too late, and why. What never answered is left out: nobody knows when
/// it was killed, or whether it went on.
fn late(model: &ObjectModel, call: &Call) -> Option<(Class, String)> {
    let within_ns = model.within_ns_of(call)?;
    let took_ns = call.return_ns()?.checked_sub(call.invoke_ns)?;
    let is_late = took_ns > within_ns && call.outcome != Outcome::Unknown;
    let why = || {
        let (took, within) = (units::show_ns(took_ns), units::show_ns(within_ns));
        format!("it took {took}, but the model allows {} {within}", model.op_name(call))
    };
    is_late.then(|| (Class::Starvation, why()))
}

/// What is said of a whole history of objects.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectJudged {
    /// What is said of each object that has operations, in the order of the history's names.
    pub objects: Vec<ObjectJudgement>,
    /// The operations that failed or were late, by reason, and the promises that they broke.
    pub failures: ObjectFailures,
}

impl ObjectJudged {
    /// Judges a whole history.
    ///
    /// ```
    /// use flockwork_judge::check::search::Budget;
    /// use flockwork_judge::history::Outcome;
    /// use flockwork_judge::history::object::{Call, ObjectHistory, Op, Value};
    /// use flockwork_judge::judge::ObjectJudged;
    /// use flockwork_judge::model::object::{Kind, ObjectModel};
    ///
    /// let mut history = ObjectHistory::default();
    /// let (alice, bob) = (history.actor("alice"), history.actor("bob"));
    /// let tickets = history.object("tickets");
    /// for (actor, from_ns, until_ns) in [(alice, 0, 10), (bob, 5, 20)] {
    ///     let mut add = Call::new(actor, tickets, Op::Add, from_ns, until_ns, Outcome::Ok);
    ///     (add.value, add.saw) = (Value::whole(1), Value::whole(1));
    ///     history.calls.push(add);
    /// }
    ///
    /// // Both were told that they took the first ticket.
    /// let judged = ObjectJudged::of(&history, &ObjectModel::of(Kind::Counter), Budget::default());
    /// let why = judged.objects[0].why().expect("no order explains it");
    /// assert!(why.contains("one of the two is lost"), "{why}");
    /// ```
    #[must_use]
    pub fn of(history: &ObjectHistory, model: &ObjectModel, budget: Budget) -> Self {
        let teller = Teller::of(history);
        let mut counts = vec![0; history.objects.len()];
        history.calls.iter().for_each(|call| counts[call.object as usize] += 1);
        let judgement = |(object, ruling, way): (u32, ObjectRuling, Way)| {
            let lines = match &ruling {
                ObjectRuling::Illegal(explanation) => {
                    explanation.calls.iter().map(|&call| teller.line(call)).collect()
                }
                ObjectRuling::Legal(_) | ObjectRuling::Undecided(_) => Vec::new(),
            };
            let name = history.objects[object as usize].clone();
            ObjectJudgement { object: name, operations: counts[object as usize], ruling, way, lines }
        };
        let failures = || ObjectFailures::of(history, model, &teller);
        let rulings = || procedure::judge(history, model, budget);
        let (failures, rulings) = both(history.calls.len(), failures, rulings);
        let objects = rulings.into_iter().map(judgement).collect();
        Self { objects, failures }
    }

    /// What follows for the whole.
    #[must_use]
    pub fn ruling(&self) -> verdict::Ruling {
        if self.objects.is_empty() {
            let why = "nothing was verified: the history has no operation";
            return verdict::fold([verdict::Ruling::nothing(why), self.failures.ruling()]);
        }
        let objects = self.objects.iter().map(|judgement| judgement.ruling.bare());
        verdict::fold(objects.chain([self.failures.ruling()]))
    }
}
