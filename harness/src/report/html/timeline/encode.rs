//! The operations of a history as columns of small numbers, in base64.
//!
//! Lane by lane: how many operations, then of each, as variable-length numbers: the time since the one before was invoked;
//! how long it took, plus 1, or 0 where it is open. Then a byte with outcome, operation, and whether there is more; where
//! there are several containers, which; and where there is more: a byte with reason, status and whether there is a message;
//! how the container's life and the revision, plus 1, differ from those of the one before; and the message.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flockwork::{Operation, Status};

use super::{About, Finding, Mark, Timeline, strip};
use crate::history::{History, Outcome, Reason, Record};

/// Of base64 four characters hold three bytes, and the page may be 20 MB.
const DATA_BYTES_MAX: usize = 13_500_000;
/// Who held a lock has so much room at least.
const HOLDS_BYTES_MIN: usize = 600_000;
/// More kills than these make no picture.
const MARKS_MAX: usize = 5_000;
/// More messages than these nobody reads; each is kept once.
const MESSAGES_MAX: usize = 20_000;
/// Of a longer message the beginning is enough.
const MESSAGE_CHARACTERS: usize = 400;

/// What goes into the page.
#[derive(Debug)]
pub(super) struct Encoded<'a> {
    pub about: About<'a>,
    pub data: String,
    pub drawn: usize,
}

pub(super) fn encode<'a>(timeline: &Timeline<'a>) -> Encoded<'a> {
    let history = timeline.history;
    let tables = Tables::of(history);
    let mut lanes = by_process(history);
    let mut bytes = tables.encode(&lanes);
    if bytes.len() > DATA_BYTES_MAX {
        let one_in = bytes.len().div_ceil(DATA_BYTES_MAX) * 2;
        thin_out(&mut lanes, timeline, one_in);
        bytes = tables.encode(&lanes);
    }
    let drawn = lanes.iter().map(|(_, records)| records.len()).sum();
    let processes: Vec<u32> = lanes.iter().map(|(process, _)| *process).collect();
    let room = (DATA_BYTES_MAX.saturating_sub(bytes.len())).max(HOLDS_BYTES_MIN);
    let strip = strip::encode(timeline, tables.origin_ns, &processes, room);
    let about = About {
        lanes: lanes.iter().map(|(process, _)| name(*process, timeline.workers)).collect(),
        containers: &history.containers,
        operations: Operation::ALL.iter().map(|operation| operation.as_str()).collect(),
        reasons: Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
        statuses: Status::ALL.iter().map(|status| status.as_str()).collect(),
        messages: tables.messages.clone(),
        end: tables.end_ns - tables.origin_ns,
        total: history.records.len(),
        findings: timeline.violations.iter().map(|spot| tables.finding(spot, &lanes)).collect(),
        marks: tables.marks(&lanes),
        strip,
    };
    Encoded { about, data: STANDARD.encode(bytes), drawn }
}

fn name(process: u32, workers: u32) -> String {
    if process < workers { format!("p{process}") } else { format!("p{process} (aside)") }
}

type Lane<'a> = (u32, Vec<&'a Record>);

/// Each process's operations in their order.
fn by_process(history: &History) -> Vec<Lane<'_>> {
    let mut lanes = BTreeMap::<u32, Vec<&Record>>::new();
    for record in &history.records {
        lanes.entry(record.process).or_default().push(record);
    }
    for records in lanes.values_mut() {
        records.sort_by_key(|record| record.invoke_ns);
    }
    lanes.into_iter().collect()
}

/// The times around violations, of which nothing is thinned out.
pub(super) fn around(timeline: &Timeline<'_>) -> Vec<(u64, u64)> {
    let of = |spot: &super::Spot| {
        let from = spot.decisive.iter().map(|(_, at)| *at).min()?;
        let to = spot.decisive.iter().map(|(_, at)| *at).max()?;
        // A long violation is thinned out like the rest, but for a little at both ends.
        let room = (to - from).clamp(1_000_000, 20_000_000);
        Some((from.saturating_sub(room), from.saturating_add(2 * room).min(to.saturating_add(room))))
    };
    timeline.violations.iter().filter_map(of).collect()
}

