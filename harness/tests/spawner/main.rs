//! The spawner's tests: real commands, real mounts. Without libtest, whose threads would forbid the zygote's fork.

#[path = "../support/serial.rs"]
mod serial;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use flockwork_harness::process::procfs::{self, Stat};
use flockwork_harness::process::spawner::{
    Bind, Ended, Settings, Spawner, SpawnerError, Start, Status, Then, Unready,
};
use flockwork_harness::process::{Marker, Zygote};
use nix::sys::signal::Signal;
use tempfile::TempDir;

use serial::Tally;

type Case = (&'static str, fn(&Zygote));

const ALL: &[Case] = &[
    ("commands_end_as_they_end", commands_end_as_they_end),
    ("what_cannot_be_started_is_told", what_cannot_be_started_is_told),
    ("copies_lie_in_their_places_for_commands_alone", copies_lie_in_their_places_for_commands_alone),
    ("strays_are_told_and_ended", strays_are_told_and_ended),
    ("one_command_is_run_and_all_settles", one_command_is_run_and_all_settles),
    ("a_group_is_killed_as_a_whole", a_group_is_killed_as_a_whole),
    ("nothing_outlives_the_hold_on_a_spawner", nothing_outlives_the_hold_on_a_spawner),
    ("spawners_that_have_ended_are_reaped", spawners_that_have_ended_are_reaped),
    ("a_place_that_is_not_there_is_told", a_place_that_is_not_there_is_told),
    ("commands_have_no_terminal_and_nothing_to_read", commands_have_no_terminal_and_nothing_to_read),
];

fn main() -> ExitCode {
    let zygote = Zygote::fork().expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in ALL {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let mut tally = Tally::default();
    for (name, case) in ALL {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)) {
            tally.run(name, || case(&zygote));
        }
    }
    tally.end()
}

struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn shell(&self, slot: u32, line: &str) -> Start {
        Start {
            slot,
            program: "/bin/sh".into(),
            words: vec!["sh".into(), "-c".into(), line.into()],
            environment: vec![("SLOT".into(), slot.to_string())],
            folder: self.path().to_owned(),
            stdin: None,
            stdout: self.path().join(format!("out{slot}")),
            stderr: self.path().join(format!("err{slot}")),
        }
    }

    fn out(&self, slot: u32) -> String {
        fs::read_to_string(self.path().join(format!("out{slot}"))).expect("its output")
    }
}

fn settings() -> Settings {
    Settings { marker: Marker::next().to_string(), ..Settings::default() }
}

fn next(spawner: &mut Spawner) -> Ended {
    spawner.ended(Duration::from_secs(120)).expect("the spawner").expect("an end")
}

fn is_alive(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.is_dead())
}

fn commands_end_as_they_end(zygote: &Zygote) {
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    let lines = ["echo $SLOT; echo no >&2; exit 3", "kill -SEGV $$", "pwd; echo $FLOCKWORK_RUN"];
    let starts = lines.iter().zip(0..).map(|(line, slot)| place.shell(slot, line)).collect();
    let started = spawner.start(starts).expect("the spawner");
    assert!(started.iter().all(Result::is_ok), "{started:?}");
    let mut ends: Vec<_> = (0..3).map(|_| next(&mut spawner)).collect();
    ends.sort_by_key(|ended| ended.slot);
    let statuses: Vec<_> = ends.iter().map(|ended| ended.status).collect();
    assert_eq!(statuses, [Status::Exited(3), Status::Signaled(Signal::SIGSEGV as i32), Status::Exited(0)]);
    assert!(ends.iter().all(|ended| ended.processor_ns > 0 && ended.memory_bytes_max > 0), "{ends:?}");
    assert_eq!(place.out(0), "0\n");
    assert_eq!(fs::read_to_string(place.path().join("err0")).expect("its errors"), "no\n");
    let expected = place.path().canonicalize().expect("it is there");
    assert!(place.out(2).starts_with(&format!("{}\nflockwork2-", expected.display())), "{}", place.out(2));
    assert!(spawner.ended(Duration::ZERO).expect("the spawner").is_none());
}

