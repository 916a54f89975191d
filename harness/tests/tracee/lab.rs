//! A laboratory: a state folder, commands on it, and all that a strategy shows of them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use flockwork_harness::explore::machine::{Chooser, End, Execution, Pick, Point};
use flockwork_harness::explore::step::Event;
use flockwork_harness::explore::strategy::{Coverage, Strategy};
use flockwork_harness::process::spawner::Network;
use flockwork_harness::process::{Marker, Zygote};
use flockwork_harness::tracee::{
    CommandLine, Ending, Left, Machine, Options, Planned, Settings, TraceeError,
};
use tempfile::TempDir;

/// A folder in memory, where there is such a thing.
pub fn folder() -> TempDir {
    let made = tempfile::Builder::new().prefix("flockwork-test-").tempdir_in("/dev/shm");
    made.or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// How a program of these tests is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    Static,
    Dynamic,
}

/// Says where the actors lie to tests that are run by a user who cannot write there.
pub const ACTORS: &str = "FLOCKWORK_TEST_ACTORS";

/// The actor, compiled once for all tests; none where there is no compiler. It stays in cargo's own folder for tests: what
/// is static is never dropped, and a temporary folder would be left behind.
pub fn actor(build: Build) -> Option<&'static Path> {
    static BUILT: OnceLock<Option<(PathBuf, PathBuf)>> = OnceLock::new();
    let compiled = BUILT.get_or_init(|| {
        if let Some(folder) = std::env::var_os(ACTORS).map(PathBuf::from) {
            return Some((folder.join("actor-static"), folder.join("actor-dynamic")));
        }
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tracee/actor.c");
        let compile = |name: &str, more: &[&str]| {
            let path = place.path().join(name);
            let mut compiler = Command::new("gcc");
            compiler.args(["-O1", "-pthread"]).args(more).arg("-o").arg(&path).arg(&source);
            let done = compiler.status().ok()?;
            assert!(done.success(), "the actor does not compile");
            let lasting = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
            fs::rename(&path, &lasting).expect("to take the place of an earlier one");
            Some(lasting)
        };
        let (fixed, dynamic) = (compile("actor-static", &["-static"])?, compile("actor-dynamic", &[])?);
        Some((fixed, dynamic))
    });
    let (fixed, dynamic) = compiled.as_ref()?;
    Some(if build == Build::Static { fixed } else { dynamic })
}

/// Whether an installed program is there; what needs it is skipped by name otherwise.
pub fn has(program: &str, test: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|paths| std::env::split_paths(&paths).any(|folder| folder.join(program).is_file()));
    skip_unless(found, program, test)
}

pub fn skip_unless(there: bool, what: &str, test: &str) -> bool {
    if !there {
        assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test} needs {what}");
        println!("skipped: {test} needs {what}");
    }
    there
}

/// Who drives commands, and on what.
pub struct Lab {
    pub machine: Machine,
    pub state: PathBuf,
    setup: Box<dyn Fn(&Path)>,
    pub planned: Vec<Planned>,
    _folder: TempDir,
}

/// What an execution showed: how commands ended, what they printed, and what lies in the state folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub commands: Vec<Vec<String>>,
    pub files: Vec<String>,
    pub stuck: bool,
}

/// All that a strategy showed.
#[derive(Debug)]
pub struct Explored {
    pub seen: BTreeSet<Seen>,
    pub executions: u64,
    pub coverage: Coverage,
    pub uncertain: BTreeSet<String>,
    pub diverged: u64,
}

pub fn line(program: &Path, words: &[&str], folder: &Path) -> CommandLine {
    let name = program.file_name().expect("a name").to_string_lossy().into_owned();
    CommandLine {
        program: program.to_owned(),
        words: std::iter::once(name).chain(words.iter().map(|word| (*word).to_owned())).collect(),
        environment: Vec::new(),
        folder: folder.to_owned(),
        stdin: None,
    }
}

/// A command of a shell.
pub fn shell(script: &str) -> (PathBuf, Vec<String>) {
    ("/bin/sh".into(), vec!["-c".into(), script.into()])
}

/// A command of the actor.
pub fn act(words: &str) -> (PathBuf, Vec<String>) {
    let actor = actor(Build::Static).expect("gcc");
    (actor.to_owned(), words.split_ascii_whitespace().map(str::to_owned).collect())
}

/// A processor that this program may use.
pub fn processor() -> Option<usize> {
    let set = nix::sched::sched_getaffinity(nix::unistd::Pid::from_raw(0)).ok()?;
    (0..nix::sched::CpuSet::count()).find(|&one| set.is_set(one).unwrap_or(false))
}

impl Lab {
    /// With these commands, one of each process.
    pub fn open(
        zygote: &Zygote,
        setup: impl Fn(&Path) + 'static,
        commands: &[(PathBuf, Vec<String>)],
        options: Options,
    ) -> Result<Self, TraceeError> {
        let each: Vec<Vec<(PathBuf, Vec<String>)>> = commands.iter().map(|one| vec![one.clone()]).collect();
        Self::rows(zygote, setup, &each, options)
    }

