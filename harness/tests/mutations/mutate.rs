//! Mutations: what could have gone wrong in a real clean history.

use flockwork::{Operation, Status};
use flockwork_harness::history::{History, Outcome, Record, Start};

use crate::random::Random;

/// One kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    SwapOutcomes,
    ShiftTime,
    DropDelete,
    DuplicateCreate,
    DropCreate,
    AlterStatus,
    RefusalSucceeds,
    SuccessRefused,
    OtherStart,
    AlterRevision,
    AlterGeneration,
    ForgetOutcome,
    LeaveOpen,
    ForgetTokens,
    ForgetStatus,
    UnknownStart,
}

impl Mutation {
    pub const ALL: [Self; 16] = [
        Self::SwapOutcomes,
        Self::ShiftTime,
        Self::DropDelete,
        Self::DuplicateCreate,
        Self::DropCreate,
        Self::AlterStatus,
        Self::RefusalSucceeds,
        Self::SuccessRefused,
        Self::OtherStart,
        Self::AlterRevision,
        Self::AlterGeneration,
        Self::ForgetOutcome,
        Self::LeaveOpen,
        Self::ForgetTokens,
        Self::ForgetStatus,
        Self::UnknownStart,
    ];

    /// Whether it takes knowledge away and claims nothing: what was legal stays so.
    pub fn only_forgets(self) -> bool {
        use Mutation::{ForgetOutcome, ForgetStatus, ForgetTokens, LeaveOpen, UnknownStart};
        matches!(self, ForgetOutcome | LeaveOpen | ForgetTokens | ForgetStatus | UnknownStart)
    }

    /// As the table names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SwapOutcomes => "swap two outcomes",
            Self::ShiftTime => "shift a timestamp",
            Self::DropDelete => "drop a delete",
            Self::DuplicateCreate => "duplicate a create",
            Self::DropCreate => "drop a create",
            Self::AlterStatus => "alter a status seen",
            Self::RefusalSucceeds => "let a refusal succeed",
            Self::SuccessRefused => "let a success be refused",
            Self::OtherStart => "give another initial status",
            Self::AlterRevision => "alter a revision",
            Self::AlterGeneration => "alter a generation",
            Self::ForgetOutcome => "forget an outcome",
            Self::LeaveOpen => "leave an operation open for ever",
            Self::ForgetTokens => "forget the tokens of an operation",
            Self::ForgetStatus => "forget a status seen",
            Self::UnknownStart => "forget the initial status",
        }
    }

    /// A mutated copy, and which container was meant; `None` where there is nothing to be changed so.
    pub fn of(self, history: &History, random: &mut Random) -> Option<(History, u32)> {
        let container = random.below(history.containers.len() as u64) as u32;
        let mut history = history.clone();
        // Only operations on the one container are changed; the others are put aside meanwhile.
        let (of_it, mut others): (Vec<Record>, Vec<Record>) =
            history.records.into_iter().partition(|record| record.container() == Some(container));
        history.records = of_it;
        let mut history = self.of_container(history, container, random)?;
        history.records.append(&mut others);
        Some((history, container))
    }

    fn of_container(self, mut history: History, container: u32, random: &mut Random) -> Option<History> {
        let records = &mut history.records;
        if records.is_empty() {
            return None;
        }
        match self {
            Self::SwapOutcomes => swap_outcomes(records, random)?,
            Self::ShiftTime => shift_time(records, random),
            Self::DropDelete => _ = records.remove(any(records, random, is_ok(Operation::Delete))?),
            Self::DropCreate => _ = records.remove(any(records, random, is_ok(Operation::Create))?),
            Self::DuplicateCreate => {
                let mut twin = records[any(records, random, is_ok(Operation::Create))?];
                twin.process = u32::MAX;
                records.push(twin);
            }
            Self::AlterStatus => alter_status(records, random)?,
            Self::RefusalSucceeds => {
                let index =
                    any(records, random, |record| record.outcome == Outcome::Refused && changes(record))?;
                let record = &mut records[index];
                (record.outcome, record.reason, record.status) = (Outcome::Ok, None, None);
            }
            Self::SuccessRefused => {
                let index = any(records, random, |record| record.outcome == Outcome::Ok && changes(record))?;
                let record = &mut records[index];
                (record.outcome, record.reason, record.status) = (Outcome::Refused, None, None);
            }
            Self::OtherStart => history.set_initial(container, Some(random.one_of(&Status::ALL))),
            Self::UnknownStart => history.set_start(container, Start::Unknown),
            Self::AlterRevision => {
                let index = any(records, random, saved)?;
                let told = records[index].revision;
                records[index].revision = told.and_then(|told| told.checked_add(1 + random.below(3)));
            }
            Self::AlterGeneration => {
                let index = any(records, random, saved)?;
                let told = records[index].generation;
                records[index].generation = told.and_then(|told| told.checked_add(1 + random.below(3)));
            }
            Self::ForgetOutcome | Self::LeaveOpen => {
                let index = any(records, random, |record| record.outcome == Outcome::Ok && changes(record))?;
                let record = &mut records[index];
                (record.outcome, record.reason, record.status) = (Outcome::Unknown, None, None);
                (record.generation, record.revision) = (None, None);
                if self == Self::LeaveOpen {
                    record.set_return_ns(None);
                }
            }
            Self::ForgetTokens => {
                let index = any(records, random, |record| record.revision.is_some())?;
                (records[index].generation, records[index].revision) = (None, None);
            }
            Self::ForgetStatus => {
                let index = any(records, random, |record| record.status.is_some())?;
                records[index].status = None;
            }
        }
        Some(history)
    }
}

