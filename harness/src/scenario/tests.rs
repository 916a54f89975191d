//! Every way in which a scenario can be wrong, and what its author is told.

use super::*;
use crate::plan::{Audit, Budget};

const GOOD: &str = r#"
about = "Four processes."
kind = "stress"

[subject]
name = "library"
lock = "fs2"

[stress]
processes = 4
operations = 1_000
think = "0us..50us"
mix = { create = 2, pause = 20, delete = 0 }
"#;

fn parse(text: &str, overrides: &[&str]) -> Result<Scenario, String> {
    let found = Found { argument: "some/where.toml".into(), text: text.into() };
    let overrides: Vec<_> =
        overrides.iter().map(|assignment| Override { flag: "--set", value: (*assignment).into() }).collect();
    Scenario::parse(&found, &overrides)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_good_one_has_defaults() {
    let scenario = parse(GOOD, &[]).unwrap();
    assert_eq!(scenario.name, "where");
    assert_eq!(scenario.stress().unwrap().containers, 1);
    assert_eq!(scenario.stress().unwrap().budget, Budget::Operations(1_000));
    assert_eq!(scenario.stress().unwrap().mix.len(), 2, "a weight of 0 is no entry");
    assert_eq!(describe_subject(&scenario.subject), "library fs2");
    let Plan::Stress(plan) = scenario.plan(Path::new("/r"), 7) else { panic!("it is a stress run") };
    assert_eq!((plan.seed, plan.processes, plan.think_ns), (7, 4, 0..=50_000));
    assert_eq!(plan.audit, Audit::LockFree);
}

/// A reader without a lock finds a file half written where saves are in place: that is no fault of such a subject.
#[test]
fn auditors_read_without_a_lock_only_where_that_is_sound_or_asked_for() {
    let audit = |overrides: &[&str]| {
        let scenario = parse(GOOD, overrides).unwrap();
        let Plan::Stress(plan) = scenario.plan(Path::new("/r"), 7) else { panic!("it is a stress run") };
        plan.audit
    };
    assert_eq!(audit(&["subject.write=rename"]), Audit::LockFree);
    assert_eq!(audit(&["subject.write=in-place"]), Audit::Locked);
    assert_eq!(audit(&["subject.write=in-place", "stress.audit=lock-free"]), Audit::LockFree);
}

#[test]
fn only_gvisor_has_creates_that_fail_half_way() {
    let replica = |name: &str| {
        let text = GOOD.replace(
            "name = \"library\"\nlock = \"fs2\"",
            &format!("name = \"replica\"\nreplica = {name:?}"),
        );
        parse(&text, &["subject.fail_create=0.5"])
    };
    assert!(replica("gvisor-2018").is_ok());
    let error = replica("rules-without-recheck").unwrap_err();
    assert!(error.contains("fail_create: only creates of gVisor's replicas"), "{error}");
    let error = replica("gvisor-2017").unwrap_err();
    assert!(error.contains("the nearest is \"gvisor-2018\""), "{error}");
}

#[test]
fn overrides_win() {
    let overrides = ["subject.lock=ofd", "stress.duration=2s", "stress.mix.kill=3", "stress.audit=locked"];
    let scenario = parse(GOOD, &overrides).unwrap();
    assert_eq!(describe_subject(&scenario.subject), "library ofd");
    assert_eq!(scenario.stress().unwrap().budget, Budget::DurationNs(2_000_000_000));
    assert_eq!(scenario.stress().unwrap().audit, Some(Audit::Locked));
    assert_eq!(scenario.stress().unwrap().mix.len(), 3);
}

#[test]
fn each_mistake_is_named() {
    let cases: &[(&str, &[&str])] = &[
        (
            "stress.proceses=4",
            &["unknown key \"proceses\" in [stress]", "nearest known key is \"processes\""],
        ),
        ("stres.processes=4", &["unknown key \"stres\" in the scenario", "\"stress\""]),
        ("subject.lokc=ofd", &["unknown key \"lokc\" in [subject]", "\"lock\""]),
        ("expect.violation=[]", &["unknown key \"violation\" in [expect]", "\"violations\""]),
        ("stress.mix.paus=1", &["unknown operation \"paus\"", "\"pause\""]),
        ("subject.lock=odf", &["expected one of fs2, std, ofd, posix, lockfile", "nearest is \"ofd\""]),
        ("subject.wait=5", &["wait: expected a text, found 5"]),
        ("subject.wait=soon", &["expected \"block\", \"try\" or a duration"]),
        ("subject.name=librery", &["nearest is \"library\""]),
        ("stress.processes=-1", &["expected a whole number of processes from 1 to 4096, found -1"]),
        ("stress.processes=0", &["from 1 to 4096, found 0"]),
        ("stress.processes=100_000", &["the limit is 4096 processes, found 100000"]),
        ("stress.processes=many", &["expected a whole number", "the text \"many\""]),
        ("stress.containers=1_000_000", &["the limit is 100000 containers"]),
        ("stress.operations=0", &["from 1 to"]),
        ("stress.duration=\"10\"", &["expected a duration with a unit"]),
        ("stress.duration=10", &["expected a duration with a unit", "found 10"]),
        ("stress.think=50us..0us", &["expected a duration or a range"]),
        ("stress.think=1h", &["expected from 0ns to 10.00s"]),
        ("stress.kill_every=1us", &["expected from 1.0ms"]),
        ("stress.payload=12", &["expected 0 (none) or from 1KiB to 1024KiB"]),
        ("stress.payload=2MiB", &["expected 0 (none) or from 1KiB to 1024KiB"]),
        ("stress.payload=64KB", &["expected a size"]),
        ("stress.mix={}", &["mix: expected weights", "it is empty"]),
        ("stress.mix={ pause = 0 }", &["every weight is 0"]),
        ("stress.mix={ pause = -3 }", &["expected a weight from 0 to 1000000, found -3"]),
        ("stress.mix={ wait = 1 }", &["wait cannot be in a mix"]),
        ("stress.mix=3", &["mix: expected a table, found 3"]),
        ("stress.audit=none", &["expected one of lock-free, locked"]),
        ("stress.handoff_min=1.5", &["expected a number from 0 to 1"]),
        ("stress.fresh_processes=yes", &["expected true or false"]),
        ("expect.violations=[\"torn-raed\"]", &["expected a class of violation", "\"torn-read\""]),
        ("expect.also=torn-read", &["expected a list of classes"]),
        (
            "kind=bensh",
            &["expected \"stress\", \"explore\", \"bench\", \"race\" or \"crash\"", "nearest is \"bench\""],
        ),
        ("kind=stres", &["nearest is \"stress\""]),
    ];
    for (assignment, expected) in cases {
        let problems = parse(GOOD, &[assignment]).expect_err(assignment);
        for part in *expected {
            assert!(problems.contains(part), "{assignment} should say {part:?}, said:\n{problems}");
        }
        assert!(problems.contains('^') && problems.contains("--set"), "{problems}");
    }
}

#[test]
fn problems_in_a_file_have_line_and_column_and_all_are_told() {
    let text = GOOD.replace("processes = 4", "proceses = 4").replace("fs2", "fs3");
    let problems = parse(&text, &[]).unwrap_err();
    assert!(problems.contains("some/where.toml:7:8: lock: expected one of"), "{problems}");
    assert!(problems.contains("some/where.toml:10:1: unknown key \"proceses\""), "{problems}");
    assert!(problems.contains("[stress] needs processes"), "{problems}");
    assert!(problems.contains("10 | proceses = 4\n"), "{problems}");
}

#[test]
fn operations_and_duration_contradict_each_other() {
    let text = GOOD.replace("operations = 1_000", "operations = 1_000\nduration = \"1s\"");
    assert!(parse(&text, &[]).unwrap_err().contains("contradict each other"));
    assert!(parse(GOOD, &["stress.operations=1", "stress.duration=1s"]).unwrap_err().contains("contradict"));
}

#[test]
fn what_is_no_toml_is_told_with_its_line() {
    let problems = parse("about = \"x\nkind = 1\n", &[]).unwrap_err();
    assert!(problems.contains("some/where.toml:1:"), "{problems}");
    assert!(problems.contains("not valid TOML"), "{problems}");
}

#[test]
fn an_empty_file_needs_a_kind() {
    assert!(parse("", &[]).unwrap_err().contains("the scenario needs kind"));
}
