//! The shrinker on a toy: operations of a few steps on one number, without any lock.

use super::*;
use crate::history::History;
use crate::plan::schedule::{Fault, Line};
use crate::violation::{Class, Violation};

/// A pause reads the number, and writes what it read plus one; a state only reads. An update is lost where somebody
/// else has written in between. A kill ends a process; it breaks nothing.
#[derive(Default)]
struct Toy {
    followed: u64,
    explored: u64,
    /// How many schedules an exploration may try.
    brief: usize,
}

const fn steps(operation: Operation) -> &'static [&'static str] {
    match operation {
        State => &["read n", "return state"],
        _ => &["read n", "write n", "return pause"],
    }
}

struct Actor {
    steps: Vec<&'static str>,
    at: usize,
    seen: u32,
}

impl Actor {
    fn label(&self) -> Option<String> {
        let step = self.steps.get(self.at)?;
        let count = self.steps[..=self.at].iter().filter(|other| *other == step).count();
        Some(if count == 1 { (*step).to_owned() } else { format!("{step} #{count}") })
    }
}

struct World {
    actors: Vec<Actor>,
    number: u32,
    is_lost: bool,
    taken: Vec<Line>,
    preemptions: u32,
}

impl World {
    fn of(programs: &[Vec<Call>]) -> Self {
        let actor = |program: &Vec<Call>| Actor {
            steps: program.iter().flat_map(|call| steps(call.operation)).copied().collect(),
            at: 0,
            seen: 0,
        };
        let actors = programs.iter().map(actor).collect();
        Self { actors, number: 0, is_lost: false, taken: Vec::new(), preemptions: 0 }
    }

    fn step(&mut self, process: usize, fault: Option<Fault>) {
        if let Some(last) = self.taken.last().filter(|last| last.process != process) {
            self.preemptions += u32::from(self.actors[last.process].label().is_some());
        }
        let actor = &mut self.actors[process];
        let label = actor.label().expect("only who has a step takes one");
        self.taken.push(Line { process, label: label.clone(), fault });
        if fault.is_some() {
            actor.at = actor.steps.len();
            return;
        }
        actor.at += 1;
        match () {
            () if label.starts_with("read") => actor.seen = self.number,
            () if label.starts_with("write") => {
                self.is_lost |= actor.seen != self.number;
                self.number += 1;
            }
            () => {}
        }
    }

    fn finish(mut self) -> Option<Shown> {
        for process in 0..self.actors.len() {
            while self.actors[process].label().is_some() {
                self.step(process, None);
            }
        }
        let violation = Violation {
            class: Class::LostUpdate,
            container: None,
            message: "lost".into(),
            records: Vec::new(),
        };
        self.is_lost.then(|| Shown {
            lost: None,
            violations: vec![violation],
            schedule: self.taken.into(),
            history: History::default(),
            preemptions: self.preemptions,
        })
    }
}

impl Trials for Toy {
    fn follow(&mut self, case: &Case) -> Option<Shown> {
        self.followed += 1;
        let mut world = World::of(&case.programs);
        for line in &case.schedule.lines {
            if world.actors[line.process].label().as_ref() == Some(&line.label) {
                world.step(line.process, line.fault);
            }
        }
        world.finish()
    }

    /// All ways to go from one process to another once and back, the simplest first.
    fn explore_briefly(&mut self, case: &Case) -> Option<Shown> {
        self.explored += 1;
        let count = case.programs.len();
        let ways = (1..8)
            .flat_map(|cut| (0..count).flat_map(move |one| (0..count).map(move |other| (cut, one, other))));
        ways.take(self.brief).find_map(|(cut, one, other)| {
            let mut world = World::of(&case.programs);
            for _ in 0..cut {
                if world.actors[one].label().is_some() {
                    world.step(one, None);
                }
            }
            while world.actors[other].label().is_some() {
                world.step(other, None);
            }
            world.finish()
        })
    }
}

fn calls(operations: &[Operation]) -> Vec<Call> {
    operations.iter().map(|operation| Call { operation: *operation, container: 0 }).collect()
}

fn schedule(lines: &[&str]) -> Schedule {
    Schedule::try_from(lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()).unwrap()
}

use Operation::{Create, Pause, State};

/// Four processes, nine operations, a needless kill, and the two that matter apart from each other.
fn intricate() -> Case {
    Case {
        setup: calls(&[Create, State]),
        programs: vec![
            calls(&[State, Pause]),
            calls(&[State, State, Pause]),
            calls(&[State, Pause, State]),
            calls(&[State]),
        ],
        schedule: schedule(&[
            "p1 read n",
            "p3 read n",
            "p1 return state",
            "p3 return state",
            "p4 read n ! kill",
            "p1 read n #2",
            "p2 read n",
            "p3 read n #2",
            "p2 return state",
            "p3 write n",
            "p1 write n",
            "p2 read n #2",
            "p2 return state #2",
            "p1 return pause",
        ]),
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn it_reaches_the_smallest_there_is() {
    for brief in [0, 100] {
        let mut toy = Toy { brief, ..Toy::default() };
        let shrunk = shrink(&mut toy, intricate(), LONG).expect("it loses an update");
        let case = &shrunk.case;
        assert_eq!(case.programs, [calls(&[Pause]), calls(&[Pause])], "{case:?}");
        assert_eq!((case.setup.len(), shrunk.size.faults, shrunk.size.preemptions), (0, 0, 1), "{case:?}");
        let lines: Vec<String> = case.schedule.clone().into();
        assert_eq!(
            lines,
            ["p1 read n", "p2 read n", "p2 write n", "p2 return pause", "p1 write n", "p1 return pause"]
        );
        assert!(shrunk.is_minimal && shrunk.tried == toy.followed + toy.explored);
        assert!(toy.explored > 0);
    }
}

#[test]
fn what_does_not_show_its_class_is_not_shrunk() {
    let case = Case { schedule: Schedule::default(), ..intricate() };
    assert!(shrink(&mut Toy::default(), case, LONG).is_none());
}

#[test]
fn without_time_the_case_itself_is_the_result() {
    let shrunk = shrink(&mut Toy::default(), intricate(), Duration::ZERO).unwrap();
    assert_eq!((shrunk.case.programs.len(), shrunk.is_minimal), (4, false));
}

#[test]
fn the_steps_of_an_operation_go_with_it_and_the_rest_is_renumbered() {
    let whole =
        schedule(&["p1 read n", "p2 read n", "p1 return state", "p1 read n #2", "p1 return state #2"]);
    let left: Vec<String> = project::without_operation(&whole, 0, 0).into();
    assert_eq!(left, ["p2 read n", "p1 read n", "p1 return state"]);
    let left: Vec<String> = project::without_process(&whole, 0).into();
    assert_eq!(left, ["p1 read n"]);
}
