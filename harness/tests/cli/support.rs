//! What the command line's tests share: the binary, a place to run it in, and scenarios.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A sound scenario of the library.
pub const SOUND: &str = r#"
about = "Four processes."
kind = "stress"

[subject]
name = "library"

[stress]
processes = 4
operations = 2_000
think = "0us..50us"
mix = { create = 2, start = 2, pause = 20, resume = 20, state = 5, kill = 1, delete = 2 }
handoff_min = 0.0
"#;

/// A protocol without locks: torn, lost and doubled, sooner or later.
pub const BROKEN: &str = r#"
about = "No lock at all."
kind = "stress"

[subject]
name = "replica"
replica = "gvisor-unlocked"

[stress]
processes = 8
containers = 4
operations = 8_000
think = "0us..50us"
payload = "1KiB"
mix = { create = 4, start = 4, state = 6, force-delete = 3 }
handoff_min = 0.0
"#;

/// A folder to run the binary in: results, roots and scenarios all lie there.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// An empty place, but for an empty root.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// Writes a file.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    /// The binary, to be run in this place.
    pub fn flockwork(&self, words: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("flockwork"));
        command.current_dir(self.path()).args(words);
        // What runs of others left is not for these to clear, nor the other way round.
        command.env("XDG_STATE_HOME", self.path().join(".user-state"));
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        // Where the tests themselves are run by a scheduler, the binary is not what it shares out.
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy().into_owned();
            if ["SLURM_", "CI_NODE_", "BUILDKITE_", "TEST_", "JOB_COMPLETION_", "FLOCKWORK_", "GITHUB_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(variable);
            }
        }
        command
    }

    /// `flockwork run` with this place's root: a run of free processes, whose violations are not sought again under control: that has tests of its own.
    pub fn run(&self, words: &[&str]) -> Command {
        let mut command = self.flockwork(&["run", "--root", "root", "--no-explain"]);
        command.args(words);
        command
    }

    /// The same, as anybody would type it.
    pub fn run_explained(&self, words: &[&str]) -> Command {
        let mut command = self.flockwork(&["run", "--root", "root"]);
        command.args(words);
        command
    }

    /// Folders of runs in `results/`, in the order of their names.
    pub fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.path().join("results")) else { return Vec::new() };
        let mut runs: Vec<_> = entries
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().unwrap().is_dir())
            .map(|entry| entry.path())
            .collect();
        runs.sort();
        runs
    }

    /// What still lies in the root.
    pub fn remains(&self) -> Vec<PathBuf> {
        fs::read_dir(self.root()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command and checks how it ends; what it said is in the message where it ends otherwise.
#[track_caller]
pub fn ends_with(command: &mut Command, code: i32) -> Output {
    let output = command.output().unwrap();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{command:?}\nstdout:\n{out}\nstderr:\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    output
}

/// Stdout as the one JSON document that it must be.
#[track_caller]
pub fn json(output: &Output) -> serde_json::Value {
    let text = stdout(output);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// The JSON of a file; whatever else is there fails the test.
#[track_caller]
pub fn json_file(path: &Path) -> serde_json::Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// Says that a test was not run, and why. Where everything is required, that is a failure.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test} cannot be run: {why}");
    println!("skipped {test}: {why}");
}

/// The same command, by another that arranges how it is started (`nohup`, `env`) and then becomes it.
pub fn started_by(starter: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(starter[0]);
    wrapped.args(&starter[1..]).arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        wrapped.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
}

/// The same command, which hears all signals. What a shell starts in the background does not hear `SIGINT`, and these tests
/// may have been wrapped so.
pub fn hearing(command: &Command) -> Command {
    started_by(&["env", "--default-signal=HUP,INT,QUIT,TERM"], command)
}
