//! That exploration leaves out nothing: on random programs over real processes, what the reduction shows is what the
//! enumeration of all interleavings shows.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

use flockwork_harness::explore::machine::{Chooser, Execution, Pick, Point};
use flockwork_harness::explore::step::{Event, Footprint, Object, Step};
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::explore::strategy::naive::Naive;
use flockwork_harness::explore::strategy::{Assignment, Coverage, Statistics, Strategy, Ticket};
use flockwork_harness::process::Zygote;

use crate::Case;
use crate::random::{self, Program};
use crate::real::Real;
use crate::script::{Action, Ask, LockOwner};

pub const ALL: &[Case] = &[
    ("exhaustive_sees_what_naive_sees", exhaustive_sees_what_naive_sees),
    ("exhaustive_sees_what_naive_sees_where_it_did_not", exhaustive_sees_what_naive_sees_where_it_did_not),
    ("a_conflict_that_is_not_told_is_found_out", a_conflict_that_is_not_told_is_found_out),
];

pub const LONG: &[Case] = &[("exhaustive_sees_what_naive_sees_at_length", at_length)];

/// Programs with more interleavings than this are left out.
const NAIVE_MAX: u64 = 700;

/// What a comparison met: without reach it would prove nothing.
#[derive(Debug, Default)]
struct Reach {
    programs: u32,
    too_large: u32,
    deadlocks: u32,
    /// Programs of which more than one thing can be seen.
    racy: u32,
    naive: u64,
    reduced: u64,
    redundant: u64,
}

/// Programs whose reduction was wrong once.
fn exhaustive_sees_what_naive_sees_where_it_did_not(zygote: &mut Zygote) {
    let open = || Action::Open { slot: 0, path: "a".into(), how: "write".into() };
    let fcntl = |ask| Action::Fcntl { slot: 0, owner: LockOwner::Description, ask, start: 0, length: 0 };
    let programs = [
        // Who takes a lock anew that it holds hid from the other that it was taken before.
        vec![
            vec![open(), Action::Flock(0, Ask::TryExclusive), Action::Flock(0, Ask::Exclusive)],
            vec![open(), Action::Flock(0, Ask::Shared), Action::Flock(0, Ask::Unlock)],
        ],
        // A lock by fcntl goes from shared to exclusive and back at once.
        vec![
            vec![open(), fcntl(Ask::Shared), fcntl(Ask::Exclusive), fcntl(Ask::Shared)],
            vec![open(), fcntl(Ask::Exclusive), Action::Write(0, "x".into())],
        ],
        vec![
            vec![open(), fcntl(Ask::Exclusive), fcntl(Ask::TryShared), fcntl(Ask::Unlock)],
            vec![open(), fcntl(Ask::Shared), fcntl(Ask::TryExclusive)],
        ],
        // What is behind a link is found by the way that leads there.
        vec![
            vec![Action::Symlink { target: "d".into(), path: "l".into() }, Action::Stat("l/x".into())],
            vec![Action::Rename("a".into(), "d/x".into()), Action::Rename("d".into(), "e".into())],
        ],
        // The end of a process lets its locks go.
        vec![
            vec![open(), Action::Flock(0, Ask::Exclusive), Action::Exit(0)],
            vec![open(), Action::Flock(0, Ask::TryShared), Action::Flock(0, Ask::Shared)],
        ],
        vec![
            vec![open(), Action::Flock(0, Ask::Exclusive), Action::Abort],
            vec![open(), Action::Flock(0, Ask::TryShared), Action::IsAlive(0)],
        ],
        vec![
            vec![Action::Chmod("d".into(), 0o700), Action::Stat("d".into())],
            vec![Action::MakeFolder("d/deep".into()), Action::Stat("d".into())],
        ],
    ];
    for (number, scripts) in programs.into_iter().enumerate() {
        let program = Program { setup: random::setup(), scripts };
        compare(zygote, number as u64, program, &mut Reach::default());
    }
}

fn compare(zygote: &mut Zygote, seed: u64, program: Program, reach: &mut Reach) {
    let Program { setup, scripts } = program;
    let mut real = Real::open(zygote, &setup, &scripts).expect("an executor");
    real.executor.settle();
    let mut naive = Naive::new();
    let Some(all) = real.explore(&mut naive, NAIVE_MAX) else {
        reach.too_large += 1;
        return;
    };
    let mut exhaustive = Exhaustive::new();
    let reduced = real.explore(&mut exhaustive, u64::MAX).expect("no limit");
    for explored in [&all, &reduced] {
        assert_eq!(explored.statistics.diverged, 0, "program {seed} repeats itself\n{scripts:#?}");
        assert_eq!(explored.coverage, Coverage::Exhausted, "program {seed}");
    }
    let missed: Vec<_> = all.seen.difference(&reduced.seen).collect();
    let invented: Vec<_> = reduced.seen.difference(&all.seen).collect();
    assert!(
        missed.is_empty() && invented.is_empty(),
        "program {seed}: {scripts:?}\n missed: {missed:?}\n invented: {invented:?}"
    );
    reach.programs += 1;
    reach.deadlocks += u32::from(all.seen.iter().any(|seen| seen.deadlock));
    let outcomes: BTreeSet<_> = all.seen.iter().map(|seen| (&seen.files, &seen.answers)).collect();
    reach.racy += u32::from(outcomes.len() > 1);
    reach.naive += all.statistics.executions;
    reach.reduced += reduced.statistics.executions;
    reach.redundant += reduced.statistics.redundant;
}