fn changes(record: &Record) -> bool {
    flockwork_harness::model::can_change(record.operation)
}

fn saved(record: &Record) -> bool {
    record.outcome == Outcome::Ok && changes(record) && record.revision.is_some()
}

fn is_ok(operation: Operation) -> impl Fn(&Record) -> bool {
    move |record| record.operation == operation && record.outcome == Outcome::Ok
}

/// One of those that are meant.
fn any(records: &[Record], random: &mut Random, is_meant: impl Fn(&Record) -> bool) -> Option<usize> {
    let meant: Vec<usize> = (0..records.len()).filter(|&index| is_meant(&records[index])).collect();
    (!meant.is_empty()).then(|| meant[random.below(meant.len() as u64) as usize])
}

/// Two operations of one kind, one after the other by invocation, of which one succeeded: each gets the other's answer.
fn swap_outcomes(records: &mut [Record], random: &mut Random) -> Option<()> {
    records.sort_by_key(|record| record.invoke_ns);
    let first = any(records, random, |record| {
        changes(record) && records.iter().any(|other| is_other_answer(record, other))
    })?;
    let second =
        (first + 1..records.len()).find(|&other| is_other_answer(&records[first], &records[other]))?;
    let answer = |told: &Record, record: &Record| {
        let mut new = *told;
        (new.process, new.invoke_ns) = (record.process, record.invoke_ns);
        new.set_return_ns(record.return_ns());
        new
    };
    let (one, two) = (records[first], records[second]);
    (records[first], records[second]) = (answer(&two, &one), answer(&one, &two));
    Some(())
}

fn is_other_answer(record: &Record, other: &Record) -> bool {
    record.operation == other.operation && record.outcome != other.outcome
}

/// An operation took place earlier or later as a whole: by one to eight times the median duration.
fn shift_time(records: &mut [Record], random: &mut Random) {
    let took_ns = |record: &Record| record.deadline_ns() - record.invoke_ns;
    let mut durations_ns: Vec<u64> = records.iter().map(took_ns).collect();
    durations_ns.sort_unstable();
    let median_ns = durations_ns[durations_ns.len() / 2].max(1);
    let by_ns = median_ns + random.below(7 * median_ns);
    let record = &mut records[random.below(durations_ns.len() as u64) as usize];
    let took_ns = took_ns(record);
    let later = random.percent(50);
    record.invoke_ns = if later { record.invoke_ns + by_ns } else { record.invoke_ns.saturating_sub(by_ns) };
    record.set_return_ns(Some(record.invoke_ns + took_ns));
}

/// A reader saw another status than it did.
fn alter_status(records: &mut [Record], random: &mut Random) -> Option<()> {
    let is_read = |record: &Record| record.operation == Operation::State && record.status.is_some();
    let record = any(records, random, is_read).map(|index| &mut records[index])?;
    let others: Vec<Status> =
        Status::ALL.into_iter().filter(|&status| record.status != Some(status)).collect();
    record.status = Some(random.one_of(&others));
    Some(())
}