/// Keeps what lies around violations, and of the rest one in so many.
fn thin_out(lanes: &mut [Lane<'_>], timeline: &Timeline<'_>, one_in: usize) {
    let around = around(timeline);
    let decisive: BTreeSet<(u32, u64)> =
        timeline.violations.iter().flat_map(|spot| spot.decisive.iter().copied()).collect();
    for (process, records) in lanes {
        let mut number = 0;
        records.retain(|record| {
            number += 1;
            let at = record.invoke_ns;
            number % one_in == 0
                || record.outcome == Outcome::Failed
                || record.outcome == Outcome::Unknown
                || decisive.contains(&(*process, at))
                || around.iter().any(|(from, to)| (*from..=*to).contains(&at))
        });
    }
}

struct Tables<'a> {
    origin_ns: u64,
    end_ns: u64,
    messages: Vec<&'a str>,
    message_numbers: HashMap<&'a str, u64>,
    /// Of each container, which life a generation is, from 1.
    lives: HashMap<(u32, u64), u64>,
    history: &'a History,
}

impl<'a> Tables<'a> {
    fn of(history: &'a History) -> Self {
        let records = &history.records;
        let origin_ns = records.iter().map(|record| record.invoke_ns).min().unwrap_or(0);
        let end_ns = records.iter().map(|record| record.return_ns().unwrap_or(record.invoke_ns)).max();
        let (mut messages, mut message_numbers) = (Vec::new(), HashMap::new());
        for message in records.iter().filter_map(|record| history.message(record)) {
            if messages.len() < MESSAGES_MAX && !message_numbers.contains_key(message) {
                let end = message.char_indices().nth(MESSAGE_CHARACTERS).map_or(message.len(), |(at, _)| at);
                messages.push(&message[..end]);
                message_numbers.insert(message, messages.len() as u64);
            }
        }
        Self {
            origin_ns,
            end_ns: end_ns.unwrap_or(0).max(origin_ns),
            messages,
            message_numbers,
            lives: lives(records),
            history,
        }
    }

    fn encode(&self, lanes: &[Lane<'_>]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(lanes.iter().map(|(_, records)| records.len() * 12).sum());
        for (_, records) in lanes {
            varint(&mut bytes, records.len() as u64);
            let mut before_ns = self.origin_ns;
            let mut before = Before::default();
            for record in records {
                varint(&mut bytes, record.invoke_ns - before_ns);
                before_ns = record.invoke_ns;
                let length = record.return_ns().map_or(0, |end| end.saturating_sub(record.invoke_ns) + 1);
                varint(&mut bytes, length);
                self.encode_what(&mut bytes, record, &mut before);
            }
        }
        bytes
    }

    fn encode_what(&self, bytes: &mut Vec<u8>, record: &Record, before: &mut Before) {
        let reason = record.reason.and_then(|reason| Reason::ALL.iter().position(|known| *known == reason));
        let status = record.status.and_then(|status| Status::ALL.iter().position(|known| *known == status));
        let message = self.history.message(record).and_then(|message| self.message_numbers.get(message));
        let life = record
            .generation
            .zip(record.container())
            .and_then(|(generation, container)| self.lives.get(&(container, generation.get())))
            .copied()
            .unwrap_or(0);
        let revision = record.revision.map_or(0, |revision| revision.get().saturating_add(1));
        let has_more =
            reason.is_some() || status.is_some() || message.is_some() || life != 0 || revision != 0;
        let operation = Operation::ALL.iter().position(|known| *known == record.operation).unwrap_or(0);
        let outcome = Outcome::ALL.iter().position(|known| *known == record.outcome).unwrap_or(3);
        bytes.push((outcome | operation << 2 | usize::from(has_more) << 7) as u8);
        if self.history.containers.len() > 1 {
            varint(bytes, u64::from(record.container().unwrap_or(0)));
        }
        if has_more {
            let (reason, status) = (reason.map_or(0, |it| it + 1), status.map_or(0, |it| it + 1));
            bytes.push((reason | status << 4 | usize::from(message.is_some()) << 7) as u8);
            varint(bytes, zigzag(life, before.life));
            varint(bytes, zigzag(revision, before.revision));
            *before = Before { life, revision };
            if let Some(message) = message {
                varint(bytes, *message);
            }
        }
    }

    fn finding(&self, spot: &'a super::Spot, lanes: &[Lane<'_>]) -> Finding<'a> {
        let records: Vec<(usize, usize)> = spot
            .decisive
            .iter()
            .filter_map(|(process, at)| {
                let lane = lanes.iter().position(|(known, _)| known == process)?;
                let place = lanes[lane].1.binary_search_by_key(at, |record| record.invoke_ns).ok()?;
                Some((lane, place))
            })
            .collect();
        let found = || records.iter().map(|(lane, place)| lanes[*lane].1[*place]);
        let from = found().map(|record| record.invoke_ns).min().unwrap_or(self.origin_ns);
        let to = found().map(|record| record.return_ns().unwrap_or(record.invoke_ns)).max().unwrap_or(from);
        Finding {
            class: &spot.class,
            message: &spot.message,
            records,
            from: from - self.origin_ns,
            to: to - self.origin_ns,
        }
    }

    /// When processes were killed: until then an operation without an outcome could act.
    fn marks(&self, lanes: &[Lane<'_>]) -> Vec<Mark> {
        let records = lanes.iter().flat_map(|(_, records)| records);
        let killed = records.filter(|record| record.outcome == Outcome::Unknown);
        let mut times: Vec<u64> = killed.filter_map(|record| record.return_ns()).collect();
        times.sort_unstable();
        times.dedup();
        let one_in = times.len().div_ceil(MARKS_MAX).max(1);
        times.into_iter().step_by(one_in).map(|at| Mark { at: at - self.origin_ns }).collect()
    }
}

