//! Certificates: an order that explains a container's operations, and a validator that is as plain as can be.
//!
//! A judge that says that a container is linearizable hands out the order that shows it, as a [`Proof`]; and the only way
//! to make one is to validate a certificate. The validator shares nothing with the judges but the model's table: it goes
//! through the order once, and demands of each step that it is legal, and that it comes no earlier than its invocation
//! and no later than its return. It never searches, so that it can be believed by reading it.

use flockwork::Operation;

use crate::check::search::Operations;
use crate::history::{History, Outcome, Record};
use crate::model::Model;
use crate::model::table::ILLEGAL;

/// An order of one container's operations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The container, by index into the history's names.
    pub container: u32,
    /// The state in which it begins.
    pub first: u8,
    /// What happens, one after the other.
    pub steps: Vec<Step>,
}

/// Something happens to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The operation acts: an index into the history's records.
    Acts(u32),
    /// What stands behind the container dies, by itself.
    Dies,
    /// Somebody notices that what stands behind the container is dead: this operation of unknown outcome had ended it
    /// before it was killed itself.
    DiesBy(u32),
}

impl Step {
    /// The operation that it is about.
    #[must_use]
    pub fn record(self) -> Option<u32> {
        match self {
            Self::Acts(index) | Self::DiesBy(index) => Some(index),
            Self::Dies => None,
        }
    }
}

/// An order that was validated, and that explains at least one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    certificate: Certificate,
    decided: u64,
}

impl Proof {
    /// The order that was validated: whoever does not believe it validates it again.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// How many operations told something that another order would have contradicted.
    #[must_use]
    pub fn decided(&self) -> u64 {
        self.decided
    }
}

/// Why an order explains nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The container cannot begin so.
    #[error("the container cannot be in state {0} at the start")]
    Start(u8),
    /// There is no such operation of this container.
    #[error("record {0} is no operation of this container")]
    Foreign(u32),
    /// What stands behind the container cannot die by itself, or not in this state.
    #[error("nothing can die in state {0}")]
    Immortal(u8),
    /// This operation cannot have ended what stood behind the container.
    #[error("record {0} cannot have ended what stood behind the container in state {1}")]
    Harmless(u32, u8),
    /// An operation acts twice.
    #[error("record {0} acts twice")]
    Twice(u32),
    /// The model forbids it.
    #[error("record {0} is not legal in state {1}")]
    Illegal(u32, u8),
    /// What is ordered before it was invoked only after it had returned.
    #[error("record {0} comes after an operation that was invoked only after it had returned")]
    Late(u32),
    /// An operation that answered has no place.
    #[error("record {0} answered and has no place")]
    Missing(u32),
    /// No operation says anything that an order could contradict, so the order proves nothing.
    #[error("there is no operation that an order could contradict")]
    Empty,
}

/// Whether the operation says something that an order could contradict: it answered, and there is a state in which it
/// cannot have answered so, or which it changes.
#[must_use]
pub fn decides(model: &Model, record: &Record) -> bool {
    let answered = matches!(record.outcome, Outcome::Ok | Outcome::Refused);
    let row = &model.table().row(record.into())[..model.table().states().len()];
    answered && (0..).zip(row).any(|(state, &next): (u8, _)| next != state)
}

/// A container on its way through an order.
struct Walker<'a> {
    history: &'a History,
    model: &'a Model,
    state: u8,
    now_ns: u64,
    /// When the present life began.
    born_ns: u64,
}

impl Walker<'_> {
    fn goes(&mut self, step: Step) -> Result<(), Flaw> {
        let next = match step {
            Step::Acts(index) => {
                let record = &self.history.records[index as usize];
                self.now_ns = record.invoke_ns.max(self.now_ns);
                if self.now_ns > record.deadline_ns() {
                    return Err(Flaw::Late(index));
                }
                let next = self.model.table().row(record.into())[self.state as usize];
                if next == ILLEGAL {
                    return Err(Flaw::Illegal(index, self.state));
                }
                next
            }
            Step::Dies => {
                let death = self.model.death(self.history);
                let next = death.map_or(ILLEGAL, |row| row[self.state as usize]);
                if next == ILLEGAL {
                    return Err(Flaw::Immortal(self.state));
                }
                next
            }
            Step::DiesBy(index) => self.dies_by(index)?,
        };
        if self.is_absent() && next != self.state {
            self.born_ns = self.now_ns;
        }
        self.state = next;
        Ok(())
    }

    fn is_absent(&self) -> bool {
        self.model.states_of(None).any(|absent| absent == self.state)
    }

    /// The operation never answered, ended the process in this life and within its own interval, and was killed before it
    /// saved that. Only where the history says nothing of deaths: else it says whether there are any.
    fn dies_by(&mut self, index: u32) -> Result<u8, Flaw> {
        let record = &self.history.records[index as usize];
        self.now_ns = record.invoke_ns.max(self.now_ns);
        let next = self.model.death_row()[self.state as usize];
        let may_end = match record.operation {
            Operation::Kill | Operation::Signal | Operation::ForceDelete => true,
            // A delete gets as far only where it may delete what has a live process.
            Operation::Delete => self.model.table().row(record.into())[self.state as usize] != ILLEGAL,
            _ => false,
        };
        let ended = may_end
            && record.outcome == Outcome::Unknown
            && self.history.deaths.is_none()
            && self.born_ns <= record.deadline_ns();
        if ended && next != ILLEGAL { Ok(next) } else { Err(Flaw::Harmless(index, self.state)) }
    }
}

