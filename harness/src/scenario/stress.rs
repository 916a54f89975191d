//! The `[stress]` table: how many processes do what, how often, and for how long.

use std::ops::RangeInclusive;
use std::path::Path;

use flockwork::Operation;

use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::document::tree::{Entry, Value};
use crate::plan::{Audit, Budget, StressPlan, SubjectPlan};
use crate::words::nearest;
use crate::words::units::DURATION_FORM;

/// Most processes of one run, workers and auditors each: beyond it the kernel's scheduler is what is tested.
pub const PROCESSES_MAX: u32 = 4096;
/// Most containers of one run.
pub const CONTAINERS_MAX: u32 = 100_000;
const OPERATIONS_MAX: u64 = 1_000_000_000_000;
const WEIGHT_MAX: i128 = 1_000_000;
pub(super) const PAYLOAD_BYTES: RangeInclusive<u64> = 1 << 10..=1 << 20;

pub(super) const MS_NS: u64 = 1_000_000;
pub(super) const S_NS: u64 = 1_000 * MS_NS;
pub(super) const DAY_NS: u64 = 24 * 3600 * S_NS;

/// How a scenario stresses its subject: a plan that has no root and no seed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Stress {
    /// How many processes operate on the containers.
    pub processes: u32,
    /// How many containers they share: `c1`, `c2`, …
    pub containers: u32,
    /// How many operations, or how long.
    pub budget: Budget,
    /// Random wait between two operations of one worker.
    pub think_ns: RangeInclusive<u64>,
    /// Random wait inside the lock.
    pub hold_ns: RangeInclusive<u64>,
    /// Weights of the operations; none is zero.
    pub mix: Vec<(Operation, u32)>,
    /// SIGKILL a random worker about this often.
    pub kill_every_ns: Option<u64>,
    /// Size of the payload of each save.
    pub payload_bytes: u32,
    /// How many processes only read.
    pub auditors: u32,
    /// How they read; none: as is sound for the subject.
    pub audit: Option<Audit>,
    /// A fresh process for each operation.
    pub fresh_processes: bool,
    /// Longest that one operation may take.
    pub starvation_ns: u64,
    /// Longest that no operation at all may end.
    pub stall_ns: u64,
    /// A run with a lower handoff ratio hardly contended, and proves nothing.
    pub handoff_min: f64,
}

impl Stress {
    /// The plan of one run.
    #[must_use]
    pub fn plan(&self, subject: SubjectPlan, root: &Path, seed: u64) -> StressPlan {
        StressPlan {
            root: root.to_owned(),
            seed,
            processes: self.processes,
            auditors: self.auditors,
            audit: self.audit.unwrap_or_else(|| audit_of(&subject)),
            containers: self.containers,
            budget: self.budget,
            think_ns: self.think_ns.clone(),
            hold_ns: self.hold_ns.clone(),
            mix: self.mix.clone(),
            kill_every_ns: self.kill_every_ns,
            payload_bytes: self.payload_bytes,
            fresh_processes: self.fresh_processes,
            starvation_ns: self.starvation_ns,
            stall_ns: self.stall_ns,
            subject: subject.with_workers(self.processes),
        }
    }
}

/// How a subject's auditors read where the scenario does not say: without a lock only where that is sound, for what such a
/// reader finds torn would else be held against the subject.
fn audit_of(subject: &SubjectPlan) -> Audit {
    let is_sound = crate::subject::build(subject).is_ok_and(|subject| subject.traits().lock_free_reads);
    if is_sound { Audit::LockFree } else { Audit::Locked }
}

