//! Lives of a container as far as intervals alone tell: creates, deletes, and what came last.

use flockwork::Operation;

use crate::evidence::Evidence;
use crate::history::{History, Outcome, Record};

/// The process that only looked and tidied after the run: the highest, if all it did came after all else.
pub fn examiner(history: &History) -> Option<u32> {
    let examiner = history.records.iter().map(|record| record.process).max()?;
    let others = history.records.iter().filter(|record| record.process != examiner);
    let others_end_ns = others.filter_map(Record::return_ns).max()?;
    let came_last = |record: &Record| record.process != examiner || record.invoke_ns >= others_end_ns;
    history.records.iter().all(came_last).then_some(examiner)
}

/// Indexes of each container's operations, in the history's order.
pub(super) fn by_container(history: &History) -> Vec<Vec<u32>> {
    let mut indexes = vec![Vec::new(); history.containers.len()];
    for (index, record) in history.records.iter().enumerate() {
        if let Some(container) = record.container() {
            indexes[container as usize].push(index as u32);
        }
    }
    indexes
}

/// Whether it is a delete of either kind.
pub(super) fn deletes(record: &Record) -> bool {
    matches!(record.operation, Operation::Delete | Operation::ForceDelete)
}

/// Whether the record itself proves that the container existed at some moment of its interval.
pub(super) fn proves_existence(record: &Record) -> bool {
    use crate::history::Reason;
    match (record.outcome, record.reason) {
        (Outcome::Refused, reason) => matches!(reason, Some(Reason::Exists | Reason::Status)),
        (Outcome::Ok, _) => match record.operation {
            Operation::Create | Operation::List => false,
            Operation::ForceDelete | Operation::State | Operation::Load => {
                record.status.is_some() || record.generation.is_some()
            }
            _ => true,
        },
        (Outcome::Failed | Outcome::Unknown, _) => false,
    }
}

/// What the run left of one container, before the examiner tidied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Last {
    /// The successful delete that was invoked last.
    pub delete: Option<usize>,
    /// Latest instant at which a create can have acted.
    pub create_deadline_ns: Option<u64>,
    /// Latest instant at which an operation of unknown outcome can have acted.
    unknown_deadline_ns: Option<u64>,
}

impl Last {
    /// What was last, of every container.
    pub fn of_each(evidence: &Evidence<'_>) -> Vec<Self> {
        let history = evidence.history;
        let examiner = examiner(history);
        let mut last = vec![Self::default(); history.containers.len()];
        for (index, record) in history.records.iter().enumerate() {
            let Some(container) = record.container() else { continue };
            if Some(record.process) == examiner {
                continue;
            }
            let last = &mut last[container as usize];
            if record.outcome == Outcome::Unknown {
                last.unknown_deadline_ns = last.unknown_deadline_ns.max(Some(record.deadline_ns()));
            }
            if record.operation == Operation::Create
                && matches!(record.outcome, Outcome::Ok | Outcome::Unknown)
            {
                last.create_deadline_ns = last.create_deadline_ns.max(Some(record.deadline_ns()));
            }
            let is_later = |other: usize| history.records[other].invoke_ns < record.invoke_ns;
            if deletes(record) && record.outcome == Outcome::Ok && last.delete.is_none_or(is_later) {
                last.delete = Some(index);
            }
        }
        last
    }

    /// The delete after which no create can have acted: the container must be gone.
    pub fn final_delete(&self, history: &History) -> Option<usize> {
        let delete_ns = history.records[self.delete?].invoke_ns;
        (self.create_deadline_ns? < delete_ns).then_some(self.delete?)
    }

    /// Whether a killed operation can have left something behind that nobody had to clear since.
    pub fn may_be_half_done(&self, history: &History) -> bool {
        match (self.unknown_deadline_ns, self.delete) {
            (Some(unknown_ns), Some(delete)) => unknown_ns >= history.records[delete].invoke_ns,
            (unknown_ns, None) => unknown_ns.is_some(),
            (None, Some(_)) => false,
        }
    }
}
