//! Power losses of the library: what every model of a disk leaves of every operation, and what each fsync is needed for.

use flockwork::Operation::{
    self, Checkpoint, Create, Delete, ForceDelete, Kill, List, Load, Pause, Restore, Resume, Signal, Start,
    State,
};
use flockwork::Status;
use flockwork_harness::engine::explore::{Damage, ExploreRun, Power};
use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::plan::{FsyncName, PowerPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::violation::Class;

use super::explore::{explored, tell};
use super::spaces::{Case, Faults, STATUSES, Setting, Space};

/// Every model of a disk.
pub const DISKS: [&str; 6] = ["posix", "ext4", "ext4-dioread-lock", "ext4-writeback", "xfs", "btrfs"];

/// Every status, and that of an id that lived before.
pub fn statuses() -> Vec<(&'static str, &'static [Operation])> {
    STATUSES.into_iter().chain([("deleted", &[Create, Delete][..])]).collect()
}

/// Operations that change what lies on disk, where they are not refused.
const CHANGING: [Operation; 8] = [Create, Start, Restore, Pause, Resume, Kill, Delete, ForceDelete];
/// Those that do not.
const OTHERS: [Operation; 5] = [Signal, Checkpoint, State, Load, List];

/// Every pair of operations of which at least one changes something from this status, and each of those beside itself. Two that are
/// refused, or only look, leave nothing to be lost.
pub fn pairs(status: &str) -> Vec<(Operation, Operation)> {
    let status = match status {
        "absent" | "deleted" => None,
        "created" => Some(Status::Created),
        "running" => Some(Status::Running),
        "stopped" => Some(Status::Stopped),
        _ => Some(Status::Paused),
    };
    let changes = |operation: &Operation| {
        let is_for_nothing = status.is_none() && *operation == ForceDelete;
        CHANGING.contains(operation) && operation.transition().apply(status).is_ok() && !is_for_nothing
    };
    let all: Vec<Operation> = CHANGING.into_iter().chain(OTHERS).collect();
    let mut pairs = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let others = all[index..].iter().filter(|other| changes(one) || changes(other));
        pairs.extend(others.map(|other| (*one, *other)));
    }
    pairs
}

/// One way to save.
fn saving(write: &'static str) -> Space {
    let setting = Setting { lock: "fs2", write };
    Space { setting, faults: Faults::None, programs: "power", cases: Vec::new(), preemptions_max: None }
}

/// A disk on which what has returned must last, and nothing is left out.
fn on(disk: &str) -> PowerPlan {
    PowerPlan { disk: disk.into(), is_durable: true, without_fsync: Vec::new(), late_fsync: Vec::new() }
}

/// Explores a case; all of it must have been seen.
pub fn lose(zygote: &mut Zygote, write: &'static str, case: &Case, power: PowerPlan) -> (ExploreRun, Power) {
    let words = format!("{} with {write} on {}", case.words(), power.disk);
    let run = explored(zygote, &saving(write), case, Some(power));
    assert_eq!(run.coverage, Coverage::Exhausted, "{words}");
    let power = run.power.clone().expect("power losses were asked for");
    assert_eq!(power.unjudged, None, "{words}");
    (run, power)
}

/// The same for saves with fsync, which must be clean.
pub fn must_last(zygote: &mut Zygote, case: &Case, disk: &str) -> (ExploreRun, Power) {
    let (run, power) = lose(zygote, "fsync", case, on(disk));
    let told: Vec<String> = run.discoveries.iter().map(|discovery| tell(case, discovery)).collect();
    assert!(told.is_empty(), "on {disk}: {}", told.join("\n"));
    assert_eq!(power.wrong, 0, "{} on {disk}", case.words());
    (run, power)
}

pub fn saves_with_fsync_last(zygote: &mut Zygote) {
    let all = statuses();
    let [absent, created, running, _, paused, stopped, deleted] = &all[..] else { panic!("seven") };
    let cases = [
        (absent, Create, State, "posix"),
        (absent, Create, Create, "btrfs"),
        (created, Start, Checkpoint, "posix"),
        (created, Delete, Pause, "posix"),
        (running, Pause, ForceDelete, "ext4"),
        (paused, Resume, Kill, "xfs"),
        (stopped, Delete, List, "posix"),
        (deleted, Create, State, "posix"),
    ];
    for (status, one, other, disk) in cases {
        let case = Case::new(*status, &[&[one], &[other]]);
        let (run, power) = must_last(zygote, &case, disk);
        assert!(run.schedules > 1, "{}: {} schedules", case.words(), run.schedules);
        // A model that allows one state of an execution would prove nothing.
        assert!(power.allowed > 3 * power.executions && power.states > 3, "{}: {power:?}", case.words());
    }
}

