//! Models: that each says what it should, that its page does, and what the author of a malformed one is told.

use std::fs;
use std::path::Path;

use flockwork::{Operation, Status};
use flockwork_harness::check::search::Budget;
use flockwork_harness::history::{Deaths, History, Outcome, Reason, Record, read};
use flockwork_harness::judge::{Checker, judge};
use flockwork_harness::model::table::{ILLEGAL, Table};
use flockwork_harness::model::{Builtin, Model, Seen, document, load, parse};
use flockwork_judge::verdict::Verdict;

#[test]
fn the_page_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/models.md");
    let page = document::page();
    if std::env::var_os("FLOCKWORK_BLESS").is_some() {
        fs::write(&path, &page).expect("docs/models.md is writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/models.md is not what the code says: FLOCKWORK_BLESS=1 makes it anew");
}

#[test]
fn the_rules_of_runsc_are_those_the_runs_are_judged_by() {
    assert_eq!(*Model::builtin(Builtin::Runsc).table(), Table::runsc());
}

fn example() -> Model {
    parse("some/where.toml", document::EXAMPLE.into()).unwrap_or_else(|problems| panic!("{}", problems[0]))
}

#[test]
fn the_example_of_the_documentation_is_a_model() {
    let model = example();
    assert_eq!(model.name(), "where");
    assert_eq!(model.table().states(), ["absent", "created", "running", "paused (from running)", "stopped"]);
}

#[test]
fn what_may_have_led_to_either_of_two_statuses_accuses_nobody() {
    let text = document::EXAMPLE.replace(
        "signal = { from = [\"created\", \"running\"], to = \"same\", or = \"stopped\" }",
        "signal = { from = [\"created\"], to = \"running\", or = \"stopped\" }",
    );
    assert_ne!(text, document::EXAMPLE);
    let judged = |model: &str, outcome: &str, status: &str| {
        let lines = format!(
            "{{\"flockwork_history\":1,\"initial\":{{\"c1\":\"created\"}}}}\n\
             {{\"process\":1,\"container\":\"c1\",\"op\":\"signal\",\"invoke_ns\":1,\"return_ns\":2,{outcome}}}\n\
             {{\"process\":2,\"container\":\"c1\",\"op\":\"state\",\"invoke_ns\":3,\"return_ns\":4,\"outcome\":\"ok\",\"status\":\"{status}\"}}\n"
        );
        let model =
            parse("some/where.toml", model.into()).unwrap_or_else(|problems| panic!("{}", problems[0]));
        let history = read::read(lines.as_bytes()).unwrap();
        let judged = judge(&history, &model, Checker::Auto, Budget::default());
        (judged[0].verdict(), judged[0].why().unwrap_or_default().to_owned())
    };
    let unknown = "\"outcome\":\"unknown\"";
    for (status, verdict) in [
        ("created", Verdict::Clean),
        ("stopped", Verdict::Clean),
        ("running", Verdict::Inconclusive),
        ("paused", Verdict::Inconclusive),
    ] {
        let (told, why) = judged(&text, unknown, status);
        assert_eq!(told, verdict, "{status}: {why}");
        assert_eq!(why.contains("p1's signal is unknown"), verdict == Verdict::Inconclusive, "{why}");
    }
    // What has answered leaves nothing open, nor does a rule with one way.
    let ok = "\"outcome\":\"ok\",\"status\":\"running\"";
    assert_eq!(judged(&text, ok, "running").0, Verdict::Clean);
    assert_eq!(judged(&text, ok, "stopped").0, Verdict::Violation);
    assert_eq!(judged(document::EXAMPLE, unknown, "running").0, Verdict::Violation);
}

fn ok(operation: Operation) -> Seen {
    Seen { operation, outcome: Outcome::Ok, reason: None, status: None }
}

fn refused(operation: Operation, reason: Reason) -> Seen {
    Seen { operation, outcome: Outcome::Refused, reason: Some(reason), status: None }
}

/// What becomes of a container of this model, by the names of states; "" where it cannot have ended so.
fn go<'a>(model: &'a Model, from: &str, seen: Seen) -> &'a str {
    let states = model.table().states();
    let from = states.iter().position(|name| name == from).expect("a state of the model");
    match model.table().row(seen)[from] {
        ILLEGAL => "",
        next => &states[usize::from(next)],
    }
}