fn compare_many(zygote: &mut Zygote, seeds: Range<u64>) {
    let begun = Instant::now();
    let mut reach = Reach::default();
    let mut failed = Vec::new();
    // Settled threads stay on one processor: this one is not to.
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            for seed in seeds.clone() {
                let compared = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    compare(zygote, seed, random::program(seed), &mut reach);
                }));
                if compared.is_err() {
                    failed.push(seed);
                }
            }
        });
        work.join().expect("panics are caught");
    });
    println!("{reach:?} in {:.1} s", begun.elapsed().as_secs_f64());
    assert!(failed.is_empty(), "programs {failed:?}");
    let (programs, wanted) = (u64::from(reach.programs), seeds.end - seeds.start);
    assert!(programs * 10 > wanted * 7, "{reach:?}");
    assert!(u64::from(reach.racy) * 3 > programs && u64::from(reach.deadlocks) * 50 > programs, "{reach:?}");
    assert!(reach.reduced * 3 < reach.naive, "{reach:?}");
}

fn exhaustive_sees_what_naive_sees(zygote: &mut Zygote) {
    compare_many(zygote, 0..130);
}

fn at_length(zygote: &mut Zygote) {
    let programs = std::env::var("FLOCKWORK_PROGRAMS").ok().and_then(|count| count.parse().ok());
    compare_many(zygote, 1_000..1_000 + programs.unwrap_or(800));
}

/// A strategy that is not told of some objects.
struct Blind<S> {
    strategy: S,
    to: Vec<Object>,
}

impl<S: Strategy> Strategy for Blind<S> {
    fn next(&mut self) -> Option<Assignment> {
        let Assignment { ticket, chooser } = self.strategy.next()?;
        Some(Assignment { ticket, chooser: Box::new(BlindChooser { chooser, to: self.to.clone() }) })
    }

    fn learn(&mut self, ticket: Ticket, execution: &Execution<()>) {
        let mut execution = execution.clone();
        execution.events.iter_mut().for_each(|event| event.step = without(&event.step, &self.to));
        execution.pending.iter_mut().flatten().for_each(|step| *step = without(step, &self.to));
        self.strategy.learn(ticket, &execution);
    }

    fn coverage(&self) -> Coverage {
        self.strategy.coverage()
    }

    fn statistics(&self) -> Statistics {
        self.strategy.statistics()
    }
}

struct BlindChooser {
    chooser: Box<dyn Chooser + Send>,
    to: Vec<Object>,
}

impl Chooser for BlindChooser {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        let pending: Vec<Option<Step>> =
            point.pending.iter().map(|step| step.as_ref().map(|step| without(step, &self.to))).collect();
        self.chooser.choose(&Point { pending: &pending, ..*point })
    }

    fn happened(&mut self, event: &Event) {
        self.chooser.happened(&Event { process: event.process, step: without(&event.step, &self.to) });
    }
}

fn without(step: &Step, objects: &[Object]) -> Step {
    let kept = step.footprint.touches().iter().filter(|(object, _)| !objects.contains(object));
    Step { footprint: Footprint::of(kept.copied().collect()), ..step.clone() }
}

/// The engine's names for what every program has.
mod objects {
    use super::Object;

    fn inode(path: &str) -> Object {
        Object::named(&("inode", path, 1_u32))
    }

    pub fn content(path: &str) -> Object {
        Object::named(&("content", inode(path)))
    }

    pub fn entry(folder: &str, name: &str) -> Object {
        Object::named(&("entry", inode(folder), name))
    }

    pub fn flock(path: &str) -> Object {
        Object::named(&("lock", inode(path), true))
    }
}

/// How many of these programs show less than they can where a strategy is blind to some objects.
fn incomplete(zygote: &mut Zygote, seeds: Range<u64>, to: &[Object]) -> u32 {
    let mut incomplete = 0;
    for seed in seeds {
        let Program { setup, scripts } = random::program(seed);
        let mut real = Real::open(zygote, &setup, &scripts).expect("an executor");
        let whole = real.explore(&mut Exhaustive::new(), u64::MAX).expect("no limit");
        let mut blind = Blind { strategy: Exhaustive::new(), to: to.to_vec() };
        let blind = real.explore(&mut blind, u64::MAX).expect("no limit");
        incomplete += u32::from(whole.seen != blind.seen);
    }
    incomplete
}

fn a_conflict_that_is_not_told_is_found_out(zygote: &mut Zygote) {
    let blindnesses = [
        ("content", vec![objects::content("a")]),
        ("entry", vec![objects::entry("", "a"), objects::entry("", "b")]),
        ("flock", vec![objects::flock("a")]),
        ("real time", vec![Object::REAL_TIME]),
    ];
    for (what, objects) in blindnesses {
        let found = incomplete(zygote, 0..30, &objects);
        println!("{what}: {found} of 30 programs");
        assert!(found > 0, "{what}: the comparison is blind");
    }
    let nothing = Object::named(&"nothing that anybody touches");
    assert_eq!(incomplete(zygote, 0..30, &[nothing]), 0);
}
