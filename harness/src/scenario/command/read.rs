//! Reads `[subject]` and `[stress]` of a scenario of commands.

use serde_json::Value as Json;

use super::{CommandStress, explore, rules, watch};
use crate::document::reader::Reader;
use crate::document::source::Problem;
use crate::document::tree::{Entry, Node, Value};
use crate::history::object::Op;
use crate::model::object::{Kind, load as load_object};
use crate::model::{AnyModel, load_any};
use crate::plan::command::{CommandPlan, Form, Line, OperationPlan, Rule, Values};
use crate::race::command::Command;
use crate::scenario::Work;
use crate::scenario::race::parse_perturb;
use crate::scenario::stress::{self, DAY_NS, MS_NS, S_NS};
use crate::subject::command::fill::{self, Placeholder};
use crate::words::nearest;

const OBJECTS_MAX: u32 = 1000;
const AUDITORS_MAX: u32 = 64;
const ROUND_MAX: u64 = 1_000_000;
const WEIGHT_MAX: u64 = 1_000_000;
const TIME_LIMIT_NS: u64 = 10 * S_NS;
const LINE: &str = "a command line, or its words such as [\"./tool\", \"add\", \"{value}\"]";
/// How many members a set has at most, unless a scenario says otherwise.
const MEMBERS: i64 = 8;

/// What stands for something in an operation.
fn of_operation() -> Vec<&'static str> {
    // Files are what auditors watch.
    let known = Placeholder::ALL.into_iter().filter(|placeholder| *placeholder != Placeholder::File);
    known.map(Placeholder::as_str).collect()
}

/// Reads both tables of a stress run.
pub fn read(reader: &mut Reader<'_>) -> Option<Work> {
    let subject = Subject::read(reader.section("subject", "[subject]"))?;
    let stress = reader.section("stress", "[stress]");
    if subject.model.is_none() {
        return explore::read_sequential(stress, subject).map(|race| Work::Race(Box::new(race)));
    }
    read_stress(stress, subject).map(|command| Work::Command(Box::new(command)))
}

/// Reads both tables of an exploration.
pub fn read_explore(reader: &mut Reader<'_>) -> Option<Work> {
    let subject = Subject::read(reader.section("subject", "[subject]"))?;
    explore::read(reader.section("explore", "[explore]"), &subject).map(|race| Work::Race(Box::new(race)))
}

/// What `[subject]` says.
pub(super) struct Subject {
    /// What is right; none: what the commands themselves do one after the other.
    pub model: Option<AnyModel>,
    /// Where the model was read from, where it has a name or a path.
    pub file: Option<String>,
    /// A plan in which all is told but what `[stress]` says.
    pub plan: CommandPlan,
}

/// The model that is none: the program is its own specification.
const SEQUENTIAL: &str = "sequential";

impl Subject {
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let _ = reader.text("name");
        let file = match reader.take("model").map(|entry| &entry.node.value) {
            Some(Value::Text(name)) => Some(name.clone()),
            _ => None,
        };
        let is_sequential = file.as_deref() == Some(SEQUENTIAL);
        let model = if is_sequential { None } else { Some(read_model(&mut reader)?) };
        let state = reader.text("state").map(|(text, _)| text.into());
        let folder = filled_text(&mut reader, "cwd", &["state"]).unwrap_or_default();
        let environment = read_environment(&mut reader, "env", &["state"]);
        let time_limit_ns = reader.duration_ns("time_limit", 10 * MS_NS..=DAY_NS).unwrap_or(TIME_LIMIT_NS);
        let shared = rules::read(&mut reader, "answers");
        let setup = read_lines(&mut reader, "setup");
        let round_setup = read_lines(&mut reader, "round_setup");
        let round_teardown = read_lines(&mut reader, "round_teardown");
        let teardown = read_lines(&mut reader, "teardown");
        let watch = watch::read(&mut reader);
        let forbids_strays = reader.word("strays", &["told", "forbidden"]) == Some("forbidden");
        let operations = read_operations(&mut reader, model.as_ref(), time_limit_ns, &shared);
        reader.finish();
        let plan = CommandPlan {
            operations,
            objects: Vec::new(),
            processes: 0,
            budget: crate::plan::Budget::Operations(0),
            round: None,
            think_ns: 0..=0,
            perturb_ns: None,
            kill_every_ns: None,
            state,
            leaves_out: Vec::new(),
            folder,
            environment,
            setup,
            round_setup,
            round_teardown,
            teardown,
            time_limit_ns,
            watch,
            auditors: 0,
            forbids_strays,
            seed: 0,
        };
        Some(Self { model, file, plan })
    }
}