#[test]
fn a_life_by_the_oci_specification() {
    use Operation::{Create, Delete, Kill, Pause, Resume, Start, State};
    let oci = Model::builtin(Builtin::Oci);
    let life = [
        (Create, "created"),
        (Pause, "paused (from created)"),
        (Resume, "created"),
        (Start, "running"),
        (Pause, "paused (from running)"),
        (State, "paused (from running)"),
        (Resume, "running"),
        (Kill, "stopped"),
        (Delete, "absent"),
    ];
    let mut state = "absent";
    for (operation, after) in life {
        state = go(&oci, state, ok(operation));
        assert_eq!(state, after, "after {operation}");
    }
    assert_eq!(go(&oci, "created", ok(Delete)), "", "unlike runsc's");
    assert_eq!(go(&oci, "created", refused(Delete, Reason::Status)), "created");
    assert_eq!(go(&oci, "stopped", refused(Kill, Reason::Status)), "stopped");
    assert_eq!(go(&oci, "running", refused(Start, Reason::Status)), "running");
    assert_eq!(go(&oci, "running", refused(Create, Reason::Exists)), "running");
    assert_eq!(go(&oci, "absent", refused(State, Reason::Absent)), "absent");
    assert_eq!(go(&oci, "absent", ok(Operation::ForceDelete)), "", "the specification has none");
}

#[test]
fn success_and_refusal_exclude_each_other_in_every_model() {
    for model in Builtin::ALL.map(Model::builtin).into_iter().chain([example()]) {
        for rule in &model.rules().rules {
            if matches!(rule.operation, Operation::List | Operation::Wait) {
                continue;
            }
            for state in model.table().states() {
                let reasons = [Reason::Exists, Reason::Absent, Reason::Status];
                let refusals = reasons
                    .iter()
                    .filter(|&&why| !go(&model, state, refused(rule.operation, why)).is_empty());
                let successes = usize::from(!go(&model, state, ok(rule.operation)).is_empty());
                let name = model.name();
                assert_eq!(successes + refusals.count(), 1, "{name}: {} of {state}", rule.operation);
            }
        }
    }
}

#[test]
fn a_model_knows_which_histories_it_can_judge() {
    let mut history = History::default();
    history.containers.push("c1".into());
    history.records.push(Record::invoked(0, Some(0), Operation::Create, 1));
    history.records.push(Record::invoked(0, None, Operation::List, 1));
    let oci = Model::builtin(Builtin::Oci);
    assert_eq!(oci.covers(&history), Ok(()));
    history.records.push(Record::invoked(0, Some(0), Operation::Checkpoint, 1));
    let why = oci.covers(&history).unwrap_err();
    assert!(why.contains("model oci has no operation checkpoint; it has create, start"), "{why}");
    assert_eq!(Model::builtin(Builtin::Runsc).covers(&history), Ok(()));
    assert_eq!(oci.starts(&history, 0).collect::<Vec<_>>(), [0]);
    history.set_initial(0, Some(Status::Paused));
    assert_eq!(oci.starts(&history, 0).collect::<Vec<_>>(), [3, 4], "nobody tells which");
    let text = document::EXAMPLE.replace("\"paused\", ", "").replace(", \"paused\"", "");
    let text = text
        .lines()
        .filter(|line| !line.starts_with("resume") && !line.starts_with("pause"))
        .collect::<Vec<_>>()
        .join("\n");
    let without = parse("mine.toml", text).unwrap_or_else(|problems| panic!("{}", problems[0]));
    history.records.clear();
    history.set_initial(0, Some(Status::Paused));
    let why = without.covers(&history).unwrap_err();
    assert_eq!(why, "model mine has no status paused, which c1 begins in");
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "from = \"created\"",
            "form = \"created\"",
            &[
                "m.toml:7:12: unknown key \"form\" in start",
                "nearest known key is \"from\"",
                "start needs from",
            ],
        ),
        (
            "to = \"running\"",
            "to = \"runing\"",
            &["m.toml:7:35: to: expected one of absent, created, running", "the nearest is \"running\""],
        ),
        ("to = \"running\"", "to = 3", &["to: expected one of absent", "found 3"]),
        (", to = \"running\"", "", &["start needs to: expected the status it leads to"]),
        (
            "start ",
            "strat ",
            &["m.toml:7:1: unknown operation \"strat\"", "the nearest known operation is \"start\""],
        ),
        ("start ", "list ", &["m.toml:7:1: list concerns no single container"]),
        (
            "start  = { from = \"created\", to = \"running\" }",
            "start = \"running\"",
            &["start: expected { from = …, to = … }, found the text \"running\""],
        ),
        (
            "refused = \"exists\"",
            "refused = \"exist\"",
            &["refused: expected one of status, exists, waits", "nearest is \"exists\""],
        ),
        ("or = \"stopped\"", "or = \"same\"", &["or: expected one of created, running, paused, stopped"]),
        (
            "initial = \"absent\"",
            "initial = \"gone\"",
            &["m.toml:2:11: initial: expected one of absent, created"],
        ),
        (
            "initial = \"absent\"",
            "intial = \"absent\"",
            &["m.toml:2:1: unknown key \"intial\" in the model", "\"initial\""],
        ),
        (
            "\"paused\", \"stopped\"]\n\n",
            "\"frozen\", \"stopped\"]\n\n",
            &["m.toml:3:35: statuses: expected one of absent, created", "pause", "found the text \"paused\""],
        ),
        ("\"paused\", \"stopped\"]\n\n", "\"created\"]\n\n", &["statuses: created appears twice"]),
        ("\"paused\", \"stopped\"]\n\n", "\"absent\"]\n\n", &["statuses: leave out absent"]),
        (
            "[operations]",
            "[operation]",
            &["the model needs operations", "unknown key \"operation\"", "\"operations\""],
        ),
        (
            "initial = \"absent\"",
            "deaths = \"fre\"",
            &["m.toml:2:10: deaths: expected one of never, free", "nearest is \"free\""],
        ),
        ("statuses = ", "status = ", &["the model needs statuses"]),
        (
            "from = \"running\", to = \"paused\"",
            "from = [\"running\", \"absent\"], to = \"paused\"",
            &["m.toml:8:1: pause leads from absent to paused"],
        ),
        (
            "from = \"paused\", to = \"remembered\"",
            "from = [\"paused\", \"absent\"], to = \"remembered\"",
            &["to: nothing is remembered of an absent container"],
        ),
        (
            "from = \"paused\", to = \"remembered\"",
            "from = [\"paused\", \"running\"], to = \"remembered\"",
            &["only one status before is remembered"],
        ),
        ("from = \"paused\"", "from = []", &["from: expected at least one status; it is empty"]),
        ("about = \"", "about = ", &["m.toml:1:", "not valid TOML"]),
    ];
    for (good, bad, expected) in cases {
        let text = document::EXAMPLE.replacen(good, bad, 1);
        assert_ne!(text, document::EXAMPLE, "{good} is in the example");
        let problems = parse("m.toml", text).map(|_| ()).expect_err(bad);
        let told = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        for part in *expected {
            assert!(told.contains(part), "{bad} should say {part:?}, said:\n{told}");
        }
    }
    assert!(parse("m.toml", String::new()).is_err());
    let ambiguous = document::EXAMPLE
        .replace("initial = \"absent\"", "initial = \"paused\"")
        .replace("from = \"running\", to = \"paused\"", "from = [\"created\", \"running\"], to = \"paused\"");
    let told = parse("m.toml", ambiguous).map(|_| ()).unwrap_err()[0].to_string();
    assert!(told.contains("initial: expected a status entered from one other only, found paused"), "{told}");
}

