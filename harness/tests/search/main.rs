//! Holds the search against an oracle that tries every order, over random small histories with and without tokens.

mod budgets;
mod crowd;
#[path = "../support/oracle.rs"]
mod oracle;
#[path = "../checks_oracle/simulation.rs"]
mod simulation;

use flockwork::Operation;
use flockwork_harness::check::certificate::Flaw;
use flockwork_harness::check::search::{self, Budget, SearchRuling};
use flockwork_harness::check::witness::{DeathRule, WitnessOrder};
use flockwork_harness::history::{self, History, Outcome, Reason, Record, write};
use flockwork_harness::model::{self, Builtin, Model, State};
use flockwork_harness::report::verdict::Undecided;
use oracle::Reads;
use simulation::{Random, Simulation, Start};

/// How often a history may be changed until it is illegal.
const MUTATIONS_MAX: u32 = 12;

#[derive(Debug, Default)]
struct Tally {
    legal: u64,
    illegal: u64,
    with_unknown: u64,
    with_open: u64,
    with_nested: u64,
    with_tokens: u64,
    with_lives: u64,
    several: u64,
    begun: u64,
    illegal_with_lives: u64,
    illegal_only_by_tokens: u64,
}

fn text(history: &History) -> String {
    let mut bytes = Vec::new();
    write::write(history, &mut bytes).expect("memory");
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

/// Whether the operations of one container have an order.
fn has_an_order(history: &History, model: &Model, container: u32, records: &[Record]) -> bool {
    let mut alone = history.clone();
    alone.records = records.to_vec();
    let lives = search::partitions(&alone).iter().all(|lane| search::tells_lives(&alone, model, lane));
    let reads = if lives { Reads::Generations } else { Reads::Statuses };
    let (starts, death) = (model.starts(history, container), model.death(history));
    oracle::has_an_order(model, records, starts, death, reads).expect("a small history")
}

/// Whether those of each have.
fn all_have_an_order(history: &History, model: &Model) -> bool {
    (0..history.containers.len() as u32).all(|container| {
        let records = history.records.iter().filter(|record| record.container() == Some(container));
        has_an_order(history, model, container, &records.copied().collect::<Vec<_>>())
    })
}

/// One to three containers, of which each is in some state at the start.
fn history_of(seed: u64, model: &Model) -> (History, bool) {
    let mut random = Random::new(seed);
    let mut history = History::default();
    let deaths = if seed % 5 < 2 { DeathRule::Free } else { DeathRule::Never };
    history.deaths =
        Some(if deaths == DeathRule::Free { history::Deaths::Free } else { history::Deaths::Never });
    let containers: u32 = random.one_of(&[1, 1, 2, 3]);
    let broken = random.below(containers.into()) as u32;
    let mut is_legal = true;
    for container in 0..containers {
        history.containers.push(format!("c{}", container + 1));
        let state = if random.percent(50) { State::Absent } else { random.one_of(&STATES) };
        history.set_initial(container, state.status());
        let is_broken = seed % 2 == 1 && container == broken;
        let start = Start { container, state };
        let drawn = container_of((seed, deaths), &mut random, &history, model, start, is_broken);
        let (mut records, is_right) = drawn;
        is_legal = is_legal && is_right;
        history.records.append(&mut records);
    }
    (history, is_legal)
}

const STATES: [State; 5] =
    [State::Created, State::Running, State::PausedFromCreated, State::PausedFromRunning, State::Stopped];

fn container_of(
    (seed, deaths): (u64, DeathRule),
    random: &mut Random,
    history: &History,
    model: &Model,
    start: Start,
    is_broken: bool,
) -> (Vec<Record>, bool) {
    let has_an_order = |records: &[Record]| has_an_order(history, model, start.container, records);
    let operations = 2 + random.below(8);
    // Where nothing is killed, most histories tell enough of generations to be judged life by life.
    let killed_percent = if seed / 4 % 4 == 3 { 0 } else { 30 };
    let mut records = Simulation::new(random, deaths, killed_percent, start).run(operations);
    if seed % 4 >= 2 {
        for record in &mut records {
            (record.generation, record.revision) = (None, None);
            // Without the status it saw, an operation leaves more to guess; only of a signal it tells what it did.
            if record.operation != Operation::Signal && random.percent(50) {
                record.status = None;
            }
        }
    }
    let mut is_legal = has_an_order(&records);
    assert!(is_legal, "seed {seed}: the simulation is legal: {records:?}");
    if is_broken {
        for _ in 0..MUTATIONS_MAX {
            if random.percent(30) {
                turn(random, &mut records);
            } else {
                simulation::mutate(random, &mut records);
            }
            is_legal = has_an_order(&records);
            if !is_legal {
                break;
            }
        }
    }
    (records, is_legal)
}

/// Lets a refusal have been a success, or the reverse.
fn turn(random: &mut Random, records: &mut [Record]) {
    let position = random.below(records.len() as u64) as usize;
    let record = &mut records[position];
    (record.outcome, record.reason) = match record.outcome {
        Outcome::Refused => (Outcome::Ok, None),
        Outcome::Ok => (Outcome::Refused, Some(random.one_of(&[Reason::Absent, Reason::Status]))),
        other => (other, record.reason),
    };
    record.status = None;
}

/// Whether the search has an order for every container, and one that stands on its own.
fn certify(history: &History, model: &Model, budget: Budget) -> Result<bool, Flaw> {
    for lane in search::partitions(history) {
        match search::judge_one(history, model, budget.shared(1), &lane) {
            SearchRuling::Legal(proof) => proof.certificate().validate(history, model)?,
            // Where nothing was verified there is no order, and none is needed.
            SearchRuling::Undecided(Undecided::Nothing(_)) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether it is legal; where nothing says anything, nothing is illegal.
fn is_linearizable(ruling: &SearchRuling) -> bool {
    matches!(ruling, SearchRuling::Legal(_) | SearchRuling::Undecided(Undecided::Nothing(_)))
}

fn judge(seed: u64, model: &Model, tally: &mut Tally) {
    let (history, is_legal) = history_of(seed, model);
    // However narrow the first sweep is, the verdict is the same.
    for width in [1, 4, usize::MAX] {
        let budget = Budget { width, ..Budget::default() };
        let verdicts = search::judge(&history, model, budget);
        let is_linearizable = verdicts.iter().all(is_linearizable);
        let told = || format!("seed {seed}, width {width}\n{verdicts:?}\n{}", text(&history));
        let is_decided =
            !verdicts.iter().any(|verdict| matches!(verdict, SearchRuling::Undecided(Undecided::Open(_))));
        assert!(is_decided, "{}", told());
        assert_eq!(is_linearizable, is_legal, "the oracle says {is_legal}: {}", told());
        for verdict in &verdicts {
            let SearchRuling::Illegal(explanation) = verdict else { continue };
            let has_an_order = oracle::window_has_an_order(model, &history, explanation);
            assert_eq!(has_an_order, Some(false), "no proof: {}", told());
        }
    }
    let told = || format!("seed {seed}\n{}", text(&history));
    assert_eq!(certify(&history, model, Budget::default()), Ok(is_legal), "{}", told());
    let order = WitnessOrder::of_history(&history, DeathRule::of_history(&history));
    if order.open().next().is_none() {
        // The witness knows more, so it may find more; what the search finds, it finds as well.
        let finds = order.faults().next().is_some();
        assert!(is_legal || finds, "the witness finds nothing: {}", told());
        tally.illegal_only_by_tokens += u64::from(is_legal && finds);
        tally.with_tokens += 1;
    }
    let records = &history.records;
    let count = |found: bool| u64::from(found);
    let tells_lives =
        search::partitions(&history).iter().all(|lane| search::tells_lives(&history, model, lane));
    tally.with_lives += count(tells_lives);
    tally.several += count(history.containers.len() > 1);
    let starts = 0..history.containers.len() as u32;
    tally.begun +=
        count(starts.into_iter().any(|container| history.start(container) != history::Start::Absent));
    tally.illegal_with_lives += count(tells_lives && !is_legal);
    tally.legal += count(is_legal);
    tally.illegal += count(!is_legal);
    tally.with_unknown += count(records.iter().any(|record| record.outcome == Outcome::Unknown));
    tally.with_open += count(records.iter().any(|record| record.return_ns().is_none()));
    tally.with_nested += count(records.iter().any(|outer| {
        records
            .iter()
            .any(|inner| outer.invoke_ns < inner.invoke_ns && inner.deadline_ns() < outer.deadline_ns())
    }));
}

fn compare(seeds: std::ops::Range<u64>) {
    let (model, histories) = (Model::builtin(Builtin::Runsc), seeds.end - seeds.start);
    let mut tally = Tally::default();
    for seed in seeds {
        judge(seed, &model, &mut tally);
    }
    println!("{tally:?}");
    assert!(tally.illegal >= histories * 2 / 5, "too few illegal histories: {tally:?}");
    assert!(tally.illegal_with_lives >= histories / 100, "too few judged life by life: {tally:?}");
    assert!(tally.several >= histories / 3, "too few with several containers: {tally:?}");
    assert!(tally.begun >= histories / 3, "too few in which a container is there at the start: {tally:?}");
    assert!(tally.with_unknown >= histories / 2, "too few with killed operations: {tally:?}");
}

#[test]
fn the_search_agrees_with_every_order_tried() {
    compare(0..6_000);
}

#[test]
#[ignore = "the same over many more histories: a minute or more"]
fn the_search_agrees_with_every_order_tried_at_length() {
    compare(1_000_000..1_250_000);
}

/// What is legal by one model is mostly not by another: the same histories, less the operations that a model lacks.
#[test]
fn the_search_agrees_by_other_models() {
    let runsc = Model::builtin(Builtin::Runsc);
    let example = model::parse("example.toml", model::document::EXAMPLE.into()).expect("a model");
    for model in [Model::builtin(Builtin::Oci), example] {
        let mut tally = (0, 0);
        for seed in 0..1500 {
            let mut history = history_of(seed, &runsc).0;
            history.records.retain(|record| model.rules().rule(record.operation).is_some());
            let verdicts = search::judge(&history, &model, Budget::default());
            let is_linearizable = verdicts.iter().all(is_linearizable);
            let is_legal = all_have_an_order(&history, &model);
            let told = || format!("seed {seed} by {}\n{verdicts:?}\n{}", model.name(), text(&history));
            assert_eq!(is_linearizable, is_legal, "{}", told());
            assert_eq!(certify(&history, &model, Budget::default()), Ok(is_linearizable), "{}", told());
            if is_linearizable { tally.0 += 1 } else { tally.1 += 1 }
        }
        println!("{}: linearizable, not: {tally:?}", model.name());
        assert!(tally.0 >= 200 && tally.1 >= 200, "{}: {tally:?}", model.name());
    }
}

/// Histories in which many are always under way: the oracle cannot judge those, but whoever simulated them knows, and
/// the exact sweep is held against the oracle above.
#[test]
fn a_narrow_search_says_what_the_exact_one_says() {
    let model = Model::builtin(Builtin::Runsc);
    let mut tally = (0, 0);
    for seed in 0..40 {
        let mut random = Random::new(seed);
        let mut history = crowd::history(&mut random, 400, 2 + seed % 20);
        let judge = |history: &History, width| {
            let budget = Budget { width, ..Budget::default() };
            match search::judge(history, &model, budget).as_slice() {
                [SearchRuling::Legal(_)] => true,
                [SearchRuling::Illegal(_)] => false,
                other => panic!("seed {seed}, width {width}: {other:?}"),
            }
        };
        for width in [1, 4, usize::MAX] {
            let certified = certify(&history, &model, Budget { width, ..Budget::default() });
            assert!(
                judge(&history, width) && certified == Ok(true),
                "seed {seed}, width {width}: the simulation is legal, {certified:?}\n{}",
                text(&history)
            );
        }
        for _ in 0..4 {
            turn(&mut random, &mut history.records);
            let exact = judge(&history, usize::MAX);
            for width in [1, 4] {
                assert_eq!(judge(&history, width), exact, "seed {seed}, width {width}\n{}", text(&history));
            }
            if exact {
                tally.0 += 1;
            } else {
                tally.1 += 1;
                break;
            }
        }
    }
    println!("linearizable, not: {tally:?}");
    assert!(tally.1 >= 20, "too few that are not: {tally:?}");
}
