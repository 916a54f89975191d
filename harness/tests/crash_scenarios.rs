//! The scenarios of `scenarios/crash`, which hold `flockwork crash` against real tools: the quick ones in every run, all of
//! them by `just crash-table`, which makes the table of docs/crash.md.
//!
//! What a scenario needs is named in its first line; where that is not installed, the scenario is skipped by name.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

/// Those that take a second or two each.
const QUICK: &[&str] = &[
    "cp-over",
    "fsync-of-both",
    "gzip-synchronous",
    "jq-sync-and-mv",
    "mv-across-filesystems",
    "redirect",
    "sed-in-place",
    "sort-onto-input",
    "sqlite-delete-full",
    "two-files-one-link",
];

/// The disks of the table.
const DISKS: [&str; 4] = ["ext4", "xfs", "btrfs", "posix"];

/// Packages that are no programs, and where they lie.
const PACKAGES: [(&str, &str); 2] = [
    ("python3-atomicwrites", "/usr/lib/python3/dist-packages/atomicwrites"),
    ("golang-github-google-renameio-dev", "/usr/share/gocode/src/github.com/google/renameio"),
];

struct Scenario {
    name: String,
    about: String,
    needs: Vec<String>,
    is_found: bool,
    tries_kills: bool,
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn scenarios() -> Vec<Scenario> {
    let folder = workspace().join("scenarios/crash");
    let mut names: Vec<String> = fs::read_dir(&folder)
        .expect("scenarios/crash")
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned()))
        .collect();
    names.sort();
    assert!(names.len() > 30, "only {}: the test looks in the wrong place", names.len());
    names.into_iter().map(|name| scenario(&folder, name)).collect()
}

fn scenario(folder: &Path, name: String) -> Scenario {
    let text = fs::read_to_string(folder.join(format!("{name}.toml"))).expect("a scenario");
    let table: toml::Table = text.parse().expect("TOML");
    let first = text.lines().next().unwrap_or_default();
    let needs = first.strip_prefix("# Needs ").and_then(|needs| needs.strip_suffix('.'));
    Scenario {
        about: table["about"].as_str().expect("text").to_owned(),
        needs: needs.map_or(Vec::new(), |needs| needs.split(", ").map(str::to_owned).collect()),
        is_found: !table["expect"]["violations"].as_array().expect("a list").is_empty(),
        tries_kills: table["crash"].get("kill").and_then(toml::Value::as_bool).unwrap_or(true),
        name,
    }
}

impl Scenario {
    /// What it needs and is not here.
    fn lacks(&self) -> Option<&str> {
        let is_here = |need: &str| {
            if let Some((_, path)) = PACKAGES.iter().find(|(package, _)| *package == need) {
                return Path::new(path).exists();
            }
            let path = std::env::var_os("PATH").unwrap_or_default();
            Path::new(need).is_absolute() && Path::new(need).is_file()
                || std::env::split_paths(&path).any(|folder| folder.join(need).is_file())
        };
        self.needs.iter().map(String::as_str).find(|need| !is_here(need))
    }

    /// The report of a run, and how many seconds it took. `set` overrides keys.
    fn run(&self, set: &[String]) -> (Value, f64) {
        let place = tempfile::tempdir().expect("a folder");
        let binary = std::env::var_os("FLOCKWORK_BINARY")
            .map_or_else(|| assert_cmd::cargo::cargo_bin!("flockwork").to_owned(), PathBuf::from);
        let mut command = Command::new(binary);
        command
            .current_dir(workspace())
            .args(["run", "--seed", "1", "--format", "json"])
            .arg(format!("scenarios/crash/{}.toml", self.name))
            .arg("--root")
            .arg(place.path())
            .arg("--results-dir")
            .arg(place.path().join("results"))
            .stdin(Stdio::null());
        for set in set {
            command.args(["--set", set]);
        }
        let begun = Instant::now();
        let output = command.output().expect("flockwork runs");
        let seconds = begun.elapsed().as_secs_f64();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
            panic!("{}: {error}: {}", self.name, String::from_utf8_lossy(&output.stderr))
        });
        (report["scenarios"][0].clone(), seconds)
    }
}

#[test]
fn what_is_said_of_a_scenario_is_what_it_expects() {
    for scenario in scenarios() {
        let (found, clean) = (scenario.about.contains(" Found:"), scenario.about.contains(" Clean"));
        assert!(found != clean, "{}: found or clean, with the reason: {}", scenario.name, scenario.about);
        assert_eq!(found, scenario.is_found, "{}", scenario.name);
    }
}

