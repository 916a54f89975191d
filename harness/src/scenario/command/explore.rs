//! Commands under control: `kind = "explore"` with commands as subject is a race that the model judges; and where the model is
//! `sequential`, one that the commands' own orders judge.

use super::read::Subject;
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::model::AnyModel;
use crate::model::object::Kind;
use crate::plan::Budget;
use crate::plan::command::{CommandPlan, OperationPlan, Values};
use crate::plan::race::{Mode, Modelled, ModelledCall, RaceBudget};
use crate::scenario::race::{
    BUDGET_NS, POWER_LOSS, PROCESSES_MAX, Race, parse_fault, read_fork_server, read_sleeps, strategies,
    strategy_of,
};
use crate::scenario::stress::{DAY_NS, MS_NS};
use crate::subject::command::fill::Placeholders;
use crate::subject::command::history::header;
use crate::words::nearest;

const EXAMPLE: &str =
    "a list of operations for each process, such as [[\"add x 1\"], [\"add x 1\", \"read x\"]]";
const SCHEDULES_MAX: u64 = 1_000_000_000;

/// Reads the table `[explore]` of a scenario of commands; its mistakes are complained of at their places.
pub fn read(mut reader: Reader<'_>, subject: &Subject) -> Option<Race> {
    let operations = &subject.plan.operations;
    refuse_what_nobody_judges(&mut reader, &subject.plan);
    let setup = calls(&mut reader, "setup", operations, 0);
    let place = reader.place().clone();
    let listed = reader.list("processes", EXAMPLE).map(|(place, nodes)| (place.clone(), nodes));
    if reader.take("processes").is_none() {
        reader.missing("processes", EXAMPLE);
    }
    let processes = listed.and_then(|(place, nodes)| programs(&mut reader, &place, nodes, operations));
    let word = reader.word("strategy", &strategies());
    let preemptions = reader.count_u32("preemptions", 0..=64, "preemptions");
    let depth = reader.count_u32("pct_depth", 1..=32, "ordering constraints");
    let strategy = strategy_of(word, preemptions, depth).unwrap_or_else(|why| {
        reader.complain(Problem::new(&place, format!("strategy: {why}")));
        None
    });
    let is_power_loss = |node: &&Node| matches!(&node.value, Value::Text(text) if text == POWER_LOSS);
    let listed =
        reader.list("faults", "a list of faults such as [\"kill\"]").map_or(&[][..], |(_, nodes)| nodes);
    let power = listed.iter().any(|node| is_power_loss(&node));
    let others = listed.iter().filter(|node| !is_power_loss(node));
    let faults = others.filter_map(|node| fault(&mut reader, node)).collect();
    let disk = reader.text("disk").map(|(disk, _)| disk.to_owned());
    let durable = reader.truth("durable");
    let after = calls(&mut reader, "after", operations, PROCESSES_MAX as u32 + 1);
    let allow_uncontrolled = reader.truth("allow_uncontrolled").unwrap_or(false);
    let fork_server = read_fork_server(&mut reader);
    let sleeps = read_sleeps(&mut reader);
    let mut section = reader.section("budget", "budget");
    let time_ns = section.duration_ns("time", MS_NS..=7 * DAY_NS).unwrap_or(BUDGET_NS);
    let executions = section.count("schedules", 1..=SCHEDULES_MAX, "schedules");
    section.finish();
    let (setup, processes, after) = (setup?, processes?, after?);
    let race = with_after(race(subject, &setup, &processes), &after, durable.unwrap_or(false));
    if durable.is_some() && race.modelled.is_none() {
        let message = "durable needs a model: sequential orders do not say what commands acknowledged";
        reader.complain(Problem::new(&place, message));
    }
    let race = Race {
        strategy,
        faults,
        power,
        disk,
        allow_uncontrolled,
        fork_server,
        sleeps,
        budget: RaceBudget { time_ns, executions },
        ..race
    };
    checked(&mut reader, &place, &race);
    reader.finish();
    Some(race)
}

/// Auditors read files, and strays are looked for, only where commands run freely and a model judges: a scenario that asks for it
/// elsewhere must not be called clean.
fn refuse_what_nobody_judges(reader: &mut Reader<'_>, plan: &CommandPlan) {
    let place = reader.place().clone();
    let only = "only with kind = \"stress\" and a model";
    if !plan.watch.is_empty() {
        let message = format!(
            "watch: files are watched {only}; here, give an operation that reads the file, whose answers are judged, and name it in \
             after as well where a crash must leave the file whole"
        );
        reader.complain(Problem::new(&place, message));
    }
    if plan.forbids_strays {
        reader.complain(Problem::new(&place, format!("strays = \"forbidden\": strays are judged {only}")));
    }
}

