//! Explorations as scenarios spell them: what they mean, and every way in which they can be wrong.

use std::path::Path;

use flockwork::Operation;

use super::*;
use crate::plan::schedule::Injected;
use crate::scenario::{Found, Kind, Override, Plan, Scenario, Work};

const GOOD: &str = r#"
about = "Two pauses of one running container."
kind = "explore"

[subject]
name = "library"

[explore]
setup = ["create c1", "start c1"]
processes = [["pause c1"], ["state c1", "list", "force-delete other"]]
"#;

fn parse(text: &str, overrides: &[(&'static str, &str)]) -> Result<Scenario, String> {
    let found = Found { argument: "some/where.toml".into(), text: text.into() };
    let overrides: Vec<_> =
        overrides.iter().map(|(flag, value)| Override { flag, value: (*value).into() }).collect();
    Scenario::parse(&found, &overrides)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn explore(text: &str, sets: &[&str]) -> Explore {
    let sets: Vec<_> = sets.iter().map(|set| ("--set", *set)).collect();
    match parse(text, &sets).unwrap().work {
        Work::Explore(explore) => explore,
        Work::Stress(_)
        | Work::Command(_)
        | Work::Rounds(_)
        | Work::Bench(_)
        | Work::Race(_)
        | Work::Crash(_) => {
            panic!("it is another run")
        }
    }
}

#[test]
fn a_good_one_has_defaults() {
    let scenario = parse(GOOD, &[]).unwrap();
    assert_eq!((scenario.kind(), scenario.processes()), (Kind::Explore, 2));
    let Plan::Explore(plan) = scenario.plan(Path::new("/r"), 7) else { panic!("it is an exploration") };
    assert_eq!(plan.containers, ["c1", "other"]);
    assert_eq!(plan.setup.len(), 2);
    let last = &plan.processes[1];
    assert_eq!(last[1], Call { operation: Operation::List, container: 0 });
    assert_eq!(last[2], Call { operation: Operation::ForceDelete, container: 1 });
    assert_eq!(show_program(last, &plan.containers), ["state c1", "list", "force-delete other"]);
    assert_eq!(plan.strategy, StrategyPlan::Exhaustive { preemptions: None });
    assert_eq!((plan.faults.len(), plan.fault_bound, plan.seed), (0, 0, 7));
    assert_eq!(plan.budget, ExploreBudget { schedules: 200_000, time_ns: 60 * S_NS });
    assert_eq!((plan.step_ns, plan.steps_max), (5 * S_NS, 10_000));
    assert_eq!(plan.repeat, RepeatPlan::USUAL);
    assert!(plan.lanes >= 1);
}

#[test]
fn strategies_have_their_keys() {
    use StrategyPlan::{Exhaustive, Pct, Pos, Random};
    for (sets, strategy) in [
        (&["explore.preemptions=2"][..], Exhaustive { preemptions: Some(2) }),
        (&["explore.strategy=random"], Random),
        (&["explore.strategy=pct"], Pct { depth: 3 }),
        (&["explore.strategy=pct", "explore.pct_depth=5"], Pct { depth: 5 }),
        (&["explore.strategy=pos"], Pos),
    ] {
        assert_eq!(explore(GOOD, sets).strategy, strategy, "{sets:?}");
    }
    let lines = "explore.schedule=[\"p2 read c1/meta.json\", \"p1 exit ! kill\"]";
    let StrategyPlan::Replay(schedule) = explore(GOOD, &["explore.strategy=replay", lines]).strategy else {
        panic!("it is a replay")
    };
    assert_eq!(Vec::from(schedule), ["p2 read c1/meta.json", "p1 exit ! kill"]);
}

#[test]
fn schedules_are_run_once_more_as_asked() {
    assert_eq!(explore(GOOD, &["explore.repeat=all"]).repeat, RepeatPlan::All);
    let tenth = explore(GOOD, &["explore.repeat=1/10"]).repeat;
    let wanted = |repeat: RepeatPlan, numbers: RangeInclusive<u64>| {
        numbers.filter(|number| repeat.wants(*number)).collect::<Vec<_>>()
    };
    assert_eq!(wanted(tenth, 1..=31), [1, 10, 20, 30]);
    assert_eq!(wanted(RepeatPlan::USUAL, 998..=1_101), [998, 999, 1_000, 1_050, 1_100]);
    assert_eq!(wanted(RepeatPlan::All, 5_001..=5_003), [5_001, 5_002, 5_003]);
}

#[test]
fn shards_together_run_as_many_once_more_as_one_machine_alone() {
    let quarter = (0..16).fold(Parts::NONE, |parts, number| parts.with(Parts::one(number)));
    let repeats = |plan: RepeatPlan, parts: Parts| {
        let plan = plan.of_parts(parts);
        (1..=4_000).filter(|number| plan.wants(*number)).count()
    };
    assert_eq!(repeats(RepeatPlan::USUAL, quarter), 250 + 75);
    assert_eq!(repeats(RepeatPlan::one_in(50), quarter), 81);
    assert_eq!(repeats(RepeatPlan::All, quarter), 4_000);
    for plan in [RepeatPlan::USUAL, RepeatPlan::one_in(50), RepeatPlan::All] {
        assert_eq!(plan.of_parts(Parts::ALL), plan);
    }
}

#[test]
fn the_word_short_write_stands_for_both_kinds() {
    let explore = explore(GOOD, &["explore.faults=[\"short-write\", \"kill\", \"kill\", \"EIO\"]"]);
    let faults = [Fault::ShortWrite, Fault::ShortWriteKill, Fault::Kill, Fault::Error(Injected::Io)];
    assert_eq!((&explore.faults[..], explore.fault_bound), (&faults[..], 1));
}

#[test]
fn flags_mean_what_an_exploration_has() {
    let scenario = parse(GOOD, &[("--duration", "2s")]).unwrap();
    let Work::Explore(explore) = scenario.work else { panic!("it is an exploration") };
    assert_eq!(explore.budget, ExploreBudget { schedules: 200_000, time_ns: 2 * S_NS });
    for (flag, told) in [("--processes", "explore.processes"), ("--operations", "explore.budget.schedules")] {
        let problem = parse(GOOD, &[(flag, "3")]).unwrap_err();
        assert!(problem.contains(flag) && problem.contains(told) && problem.contains('^'), "{problem}");
    }
}

#[test]
fn each_mistake_is_named() {
    let many = format!("explore.processes=[{}]", "[\"state c1\"],".repeat(17));
    let cases: &[(&str, &[&str])] = &[
        ("explore.proceses=[]", &["unknown key \"proceses\" in [explore]", "\"processes\""]),
        ("explore.processes=[]", &["it is empty"]),
        ("explore.processes=[[]]", &["expected operations of this process, it has none"]),
        ("explore.processes=[\"pause c1\"]", &["expected a list of operations, found the text"]),
        ("explore.processes=pause", &["processes: expected a list of operations for each process"]),
        (&many, &["the limit is 16 processes, found 17"]),
        ("explore.setup=[\"creat c1\"]", &["setup: unknown operation \"creat\"", "is \"create\""]),
        ("explore.setup=[\"\"]", &["unknown operation \"\""]),
        ("explore.setup=[3]", &["expected an operation, such as \"pause c1\", found 3"]),
        ("explore.setup=[\"pause\"]", &["expected a container after it, such as \"pause c1\""]),
        ("explore.setup=[\"pause c1 c2\"]", &["expected an operation and one container"]),
        ("explore.setup=[\"list c1\"]", &["list covers the whole root"]),
        ("explore.setup=[\"create ../x\"]", &["../x"]),
        ("explore.strategy=dfs", &["expected one of exhaustive, random, pct, pos, replay"]),
        ("explore.pct_depth=2", &["pct_depth belongs to strategy \"pct\", and this one is \"exhaustive\""]),
        ("explore.schedule=[]", &["schedule belongs to strategy \"replay\""]),
        ("explore.strategy=replay", &["[explore] needs schedule"]),
        ("explore.preemptions=-1", &["from 0 to 64, found -1"]),
        ("explore.faults=[\"ENOSPACE\"]", &["expected a fault", "the nearest known fault is \"ENOSPC\""]),
        ("explore.faults=kill", &["faults: expected a list of faults"]),
        ("explore.fault_bound=2", &["there are no faults to bound"]),
        ("explore.repeat=none", &["repeat: expected \"all\", or a share such as \"1/50\", found \"none\""]),
        ("explore.repeat=1/0", &["repeat: expected \"all\""]),
        ("explore.repeat=7", &["repeat: expected a text"]),
        ("explore.budget.time=5", &["expected a duration with a unit"]),
        ("explore.budget.schedule=5", &["unknown key \"schedule\" in budget", "\"schedules\""]),
        ("explore.budget.schedules=0", &["from 1 to"]),
        ("explore.step_limit=1us", &["expected from 10.0ms"]),
        ("explore.steps=1", &["from 10 to"]),
        ("subject.sandbox=process", &["starts processes of its own", "sandbox = \"inert\""]),
    ];
    for (assignment, expected) in cases {
        let problems = parse(GOOD, &[("--set", assignment)]).expect_err(assignment);
        for part in *expected {
            assert!(problems.contains(part), "{assignment} should say {part:?}, said:\n{problems}");
        }
        assert!(problems.contains('^'), "{problems}");
    }
}

#[test]
fn a_schedule_is_read_line_by_line() {
    let replay = |lines: &str| {
        let text =
            format!("{GOOD}strategy = \"replay\"\nschedule = [\n    \"p1 read c1/meta.json\",\n{lines}\n]\n");
        parse(&text, &[]).map(|_| ()).map_err(|problem| problem.lines().next().unwrap().to_owned())
    };
    assert_eq!(replay("    \"p2 exit ! kill\","), Ok(()));
    for (line, told) in [
        ("\"p3 read c1/meta.json\",", "some/where.toml:14:1: schedule: p3 is none of the 2 processes"),
        ("\"read c1/meta.json\",", "some/where.toml:14:1: schedule: expected a process and its step"),
        ("\"p1 read x ! ENOENT\",", "found \"ENOENT\""),
        ("7", "some/where.toml:14:1: schedule: expected a line of a schedule, found 7"),
    ] {
        let problem = replay(line).unwrap_err();
        assert!(problem.contains(told), "{line}: {problem}");
    }
    let faulty = format!("{GOOD}strategy = \"replay\"\nschedule = []\nfaults = [\"kill\"]\n");
    assert!(parse(&faulty, &[]).unwrap_err().contains("itself says which step gets which fault"));
    let again = format!("{GOOD}strategy = \"replay\"\nschedule = []\nrepeat = \"all\"\n");
    assert!(parse(&again, &[]).unwrap_err().contains("replay --times"));
}

#[test]
fn mistakes_in_a_file_have_line_and_column() {
    let problems = parse(&GOOD.replace("\"pause c1\"", "\"puase c1\""), &[]).unwrap_err();
    assert!(problems.contains("some/where.toml:10:15: processes: unknown operation \"puase\""), "{problems}");
}
