//! Running `flockwork race` as a user does, and reading what it reports.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::pair::{By, Race};

/// What a race, or a stress run, came to.
#[derive(Debug, Deserialize, Serialize)]
pub struct Raced {
    /// The exit code.
    pub code: i32,
    /// What it says of itself; none where it ended before it raced.
    pub report: Option<Report>,
    /// All that it wrote to stderr.
    pub told: String,
    /// How long it took, from start to end, in seconds.
    pub seconds: f64,
}

/// The part of the report that is of interest here.
#[derive(Debug, Deserialize, Serialize)]
pub struct Report {
    /// What was seen.
    pub verdict: String,
    /// Whether the commands were held at their calls.
    #[serde(default)]
    pub controlled: bool,
    /// Why they were not.
    #[serde(default)]
    pub uncontrolled: Option<String>,
    /// Which part of all executions was seen.
    #[serde(default)]
    pub coverage: Option<String>,
    /// How many executions overlapped.
    #[serde(default)]
    pub executions: u64,
    /// How many operations a stress run did.
    #[serde(default)]
    pub operations: u64,
    /// What came of cloning programs, where they were to be.
    #[serde(default)]
    pub fork_server: Option<Clones>,
    /// Why it is not simply clean or a violation.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// What was found.
    #[serde(default)]
    pub violations: Vec<Violation>,
}

/// What came of cloning programs.
#[derive(Debug, Deserialize, Serialize)]
pub struct Clones {
    /// Executions whose programs were clones.
    pub executions: u64,
    /// Of these, how many were run again with programs that were started.
    pub compared: u64,
    /// Why programs were started all the same.
    pub refused: Option<String>,
}

/// A finding.
#[derive(Debug, Deserialize, Serialize)]
pub struct Violation {
    /// The class.
    pub class: String,
    /// What is wrong, in words.
    pub message: String,
}

impl Raced {
    /// The classes that were found.
    pub fn classes(&self) -> Vec<&str> {
        let violations = self.report.iter().flat_map(|report| &report.violations);
        violations.map(|violation| violation.class.as_str()).collect()
    }
}

/// Races what the pair names, in a place where the program lies; `options` say how.
pub fn race(place: &Path, race: &Race, options: &[String]) -> Raced {
    let mut words: Vec<String> = ["--env", "TOOL_DIR=state"].map(str::to_owned).into();
    let each = |flag: &str, commands: &[String]| {
        commands.iter().flat_map(|command| [flag.to_owned(), command.clone()]).collect::<Vec<_>>()
    };
    words.extend(each("--setup", &race.setup));
    words.extend(each("--then", &race.then));
    if race.by == By::Kill {
        words.extend(["--faults".to_owned(), "kill".to_owned()]);
    }
    words.extend_from_slice(options);
    words.extend(commands(&race.processes));
    flockwork_race(place, &words)
}

/// The last words of the command line.
fn commands(processes: &[Vec<String>]) -> Vec<String> {
    if processes.iter().all(|commands| commands.len() == 1) {
        return ["--".to_owned()].into_iter().chain(processes.iter().flatten().cloned()).collect();
    }
    let process = |commands: &Vec<String>| ["--process".to_owned()].into_iter().chain(commands.clone());
    processes.iter().flat_map(process).collect()
}

/// `flockwork race` on the folder `state` of a place, with more words.
pub fn flockwork_race(place: &Path, words: &[String]) -> Raced {
    flockwork(place, &["race", "--state", "state"], words)
}

/// The scenario of a pair, whose model judges what its program does under stress, with more words.
pub fn stress(place: &Path, scenario: &Path, words: &[String]) -> Raced {
    flockwork(place, &["run", &scenario.display().to_string()], words)
}

fn flockwork(place: &Path, first: &[&str], words: &[String]) -> Raced {
    let begun = std::time::Instant::now();
    let output = Command::new(assert_cmd::cargo::cargo_bin!("flockwork"))
        .args(first)
        .args(["--format", "json", "--results-dir", "results"])
        .args(words)
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .expect("flockwork runs");
    let seconds = begun.elapsed().as_secs_f64();
    let report = serde_json::from_slice(&output.stdout)
        .ok()
        .and_then(|mut report: Value| serde_json::from_value(report["scenarios"][0].take()).ok());
    let code = output.status.code().unwrap_or_else(|| panic!("flockwork died: {}", output.status));
    Raced { code, report, told: String::from_utf8_lossy(&output.stderr).into_owned(), seconds }
}