fn what_cannot_be_started_is_told(zygote: &Zygote) {
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    fs::write(place.path().join("plain"), "no program").expect("a file");
    let absent = Start { program: place.path().join("absent"), ..place.shell(0, "") };
    let plain = Start { program: place.path().join("plain"), ..place.shell(1, "") };
    let started = spawner.start(vec![absent, plain, place.shell(2, "exit 0")]).expect("the spawner");
    let errors: Vec<_> =
        started.iter().map(|started| started.as_ref().err().and_then(|why| why.errno)).collect();
    assert_eq!(errors, [Some(2), Some(13), None], "{started:?}");
    assert_eq!(next(&mut spawner).slot, 2);
}

fn copies_lie_in_their_places_for_commands_alone(zygote: &Zygote) {
    let place = Place::new();
    let (copy, user) = (place.path().join("copy"), place.path().join("user"));
    for (folder, text) in [(&copy, "copy\n"), (&user, "user\n")] {
        fs::create_dir(folder).expect("a folder");
        fs::write(folder.join("file"), text).expect("a file");
    }
    let binds = vec![Bind { copy: copy.clone(), place: user.clone() }];
    let opened = Spawner::open(zygote, Settings { binds, ..settings() });
    let mut spawner = match opened {
        Err(SpawnerError::Unready(Unready::Namespace(why))) => {
            return skip("copies_lie_in_their_places_for_commands_alone", &why);
        }
        opened => opened.expect("a spawner"),
    };
    let start = Start { folder: user.clone(), ..place.shell(0, "cat file; echo changed > file; mkdir new") };
    spawner.start(vec![start]).expect("the spawner")[0].as_ref().expect("it starts");
    assert_eq!(next(&mut spawner).status, Status::Exited(0));
    assert_eq!(place.out(0), "copy\n");
    assert_eq!(fs::read_to_string(copy.join("file")).expect("a file"), "changed\n");
    assert_eq!(fs::read_to_string(user.join("file")).expect("a file"), "user\n");
    assert!(copy.join("new").is_dir() && !user.join("new").exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
    assert!(!mounts.contains(place.path().to_str().expect("UTF-8")), "nothing is mounted here");
}

fn strays_are_told_and_ended(zygote: &Zygote) {
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    let line = "setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; true";
    spawner.start(vec![place.shell(0, line)]).expect("the spawner")[0].as_ref().expect("it starts");
    assert_eq!(next(&mut spawner).status, Status::Exited(0));
    let left = spawner.settle(Duration::from_millis(50), Then::Leave).expect("the spawner");
    assert!(left.len() >= 3 && left.iter().all(|stray| is_alive(stray.pid)), "{left:?}");
    let killed = spawner.settle(Duration::ZERO, Then::Kill).expect("the spawner");
    assert!(killed.iter().any(|stray| stray.name == "sleep"), "{killed:?}");
    assert!(killed.iter().chain(&left).all(|stray| !is_alive(stray.pid)), "{killed:?}");
    // What ends by itself is no stray.
    spawner.start(vec![place.shell(1, "sleep 0.05 &")]).expect("the spawner")[0].as_ref().expect("it starts");
    next(&mut spawner);
    assert_eq!(spawner.settle(Duration::from_secs(120), Then::Leave).expect("the spawner"), []);
}

fn one_command_is_run_and_all_settles(zygote: &Zygote) {
    const LONG: Duration = Duration::from_secs(120);
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    let run = |spawner: &mut Spawner, slot, line: &str, grace, then| {
        spawner.run(place.shell(slot, line), grace, then).expect("the spawner");
        spawner.ran(slot, LONG, grace).expect("the spawner").expect("it ends").expect("it starts")
    };
    let (ended, left) = run(&mut spawner, 0, "exit 3", LONG, Then::Kill);
    assert_eq!((ended.slot, ended.status, left), (0, Status::Exited(3), Vec::new()));
    // What ends by itself is no stray.
    let (_, left) = run(&mut spawner, 1, "sleep 0.05 &", LONG, Then::Leave);
    assert_eq!(left, []);
    let (_, left) = run(&mut spawner, 2, "setsid sleep 1000 & true", Duration::ZERO, Then::Leave);
    assert!(left.iter().any(|stray| is_alive(stray.pid)), "{left:?}");
    let (_, killed) = run(&mut spawner, 3, "true", Duration::ZERO, Then::Kill);
    assert!(!killed.is_empty() && killed.iter().chain(&left).all(|stray| !is_alive(stray.pid)), "{killed:?}");
    let lost = Start { program: "/nowhere".into(), ..place.shell(4, "true") };
    spawner.run(lost, LONG, Then::Kill).expect("the spawner");
    let told = spawner.ran(4, LONG, LONG).expect("the spawner").expect("it is told");
    assert_eq!(told.expect_err("it does not start").errno, Some(2));
    // It has a pid for as long as it runs; its end is told all the same, whenever it is asked about.
    spawner.run(place.shell(5, "sleep 1000"), LONG, Then::Kill).expect("the spawner");
    let pid = until(|| spawner.pid_of(5).expect("the spawner"));
    assert!(is_alive(pid));
    spawner.signal(5, Signal::SIGKILL).expect("the spawner");
    until(|| spawner.pid_of(5).expect("the spawner").is_none().then_some(()));
    let (ended, _) = spawner.ran(5, LONG, LONG).expect("the spawner").expect("it ends").expect("it started");
    assert_eq!(ended.status, Status::Signaled(9));
}

fn a_group_is_killed_as_a_whole(zygote: &Zygote) {
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    let pid = spawner.start(vec![place.shell(7, "sleep 1000; true")]).expect("the spawner")[0]
        .as_ref()
        .expect("it starts")
        .pid;
    let child = until(|| procfs::children(pid).first().copied());
    spawner.signal(7, Signal::SIGKILL).expect("the spawner");
    let ended = next(&mut spawner);
    assert_eq!((ended.slot, ended.status), (7, Status::Signaled(9)));
    until(|| (!is_alive(child)).then_some(()));
}

fn nothing_outlives_the_hold_on_a_spawner(zygote: &Zygote) {
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    let line = "setsid sleep 1000 & echo $!; sleep 1000";
    let pid =
        spawner.start(vec![place.shell(0, line)]).expect("the spawner")[0].as_ref().expect("it starts").pid;
    let stray: u32 = until(|| place.out(0).trim().parse().ok());
    assert!(is_alive(pid) && is_alive(stray));
    let own = spawner.pid();
    drop(spawner);
    for pid in [pid, stray, own] {
        until(|| (!is_alive(pid)).then_some(()));
    }
}

fn spawners_that_have_ended_are_reaped(zygote: &Zygote) {
    let dead = || {
        let children = procfs::children(zygote.pid());
        children.into_iter().filter(|&child| Stat::of(child).is_some_and(|stat| stat.is_dead())).count()
    };
    for _ in 0..5 {
        drop(Spawner::open(zygote, settings()).expect("a spawner"));
    }
    until(|| (procfs::children(zygote.pid()).len() == dead()).then_some(()));
    let last = Spawner::open(zygote, settings()).expect("a spawner");
    assert_eq!(dead(), 0, "who asks for another has those before it reaped");
    drop(last);
}

fn a_place_that_is_not_there_is_told(zygote: &Zygote) {
    let place = Place::new();
    let binds = vec![Bind { copy: place.path().to_owned(), place: place.path().join("absent") }];
    let error = Spawner::open(zygote, Settings { binds, ..settings() }).expect_err("no such place");
    assert!(matches!(error, SpawnerError::Unready(Unready::Namespace(_))), "{error}");
}

fn commands_have_no_terminal_and_nothing_to_read(zygote: &Zygote) {
    let place = Place::new();
    let mut spawner = Spawner::open(zygote, settings()).expect("a spawner");
    let line = "cat; if true < /dev/tty; then echo terminal; fi; true";
    spawner.start(vec![place.shell(0, line)]).expect("the spawner")[0].as_ref().expect("it starts");
    assert_eq!(next(&mut spawner).status, Status::Exited(0));
    assert_eq!(place.out(0), "");
}

/// Waits for something that must come about.
fn until<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Says that a test was not run, and why. Where everything is required, that is a failure.
fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "{test} cannot be run: {why}");
    println!("skipped {test}: {why}");
}
