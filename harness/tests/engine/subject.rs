//! A subject for the engine's own tests: counters behind a lock file, and ways to misbehave on purpose.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use flockwork::{Operation, Status};
use flockwork_harness::history::{Outcome, Reason};
use flockwork_harness::plan::SubjectPlan;
use flockwork_harness::plan::schedule::FaultKind;
use flockwork_harness::process::Marker;
use flockwork_harness::subject::{Answer, Owner, Request, Root, Seat, Session, Subject, Traits};
use rustix::fs::FlockOperation;

/// How the subject behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Takes the lock.
    Locked,
    /// Enters the critical section without a lock.
    Unlocked,
    /// Panics at worker 1's tenth operation.
    Panics,
    /// Crashes with a signal at worker 1's tenth operation.
    Aborts,
    /// Names a container that is not there to the harness, at worker 1's tenth operation: the harness panics over it.
    Oversteps,
    /// Has no descriptor left for every tenth operation.
    Starves,
    /// Never answers `kill`.
    Sleeps,
    /// Cannot be opened by worker 1.
    Unopened,
    /// Starts a process at each create, and forgets it.
    Litters,
    /// The same, and the process does not carry the run's marker.
    LittersUnmarked,
    /// Fails `state` with a message, as torn.
    Torn,
    /// Does next to nothing: to see what the engine itself takes.
    Nothing,
}

pub fn build(plan: &SubjectPlan) -> Result<Box<dyn Subject>, String> {
    let SubjectPlan::Custom { word } = plan else { return Err("only subjects of one's own here".into()) };
    let manner = match word.as_str() {
        "locked" => Manner::Locked,
        "unlocked" => Manner::Unlocked,
        "panics" => Manner::Panics,
        "aborts" => Manner::Aborts,
        "oversteps" => Manner::Oversteps,
        "starves" => Manner::Starves,
        "sleeps" => Manner::Sleeps,
        "unopened" => Manner::Unopened,
        "litters" => Manner::Litters,
        "litters-unmarked" => Manner::LittersUnmarked,
        "torn" => Manner::Torn,
        "nothing" => Manner::Nothing,
        other => return Err(format!("no subject behaves {other:?}")),
    };
    Ok(Box::new(Odd(manner)))
}

struct Odd(Manner);

impl Subject for Odd {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        if self.0 == Manner::Unopened && seat.process == 1 {
            return Err("out of paper".into());
        }
        Ok(Box::new(OddSession { manner: self.0, seat, performed: 0 }))
    }

    fn traits(&self) -> Traits {
        Traits {
            operations: &Operation::ALL,
            tokens: true,
            counts_generations: false,
            watch: true,
            children: self.0 == Manner::Litters || self.0 == Manner::LittersUnmarked,
            lock_free_reads: true,
            deaths: None,
            model: None,
            roots: &[Root::Seat],
            faults: FaultKind::ALL,
            volatile: &[],
        }
    }

    fn owner(&self, relative: &Path) -> Owner {
        let name = relative.to_string_lossy();
        match name.split_once('.') {
            Some((container, "json")) => Owner::Container(container.to_owned()),
            Some((_, "lock")) => Owner::Root,
            _ => Owner::Nobody,
        }
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        format!("{container}.json").into()
    }
}

struct OddSession {
    manner: Manner,
    seat: Seat,
    performed: u64,
}

impl Session for OddSession {
    fn perform(&mut self, request: &Request) -> Answer {
        self.performed += 1;
        let (manner, tenth) = (self.manner, request.sequence >= 9 && self.seat.process == 1);
        match (manner, request.operation) {
            (Manner::Nothing, _) => return answer(Outcome::Ok, None, 1),
            (_, Operation::List) => return answer(Outcome::Ok, None, 0),
            (Manner::Panics, _) if tenth => panic!("nine is enough"),
            (Manner::Aborts, _) if tenth => std::process::abort(),
            (Manner::Oversteps, _) if tenth => self.seat.watch.enter(u32::MAX),
            (Manner::Starves, _) if self.performed.is_multiple_of(10) => {
                let error = std::io::Error::from(rustix::io::Errno::MFILE);
                return Answer::failed_by(Reason::Io, &error);
            }
            (Manner::Sleeps, Operation::Kill) => loop {
                std::thread::sleep(Duration::from_secs(1000));
            },
            (Manner::Torn, Operation::State) => {
                let message = Some("half a file".to_owned());
                return Answer { message, ..answer(Outcome::Failed, Some(Reason::Corrupt), 0) };
            }
            (Manner::Litters | Manner::LittersUnmarked, Operation::Create) => {
                let mut command = Command::new("sleep");
                command.arg("1000");
                if manner == Manner::Litters {
                    command.env(Marker::VARIABLE, &self.seat.marker);
                }
                #[expect(
                    clippy::zombie_processes,
                    reason = "left behind on purpose: the engine is to find it"
                )]
                let _littered = command.stdin(Stdio::null()).spawn().expect("sleep");
            }
            _ => {}
        }
        let _lock = (manner != Manner::Unlocked).then(|| self.lock(request.container));
        self.seat.watch.enter(request.container);
        let answer = self.count(request);
        self.seat.watch.leave(request.container);
        answer
    }

    fn audit(&mut self, container: u32) -> Answer {
        match fs::read_to_string(self.path(container, "json")) {
            Ok(text) => match text.trim().parse() {
                Ok(count) => Answer { status: Some(Status::Created), ..answer(Outcome::Ok, None, count) },
                Err(_) => answer(Outcome::Failed, Some(Reason::Corrupt), 0),
            },
            Err(_) => answer(Outcome::Ok, None, 0),
        }
    }
}

impl OddSession {
    fn path(&self, container: u32, ending: &str) -> PathBuf {
        self.seat.root.join(format!("{}.{ending}", self.seat.containers[container as usize]))
    }

    fn lock(&self, container: u32) -> File {
        let path = self.path(container, "lock");
        let file = OpenOptions::new().create(true).append(true).open(path).expect("the lock file");
        rustix::fs::flock(&file, FlockOperation::LockExclusive).expect("the lock");
        file
    }

    /// Every operation but a delete adds 1 to the container's number.
    fn count(&self, request: &Request) -> Answer {
        let path = self.path(request.container, "json");
        if request.operation == Operation::ForceDelete {
            _ = fs::remove_file(path);
            return answer(Outcome::Ok, None, 0);
        }
        let count = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0) + 1;
        let new = self.path(request.container, "json-new");
        let written = fs::write(&new, format!("{count}\n")).and_then(|()| fs::rename(&new, &path));
        if self.manner == Manner::Locked {
            written.expect("under the lock nobody takes the file away");
        }
        Answer { status: Some(Status::Created), ..answer(Outcome::Ok, None, count) }
    }
}

fn answer(outcome: Outcome, reason: Option<Reason>, revision: u64) -> Answer {
    Answer {
        outcome,
        reason,
        status: None,
        generation: None,
        revision: (revision > 0).then_some(revision),
        ..Answer::done()
    }
}
