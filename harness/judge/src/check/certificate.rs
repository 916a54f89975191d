//! Certificates: an order that explains a container's operations, and a validator that is as plain as can be.
//!
//! Whoever says that a history is linearizable can be asked for the order that shows it. The validator shares nothing
//! with the search that found it but the model's table: it goes through the order once, and demands of each step that
//! it is legal, and that it comes no earlier than its invocation and no later than its return. It never searches, so
//! that it can be believed by reading it.

use flockwork::Operation;

use crate::history::{History, Outcome};
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
}

impl Certificate {
    /// Whether this order explains the container's operations: of those that answered all, and of those of unknown
    /// outcome the ones that acted.
    ///
    /// An order respects real time (Herlihy and Wing 1990) exactly if every step has an instant within its interval and
    /// these do not decrease; if any such instants exist, the earliest do.
    pub fn validate(&self, history: &History, model: &Model) -> Result<(), Flaw> {
        if !model.starts(history, self.container).any(|state| state == self.first) {
            return Err(Flaw::Start(self.first));
        }
        let mut has_acted = vec![false; history.records.len()];
        let (mut state, mut now_ns) = (self.first, 0);
        let death = model.death(history);
        for &step in &self.steps {
            let Step::Acts(index) = step else {
                let next = death.map_or(ILLEGAL, |row| row[state as usize]);
                if next == ILLEGAL {
                    return Err(Flaw::Immortal(state));
                }
                state = next;
                continue;
            };
            let record = history.records.get(index as usize);
            let Some(record) = record.filter(|record| record.container() == Some(self.container)) else {
                return Err(Flaw::Foreign(index));
            };
            if std::mem::replace(&mut has_acted[index as usize], true) {
                return Err(Flaw::Twice(index));
            }
            now_ns = record.invoke_ns.max(now_ns);
            if now_ns > record.deadline_ns() {
                return Err(Flaw::Late(index));
            }
            let next = model.table().row(record.into())[state as usize];
            if next == ILLEGAL {
                return Err(Flaw::Illegal(index, state));
            }
            state = next;
        }
        for (index, record) in (0..).zip(&history.records) {
            let answered = record.outcome != Outcome::Unknown && record.operation != Operation::List;
            if answered && record.container() == Some(self.container) && !has_acted[index as usize] {
                return Err(Flaw::Missing(index));
            }
        }
        Ok(())
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
