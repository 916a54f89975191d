//! From axes to cells: every combination that means something, once.
//!
//! An axis that means nothing to a combination is no part of its point: a mutex has no descriptor. So several
//! combinations may be one cell, and others are none; how many, the grid knows.

use std::collections::HashSet;
use std::fmt::Display;

use flockwork::{LockKind, ReadPolicy, WritePolicy};

use super::axes::Axes;
use super::work::Work;
use crate::measure::{Axis, Point, Value};
use crate::plan::bench::{
    BenchLock, BenchSubject, CellPlan, CommandTask, Descriptor, Load, Operations, Skew, Task, Waiting,
};

/// A cheap lock costs little more than a reading of the clock: one acquisition in so many is timed in parts.
const TIMED_EVERY_FAST: u32 = 8;
/// Work that is longer than this makes no lock cheap.
const SPIN_NS_SLOW: u64 = 2_000;

/// The cells of a grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// The cells, the first axis varying slowest.
    pub cells: Vec<CellPlan>,
    /// How many combinations are no cell of their own.
    pub left_out: u64,
}

impl Grid {
    /// The cells of these axes over roots of these names.
    #[must_use]
    pub fn of(axes: &Axes, roots: &[&str]) -> Self {
        let mut seen = HashSet::new();
        let mut grid = Self { cells: Vec::new(), left_out: 0 };
        for_each(axes, |combination| {
            let cell = match &axes.command {
                Some(command) => Ok(combination.command(command)),
                None => combination.cell(),
            };
            for (root, name) in roots.iter().enumerate() {
                match cell.clone().map(|cell| at_root(cell, root, name)) {
                    Ok(cell) if seen.insert(cell.point.clone()) => grid.cells.push(cell),
                    _ => grid.left_out += 1,
                }
            }
        });
        grid
    }

    /// How many combinations there are, of which some may be no cell.
    #[must_use]
    pub fn combinations(axes: &Axes, roots: usize) -> u64 {
        lengths(axes).into_iter().fold(roots as u64, |product, length| product.saturating_mul(length as u64))
    }
}

fn at_root(mut cell: CellPlan, root: usize, name: &str) -> CellPlan {
    cell.root = root;
    cell.point = cell.point.with(Axis::Root, Value::Word(name.to_owned()));
    cell
}

/// Whether any combination means something; else why the first of them does not.
pub(super) fn has_cells(axes: &Axes) -> Result<(), &'static str> {
    if axes.command.is_some() {
        return Ok(());
    }
    // What a combination means does not depend on these.
    let one = Axes {
        reads: axes.reads[..1].to_vec(),
        payload_bytes: axes.payload_bytes[..1].to_vec(),
        processes: axes.processes[..1].to_vec(),
        containers: axes.containers[..1].to_vec(),
        skew: axes.skew[..1].to_vec(),
        load: axes.load[..1].to_vec(),
        ..axes.clone()
    };
    let mut verdict = Err("there is no combination");
    let mut first = None;
    for_each(&one, |combination| match combination.cell() {
        Ok(_) => verdict = Ok(()),
        Err(why) => first = first.or(Some(why)),
    });
    verdict.map_err(|why| first.unwrap_or(why))
}

/// One combination of values.
#[derive(Clone, Copy, Debug)]
struct Combination {
    subject: BenchSubject,
    lock: BenchLock,
    wait: Waiting,
    descriptor: Option<Descriptor>,
    work: Work,
    read: ReadPolicy,
    write: WritePolicy,
    reads: u32,
    payload_bytes: u32,
    processes: u32,
    containers: u32,
    skew: Skew,
    load: Load,
}

/// How many values each axis has, in the order of a combination.
fn lengths(axes: &Axes) -> [usize; 13] {
    [
        axes.subject.len(),
        axes.lock.len(),
        axes.wait.len(),
        axes.descriptor.len(),
        axes.work.len(),
        axes.read.len(),
        axes.write.len(),
        axes.reads.len(),
        axes.payload_bytes.len(),
        axes.processes.len(),
        axes.containers.len(),
        axes.skew.len(),
        axes.load.len(),
    ]
}

/// Every combination, the first axis varying slowest.
fn for_each(axes: &Axes, mut visit: impl FnMut(Combination)) {
    let lengths = lengths(axes);
    let mut digits = [0; 13];
    loop {
        visit(Combination {
            subject: axes.subject[digits[0]],
            lock: axes.lock[digits[1]],
            wait: axes.wait[digits[2]],
            descriptor: axes.descriptor[digits[3]],
            work: axes.work[digits[4]],
            read: axes.read[digits[5]],
            write: axes.write[digits[6]],
            reads: axes.reads[digits[7]],
            payload_bytes: axes.payload_bytes[digits[8]],
            processes: axes.processes[digits[9]],
            containers: axes.containers[digits[10]],
            skew: axes.skew[digits[11]],
            load: axes.load[digits[12]],
        });
        // As an odometer counts: the last digit turns first.
        let Some(turning) = (0..digits.len()).rev().find(|&place| digits[place] + 1 < lengths[place]) else {
            return;
        };
        digits[turning] += 1;
        digits[turning + 1..].fill(0);
    }
}