fn read_stress(mut reader: Reader<'_>, subject: Subject) -> Option<CommandStress> {
    let Subject { model, mut plan, .. } = subject;
    let processes = stress::required_processes(&mut reader);
    let budget = stress::read_budget(&mut reader);
    plan.objects = read_objects(&mut reader);
    plan.round = reader.count("round", 1..=ROUND_MAX, "operations of each process");
    plan.think_ns = reader.duration_range_ns("think", 10 * S_NS).unwrap_or(0..=0);
    plan.perturb_ns = read_perturb(&mut reader);
    plan.kill_every_ns = reader.duration_ns("kill_every", MS_NS..=DAY_NS);
    let auditors = reader.count_u32("auditors", 0..=AUDITORS_MAX, "auditors");
    plan.auditors = auditors.unwrap_or(u32::from(!plan.watch.is_empty()));
    if plan.watch.is_empty() && plan.auditors > 0 {
        let place = reader.place().clone();
        let message =
            "auditors read watched files: expected watch in [subject], such as watch = [\"*.json\"]";
        reader.complain(Problem::new(&place, message));
    }
    read_mix(&mut reader, &mut plan.operations);
    let overlap_min = reader.share("overlap_min").unwrap_or(0.10);
    reader.finish();
    plan.processes = processes?;
    plan.budget = budget?;
    Some(CommandStress { model: model?, plan, overlap_min })
}

/// As `flockwork race --perturb` takes it.
pub(super) fn read_perturb(reader: &mut Reader<'_>) -> Option<std::ops::RangeInclusive<u64>> {
    let (text, place) = reader.text("perturb")?;
    parse_perturb(text).map_err(|why| reader.complain(Problem::new(place, format!("perturb: {why}")))).ok()
}

fn read_model(reader: &mut Reader<'_>) -> Option<AnyModel> {
    let Some(entry) = reader.take("model") else {
        let kinds: Vec<&str> = Kind::whole().into_iter().map(Kind::as_str).collect();
        reader.missing(
            "model",
            &format!("{}, runsc, oci, {SEQUENTIAL}, or the path of a model", kinds.join(", ")),
        );
        return None;
    };
    match &entry.node.value {
        Value::Text(name) => load_any(name)
            .map_err(|error| reader.complain(Problem::new(&entry.node.place, format!("model: {error}"))))
            .ok(),
        Value::Table(table) => {
            let inner = reader.inner(table, "[subject.model]", entry.node.place.clone());
            load_object("model of the scenario".into(), inner).map(AnyModel::Object)
        }
        other => {
            let message = format!("model: expected a name, a path or a table, found {}", other.describe());
            reader.complain(Problem::new(&entry.node.place, message));
            None
        }
    }
}

/// What a scenario may call the model's operations.
fn operations_of(model: &AnyModel) -> Vec<&str> {
    match model {
        AnyModel::Object(model) => model.op_names(),
        AnyModel::Table(_) => flockwork::Operation::ALL.map(flockwork::Operation::as_str).to_vec(),
    }
}

fn read_operations(
    reader: &mut Reader<'_>,
    model: Option<&AnyModel>,
    time_limit_ns: u64,
    shared: &[Rule],
) -> Vec<OperationPlan> {
    let mut section = reader.section("operations", "[subject.operations]");
    let place = section.place().clone();
    let entries = section.take_all();
    if entries.is_empty() {
        let message =
            "[subject] needs operations: expected a table for each, such as [subject.operations.add]";
        section.complain(Problem::new(&place, message));
    }
    let mut operations = Vec::new();
    for entry in entries {
        let Value::Table(table) = &entry.node.value else {
            let message = format!("{}: expected a table, found {}", entry.key, entry.node.value.describe());
            section.complain(Problem::new(&entry.node.place, message));
            continue;
        };
        let inner = section.inner(table, "an operation of [subject]", entry.key_place.clone());
        operations.extend(read_operation(inner, entry, model, time_limit_ns, shared));
    }
    operations
}