/// What a power loss may leave of a save that is not synced, or made in place, on each model: the damages of `meta.json`.
pub const DAMAGES: [(&str, &str, &[Damage]); 12] = [
    ("rename", "posix", &[Damage::Empty, Damage::Zeros]),
    ("rename", "ext4", &[Damage::Zeros]),
    ("rename", "ext4-dioread-lock", &[]),
    ("rename", "ext4-writeback", &[Damage::Zeros]),
    ("rename", "xfs", &[Damage::Empty]),
    ("rename", "btrfs", &[Damage::Empty]),
    ("in-place", "posix", &[Damage::Empty, Damage::Zeros, Damage::Cut, Damage::Mixed]),
    ("in-place", "ext4", &[Damage::Empty, Damage::Zeros]),
    ("in-place", "ext4-dioread-lock", &[Damage::Empty]),
    ("in-place", "ext4-writeback", &[Damage::Empty, Damage::Zeros, Damage::Cut]),
    ("in-place", "xfs", &[Damage::Empty]),
    ("in-place", "btrfs", &[Damage::Empty]),
];

/// What a power loss leaves of a start that is not held to what it acknowledged.
pub fn damages(zygote: &mut Zygote, write: &'static str, disk: &str) -> (ExploreRun, Power) {
    let case = Case::new(STATUSES[1], &[&[Start], &[State]]);
    lose(zygote, write, &case, PowerPlan { is_durable: false, ..on(disk) })
}

pub fn others_are_lost(zygote: &mut Zygote) {
    let mut others = Vec::new();
    for (write, disk, expected) in DAMAGES {
        let (run, power) = damages(zygote, write, disk);
        let found: Vec<Damage> = power.damages.keys().map(|(_, damage)| *damage).collect();
        if found != expected {
            others.push(format!("{write} on {disk}: {:?}", power.damages));
        }
        let classes: Vec<Class> =
            run.discoveries.iter().flat_map(|discovery| &discovery.violations).map(|one| one.class).collect();
        assert_eq!(classes.is_empty(), expected.is_empty(), "{write} on {disk}: {classes:?}");
        assert!(classes.iter().all(|class| *class == Class::LostByCrash), "{write} on {disk}: {classes:?}");
    }
    assert!(others.is_empty(), "{others:#?}");
}

/// One fsync of an operation.
pub struct Omission {
    /// What it is for, in the document's words.
    pub rule: &'static str,
    pub status: (&'static str, &'static [Operation]),
    pub operation: Operation,
    pub fsync: &'static str,
    /// Whether it is made late rather than not at all.
    pub is_late: bool,
}

/// What no promise of the library needs: a folder that comes back is empty, and whoever comes next removes it.
const NEEDLESS: &str = "the root, after the folder was removed";

/// Every fsync of the library, and every order that a rule of it demands.
pub fn omissions() -> Vec<Omission> {
    let [absent, created, ..] = STATUSES;
    let one = |rule, status, operation, fsync, is_late| Omission { rule, status, operation, fsync, is_late };
    vec![
        one("the new metadata, before its rename", created, Start, "c1/meta.json.tmp", false),
        one("the same, only after the rename", created, Start, "c1/meta.json.tmp", true),
        one("the container's folder, after the rename", created, Start, "c1", false),
        one("the counter of generations, before its rename", absent, Create, "~generation.tmp", false),
        one("the same, only after the rename", absent, Create, "~generation.tmp", true),
        one("the root, after the folder was made and the counter renamed", absent, Create, ".", false),
        one("the container's folder, after its lock file was made", absent, Create, "c1 #1", false),
        one("the first metadata, before its rename", absent, Create, "c1/meta.json.tmp", false),
        one("the container's folder, after that rename", absent, Create, "c1 #2", false),
        one("the container's folder, after the metadata was removed", created, Delete, "c1", false),
        one(NEEDLESS, created, Delete, ".", false),
    ]
}

/// What comes of an operation without one of its fsyncs: none where it makes no such fsync.
pub fn without(zygote: &mut Zygote, omission: &Omission, disk: &str) -> Option<(ExploreRun, Power)> {
    let name = vec![FsyncName::try_from(omission.fsync.to_owned()).expect("a path")];
    let power = if omission.is_late {
        PowerPlan { late_fsync: name, ..on(disk) }
    } else {
        PowerPlan { without_fsync: name, ..on(disk) }
    };
    let case = Case::new(omission.status, &[&[omission.operation]]);
    let (run, power) = lose(zygote, "fsync", &case, power);
    (power.omitted > 0).then_some((run, power))
}

/// On the strictest model each of them shows, but for one of which it is known.
pub fn every_fsync_is_needed(zygote: &mut Zygote) {
    for omission in omissions() {
        let Omission { rule, operation, fsync, .. } = &omission;
        let Some((run, _)) = without(zygote, &omission, "posix") else {
            panic!("{operation} makes no fsync of {fsync}: {rule}");
        };
        assert_eq!(
            run.discoveries.is_empty(),
            *rule == NEEDLESS,
            "{operation} without the fsync of {fsync}: {rule}"
        );
    }
}