impl Combination {
    /// The cell of a user's command.
    fn command(&self, command: &CommandTask) -> CellPlan {
        let mut point = Point::default()
            .with(Axis::Subject, Value::Word("command".into()))
            .with(Axis::Processes, number(self.processes))
            .with(Axis::Load, word(self.load));
        if self.containers > 1 {
            point = point.with(Axis::Containers, number(self.containers));
        }
        CellPlan {
            point,
            task: Task::Command(Box::new(command.clone())),
            processes: self.processes,
            containers: self.containers,
            skew: self.skew,
            load: self.load,
            root: 0,
            timed_every: 1,
        }
    }

    /// The cell, or why this means nothing.
    fn cell(&self) -> Result<CellPlan, &'static str> {
        let (task, point) = match self.work {
            Work::Nothing => self.bare(0)?,
            Work::Spin(spin_ns) => self.bare(spin_ns)?,
            Work::Read => self.operate(Operations::Read)?,
            Work::Pause => self.operate(Operations::Pause)?,
            Work::Mixed => self.operate(Operations::Mixed { reads: self.reads })?,
        };
        let mut point = point
            .with(Axis::Work, word(self.work))
            .with(Axis::Processes, number(self.processes))
            .with(Axis::Containers, number(self.containers))
            .with(Axis::Load, word(self.load));
        if self.containers > 1 {
            point = point.with(Axis::Skew, word(self.skew));
        }
        Ok(CellPlan {
            timed_every: self.timed_every(&task),
            point,
            task,
            processes: self.processes,
            containers: self.containers,
            skew: self.skew,
            load: self.load,
            root: 0,
        })
    }

    /// Where two readings of the clock would cost more than a share of what is measured, fewer are timed.
    fn timed_every(&self, task: &Task) -> u32 {
        let Task::Bare { lock, descriptor, spin_ns, .. } = task else { return 1 };
        let is_cheap = !lock.has_descriptor() && *lock != BenchLock::Library(LockKind::Lockfile)
            || lock.has_descriptor() && matches!(descriptor, Descriptor::Kept | Descriptor::Inherited);
        let is_busy = self.load == Load::Closed(0) && *spin_ns < SPIN_NS_SLOW;
        if is_cheap && is_busy { TIMED_EVERY_FAST } else { 1 }
    }

    fn bare(&self, spin_ns: u64) -> Result<(Task, Point), &'static str> {
        if self.subject != BenchSubject::Library {
            return Err(
                "a replica pauses and reads; with other work only a lock is measured, which belongs to no subject",
            );
        }
        // What is usual is what the library does.
        let descriptor = self.descriptor.unwrap_or(Descriptor::Checked);
        let mut point = Point::default().with(Axis::Lock, word(self.lock));
        if self.lock != BenchLock::None {
            point = point.with(Axis::Wait, word(self.wait));
        }
        if self.lock.has_descriptor() {
            point = point.with(Axis::Descriptor, word(descriptor.as_str()));
        }
        if self.lock == BenchLock::Library(LockKind::Posix) && descriptor == Descriptor::Inherited {
            return Err("posix locks belong to the process and are never inherited");
        }
        Ok((Task::Bare { lock: self.lock, wait: self.wait, descriptor, spin_ns }, point))
    }

    fn operate(&self, operations: Operations) -> Result<(Task, Point), &'static str> {
        let BenchLock::Library(lock) = self.lock else {
            return Err(
                "containers are guarded by files: none and mutex go with work = \"nothing\" or \"spin …\"",
            );
        };
        if self.wait != Waiting::Block {
            return Err("operations on containers wait as the library does: wait = \"block\"");
        }
        let usual = match self.subject {
            BenchSubject::Library => Descriptor::Checked,
            BenchSubject::Gvisor2018 => Descriptor::Opened,
        };
        if self.descriptor.is_some_and(|descriptor| descriptor != usual) {
            return Err(
                "operations open their lock files as the subject does: the library's are \"checked\", \
                        those of gvisor-2018 are \"opened\"",
            );
        }
        let mut point = Point::default()
            .with(Axis::Subject, word(self.subject.as_str()))
            .with(Axis::Wait, word(self.wait))
            .with(Axis::Descriptor, word(usual.as_str()))
            .with(Axis::Payload, number(self.payload_bytes));
        if self.subject == BenchSubject::Library {
            let reads = operations != Operations::Pause;
            let writes = operations != Operations::Read;
            if reads && writes && self.read == ReadPolicy::LockFree && self.write == WritePolicy::InPlace {
                return Err("reading lock-free while saves write in place gives torn reads");
            }
            point = point.with(Axis::Lock, word(lock));
            if reads {
                point = point.with(Axis::Read, word(self.read));
            }
            if writes {
                point = point.with(Axis::Write, word(self.write));
            }
        } else if lock != LockKind::Fs2 {
            return Err("gvisor-2018 has one lock, fs2");
        }
        if matches!(operations, Operations::Mixed { .. }) {
            point = point.with(Axis::Reads, number(self.reads));
        }
        let task = Task::Operate {
            subject: self.subject,
            lock,
            read: self.read,
            write: self.write,
            payload_bytes: self.payload_bytes,
            operations,
        };
        Ok((task, point))
    }
}

fn word(value: impl Display) -> Value {
    Value::Word(value.to_string())
}

fn number(value: u32) -> Value {
    Value::Number(u64::from(value))
}
