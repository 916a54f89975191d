//! The `[explore]` table: what each process does, which interleavings are tried, and what may go wrong.

pub(super) mod calls;
mod strategy;

use std::ops::RangeInclusive;
use std::path::Path;

use flockwork::WritePolicy;

use super::race::{POWER_LOSS, check_disk};
use super::stress::{DAY_NS, MS_NS, PAYLOAD_BYTES, S_NS};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::plan::parts::Parts;
use crate::plan::schedule::Fault;
use crate::plan::{
    Call, ExploreBudget, ExplorePlan, FsyncName, PowerPlan, RepeatPlan, StrategyPlan, SubjectPlan,
};
use crate::words::nearest;
use calls::Calls;
pub use calls::{show_call, show_program};

/// Most processes of one exploration: the number of interleavings grows with their factorial.
pub const PROCESSES_MAX: usize = 16;
/// Most operations of one process, and of a setup.
const OPERATIONS_MAX: usize = 64;
const SCHEDULES_MAX: u64 = 1_000_000_000_000;
const REPEAT_ONE_IN_MAX: u64 = 1_000_000;
const FAULTS_MAX: u32 = 8;
const STEPS: RangeInclusive<u64> = 10..=1_000_000;
const SCHEDULES_DEFAULT: u64 = 200_000;

/// How a scenario explores its subject: a plan that has no root and no seed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Explore {
    /// The containers' names, in the order in which they are first named.
    pub containers: Vec<String>,
    /// What is done first, without control.
    pub setup: Vec<Call>,
    /// What each process does.
    pub processes: Vec<Vec<Call>>,
    /// Which executions, and in which order.
    pub strategy: StrategyPlan,
    /// What may go wrong.
    pub faults: Vec<Fault>,
    /// At most this many faults meet one execution.
    pub fault_bound: u32,
    /// How much is done at most.
    pub budget: ExploreBudget,
    /// Which schedules are run once more.
    pub repeat: RepeatPlan,
    /// Size of the payload of each save.
    pub payload_bytes: u32,
    /// Longest that one process may run between two of its stops.
    pub step_ns: u64,
    /// Most steps of one execution.
    pub steps_max: usize,
    /// Whether the power may go, and on which disk model.
    pub power: Option<Losing>,
}

/// Power losses as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Losing {
    /// The disk model, as scenarios spell it.
    pub disk: String,
    /// Whether operations last once they return; none: as the subject says.
    pub durable: Option<bool>,
    /// Fsyncs that are taken for not made.
    pub without_fsync: Vec<FsyncName>,
    /// Fsyncs that are taken for made one call later.
    pub late_fsync: Vec<FsyncName>,
}

impl Losing {
    fn plan(&self, subject: &SubjectPlan) -> PowerPlan {
        let says = matches!(subject, SubjectPlan::Library(library) if library.write == WritePolicy::Fsync);
        PowerPlan {
            disk: self.disk.clone(),
            is_durable: self.durable.unwrap_or(says),
            without_fsync: self.without_fsync.clone(),
            late_fsync: self.late_fsync.clone(),
        }
    }
}

impl Explore {
    /// The plan of one exploration, on all processors that there are.
    #[must_use]
    pub fn plan(&self, subject: SubjectPlan, root: &Path, seed: u64) -> ExplorePlan {
        ExplorePlan {
            power: self.power.as_ref().map(|power| power.plan(&subject)),
            subject: subject.with_workers(self.processes.len() as u32),
            root: root.to_owned(),
            seed,
            containers: self.containers.clone(),
            setup: self.setup.clone(),
            processes: self.processes.clone(),
            strategy: self.strategy.clone(),
            faults: self.faults.clone(),
            fault_bound: self.fault_bound,
            budget: self.budget,
            repeat: self.repeat,
            payload_bytes: self.payload_bytes,
            step_ns: self.step_ns,
            steps_max: self.steps_max,
            lanes: std::thread::available_parallelism().map_or(1, |count| count.get() as u32),
            parts: Parts::ALL,
        }
    }
}

