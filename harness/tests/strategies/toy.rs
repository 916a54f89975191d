//! A machine of a few lines: programs over variables and locks, in memory, that say truly what their steps touch.

use flockwork_harness::explore::machine::{Chooser, End, Execution, Machine, Pick, Point};
use flockwork_harness::explore::step::{Access, Event, Footprint, Gate, LockPart, Mask, Object, Step};

/// How a lock is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Shared,
    Exclusive,
}

/// One instruction. A process has one register: what it read last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reads a variable.
    Read(usize),
    /// Writes a number.
    Write(usize, u8),
    /// Writes what was read last, and one more.
    Store(usize),
    /// Adds one and looks not.
    Add(usize),
    /// Adds one and sees what was there.
    FetchAdd(usize),
    /// Reads the first, and writes to the second or third, as the first is even or odd: what it touches depends.
    Route(usize, usize, usize),
    /// Passes over so many instructions if the register is odd.
    SkipIfOdd(usize),
    /// Takes a lock, and waits for it.
    Lock(usize, Mode),
    /// Takes a lock, waits for it, and reads a variable in the same step.
    LockAndRead(usize, Mode, usize),
    /// Takes a lock if it can be had, else passes over so many instructions.
    TryLock(usize, Mode, usize),
    /// Lets a lock go.
    Unlock(usize),
    /// Looks at a variable until it is no less than this; sleeps until it changes in between.
    Await(usize, u8),
    /// Begins an operation: sees how many others have returned.
    Invoke,
    /// Returns from one.
    Return,
}

/// What a program does at its end with the locks it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtEnd {
    LetsGo,
    Keeps,
}

/// What each process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toy {
    pub programs: Vec<Vec<Op>>,
    pub at_end: AtEnd,
    /// An object that steps fail to tell that they touch: a broken machine, which the tests must find out.
    pub forgets: Option<Object>,
}

/// What came of an execution, for everybody to see.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seen {
    pub variables: Vec<u8>,
    pub observations: Vec<Vec<u8>>,
    pub deadlock: bool,
}

pub const VARIABLES: usize = 4;
pub const LOCKS: usize = 3;

#[derive(Clone, Debug, Default)]
struct Process {
    at: usize,
    register: u8,
    observations: Vec<u8>,
    /// Where it looked and what version it saw, when it sleeps until that changes.
    asleep: Option<(usize, u32)>,
    over: bool,
}

struct World<'t> {
    toy: &'t Toy,
    variables: [u8; VARIABLES],
    versions: [u32; VARIABLES],
    holders: [Vec<(usize, Mode)>; LOCKS],
    returned: u8,
    processes: Vec<Process>,
}

pub fn variable(index: usize) -> Object {
    Object::named(&("variable", index))
}

pub fn lock(index: usize) -> Object {
    Object::named(&("lock", index))
}

fn access(mode: Mode) -> Access {
    match mode {
        Mode::Shared => Access::Update,
        Mode::Exclusive => Access::Write,
    }
}

impl<'t> World<'t> {
    fn new(toy: &'t Toy) -> Self {
        let mut world = Self {
            toy,
            variables: [0; VARIABLES],
            versions: [0; VARIABLES],
            holders: std::array::from_fn(|_| Vec::new()),
            returned: 0,
            processes: vec![Process::default(); toy.programs.len()],
        };
        for process in 0..toy.programs.len() {
            world.settle(process);
        }
        world
    }

    fn held(&self, process: usize, lock: usize) -> Option<Mode> {
        self.holders[lock].iter().find(|(holder, _)| *holder == process).map(|(_, mode)| *mode)
    }

    fn free(&self, process: usize, lock: usize, wanted: Mode) -> bool {
        self.holders[lock]
            .iter()
            .all(|(holder, mode)| *holder == process || (*mode == Mode::Shared && wanted == Mode::Shared))
    }

    fn holdings(&self, process: usize) -> Vec<(usize, Mode)> {
        (0..LOCKS).filter_map(|lock| Some((lock, self.held(process, lock)?))).collect()
    }

