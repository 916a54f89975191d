//! Reads the `[race]` table.

use std::path::PathBuf;

use super::words::{parse_busy, parse_compare, parse_perturb, parse_race_fault, parted, strategy_of};
use super::{EXECUTIONS, Race, TIME_LIMIT};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::plan::StrategyPlan;
use crate::plan::race::{Compare, ForkServer, Mode, RaceBudget, Sleeps, Threads};
use crate::plan::rounds::OciPlan;
use crate::scenario::stress::{DAY_NS, MS_NS};

/// Reads the table.
#[must_use]
pub fn read(mut reader: Reader<'_>, oci: Option<OciPlan>) -> Option<Race> {
    let processes = read_processes(&mut reader)?;
    let race = Race { processes, oci, ..read_surroundings(&mut reader) };
    if let Err(error) = race.check() {
        let place = reader.place().clone();
        reader.complain(Problem::new(&place, error.to_string()));
    }
    reader.finish();
    Some(race)
}

/// Reads all but the commands.
pub(in crate::scenario) fn read_surroundings(reader: &mut Reader<'_>) -> Race {
    let usual = Race::default();
    let state = texts(reader, "state").into_iter().map(PathBuf::from).collect();
    let folder = reader.text("cwd").map_or(usual.folder, |(text, _)| text.into());
    let environment = read_environment(reader);
    let observe = reader.text("observe").map(|(text, _)| text.to_owned());
    let busy = parsed(reader, "busy", parse_busy);
    let (faults, power) = parted(&parsed(reader, "faults", parse_race_fault));
    let compare = read_compare(reader);
    let mode = read_mode(reader);
    let strategy = read_strategy(reader);
    let mut section = reader.section("budget", "budget");
    let time_ns = section.duration_ns("time", MS_NS..=7 * DAY_NS).unwrap_or(usual.budget.time_ns);
    let executions = section.count("executions", EXECUTIONS, "executions");
    section.finish();
    let time_limit_ns = reader.duration_ns("time_limit", TIME_LIMIT).unwrap_or(usual.time_limit_ns);
    Race {
        processes: Vec::new(),
        state,
        in_place: reader.truth("in_place").unwrap_or(false),
        folder,
        environment,
        setup: texts(reader, "setup"),
        observe,
        then: texts(reader, "then"),
        busy,
        compare,
        faults,
        power,
        disk: reader.text("disk").map(|(disk, _)| disk.to_owned()),
        strict: reader.truth("strict").unwrap_or(false),
        ignore: texts(reader, "ignore"),
        masks: texts(reader, "mask"),
        mode,
        strategy,
        allow_uncontrolled: reader.truth("allow_uncontrolled").unwrap_or(false),
        fork_server: read_fork_server(reader),
        threads: read_threads(reader),
        sleeps: read_sleeps(reader),
        budget: RaceBudget { time_ns, executions },
        time_limit_ns,
        own_state: reader.truth("own_state").unwrap_or(false),
        modelled: None,
        oci: None,
    }
}

/// Reads how programs under control come to be there.
pub(in crate::scenario) fn read_fork_server(reader: &mut Reader<'_>) -> ForkServer {
    reader
        .word("fork_server", &ForkServer::ALL.map(ForkServer::as_str))
        .and_then(ForkServer::named)
        .unwrap_or_default()
}

/// Reads what becomes of sleeps.
pub(in crate::scenario) fn read_sleeps(reader: &mut Reader<'_>) -> Sleeps {
    reader.word("sleeps", &Sleeps::ALL.map(Sleeps::as_str)).and_then(Sleeps::named).unwrap_or_default()
}

/// Reads which task of a command goes first.
fn read_threads(reader: &mut Reader<'_>) -> Threads {
    reader.word("threads", &Threads::ALL.map(Threads::as_str)).and_then(Threads::named).unwrap_or_default()
}

