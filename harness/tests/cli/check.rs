//! `flockwork check`: verdicts on stored histories, what is told of them, and what becomes of those that cannot be read.

use std::fs;
use std::io::Write;
use std::process::{Output, Stdio};

use flockwork_harness::model::document;
use serde_json::Value;

use crate::support::{Place, SOUND, ends_with, json, stderr, stdout};

const HEADER: &str = r#"{"flockwork_history":1,"model":"runsc","initial":{"c1":"absent"}}"#;

/// A line of a history; `more` are further fields.
fn line(process: u32, operation: &str, span_ns: [u64; 2], outcome: &str, more: &str) -> String {
    let [invoke_ns, return_ns] = span_ns;
    format!(
        r#"{{"process":{process},"container":"c1","op":"{operation}","invoke_ns":{invoke_ns},"return_ns":{return_ns},"outcome":"{outcome}"{more}}}"#
    )
}

fn text(header: &str, lines: &[String]) -> String {
    format!("{header}\n{}\n", lines.join("\n"))
}

fn clean() -> String {
    let lines = [line(0, "create", [10, 20], "ok", ""), line(0, "start", [30, 40], "ok", "")];
    text(HEADER, &lines)
}

/// Two creates, and nobody deleted.
fn wrong() -> String {
    let lines = [line(0, "create", [10, 20], "ok", ""), line(1, "create", [30, 40], "ok", "")];
    text(HEADER, &lines)
}

