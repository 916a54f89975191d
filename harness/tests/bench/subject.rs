//! A calibrated subject: it waits as long as it is told to, and writes down how long that really was.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flockwork::{Operation, WritePolicy};
use flockwork_harness::history::Outcome;
use flockwork_harness::plan::SubjectPlan;
use flockwork_harness::plan::schedule::FaultKind;
use flockwork_harness::process::clock::{now_ns, wait_ns};
use flockwork_harness::subject::{Answer, Owner, Request, Root, Seat, Session, Subject, Traits, Watch};

/// What one operation really was.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the unit stands in every name of a number")]
pub struct Truth {
    pub asked_ns: u64,
    pub got_ns: u64,
    pub given_ns: u64,
    pub done_ns: u64,
}

/// Which operation of the calibrated subject stalls, and how long.
pub const STALL: (u64, u64) = (200, 300_000_000);

/// Its ways, chosen by the plan's word for writing.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Process n waits n+1 times as long as the first.
    Shares,
    /// One operation stalls.
    Stalls,
}

pub fn build(plan: &SubjectPlan) -> Result<Box<dyn Subject>, String> {
    let SubjectPlan::Library(library) = plan else { return Err("not calibrated".into()) };
    Ok(Box::new(Calibrated(if library.write == WritePolicy::Fsync { Way::Stalls } else { Way::Shares })))
}

struct Calibrated(Way);

impl Subject for Calibrated {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        let path = truth_path(&seat.root, seat.process);
        Ok(Box::new(Calm { way: self.0, process: seat.process, watch: seat.watch, truths: Vec::new(), path }))
    }

    fn traits(&self) -> Traits {
        Traits {
            operations: &Operation::ALL,
            tokens: false,
            counts_generations: false,
            watch: true,
            children: false,
            lock_free_reads: false,
            deaths: None,
            model: None,
            roots: &[Root::Seat],
            faults: FaultKind::ALL,
            volatile: &[],
        }
    }

    fn owner(&self, _relative: &Path) -> Owner {
        Owner::Root
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        container.into()
    }
}

struct Calm {
    way: Way,
    process: u32,
    watch: Arc<dyn Watch>,
    truths: Vec<Truth>,
    path: PathBuf,
}

/// By spinning, so that it lasts as long as it should wherever there is a processor.
fn spin(duration_ns: u64) {
    let until_ns = now_ns() + duration_ns;
    while now_ns() < until_ns {
        std::hint::spin_loop();
    }
}

impl Session for Calm {
    fn perform(&mut self, _request: &Request) -> Answer {
        let asked_ns = now_ns();
        let number = self.truths.len() as u64;
        match self.way {
            Way::Shares => wait_ns(u64::from(self.process + 1) * 400_000),
            Way::Stalls if number == STALL.0 => wait_ns(STALL.1),
            Way::Stalls => {}
        }
        let got_ns = now_ns();
        self.watch.enter(0);
        spin(100_000);
        self.watch.leave(0);
        let given_ns = now_ns();
        self.truths.push(Truth { asked_ns, got_ns, given_ns, done_ns: now_ns() });
        let (reason, message) = (None, None);
        Answer { outcome: Outcome::Ok, reason, status: None, message, ..Answer::done() }
    }

    fn audit(&mut self, _container: u32) -> Answer {
        unreachable!("nobody audits a benchmark")
    }
}

impl Drop for Calm {
    fn drop(&mut self) {
        let mut text = String::new();
        for Truth { asked_ns, got_ns, given_ns, done_ns } in &self.truths {
            writeln!(text, "{asked_ns} {got_ns} {given_ns} {done_ns}").expect("a string takes all");
        }
        fs::write(&self.path, text).expect("the truth is written");
    }
}

fn truth_path(folder: &Path, process: u32) -> PathBuf {
    folder.join(format!("truth-{process}"))
}

/// What really was, of the operations that ended within the round: all but the last, which ended it.
pub fn truths(folder: &Path, process: u32) -> Vec<Truth> {
    let text = fs::read_to_string(truth_path(folder, process)).expect("the truth was written");
    let mut truths: Vec<Truth> = text
        .lines()
        .map(|line| {
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
            let [asked_ns, got_ns, given_ns, done_ns] = numbers[..] else { panic!("four numbers") };
            Truth { asked_ns, got_ns, given_ns, done_ns }
        })
        .collect();
    truths.pop();
    truths
}
