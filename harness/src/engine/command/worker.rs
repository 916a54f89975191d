//! A worker: one process of a run, which runs one command after the other and writes down what each answered.
//!
//! Between the two readings of the clock there is nothing but the command itself; all else is done between commands.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde_json::Value as Json;

use super::context::CommandContext;
use super::delay;
use super::supervise::GRACE_NS;
use super::wire::{Entry, Unusual};
use crate::explore::strategy::sampling::Dice;
use crate::plan::Budget;
use crate::plan::command::{Ends, OperationPlan};
use crate::process::clock::{self, now_ns};
use crate::process::launch::{self, Done, Ending, Launch};
use crate::process::perturbed::Perturber;
use crate::subject::command::answer::{self, Output};
use crate::subject::command::values;

/// How long a command is taken to last before one was seen, in nanoseconds.
const TYPICAL_NS: u64 = 2_000_000;
/// Longest sleep without a look at whether the run is over, in nanoseconds.
const NAP_NS_MAX: u64 = 10_000_000;

/// One process of a round.
pub(super) struct Worker<'s> {
    context: &'s CommandContext,
    round: u64,
    process: u32,
    dice: Dice,
    out: BufWriter<File>,
    /// How long commands last lately, in nanoseconds.
    typical_ns: u64,
    /// When a command is to be killed next.
    kill_at_ns: Option<u64>,
    /// What holds calls back, where that is wanted and can be.
    perturber: Option<RefCell<Perturber>>,
}

impl<'s> Worker<'s> {
    pub fn new(context: &'s CommandContext, round: u64, process: u32) -> io::Result<Self> {
        let plan = &context.plan;
        let out = OpenOptions::new().create(true).append(true).open(context.places.record_of(process))?;
        let stream = round.wrapping_mul(u64::from(plan.processes)).wrapping_add(u64::from(process));
        Ok(Self {
            context,
            round,
            process,
            dice: Dice::of(plan.seed, stream),
            out: BufWriter::with_capacity(1 << 16, out),
            typical_ns: TYPICAL_NS,
            kill_at_ns: None,
            perturber: delay::perturber(context, stream).map(RefCell::new),
        })
    }

    /// Runs all that the round asks of it.
    pub fn work(&mut self) -> io::Result<()> {
        let from = self.context.plan.round.map_or(0, |each| self.round.saturating_mul(each));
        let to = from.saturating_add(self.context.plan.round.unwrap_or(u64::MAX));
        self.kill_at_ns = self.next_kill();
        for number in from..to.min(self.quota()) {
            self.think();
            if self.context.is_over() {
                break;
            }
            let entry = self.one(number)?;
            serde_json::to_writer(&mut self.out, &entry)?;
            self.out.write_all(b"\n")?;
            let header = self.context.region.header(self.process);
            header.completed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if matches!(entry.unusual, Some(Unusual::Lacking(_))) {
                break;
            }
            launch::reap();
        }
        if let Some(perturber) = &self.perturber {
            perturber.borrow_mut().serve_the_left(GRACE_NS)?;
        }
        self.out.flush()
    }

    /// How many operations it runs in all rounds together.
    fn quota(&self) -> u64 {
        let processes = u64::from(self.context.plan.processes);
        match self.context.plan.budget {
            Budget::Operations(all) => all / processes + u64::from(u64::from(self.process) < all % processes),
            Budget::DurationNs(_) => u64::MAX,
        }
    }

    fn below(&mut self, count: u64) -> u64 {
        let number = self.dice.number();
        ((u128::from(number) * u128::from(count)) >> 64) as u64
    }

    fn between(&mut self, bounds: &std::ops::RangeInclusive<u64>) -> u64 {
        bounds.start() + self.below(bounds.end() - bounds.start() + 1)
    }

    fn think(&mut self) {
        let think_ns = self.between(&self.context.plan.think_ns.clone());
        let until_ns = now_ns() + think_ns;
        while !self.context.is_over() {
            match until_ns.saturating_sub(now_ns()) {
                0 => break,
                left_ns => clock::wait_ns(left_ns.min(NAP_NS_MAX)),
            }
        }
    }