fn read_operation(
    mut reader: Reader<'_>,
    entry: &Entry,
    model: Option<&AnyModel>,
    time_limit_ns: u64,
    shared: &[Rule],
) -> Option<OperationPlan> {
    let name = entry.key.clone();
    let (op, place) = match reader.text("op") {
        Some((op, place)) => (op.to_owned(), place.clone()),
        None => (name.clone(), entry.key_place.clone()),
    };
    // A program that is its own specification calls them as it likes.
    let known = model.map(operations_of);
    if let Some(known) = known.filter(|known| !known.contains(&op.as_str())) {
        let model = model.map_or("?", AnyModel::name);
        let problem = Problem::new(&place, format!("{op:?} is not an operation of the model {model}"));
        let list = known.join(", ");
        reader.complain(problem.with_help(match nearest(&op, known) {
            Some(near) => format!("the nearest is {near:?}; op = \"{near}\" says which one it is"),
            None => format!("it has {list}; op = \"…\" says which one it is"),
        }));
    }
    let command = if let Some(entry) = reader.take("command") {
        read_line(&mut reader, "command", &entry.node, &of_operation())
    } else {
        reader.missing("command", LINE);
        None
    };
    let stdin = filled_text(&mut reader, "stdin", &of_operation());
    let environment = read_environment(&mut reader, "env", &of_operation());
    let values = read_values(&mut reader, model, &op);
    let mut rules = rules::read(&mut reader, "answers");
    rules.extend(shared.iter().cloned());
    if rules.is_empty() {
        rules.push(rules::usual());
    }
    let time_limit_ns = reader.duration_ns("time_limit", 10 * MS_NS..=DAY_NS).unwrap_or(time_limit_ns);
    reader.finish();
    Some(OperationPlan {
        is_pair: op == Op::Cas.as_str(),
        saw: form(model, &op),
        name,
        op,
        weight: 1,
        command: command?,
        stdin,
        environment,
        values,
        rules,
        time_limit_ns,
    })
}

/// What an operation of the model tells.
fn form(model: Option<&AnyModel>, op: &str) -> Form {
    let Some(AnyModel::Object(model)) = model else { return Form::Status };
    match (model.kind, Op::named(op)) {
        // Of a table it is a status in the user's own words.
        (Kind::Register, Some(Op::Read)) | (Kind::Queue, Some(Op::Pop)) | (Kind::Table, _) => Form::Any,
        (Kind::Counter, Some(Op::Add | Op::Read)) | (Kind::Log, Some(Op::Append)) => Form::Whole,
        (Kind::Set, Some(Op::Contains)) => Form::Truth,
        (kind, Some(op)) if kind.tells_a_list(op) => Form::List,
        _ => Form::Nothing,
    }
}

/// Which values an operation is given: those of the scenario, or such as the model can tell apart.
fn read_values(reader: &mut Reader<'_>, model: Option<&AnyModel>, op: &str) -> Values {
    const EXPECTED: &str = "a value, a list of values, a range such as \"0..9\", or \"unique\"";
    let usual = match (model, Op::named(op)) {
        (Some(AnyModel::Object(model)), Some(op)) => usual_values(model.kind, op),
        _ => Values::None,
    };
    let Some(entry) = reader.take("value") else { return usual };
    if usual == Values::None && model.is_some() {
        reader.complain(Problem::new(&entry.key_place, format!("{op} takes no value")));
        return usual;
    }
    let values = match &entry.node.value {
        Value::Text(text) if text == "unique" => Some(Values::Unique),
        Value::Text(text) => match text.split_once("..") {
            Some((low, high)) => match (low.parse::<i64>(), high.parse::<i64>()) {
                (Ok(low), Ok(high)) if low <= high => Some(Values::Within(low..=high)),
                _ => None,
            },
            None => Some(Values::Among(vec![text.as_str().into()])),
        },
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(|item| item.value.json()).collect::<Option<_>>().map(Values::Among)
        }
        other => other.json().map(|value| Values::Among(vec![value])),
    };
    let is_counter = matches!(model, Some(AnyModel::Object(model)) if model.kind == Kind::Counter);
    let is_whole = |values: &Values| match values {
        Values::Among(values) => values.iter().all(Json::is_i64),
        Values::None | Values::Within(_) | Values::Unique => true,
    };
    match values {
        Some(values) if !is_counter || is_whole(&values) => values,
        _ => {
            let expected = if is_counter {
                "a whole number, a list of them, or a range such as \"1..9\""
            } else {
                EXPECTED
            };
            let message = format!("value: expected {expected}, found {}", entry.node.value.describe());
            reader.complain(Problem::new(&entry.node.place, message));
            usual
        }
    }
}

fn usual_values(kind: Kind, op: Op) -> Values {
    match (kind, op) {
        (Kind::Counter, Op::Add) => Values::Among(vec![1.into()]),
        (Kind::Set, Op::Add | Op::Remove | Op::Contains) => Values::Within(1..=MEMBERS),
        (_, Op::Write | Op::Append | Op::Push) => Values::Unique,
        (_, Op::Cas) => Values::Within(0..=3),
        _ => Values::None,
    }
}

