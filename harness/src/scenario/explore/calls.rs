//! Operations as scenarios spell them out: `pause c1`, `list`.

use flockwork::{ContainerId, Operation};

use super::OPERATIONS_MAX;
use crate::document::reader::Reader;
use crate::document::source::{Place, Problem};
use crate::document::tree::{Node, Value};
use crate::plan::Call;
use crate::words::nearest;

/// The calls read so far: what gathers are the containers they name.
#[derive(Debug, Default)]
pub(in crate::scenario) struct Calls {
    /// The containers' names.
    pub(in crate::scenario) containers: Vec<String>,
}

impl Calls {
    /// A list of calls, of at least so many.
    pub(in crate::scenario) fn program(
        &mut self,
        reader: &mut Reader<'_>,
        key: &str,
        place: &Place,
        nodes: &[Node],
        at_least: usize,
    ) -> Option<Vec<Call>> {
        if nodes.len() < at_least {
            reader.complain(Problem::new(
                place,
                format!("{key}: expected operations of this process, it has none"),
            ));
            return None;
        }
        if nodes.len() > OPERATIONS_MAX {
            let message = format!("{key}: the limit is {OPERATIONS_MAX} operations, found {}", nodes.len());
            reader.complain(Problem::new(place, message));
            return None;
        }
        let mut program = Vec::new();
        for node in nodes {
            match self.call(key, node) {
                Ok(call) => program.push(call),
                Err(problem) => reader.complain(problem),
            }
        }
        (program.len() == nodes.len()).then_some(program)
    }

    fn call(&mut self, key: &str, node: &Node) -> Result<Call, Problem> {
        let problem = |what: String| Problem::new(&node.place, format!("{key}: {what}"));
        let Value::Text(text) = &node.value else {
            let found = node.value.describe();
            return Err(problem(format!("expected an operation, such as \"pause c1\", found {found}")));
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let operation = operation(words.first().copied().unwrap_or(""), problem)?;
        match (operation, &words[1..]) {
            (Operation::List, []) => Ok(Call { operation, container: 0 }),
            (Operation::List, _) => {
                Err(problem("list covers the whole root: expected no container after it".into()))
            }
            (_, [name]) => {
                let container = self.container(name).map_err(problem)?;
                Ok(Call { operation, container })
            }
            (_, []) => Err(problem(format!("expected a container after it, such as \"{operation} c1\""))),
            (_, _) => Err(problem(format!("expected an operation and one container, found {text:?}"))),
        }
    }

    /// The index of a name, which is known from now on.
    fn container(&mut self, name: &str) -> Result<u32, String> {
        ContainerId::new(name).map_err(|error| error.to_string())?;
        let index = self.containers.iter().position(|known| known == name).unwrap_or_else(|| {
            self.containers.push(name.to_owned());
            self.containers.len() - 1
        });
        Ok(index as u32)
    }
}

fn operation(word: &str, problem: impl Fn(String) -> Problem) -> Result<Operation, Problem> {
    word.parse().map_err(|_| {
        let known = Operation::ALL.map(Operation::as_str);
        let problem = problem(format!("unknown operation {word:?}"));
        match nearest(word, known) {
            Some(near) => problem.with_help(format!("the nearest known operation is {near:?}")),
            None => problem.with_help(format!("known operations: {}", known.join(", "))),
        }
    })
}

/// A call as scenarios spell it.
#[must_use]
pub fn show_call(call: Call, containers: &[String]) -> String {
    match (call.operation, containers.get(call.container as usize)) {
        (Operation::List, _) | (_, None) => call.operation.to_string(),
        (operation, Some(name)) => format!("{operation} {name}"),
    }
}

/// Calls as scenarios spell them.
#[must_use]
pub fn show_program(program: &[Call], containers: &[String]) -> Vec<String> {
    program.iter().map(|call| show_call(*call, containers)).collect()
}
