//! What is explored: spaces, each a family of programs on one setting of the library.

use flockwork::Operation::{
    self, Checkpoint, Create, Delete, ForceDelete, Kill, List, Pause, Restore, Resume, Start, State,
};
use flockwork_harness::plan::schedule::{Fault, Injected};
use flockwork_harness::plan::{LibraryPlan, SubjectPlan};

/// Every operation that is paired with every other.
pub const OPERATIONS: [Operation; 11] =
    [Create, Start, Restore, Pause, Resume, Kill, Delete, ForceDelete, State, List, Checkpoint];

/// Every status, with the operations that lead to it.
pub const STATUSES: [(&str, &[Operation]); 6] = [
    ("absent", &[]),
    ("created", &[Create]),
    ("running", &[Create, Start]),
    ("paused from created", &[Create, Pause]),
    ("paused from running", &[Create, Start, Pause]),
    ("stopped", &[Create, Start, Kill]),
];

/// What some processes do from one status.
#[derive(Clone, Debug)]
pub struct Case {
    pub status: &'static str,
    pub setup: &'static [Operation],
    pub programs: Vec<Vec<Operation>>,
}

impl Case {
    pub fn new((status, setup): (&'static str, &'static [Operation]), programs: &[&[Operation]]) -> Self {
        Self { status, setup, programs: programs.iter().map(|program| program.to_vec()).collect() }
    }

    /// In a few words.
    pub fn words(&self) -> String {
        let program =
            |program: &Vec<Operation>| program.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let programs: Vec<_> = self.programs.iter().map(program).collect();
        format!("{} from {}", programs.join(" / "), self.status)
    }
}

/// Every pair of operations from one status.
pub fn pairs(status: (&'static str, &'static [Operation])) -> Vec<Case> {
    let mut cases = Vec::new();
    for (index, &one) in OPERATIONS.iter().enumerate() {
        for &other in &OPERATIONS[index..] {
            cases.push(Case::new(status, &[&[one], &[other]]));
        }
    }
    cases
}

/// Which faults meet the processes, one in each schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    None,
    Kill,
    Errors,
}

impl Faults {
    pub const ALL: [Self; 3] = [Self::None, Self::Kill, Self::Errors];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::Errors => "errors",
        }
    }

    pub fn list(self) -> Vec<Fault> {
        match self {
            Self::None => Vec::new(),
            Self::Kill => vec![Fault::Kill, Fault::ShortWriteKill],
            Self::Errors => Injected::ALL.into_iter().map(Fault::Error).chain([Fault::ShortWrite]).collect(),
        }
    }
}

/// A setting of the library.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub lock: &'static str,
    pub write: &'static str,
}

pub const DEFAULT: Setting = Setting { lock: "fs2", write: "rename" };

impl Setting {
    pub fn subject(self) -> SubjectPlan {
        let lock = self.lock.parse().expect("a lock");
        let write = self.write.parse().expect("a way to write");
        SubjectPlan::Library(LibraryPlan { lock, write, ..LibraryPlan::default() })
    }
}

/// A family of programs on one setting.
#[derive(Clone, Debug)]
pub struct Space {
    pub setting: Setting,
    pub faults: Faults,
    pub programs: &'static str,
    pub cases: Vec<Case>,
    pub preemptions_max: Option<u32>,
}

impl Space {
    /// By what it is asked for.
    pub fn name(&self) -> String {
        let Setting { lock, write } = self.setting;
        format!("{lock}/{write}/{}/{}", self.faults.as_str(), self.programs.replace(' ', "-"))
    }
}

/// Three processes, on everything that two cannot show.
fn triples() -> Vec<Space> {
    let absent = || STATUSES[0];
    let three = [
        ("create create create", Case::new(absent(), &[&[Create], &[Create], &[Create]])),
        ("create delete create", Case::new(STATUSES[1], &[&[Create], &[Delete], &[Create]])),
        ("pause resume state", Case::new(STATUSES[2], &[&[Pause], &[Resume], &[State]])),
    ];
    three
        .into_iter()
        .map(|(programs, case)| Space {
            setting: DEFAULT,
            faults: Faults::None,
            programs,
            cases: vec![case],
            preemptions_max: None,
        })
        .collect()
}

/// All of them.
pub fn all() -> Vec<Space> {
    let mut spaces = Vec::new();
    let settings = [
        DEFAULT,
        Setting { lock: "fs2", write: "fsync" },
        Setting { lock: "ofd", write: "rename" },
        Setting { lock: "lockfile", write: "rename" },
        Setting { lock: "std", write: "rename" },
        Setting { lock: "posix", write: "rename" },
    ];
    for setting in settings {
        for faults in Faults::ALL {
            for status in STATUSES {
                let cases = pairs(status);
                spaces.push(Space { setting, faults, programs: status.0, cases, preemptions_max: None });
            }
        }
    }
    spaces.extend(triples());
    spaces
}
