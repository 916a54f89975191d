//! The `[rounds]` table: what commands of a container runtime start at once, how often, and what may go wrong.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use flockwork::Operation;

use super::Expect;
use super::explore::calls::Calls;
use super::stress::{DAY_NS, MS_NS, S_NS};
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::plan::Call;
use crate::plan::rounds::{OciPlan, RoundsBudget, RoundsPlan};
use crate::runtimes::Runtime;
use crate::words::nearest;

/// Most commands that start at once.
const TOGETHER_MAX: usize = 64;
const AUDITORS_MAX: u32 = 64;
const ROUNDS_MAX: u64 = 1_000_000;
const LIST: &str = "operations, such as [\"create c1\", \"8 delete c1\"]";

/// How a runtime's commands are played: a plan that has no runtime, no root and no seed yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    /// The containers' names.
    pub containers: Vec<String>,
    /// What is done before each round.
    pub setup: Vec<Call>,
    /// What starts at once.
    pub together: Vec<Call>,
    /// Which share of it is killed.
    pub kill: f64,
    /// How soon, in nanoseconds.
    pub kill_within_ns: u64,
    /// For how long commands are stopped at random moments, in nanoseconds.
    pub perturb_ns: Option<RangeInclusive<u64>>,
    /// How many readers read metadata meanwhile.
    pub auditors: u32,
    /// How much is done at most.
    pub budget: RoundsBudget,
    /// How long one command may take, in nanoseconds.
    pub time_limit_ns: u64,
}

impl Rounds {
    /// The plan of one run.
    #[must_use]
    pub fn plan(&self, oci: &OciPlan, expect: &Expect, root: &Path, seed: u64) -> RoundsPlan {
        RoundsPlan {
            oci: OciPlan { time_limit_ns: self.time_limit_ns, ..oci.clone() },
            root: root.to_owned(),
            seed,
            containers: self.containers.clone(),
            setup: self.setup.clone(),
            together: self.together.clone(),
            kill: self.kill,
            kill_within_ns: self.kill_within_ns,
            perturb_ns: self.perturb_ns.clone(),
            auditors: self.auditors,
            budget: self.budget,
            sought: expect.violations.iter().copied().collect(),
        }
    }
}

/// Reads the table.
#[must_use]
pub fn read(mut reader: Reader<'_>) -> Option<Rounds> {
    let mut calls = Calls::default();
    let setup = match reader.list("setup", LIST) {
        Some((place, nodes)) => list(&mut calls, &mut reader, "setup", place, nodes)?,
        None => Vec::new(),
    };
    let together = if let Some((place, nodes)) = reader.list("together", LIST) {
        list(&mut calls, &mut reader, "together", place, nodes)
    } else {
        reader.missing("together", LIST);
        None
    };
    let kill = reader.share("kill").unwrap_or(0.0);
    let kill_within_ns = reader.duration_ns("kill_within", 1..=10 * S_NS).unwrap_or(50 * MS_NS);
    let perturb_ns = reader.duration_range_ns("perturb", S_NS);
    let auditors = reader.count_u32("auditors", 0..=AUDITORS_MAX, "auditors").unwrap_or(0);
    let time_limit_ns = reader.duration_ns("time_limit", MS_NS..=DAY_NS).unwrap_or(OciPlan::TIME_LIMIT_NS);
    let mut budget = reader.section("budget", "budget");
    let rounds = budget.count("rounds", 1..=ROUNDS_MAX, "rounds").unwrap_or(100);
    let time_ns = budget.duration_ns("time", MS_NS..=DAY_NS).unwrap_or(60 * S_NS);
    budget.finish();
    reader.finish();
    Some(Rounds {
        setup,
        together: together?,
        containers: calls.containers,
        kill,
        kill_within_ns,
        perturb_ns,
        auditors,
        budget: RoundsBudget { rounds, time_ns },
        time_limit_ns,
    })
}