/// Reads `[stress]` where the model is `sequential`: each execution is one operation of each process.
pub fn read_sequential(mut reader: Reader<'_>, mut subject: Subject) -> Option<Race> {
    let place = reader.place().clone();
    refuse_what_nobody_judges(&mut reader, &subject.plan);
    let processes = crate::scenario::stress::required_processes(&mut reader)?;
    let budget = crate::scenario::stress::read_budget(&mut reader)?;
    let perturb = super::read::read_perturb(&mut reader);
    super::read::read_mix(&mut reader, &mut subject.plan.operations);
    if processes as usize > PROCESSES_MAX {
        let message = format!(
            "a program that is its own specification takes at most {PROCESSES_MAX} processes: every order of them is run"
        );
        reader.complain(Problem::new(&place, message));
        return None;
    }
    let chosen: Vec<&OperationPlan> = subject
        .plan
        .operations
        .iter()
        .flat_map(|operation| {
            std::iter::repeat_n(operation, operation.weight.min(PROCESSES_MAX as u32) as usize)
        })
        .collect();
    if chosen.is_empty() {
        return None;
    }
    if let Some(operation) = chosen.iter().find(|operation| {
        operation.values == Values::None
            && operation.command.words.iter().any(|word| crate::subject::command::fill::has(word, "value"))
    }) {
        let name = &operation.name;
        let message = format!("{name}: {{value}} has no value: give {name} one, such as value = 1");
        reader.complain(Problem::new(&place, message));
        return None;
    }
    let programs: Vec<Vec<Written>> = (0..processes as usize)
        .map(|process| vec![Written::of(chosen[process % chosen.len()], "x", None, process as u32 + 1, 1)])
        .collect();
    let budget = match budget {
        Budget::Operations(operations) => {
            RaceBudget { time_ns: BUDGET_NS, executions: Some(operations.div_ceil(u64::from(processes))) }
        }
        Budget::DurationNs(time_ns) => RaceBudget { time_ns, executions: None },
    };
    let mode = perturb.map_or(Mode::Free, Mode::Perturbed);
    let race = Race { mode, budget, ..race(&subject, &[], &programs) };
    checked(&mut reader, &place, &race);
    reader.finish();
    Some(race)
}

fn checked(reader: &mut Reader<'_>, place: &Place, race: &Race) {
    if let Err(error) = race.check() {
        reader.complain(Problem::new(place, error.to_string()));
    }
}

fn fault(reader: &mut Reader<'_>, node: &Node) -> Option<crate::plan::schedule::Fault> {
    let parsed = match &node.value {
        Value::Text(text) => parse_fault(text),
        other => Err(format!("expected a fault such as \"kill\", found {}", other.describe())),
    };
    parsed.map_err(|why| reader.complain(Problem::new(&node.place, format!("faults: {why}")))).ok()
}

/// An operation with its command written out.
struct Written {
    text: String,
    call: ModelledCall,
}

impl Written {
    fn of(
        operation: &OperationPlan,
        object: &str,
        value: Option<serde_json::Value>,
        process: u32,
        number: u64,
    ) -> Self {
        let value = value.or_else(|| match &operation.values {
            Values::None => None,
            Values::Among(values) => values.first().cloned(),
            Values::Within(bounds) => Some((*bounds.start()).into()),
            Values::Unique => Some((number * 100 + u64::from(process)).into()),
        });
        let placeholders = Placeholders {
            // The race knows it, and fills it in.
            state: "{state}",
            object: Some(object),
            value: value.as_ref(),
            process: Some(process),
            number: Some(number),
            file: None,
        };
        let mut words: Vec<String> = Vec::new();
        if !operation.environment.is_empty() {
            words.push("env".into());
            let pairs = operation.environment.iter();
            words.extend(pairs.map(|(name, value)| format!("{name}={}", placeholders.fill(value))));
        }
        words.extend(operation.command.words.iter().map(|word| placeholders.fill(word)));
        let text = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
        let call = ModelledCall {
            op: operation.op.clone(),
            object: object.to_owned(),
            value,
            saw: operation.saw,
            rules: operation.rules.clone(),
        };
        Self { text, call }
    }
}

