//! Drives a strategy over a toy, and keeps what there was to see.

use std::collections::{BTreeMap, BTreeSet};

use flockwork_harness::explore::machine::{End, Execution, Machine};
use flockwork_harness::explore::step::Object;
use flockwork_harness::explore::strategy::happens_before::HappensBefore;
use flockwork_harness::explore::strategy::{Coverage, Statistics, Strategy};

use crate::toy::{Seen, Toy};

/// An execution up to equivalence: its steps, each with what is before it, in an order that does not depend on how it
/// was run.
pub type Trace = u64;

/// What an exploration saw.
#[derive(Debug, Default)]
pub struct Explored {
    pub seen: BTreeSet<Seen>,
    /// How often each trace was run to its end.
    pub traces: BTreeMap<Trace, u32>,
    pub statistics: Statistics,
    pub coverage: Option<Coverage>,
}

/// How many assignments are under way at once, and in which order they are learned.
#[derive(Clone, Copy, Debug)]
pub struct Lanes {
    pub count: usize,
    pub seed: u64,
}

impl Lanes {
    pub const ONE: Self = Self { count: 1, seed: 0 };
}

fn trace_of(execution: &Execution<Seen>) -> Trace {
    let order = HappensBefore::of(&execution.events, execution.pending.len());
    let mut places: Vec<(usize, &str, Vec<u16>)> = (0..execution.events.len())
        .map(|at| {
            let event = &execution.events[at];
            (event.process, &*event.step.label, order.clock(at).to_vec())
        })
        .collect();
    places.sort_unstable();
    Object::named(&places).bits()
}

/// Explores to the end; none if that takes more executions than allowed.
pub fn explore(toy: &mut Toy, strategy: &mut dyn Strategy, lanes: Lanes, most: u64) -> Option<Explored> {
    let mut explored = Explored::default();
    let mut under_way = Vec::new();
    let mut turn = lanes.seed;
    loop {
        while under_way.len() < lanes.count {
            let Some(mut assignment) = strategy.next() else { break };
            let Ok(execution) = toy.run(&mut *assignment.chooser);
            under_way.push((assignment.ticket, execution));
        }
        if under_way.is_empty() {
            break;
        }
        turn = Object::named(&turn).bits();
        let (ticket, execution) = under_way.swap_remove((turn % under_way.len() as u64) as usize);
        if execution.end != End::Abandoned {
            *explored.traces.entry(trace_of(&execution)).or_default() += 1;
            explored.seen.insert(execution.outcome.clone());
        }
        strategy.learn(ticket, &execution.split().0);
        if strategy.statistics().executions > most {
            return None;
        }
    }
    explored.statistics = strategy.statistics();
    explored.coverage = Some(strategy.coverage());
    Some(explored)
}
