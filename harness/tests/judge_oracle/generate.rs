//! Random small histories that vary everything that a header and a record can say.
//!
//! They come from a legal walk through a model's table, whatever the model is; half of them are then changed, mostly for
//! the worse.

use std::num::NonZeroU64;

use flockwork::{Operation, Status};
use flockwork_harness::history::{Deaths, History, Outcome, Reason, Record, Start, Window};
use flockwork_harness::model::table::ILLEGAL;
use flockwork_harness::model::{self, Builtin, Model, Seen};

use crate::random::Random;

/// What is varied; each must turn up.
pub const DIMENSIONS: &[&str] = &[
    "first: absent",
    "first: created",
    "first: running",
    "first: paused",
    "first: stopped",
    "first: unknown",
    "window",
    "containers: 1",
    "containers: 2",
    "containers: 3",
    "model: runsc",
    "model: oci",
    "model: example",
    "model: runsc, not its own",
    "deaths: not told",
    "deaths: never",
    "deaths: free",
    "tokens: whole",
    "tokens: in part",
    "tokens: generations",
    "tokens: not of looks and removals",
    "tokens: absent",
    "messages",
    "failed",
    "failed (corrupt)",
    "lists",
    "unknown",
    "unknown and open",
    "equal times",
    "nothing decides",
];

/// How much of generation and revision is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    Whole,
    InPart,
    Generations,
    /// Looks and force deletes tell nothing at all.
    Silent,
    Absent,
}

pub struct Case {
    pub history: History,
    pub model: Model,
    pub tokens: Tokens,
    /// What was varied in it.
    pub dimensions: Vec<String>,
}

/// One container on its way.
struct World<'a> {
    model: &'a Model,
    state: u8,
    generation: u64,
    revision: u64,
}

pub fn case(seed: u64) -> Case {
    let random = &mut Random::new(seed);
    let mut dimensions = vec!["all".to_owned()];
    let (model, own, told) = models(random);
    dimensions.push(format!("model: {told}"));
    let mut history = History::default();
    history.model = own;
    history.deaths = random.one_of(&[None, None, Some(Deaths::Never), Some(Deaths::Free)]);
    dimensions.push(format!("deaths: {}", history.deaths.map_or("not told", Deaths::as_str)));
    let containers = random.one_of(&[1, 1, 2, 3]);
    dimensions.push(format!("containers: {containers}"));
    let tokens =
        random.one_of(&[Tokens::Whole, Tokens::InPart, Tokens::Generations, Tokens::Silent, Tokens::Absent]);
    let mut worlds = Vec::new();
    for container in 0..containers {
        history.containers.push(format!("c{}", container + 1));
        let status = random.percent(50).then(|| random.one_of(&Status::ALL));
        let status = status.filter(|&status| model.states_of(Some(status)).next().is_some());
        history.set_initial(container, status);
        let is_known = !random.percent(8);
        if !is_known {
            history.set_start(container, Start::Unknown);
        }
        let word = if is_known { status.map_or("absent", Status::as_str) } else { "unknown" };
        dimensions.push(format!("first: {word}"));
        let starts: Vec<u8> = model.starts(&history, container).collect();
        let told = u64::from(status.is_some());
        worlds.push(World { model: &model, state: random.one_of(&starts), generation: told, revision: told });
    }
    let silent = random.percent(3);
    let operations = (1 + random.below(6)) * u64::from(containers.min(2));
    let mut now_ns = 20;
    for process in 0..operations {
        now_ns += random.below(4);
        let container = random.below(u64::from(containers)) as u32;
        let record =
            operation(random, &history, &mut worlds[container as usize], (process, container, now_ns));
        history.records.push(record);
    }
    drop(worlds);
    if silent {
        silence(random, &mut history.records);
    }
    if seed % 2 == 1 {
        for _ in 0..2 + random.below(6) {
            mutate(random, &model, &mut history.records);
        }
    }
    strip(random, tokens, &mut history.records);
    if random.percent(30) {
        dimensions.push("equal times".into());
        let coarse = |ns: u64| ns / 8 * 8;
        for record in &mut history.records {
            record.invoke_ns = coarse(record.invoke_ns);
            record.set_return_ns(record.return_ns().map(coarse));
        }
    }
    if random.percent(20) {
        history.records.push(list(random, operations as u32, now_ns));
    }
    attach(random, &mut history);
    if random.percent(10) {
        // Nothing lies across its ends: what does is for the tests of windows.
        history.window = Some(Window { from_ns: 0, to_ns: u64::MAX - 1 });
        dimensions.push("window".into());
    }
    tell(&history, &model, tokens, &mut dimensions);
    Case { history, model, tokens, dimensions }
}