fn programs(
    reader: &mut Reader<'_>,
    place: &Place,
    nodes: &[Node],
    operations: &[OperationPlan],
) -> Option<Vec<Vec<Written>>> {
    let mut programs = Vec::new();
    for (process, node) in (1..).zip(nodes) {
        let Value::Array(items) = &node.value else {
            let message = format!("processes: expected {EXAMPLE}, found {}", node.value.describe());
            reader.complain(Problem::new(place, message));
            return None;
        };
        let calls = (1..)
            .zip(items)
            .map(|(number, item)| call(reader, "processes", item, operations, process, number));
        programs.push(calls.collect::<Option<Vec<_>>>()?);
    }
    Some(programs)
}

fn calls(
    reader: &mut Reader<'_>,
    key: &'static str,
    operations: &[OperationPlan],
    process: u32,
) -> Option<Vec<Written>> {
    let Some((_, nodes)) = reader.list(key, "a list of operations such as [\"add x 1\"]") else {
        return Some(Vec::new());
    };
    (1..).zip(nodes).map(|(number, node)| call(reader, key, node, operations, process, number)).collect()
}

/// `NAME [OBJECT [VALUE]]`.
fn call(
    reader: &mut Reader<'_>,
    key: &str,
    node: &Node,
    operations: &[OperationPlan],
    process: u32,
    number: u64,
) -> Option<Written> {
    let Value::Text(text) = &node.value else {
        let message =
            format!("{key}: expected an operation such as \"add x 1\", found {}", node.value.describe());
        reader.complain(Problem::new(&node.place, message));
        return None;
    };
    let mut words = text.splitn(3, char::is_whitespace);
    let name = words.next().unwrap_or_default();
    let Some(operation) = operations.iter().find(|operation| operation.name == name) else {
        let names: Vec<&str> = operations.iter().map(|operation| operation.name.as_str()).collect();
        let problem = Problem::new(&node.place, format!("{key}: there is no operation {name:?}"));
        reader.complain(problem.with_help(match nearest(name, names.iter().copied()) {
            Some(near) => format!("the nearest is {near:?}"),
            None => format!("there are {}", names.join(", ")),
        }));
        return None;
    };
    if operation.stdin.is_some() {
        let message = format!(
            "{key}: {name} reads stdin, which is not available under control: give it a file, or a line such as \"printf x | ./tool\""
        );
        reader.complain(Problem::new(&node.place, message));
        return None;
    }
    let object = words.next().unwrap_or("x");
    let value = words.next().map(|text| serde_json::from_str(text).unwrap_or_else(|_| text.trim().into()));
    Some(Written::of(operation, object, value, process, number))
}

/// With operations that come after each execution, and after each power loss.
fn with_after(race: Race, after: &[Written], is_durable: bool) -> Race {
    let modelled = race.modelled.map(|modelled| Modelled {
        after: after.iter().map(|one| one.call.clone()).collect(),
        is_durable,
        ..modelled
    });
    Race { then: after.iter().map(|one| one.text.clone()).collect(), modelled, ..race }
}

/// All that does not depend on how executions are chosen.
fn race(subject: &Subject, setup: &[Written], processes: &[Vec<Written>]) -> Race {
    let CommandPlan { state, folder, environment, time_limit_ns, .. } = &subject.plan;
    let texts = |written: &[Written]| written.iter().map(|one| one.text.clone()).collect::<Vec<_>>();
    let own = subject.plan.setup.iter().chain(&subject.plan.round_setup).map(|line| line.text.clone());
    let modelled = subject.model.as_ref().map(|model| {
        let objects = processes.iter().flatten().chain(setup).map(|written| written.call.object.clone());
        let calls = |written: &[Written]| written.iter().map(|one| one.call.clone()).collect::<Vec<_>>();
        let is_builtin = crate::model::Builtin::named(model.name()).is_some();
        let is_table = matches!(model, AnyModel::Table(_));
        let is_own_table = matches!(model, AnyModel::Object(model) if model.kind == Kind::Table);
        Modelled {
            name: model.name().to_owned(),
            header: header(model, objects).to_string(),
            file: subject.file.clone().filter(|_| is_own_table || (is_table && !is_builtin)),
            is_table,
            setup: calls(setup),
            calls: processes.iter().map(|program| calls(program)).collect(),
            after: Vec::new(),
            is_durable: false,
        }
    });
    Race {
        processes: processes.iter().map(|program| texts(program)).collect(),
        state: state.iter().cloned().collect(),
        own_state: state.is_none(),
        folder: if folder.is_empty() { ".".into() } else { folder.into() },
        environment: environment.clone(),
        setup: own.chain(texts(setup)).collect(),
        time_limit_ns: *time_limit_ns,
        modelled,
        ..Race::default()
    }
}
