//! What is found with a pool of grounds is what is found without: by the same execution, of the same class, as often again.

use std::path::{Path, PathBuf};
use std::process::Command;

use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::Runtime;
use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde_json::Value;

use super::{flockwork, is_usable, said, scenario, workspace};

/// On one processor there is no pool.
const ONE: bool = true;

/// The processors that this test may use, if they are several.
fn processors() -> Option<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).expect("the kernel tells");
    let all: Vec<usize> = (0..CpuSet::count()).filter(|one| allowed.is_set(*one).unwrap_or(false)).collect();
    (all.len() > 1).then_some(all)
}

/// Races commands of the pretender; what a report tells of it, and its exit code.
fn race(is_on_one: bool, words: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    race_with_results(folder.path(), is_on_one, words)
}

/// The same, with its results in this folder.
fn race_with_results(folder: &Path, is_on_one: bool, words: &[&str]) -> (i32, Value) {
    let results = folder.join("results");
    let pretender: PathBuf = workspace().join("harness/tests/runtimes/pretender.sh");
    let own = ["race", "--subject", "crun", "--path", pretender.to_str().expect("UTF-8"), "--format", "json"];
    let plain = flockwork(&own);
    let mut command = if is_on_one {
        let processor = processors().expect("there are several")[0].to_string();
        let mut taskset = Command::new("taskset");
        taskset.args(["--cpu-list", &processor]).arg(plain.get_program()).args(plain.get_args());
        taskset.current_dir(workspace());
        taskset
    } else {
        plain
    };
    let output = command.arg("--results-dir").arg(&results).args(words).output().expect("it runs");
    let scenario = scenario(&output);
    assert_eq!(scenario["controlled"], true, "{scenario}");
    (output.status.code().expect("nobody kills it"), scenario)
}

pub fn what_is_found_with_a_pool_is_what_is_found_without(_: &Zygote) {
    if !is_usable(Runtime::Crun) {
        return;
    }
    if processors().is_none() {
        println!("skipped: there is one processor only");
        return;
    }
    for seed in ["1", "2", "3"] {
        let words = ["--seed", seed, "--strategy", "random", "--budget", "600s"];
        let commands = ["--", "create c1", "state c1"];
        let found = [ONE, !ONE].map(|is_on_one| race(is_on_one, &[&words[..], &commands].concat()));
        let told = found.each_ref().map(|(code, scenario)| {
            assert_eq!(*code, 100, "{scenario}");
            let violation = &scenario["violations"][0];
            assert_eq!(violation["class"], "leftover", "{scenario}");
            assert!(violation["message"].to_string().contains("c1.stale"), "{scenario}");
            let shows = ["found_by_schedule", "reproduction"].map(|key| find(violation, key).clone());
            (violation["signature"].clone(), shows, scenario["executions"].clone())
        });
        assert_eq!(told[0], told[1], "{found:?}");
        // The last execution of all is examined before anything is said.
        let last = told[0].1[0].to_string();
        let folder = tempfile::tempdir().expect("a folder");
        let words = [&words[..], &["--executions", &last], &commands].concat();
        let (code, scenario) = race_with_results(folder.path(), !ONE, &words);
        assert_eq!(code, 100, "{scenario}");
        let finding = scenario["violations"][0]["finding"].as_str().expect("a path");
        let replayed = flockwork(&["replay", finding]).output().expect("it runs");
        assert!(said(&replayed).contains("reproduced: leftover"), "{}", said(&replayed));
        assert_eq!(replayed.status.code(), Some(0), "{}", said(&replayed));
        assert_eq!(*find(&scenario["violations"][0], "found_by_schedule"), told[0].1[0], "{scenario}");
    }
}

pub fn a_search_covers_as_much_with_a_pool_as_without(_: &Zygote) {
    if !is_usable(Runtime::Crun) || processors().is_none() {
        return;
    }
    let words = ["--seed", "7", "--budget", "600s", "--", "create c1", "create c1"];
    let told = [ONE, !ONE].map(|is_on_one| {
        let (code, scenario) = race(is_on_one, &words);
        assert_eq!(scenario["violations"].as_array().map(Vec::len), Some(0), "{scenario}");
        (code, ["verdict", "coverage", "executions", "diverged"].map(|key| scenario[key].clone()))
    });
    assert_eq!(told[0], told[1]);
}

/// The first value of a key, however deep it lies.
fn find<'v>(value: &'v Value, key: &str) -> &'v Value {
    fn search<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
        match value {
            Value::Object(map) => map.get(key).or_else(|| map.values().find_map(|one| search(one, key))),
            Value::Array(all) => all.iter().find_map(|one| search(one, key)),
            _ => None,
        }
    }
    search(value, key).unwrap_or_else(|| panic!("no {key} in {value}"))
}
