//! That no set of faults is left out: on random programs a campaign sees what the enumeration of every interleaving with
//! every fault at every step sees.

use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::explore::machine::{End, Pick, Point};
use crate::explore::step::{Access, Event, Footprint, Gate, Mask, Object, Step};
use crate::explore::strategy::exhaustive::Exhaustive;
use crate::plan::schedule::Injected;

const VARIABLES: usize = 2;
const IO: Fault = Fault::Error(Injected::Io);

/// What a process does to variables that all share.
#[derive(Clone, Copy, Debug)]
enum Op {
    /// Sees a variable.
    See(usize),
    /// Makes it ten times what it was, and adds a digit: every order of two of them shows.
    Note(usize, u32),
}

/// A program; where a step of it fails, it goes on with what cleans up, which goes on whatever fails.
#[derive(Clone, Debug)]
struct Program {
    ops: Vec<Op>,
    cleanup: Vec<Op>,
}

#[derive(Clone, Debug)]
struct Process {
    left: Vec<Op>,
    cleanup: Option<Vec<Op>>,
    seen: Vec<Option<u32>>,
    counts: BTreeMap<String, u32>,
}

/// What came of an execution, with the faults that met it.
type Outcome = (Vec<u32>, Vec<Vec<Option<u32>>>, BTreeSet<Planned>);

#[derive(Clone, Debug)]
struct World {
    variables: Vec<u32>,
    processes: Vec<Process>,
    met: BTreeSet<Planned>,
}

impl World {
    fn of(programs: &[Program]) -> Self {
        let process = |program: &Program| Process {
            left: program.ops.clone(),
            cleanup: Some(program.cleanup.clone()),
            seen: Vec::new(),
            counts: BTreeMap::new(),
        };
        let processes = programs.iter().map(process).collect();
        Self { variables: vec![0; VARIABLES], processes, met: BTreeSet::new() }
    }

    /// The step that the process is about to take: one that recurs in it has a number.
    fn pending(&self, process: usize) -> Option<Step> {
        let state = &self.processes[process];
        let op = *state.left.first()?;
        let label = match state.counts.get(&format!("{op:?}")) {
            None => format!("{op:?}"),
            Some(count) => format!("{op:?} #{}", count + 1),
        };
        let touch = match op {
            Op::See(variable) => (Object::named(&variable), Access::Read),
            Op::Note(variable, _) => (Object::named(&variable), Access::Write),
        };
        let footprint = Footprint::of(vec![touch]);
        Some(Step { footprint, gate: Gate::Open, lock: None, label: label.into() })
    }

    fn take(&mut self, process: usize, fault: Option<Fault>) {
        let label = self.pending(process).expect("somebody enabled").label;
        let state = &mut self.processes[process];
        let op = state.left.remove(0);
        *state.counts.entry(format!("{op:?}")).or_default() += 1;
        match (fault, op) {
            (None, Op::See(variable)) => state.seen.push(Some(self.variables[variable])),
            (None, Op::Note(variable, digit)) => {
                self.variables[variable] = self.variables[variable].wrapping_mul(10).wrapping_add(digit);
            }
            (Some(Fault::Kill), _) => state.left.clear(),
            (Some(_), _) => {
                state.seen.push(None);
                if let Some(cleanup) = state.cleanup.take() {
                    state.left = cleanup;
                }
            }
        }
        self.met.extend(fault.map(|fault| Planned { process, label, fault }));
    }

    fn enabled(&self) -> Mask {
        let able = (0..self.processes.len()).filter(|&process| !self.processes[process].left.is_empty());
        able.fold(Mask::default(), Mask::with)
    }

    fn outcome(&self) -> Outcome {
        let seen = self.processes.iter().map(|process| process.seen.clone()).collect();
        (self.variables.clone(), seen, self.met.clone())
    }
}

/// What comes of every interleaving with every choice of at most so many faults.
fn naive(world: &World, faults_left: usize, outcomes: &mut BTreeSet<Outcome>) {
    if world.enabled().is_empty() {
        outcomes.insert(world.outcome());
    }
    for process in world.enabled().iter() {
        let faults = [Fault::Kill, IO].map(Some);
        let faults = if faults_left > 0 { &faults[..] } else { &[] };
        for fault in std::iter::once(&None).chain(faults) {
            let mut next = world.clone();
            next.take(process, *fault);
            naive(&next, faults_left - usize::from(fault.is_some()), outcomes);
        }
    }
}

type Chances = BTreeSet<(usize, Arc<str>)>;

/// Runs one execution, in which planned faults meet their steps.
fn run(
    programs: &[Program],
    planned: &[Planned],
    chooser: &mut dyn Chooser,
) -> (Execution<Outcome>, Chances) {
    let mut world = World::of(programs);
    let (mut events, mut enabled, mut chances) = (Vec::<Event>::new(), Vec::new(), Chances::new());
    loop {
        let pending: Vec<_> = (0..programs.len()).map(|process| world.pending(process)).collect();
        enabled.push(world.enabled());
        let last = events.last().map(|event| event.process);
        let point = Point {
            depth: events.len(),
            enabled: world.enabled(),
            pending: &pending,
            last,
            processes: pending.len(),
        };
        let pick = if world.enabled().is_empty() { None } else { Some(chooser.choose(&point)) };
        let end = match pick {
            None => End::Completed,
            Some(Pick::Abandon) => End::Abandoned,
            Some(Pick::Step(process)) => {
                let event = Event { process, step: pending[process].clone().expect("it is enabled") };
                let label = &event.step.label;
                chances.insert((process, Arc::clone(label)));
                let meets = |fault: &&Planned| fault.process == process && fault.label == *label;
                world.take(process, planned.iter().find(meets).map(|planned| planned.fault));
                chooser.happened(&event);
                events.push(event);
                continue;
            }
        };
        return (
            Execution { events, enabled, processes: pending.len(), pending, end, outcome: world.outcome() },
            chances,
        );
    }
}

