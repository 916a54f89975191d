//! Scripts on real processes, as a machine that strategies run on, and what is seen of each execution.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flockwork::Operation;
use flockwork_harness::engine::EngineError;
use flockwork_harness::engine::explore::{Executor, Remains};
use flockwork_harness::explore::machine::{Chooser, End, Execution};
use flockwork_harness::explore::strategy::{Coverage, Statistics, Strategy};
use flockwork_harness::history::{History, Outcome};
use flockwork_harness::plan::parts::Parts;
use flockwork_harness::plan::schedule::Line;
use flockwork_harness::plan::{Call, ExploreBudget, ExplorePlan, RepeatPlan, StrategyPlan};
use flockwork_harness::process::Zygote;
use tempfile::TempDir;

use crate::script::{self, Script};

/// A folder in memory, where there is such a thing: explorations are faster there.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let made = tempfile::Builder::new().prefix("flockwork-test-").tempdir_in(memory);
    made.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// The operation that does the script of this index.
pub fn doing(script: usize) -> Call {
    Call { operation: Operation::Pause, container: script as u32 }
}

/// The plan of these scripts: the first sets up, and each process does one of the others.
pub fn plan(root: PathBuf, setup: &Script, scripts: &[Script]) -> ExplorePlan {
    let mut all = vec![setup.clone()];
    all.extend_from_slice(scripts);
    ExplorePlan {
        subject: script::plan(&all),
        root,
        seed: 1,
        containers: (0..all.len()).map(|number| format!("s{number}")).collect(),
        setup: vec![doing(0)],
        processes: (1..all.len()).map(|number| vec![doing(number)]).collect(),
        strategy: StrategyPlan::Exhaustive { preemptions: None },
        faults: Vec::new(),
        fault_bound: 1,
        budget: ExploreBudget { schedules: u64::MAX, time_ns: 600_000_000_000 },
        repeat: RepeatPlan::All,
        payload_bytes: 0,
        step_ns: 60_000_000_000,
        steps_max: 1000,
        lanes: 1,
        parts: Parts::ALL,
        power: None,
    }
}

/// Scripts on real processes.
pub struct Real {
    pub executor: Executor,
    pub programs: Vec<Vec<Call>>,
    pub faults: Vec<Line>,
    /// Dropped last.
    _folder: TempDir,
}

impl Real {
    /// As many processes as there are scripts, each with one.
    pub fn open(zygote: &mut Zygote, setup: &Script, scripts: &[Script]) -> Result<Self, EngineError> {
        Self::with(zygote, setup, scripts, |_| ())
    }

    /// The same, with something else in the plan.
    pub fn with(
        zygote: &mut Zygote,
        setup: &Script,
        scripts: &[Script],
        change: impl FnOnce(&mut ExplorePlan),
    ) -> Result<Self, EngineError> {
        let folder = folder();
        let mut plan = plan(folder.path().to_owned(), setup, scripts);
        change(&mut plan);
        let executor = Executor::open(zygote, &plan)?;
        let programs = plan.processes;
        Ok(Self { executor, programs, faults: Vec::new(), _folder: folder })
    }

    pub fn run(&mut self, chooser: &mut dyn Chooser) -> Result<Execution<Remains>, EngineError> {
        self.executor.run(&self.programs, &self.faults, chooser)
    }

    /// Runs an execution, and looks at what it left.
    pub fn see(&mut self, chooser: &mut dyn Chooser) -> (Execution<()>, Seen) {
        let execution = self.run(chooser).expect("an execution");
        let seen = Seen::of(self.executor.root(), &execution);
        (execution.split().0, seen)
    }

    /// Runs all that a strategy wants.
    pub fn explore(&mut self, strategy: &mut dyn Strategy, executions_max: u64) -> Option<Explored> {
        let mut seen = BTreeSet::new();
        let mut executions = 0;
        while let Some(mut assignment) = strategy.next() {
            if executions == executions_max {
                return None;
            }
            let (execution, what) = self.see(&mut *assignment.chooser);
            executions += 1;
            if execution.end != End::Abandoned {
                assert_ne!(execution.end, End::TooLong);
                seen.insert(what);
            }
            strategy.learn(assignment.ticket, &execution);
        }
        Some(Explored { seen, statistics: strategy.statistics(), coverage: strategy.coverage() })
    }
}

/// All that a strategy showed.
#[derive(Debug)]
pub struct Explored {
    pub seen: BTreeSet<Seen>,
    pub statistics: Statistics,
    pub coverage: Coverage,
}

/// What can be seen of one execution.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    /// What lies in the folder, by path.
    pub files: BTreeMap<String, String>,
    /// What each operation answered: by process and in its order; none where it never did.
    pub answers: BTreeMap<u32, Vec<Option<String>>>,
    /// Which operations were over before others began: by process and index.
    pub before: BTreeSet<((u32, usize), (u32, usize))>,
    pub deadlock: bool,
}

impl Seen {
    fn of(root: &Path, execution: &Execution<Remains>) -> Self {
        let mut files = BTreeMap::new();
        look(root, "", &mut BTreeMap::new(), &mut files);
        let history = &execution.outcome.history;
        let deadlock = execution.end == End::Deadlock;
        Self { files, answers: answers(history), before: before(history), deadlock }
    }
}

/// What operations answered.
pub fn answers(history: &History) -> BTreeMap<u32, Vec<Option<String>>> {
    let mut answers = BTreeMap::<u32, Vec<_>>::new();
    for record in &history.records {
        let message = history.message(record).map(str::to_owned);
        let answered = (record.outcome != Outcome::Unknown).then(|| message.unwrap_or_default());
        answers.entry(record.process).or_default().push(answered);
    }
    answers
}

fn before(history: &History) -> BTreeSet<((u32, usize), (u32, usize))> {
    let mut indexes = BTreeMap::<u32, usize>::new();
    let mut number = |process: u32| {
        let index = indexes.entry(process).or_default();
        *index += 1;
        (process, *index)
    };
    let named: Vec<_> = history.records.iter().map(|record| (number(record.process), record)).collect();
    let mut before = BTreeSet::new();
    for (one, earlier) in &named {
        for (other, later) in &named {
            if earlier.outcome != Outcome::Unknown && earlier.deadline_ns() < later.invoke_ns {
                before.insert((*one, *other));
            }
        }
    }
    before
}

/// Looks at a folder with means of its own, not with the engine's.
fn look(
    folder: &Path,
    prefix: &str,
    inodes: &mut BTreeMap<u64, String>,
    files: &mut BTreeMap<String, String>,
) {
    let mut entries: Vec<_> = fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap()).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
        let metadata = entry.metadata().expect("metadata");
        let mode = metadata.mode();
        let what = if metadata.is_dir() {
            look(&entry.path(), &format!("{path}/"), inodes, files);
            format!("{mode:o}")
        } else if metadata.is_symlink() {
            format!("-> {}", fs::read_link(entry.path()).expect("a link").display())
        } else {
            let text = fs::read_to_string(entry.path()).expect("text");
            let first = inodes.entry(metadata.ino()).or_insert_with(|| path.clone());
            format!("{mode:o} is {first}, {} links: {text:?}", metadata.nlink())
        };
        files.insert(path, what);
    }
}

/// What lies in a folder.
pub fn lies_in(folder: &Path) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    look(folder, "", &mut BTreeMap::new(), &mut files);
    files
}