    /// Times of kills have no memory: the time to the next is distributed exponentially.
    fn next_kill(&mut self) -> Option<u64> {
        let every_ns = self.context.plan.kill_every_ns? as f64 * f64::from(self.context.plan.processes);
        let uniform = (self.below(1 << 53) as f64 + 1.0) / (1_u64 << 53) as f64;
        let wait = std::time::Duration::from_secs_f64(-uniform.ln() * every_ns / 1e9);
        Some(now_ns().saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    fn choose(&mut self) -> usize {
        let weights = |operation: &OperationPlan| u64::from(operation.weight);
        let operations = &self.context.plan.operations;
        let mut at = self.below(operations.iter().map(weights).sum());
        operations
            .iter()
            .position(|operation| match at.checked_sub(weights(operation)) {
                Some(rest) => {
                    at = rest;
                    false
                }
                None => true,
            })
            .expect("some operation has a weight")
    }

    /// Runs one operation.
    fn one(&mut self, number: u64) -> io::Result<Entry> {
        let context = self.context;
        let plan = &context.plan;
        let index = self.choose();
        let operation = &plan.operations[index];
        let object = self.below(plan.objects.len() as u64) as usize;
        let unique = number * u64::from(plan.processes) + u64::from(self.process) + 1;
        let value = values::draw(operation, unique, &mut |count| self.below(count));
        let with = (self.process + 1, number + 1);
        let filled = context.filled(operation, &plan.objects[object], value.as_ref(), with);
        let kill_ns = self.kill_ns();
        let perturbs = self.perturbs();
        let who = format!("p{} {}", self.process + 1, operation.name);
        let launch = Launch {
            kill_ns,
            perturber: self.perturber.as_ref().filter(|_| perturbs),
            ..filled.launch(operation, context, operation.time_limit_ns, &who)
        };
        let done = launch::run(&launch)?;
        if done.ending != Ending::TimedOut {
            self.typical_ns = (self.typical_ns * 7 + (done.ended_ns - done.begun_ns)) / 8;
        }
        Ok(self.entry(index, object, value, done))
    }

    /// When this command is killed, where its time has come.
    fn kill_ns(&mut self) -> Option<u64> {
        let span_ns = self.typical_ns * 5 / 4;
        if now_ns().saturating_add(span_ns) < self.kill_at_ns? {
            return None;
        }
        self.kill_at_ns = self.next_kill();
        Some(self.below(span_ns))
    }

    /// Whether calls of the next command are held back: of one in four they are not. Where they cannot be, it begins later.
    fn perturbs(&mut self) -> bool {
        let Some(for_ns) = self.context.plan.perturb_ns.clone() else { return false };
        let perturbs = self.below(4) != 0;
        if perturbs && self.perturber.is_none() {
            clock::wait_ns(self.between(&for_ns).min(NAP_NS_MAX));
        }
        perturbs
    }

    fn entry(&self, operation: usize, object: usize, value: Option<Json>, done: Done) -> Entry {
        let mut entry = Entry {
            round: self.round,
            process: self.process,
            operation,
            object,
            invoke_ns: done.begun_ns,
            return_ns: done.is_over.then_some(done.ended_ns),
            outcome: Ends::Unknown,
            reason: None,
            value,
            saw: None,
            status: None,
            message: None,
            is_unmatched: false,
            unusual: None,
        };
        let (stdout, stderr) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        let limit = self.context.plan.operations[operation].time_limit_ns;
        entry.unusual = match done.ending {
            Ending::Exited(code) => {
                let output = Output {
                    code,
                    stdout: stdout.trim_end_matches('\n'),
                    stderr: stderr.trim_end_matches('\n'),
                };
                let plan = &self.context.plan.operations[operation];
                take(&mut entry, answer::read(&self.context.rules[operation], plan.saw, &output));
                return entry;
            }
            Ending::Signaled(signal) => {
                entry.message = Some(format!("died of {}", signal_name(signal)));
                Some(Unusual::Crashed(signal))
            }
            Ending::Killed => Some(Unusual::Killed),
            Ending::TimedOut => {
                let limit = crate::words::units::show_exact_ns(limit);
                entry.message = Some(format!("did not end within {limit}: {}", done.waiting.join("; ")));
                Some(Unusual::Hung(done.waiting))
            }
            Ending::TooMuch => {
                entry.message = Some(format!("wrote more than {} MiB", launch::OUTPUT_BYTES_MAX >> 20));
                Some(Unusual::TooMuch)
            }
            Ending::NotStarted(errno, why) => {
                entry.outcome = Ends::Failed;
                entry.message = Some(format!("not started: {why}"));
                let lacks = matches!(errno, Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE));
                lacks.then_some(Unusual::Lacking(why))
            }
        };
        entry
    }
}

/// Takes over what an operation told.
fn take(entry: &mut Entry, told: answer::Told) {
    entry.outcome = told.outcome;
    entry.reason = told.reason;
    entry.saw = told.saw;
    entry.status = told.status;
    entry.message = told.message;
    entry.is_unmatched = told.is_unmatched;
    if told.value.is_some() {
        entry.value = told.value;
    }
}

/// A signal's name.
pub(super) fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |signal| signal.as_str().to_owned())
}

/// Opens a file to which a process appends what it saw.
pub(super) fn appending(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(OpenOptions::new().create(true).append(true).open(path)?))
}