    /// Passes over what nobody else can see.
    fn settle(&mut self, process: usize) {
        loop {
            let state = &self.processes[process];
            let skipped = match self.toy.programs[process].get(state.at) {
                Some(Op::SkipIfOdd(count)) => 1 + if state.register % 2 == 1 { *count } else { 0 },
                Some(Op::Lock(lock, _) | Op::LockAndRead(lock, ..) | Op::TryLock(lock, ..))
                    if self.held(process, *lock).is_some() =>
                {
                    1
                }
                Some(Op::Unlock(lock)) if self.held(process, *lock).is_none() => 1,
                Some(_) => return,
                None => {
                    let keeps = self.toy.at_end == AtEnd::Keeps || self.holdings(process).is_empty();
                    self.processes[process].over = keeps;
                    return;
                }
            };
            self.processes[process].at += skipped;
        }
    }

    fn op(&self, process: usize) -> Option<Op> {
        self.toy.programs[process].get(self.processes[process].at).copied()
    }

    fn pending(&self, process: usize) -> Option<Step> {
        if self.processes[process].over {
            return None;
        }
        let Some(op) = self.op(process) else { return Some(self.last_step(process)) };
        let (touches, gate, part) = match op {
            Op::Read(v) => (vec![(variable(v), Access::Read)], Gate::Open, None),
            Op::Await(v, _) => {
                let gate = if self.processes[process].asleep.is_some() { Gate::Change } else { Gate::Open };
                (vec![(variable(v), Access::Read)], gate, None)
            }
            Op::Write(v, _) | Op::Store(v) | Op::FetchAdd(v) => {
                (vec![(variable(v), Access::Write)], Gate::Open, None)
            }
            Op::Add(v) => (vec![(variable(v), Access::Update)], Gate::Open, None),
            Op::Route(v, even, odd) => {
                let target = if self.variables[v].is_multiple_of(2) { even } else { odd };
                (vec![(variable(v), Access::Read), (variable(target), Access::Write)], Gate::Open, None)
            }
            Op::Lock(l, mode) => {
                (vec![(lock(l), access(mode))], Gate::Lock(lock(l)), Some(LockPart::Acquire(lock(l))))
            }
            Op::LockAndRead(l, mode, v) => (
                vec![(lock(l), access(mode)), (variable(v), Access::Read)],
                Gate::Lock(lock(l)),
                Some(LockPart::Acquire(lock(l))),
            ),
            Op::TryLock(l, mode, _) if self.free(process, l, mode) => {
                (vec![(lock(l), access(mode))], Gate::Open, Some(LockPart::Acquire(lock(l))))
            }
            Op::TryLock(l, ..) => (vec![(lock(l), Access::Read)], Gate::Open, None),
            Op::Unlock(l) => {
                let mode = self.held(process, l).expect("settled");
                (vec![(lock(l), access(mode))], Gate::Open, Some(LockPart::Release(lock(l))))
            }
            Op::Invoke => (vec![(Object::REAL_TIME, Access::Read)], Gate::Open, None),
            Op::Return => (vec![(Object::REAL_TIME, Access::Update)], Gate::Open, None),
            Op::SkipIfOdd(_) => unreachable!("settled"),
        };
        Some(self.step(touches, gate, part, format!("{op:?}").into()))
    }

    fn step(
        &self,
        mut touches: Vec<(Object, Access)>,
        gate: Gate,
        lock: Option<LockPart>,
        label: std::sync::Arc<str>,
    ) -> Step {
        touches.retain(|(object, _)| Some(*object) != self.toy.forgets);
        Step { footprint: Footprint::of(touches), gate, lock, label }
    }

    /// Lets everything go at once.
    fn last_step(&self, process: usize) -> Step {
        let touches = self.holdings(process).iter().map(|(l, mode)| (lock(*l), access(*mode))).collect();
        self.step(touches, Gate::Open, None, "end".into())
    }

    fn enabled(&self, process: usize) -> bool {
        match self.op(process) {
            _ if self.processes[process].over => false,
            Some(Op::Lock(lock, mode) | Op::LockAndRead(lock, mode, _)) => self.free(process, lock, mode),
            Some(Op::Await(..)) => {
                self.processes[process].asleep.is_none_or(|(v, version)| self.versions[v] != version)
            }
            _ => true,
        }
    }

