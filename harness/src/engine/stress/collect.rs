//! From the shared region to a history: what the run gives back, once everybody is gone.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use super::wire::Departure;
use crate::answer::Lacks;
use crate::evidence::Overlap;
use crate::history::holds::{Hold, Holds};
use crate::history::{History, Outcome, Record};
use crate::process::log;
use crate::process::overlap::Identity;
use crate::process::region::{HOLD_SHARED, OVERLAPS_MAX, Region};

/// Reads every log, and gives its memory back as it goes. Besides the history, what the machine lacked.
pub(super) fn history(region: &Region, containers: Vec<String>) -> (History, Lacks) {
    let layout = *region.layout();
    let begun = |process| region.header(process).published.load(Ordering::Acquire) as usize;
    let total = (0..layout.slots()).map(begun).sum();
    let mut history = History::default();
    let mut lacks = Lacks::default();
    history.containers = containers;
    history.records.reserve_exact(total);
    for process in 0..layout.slots() {
        for entry in &region.entries(process)[..begun(process)] {
            let (mut record, at) = entry.record(process);
            if let Some(message) = at.and_then(|at| log::text(region.texts(process), at)) {
                history.attach_message(&mut record, message);
            }
            if let Some(lack) = entry.lack() {
                lacks.add(lack, || words(&history, &record));
            }
            history.records.push(record);
        }
        region.release_entries(process);
    }
    (history, lacks)
}

/// An operation that failed, with what was said of it.
fn words(history: &History, record: &Record) -> String {
    let container = history.container_name(record);
    let of = if container.is_empty() { "" } else { " of " };
    let message = history.message(record).unwrap_or("without a word");
    format!("{}{of}{container} by p{}: {message}", record.operation, record.process)
}

/// The overlaps that the owner words saw.
pub(super) fn overlaps(region: &Region, departures: &[Departure]) -> Vec<Overlap> {
    let killed = departures.iter().filter_map(|departure| Some((departure.identity(), departure.killed_ns?)));
    let killed = killed.collect::<HashMap<_, _>>();
    let count = region.control().overlaps.load(Ordering::Acquire) as usize;
    let cells = region.overlaps()[..count.min(OVERLAPS_MAX)].iter();
    cells
        .filter_map(|cell| {
            // A cell without a time is one whose writer was killed over it.
            let at_ns = Some(cell.at_ns.load(Ordering::Acquire)).filter(|&at_ns| at_ns != 0)?;
            let inside = Identity::of_word(cell.inside.load(Ordering::Relaxed))?;
            let entered = Identity::of_word(cell.entered.load(Ordering::Relaxed))?;
            Some(Overlap {
                container: cell.container.load(Ordering::Relaxed) as u32,
                at_ns,
                inside: inside.process,
                entered: entered.process,
                inside_killed_ns: killed.get(&inside).copied(),
            })
        })
        .collect()
}

/// Who held which lock when, of a run whose operations these are; gives the memory behind it back as it goes.
pub(super) fn holds(region: &Region, history: &History) -> Holds {
    let mut holds = Holds { containers: history.containers.clone(), ..Holds::default() };
    for process in 0..region.layout().slots() {
        let begun = region.header(process).holds.load(Ordering::Acquire) as usize;
        let cells = region.holds(process);
        holds.missing += begun.saturating_sub(cells.len()) as u64;
        let own = || history.records.iter().filter(|record| record.process == process);
        for cell in &cells[..begun.min(cells.len())] {
            let from_ns = cell.from_ns.load(Ordering::Relaxed);
            let let_go_ns = Some(cell.to_ns.load(Ordering::Acquire)).filter(|&at_ns| at_ns != 0);
            // What nobody saw let go ends with its operation at the latest: where that was killed, with the death.
            let operation =
                || own().filter(|record| record.invoke_ns <= from_ns).max_by_key(|record| record.invoke_ns);
            holds.all.push(Hold {
                process,
                container: cell.container.load(Ordering::Relaxed),
                from_ns,
                to_ns: let_go_ns.or_else(|| operation()?.return_ns()),
                shared: cell.mode.load(Ordering::Relaxed) == HOLD_SHARED,
                end_unseen: let_go_ns.is_none(),
            });
        }
        region.release_holds(process);
    }
    holds
}

/// When the first operation of a worker began and the last one returned.
pub(super) fn span_ns(history: &History, workers: u32) -> Option<(u64, u64)> {
    let (mut first, mut last) = (u64::MAX, 0);
    for record in history.records.iter().filter(|record| record.process < workers) {
        first = first.min(record.invoke_ns);
        if record.outcome != Outcome::Unknown {
            last = last.max(record.deadline_ns());
        }
    }
    (first != u64::MAX).then(|| (first, last.max(first)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flockwork::Operation;

    use super::*;
    use crate::process::log::{Recorder, Writer};
    use crate::process::overlap::OverlapDetector;
    use crate::process::region::Layout;
    use crate::subject::{Answer, Watch};

    #[test]
    fn a_hold_ends_as_it_was_seen_to_or_with_its_operation_at_the_latest() {
        let layout = Layout {
            workers: 3,
            auditors: 0,
            containers: 2,
            worker_entries: 4,
            auditor_entries: 0,
            examiner_entries: 0,
            holds_per_entry: 1,
        };
        let region = Arc::new(Region::create(layout).unwrap());
        let watch =
            |process| OverlapDetector::new(Arc::clone(&region), Identity { process, incarnation: 0 }, 0..=0);
        // One that answers, one that is killed inside and reaped, and one that nobody has heard of since.
        let mut writer = Writer::new(&region, 0);
        writer.invoked(Operation::Pause, Some(1));
        watch(0).enter(1);
        watch(0).leave(1);
        let returned_ns = writer.returned(Operation::Pause, &Answer::done());
        for process in [1, 2] {
            Writer::new(&region, process).invoked(Operation::State, Some(0));
            watch(process).enter_shared(0);
        }
        let reaped_ns = returned_ns + 1_000_000_000;
        region.entries(1)[0].close_unknown(reaped_ns);
        let (history, _) = history(&region, vec!["a".into(), "b".into()]);
        let holds = holds(&region, &history);
        let [answered, killed, open] = holds.all[..] else { panic!("{holds:?}") };
        assert_eq!((answered.process, answered.container, answered.end_unseen), (0, 1, false));
        assert!(answered.to_ns.is_some_and(|to_ns| (answered.from_ns..=returned_ns).contains(&to_ns)));
        assert_eq!((killed.container, killed.shared, killed.to_ns), (0, true, Some(reaped_ns)));
        assert_eq!((open.to_ns, open.end_unseen), (None, true));
        assert!(killed.end_unseen && !answered.shared && holds.missing == 0);
    }
}