/// Reads the table.
pub fn read(mut reader: Reader<'_>) -> Option<Explore> {
    let mut calls = Calls::default();
    let setup = match reader.list("setup", "operations, such as [\"create c1\", \"start c1\"]") {
        Some((place, nodes)) => calls.program(&mut reader, "setup", place, nodes, 0),
        None => Some(Vec::new()),
    };
    let processes = read_processes(&mut reader, &mut calls);
    let strategy = strategy::read(&mut reader, processes.as_ref().map(Vec::len));
    let (faults, fault_bound, is_losing) = read_faults(&mut reader, strategy.as_ref());
    let power = read_power(&mut reader, is_losing);
    let budget = read_budget(&mut reader);
    let repeat = read_repeat(&mut reader, strategy.as_ref());
    let payload = reader.size_bytes("payload", PAYLOAD_BYTES).unwrap_or(0);
    let step_ns = reader.duration_ns("step_limit", 10 * MS_NS..=DAY_NS).unwrap_or(5 * S_NS);
    let steps_max = reader.count("steps", STEPS, "steps").unwrap_or(10_000) as usize;
    reader.finish();
    Some(Explore {
        containers: calls.containers,
        setup: setup?,
        processes: processes?,
        strategy: strategy?,
        faults,
        fault_bound,
        budget,
        repeat,
        payload_bytes: u32::try_from(payload).expect("the bounds are below"),
        step_ns,
        steps_max,
        power,
    })
}

/// The disk model of power losses, and whether operations last.
fn read_power(reader: &mut Reader<'_>, is_losing: bool) -> Option<Losing> {
    let named = reader.text("disk").map(|(disk, place)| (disk.to_owned(), place.clone()));
    let durable = reader.truth("durable");
    let without_fsync = read_fsyncs(reader, "without_fsync", is_losing);
    let late_fsync = read_fsyncs(reader, "late_fsync", is_losing);
    if !is_losing {
        if let Some((_, place)) = &named {
            let message = "disk applies to power losses: expected faults = [\"power-loss\"] with it";
            reader.complain(Problem::new(place, message));
        }
        return None;
    }
    if let Some((disk, place)) = &named
        && let Err(why) = check_disk(disk)
    {
        reader.complain(Problem::new(place, why.trim_start_matches("--").to_owned()));
    }
    let disk = named.map_or_else(|| "posix".into(), |(disk, _)| disk);
    Some(Losing { disk, durable, without_fsync, late_fsync })
}

/// Fsyncs by the paths of their files.
fn read_fsyncs(reader: &mut Reader<'_>, key: &'static str, is_losing: bool) -> Vec<FsyncName> {
    let Some((place, nodes)) = reader.list(key, "a list of paths, such as [\"c1/meta.json.tmp\"]") else {
        return Vec::new();
    };
    if !is_losing {
        let message = format!("{key} applies to power losses: expected faults = [\"power-loss\"] with it");
        reader.complain(Problem::new(place, message));
    }
    let mut names = Vec::new();
    for node in nodes {
        let name = match &node.value {
            Value::Text(text) => FsyncName::try_from(text.clone()),
            other => Err(format!("expected a path such as \"c1/meta.json.tmp\", found {}", other.describe())),
        };
        match name {
            Ok(name) => names.push(name),
            Err(why) => reader.complain(Problem::new(&node.place, format!("{key}: {why}"))),
        }
    }
    names
}

fn read_processes(reader: &mut Reader<'_>, calls: &mut Calls) -> Option<Vec<Vec<Call>>> {
    const EXAMPLE: &str = "a list of operations for each process, such as [[\"pause c1\"], [\"pause c1\"]]";
    if reader.take("processes").is_none() {
        reader.missing("processes", EXAMPLE);
        return None;
    }
    let (place, nodes) = reader.list("processes", EXAMPLE)?;
    if nodes.is_empty() {
        reader.complain(Problem::new(place, format!("processes: expected {EXAMPLE}; it is empty")));
        return None;
    }
    if nodes.len() > PROCESSES_MAX {
        let message = format!("processes: the limit is {PROCESSES_MAX} processes, found {}", nodes.len());
        reader.complain(Problem::new(place, message).with_help("their interleavings are too many to try"));
        return None;
    }
    let mut programs = Vec::new();
    let mut is_sound = true;
    for node in nodes {
        let Value::Array(items) = &node.value else {
            let message =
                format!("processes: expected a list of operations, found {}", node.value.describe());
            reader.complain(Problem::new(&node.place, message));
            is_sound = false;
            continue;
        };
        match calls.program(reader, "processes", &node.place, items, 1) {
            Some(program) => programs.push(program),
            None => is_sound = false,
        }
    }
    is_sound.then_some(programs)
}