/// The model that judges, the one that the header names, and how the two are told.
fn models(random: &mut Random) -> (Model, Option<Builtin>, &'static str) {
    match random.below(8) {
        0 => (Model::builtin(Builtin::Oci), Some(Builtin::Oci), "oci"),
        1 => (Model::builtin(Builtin::Runsc), Some(Builtin::Oci), "runsc, not its own"),
        2 => {
            let example = model::parse("example.toml", model::document::EXAMPLE.into()).expect("a model");
            (example, None, "example")
        }
        3 => (Model::builtin(Builtin::Runsc), None, "runsc"),
        _ => (Model::builtin(Builtin::Runsc), Some(Builtin::Runsc), "runsc"),
    }
}

fn status_of(model: &Model, state: u8) -> Option<Status> {
    Status::ALL.into_iter().find(|&status| model.states_of(Some(status)).any(|other| other == state))
}

/// An operation that the world performs, whole or not.
fn operation(
    random: &mut Random,
    history: &History,
    world: &mut World<'_>,
    (process, container, now_ns): (u64, u32, u64),
) -> Record {
    let model = world.model;
    if let Some(death) = model.death(history).filter(|_| random.percent(6)) {
        let dead = death[world.state as usize];
        if dead != ILLEGAL {
            (world.state, world.revision) = (dead, world.revision + 1);
        }
    }
    let rules = operations(model);
    // Half of the time one that goes through.
    let mut chosen = random.one_of(&rules);
    if random.percent(50) {
        let fit: Vec<Operation> =
            rules.iter().copied().filter(|&operation| ok(world, operation, None) != ILLEGAL).collect();
        chosen = if fit.is_empty() { chosen } else { random.one_of(&fit) };
    }
    let (sooner, later) = (random.below(5), random.below(5));
    let mut record = Record::invoked(process as u32, Some(container), chosen, now_ns - sooner);
    record.set_return_ns(Some(now_ns + later));
    match random.below(100) {
        0..15 => {
            let next = model.table().row((&record).into())[world.state as usize];
            if next != ILLEGAL && random.percent(60) {
                world.go(next, true);
            }
            if random.percent(25) {
                record.set_return_ns(None);
            }
        }
        15..20 => {
            let reasons = [Reason::Io, Reason::Locked, Reason::Sandbox, Reason::Other];
            (record.outcome, record.reason) = (Outcome::Failed, Some(random.one_of(&reasons)));
            if random.percent(8) {
                record.reason = Some(Reason::Corrupt);
            }
        }
        _ => answer(random, world, &mut record),
    }
    record
}

/// The operations of one container.
fn operations(model: &Model) -> Vec<Operation> {
    let operations = model.rules().rules.iter().map(|rule| rule.operation);
    operations.filter(|&operation| operation != Operation::List).collect()
}

fn ok(world: &World<'_>, operation: Operation, status: Option<Status>) -> u8 {
    let seen = Seen { operation, outcome: Outcome::Ok, reason: None, status };
    world.model.table().row(seen)[world.state as usize]
}

fn answer(random: &mut Random, world: &mut World<'_>, record: &mut Record) {
    let was_absent = status_of(world.model, world.state).is_none();
    let status = random.percent(30).then_some(Status::Stopped);
    let plain = ok(world, record.operation, None);
    let next = Some(ok(world, record.operation, status)).filter(|&next| next != ILLEGAL).unwrap_or(plain);
    if next == ILLEGAL {
        let state = world.state as usize;
        let holds = |&reason: &Reason| {
            let (operation, outcome) = (record.operation, Outcome::Refused);
            let seen = Seen { operation, outcome, reason: Some(reason), status: None };
            world.model.table().row(seen)[state] != ILLEGAL
        };
        let reason = [Reason::Exists, Reason::Absent, Reason::Status].into_iter().find(holds);
        (record.outcome, record.reason) = match reason {
            Some(reason) if random.percent(97) => (Outcome::Refused, Some(reason)),
            // A prefix that fits several, or something that waits on.
            Some(_) => (Outcome::Refused, Some(Reason::Ambiguous)),
            None => (Outcome::Failed, Some(Reason::Other)),
        };
    } else {
        record.outcome = Outcome::Ok;
        record.status = status_of(world.model, next);
        let saves = model::changes((&*record).into()) || next != world.state;
        world.go(next, saves);
    }
    let is_absent = status_of(world.model, world.state).is_none();
    if record.outcome == Outcome::Refused && record.reason != Some(Reason::Ambiguous) {
        record.status = status_of(world.model, world.state);
    }
    if record.outcome == Outcome::Failed
        || record.reason == Some(Reason::Ambiguous)
        || (was_absent && is_absent)
    {
        return;
    }
    record.generation = NonZeroU64::new(world.generation);
    record.revision = NonZeroU64::new(world.revision);
}

impl World<'_> {
    fn go(&mut self, next: u8, saves: bool) {
        let was_absent = status_of(self.model, self.state).is_none();
        let is_absent = status_of(self.model, next).is_none();
        if was_absent && !is_absent {
            (self.generation, self.revision) = (self.generation + 1, 1);
        } else if saves && !was_absent {
            self.revision += 1;
        }
        self.state = next;
    }
}