    /// With a row of commands of each process.
    pub fn rows(
        zygote: &Zygote,
        setup: impl Fn(&Path) + 'static,
        rows: &[Vec<(PathBuf, Vec<String>)>],
        options: Options,
    ) -> Result<Self, TraceeError> {
        let folder = folder();
        let [state, scratch] = ["state", "scratch"].map(|name| folder.path().join(name));
        for path in [&state, &scratch] {
            fs::create_dir(path).expect("a folder");
        }
        let processes = rows.iter().map(|row| {
            let lines = row.iter().map(|(program, words)| {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                line(program, &words, &state)
            });
            lines.collect()
        });
        let settings = Settings {
            network: Network::Shared,
            marker: Marker::next().to_string(),
            environment: vec![("LC_ALL".into(), "C".into())],
            binds: Vec::new(),
            processes: processes.collect(),
            folders: vec![state.clone()],
            scratch,
            processor: processor(),
            options,
        };
        let machine = Machine::open(zygote, settings)?;
        Ok(Self { machine, state, setup: Box::new(setup), planned: Vec::new(), _folder: folder })
    }

    /// Puts the state back, and runs an execution.
    pub fn run(&mut self, chooser: &mut dyn Chooser) -> Result<Execution<Left>, TraceeError> {
        for entry in fs::read_dir(&self.state).expect("listed").flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().expect("a type").is_dir();
            if is_folder { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
        }
        (self.setup)(&self.state);
        let planned = self.planned.clone();
        self.machine.run(&planned, chooser, &mut ())
    }

    /// What an execution showed.
    pub fn see(&self, execution: &Execution<Left>) -> Seen {
        let commands = execution.outcome.commands.iter().map(|row| {
            let told = row.iter().map(|command| {
                let ending = match &command.ending {
                    Ending::Status(status) => format!("{status:?}"),
                    other => format!("{other:?}"),
                };
                let [out, err] = [&command.stdout, &command.stderr].map(|text| String::from_utf8_lossy(text));
                format!("{ending} {out}{err}")
            });
            told.collect()
        });
        Seen {
            commands: commands.collect(),
            files: files(&self.state),
            stuck: execution.end == End::Deadlock,
        }
    }

    /// Runs all that a strategy wants; none where that is too much.
    pub fn explore(&mut self, strategy: &mut dyn Strategy, most: u64) -> Option<Explored> {
        let (mut seen, mut uncertain, mut executions) = (BTreeSet::new(), BTreeSet::new(), 0);
        while let Some(mut assignment) = strategy.next() {
            if executions == most {
                return None;
            }
            let execution = self.run(&mut *assignment.chooser).expect("an execution");
            executions += 1;
            if execution.end != End::Abandoned {
                assert_ne!(execution.end, End::TooLong);
                seen.insert(self.see(&execution));
            }
            uncertain.extend(execution.outcome.uncertain.iter().cloned());
            strategy.learn(assignment.ticket, &execution.split().0);
        }
        let diverged = strategy.statistics().diverged;
        Some(Explored { seen, executions, coverage: strategy.coverage(), uncertain, diverged })
    }
}

/// What lies in a folder: names, kinds, contents.
pub fn files(folder: &Path) -> Vec<String> {
    let mut told = Vec::new();
    for entry in walk(folder) {
        let name = entry.strip_prefix(folder).expect("within").display().to_string();
        let kind = fs::symlink_metadata(&entry).expect("there").file_type();
        let what = if kind.is_dir() {
            "/".into()
        } else if kind.is_symlink() {
            format!(" -> {}", fs::read_link(&entry).expect("a link").display())
        } else if kind.is_file() {
            format!(": {:?}", String::from_utf8_lossy(&fs::read(&entry).expect("read")))
        } else {
            " special".into()
        };
        told.push(format!("{name}{what}"));
    }
    told.sort();
    told
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder {
            found.extend(walk(&path));
        }
        found.push(path);
    }
    found
}

/// Follows turns by process number, as far as they can be taken; then whoever can goes on.
pub struct Turns(pub Vec<usize>, pub usize);

impl Chooser for Turns {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        while let Some(&process) = self.0.get(self.1) {
            self.1 += 1;
            if point.enabled.has(process) {
                return Pick::Step(process);
            }
        }
        let last = point.last.filter(|&last| point.enabled.has(last));
        last.or(point.enabled.lowest()).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}

/// Where a program is installed.
pub fn which(program: &str) -> PathBuf {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let places: Vec<PathBuf> = std::env::split_paths(&paths).map(|folder| folder.join(program)).collect();
    // Whatever starts other programs first is slow, and no program of interest.
    let installed = Path::new("/usr/bin").join(program);
    if installed.is_file() {
        installed
    } else {
        places.into_iter().find(|path| path.is_file()).expect("installed")
    }
}