/// What may go wrong. The word `short-write` stands for both ways in which a write can end early.
fn read_faults(reader: &mut Reader<'_>, strategy: Option<&StrategyPlan>) -> (Vec<Fault>, u32, bool) {
    let bound_place = reader.take("fault_bound").map(|entry| entry.key_place.clone());
    let bound = reader.count_u32("fault_bound", 1..=FAULTS_MAX, "faults");
    let mut faults = Vec::new();
    let mut is_losing = false;
    let listed = reader.list("faults", "a list of faults, such as [\"kill\", \"ENOSPC\"]");
    let place = listed.as_ref().map(|(place, _)| (*place).clone());
    for node in listed.map_or(&[][..], |(_, nodes)| nodes) {
        if matches!(&node.value, Value::Text(text) if text == POWER_LOSS) {
            is_losing = true;
            continue;
        }
        match fault(node) {
            Ok(more) => faults
                .extend(more.iter().copied().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>()),
            Err(problem) => reader.complain(problem),
        }
    }
    match (place, bound_place) {
        (Some(place), _) if !faults.is_empty() && matches!(strategy, Some(StrategyPlan::Replay(_))) => {
            let message = "faults: a replayed schedule itself says which step gets which fault";
            reader.complain(Problem::new(&place, message));
        }
        (None, Some(place)) => {
            reader
                .complain(Problem::new(&place, "fault_bound: there are no faults to bound: expected faults"));
        }
        _ => {}
    }
    let fault_bound = if faults.is_empty() { 0 } else { bound.unwrap_or(1) };
    (faults, fault_bound, is_losing)
}

fn fault(node: &Node) -> Result<Vec<Fault>, Problem> {
    // A worker is one process, and has no other beside it.
    let met = || Fault::all().into_iter().filter(|fault| *fault != Fault::KillOne);
    let known = || met().map(Fault::as_str).chain([POWER_LOSS]);
    let text = match &node.value {
        Value::Text(text) => text.as_str(),
        _ => "",
    };
    match text.parse() {
        Ok(Fault::ShortWrite) => Ok(vec![Fault::ShortWrite, Fault::ShortWriteKill]),
        Ok(fault) if fault != Fault::KillOne => Ok(vec![fault]),
        _ => {
            let message = format!("faults: expected a fault, found {}", node.value.describe());
            let help = match nearest(text, known()) {
                Some(near) => format!("the nearest known fault is {near:?}"),
                None => format!("known faults: {}", known().collect::<Vec<_>>().join(", ")),
            };
            Err(Problem::new(&node.place, message).with_help(help))
        }
    }
}

fn read_budget(reader: &mut Reader<'_>) -> ExploreBudget {
    let mut section = reader.section("budget", "budget");
    let schedules = section.count("schedules", 1..=SCHEDULES_MAX, "schedules").unwrap_or(SCHEDULES_DEFAULT);
    let time_ns = section.duration_ns("time", MS_NS..=7 * DAY_NS).unwrap_or(60 * S_NS);
    section.finish();
    ExploreBudget { schedules, time_ns }
}

/// Which schedules are run once more.
fn read_repeat(reader: &mut Reader<'_>, strategy: Option<&StrategyPlan>) -> RepeatPlan {
    const EXAMPLE: &str = "\"all\", or a share such as \"1/50\"";
    let Some((text, place)) = reader.text("repeat") else { return RepeatPlan::USUAL };
    let place = place.clone();
    if matches!(strategy, Some(StrategyPlan::Replay(_))) {
        let message = "repeat: a replay has one schedule; `flockwork replay --times` repeats it";
        reader.complain(Problem::new(&place, message));
        return RepeatPlan::USUAL;
    }
    let share = || {
        let count = text.strip_prefix("1/")?.parse().ok()?;
        (1..=REPEAT_ONE_IN_MAX).contains(&count).then(|| RepeatPlan::one_in(count))
    };
    let repeat = if text == "all" { Some(RepeatPlan::All) } else { share() };
    repeat.unwrap_or_else(|| {
        let message = format!("repeat: expected {EXAMPLE}, found {text:?}");
        reader.complain(Problem::new(&place, message));
        RepeatPlan::USUAL
    })
}

/// A subject that cannot be explored: what its processes start would run without control.
pub fn refuse_children(subject: &SubjectPlan, place: &Place) -> Option<Problem> {
    let starts_processes = crate::subject::build(subject).is_ok_and(|subject| subject.traits().children);
    starts_processes.then(|| {
        let message = format!(
            "{} starts processes of its own, which exploration does not control",
            crate::scenario::describe_subject(subject)
        );
        Problem::new(place, message).with_help("explore with sandbox = \"inert\"; stress runs take any")
    })
}

#[cfg(test)]
mod tests;