#[test]
fn real_tools_end_as_their_scenarios_expect() {
    let all = scenarios();
    for name in QUICK {
        let scenario = all.iter().find(|scenario| scenario.name == *name).expect(name);
        if is_skipped(scenario) {
            continue;
        }
        let (report, _) = scenario.run(&[]);
        assert_eq!(report["expected"], true, "{name}: {report:#}");
        assert!(report["states"].as_u64().is_some_and(|states| states > 2), "{name}: {report:#}");
        assert_eq!(report["kills"].is_null(), !scenario.tries_kills, "{name}: {report:#}");
    }
}

/// Where it cannot run, it is told; with `FLOCKWORK_REQUIRE_ALL=1` that is a failure.
fn is_skipped(scenario: &Scenario) -> bool {
    let lack = if nix::unistd::geteuid().is_root() { scenario.lacks() } else { Some("root") };
    let Some(lack) = lack else { return false };
    assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{} needs {lack}", scenario.name);
    println!("skipped: {} needs {lack}", scenario.name);
    true
}

#[test]
#[ignore = "runs every scenario on every disk, for `just crash-table`"]
fn publish() {
    const BEGIN: &str = "<!-- tools: written by `just crash-table` -->\n";
    const END: &str = "<!-- end of tools -->\n";
    let mut text =
        "| command | killed | ext4 | xfs | btrfs | posix | why; what is lost on ext4 | seconds |\n"
            .to_owned();
    text += "|---|---|---|---|---|---|---|---|\n";
    for scenario in scenarios() {
        if let Some(lack) = scenario.lacks() {
            println!("skipped: {} needs {lack}", scenario.name);
            continue;
        }
        text += &row(&scenario);
        println!("{}", text.lines().last().unwrap_or_default());
    }
    let path = workspace().join("docs/crash.md");
    let page = fs::read_to_string(&path).expect("docs/crash.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark after the table");
    fs::write(&path, format!("{before}{BEGIN}{text}{END}{after}")).expect("docs/crash.md is writable");
}

fn row(scenario: &Scenario) -> String {
    let mut cells = Vec::new();
    let (mut killed, mut lost, mut took) = ("not tried".to_owned(), None, 0.0);
    for disk in DISKS {
        let mut set = vec![format!("crash.disk=\"{disk}\"")];
        if disk != "ext4" {
            set.extend(["crash.kill=false".to_owned(), "crash.budget={ time = \"40s\" }".to_owned()]);
        }
        let (report, seconds) = scenario.run(&set);
        let violations = report["violations"].as_array().cloned().unwrap_or_default();
        let messages: Vec<&str> =
            violations.iter().filter_map(|violation| violation["message"].as_str()).collect();
        let by_kill = |message: &&&str| message.starts_with("killed before");
        if disk == "ext4" {
            assert_eq!(report["expected"], true, "{}: {report:#}", scenario.name);
            if let Some(kills) = report["kills"].as_u64() {
                let verdict =
                    if messages.iter().any(|message| by_kill(&message)) { "found" } else { "clean" };
                killed = format!("{verdict}, {kills} kills");
            }
            lost = messages.iter().find(|message| !by_kill(message)).map(|message| (*message).to_owned());
            took = seconds;
        }
        let is_found = messages.iter().any(|message| !by_kill(&message));
        let bounded = if report["coverage"] == "exhausted" { "" } else { ", bounded" };
        let verdict = match (is_found, &report["verdict"]) {
            (true, _) => "found",
            (false, verdict) if verdict == "clean" => "clean",
            (false, _) => "undecided",
        };
        cells.push(match report["states"].as_u64() {
            Some(states) => format!("{verdict}, {states} states{bounded}"),
            None => "not judged".to_owned(),
        });
    }
    let (subject, why) = [" Found: ", " Clean: ", " Clean, ", " Clean."]
        .iter()
        .find_map(|word| scenario.about.split_once(word))
        .unwrap_or((&scenario.about, ""));
    let mut why = why.trim_end_matches('.').to_owned();
    if let Some(lost) = lost {
        let lost: String = lost.chars().take(160).collect();
        let lost = flockwork::printable(&lost.replace('\n', " ")).to_string();
        write!(why, "; {}", lost.replace('|', "\\|")).expect("memory takes it");
    }
    format!(
        "| [{}](../scenarios/crash/{}.toml) | {killed} | {} | {why} | {took:.1} |\n",
        subject.trim_end_matches(['.', ',']),
        scenario.name,
        cells.join(" | ")
    )
}
