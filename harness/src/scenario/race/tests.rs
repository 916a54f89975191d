//! Races as they are written and read.

use super::*;
use crate::scenario::{Found, Scenario, Work};

fn read(text: &str) -> Result<Race, String> {
    let found = Found { argument: "a.toml".into(), text: text.into() };
    let scenario = Scenario::parse(&found, &[])
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    match scenario.work {
        Work::Race(race) => Ok(*race),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_saved_reads_back_as_it_was() {
    let race = Race {
        processes: vec![vec!["./tool 'a b'".into(), "./tool \"c\"".into()], vec!["printf 'x\\n'\n>f".into()]],
        state: vec!["./state".into(), "b".into()],
        in_place: true,
        own_state: false,
        modelled: None,
        oci: None,
        folder: "work".into(),
        environment: vec![("TOOL_DIR".into(), "{state}".into()), ("A.B".into(), "=".into())],
        setup: vec!["true".into()],
        observe: Some("cat f".into()),
        then: vec!["./tool list".into()],
        busy: vec![Busy::Exit(75), Busy::Stderr("lock.*".into())],
        compare: Some(Compare { files: true, output: false, stderr: true, observe: true }),
        faults: vec![Fault::Kill],
        power: false,
        disk: None,
        strict: true,
        ignore: vec!["*.log".into()],
        masks: vec![r"\d+".into()],
        mode: Mode::Perturbed(0..=2_000_000),
        strategy: None,
        allow_uncontrolled: false,
        fork_server: ForkServer::Off,
        threads: Threads::Fixed,
        sleeps: Sleeps::Held,
        budget: RaceBudget { time_ns: 1_500_000_000, executions: Some(7) },
        time_limit_ns: 2 * S_NS,
    };
    let text = race.to_toml("It's \"so\".", &["not-serializable".into()]);
    assert_eq!(read(&text).unwrap_or_else(|error| panic!("{error}\n{text}")), race);
    let plain = Race {
        processes: vec![vec!["a".into()], vec!["b".into()]],
        state: vec!["s".into()],
        mode: Mode::Free,
        ..Race::default()
    };
    assert_eq!(read(&plain.to_toml("", &[])), Ok(plain.clone()));
    let lost = Race {
        mode: Mode::Auto,
        power: true,
        faults: vec![Fault::Kill],
        disk: Some("xfs".into()),
        ..plain.clone()
    };
    assert_eq!(read(&lost.to_toml("", &[])), Ok(lost));
    for strategy in [
        None,
        Some(StrategyPlan::Exhaustive { preemptions: None }),
        Some(StrategyPlan::Exhaustive { preemptions: Some(1) }),
        Some(StrategyPlan::Random),
        Some(StrategyPlan::Pct { depth: 4 }),
        Some(StrategyPlan::Pos),
    ] {
        let held = Race {
            mode: Mode::Auto,
            strategy,
            allow_uncontrolled: true,
            fork_server: ForkServer::Auto,
            ..plain.clone()
        };
        assert_eq!(read(&held.to_toml("", &[])), Ok(held.clone()));
        let explored =
            Race { fork_server: ForkServer::Off, threads: Threads::Explore, sleeps: Sleeps::Real, ..held };
        assert_eq!(read(&explored.to_toml("", &[])), Ok(explored));
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let head = "kind = \"race\"\n[race]\nstate = [\"s\"]\nprocesses = [[\"a\"], [\"b\"]]\n";
    for (line, told) in [
        ("busy = [\"exit:x\"]", "expected an exit code from 0 to 255, found \"x\""),
        ("busy = [\"code:7\"]", "expected exit:CODE, stderr:REGEX or stdout:REGEX"),
        ("busy = [\"stderr:(\"]", "not a regular expression"),
        ("faults = [\"EIO\"]", "expected kill, kill-one or power-loss, found \"EIO\""),
        ("compare = [\"file\"]", "the nearest is \"files\""),
        ("perturb = \"2\"", "expected times such as 0..2ms"),
        ("perturb = \"0..2ms\"\nfree = true", "leave out free"),
        ("strict = true", "expected --faults kill"),
        ("mask = [\"[\"]", "not a regular expression"),
        ("stat = 1", "state"),
        ("env = { A = 1 }", "env: A: expected a text"),
        ("compare = [\"observe\"]", "give --observe CMD"),
        ("strategy = \"randon\"", "the nearest is \"random\""),
        ("strategy = \"random\"\npreemptions = 2", "for strategy exhaustive"),
        ("depth = 2", "depth is for strategy pct"),
        ("free = true\npreemptions = 2", "leave out --free"),
        ("faults = [\"kill\"]\npreemptions = 2", "not work with --faults"),
        ("disk = \"ext4\"", "expected --faults power-loss with it"),
        ("faults = [\"power-loss\"]\ndisk = \"ext5\"", "the nearest is \"ext4\""),
        ("faults = [\"power-loss\"]\nfree = true", "leave out --free"),
        ("sleeps = \"real\"\nfree = true", "leave out --free"),
        ("sleeps = \"rael\"", "the nearest is \"real\""),
    ] {
        let error = read(&format!("{head}{line}\n")).expect_err(line);
        assert!(error.contains(told), "{line}: {error}");
    }
    for (processes, told) in [
        ("[[\"a\"]]", "takes 2 to 8 processes, and this has 1"),
        ("[[\"a\"], []]", "a process has no command"),
        ("[[\"a\"], [\"b {stat}\"]]", "the nearest is {state}"),
        ("[[\"a\"], [1]]", "expected a list of command lines"),
    ] {
        let text = format!("kind = \"race\"\n[race]\nstate = [\"s\"]\nprocesses = {processes}\n");
        let error = read(&text).expect_err(processes);
        assert!(error.contains(told), "{processes}: {error}");
    }
}