/// Reads the table.
pub fn read(mut reader: Reader<'_>) -> Option<Stress> {
    let processes = required_processes(&mut reader);
    let containers = reader.count_u32("containers", 1..=CONTAINERS_MAX, "containers").unwrap_or(1);
    let budget = read_budget(&mut reader);
    let think_ns = reader.duration_range_ns("think", 10 * S_NS).unwrap_or(0..=0);
    let hold_ns = reader.duration_range_ns("hold", S_NS).unwrap_or(0..=0);
    let mix = read_mix(&mut reader);
    let kill_every_ns = reader.duration_ns("kill_every", MS_NS..=DAY_NS);
    let payload = reader.size_bytes("payload", PAYLOAD_BYTES).unwrap_or(0);
    let auditors = reader.count_u32("auditors", 0..=PROCESSES_MAX, "auditors").unwrap_or(0);
    let audit = reader.word("audit", &["lock-free", "locked"]).map(|word| match word {
        "locked" => Audit::Locked,
        _ => Audit::LockFree,
    });
    let fresh_processes = reader.truth("fresh_processes").unwrap_or(false);
    let starvation_ns = reader.duration_ns("starvation", MS_NS..=DAY_NS).unwrap_or(30 * S_NS);
    let stall_ns = reader.duration_ns("stall", MS_NS..=DAY_NS).unwrap_or(10 * S_NS);
    let handoff_min = reader.share("handoff_min").unwrap_or(0.10);
    reader.finish();
    Some(Stress {
        processes: processes?,
        containers,
        budget: budget?,
        think_ns,
        hold_ns,
        mix: mix?,
        kill_every_ns,
        payload_bytes: u32::try_from(payload).expect("the bounds are below"),
        auditors,
        audit,
        fresh_processes,
        starvation_ns,
        stall_ns,
        handoff_min,
    })
}

pub(super) fn required_processes(reader: &mut Reader<'_>) -> Option<u32> {
    if reader.take("processes").is_none() {
        reader.missing("processes", &format!("a whole number of processes from 1 to {PROCESSES_MAX}"));
        return None;
    }
    reader.count_u32("processes", 1..=PROCESSES_MAX, "processes")
}

pub(super) fn read_budget(reader: &mut Reader<'_>) -> Option<Budget> {
    let duration_place = reader.take("duration").map(|entry| entry.key_place.clone());
    let has_operations = reader.take("operations").is_some();
    match (has_operations, duration_place) {
        (true, Some(place)) => {
            let message = "operations and duration contradict each other: expected one of them";
            reader.complain(Problem::new(&place, message));
            None
        }
        (true, None) => reader.count("operations", 1..=OPERATIONS_MAX, "operations").map(Budget::Operations),
        (false, Some(_)) => reader.duration_ns("duration", MS_NS..=7 * DAY_NS).map(Budget::DurationNs),
        (false, None) => {
            reader.missing("operations or duration", &format!("a number of operations, or {DURATION_FORM}"));
            None
        }
    }
}

fn read_mix(reader: &mut Reader<'_>) -> Option<Vec<(Operation, u32)>> {
    const EXAMPLE: &str = "weights of operations, such as { create = 1, pause = 10, resume = 10 }";
    if reader.take("mix").is_none() {
        reader.missing("mix", EXAMPLE);
        return None;
    }
    let mut section = reader.section("mix", "mix");
    let place = section.place().clone();
    let entries = section.take_all();
    let mut is_sound = true;
    let mut mix = Vec::new();
    for entry in entries {
        match weight(entry) {
            Ok((_, 0)) => {}
            Ok(weighted) => mix.push(weighted),
            Err(problem) => {
                is_sound = false;
                section.complain(problem);
            }
        }
    }
    if is_sound && mix.is_empty() {
        let why = if entries.is_empty() { "it is empty" } else { "every weight is 0" };
        section.complain(Problem::new(&place, format!("mix: expected {EXAMPLE}; {why}")));
    }
    Some(mix)
}

fn weight(entry: &Entry) -> Result<(Operation, u32), Problem> {
    let Ok(operation) = entry.key.parse::<Operation>() else {
        let known = Operation::ALL.map(Operation::as_str);
        let problem = Problem::new(&entry.key_place, format!("unknown operation {:?} in mix", entry.key));
        return Err(match nearest(&entry.key, known) {
            Some(near) => problem.with_help(format!("the nearest known operation is {near:?}")),
            None => problem.with_help(format!("known operations: {}", known.join(", "))),
        });
    };
    if operation == Operation::Wait {
        let message = "wait cannot be in a mix: it blocks until some other process ends the container, \
                       and all workers may be waiting";
        return Err(Problem::new(&entry.key_place, message));
    }
    match entry.node.value {
        Value::Integer(weight @ 0..=WEIGHT_MAX) => {
            Ok((operation, u32::try_from(weight).expect("the bounds are below")))
        }
        ref other => {
            let message = format!(
                "{}: expected a weight from 0 to {WEIGHT_MAX}, found {}",
                entry.key,
                other.describe()
            );
            Err(Problem::new(&entry.node.place, message))
        }
    }
}