/// A life whose every operation tells generation and revision.
fn tokened() -> String {
    let tokens = |revision: u32| format!(r#","generation":1,"revision":{revision}"#);
    let lines = [
        line(0, "create", [10, 20], "ok", &tokens(1)),
        line(1, "start", [30, 40], "ok", &tokens(2)),
        line(0, "kill", [50, 60], "ok", &tokens(3)),
    ];
    text(HEADER, &lines)
}

/// Many operations that were killed and may have acted in any combination, and a refusal that no state explains: to
/// prove that there is no order, more ways have to be held than a tiny budget permits.
fn hard() -> String {
    let mut lines = vec![line(0, "create", [10, 20], "ok", ""), line(0, "start", [30, 40], "ok", "")];
    let kinds = ["pause", "resume", "kill", "delete", "create", "start", "force-delete"];
    for (process, operation) in (1..).zip(kinds.iter().cycle().take(28)) {
        lines.push(line(process, operation, [50, 1000 + u64::from(process)], "unknown", ""));
    }
    lines.push(line(0, "start", [60, 70], "refused", r#","reason":"exists""#));
    text(HEADER, &lines)
}

fn check(place: &Place, words: &[&str], code: i32) -> Output {
    ends_with(place.flockwork(&["check"]).args(words), code)
}

fn check_json(place: &Place, words: &[&str], code: i32) -> Value {
    let output = check(place, &[words, &["--format", "json"]].concat(), code);
    let report = json(&output);
    assert_eq!(report["exit_code"], code, "{report:#}");
    report
}

#[test]
fn a_clean_history_ends_with_0_and_says_so() {
    let place = Place::new();
    place.file("h.jsonl", &clean());
    let told = stdout(&check(&place, &["h.jsonl"], 0));
    assert_eq!(told, "h.jsonl: linearizable (2 operations by 1 process on 1 container)\n");
    let report = check_json(&place, &["h.jsonl"], 0);
    assert_eq!((&report["schema_version"], &report["verdict"]), (&1.into(), &"clean".into()));
    let history = &report["histories"][0];
    assert_eq!((&history["path"], &history["model"]), (&"h.jsonl".into(), &"runsc".into()));
    assert_eq!((&history["operations"], &history["processes"]), (&2.into(), &1.into()));
    assert!(history["error"].is_null() && history["read_s"].is_f64() && history["judge_s"].is_f64());
    let container = &history["containers"][0];
    assert_eq!((&container["container"], &container["tier"]), (&"c1".into(), &"search".into()));
    assert_eq!((&container["verdict"], &container["operations"]), (&"clean".into(), &2.into()));
    assert!(container["why"].is_null() && container["explanation"].is_null(), "{container:#}");
}

#[test]
fn a_wrong_history_ends_with_100_and_is_explained() {
    let place = Place::new();
    place.file("h.jsonl", &wrong());
    let told = stdout(&check(&place, &["h.jsonl"], 100));
    assert!(told.starts_with("h.jsonl: not linearizable (2 operations by 2 processes on 1 container)\n"));
    assert!(told.contains("create by process 1") && told.contains("nobody deleted it."), "{told}");
    let report = check_json(&place, &["h.jsonl"], 100);
    let container = &report["histories"][0]["containers"][0];
    assert_eq!(container["verdict"], "violation");
    let explanation = &container["explanation"];
    assert_eq!(explanation["sentence"], container["why"]);
    let window = explanation["window"].as_array().unwrap();
    assert_eq!(window.iter().map(|member| &member["index"]).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((&window[1]["role"], &window[1]["operation"]["op"]), (&"impossible".into(), &"create".into()));
    assert_eq!(explanation["impossible"], 1);
    assert_eq!(explanation["order"][0]["operation"], "create by process 0");
    for key in ["from_ms", "to_ms", "processes", "begins_in", "order_begins"] {
        assert!(!explanation[key].is_null(), "{key} in {explanation:#}");
    }
}

#[test]
fn a_malformed_history_ends_with_2_and_names_the_line() {
    let place = Place::new();
    let cut = clean();
    place.file("h.jsonl", &cut[..cut.len() - 20]);
    let told = stdout(&check(&place, &["h.jsonl"], 2));
    assert!(told.starts_with("h.jsonl:3: the line is truncated"), "{told}");
    let report = check_json(&place, &["h.jsonl"], 2);
    assert_eq!(report["verdict"], "error");
    let history = &report["histories"][0];
    assert!(history["error"].as_str().unwrap().starts_with("h.jsonl:3: "), "{history:#}");
    assert!(history["model"].is_null() && history["containers"].as_array().unwrap().is_empty());
    let missing = stdout(&check(&place, &["nowhere.jsonl"], 2));
    assert!(missing.starts_with("nowhere.jsonl: "), "{missing}");
    assert!(check(&place, &[], 2).stdout.is_empty(), "at least one history is needed");
}

#[test]
fn a_history_comes_from_stdin_or_compressed() {
    let place = Place::new();
    let mut command = place.flockwork(&["check", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(wrong().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(100));
    assert!(stdout(&output).starts_with("-: not linearizable"), "{}", stdout(&output));
    let compressed = zstd::encode_all(wrong().as_bytes(), 3).unwrap();
    for name in ["h.jsonl.zst", "called-otherwise"] {
        fs::write(place.path().join(name), &compressed).unwrap();
        check(&place, &[name], 100);
    }
    fs::write(place.path().join("cut.zst"), &compressed[..compressed.len() / 2]).unwrap();
    let told = stdout(&check(&place, &["cut.zst"], 2));
    assert!(told.contains("compressed file ends early"), "{told}");
}

#[test]
fn the_gravest_of_several_histories_decides() {
    let place = Place::new();
    place.file("clean.jsonl", &clean());
    place.file("wrong.jsonl", &wrong());
    place.file("hard.jsonl", &hard());
    place.file("bad.jsonl", "nonsense\n");
    let all = ["clean.jsonl", "bad.jsonl", "hard.jsonl", "wrong.jsonl", "--memory", "4kB"];
    let report = check_json(&place, &all, 100);
    let histories = report["histories"].as_array().unwrap();
    let verdicts: Vec<_> = histories.iter().map(|history| &history["verdict"]).collect();
    assert_eq!(verdicts, ["clean", "error", "inconclusive", "violation"]);
    check(&place, &["clean.jsonl", "bad.jsonl", "hard.jsonl", "--memory", "4kB"], 102);
    check(&place, &["clean.jsonl", "bad.jsonl"], 2);
    check(&place, &["clean.jsonl", "clean.jsonl"], 0);
}

#[test]
fn each_checker_judges_what_it_can() {
    let place = Place::new();
    place.file("bare.jsonl", &clean());
    place.file("tokened.jsonl", &tokened());
    for (file, checker, code, tier) in [
        ("bare.jsonl", "auto", 0, "search"),
        ("bare.jsonl", "search", 0, "search"),
        ("bare.jsonl", "witness", 102, "witness"),
        ("tokened.jsonl", "auto", 0, "witness"),
        ("tokened.jsonl", "search", 0, "search"),
        ("tokened.jsonl", "witness", 0, "witness"),
    ] {
        let report = check_json(&place, &[file, "--checker", checker], code);
        assert_eq!(report["histories"][0]["containers"][0]["tier"], tier, "{file} by {checker}");
    }
    let told = stdout(&check(&place, &["bare.jsonl", "--checker", "witness"], 102));
    assert!(told.contains("inconclusive") && told.contains("needs a search"), "{told}");
    // A save that nobody made: no status shows it, so only who reads tokens finds it.
    place.file("gap.jsonl", &tokened().replace(r#""revision":3"#, r#""revision":4"#));
    check(&place, &["gap.jsonl"], 100);
    check(&place, &["gap.jsonl", "--checker", "search"], 0);
    check(&place, &["gap.jsonl", "--checker", "unknown"], 2);
}

#[test]
fn the_model_is_the_histories_own_or_one_that_is_named() {
    let place = Place::new();
    let lines = [line(0, "create", [10, 20], "ok", ""), line(0, "delete", [30, 40], "ok", "")];
    let header = |model: &str| HEADER.replace(r#""model":"runsc","#, model);
    place.file("runsc.jsonl", &text(&header(r#""model":"runsc","#), &lines));
    place.file("oci.jsonl", &text(&header(r#""model":"oci","#), &lines));
    place.file("none.jsonl", &text(&header(""), &lines));
    place.file("strict.toml", document::EXAMPLE);
    for (words, code, model) in [
        (&["runsc.jsonl"] as &[&str], 0, "runsc"),
        (&["oci.jsonl"], 100, "oci"),
        (&["none.jsonl"], 0, "runsc"),
        (&["runsc.jsonl", "--model", "oci"], 100, "oci"),
        (&["oci.jsonl", "--model", "runsc"], 0, "runsc"),
        (&["none.jsonl", "--model", "strict.toml"], 100, "strict"),
    ] {
        let report = check_json(&place, words, code);
        assert_eq!(report["histories"][0]["model"], model, "{words:?}");
    }
    let foreign = [line(0, "create", [10, 20], "ok", ""), line(0, "checkpoint", [30, 40], "ok", "")];
    place.file("foreign.jsonl", &text(HEADER, &foreign));
    let told = stdout(&check(&place, &["foreign.jsonl", "--model", "oci"], 2));
    assert!(told.contains("model oci has no operation checkpoint"), "{told}");
}

#[test]
fn a_broken_model_is_told_with_its_place() {
    let place = Place::new();
    place.file("h.jsonl", &clean());
    place.file("m.toml", &document::EXAMPLE.replacen("to = \"running\"", "to = \"runing\"", 1));
    let output = check(&place, &["h.jsonl", "--model", "m.toml", "--format", "json"], 2);
    let said = stderr(&output);
    assert!(said.contains("m.toml:7:35: to: expected one of absent, created, running"), "{said}");
    assert!(said.contains("the nearest is \"running\"") && output.stdout.is_empty(), "{said}");
    let said = stderr(&check(&place, &["h.jsonl", "--model", "runc"], 2));
    assert!(said.contains("no model of that name") && said.contains("\"runsc\""), "{said}");
}

#[test]
fn a_budget_that_runs_out_is_inconclusive_and_never_clean() {
    let place = Place::new();
    place.file("clean.jsonl", &clean());
    place.file("hard.jsonl", &hard());
    let report = check_json(&place, &["clean.jsonl", "--budget", "0s"], 102);
    assert_eq!(report["verdict"], "inconclusive");
    let error = report["histories"][0]["error"].as_str().unwrap();
    assert!(error.contains("the time budget ran out at line 1"), "{error}");
    let report = check_json(&place, &["hard.jsonl", "--memory", "4kB"], 102);
    let why = report["histories"][0]["containers"][0]["why"].as_str().unwrap();
    assert!(why.contains("memory budget"), "{why}");
    check(&place, &["hard.jsonl"], 100);
    for (words, expected) in [
        (["--budget", "soon"], "expected such as 30s"),
        (["--memory", "much"], "such as 500MB"),
        (["--memory", "0"], "such as 500MB"),
    ] {
        let said = stderr(&check(&place, &["clean.jsonl", words[0], words[1]], 2));
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

#[test]
fn verbose_tells_of_every_container_and_of_the_time() {
    let place = Place::new();
    place.file("h.jsonl", &clean());
    let told = stdout(&check(&place, &["h.jsonl", "-v"], 0));
    assert!(told.contains("c1: clean by search, 2 operations"), "{told}");
    assert!(told.contains("read in ") && told.contains("judged in "), "{told}");
}

/// Real processes behind the containers die as they like, above all where workers are killed: the run's history says
/// so in its first line, and every judge reckons with it.
#[test]
fn a_run_with_processes_behind_its_containers_is_clean_by_every_judge() {
    let place = Place::new();
    let scenario = SOUND
        .replace("name = \"library\"", "name = \"library\"\nsandbox = \"process\"")
        .replace("operations = 2_000", "operations = 500\nkill_every = \"20ms\"");
    place.file("s.toml", &scenario);
    ends_with(&mut place.run(&["s.toml", "--keep-history", "--seed", "1"]), 0);
    let history = place.runs()[0].join("history.jsonl.zst");
    let text = String::from_utf8(zstd::decode_all(fs::File::open(&history).unwrap()).unwrap()).unwrap();
    assert!(text.lines().next().unwrap().contains(r#""deaths":"free""#), "{}", text.lines().next().unwrap());
    for checker in ["auto", "witness", "search"] {
        check(&place, &[history.to_str().unwrap(), "--checker", checker], 0);
    }
}

/// Histories of containers that are there at the start, which the witness cannot judge, were once called linearizable.
#[test]
fn what_the_witness_cannot_judge_is_never_clean() {
    let place = Place::new();
    let started = HEADER.replace("absent", "running");
    let pauses = [line(1, "pause", [10, 15], "ok", ""), line(2, "pause", [20, 50], "ok", "")];
    place.file("started.jsonl", &text(&started, &pauses));
    for (checker, code) in [("auto", 100), ("search", 100), ("witness", 102)] {
        check(&place, &["started.jsonl", "--checker", checker], code);
    }
    let tokens = r#","generation":1,"revision":1"#;
    let creates = [line(0, "create", [10, 20], "ok", tokens), line(1, "create", [30, 40], "ok", tokens)];
    place.file("oci.jsonl", &text(&HEADER.replace("runsc", "oci"), &creates));
    check(&place, &["oci.jsonl", "--model", "runsc"], 100);
    let three =
        r#"{"flockwork_history":1,"model":"runsc","initial":{"c1":"absent","c2":"running","c3":"paused"}}"#;
    let other = |container: &str, line: String| line.replace("c1", container);
    let lines = [
        line(0, "create", [10, 20], "ok", ""),
        other("c2", line(1, "start", [10, 20], "ok", "")),
        other("c3", line(2, "resume", [10, 20], "ok", "")),
    ];
    place.file("three.jsonl", &text(three, &lines));
    let report = check_json(&place, &["three.jsonl"], 100);
    let containers = report["histories"][0]["containers"].as_array().unwrap();
    let verdicts: Vec<_> = containers.iter().map(|container| &container["verdict"]).collect();
    assert_eq!(verdicts, ["clean", "violation", "clean"]);
}

/// A history that says nothing is not linearizable: nothing was verified.
#[test]
fn where_nothing_was_verified_nothing_is_clean() {
    let place = Place::new();
    let list = r#"{"process":0,"op":"list","invoke_ns":1,"return_ns":2,"outcome":"ok"}"#.to_owned();
    let failed = line(0, "create", [10, 20], "failed", r#","reason":"io""#);
    let unknown = line(1, "create", [10, 20], "unknown", "");
    for (name, lines, why) in [
        ("header", vec![], "no operation on a container"),
        ("lists", vec![list], "no operation on a container"),
        ("failures", vec![failed.clone()], "of 1 operation (1 failed) none reports anything"),
        ("unknowns", vec![unknown.clone()], "of 1 operation (1 unknown) none reports anything"),
        ("both", vec![failed, unknown], "of 2 operations (1 failed, 1 unknown) none reports anything"),
    ] {
        let file = format!("{name}.jsonl");
        place.file(&file, &text(HEADER, &lines));
        for checker in ["auto", "witness", "search"] {
            let report = check_json(&place, &[&file, "--checker", checker], 102);
            let told = report["histories"][0]["why"].as_str().unwrap_or_default().to_owned();
            assert!(checker == "witness" || told.contains(why), "{name}: {told}");
        }
        let told = stdout(&check(&place, &[&file], 102));
        assert!(told.contains("inconclusive") && told.contains("nothing was verified"), "{told}");
    }
    // Beside a container of which something was verified, one of which nothing was takes nothing from it, and is told.
    let other = line(0, "create", [30, 40], "failed", r#","reason":"io""#).replace("c1", "c2");
    place.file("beside.jsonl", &text(HEADER, &[line(0, "create", [10, 20], "ok", ""), other]));
    let told = stdout(&check(&place, &["beside.jsonl"], 0));
    assert!(told.contains("c2: inconclusive: nothing was verified"), "{told}");
}

#[test]
fn failures_are_counted_and_shown_and_torn_metadata_is_a_violation() {
    let place = Place::new();
    let torn = r#","reason":"corrupt","message":"EOF while parsing""#;
    let lines = [
        line(0, "create", [10, 20], "ok", ""),
        line(1, "state", [30, 40], "failed", torn),
        line(2, "state", [30, 45], "failed", r#","reason":"locked""#),
    ];
    place.file("torn.jsonl", &text(HEADER, &lines));
    let told = stdout(&check(&place, &["torn.jsonl"], 100));
    assert!(told.starts_with("torn.jsonl: violation (3 operations"), "{told}");
    assert!(told.contains("2 of 3 operations failed (1 corrupt, 1 locked)"), "{told}");
    assert!(told.contains("torn-read: c1: p1 read metadata that no single save wrote"), "{told}");
    let report = check_json(&place, &["torn.jsonl"], 100);
    let history = &report["histories"][0];
    assert_eq!(
        (&history["failures"]["count"], &history["failures"]["by_reason"]["corrupt"]),
        (&2.into(), &1.into())
    );
    assert_eq!(history["violations"][0]["class"], "torn-read");
    assert_eq!(history["containers"][0]["verdict"], "clean", "no order is wrong for its sake");
    place.file("locked.jsonl", &text(HEADER, &[lines[0].clone(), lines[2].clone()]));
    let told = stdout(&check(&place, &["locked.jsonl"], 0));
    assert!(told.contains("1 of 2 operations failed (1 locked)"), "{told}");
}

/// Whatever is read, the time that was given is kept: blank lines count, and what a small file is decompressed to.
#[test]
fn a_budget_holds_while_a_history_is_read() {
    let place = Place::new();
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    for (header, mebibytes) in [(HEADER, 512), ("", 64)] {
        encoder.write_all(header.as_bytes()).unwrap();
        for _ in 0..mebibytes {
            encoder.write_all(&vec![b'\n'; 1 << 20]).unwrap();
        }
        let encoder = std::mem::replace(&mut encoder, zstd::Encoder::new(Vec::new(), 3).unwrap());
        fs::write(place.path().join("blank.zst"), encoder.finish().unwrap()).unwrap();
        let told = stdout(&check(&place, &["blank.zst", "--budget", "50ms"], 102));
        assert!(told.contains("inconclusive: the time budget ran out at line"), "{header:?}: {told}");
    }
}

/// A named pipe to which nobody writes, and one whose writer stops in the middle.
#[test]
fn a_budget_holds_where_nothing_comes() {
    let place = Place::new();
    let pipe = place.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let told = stdout(&check(&place, &["pipe", "--budget", "50ms"], 102));
    assert!(told.contains("inconclusive: the time budget ran out"), "{told}");
    let mut both = fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    both.write_all(HEADER.as_bytes()).unwrap();
    let told = stdout(&check(&place, &["pipe", "--budget", "50ms"], 102));
    assert!(told.contains("inconclusive: the time budget ran out"), "{told}");
}

/// What was cut from the middle of a run accuses nobody for what is not in it, and is judged all the same.
#[test]
fn a_window_is_judged_by_what_lies_within_it() {
    let place = Place::new();
    let window = |start: &str| {
        let window = format!(r#""window":{{"from_ns":100,"to_ns":200}},"initial":{{"c1":"{start}"}}"#);
        HEADER.replace(r#""initial":{"c1":"absent"}"#, &window)
    };
    let pauses =
        |one: [u64; 2], other: [u64; 2]| [line(1, "pause", one, "ok", ""), line(2, "pause", other, "ok", "")];
    place.file("one.jsonl", &text(&window("unknown"), &pauses([110, 120], [190, 230])));
    let told = stdout(&check(&place, &["one.jsonl"], 0));
    assert!(told.contains("linearizable") && told.contains("a window of a run"), "{told}");
    place.file("two.jsonl", &text(&window("unknown"), &pauses([110, 120], [130, 140])));
    check(&place, &["two.jsonl"], 100);
    // Somebody may have resumed it before the window began, or after it ended.
    place.file("before.jsonl", &text(&window("unknown"), &pauses([90, 120], [130, 140])));
    check(&place, &["before.jsonl"], 0);
    place.file("none.jsonl", &text(&window("unknown"), &[]));
    check(&place, &["none.jsonl"], 102);
    place.file("bad.jsonl", &text(&HEADER.replace("\"initial\"", "\"window\":7,\"initial\""), &[]));
    let told = stdout(&check(&place, &["bad.jsonl"], 2));
    assert!(told.contains("bad.jsonl:1: window: expected a window such as"), "{told}");
}

#[test]
fn times_are_shown_in_the_unit_that_they_count() {
    let place = Place::new();
    let header = HEADER.replace("\"absent\"", "\"running\"");
    let twice = [line(1, "pause", [1_010, 1_015], "ok", ""), line(2, "pause", [1_020, 1_050], "ok", "")];
    place.file("short.jsonl", &text(&header, &twice));
    let told = stdout(&check(&place, &["short.jsonl"], 100));
    assert!(
        told.contains("10 …           40 ns  p2   pause") && told.contains("at 10 ns succeeded"),
        "{told}"
    );
    let steps = |clock: &str| header.replace("\"initial\"", &format!("\"clock\":\"{clock}\",\"initial\""));
    place.file("steps.jsonl", &text(&steps("steps"), &twice));
    let told = stdout(&check(&place, &["steps.jsonl"], 100));
    assert!(
        told.contains("21 …           51 steps  p2   pause") && told.contains("at step 21 succeeded"),
        "{told}"
    );
    place.file("hours.jsonl", &text(&steps("hours"), &twice));
    let told = stdout(&check(&place, &["hours.jsonl"], 2));
    assert!(told.contains("hours.jsonl:1: clock: ") && told.contains("nanoseconds, steps"), "{told}");
}