/// Lets every operation end so that it says nothing.
fn silence(random: &mut Random, records: &mut [Record]) {
    for record in records {
        (record.generation, record.revision, record.status) = (None, None, None);
        (record.outcome, record.reason) = random.one_of(&[
            (Outcome::Failed, Some(Reason::Io)),
            (Outcome::Unknown, None),
            (Outcome::Refused, Some(Reason::Ambiguous)),
        ]);
        if record.return_ns().is_none() {
            record.set_return_ns(Some(record.invoke_ns));
        }
    }
}

fn strip(random: &mut Random, tokens: Tokens, records: &mut [Record]) {
    for record in records {
        match tokens {
            Tokens::Generations => record.revision = None,
            Tokens::InPart if random.percent(30) => (record.generation, record.revision) = (None, None),
            Tokens::Silent
                if record.outcome == Outcome::Ok
                    && random.percent(60)
                    && matches!(
                        record.operation,
                        Operation::ForceDelete | Operation::State | Operation::Load
                    ) =>
            {
                (record.generation, record.revision, record.status) = (None, None, None);
            }
            Tokens::Whole | Tokens::InPart | Tokens::Silent => {}
            Tokens::Absent => {
                (record.generation, record.revision) = (None, None);
                // Without the status it saw, an operation leaves more to guess; only of a signal it tells what it did.
                if record.operation != Operation::Signal && random.percent(40) {
                    record.status = None;
                }
            }
        }
    }
}

fn list(random: &mut Random, process: u32, now_ns: u64) -> Record {
    let mut record = Record::invoked(process, None, Operation::List, random.below(now_ns));
    record.set_return_ns(Some(now_ns));
    record.outcome = Outcome::Ok;
    record
}

fn attach(random: &mut Random, history: &mut History) {
    if random.percent(30) {
        for position in 0..history.records.len() {
            if random.percent(50) {
                let mut record = history.records[position];
                history.attach_message(&mut record, format!("said \"{position}\"\n"));
                history.records[position] = record;
            }
        }
    }
}

/// Changes something, mostly for the worse; what a reader would refuse to read is not among it.
fn mutate(random: &mut Random, model: &Model, records: &mut Vec<Record>) {
    let position = random.below(records.len() as u64) as usize;
    let shift = 1 + random.below(6);
    let other = records[random.below(records.len() as u64) as usize];
    let change = random.below(11);
    if change == 4 && records.len() > 1 {
        records.swap_remove(position);
        return;
    }
    let record = &mut records[position];
    let answered = record.outcome != Outcome::Unknown;
    match change {
        0 => record.revision = record.revision.and_then(|old| NonZeroU64::new(old.get() + 1)),
        1 => record.revision = record.revision.and_then(|old| NonZeroU64::new((old.get() - 1).max(1))),
        2 if answered => record.status = Some(random.one_of(&Status::ALL)),
        3 => record.generation = record.generation.and_then(|old| NonZeroU64::new(old.get() + shift % 2 + 1)),
        5 => record.operation = random.one_of(&operations(model)),
        6 | 7 => {
            let took_ns = record.return_ns().map(|ns| ns - record.invoke_ns);
            let earlier = record.invoke_ns.saturating_sub(shift * 2);
            record.invoke_ns = if random.percent(50) { earlier } else { record.invoke_ns + shift * 2 };
            record.set_return_ns(took_ns.map(|ns| record.invoke_ns + ns));
        }
        8 | 9 if answered => {
            (record.outcome, record.reason) = match record.outcome {
                Outcome::Refused => (Outcome::Ok, None),
                Outcome::Ok => {
                    (Outcome::Refused, Some(random.one_of(&[Reason::Absent, Reason::Status, Reason::Exists])))
                }
                other => (other, record.reason),
            };
            record.status = None;
        }
        _ => (record.generation, record.revision) = (other.generation, other.revision),
    }
}

fn tell(history: &History, model: &Model, tokens: Tokens, dimensions: &mut Vec<String>) {
    let records = &history.records;
    let mut tell = |word: &str, is_so: bool| dimensions.extend(is_so.then(|| word.to_owned()));
    let tokens = match tokens {
        Tokens::Whole => "tokens: whole",
        Tokens::InPart => "tokens: in part",
        Tokens::Generations => "tokens: generations",
        Tokens::Silent => "tokens: not of looks and removals",
        Tokens::Absent => "tokens: absent",
    };
    tell(tokens, true);
    tell("messages", records.iter().any(|record| history.message(record).is_some()));
    tell("failed", records.iter().any(|record| record.outcome == Outcome::Failed));
    tell("failed (corrupt)", records.iter().any(|record| record.reason == Some(Reason::Corrupt)));
    tell("lists", records.iter().any(|record| record.operation == Operation::List));
    tell("unknown", records.iter().any(|record| record.outcome == Outcome::Unknown));
    tell("unknown and open", records.iter().any(|record| record.return_ns().is_none()));
    tell("nothing decides", !records.iter().any(|record| crate::says_something(model, record)));
    dimensions.sort();
    dimensions.dedup();
}
