//! `flockwork check` on histories of objects: counters, registers, sets, logs, locks, queues, and what Jepsen wrote.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::{Place, ends_with, json, skip, stdout};

/// Counts in a file, by four threads, each time with the lock or without; what it prints is a history. Without the lock all
/// four have read before one writes, so sums are lost whatever the machine does; what is written is of one width, so that no
/// sum is left in part.
const COUNTER: &str = r#"import fcntl, json, sys, threading, time
together = threading.Barrier(1 if sys.argv[1] == "locked" else 4); print(json.dumps({"flockwork_history": 2, "model": "counter", "initial": {"x": 0}}))
def work(number):
    for _ in range(25):
        start = time.monotonic_ns()
        with open("count", "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX if sys.argv[1] == "locked" else fcntl.LOCK_SH)
            value = int(file.read()) + 1; together.wait(); file.seek(0); file.write(f"{value:9}"); file.flush()
        print(json.dumps({"process": number, "object": "x", "op": "add", "value": 1, "saw": value, "invoke_ns": start, "return_ns": time.monotonic_ns(), "outcome": "ok"}) + "\n", end="")
for n in range(4): threading.Thread(target=work, args=[n]).start()
"#;

fn check(place: &Place, words: &[&str], code: i32) -> Output {
    ends_with(place.flockwork(&["check"]).args(words), code)
}

fn check_json(place: &Place, words: &[&str], code: i32) -> Value {
    json(&check(place, &[words, &["--format", "json"]].concat(), code))
}

fn line(process: u32, op: &str, span_ns: [u64; 2], outcome: &str, more: &str) -> String {
    let [invoke_ns, return_ns] = span_ns;
    format!(
        r#"{{"process":{process},"object":"x","op":"{op}","invoke_ns":{invoke_ns},"return_ns":{return_ns},"outcome":"{outcome}"{more}}}"#
    )
}

fn text(model: &str, lines: &[String]) -> String {
    format!("{{\"flockwork_history\":2,\"model\":{model}}}\n{}\n", lines.join("\n"))
}

#[test]
fn a_history_that_ten_lines_of_python_wrote_is_judged() {
    let place = Place::new();
    let script = place.file("count.py", COUNTER);
    assert_eq!(COUNTER.lines().count(), 10);
    for (how, code, expected) in [
        ("locked", 0, "h.jsonl: linearizable (100 operations by 4 processes on 1 object)"),
        ("shared", 100, "h.jsonl: not linearizable (100 operations by 4 processes on 1 object)"),
    ] {
        place.file("count", "0");
        let wrote = Command::new("python3").arg(&script).arg(how).current_dir(place.path()).output();
        let Ok(wrote) = wrote else {
            return skip("a_history_that_ten_lines_of_python_wrote_is_judged", "there is no python3");
        };
        assert!(wrote.status.success(), "{}", String::from_utf8_lossy(&wrote.stderr));
        place.file("h.jsonl", &stdout(&wrote));
        let told = stdout(&check(&place, &["h.jsonl"], code));
        assert!(told.starts_with(expected), "{told}");
        if how == "shared" {
            assert!(told.contains("both made the same sum: one of the two is lost."), "{told}");
        }
    }
}

#[test]
fn the_example_of_the_documentation_is_linearizable() {
    let place = Place::new();
    let page = include_str!("../../../docs/history.md");
    let from = page.find(r#"{"flockwork_history":2"#).expect("the page has an example of format 2");
    let example = &page[from..from + page[from..].find("```").expect("the block ends")];
    place.file("h.jsonl", example);
    let told = stdout(&check(&place, &["h.jsonl"], 0));
    assert_eq!(told, "h.jsonl: linearizable (2 operations by 2 processes on 1 object)\n");
}

#[test]
fn a_violation_is_explained_by_its_operations() {
    let place = Place::new();
    let lines = [
        line(1, "write", [10, 20], "ok", r#","value":"a""#),
        line(2, "write", [30, 40], "ok", r#","value":"b""#),
        line(3, "read", [50, 60], "ok", r#","saw":"a""#),
        line(4, "read", [50, 70], "ok", r#","saw":"b""#),
    ];
    place.file("h.jsonl", &text("\"register\"", &lines));
    let told = stdout(&check(&place, &["h.jsonl"], 100));
    assert!(told.contains("\"a\" and \"b\" were each there before the other"), "{told}");
    assert!(told.contains("    p3 read (40–50 ns): ok, saw \"a\"\n"), "{told}");
    let report = check_json(&place, &["h.jsonl"], 100);
    let history = &report["histories"][0];
    assert_eq!((&history["model"], &history["verdict"]), (&"register".into(), &"violation".into()));
    let object = &history["objects"][0];
    assert_eq!((&object["object"], &object["operations"]), (&"x".into(), &4.into()));
    assert_eq!((&object["verdict"], &object["tier"]), (&"violation".into(), &"procedure".into()));
    assert_eq!(object["why"], object["explanation"]["sentence"]);
    assert_eq!(object["explanation"]["window"], serde_json::json!([0, 1, 2, 3]).clone());
    assert!(history["containers"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn every_kind_has_a_clean_history_and_a_wrong_one() {
    let place = Place::new();
    let cases: [(&str, [String; 2], [String; 2]); 7] = [
        (
            "\"register\"",
            [
                line(1, "cas", [1, 2], "ok", r#","value":{"from":0,"to":5}"#),
                line(1, "read", [3, 4], "ok", r#","saw":5"#),
            ],
            [
                line(1, "cas", [1, 2], "refused", r#","value":{"from":0,"to":5}"#),
                line(1, "read", [3, 4], "ok", r#","saw":0"#),
            ],
        ),
        (
            "\"counter\"",
            [line(1, "add", [1, 2], "ok", r#","value":2"#), line(1, "read", [3, 4], "ok", r#","saw":2"#)],
            [line(1, "add", [1, 2], "ok", r#","value":2"#), line(1, "read", [3, 4], "ok", r#","saw":0"#)],
        ),
        (
            "\"set\",\"initial\":{\"x\":[1]}",
            [
                line(1, "add", [1, 2], "refused", r#","value":1,"reason":"exists""#),
                line(1, "members", [3, 4], "ok", r#","saw":[1]"#),
            ],
            [
                line(1, "remove", [1, 2], "ok", r#","value":1"#),
                line(1, "members", [3, 4], "ok", r#","saw":[1]"#),
            ],
        ),
        (
            "\"log\"",
            [
                line(1, "append", [1, 2], "ok", r#","value":"a","saw":0"#),
                line(1, "read", [3, 4], "ok", r#","saw":["a"]"#),
            ],
            [
                line(1, "append", [1, 2], "ok", r#","value":"a","saw":0"#),
                line(1, "read", [3, 4], "ok", r#","saw":[]"#),
            ],
        ),
        (
            "\"lock\"",
            [line(1, "acquire", [1, 2], "ok", ""), line(2, "try", [3, 4], "refused", r#","reason":"held""#)],
            [line(1, "acquire", [1, 2], "ok", ""), line(2, "try", [3, 4], "ok", "")],
        ),
        (
            "\"queue\",\"initial\":{\"x\":[1,2]}",
            [line(1, "pop", [1, 2], "ok", r#","saw":1"#), line(1, "pop", [3, 4], "ok", r#","saw":2"#)],
            [line(1, "pop", [1, 2], "ok", r#","saw":2"#), line(1, "pop", [3, 4], "ok", r#","saw":1"#)],
        ),
        (
            "\"queue\",\"order\":\"any\",\"initial\":{\"x\":[1,2]}",
            [line(1, "pop", [1, 2], "ok", r#","saw":2"#), line(1, "pop", [3, 4], "ok", r#","saw":1"#)],
            [
                line(1, "pop", [1, 2], "ok", r#","saw":2"#),
                line(1, "pop", [3, 4], "refused", r#","reason":"empty""#),
            ],
        ),
    ];
    for (model, clean, wrong) in cases {
        place.file("clean.jsonl", &text(model, &clean));
        place.file("wrong.jsonl", &text(model, &wrong));
        check(&place, &["clean.jsonl"], 0);
        let told = stdout(&check(&place, &["wrong.jsonl"], 100));
        assert!(told.contains("not linearizable"), "{model}: {told}");
    }
}

#[test]
fn a_model_of_ones_own_says_what_may_fail() {
    let place = Place::new();
    place.file("tickets.toml", "kind = \"counter\"\ninitial = 7\n\n[operations]\nadd = { fails = \"never\" }\nread = { fails = \"busy\" }\n");
    let lines = [
        line(1, "read", [1, 2], "ok", r#","saw":7"#),
        line(1, "read", [3, 4], "failed", r#","reason":"busy""#),
        line(1, "add", [5, 6], "failed", r#","reason":"io","value":1"#),
        line(1, "read", [7, 8], "failed", r#","reason":"corrupt""#),
    ];
    place.file("h.jsonl", &format!("{{\"flockwork_history\":2}}\n{}\n", lines.join("\n")));
    let told = stdout(&check(&place, &["h.jsonl", "--model", "tickets.toml"], 100));
    assert!(told.contains("3 of 4 operations failed (1 busy, 1 corrupt, 1 io)"), "{told}");
    assert!(
        told.contains("unexpected-failure: x: p1 add") && told.contains("torn-read: x: p1 read"),
        "{told}"
    );
    let report = check_json(&place, &["h.jsonl", "--model", "tickets.toml"], 100);
    let history = &report["histories"][0];
    assert_eq!(history["model"], "tickets");
    assert_eq!(history["failures"]["count"], 3);
    assert_eq!(history["violations"][0]["class"], "unexpected-failure");
    assert_eq!(history["objects"][0]["verdict"], "clean");
    place.file("h.jsonl", &format!("{{\"flockwork_history\":2}}\n{}\n", lines[..2].join("\n")));
    check(&place, &["h.jsonl", "--model", "tickets.toml"], 0);
    check(&place, &["h.jsonl", "--model", "oci"], 2);
}

#[test]
fn nothing_verified_is_inconclusive() {
    let place = Place::new();
    place.file("empty.jsonl", "{\"flockwork_history\":2,\"model\":\"set\"}\n");
    let told = stdout(&check(&place, &["empty.jsonl"], 102));
    assert!(told.contains("inconclusive: nothing was verified"), "{told}");
    place.file("lost.jsonl", &text("\"lock\"", &[line(1, "acquire", [1, 2], "unknown", "")]));
    let told = stdout(&check(&place, &["lost.jsonl"], 102));
    assert!(told.contains("no operation answered"), "{told}");
}

#[test]
fn what_is_malformed_ends_with_2_and_names_the_line() {
    let place = Place::new();
    place.file("h.jsonl", &text("\"counter\"", &[line(1, "push", [1, 2], "ok", "")]));
    let told = stdout(&check(&place, &["h.jsonl"], 2));
    assert!(told.starts_with("h.jsonl:2: op: unknown \"push\"; expected one of add, read"), "{told}");
    place.file("m.toml", "kind = \"conter\"\n");
    let told = crate::support::stderr(&check(&place, &["h.jsonl", "--model", "m.toml"], 2));
    assert!(told.contains("m.toml:1:") && told.contains("counter"), "{told}");
}

/// A table's history may be of format 2 as well, and say object and actor.
#[test]
fn a_table_takes_the_names_of_format_2() {
    let place = Place::new();
    let lines = r#"{"flockwork_history":2,"model":"runsc","initial":{"c1":"absent"}}
{"actor":0,"object":"c1","op":"create","invoke_ns":10,"return_ns":20,"outcome":"ok"}
{"process":1,"container":"c1","op":"create","invoke_ns":30,"return_ns":40,"outcome":"ok"}
"#;
    place.file("h.jsonl", lines);
    let told = stdout(&check(&place, &["h.jsonl"], 100));
    assert!(told.contains("(2 operations by 2 processes on 1 container)"), "{told}");
}

#[test]
fn histories_of_jepsen_are_judged() {
    let place = Place::new();
    let register = "\
{:process 0, :type :invoke, :f :write, :value 3}
{:process 0, :type :ok, :f :write, :value 3}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 3}
{:process 2, :type :invoke, :f :cas, :value [3 4]}
{:process 2, :type :info, :f :cas, :value [3 4], :error :timeout}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value 4}
";
    place.file("register.edn", register);
    let words = ["register.edn", "--from", "jepsen", "--model", "register"];
    check(&place, &words, 0);
    place.file("register.edn", &register.replace(":read, :value 4", ":read, :value 5"));
    let told = stdout(&check(&place, &words, 100));
    assert!(told.contains("nobody wrote 5") && told.contains("steps 7–8"), "{told}");
    let set = "\
{:process 0, :type :invoke, :f :add, :value 1}
{:process 0, :type :ok, :f :add, :value 1}
{:process 0, :type :invoke, :f :read, :value nil}
{:process 0, :type :ok, :f :read, :value #{1}}
";
    place.file("set.edn", set);
    let words = ["set.edn", "--from", "jepsen", "--model", "set"];
    check(&place, &words, 0);
    place.file("set.edn", &set.replace("#{1}", "#{}"));
    check(&place, &words, 100);
    place.file("counter.edn", &set.replace("#{1}", "1"));
    check(&place, &["counter.edn", "--from", "jepsen", "--model", "counter"], 0);
    let told = crate::support::stderr(&check(&place, &["set.edn", "--from", "jepsen"], 2));
    assert!(told.contains("expected --model register, counter or set"), "{told}");
}
