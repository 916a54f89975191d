//! Explorations, their findings, and what replays and shrinks them.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{BROKEN, Place, SOUND, ends_with, json, json_file, skip, stderr, stdout};

/// Two pauses on the protocol of 2018, beside a bystander: both can succeed.
pub const TWO_PAUSES: &str = r#"
about = "Two pauses, and somebody who looks on."
kind = "explore"

[subject]
name = "replica"
replica = "gvisor-2018"

[explore]
setup = ["create c1", "start c1"]
processes = [["state c1", "pause c1"], ["pause c1"]]

[expect]
violations = ["lost-update"]
also = ["not-linearizable", "torn-read", "collateral", "unrecoverable", "subject-crash", "status-mismatch"]
"#;

/// The library keeps what the protocol of 2018 broke.
const CLEAN: &str = r#"
about = "Two pauses of one running container."
kind = "explore"

[subject]
name = "library"

[explore]
setup = ["create c1", "start c1"]
processes = [["pause c1"], ["pause c1"]]
"#;

/// A place, if this machine can explore at all.
pub fn place(test: &str) -> Option<Place> {
    let place = Place::new();
    place.file("clean.toml", CLEAN);
    let output = place.run(&["clean.toml", "--format", "json"]).output().unwrap();
    if output.status.code() == Some(96) {
        skip(test, "the kernel lacks seccomp user notification");
        return None;
    }
    fs::remove_dir_all(place.path().join("results")).unwrap();
    Some(place)
}

fn only(report: &Value) -> &Value {
    let scenarios = report["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 1);
    &scenarios[0]
}

pub fn replay(place: &Place, words: &[&str]) -> Command {
    let mut command = place.flockwork(&["replay", "--root", "root"]);
    command.args(words);
    command
}

/// Explores the two pauses; the folder of the finding of their lost update.
pub fn lost_update(place: &Place) -> PathBuf {
    place.file("pauses.toml", TWO_PAUSES);
    ends_with(&mut place.run(&["pauses.toml"]), 0);
    let findings = place.runs().pop().unwrap().join("findings");
    let mut found = fs::read_dir(findings).unwrap().map(|entry| entry.unwrap().path());
    found.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("lost-update")).unwrap()
}

