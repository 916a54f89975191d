//! The few operations around a violation: the middle of a finding's window.

use crate::finding::Finding;

/// More lines than these nobody reads on a terminal; the rest lies in the finding.
const LINES_MAX: usize = 12;

/// The decisive operations and those next to them, a line each.
#[must_use]
pub fn tell(finding: &Finding) -> Vec<String> {
    let decisive: Vec<usize> = indexes(finding).filter(|index| finding.window[*index].decisive).collect();
    let mut nearest: Vec<usize> = indexes(finding).collect();
    nearest.sort_by_key(|index| decisive.iter().map(|other| other.abs_diff(*index)).min());
    nearest.truncate(LINES_MAX);
    nearest.sort_unstable();
    let lines = finding.lines();
    nearest.into_iter().map(|index| lines[index].clone()).collect()
}

fn indexes(finding: &Finding) -> std::ops::Range<usize> {
    0..finding.window.len()
}

#[cfg(test)]
mod tests {
    use flockwork::Operation;

    use super::*;
    use crate::history::{History, Record};
    use crate::violation::{Class, Violation};

    #[test]
    fn of_many_operations_the_decisive_and_their_neighbours_are_told() {
        let mut history = History::default();
        history.containers.push("c1".into());
        for process in 0..50 {
            let mut record = Record::invoked(process, Some(0), Operation::Pause, u64::from(process) * 1_000);
            record.set_return_ns(Some(1_000_000));
            history.records.push(record);
        }
        let violation = Violation {
            class: Class::LostUpdate,
            container: Some(0),
            message: "two saves claim revision 3".into(),
            records: vec![30, 32],
        };
        let told = tell(&Finding::of(&history, &violation, "library fs2"));
        assert_eq!(told.len(), LINES_MAX);
        assert_eq!(told.iter().filter(|line| line.starts_with('>')).count(), 2);
        assert!(told.iter().any(|line| line.contains("p31")), "{told:#?}");
    }

    #[test]
    fn a_violation_without_operations_has_no_story() {
        let violation =
            Violation { class: Class::Leftover, container: None, message: String::new(), records: vec![] };
        assert!(tell(&Finding::of(&History::default(), &violation, "library fs2")).is_empty());
    }
}