#[test]
fn who_may_die_is_said_by_the_history_and_else_by_the_model() {
    let text = document::EXAMPLE.replace("initial =", "deaths = \"free\"\ninitial =");
    let mortal = parse("m.toml", text).unwrap_or_else(|problems| panic!("{}", problems[0]));
    let (mut history, runsc) = (History::default(), Model::builtin(Builtin::Runsc));
    let expected = [ILLEGAL, 4, 4, 4, ILLEGAL];
    assert_eq!(mortal.death(&history).map(|row| row[..5].to_vec()), Some(expected.to_vec()));
    assert_eq!(runsc.death(&history), None);
    history.deaths = Some(Deaths::Never);
    assert_eq!(mortal.death(&history), None);
    history.deaths = Some(Deaths::Free);
    let row = runsc.death(&history).expect("the history says so");
    assert_eq!(row[..6], [ILLEGAL, 5, 5, 5, 5, ILLEGAL]);
}

#[test]
fn models_are_found_by_name_and_by_path() {
    assert_eq!(load("runsc").unwrap().name(), "runsc");
    assert_eq!(load("oci").unwrap().name(), "oci");
    let told = |name: &str| load(name).map(|_| ()).unwrap_err().to_string();
    assert!(told("runc").contains("no model of that name, and no such file; the nearest is \"runsc\""));
    assert!(told("no/such.toml").contains("known models: runsc, oci, or a TOML file"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    let path = path.to_str().unwrap();
    fs::write(path, document::EXAMPLE).unwrap();
    assert_eq!(load(path).unwrap().name(), "mine");
    fs::write(path, b"about = \"\n\xff\"").unwrap();
    assert!(told(path).contains("cannot be read as a model: line 2 is not UTF-8"));
    fs::write(path, vec![b'#'; 2 << 20]).unwrap();
    assert!(told(path).contains("larger than the limit"));
    assert!(told(folder.path().to_str().unwrap()).contains("cannot be read as a model"));
}