/// Runs a command with something typed into it.
fn typed(command: &mut Command, words: &str) -> Output {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    child.stdin.take().unwrap().write_all(words.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_sound_subject_is_clean_once_its_space_is_exhausted() {
    let Some(place) = place("a_sound_subject_is_clean_once_its_space_is_exhausted") else { return };
    let report = json(&ends_with(&mut place.run(&["clean.toml", "--format", "json"]), 0));
    let scenario = only(&report);
    assert_eq!((&scenario["kind"], &scenario["verdict"]), (&"explore".into(), &"clean".into()));
    assert_eq!((&scenario["coverage"], &scenario["strategy"]), (&"exhausted".into(), &"exhaustive".into()));
    assert!(scenario["schedules"].as_u64().unwrap() > 1, "{scenario:#}");
    assert!(scenario["blocked"].as_u64().unwrap() > 0, "two pauses that never met prove nothing");
    for key in ["redundant", "faulted", "repeated", "steps", "schedules_per_s", "operations"] {
        assert!(scenario[key].is_number(), "{key} in {scenario:#}");
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

/// Runs and files have one judge: what an exploration is called, `check` calls its history.
#[test]
fn a_history_that_an_exploration_keeps_is_judged_alike_by_check() {
    let Some(place) = place("a_history_that_an_exploration_keeps_is_judged_alike_by_check") else { return };
    let kept = |scenario: &str, words: &[&str]| {
        ends_with(place.run(&[scenario]).args(words), 0);
        fs::canonicalize(place.path().join("results/latest")).unwrap().join("history.jsonl.zst")
    };
    let check = |history: &Path, code| ends_with(place.flockwork(&["check"]).arg(history), code);
    assert!(!kept("clean.toml", &[]).exists(), "nobody asked for it");
    let told = stdout(&check(&kept("clean.toml", &["--keep-history"]), 0));
    // The setup, two pauses, and the examiner's questions.
    assert!(told.contains(": linearizable (") && told.contains("on 1 container)"), "{told}");
    let finding = lost_update(&place);
    check(&finding.join("history.jsonl"), 100);
    // A run's folder means all of its histories: the one that was kept is not where the finding shows.
    let told = stdout(&check(finding.parent().and_then(Path::parent).unwrap(), 100));
    assert!(told.contains("findings/lost-update"), "{told}");
}

#[test]
fn what_is_set_for_one_kind_is_left_out_of_the_other_and_told() {
    let test = "what_is_set_for_one_kind_is_left_out_of_the_other_and_told";
    let Some(place) = place(test) else { return };
    fs::create_dir(place.path().join("mixed")).unwrap();
    fs::rename(place.path().join("clean.toml"), place.path().join("mixed/clean.toml")).unwrap();
    place.file("mixed/broken.toml", BROKEN);
    let sets = ["--operations", "300", "--set", "stress.handoff_min=0.0", "--set", "explore.repeat=all"];
    let output = place.run(&["mixed", "--format", "json"]).args(sets).output().unwrap();
    let (report, told) = (json(&output), stderr(&output));
    for note in [
        "--operations 300: set for 1 scenario; it does not apply to 1 other, such as clean of kind explore",
        "--set stress.handoff_min=0.0: set for 1 scenario; it does not apply to 1 other",
        "--set explore.repeat=all: set for 1 scenario; it does not apply to 1 other, such as broken of kind stress",
    ] {
        assert!(told.contains(note), "{note}: {told}");
    }
    let scenarios = report["scenarios"].as_array().unwrap();
    let named = |name: &str| scenarios.iter().find(|scenario| scenario["name"] == name).unwrap();
    assert_eq!(named("clean")["schedules"], named("clean")["repeated"], "repeat = \"all\" reached it");
    assert!(named("broken")["operations"].as_u64().unwrap() <= 400, "{report:#}");
    // The command that shows one of them again has only what is for that one.
    let command = named("broken")["violations"][0]["reproduce"].as_str().unwrap().to_owned();
    assert!(command.contains("--operations") && !command.contains("explore.repeat"), "{command}");

    // Where nobody takes it, it is a mistake.
    for sets in [["--operations", "300"], ["--set", "stress.handoff_min=0.0"]] {
        let said = stderr(&ends_with(place.run(&["mixed/clean.toml"]).args(sets), 2));
        assert!(said.contains(sets[0]), "{said}");
    }
}

#[test]
fn pct_tells_its_guarantee() {
    let Some(place) = place("pct_tells_its_guarantee") else { return };
    let sets = ["--set", "explore.strategy=pct", "--set", "explore.budget.schedules=64"];
    let words = ["clean.toml", "--format", "json", "--seed", "1"];
    let report = json(&ends_with(place.run(&words).args(sets), 0));
    let guarantee = &only(&report)["guarantee"];
    assert_eq!((&guarantee["depth"], &guarantee["processes"]), (&3.into(), &2.into()), "{guarantee:#}");
    let steps = guarantee["steps"].as_f64().unwrap();
    let (each, all) = (guarantee["per_schedule"].as_f64().unwrap(), guarantee["overall"].as_f64().unwrap());
    let count = guarantee["schedules"].as_f64().unwrap();
    assert!((each - 1.0 / (2.0 * steps * steps)).abs() < 1e-12, "{guarantee:#}");
    assert!((all - (1.0 - (1.0 - each).powf(count))).abs() < 1e-9 && count < 64.0, "{guarantee:#}");
    let told = stdout(&ends_with(place.run(&["clean.toml", "--seed", "1"]).args(sets), 0));
    assert!(told.contains("clean: pct of depth 3: a failure of depth 3, if there is one, shows"), "{told}");
    let report = json(&ends_with(&mut place.run(&["clean.toml", "--format", "json"]), 0));
    assert!(only(&report)["guarantee"].is_null(), "an exhaustive exploration needs none");
}

/// strace makes the kernel's answer to seccomp what a kernel without user notification answers.
#[test]
fn a_kernel_that_lets_no_process_be_controlled_is_unsupported() {
    let test = "a_kernel_that_lets_no_process_be_controlled_is_unsupported";
    if Command::new("strace").arg("--version").output().is_err() {
        return skip(test, "strace is not installed");
    }
    let place = Place::new();
    place.file("clean.toml", CLEAN);
    place.file(
        "replay.toml",
        &format!(
            "{CLEAN}strategy = \"replay\"\nschedule = [\"p1 exit\"]\n[expect]\nviolations = [\"deadlock\"]"
        ),
    );
    for words in [["run", "clean.toml"], ["replay", "replay.toml"], ["shrink", "replay.toml"]] {
        let mut traced = Command::new("strace");
        traced.args(["-f", "-o", "/dev/null", "-e", "trace=seccomp", "-e", "inject=seccomp:error=EINVAL"]);
        traced
            .arg(env!("CARGO_BIN_EXE_flockwork"))
            .args(words)
            .args(["--root", "root"])
            .current_dir(place.path());
        let output = ends_with(&mut traced, 96);
        let told = stdout(&output) + &stderr(&output);
        assert!(told.contains("processes cannot be controlled") && told.contains("doctor"), "{told}");
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

#[test]
fn a_budget_that_runs_out_is_no_verdict() {
    let Some(place) = place("a_budget_that_runs_out_is_no_verdict") else { return };
    let words = ["clean.toml", "--set", "explore.budget.schedules=1"];
    let told = stdout(&ends_with(&mut place.run(&words), 102));
    assert!(told.contains("inconclusive") && told.contains("raise explore.budget"), "{told}");
}

#[test]
fn processes_that_never_meet_prove_nothing() {
    let Some(place) = place("processes_that_never_meet_prove_nothing") else { return };
    let words = [
        "clean.toml",
        "--set",
        "explore.setup=[]",
        "--set",
        "explore.processes=[[\"state a\"], [\"state b\"]]",
    ];
    let told = stdout(&ends_with(&mut place.run(&words), 102));
    assert!(told.contains("the processes never met"), "{told}");
}

#[test]
fn what_is_found_is_shrunk_shown_and_kept() {
    let Some(place) = place("what_is_found_is_shrunk_shown_and_kept") else { return };
    place.file("pauses.toml", TWO_PAUSES);
    let told = stdout(&ends_with(&mut place.run(&["pauses.toml"]), 0));
    assert!(told.contains("as expected") && told.contains("lost-update"), "{told}");
    assert!(told.contains("p1: pause c1") && told.contains("p2: pause c1"), "{told}");
    assert!(told.contains("What happened: p1 took steps"), "{told}");
    let command = told.lines().find_map(|line| line.trim().strip_prefix("run it again: ")).expect(&told);
    let finding = command.strip_prefix("flockwork replay ").expect(command);
    let again = ends_with(&mut replay(&place, &[finding]), 0);
    assert!(stdout(&again).contains("reproduced: lost-update"), "{}", stdout(&again));
    for file in ["finding.json", "schedule.toml", "history.jsonl", "reproduce.sh"] {
        assert!(place.path().join(finding).join(file).is_file(), "{file}");
    }
    // Its history is judged in the steps of the table.
    let history = format!("{finding}/history.jsonl");
    let judged = stdout(&ends_with(&mut place.flockwork(&["check", &history]), 100));
    assert!(judged.contains(" steps  p") && !judged.contains(" ms"), "{judged}");
}

#[test]
fn two_pauses_of_2018_need_two_processes_and_one_preemption() {
    let Some(place) = place("two_pauses_of_2018_need_two_processes_and_one_preemption") else { return };
    let finding = json_file(&lost_update(&place).join("finding.json"));
    let exploration = &finding["exploration"];
    let pauses: Value = serde_json::json!([["pause c1"], ["pause c1"]]);
    assert_eq!(exploration["processes"], pauses, "the look is dropped");
    assert!(exploration["preemptions"].as_u64().unwrap() <= 2, "{exploration:#}");
    assert_eq!(exploration["flockwork"], env!("CARGO_PKG_VERSION"));
    assert!(exploration["kernel"].as_str().unwrap().starts_with("Linux"));
}

#[test]
fn one_bug_has_one_signature() {
    let Some(place) = place("one_bug_has_one_signature") else { return };
    let one = lost_update(&place);
    let turned = TWO_PAUSES
        .replace(r#"["state c1", "pause c1"], ["pause c1"]"#, r#"["pause c1"], ["pause c1"], ["state c1"]"#);
    place.file("pauses.toml", &turned);
    ends_with(&mut place.run(&["pauses.toml", "-q", "--seed", "5"]), 0);
    let other = place.runs().into_iter().find(|run| !one.starts_with(run)).unwrap();
    assert!(other.join("findings").join(one.file_name().unwrap()).is_dir(), "{one:?} in {other:?}");
}

#[test]
fn a_finding_reproduces_every_time_from_each_of_its_forms() {
    let Some(place) = place("a_finding_reproduces_every_time_from_each_of_its_forms") else { return };
    let finding = lost_update(&place);
    let words = [finding.to_str().unwrap(), "--times", "20", "--format", "json"];
    let report = json(&ends_with(&mut replay(&place, &words), 0));
    assert_eq!((&report["times"], &report["reproduced"]), (&20.into(), &20.into()));
    assert_eq!((&report["verdict"], &report["class"]), (&"reproduced".into(), &"lost-update".into()));
    for file in ["finding.json", "schedule.toml"] {
        ends_with(&mut replay(&place, &[finding.join(file).to_str().unwrap()]), 0);
    }
    // As a scenario it is an exploration of one schedule.
    let report = json(&ends_with(
        &mut place.run(&[finding.join("schedule.toml").to_str().unwrap(), "--format", "json"]),
        0,
    ));
    assert_eq!((&only(&report)["schedules"], &only(&report)["strategy"]), (&1.into(), &"replay".into()));
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

#[test]
fn a_schedule_that_does_not_fit_diverges() {
    let Some(place) = place("a_schedule_that_does_not_fit_diverges") else { return };
    let schedule = fs::read_to_string(lost_update(&place).join("schedule.toml")).unwrap();
    let other = place.file("other.toml", &schedule.replace("gvisor-2018", "gvisor-2019"));
    let report = json(&ends_with(&mut replay(&place, &["other.toml", "--format", "json"]), 104));
    assert_eq!(report["verdict"], "diverged");
    let divergence = &report["divergence"];
    assert!(divergence["line"].as_u64().unwrap() >= 1, "{divergence:#}");
    assert_ne!(divergence["expected"], divergence["found"]);
    let told = stdout(&ends_with(&mut replay(&place, &["other.toml"]), 104));
    assert!(told.contains("diverged at line"), "{told}");
    // The same as a scenario: what it must show did not appear, and why is told.
    let told = stdout(&ends_with(&mut place.run(&[other.to_str().unwrap()]), 100));
    assert!(told.contains("the schedule no longer fits: line"), "{told}");
}

#[test]
fn a_schedule_without_its_race_does_not_reproduce() {
    let Some(place) = place("a_schedule_without_its_race_does_not_reproduce") else { return };
    let finding = lost_update(&place).join("finding.json");
    let mut changed = json_file(&finding);
    // One after the other: nothing is lost.
    let mut lines: Vec<Value> = changed["exploration"]["schedule"].as_array().unwrap().clone();
    lines.sort_by_key(|line| line.as_str().unwrap()[..2].to_owned());
    let first: Vec<Value> =
        lines.iter().filter(|line| line.as_str().unwrap().starts_with("p1")).cloned().collect();
    changed["exploration"]["schedule"] = first.into();
    place.file("changed.json", &changed.to_string());
    let output = ends_with(&mut replay(&place, &["changed.json"]), 104);
    assert!(stdout(&output).contains("diverged at line"), "a schedule must be whole: {}", stdout(&output));
}

#[test]
fn a_walk_shows_who_is_where_and_what_lies_there() {
    let Some(place) = place("a_walk_shows_who_is_where_and_what_lies_there") else { return };
    let finding = lost_update(&place);
    let mut walk = replay(&place, &[finding.to_str().unwrap(), "--step"]);
    let output = typed(&mut walk, "\n\n?\n\nc\n");
    let told = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{told}{}", stderr(&output));
    for step in 1..=4 {
        assert!(told.contains(&format!("\nstep {step} of ")), "step {step} in {told}");
    }
    assert!(!told.contains("\nstep 5 of "), "c goes on: {told}");
    assert!(
        told.contains("is about to") && told.contains("c1/meta.json") && told.contains("go on to step N"),
        "{told}"
    );
    assert!(told.contains("reproduced: lost-update"), "{told}");
    // Who types nothing goes on to the end, and so does who quits.
    for words in ["", "q\n"] {
        let output = typed(&mut replay(&place, &[finding.to_str().unwrap(), "--step"]), words);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(!stdout(&output).contains("\nstep 2 of "));
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
}

#[test]
fn a_hold_names_living_processes_and_leaves_nothing_behind() {
    let Some(place) = place("a_hold_names_living_processes_and_leaves_nothing_behind") else { return };
    let finding = lost_update(&place);
    let mut hold = replay(&place, &[finding.to_str().unwrap(), "--hold", "12"]);
    let mut child = hold.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // All is told before anything is asked: read until the last of the ways to look around.
    let mut told = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    while !told.contains("strace -p") {
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut told).unwrap(), 0, "{told}");
    }
    assert!(told.contains("held before step 12"), "{told}");
    let line = told.lines().find(|line| line.contains("strace")).unwrap();
    let pids = line.split("-p ").skip(1).map(|rest| rest.split(' ').next().unwrap().to_owned());
    let pids: Vec<String> = pids.collect();
    assert_eq!(pids.len(), 2, "{line}");
    let lives = |pid: &String| Path::new("/proc").join(pid).join("stat").exists();
    assert!(pids.iter().all(lives), "{pids:?} stand still");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    std::io::Read::read_to_string(&mut out, &mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
    assert!(told.contains("reproduced: lost-update"), "{told}");
    // They are killed before the binary ends, and reaped by whoever reaps what has lost its parent.
    let deadline = Instant::now() + Duration::from_secs(120);
    while pids.iter().any(lives) {
        assert!(Instant::now() < deadline, "{pids:?} are still there");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(place.remains().is_empty(), "{:?}", place.remains());
    for (step, why) in [("0", "from 1 to"), ("9999", "from 1 to")] {
        let output = ends_with(&mut replay(&place, &[finding.to_str().unwrap(), "--hold", step]), 2);
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn what_is_saved_is_run_from_then_on() {
    let Some(place) = place("what_is_saved_is_run_from_then_on") else { return };
    let finding = lost_update(&place);
    let mut shrink =
        place.flockwork(&["shrink", "--root", "root", finding.to_str().unwrap(), "--save", "two-pauses"]);
    let told = stdout(&ends_with(&mut shrink, 0));
    assert!(told.contains("already minimal") && told.contains("Commit it with the fix"), "{told}");
    // What is kept as a test fails for as long as the bug is there, and what replays it is as expected.
    for (name, exit, expected) in [("two-pauses.toml", 100, false), ("two-pauses-replay.toml", 0, true)] {
        let path = format!("scenarios/regressions/{name}");
        let report = json(&ends_with(&mut place.run(&[&path, "--format", "json"]), exit));
        assert_eq!(
            (&only(&report)["verdict"], &only(&report)["expected"]),
            (&"violation".into(), &expected.into())
        );
    }
    // The same again is no harm, something else of that name is.
    ends_with(&mut shrink, 0);
    place.file("scenarios/regressions/two-pauses.toml", "mine");
    ends_with(&mut shrink, 2);
    let mut odd = place.flockwork(&["shrink", finding.to_str().unwrap(), "--save", "../escape"]);
    ends_with(&mut odd, 2);
}

#[test]
fn shrinking_drops_whoever_only_looks_on() {
    let Some(place) = place("shrinking_drops_whoever_only_looks_on") else { return };
    let schedule = fs::read_to_string(lost_update(&place).join("schedule.toml")).unwrap();
    let crowded = schedule
        .replace(r#"[["pause c1"], ["pause c1"]]"#, r#"[["pause c1"], ["pause c1"], ["state c1", "list"]]"#);
    assert_ne!(schedule, crowded);
    place.file("crowded.toml", &crowded);
    let mut shrink =
        place.flockwork(&["shrink", "--root", "root", "crowded.toml", "--time", "600s", "--format", "json"]);
    let report = json(&ends_with(&mut shrink, 0));
    let pauses: Value = serde_json::json!([["pause c1"], ["pause c1"]]);
    assert_eq!((&report["finding"]["exploration"]["processes"], &report["minimal"]), (&pauses, &true.into()));
}

#[test]
fn what_cannot_be_replayed_is_told() {
    let place = Place::new();
    let whole = r#"{"schema_version":1,"signature":"x","class":"lost-update","subject":"s","container":null,"message":"m","window":[]}"#;
    place.file("cut.json", &whole[..60]);
    place.file("later.json", &whole.replace(":1,", ":2,"));
    place.file("stress.json", whole);
    place.file("odd.json", "[]");
    place.file("stress.toml", SOUND);
    place.file("clean.toml", CLEAN);
    place.file("none/readme", "");
    let measures = "about = \"x\"\nkind = \"bench\"\n[bench]\nprocesses = [1]\n";
    place.file("bench.toml", measures);
    place.file("misspelt.toml", &CLEAN.replace("\"library\"", "\"libary\""));
    for (path, told) in [
        ("cut.json", "it is truncated: it ends at line 1 column 60"),
        ("later.json", "schema version 2; this version of flockwork reads 1"),
        ("stress.json", "it has no schedule, because the processes ran freely"),
        ("odd.json", "it is not a finding"),
        ("stress.toml", "flockwork: stress.toml: it is a scenario of kind stress, which has no schedule"),
        ("bench.toml", "flockwork: bench.toml: it is a scenario of kind bench, which has no schedule"),
        ("clean.toml", "expected strategy = \"replay\""),
        ("misspelt.toml", "flockwork: misspelt.toml:"),
        ("none", "no such finding"),
        ("absent", "no such file or folder"),
    ] {
        for command in ["replay", "shrink"] {
            let output = ends_with(&mut place.flockwork(&[command, path]), 2);
            assert!(stderr(&output).contains(told), "{command} {path}: {}", stderr(&output));
            let twice = format!("{path}: {path}");
            assert!(!stderr(&output).contains(&twice), "a place is told once: {}", stderr(&output));
        }
    }
}

#[test]
fn a_finding_of_an_unknown_subject_is_told() {
    let Some(place) = place("a_finding_of_an_unknown_subject_is_told") else { return };
    let text = fs::read_to_string(lost_update(&place).join("finding.json")).unwrap();
    place.file("other.json", &text.replace("\"gvisor-2018\"", "\"gvisor-2099\""));
    let output = ends_with(&mut replay(&place, &["other.json"]), 2);
    assert!(stderr(&output).contains("gvisor-2099"), "{}", stderr(&output));
    let version = format!("\"flockwork\": \"{}\"", env!("CARGO_PKG_VERSION"));
    place.file("older.json", &text.replace(&version, "\"flockwork\": \"0.0.1\""));
    let output = ends_with(&mut replay(&place, &["older.json"]), 0);
    assert!(stderr(&output).contains("found by flockwork 0.0.1"), "{}", stderr(&output));
}

#[test]
fn what_a_stress_run_shows_is_sought_under_control() {
    let Some(place) = place("what_a_stress_run_shows_is_sought_under_control") else { return };
    place.file("s.toml", BROKEN);
    let report =
        json(&ends_with(&mut place.run_explained(&["s.toml", "--explain=600s", "--format", "json"]), 100));
    let violations = only(&report)["violations"].as_array().unwrap();
    let explained: Vec<_> = violations.iter().filter(|violation| violation["control"].is_object()).collect();
    assert!(!explained.is_empty(), "{violations:#?}");
    for violation in explained {
        let finding = violation["finding"].as_str().unwrap();
        let again = ends_with(&mut replay(&place, &[finding]), 0);
        assert!(stdout(&again).contains(violation["class"].as_str().unwrap()), "{}", stdout(&again));
    }
    let report =
        json(&ends_with(&mut place.run_explained(&["s.toml", "--no-explain", "--format", "json"]), 100));
    let violations = only(&report)["violations"].as_array().unwrap();
    assert!(
        violations.iter().all(|violation| violation["control"].is_null() && violation["explained"].is_null())
    );
}