fn lives(records: &[Record]) -> HashMap<(u32, u64), u64> {
    let known = |record: &Record| Some((record.container()?, record.generation?.get()));
    let generations: BTreeSet<(u32, u64)> = records.iter().filter_map(known).collect();
    let mut lives = HashMap::new();
    let (mut container, mut number) = (None, 0);
    for (of, generation) in generations {
        number = if container == Some(of) { number + 1 } else { 1 };
        container = Some(of);
        lives.insert((of, generation), number);
    }
    lives
}

/// What the operation before had.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    life: u64,
    revision: u64,
}

/// How far a number is from the one before, as a small number where it is near: 0, -1, 1, -2 are 0, 1, 2, 3.
fn zigzag(number: u64, before: u64) -> u64 {
    let difference = number.wrapping_sub(before).cast_signed();
    (difference << 1 ^ difference >> 63).cast_unsigned()
}

/// A number in groups of seven bits, the lowest first; the high bit says that another follows.
pub(super) fn varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 127 {
        bytes.push((number & 127) as u8 | 128);
        number >>= 7;
    }
    bytes.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::holds::{Hold, Holds};
    use crate::report::html::timeline::{Locks, Spot};

    fn history(count: u64, processes: u64) -> History {
        let mut history = History::default();
        history.containers.push("c1".into());
        for number in 0..count {
            let process = (number % processes) as u32;
            let mut record = Record::invoked(process, Some(0), Operation::Pause, 1_000_000 + number * 700);
            record.set_return_ns(Some(record.invoke_ns + 600));
            record.outcome = Outcome::Ok;
            record.status = Some(Status::Paused);
            record.generation = std::num::NonZeroU64::new(1_795_651_839_896_723_386);
            record.revision = std::num::NonZeroU64::new(number + 1);
            history.records.push(record);
        }
        history
    }

    fn spot(decisive: &[(u32, u64)]) -> Spot {
        Spot { class: "lost-update".into(), message: "two".into(), decisive: decisive.to_vec() }
    }

    #[test]
    fn numbers_are_written_in_groups_of_seven_bits() {
        for (number, expected) in [(0, vec![0]), (127, vec![127]), (128, vec![128, 1]), (300, vec![172, 2])] {
            let mut bytes = Vec::new();
            varint(&mut bytes, number);
            assert_eq!(bytes, expected);
        }
    }

    #[test]
    fn differences_are_small_where_numbers_are_near() {
        for (number, before, expected) in [(5, 5, 0), (4, 5, 1), (6, 5, 2), (0, 5, 9), (9, 0, 18)] {
            assert_eq!(zigzag(number, before), expected);
        }
    }

    #[test]
    fn what_a_violation_rests_on_is_found_in_its_lane() {
        let history = history(100, 4);
        let violations = [spot(&[(1, 1_000_700), (2, 1_000_000 + 98 * 700)]), spot(&[(9, 5)])];
        let timeline =
            Timeline { history: &history, violations: &violations, workers: 3, locks: Locks::NotSeen("") };
        let encoded = encode(&timeline);
        assert_eq!(encoded.about.lanes, ["p0", "p1", "p2", "p3 (aside)"]);
        let finding = &encoded.about.findings[0];
        assert_eq!(
            (finding.records.clone(), finding.from, finding.to),
            (vec![(1, 0), (2, 24)], 700, 98 * 700 + 600)
        );
        assert!(encoded.about.findings[1].records.is_empty());
        assert_eq!(encoded.drawn, 100);
    }

    #[test]
    fn a_million_operations_fit_and_what_would_not_is_thinned_out() {
        let history = history(1_000_000, 16);
        let violations = [spot(&[(0, 1_000_000)])];
        let timeline =
            Timeline { history: &history, violations: &violations, workers: 16, locks: Locks::NotSeen("") };
        let encoded = encode(&timeline);
        assert_eq!(encoded.drawn, 1_000_000);
        assert!(encoded.data.len() < 19_000_000, "{}", encoded.data.len());
        let history = self::history(3_000_000, 16);
        let encoded = encode(&Timeline { history: &history, ..timeline });
        assert!(encoded.data.len() < 19_000_000 && encoded.drawn < 1_000_000, "{}", encoded.drawn);
        assert!(encoded.about.findings[0].records == [(0, 0)] && encoded.about.total == 3_000_000);
    }

    #[test]
    fn who_held_the_lock_goes_into_the_page_and_as_much_of_it_as_fits() {
        let history = history(1_000_000, 16);
        let hold = |number: u64| Hold {
            process: (number % 16) as u32,
            container: 0,
            from_ns: 1_000_100 + number * 700,
            to_ns: Some(1_000_400 + number * 700),
            shared: false,
            end_unseen: false,
        };
        let mut holds =
            Holds { containers: vec!["c1".into()], all: (0..1_000).map(hold).collect(), missing: 0 };
        let violations = [spot(&[(0, 1_000_000)])];
        let (locks, workers) = (Locks::Seen(&holds), 16);
        let encoded = encode(&Timeline { history: &history, violations: &violations, workers, locks });
        assert_eq!(encoded.about.strip.locks, ["c1"]);
        assert_eq!(encoded.about.strip.drawn, (1_000, 1_000));
        holds.all = (0..1_000_000).map(hold).collect();
        let locks = Locks::Seen(&holds);
        let encoded = encode(&Timeline { history: &history, violations: &violations, workers, locks });
        let strip = &encoded.about.strip;
        assert!(encoded.data.len() + strip.data.len() < 19_000_000, "{}", strip.data.len());
        assert!(strip.drawn.0 > 1_000 && strip.drawn.1 == 1_000_000, "{:?}", strip.drawn);
    }

    #[test]
    fn of_many_locks_those_of_violations_are_drawn() {
        let mut history = history(30, 2);
        history.containers = (1..=30).map(|number| format!("c{number}")).collect();
        for (number, record) in (0..).zip(&mut history.records) {
            let mut moved = Record::invoked(record.process, Some(number), record.operation, record.invoke_ns);
            moved.set_return_ns(record.return_ns());
            *record = moved;
        }
        let hold = |container| Hold {
            process: 0,
            container,
            from_ns: 1_000_000,
            to_ns: None,
            shared: true,
            end_unseen: false,
        };
        let holds =
            Holds { containers: history.containers.clone(), all: (0..30).map(hold).collect(), missing: 0 };
        let violations = [spot(&[(0, 1_000_000 + 28 * 700)])];
        let locks = Locks::Seen(&holds);
        let encoded = encode(&Timeline { history: &history, violations: &violations, workers: 2, locks });
        let strip = &encoded.about.strip;
        assert_eq!((strip.locks.len(), strip.held), (8, 30));
        assert!(strip.locks.contains(&"c29".to_owned()), "{:?}", strip.locks);
    }
}