fn read_processes(reader: &mut Reader<'_>) -> Option<Vec<Vec<String>>> {
    const EXAMPLE: &str =
        "a list of command lines for each process, such as [[\"./tool add a\"], [\"./tool add b\"]]";
    if reader.take("processes").is_none() {
        reader.missing("processes", EXAMPLE);
        return None;
    }
    let (_, nodes) = reader.list("processes", EXAMPLE)?;
    let mut processes = Vec::new();
    for node in nodes {
        let commands = match &node.value {
            Value::Text(text) => Some(vec![text.clone()]),
            Value::Array(items) => items.iter().map(text_of).collect(),
            _ => None,
        };
        let Some(commands) = commands else {
            let message = format!("processes: expected {EXAMPLE}, found {}", node.value.describe());
            reader.complain(Problem::new(&node.place, message));
            return None;
        };
        processes.push(commands);
    }
    Some(processes)
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    }
}

/// The texts of a list, with their places.
fn placed<'a>(reader: &mut Reader<'a>, key: &'static str) -> Vec<(String, &'a Place)> {
    let Some((_, nodes)) = reader.list(key, "a list of texts") else { return Vec::new() };
    let mut texts = Vec::new();
    for node in nodes {
        if let Some(text) = text_of(node) {
            texts.push((text, &node.place));
        } else {
            let message = format!("{key}: expected a text, found {}", node.value.describe());
            reader.complain(Problem::new(&node.place, message));
        }
    }
    texts
}

fn texts(reader: &mut Reader<'_>, key: &'static str) -> Vec<String> {
    placed(reader, key).into_iter().map(|(text, _)| text).collect()
}

fn parsed<T>(
    reader: &mut Reader<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let mut values = Vec::new();
    for (text, place) in placed(reader, key) {
        match parse(&text) {
            Ok(value) => values.push(value),
            Err(why) => reader.complain(Problem::new(place, format!("{key}: {why}"))),
        }
    }
    values
}

fn read_compare(reader: &mut Reader<'_>) -> Option<Compare> {
    let listed = placed(reader, "compare");
    let (_, place) = listed.first()?;
    match parse_compare(listed.iter().map(|(text, _)| text.as_str())) {
        Ok(compare) => Some(compare),
        Err(why) => {
            reader.complain(Problem::new(place, format!("compare: {why}")));
            None
        }
    }
}

fn read_mode(reader: &mut Reader<'_>) -> Mode {
    let is_free = reader.truth("free").unwrap_or(false);
    let Some((text, place)) = reader.text("perturb") else {
        return if is_free { Mode::Free } else { Mode::Auto };
    };
    let place = place.clone();
    let problem = match parse_perturb(text) {
        Ok(_) if is_free => "perturb contradicts free: leave out free".to_owned(),
        Ok(range) => return Mode::Perturbed(range),
        Err(why) => format!("perturb: {why}"),
    };
    reader.complain(Problem::new(&place, problem));
    Mode::Auto
}

fn read_strategy(reader: &mut Reader<'_>) -> Option<StrategyPlan> {
    let preemptions = reader.count_u32("preemptions", 0..=100, "preemptions");
    let depth = reader.count_u32("depth", 1..=100, "constraints");
    let (word, place) = match reader.text("strategy") {
        Some((text, place)) => (Some(text), place.clone()),
        None => (None, reader.place().clone()),
    };
    strategy_of(word, preemptions, depth).unwrap_or_else(|why| {
        reader.complain(Problem::new(&place, format!("strategy: {why}")));
        None
    })
}

fn read_environment(reader: &mut Reader<'_>) -> Vec<(String, String)> {
    let mut environment = Vec::new();
    let mut section = reader.section("env", "env");
    for entry in section.take_all() {
        if let Some(value) = text_of(&entry.node) {
            environment.push((entry.key.clone(), value));
        } else {
            let message =
                format!("env: {}: expected a text, found {}", entry.key, entry.node.value.describe());
            section.complain(Problem::new(&entry.node.place, message));
        }
    }
    section.finish();
    environment
}
