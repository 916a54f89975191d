//! The few operations around a violation, told so that a person sees what happened.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use crate::history::{History, Record};
use crate::scenario::units::show_ns;
use crate::violation::Violation;

const DECISIVE_MAX: usize = 8;
const NEIGHBOURS_MAX: usize = 5;

/// One line per operation, in the order of their invocations; the decisive ones are marked with `>`.
#[must_use]
pub fn tell(history: &History, violation: &Violation) -> Vec<String> {
    let mut decisive: Vec<usize> =
        violation.records.iter().copied().filter(|index| *index < history.records.len()).collect();
    decisive.truncate(DECISIVE_MAX);
    let Some(start_ns) = decisive.iter().map(|index| history.records[*index].invoke_ns).min() else {
        return Vec::new();
    };
    let mut shown: Vec<usize> = neighbours(history, violation.container, &decisive);
    shown.extend(&decisive);
    shown.sort_by_key(|index| (history.records[*index].invoke_ns, *index));
    shown.dedup();
    let decisive: BTreeSet<usize> = decisive.into_iter().collect();
    shown
        .into_iter()
        .map(|index| {
            let mark = if decisive.contains(&index) { '>' } else { ' ' };
            format!("{mark} {}", line(history, &history.records[index], start_ns))
        })
        .collect()
}

/// The operations on the same container that lie nearest in time to the decisive ones.
fn neighbours(history: &History, container: Option<u32>, decisive: &[usize]) -> Vec<usize> {
    let Some(container) = container else { return Vec::new() };
    let spans: Vec<(u64, u64)> = decisive
        .iter()
        .map(|index| &history.records[*index])
        .map(|record| (record.invoke_ns, record.return_ns().unwrap_or(record.invoke_ns)))
        .collect();
    // The farthest of those kept is on top, so that a history of any length costs a handful of entries.
    let mut nearest = BinaryHeap::new();
    for (index, record) in history.records.iter().enumerate() {
        if record.container() != Some(container) || decisive.contains(&index) {
            continue;
        }
        let distance_ns = spans.iter().map(|span| gap_ns(*span, record)).min().unwrap_or(u64::MAX);
        nearest.push((distance_ns, Reverse(index)));
        if nearest.len() > NEIGHBOURS_MAX {
            nearest.pop();
        }
    }
    nearest.into_iter().map(|(_, Reverse(index))| index).collect()
}

fn gap_ns((start_ns, end_ns): (u64, u64), record: &Record) -> u64 {
    let record_end_ns = record.return_ns().unwrap_or(record.invoke_ns);
    record.invoke_ns.saturating_sub(end_ns).max(start_ns.saturating_sub(record_end_ns))
}

fn line(history: &History, record: &Record, start_ns: u64) -> String {
    let sign = if record.invoke_ns < start_ns { '-' } else { '+' };
    let at = format!("{sign}{}", show_ns(record.invoke_ns.abs_diff(start_ns)));
    let took = match record.return_ns() {
        Some(return_ns) => format!("took {}", show_ns(return_ns.saturating_sub(record.invoke_ns))),
        None => "never returned".into(),
    };
    let call = format!("{} {}", record.operation, history.container_name(record));
    let mut line =
        format!("{at:>10}  process {:<4} {call:<16} {:<8}", record.process, record.outcome.as_str());
    let mut details = Vec::new();
    if let Some(reason) = record.reason {
        details.push(reason.to_string());
    }
    if let Some(status) = record.status {
        details.push(status.to_string());
    }
    if let Some(generation) = record.generation {
        details.push(format!("generation {generation}"));
    }
    if let Some(revision) = record.revision {
        details.push(format!("revision {revision}"));
    }
    details.push(took);
    line.push_str(&details.join(", "));
    if let Some(message) = history.message(record) {
        line.push_str(": ");
        line.push_str(message);
    }
    line
}

#[cfg(test)]
mod tests {
    use flockwork::Operation;

    use super::*;
    use crate::violation::Class;

    #[test]
    fn the_decisive_are_marked_and_the_nearest_surround_them() {
        let mut history = History::default();
        history.containers = vec!["c1".into(), "c2".into()];
        for at in 0..100 {
            let container = u32::from(at % 10 == 9);
            let mut record = Record::invoked(0, Some(container), Operation::Pause, at * 1_000);
            record.set_return_ns(Some(at * 1_000 + 500));
            history.records.push(record);
        }
        let violation = Violation {
            class: Class::LostUpdate,
            container: Some(0),
            message: String::new(),
            records: vec![50, 52, 1_000],
        };
        let told = tell(&history, &violation);
        assert_eq!(told.len(), 2 + NEIGHBOURS_MAX);
        assert_eq!(told.iter().filter(|line| line.starts_with('>')).count(), 2);
        assert!(told.iter().all(|line| line.contains("pause c1")), "{told:#?}");
        assert!(told.iter().any(|line| line.contains("+1.0µs")), "{told:#?}");
    }

    #[test]
    fn a_violation_without_operations_has_no_story() {
        let violation =
            Violation { class: Class::Leftover, container: None, message: String::new(), records: vec![] };
        assert!(tell(&History::default(), &violation).is_empty());
    }
}