    fn see(&mut self, process: usize, value: u8) {
        self.processes[process].register = value;
        self.processes[process].observations.push(value);
    }

    fn set(&mut self, variable: usize, value: u8) {
        self.variables[variable] = value;
        self.versions[variable] += 1;
    }

    fn take(&mut self, process: usize) {
        let mut passed = 1;
        match self.op(process) {
            None => {
                for holders in &mut self.holders {
                    holders.retain(|(holder, _)| *holder != process);
                }
                self.processes[process].over = true;
                return;
            }
            Some(Op::Read(v)) => self.see(process, self.variables[v]),
            Some(Op::Write(v, value)) => self.set(v, value),
            Some(Op::Store(v)) => self.set(v, self.processes[process].register.wrapping_add(1)),
            Some(Op::Add(v)) => self.set(v, self.variables[v].wrapping_add(1)),
            Some(Op::FetchAdd(v)) => {
                self.see(process, self.variables[v]);
                self.set(v, self.variables[v].wrapping_add(1));
            }
            Some(Op::Route(v, even, odd)) => {
                let target = if self.variables[v].is_multiple_of(2) { even } else { odd };
                self.set(target, self.variables[target].wrapping_add(3));
            }
            Some(Op::Lock(lock, mode)) => self.holders[lock].push((process, mode)),
            Some(Op::LockAndRead(lock, mode, v)) => {
                self.holders[lock].push((process, mode));
                self.see(process, self.variables[v]);
            }
            Some(Op::TryLock(lock, mode, skipped)) => {
                let free = self.free(process, lock, mode);
                self.see(process, u8::from(free));
                if free {
                    self.holders[lock].push((process, mode));
                } else {
                    passed += skipped;
                }
            }
            Some(Op::Unlock(lock)) => self.holders[lock].retain(|(holder, _)| *holder != process),
            Some(Op::Await(v, least)) => passed = self.look(process, v, least),
            Some(Op::Invoke) => self.see(process, self.returned),
            Some(Op::Return) => self.returned += 1,
            Some(Op::SkipIfOdd(_)) => unreachable!("settled"),
        }
        self.processes[process].at += passed;
        self.settle(process);
    }

    fn look(&mut self, process: usize, v: usize, least: u8) -> usize {
        if self.processes[process].asleep.take().is_some() {
            return 0;
        }
        self.see(process, self.variables[v]);
        if self.variables[v] >= least {
            return 1;
        }
        self.processes[process].asleep = Some((v, self.versions[v]));
        0
    }
}

impl Machine for Toy {
    type Outcome = Seen;
    type Error = std::convert::Infallible;

    fn run(&mut self, chooser: &mut dyn Chooser) -> Result<Execution<Seen>, Self::Error> {
        let count = self.programs.len();
        let mut world = World::new(self);
        let (mut events, mut enabled) = (Vec::<Event>::new(), Vec::new());
        let (pending, end) = loop {
            let pending: Vec<Option<Step>> = (0..count).map(|process| world.pending(process)).collect();
            let able = (0..count).filter(|&process| world.enabled(process));
            let able = able.fold(Mask::default(), Mask::with);
            enabled.push(able);
            if able.is_empty() {
                let over = pending.iter().all(Option::is_none);
                break (pending, if over { End::Completed } else { End::Deadlock });
            }
            let last = events.last().map(|event| event.process);
            let point = Point {
                depth: events.len(),
                enabled: able,
                pending: &pending,
                last,
                processes: pending.len(),
            };
            let Pick::Step(process) = chooser.choose(&point) else { break (pending, End::Abandoned) };
            assert!(able.has(process), "the chooser chose who cannot go on");
            let event = Event { process, step: pending[process].clone().expect("enabled") };
            world.take(process);
            chooser.happened(&event);
            events.push(event);
        };
        let outcome = Seen {
            variables: world.variables.to_vec(),
            observations: world.processes.into_iter().map(|process| process.observations).collect(),
            deadlock: end == End::Deadlock,
        };
        let processes = pending.len();
        Ok(Execution { events, enabled, pending, processes, end, outcome })
    }
}