/// Operations, each so many times as the number before it says.
fn list(
    calls: &mut Calls,
    reader: &mut Reader<'_>,
    key: &'static str,
    place: &Place,
    nodes: &[Node],
) -> Option<Vec<Call>> {
    let mut expanded = Vec::new();
    for node in nodes {
        let (count, node) = counted(node);
        expanded.extend(std::iter::repeat_n(node, count.min(TOGETHER_MAX + 1)));
    }
    if expanded.is_empty() || expanded.len() > TOGETHER_MAX {
        let found = expanded.len();
        let message = format!("{key}: expected 1 to {TOGETHER_MAX} operations, found {found}");
        reader.complain(Problem::new(place, message));
        return None;
    }
    let program = calls.program(reader, key, place, &expanded, 1)?;
    let foreign = program.iter().position(|call| Runtime::operations().all(|known| known != call.operation));
    if let Some(index) = foreign {
        let known = Runtime::operations().map(Operation::as_str).collect::<Vec<_>>().join(", ");
        let message = format!("{key}: the operations are {known}; found {}", program[index].operation);
        reader.complain(Problem::new(&expanded[index].place, message));
        return None;
    }
    Some(program)
}

/// `8 create c1` is `create c1`, eight times.
fn counted(node: &Node) -> (usize, Node) {
    let Value::Text(text) = &node.value else { return (1, node.clone()) };
    match text.trim_start().split_once(' ').and_then(|(count, rest)| Some((count.parse().ok()?, rest))) {
        Some((count, rest)) => (count, Node { value: Value::Text(rest.to_owned()), ..node.clone() }),
        None => (1, node.clone()),
    }
}

/// Reads the rest of a `[subject]` that is a container runtime.
pub(super) fn subject(reader: &mut Reader<'_>) -> Option<OciPlan> {
    let names = Runtime::ALL.map(Runtime::as_str);
    let path = reader.text("path").map(|(path, _)| PathBuf::from(path));
    let flags = match reader.list("flags", "what is given before the operation, such as [\"--debug\"]") {
        Some((_, nodes)) => nodes.iter().filter_map(|node| flag(reader, node)).collect(),
        None => Vec::new(),
    };
    let Some((name, place)) = reader.text("runtime") else {
        reader.missing("runtime", "\"runc\", \"crun\", \"youki\" or \"runsc\"");
        return None;
    };
    let Some(runtime) = Runtime::named(name) else {
        let message = format!("runtime: expected one of {}, found {name:?}", names.join(", "));
        let near = nearest(name, names).unwrap_or(names[0]);
        reader.complain(Problem::new(place, message).with_help(format!("the nearest is {near:?}")));
        return None;
    };
    Some(OciPlan { path, flags, ..runtime.plan() })
}

fn flag(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    if let Value::Text(text) = &node.value {
        return Some(text.clone());
    }
    let message = format!("flags: expected texts, found {}", node.value.describe());
    reader.complain(Problem::new(&node.place, message));
    None
}

#[cfg(test)]
mod tests {
    use crate::scenario::{Found, Scenario, Work};

    fn read(text: &str) -> Result<Scenario, String> {
        let found = Found { argument: "a.toml".into(), text: text.into() };
        Scenario::parse(&found, &[])
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }

    const HEAD: &str = "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\n[rounds]\n";

    #[test]
    fn a_number_before_an_operation_repeats_it() {
        let scenario =
            read(&format!("{HEAD}setup = [\"create c1\"]\ntogether = [\"3 delete c1\", \"create c2\"]\n"))
                .unwrap();
        let Work::Rounds(rounds) = &scenario.work else { panic!("{:?}", scenario.work) };
        assert_eq!(rounds.containers, ["c1", "c2"]);
        let told: Vec<_> = rounds.together.iter().map(|call| call.words(&rounds.containers)).collect();
        assert_eq!(told, ["delete c1", "delete c1", "delete c1", "create c2"]);
        assert_eq!(scenario.processes(), 4);
        assert_eq!(scenario.subject_words(), "runc");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let together = "together = [\"2 create c1\"]\n";
        let other = |name: &str| HEAD.replace("runc", name);
        for (text, told) in [
            (HEAD.to_owned(), "together"),
            (format!("{HEAD}together = [\"100 create c1\"]\n"), "expected 1 to 64 operations"),
            (format!("{HEAD}together = [\"2 crate c1\"]\n"), "the nearest known operation is \"create\""),
            (format!("{HEAD}together = [\"2 list\"]\n"), "the operations are create"),
            (format!("{}{together}", other("rnuc")), "the nearest is \"runc\""),
            (format!("{HEAD}{together}kill = 2.0\n"), "kill"),
            (format!("{HEAD}{together}roundz = 1\n"), "roundz"),
            (HEAD.replace("rounds", "stress"), "[rounds]"),
        ] {
            let error = read(&text).expect_err(told);
            assert!(error.contains(told), "{told}: {error}");
            assert!(error.contains("a.toml:"), "{error}");
        }
    }
}
