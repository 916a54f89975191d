//! What cannot be reached by operations alone: processes that end, change groups or are strangers at the wrong moment.

use std::os::unix::process::CommandExt as _;

use super::*;

fn recorded(process: ProcessIdentity) -> SandboxRecord {
    let mut record = SandboxRecord::default();
    record.process = Some(process);
    record
}

/// A child that sleeps in a group, and is killed and reaped with the test.
struct Sleeper(Child);

impl Sleeper {
    /// In the group of this number, or in one of its own (0); with a mark, or without.
    fn of(group: i32, mark: Option<ProcessIdentity>) -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000").process_group(group).env_remove(MARK);
        if let Some(leader) = mark {
            command.env(MARK, leader.to_string());
        }
        Self(command.spawn().expect("sleep starts"))
    }

    fn identity(&self) -> ProcessIdentity {
        ProcessIdentity::of(self.0.id()).expect("it lives")
    }

    fn end(&mut self) {
        self.0.kill().expect("a child may be killed");
        self.0.wait().expect("a child is waited for");
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn what_a_leader_left_is_known_by_group_and_mark_together() {
    let mut leader = Sleeper::of(0, None);
    let process = leader.identity();
    let group = process.pid.cast_signed();
    let mut left = Sleeper::of(group, Some(process));
    let mut unmarked = Sleeper::of(group, None);
    let _other_group = Sleeper::of(0, Some(process));
    let mut zombie = Sleeper::of(group, Some(process));
    leader.end();
    zombie.0.kill().unwrap();
    assert!(look_until(PATIENCE, || glance(zombie.0.id()).is_some_and(|glance| glance.is_zombie())));

    let found: Vec<_> = left_of(process).iter().map(|member| member.pid.as_raw()).collect();
    assert_eq!(found, [left.0.id().cast_signed()]);
    assert!(group_lives(process));
    left.end();
    assert!(left_of(process).is_empty());
    assert!(group_lives(process), "one without the mark lives");
    unmarked.end();
    assert!(!group_lives(process), "a zombie does not live");
}

#[test]
fn a_signal_goes_to_the_process_that_was_looked_at() {
    let mut one = Sleeper::of(0, None);
    let mut other = Sleeper::of(0, None);
    let looked_at = Member::of(one.0.id()).expect("it lives");
    // As if the number had become another's in between.
    let member = Member { pid: Pid::from_raw(other.0.id().cast_signed()), ..looked_at };
    if member.pidfd.is_none() {
        eprintln!("SKIPPED: this kernel has no pidfds");
        return;
    }
    member.send(Signal::SIGKILL).unwrap();
    one.0.wait().unwrap();
    assert_eq!(other.0.try_wait().unwrap(), None, "the other one lives");

    member.send(Signal::SIGKILL).expect("who has ended needs no signal");
    let nobody = Member { pid: member.pid, pidfd: Some(std::fs::File::open("/dev/null").unwrap().into()) };
    let error = nobody.send(Signal::SIGKILL).expect_err("a file is no process");
    assert_eq!(error.raw_os_error(), Some(Errno::EBADF as i32));
    assert_eq!(other.0.try_wait().unwrap(), None, "the other one still lives");
}

#[test]
fn groups_and_everybody_have_no_number_that_could_be_signalled() {
    for (pid, is_one) in [(0, false), (1, false), (2, true), (u32::MAX, false)] {
        assert_eq!(pid_of(ProcessIdentity::new(pid, 7)).is_ok(), is_one, "{pid}");
    }
}

#[test]
fn what_cannot_be_told_says_from_where_it_could() {
    let own = ProcessIdentity::own().expect("/proc");
    let here = own.view.expect("it was read here");
    let elsewhere = |view: View| ProcessIdentity { view: Some(view), ..own };
    let pid_namespace = elsewhere(View { pid_namespace: here.pid_namespace + 1, ..here });
    let time_namespace = elsewhere(View { time_namespace: here.time_namespace + 1, ..here });
    let told = |process| cannot_be_told(process).to_string();
    let (pid, time, same) = (told(pid_namespace), told(time_namespace), told(own));
    assert!(pid.contains("belongs to the pid namespace") && pid.contains("nsenter --pid"), "{pid}");
    assert!(time.contains("in the time namespace") && time.contains("nsenter --time"), "{time}");
    assert!(same.contains("cannot be examined"), "{same}");

    let record = recorded(pid_namespace);
    let error = process_of(&record).expect_err("it cannot be told which it is");
    assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::Unsupported, pid));
    assert!(process_of(&recorded(own)).is_ok());
}

#[test]
fn a_signal_on_its_way_counts_as_arrived() {
    let pending = |own: u64, group: u64| {
        heading_in(&format!(
            "Name:\tsleep\nSigQ:\t0/1\nSigPnd:\t{own:016x}\nShdPnd:\t{group:016x}\nSigBlk:\t{:016x}\n",
            u64::MAX
        ))
    };
    let bit = |signal: Signal| 1 << (signal as u32 - 1);
    let (kill, stop) = (bit(Signal::SIGKILL), bit(Signal::SIGSTOP));
    assert_eq!([pending(kill, 0), pending(0, kill), pending(stop, kill)], [Observed::Dead; 3]);
    assert_eq!([pending(stop, 0), pending(0, stop)], [Observed::Halted; 2]);
    let others = !(kill | stop);
    assert_eq!([pending(0, 0), pending(others, others), heading_in("")], [Observed::Going; 3]);
}

#[test]
fn a_stop_on_its_way_has_arrived_once_it_was_looked_at() {
    use nix::sys::ptrace;
    use nix::sys::wait::waitpid;

    let sleeper = Sleeper::of(0, None);
    let process = sleeper.identity();
    let pid = pid_of(process).expect("a number");
    let sandbox = Process::default();
    let id = ContainerId::new("c1").unwrap();
    let probe = || sandbox.probe(&id, &recorded(process));
    assert_eq!(probe(), Observed::Going);
    // A process that a debugger holds gets no signal until it is let go.
    ptrace::seize(pid, ptrace::Options::empty()).expect("a child may be traced");
    ptrace::interrupt(pid).expect("it is traced");
    waitpid(pid, None).expect("it is held");
    assert_eq!(probe(), Observed::Going, "held by a debugger only");
    kill(pid, Signal::SIGSTOP).expect("a child may be stopped");
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| (probe(), process.standing()));
        std::thread::sleep(Duration::from_millis(20));
        assert!(!looking.is_finished(), "it waits for the stop");
        ptrace::detach(pid, None).expect("it is held");
        assert_eq!(looking.join().expect("it looks"), (Observed::Halted, Standing::Lives(Some(b'T'))));
    });
}

#[test]
fn one_that_does_not_stop_by_itself_is_stopped_from_outside() {
    let id = ContainerId::new("c1").unwrap();
    let mut sleeper = Sleeper::of(0, None);
    let process = sleeper.identity();
    let record = recorded(process);
    let sandbox = Process::default();
    sandbox.hold(&id, &record).expect("it stands still");
    assert_eq!(process.standing(), Standing::Lives(Some(b'T')));
    sleeper.end();
    let error = halted(process).expect_err("who has ended does not stand still");
    assert!(error.to_string().contains("has ended"), "{error}");
    assert_eq!(sandbox.kind(), "process");
}

#[test]
fn patience_ends() {
    assert!(!look_until(Duration::from_millis(1), || false));
    let mut looks = 0;
    assert!(look_until(PATIENCE, || {
        looks += 1;
        looks == 3
    }));
}
