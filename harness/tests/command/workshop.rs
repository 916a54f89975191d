//! A folder with a tool in it, and scenarios of it.

use std::path::Path;

use serde_json::Value;

use super::program;
use super::support::{Place, ends_with, json};

/// A counter in a file. Between reading and writing it takes its time, so that nobody needs luck to lose an update.
pub const COUNTER: &str = r#"#!/bin/sh
cd "$STATE" || exit 9
if [ "$1" = read ]; then cat count 2>/dev/null || echo 0; exit 0; fi
n=$(cat count 2>/dev/null || echo 0)
sleep 0.02
echo $((n + $2)) > new.$$
mv new.$$ count
echo $((n + $2))
"#;

/// The same under a lock.
pub const LOCKED: &str = r#"#!/bin/sh
cd "$STATE" || exit 9
exec 9>>lock
flock 9
if [ "$1" = read ]; then cat count 2>/dev/null || echo 0; exit 0; fi
n=$(cat count 2>/dev/null || echo 0)
echo $((n + $2)) > new
mv new count
echo $((n + $2))
"#;

/// What stands in front of a scenario of a counter.
pub const SUBJECT: &str = r#"
about = "A counter in a file."
kind = "stress"

[subject]
name = "command"
model = "counter"
env = { STATE = "{state}" }
time_limit = "20s"
answers = [{ exit = 0, stdout = '^(?<saw>-?\d+)$', outcome = "ok" }]
"#;

/// Its operations.
pub const OPERATIONS: &str = r#"
[subject.operations.add]
command = ["./tool", "add", "{value}"]

[subject.operations.read]
command = "./tool read"

[stress]
processes = 4
operations = 60
"#;

pub struct Workshop {
    pub place: Place,
}

impl Workshop {
    /// With this tool, and this scenario of it.
    pub fn new(tool: &str, scenario: &str) -> Self {
        let workshop = Self { place: Place::new() };
        workshop.program("tool", tool);
        workshop.place.file("it.toml", scenario);
        workshop
    }

    /// With this tool as a counter; `more` is put behind the scenario, which ends in `[stress]`.
    pub fn counter(tool: &str, more: &str) -> Self {
        Self::new(tool, &format!("{SUBJECT}{OPERATIONS}{more}\n"))
    }

    pub fn program(&self, name: &str, text: &str) {
        program::write(&self.path().join(name), text);
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Runs the scenario, as JSON; what is said of it.
    #[track_caller]
    pub fn run(&self, flags: &[&str], code: i32) -> Value {
        let words = [&["it.toml", "--format", "json", "--seed", "5"], flags].concat();
        let report = json(&ends_with(&mut self.place.run(&words), code));
        report["scenarios"][0].clone()
    }
}

/// The classes of what was found, each once.
pub fn classes(scenario: &Value) -> Vec<String> {
    let violations = scenario["violations"].as_array().expect("a list");
    let mut classes: Vec<String> =
        violations.iter().map(|violation| violation["class"].as_str().unwrap().to_owned()).collect();
    classes.sort();
    classes.dedup();
    classes
}

/// The verdict of a check.
pub fn check<'s>(scenario: &'s Value, name: &str) -> &'s str {
    let checks = scenario["checks"].as_array().expect("a list");
    let check =
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name}: {checks:?}"));
    check["verdict"].as_str().unwrap()
}