impl Certificate {
    /// Whether this order explains the container's operations: of those that answered all, and of those of unknown
    /// outcome the ones that acted.
    ///
    /// An order respects real time (Herlihy and Wing 1990) exactly if every step has an instant within its interval and
    /// these do not decrease; if any such instants exist, the earliest do.
    pub fn validate(&self, history: &History, model: &Model) -> Result<(), Flaw> {
        let own = |record: &Record| record.container() == Some(self.container);
        let own = (0..).zip(&history.records).filter(|(_, record)| own(record)).map(|(index, _)| index);
        self.validate_all(history, model, own)
    }

    /// Makes a proof of the order, if it explains these operations, which are all that the container has.
    pub fn prove(self, history: &History, model: &Model, operations: &Operations) -> Result<Proof, Flaw> {
        if operations.container != self.container {
            return Err(Flaw::Foreign(operations.indexes.first().copied().unwrap_or(u32::MAX)));
        }
        self.validate_all(history, model, operations.indexes.iter().copied())?;
        let records = operations.indexes.iter().map(|&index| &history.records[index as usize]);
        let decide = |record: &&Record| history.must_act(record) && decides(model, record);
        match records.filter(decide).count() as u64 {
            0 => Err(Flaw::Empty),
            decided => Ok(Proof { certificate: self, decided }),
        }
    }

    fn validate_all(
        &self,
        history: &History,
        model: &Model,
        own: impl Iterator<Item = u32>,
    ) -> Result<(), Flaw> {
        if !model.starts(history, self.container).any(|state| state == self.first) {
            return Err(Flaw::Start(self.first));
        }
        let mut acted: Vec<u32> = self.steps.iter().filter_map(|step| step.record()).collect();
        acted.sort_unstable();
        if let Some(pair) = acted.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Flaw::Twice(pair[0]));
        }
        let mut own: Vec<u32> = own.collect();
        own.sort_unstable();
        let mut missing = None;
        let mut acted = acted.into_iter().peekable();
        for index in own {
            if let Some(foreign) = acted.next_if(|&other| other < index) {
                return Err(Flaw::Foreign(foreign));
            }
            let record = &history.records[index as usize];
            let answered = history.must_act(record) && record.operation != Operation::List;
            if acted.next_if_eq(&index).is_none() && answered {
                missing = missing.or(Some(index));
            }
        }
        if let Some(foreign) = acted.next() {
            return Err(Flaw::Foreign(foreign));
        }
        let mut walker = Walker { history, model, state: self.first, now_ns: 0, born_ns: 0 };
        self.steps.iter().try_for_each(|&step| walker.goes(step))?;
        missing.map_or(Ok(()), |index| Err(Flaw::Missing(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Record;
    use crate::model::Builtin;

    /// A create, a start that overlaps nothing, and a pause that was killed.
    fn history() -> History {
        let mut history = History::default();
        history.containers = vec!["c1".into(), "c2".into()];
        let operations = [
            (Operation::Create, 0, 10, Some(20), Outcome::Ok),
            (Operation::Start, 0, 30, Some(40), Outcome::Ok),
            (Operation::Pause, 0, 35, Some(60), Outcome::Unknown),
            (Operation::Create, 1, 10, Some(20), Outcome::Ok),
        ];
        for (process, (operation, container, invoke_ns, return_ns, outcome)) in (0..).zip(operations) {
            let mut record = Record::invoked(process, Some(container), operation, invoke_ns);
            record.set_return_ns(return_ns);
            record.outcome = outcome;
            history.records.push(record);
        }
        history
    }

    fn validate(first: u8, order: &[u32]) -> Result<(), Flaw> {
        let steps = order.iter().map(|&index| Step::Acts(index)).collect();
        let certificate = Certificate { container: 0, first, steps };
        certificate.validate(&history(), &Model::builtin(Builtin::Runsc))
    }

    #[test]
    fn a_legal_order_is_valid_with_and_without_what_never_answered() {
        assert_eq!(validate(0, &[0, 1]), Ok(()));
        assert_eq!(validate(0, &[0, 1, 2]), Ok(()));
    }

    #[test]
    fn a_death_needs_something_mortal() {
        let mut history = history();
        let steps = [Step::Acts(0), Step::Acts(1), Step::Dies];
        let certificate = Certificate { container: 0, first: 0, steps: steps.to_vec() };
        let model = Model::builtin(Builtin::Runsc);
        assert_eq!(certificate.validate(&history, &model), Err(Flaw::Immortal(2)));
        history.deaths = Some(crate::history::Deaths::Free);
        assert_eq!(certificate.validate(&history, &model), Ok(()));
        let twice = [steps.as_slice(), &[Step::Dies]].concat();
        let certificate = Certificate { steps: twice, ..certificate };
        assert_eq!(certificate.validate(&history, &model), Err(Flaw::Immortal(5)));
    }

    #[test]
    fn each_flaw_is_found() {
        assert_eq!(validate(1, &[0, 1]), Err(Flaw::Start(1)));
        assert_eq!(validate(0, &[0, 3, 1]), Err(Flaw::Foreign(3)));
        assert_eq!(validate(0, &[0, 9, 1]), Err(Flaw::Foreign(9)));
        assert_eq!(validate(0, &[0, 1, 1]), Err(Flaw::Twice(1)));
        assert_eq!(validate(0, &[1, 0]), Err(Flaw::Illegal(1, 0)));
        assert_eq!(validate(0, &[0, 2, 1]), Err(Flaw::Illegal(1, 3)));
        assert_eq!(validate(0, &[0]), Err(Flaw::Missing(1)));
        let mut history = history();
        history.records[0].invoke_ns = 50;
        history.records[0].set_return_ns(Some(60));
        let certificate = Certificate { container: 0, first: 0, steps: vec![Step::Acts(0), Step::Acts(1)] };
        assert_eq!(certificate.validate(&history, &Model::builtin(Builtin::Runsc)), Err(Flaw::Late(1)));
    }
}