/// What a campaign sees, with at most so many faults in an execution.
fn campaign(programs: &[Program], bound: u32) -> BTreeSet<Outcome> {
    let (outcomes, _) = part(programs, bound, Parts::ALL);
    outcomes.into_iter().collect()
}

/// What a campaign sees of some parts, each schedule for itself, and how many sets of faults it tried.
fn part(programs: &[Program], bound: u32, parts: Parts) -> (Vec<Outcome>, u64) {
    let maker: Maker = Box::new(|| Box::new(Exhaustive::new()));
    let mut campaign = Campaign::new(maker, vec![Fault::Kill, IO], bound).of_parts(parts);
    let mut outcomes = Vec::new();
    while let Work::Run(mut task) = campaign.next() {
        let (execution, chances) = run(programs, &task.planned, task.chooser.as_mut());
        let receipt = task.receipt();
        let (execution, outcome) = execution.split();
        if execution.end == End::Completed && task.is_own {
            outcomes.push(outcome);
        }
        let io = Faults::of(&[Injected::Io]);
        campaign.learn(
            &receipt,
            &execution,
            chances.into_iter().map(|(process, label)| (process, label, io)),
        );
    }
    assert_eq!(campaign.coverage(), Coverage::Exhausted);
    (outcomes, campaign.own_sets)
}

fn programs(seed: u64) -> Vec<Program> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |most: usize| (dice.next_u32() as usize) % most;
    let processes = 2 + below(2);
    let longest = [3, 2][processes - 2];
    let mut digit = 0;
    let mut ops = |count: usize, below: &mut dyn FnMut(usize) -> usize| {
        let op = |_| {
            digit += 1;
            match below(3) {
                0 => Op::See(below(VARIABLES)),
                // Some recur, and then their labels are numbered.
                1 => Op::Note(0, 9),
                _ => Op::Note(below(VARIABLES), digit % 9),
            }
        };
        (0..count).map(op).collect::<Vec<_>>()
    };
    let program = |_| {
        let (count, after) = (1 + below(longest), below(3));
        Program { ops: ops(count, &mut below), cleanup: ops(after, &mut below) }
    };
    (0..processes).map(program).collect()
}

#[test]
fn a_campaign_sees_every_execution_with_up_to_so_many_faults() {
    let (mut all, mut cleaning) = (0, 0);
    for seed in 0..60 {
        let programs = programs(seed);
        let world = World::of(&programs);
        let mut sizes = Vec::new();
        for bound in 0..=2 {
            let mut expected = BTreeSet::new();
            naive(&world, bound, &mut expected);
            let seen = campaign(&programs, bound as u32);
            let missed = expected.difference(&seen).next();
            assert_eq!(missed, None, "seed {seed}, {bound} faults:\n{programs:#?}");
            assert_eq!(seen, expected, "seed {seed}, {bound} faults:\n{programs:#?}");
            sizes.push(expected.len());
            all += expected.len();
        }
        assert!(sizes.is_sorted() && sizes[0] < sizes[1], "{sizes:?}");
        // Steps that there are only behind a first fault can meet the second.
        cleaning += programs.iter().filter(|program| !program.cleanup.is_empty()).count();
    }
    assert!(all > 10_000 && cleaning > 60, "{all} outcomes, {cleaning} that clean up");
}

#[test]
fn the_second_fault_can_meet_a_step_that_only_the_first_leads_to() {
    let programs = [
        Program { ops: vec![Op::Note(0, 1)], cleanup: vec![Op::Note(0, 2), Op::Note(0, 3)] },
        Program { ops: vec![Op::See(0)], cleanup: Vec::new() },
    ];
    let both = |outcome: &Outcome| {
        let labels: Vec<_> = outcome.2.iter().map(|planned| planned.label.as_ref()).collect();
        labels == ["Note(0, 1)", "Note(0, 2)"] && outcome.0[0] == 3
    };
    assert!(campaign(&programs, 2).iter().any(both));
    assert!(!campaign(&programs, 1).iter().any(both));
}

#[test]
fn the_parts_of_a_campaign_run_each_schedule_once_and_leave_none_out() {
    let (mut all, mut shared) = (0, 0);
    for seed in 0..20 {
        let programs = programs(seed);
        for bound in 0..=2 {
            let (mut whole, sets) = part(&programs, bound, Parts::ALL);
            whole.sort();
            for shards in [2, 5] {
                let mut seen = Vec::new();
                let mut seen_sets = 0;
                for shard in 0..shards {
                    let numbers = (0..Parts::COUNT).filter(|number| number % shards == shard);
                    let own = numbers.fold(Parts::NONE, |parts, number| parts.with(Parts::one(number)));
                    let (outcomes, sets) = part(&programs, bound, own);
                    shared += u32::from(!outcomes.is_empty());
                    seen.extend(outcomes);
                    seen_sets += sets;
                }
                seen.sort();
                assert_eq!(seen, whole, "seed {seed}, {bound} faults, {shards} shards:\n{programs:#?}");
                assert_eq!(seen_sets, sets);
            }
            all += whole.len();
        }
    }
    assert!(all > 2_000 && shared > 200, "{all} schedules, {shared} shards with any");
}