/// A command: a line as a shell has it, or its words, which no shell sees.
pub(in crate::scenario) fn read_line(
    reader: &mut Reader<'_>,
    key: &str,
    node: &Node,
    known: &[&str],
) -> Option<Line> {
    let line = match &node.value {
        Value::Text(text) => Command::parse(text)
            .map_err(|error| error.to_string())
            .map(|command| (text.clone(), command.words(&crate::race::command::Placeholders::default()))),
        Value::Array(items) if !items.is_empty() => {
            let words = items.iter().map(|item| match &item.value {
                Value::Text(text) => Some(text.clone()),
                _ => None,
            });
            match words.collect::<Option<Vec<_>>>() {
                Some(words) => {
                    Ok((shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default(), words))
                }
                None => Err(format!("{key}: expected {LINE}")),
            }
        }
        other => Err(format!("{key}: expected {LINE}, found {}", other.describe())),
    };
    let checked = line.and_then(|(text, words)| {
        words.iter().try_for_each(|word| fill::check(word, known)).map_err(|why| format!("{key}: {why}"))?;
        Ok(Line { text, program: std::path::PathBuf::new(), words })
    });
    checked.map_err(|why| reader.complain(Problem::new(&node.place, why))).ok()
}

/// A list of commands.
pub(in crate::scenario) fn read_lines(reader: &mut Reader<'_>, key: &'static str) -> Vec<Line> {
    let Some((_, nodes)) = reader.list(key, "a list of command lines") else { return Vec::new() };
    nodes.iter().filter_map(|node| read_line(reader, key, node, &["state"])).collect()
}

fn filled_text(reader: &mut Reader<'_>, key: &'static str, known: &[&str]) -> Option<String> {
    let (text, place) = reader.text(key)?;
    if let Err(why) = fill::check(text, known) {
        reader.complain(Problem::new(place, format!("{key}: {why}")));
    }
    Some(text.to_owned())
}

pub(in crate::scenario) fn read_environment(
    reader: &mut Reader<'_>,
    key: &'static str,
    known: &[&str],
) -> Vec<(String, String)> {
    let mut section = reader.section(key, key);
    let mut environment = Vec::new();
    for entry in section.take_all() {
        let problem = match &entry.node.value {
            Value::Text(value) => match fill::check(value, known) {
                Ok(()) => {
                    environment.push((entry.key.clone(), value.clone()));
                    continue;
                }
                Err(why) => format!("{key}.{}: {why}", entry.key),
            },
            other => format!("{key}.{}: expected a text, found {}", entry.key, other.describe()),
        };
        section.complain(Problem::new(&entry.node.place, problem));
    }
    environment
}

/// `objects = 3`, or a list of names.
fn read_objects(reader: &mut Reader<'_>) -> Vec<String> {
    let one = || vec!["x".to_owned()];
    let Some(entry) = reader.take("objects") else { return one() };
    let names = match &entry.node.value {
        Value::Integer(count) if (1..=i128::from(OBJECTS_MAX)).contains(count) => {
            Some((1..=*count).map(|number| format!("x{number}")).collect())
        }
        Value::Array(nodes) if !nodes.is_empty() => nodes
            .iter()
            .map(|node| match &node.value {
                Value::Text(name) if !name.is_empty() => Some(name.clone()),
                _ => None,
            })
            .collect::<Option<Vec<_>>>(),
        _ => None,
    };
    names.unwrap_or_else(|| {
        let found = entry.node.value.describe();
        let message =
            format!("objects: expected a number from 1 to {OBJECTS_MAX}, or a list of names, found {found}");
        reader.complain(Problem::new(&entry.node.place, message));
        one()
    })
}

/// `mix = { add = 10, read = 1 }`; without it all are equally likely.
pub(super) fn read_mix(reader: &mut Reader<'_>, operations: &mut [OperationPlan]) {
    if reader.take("mix").is_none() {
        return;
    }
    let mut section = reader.section("mix", "mix");
    let place = section.place().clone();
    for operation in operations.iter_mut() {
        operation.weight = 0;
    }
    for entry in section.take_all() {
        let Some(operation) = operations.iter_mut().find(|operation| operation.name == entry.key) else {
            let problem =
                Problem::new(&entry.key_place, format!("mix: there is no operation {:?}", entry.key));
            let names: Vec<&str> = operations.iter().map(|operation| operation.name.as_str()).collect();
            let help = match nearest(&entry.key, names.iter().copied()) {
                Some(near) => format!("the nearest is {near:?}"),
                None => format!("there are {}", names.join(", ")),
            };
            section.complain(problem.with_help(help));
            continue;
        };
        match entry.node.value {
            Value::Integer(weight) if (0..=i128::from(WEIGHT_MAX)).contains(&weight) => {
                operation.weight = u32::try_from(weight).expect("the bounds are below");
            }
            ref other => {
                let message = format!(
                    "{}: expected a weight from 0 to {WEIGHT_MAX}, found {}",
                    entry.key,
                    other.describe()
                );
                section.complain(Problem::new(&entry.node.place, message));
            }
        }
    }
    if !operations.is_empty() && operations.iter().all(|operation| operation.weight == 0) {
        section.complain(Problem::new(&place, "mix: every weight is 0"));
    }
}
