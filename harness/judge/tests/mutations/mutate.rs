//! Mutations: what could have gone wrong in a real clean history of objects.

use flockwork_judge::history::Outcome;
use flockwork_judge::history::object::{Call, ObjectHistory, Op, Value};
use flockwork_judge::model::object::{Kind, ObjectModel};

use crate::random::Random;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    AlterSight,
    Invent,
    ShiftTime,
    DropChange,
    DoubleChange,
    RefusalSucceeds,
    SuccessRefused,
    OtherFirst,
    OtherObject,
    ForgetOutcome,
    LeaveOpen,
    ForgetSight,
    ForgetReason,
}

impl Mutation {
    pub const ALL: &[Self] = &[
        Self::AlterSight,
        Self::Invent,
        Self::ShiftTime,
        Self::DropChange,
        Self::DoubleChange,
        Self::RefusalSucceeds,
        Self::SuccessRefused,
        Self::OtherFirst,
        Self::OtherObject,
        Self::ForgetOutcome,
        Self::LeaveOpen,
        Self::ForgetSight,
        Self::ForgetReason,
    ];

    /// As the table names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlterSight => "see what another saw",
            Self::Invent => "see what never was",
            Self::ShiftTime => "shift a timestamp",
            Self::DropChange => "drop a change",
            Self::DoubleChange => "double a change",
            Self::RefusalSucceeds => "let a refusal succeed",
            Self::SuccessRefused => "let a success be refused",
            Self::OtherFirst => "give another initial value",
            Self::OtherObject => "act on the other object",
            Self::ForgetOutcome => "forget an outcome",
            Self::LeaveOpen => "leave an operation open for ever",
            Self::ForgetSight => "forget what an operation saw",
            Self::ForgetReason => "forget a reason",
        }
    }

    /// Whether it takes knowledge away and claims nothing: what was legal stays so.
    pub fn only_forgets(self) -> bool {
        matches!(self, Self::ForgetOutcome | Self::LeaveOpen | Self::ForgetSight | Self::ForgetReason)
    }

    /// A mutated copy; nothing where the history has nothing to be changed so.
    pub fn of(
        self,
        history: &ObjectHistory,
        model: &ObjectModel,
        random: &mut Random,
    ) -> Option<ObjectHistory> {
        let mut history = history.clone();
        let any = |history: &ObjectHistory, random: &mut Random, is_meant: &dyn Fn(&Call) -> bool| {
            let meant: Vec<usize> =
                (0..history.calls.len()).filter(|&index| is_meant(&history.calls[index])).collect();
            (!meant.is_empty()).then(|| random.pick(&meant))
        };
        let is_ok = |call: &Call| call.outcome == Outcome::Ok;
        let tells = |call: &Call| is_ok(call) && call.saw.is_some() && call.op != Op::Cas;
        match self {
            Self::AlterSight => {
                let index = any(&history, random, &tells)?;
                let told = history.calls[index];
                let is_other = |call: &Call| tells(call) && call.op == told.op && call.saw != told.saw;
                let other = any(&history, random, &is_other)?;
                history.calls[index].saw = history.calls[other].saw;
            }
            Self::Invent => {
                let index = any(&history, random, &tells)?;
                let told = history.calls[index];
                history.calls[index].saw = Some(invented(&mut history, model, &told)?);
            }
            Self::ShiftTime => {
                let index = random.below(history.calls.len() as u64) as usize;
                let call = &mut history.calls[index];
                let by_ns = 1 + random.below(8 * (call.deadline_ns - call.invoke_ns).max(1));
                let took_ns = call.deadline_ns - call.invoke_ns;
                let is_later = random.chance(50);
                call.invoke_ns =
                    if is_later { call.invoke_ns + by_ns } else { call.invoke_ns.saturating_sub(by_ns) };
                call.deadline_ns = call.invoke_ns + took_ns;
            }
            Self::DropChange => {
                let index = any(&history, random, &|call| is_ok(call) && changes(model, call))?;
                history.calls.remove(index);
            }
            Self::DoubleChange => {
                let index = any(&history, random, &|call| is_ok(call) && changes(model, call))?;
                history.calls.push(history.calls[index]);
            }
            Self::RefusalSucceeds => {
                let index = any(&history, random, &|call| call.outcome == Outcome::Refused)?;
                let call = &mut history.calls[index];
                (call.outcome, call.cause) = (Outcome::Ok, None);
                if call.op != Op::Cas {
                    call.saw = None;
                }
            }
            Self::SuccessRefused => {
                let index = any(&history, random, &|call| is_ok(call) && changes(model, call))?;
                let call = &mut history.calls[index];
                call.outcome = Outcome::Refused;
                if call.op != Op::Cas {
                    call.saw = None;
                }
            }
            Self::OtherFirst => {
                let other = match model.kind {
                    Kind::Lock => return None,
                    Kind::Register | Kind::Counter => number(-5),
                    Kind::Table => number(3),
                    Kind::Set | Kind::Log | Kind::Queue => history.values.list(&[number(1)], None),
                };
                history.initial[0] = Some(other);
            }
            Self::OtherObject => {
                let index = any(&history, random, &|call| is_ok(call) && changes(model, call))?;
                history.calls[index].object = 1 - history.calls[index].object;
            }
            Self::ForgetOutcome | Self::LeaveOpen => {
                let index = any(&history, random, &|call| call.outcome != Outcome::Unknown)?;
                let call = &mut history.calls[index];
                (call.outcome, call.cause) = (Outcome::Unknown, None);
                if call.op != Op::Cas {
                    call.saw = None;
                }
                if self == Self::LeaveOpen {
                    call.deadline_ns = Call::NEVER;
                }
            }
            Self::ForgetSight => {
                let index = any(&history, random, &tells)?;
                history.calls[index].saw = None;
            }
            Self::ForgetReason => {
                let index = any(&history, random, &|call| call.cause.is_some())?;
                history.calls[index].cause = None;
            }
        }
        Some(history)
    }
}

fn number(number: i64) -> Value {
    Value::whole(number).expect("small")
}

/// Whether it changes something where it succeeds.
fn changes(model: &ObjectModel, call: &Call) -> bool {
    match model.rules.as_deref() {
        Some(rules) => rules.rule_of(call).is_some_and(|rule| rule.name != "look" && rule.idle.is_empty()),
        None => !matches!(call.op, Op::Read | Op::Contains | Op::Members),
    }
}

/// What nobody can have seen; nothing where there is no such thing.
fn invented(history: &mut ObjectHistory, model: &ObjectModel, call: &Call) -> Option<Value> {
    let never = number(-1_000);
    match (model.kind, call.op) {
        (Kind::Table, _) | (_, Op::Contains) => None,
        (_, Op::Members) | (Kind::Log, Op::Read) => {
            let mut list = vec![never];
            list.extend_from_slice(history.values.items(call.saw?));
            list.sort_unstable();
            Some(history.values.list(&list, None))
        }
        _ => Some(never),
    }
}
