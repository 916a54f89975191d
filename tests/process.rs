//! The process sandbox: what the metadata says is compared with `/proc`.

mod support;

use std::path::Path;
use std::time::{Duration, Instant};

use flockwork::sandbox::Process;
use flockwork::{
    ContainerId, CreateRequest, Error, LockKind, Operation, ProcessIdentity, Signal, Status, Store,
    StoreOptions,
};
use support::marked::{Marked, marked, with_command, with_processes};
use support::{Child, Scratch, id, role, say_ready};

fn options(root: &Path) -> StoreOptions {
    with_processes(Store::options(), root)
}

fn scratch() -> Marked {
    Marked::with(Store::options())
}

/// The state's letter and the group, or `None` where there is no such process.
fn look(pid: u32) -> Option<(char, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.nth(1)?.parse().ok()?))
}

/// Waits for what another process or the kernel is about to do.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The recorded process, read past the library: a look of the library's would set right what is wrong.
fn leader(scratch: &Scratch, id: &ContainerId) -> ProcessIdentity {
    let metadata = flockwork::Metadata::from_json(&std::fs::read(scratch.file(id, "meta.json")).unwrap());
    metadata.unwrap().sandbox.process.unwrap()
}

fn state_of(process: ProcessIdentity) -> Option<char> {
    look(process.pid).map(|(state, _)| state)
}

fn has_become_the_command(process: ProcessIdentity) -> bool {
    std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid))
        .is_ok_and(|line| line.contains("sleep 1000000"))
        && !std::fs::read_to_string(format!("/proc/{}/cmdline", process.pid)).unwrap().contains("STOP")
}

/// The record of the process comes before what is broken, or is found in spite of it.
#[test]
fn the_process_of_corrupt_metadata_ends_with_its_container() {
    let scratch = scratch();
    let id = id("c1");
    for (what, breaks) in [
        (
            "cut off",
            &(|text: &str| text[..text.find("\"spec\"").unwrap()].to_owned()) as &dyn Fn(&str) -> String,
        ),
        ("no number", &|text| text.replace("\"generation\":", "\"generation\":-")),
    ] {
        scratch.create(&id);
        let process = leader(&scratch, &id);
        let path = scratch.file(&id, "meta.json");
        let broken = breaks(&std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, broken).unwrap();
        assert!(matches!(scratch.store.container(&id).state(), Err(Error::Corrupt { .. })), "{what}");
        assert_eq!(scratch.store.container(&id).force_delete().unwrap(), None, "{what}");
        assert!(!process.is_alive(), "{what}: its process outlives it");
    }
}

#[test]
fn the_tree_does_what_the_metadata_says() {
    let scratch = scratch();
    let id = id("c1");
    let container = scratch.store.container(&id);
    scratch.create(&id);
    let process = leader(&scratch, &id);
    assert_eq!(look(process.pid), Some(('T', process.pid)), "held, in a group of its own");
    container.pause().unwrap();
    assert_eq!(container.resume().unwrap().status, Status::Created);
    assert_eq!(state_of(process), Some('T'), "a resume to created does not let it go");
    assert_eq!(marked(scratch.path()), [process.pid], "the command has not begun");

    container.start().unwrap();
    eventually("the command and its child run", || marked(scratch.path()).len() == 2);
    assert!(has_become_the_command(process));
    container.pause().unwrap();
    eventually("the whole tree stands still", || {
        marked(scratch.path()).iter().all(|pid| look(*pid).is_some_and(|(state, _)| state == 'T'))
    });
    container.resume().unwrap();
    assert_ne!(state_of(process), Some('T'));
    assert_eq!(container.kill().unwrap().status, Status::Stopped);
    assert!(marked(scratch.path()).is_empty(), "no process of the tree is left");
    assert_eq!(state_of(process), None, "and no zombie");
    container.delete().unwrap();
    assert!(scratch.snapshot().is_empty());
}

#[test]
fn every_way_to_the_end_leaves_no_process() {
    let scratch = scratch();
    let id = id("c1");
    let container = scratch.store.container(&id);
    let ends: [fn(&flockwork::Container<'_>) -> flockwork::Result<()>; 5] = [
        |container| container.delete().map(|_| ()),
        |container| container.start().and_then(|_| container.force_delete().map(|_| ())),
        |container| container.pause().and_then(|_| container.force_delete().map(|_| ())),
        |container| container.kill().and_then(|_| container.delete().map(|_| ())),
        |container| {
            container.start()?;
            container.pause()?;
            container.kill()?;
            container.delete().map(|_| ())
        },
    ];
    for end in ends {
        scratch.create(&id);
        end(&container).unwrap();
        assert!(marked(scratch.path()).is_empty());
        assert!(scratch.snapshot().is_empty());
    }
}

#[test]
fn a_dead_sandbox_makes_its_container_stopped_and_that_is_saved() {
    let scratch = scratch();
    let id = id("c1");
    for from in [Status::Created, Status::Running, Status::Paused] {
        scratch.create_as(&id, from, (from == Status::Paused).then_some(Status::Running));
        let before = scratch.state(&id).stamp();
        let process = leader(&scratch, &id);
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL)
            .unwrap();
        eventually("it is seen", || scratch.state(&id).status == Status::Stopped);
        let saved = std::fs::read_to_string(scratch.file(&id, "meta.json")).unwrap();
        assert!(saved.contains("\"status\":\"stopped\""), "{saved}");
        let after = scratch.state(&id).stamp();
        assert_eq!((after.generation, after.revision), (before.generation, before.revision + 1));
        assert!(matches!(scratch.store.container(&id).pause(), Err(Error::WrongStatus { .. })));
        assert!(marked(scratch.path()).is_empty(), "the children of the dead leader are ended too");
        scratch.store.container(&id).delete().unwrap();
    }
}

#[test]
fn another_process_with_the_same_number_is_not_taken_for_the_sandbox() {
    let scratch = scratch();
    let id = id("c1");
    scratch.create(&id);
    let process = leader(&scratch, &id);
    // As if the number had been used again: the stranger is the test's own child.
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let path = scratch.file(&id, "meta.json");
    let record = |pid, start_time| format!("\"pid\":{pid},\"start_time\":{start_time}");
    let text = std::fs::read_to_string(&path).unwrap();
    let now = ProcessIdentity::of(stranger.id()).unwrap();
    let recorded = record(process.pid, process.start_time);
    assert!(text.contains(&recorded), "{text}");
    std::fs::write(&path, text.replace(&recorded, &record(now.pid, now.start_time - 1))).unwrap();
    assert_eq!(scratch.state(&id).status, Status::Stopped);
    scratch.store.container(&id).force_delete().unwrap();
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    nix::sys::signal::killpg(nix::unistd::Pid::from_raw(process.pid.cast_signed()), Signal::SIGKILL).unwrap();
}

/// The save fails when the sandbox has only just been started, and leads no process group yet.
#[test]
fn a_create_that_cannot_save_leaves_no_process() {
    let scratch = scratch();
    let id = id("c1");
    let spec = format!("\"{}\"", "x".repeat(flockwork::MAX_METADATA_BYTES as usize));
    for _ in 0..10 {
        let request = CreateRequest {
            spec: flockwork::RawValue::from_string(spec.clone()).unwrap(),
            ..CreateRequest::default()
        };
        let error = scratch.store.create(&id, request).unwrap_err();
        assert!(matches!(error, Error::Unsupported { .. }), "{error}");
        assert!(marked(scratch.path()).is_empty());
        assert!(scratch.snapshot().is_empty());
    }
}

/// The number of an ended sandbox may be that of somebody else's group by now, whose own leader has ended as well.
#[test]
fn the_group_of_a_stranger_with_the_same_number_is_not_touched() {
    let scratch = scratch();
    let id = id("c1");
    scratch.create(&id);
    let process = leader(&scratch, &id);
    // Its leader ends at once; a child stays in its group, and says who it is.
    let mut stranger = std::process::Command::new("setsid");
    let stranger = stranger.args(["sh", "-c", "sleep 60 >/dev/null 2>&1 & echo $! $$"]).output().unwrap();
    let told = String::from_utf8(stranger.stdout).unwrap();
    let [child, group] =
        told.split_whitespace().map(|number| number.parse::<u32>().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{told}")
    };
    eventually("its leader has ended", || look(group).is_none());
    assert!(look(child).is_some_and(|(_, of)| of == group), "a group without a leader");
    let path = scratch.file(&id, "meta.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace(&format!("\"pid\":{}", process.pid), &format!("\"pid\":{group}")))
        .unwrap();
    assert_eq!(scratch.state(&id).status, Status::Stopped);
    scratch.store.container(&id).force_delete().unwrap();
    let lives = look(child).is_some_and(|(state, _)| state != 'Z');
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.cast_signed()), Signal::SIGKILL);
    assert!(lives, "a stranger's process was killed");
}

#[test]
fn signals_are_sent_and_what_they_do_is_seen() {
    let scratch = scratch();
    let id = id("c1");
    let container = scratch.store.container(&id);
    scratch.create_as(&id, Status::Running, None);
    let process = leader(&scratch, &id);
    eventually("the command runs", || has_become_the_command(process));
    assert_eq!(container.signal(Signal::SIGWINCH).unwrap().status, Status::Running);
    for signal in [Signal::SIGSTOP, Signal::SIGCONT] {
        assert!(matches!(container.signal(signal), Err(Error::Sandbox { operation: Operation::Signal, .. })));
    }
    container.signal(Signal::SIGTERM).unwrap();
    assert_eq!(container.wait(None).unwrap().status, Status::Stopped);
    container.delete().unwrap();
    assert!(marked(scratch.path()).is_empty());
}

#[test]
fn what_a_killed_operation_did_and_did_not_save_is_set_right() {
    let scratch = scratch();
    let id = id("c1");
    scratch.create_as(&id, Status::Running, None);
    let process = leader(&scratch, &id);
    eventually("the command runs", || has_become_the_command(process));
    let group = nix::unistd::Pid::from_raw(process.pid.cast_signed());
    let send = |signal| assert_eq!(nix::sys::signal::killpg(group, signal), Ok(()));
    // A pause that was killed between act and save.
    send(Signal::SIGSTOP);
    eventually("it stands still", || state_of(process) == Some('T'));
    assert_eq!(scratch.state(&id).status, Status::Running);
    assert_ne!(state_of(process), Some('T'));
    // A resume that was killed between act and save.
    scratch.store.container(&id).pause().unwrap();
    send(Signal::SIGCONT);
    eventually("it runs", || state_of(process) != Some('T'));
    assert_eq!(scratch.state(&id).status, Status::Paused);
    assert_eq!(state_of(process), Some('T'));
    scratch.store.container(&id).force_delete().unwrap();
    assert!(marked(scratch.path()).is_empty());
}

#[test]
fn an_image_is_restored_by_the_same_command_only() {
    let scratch = scratch();
    let image = scratch.path().join("~image");
    let id = id("c1");
    let container = scratch.store.container(&id);
    scratch.create(&id);
    container.checkpoint(&image).unwrap();
    let other = with_command(Store::options(), scratch.path(), Process::new(["/bin/true"]));
    let other = other.open(scratch.path()).unwrap();
    assert!(matches!(other.container(&id).restore(&image), Err(Error::Sandbox { .. })));
    assert_eq!(scratch.state(&id).stamp().revision, 1, "nothing was changed");
    assert_eq!(container.restore(&image).unwrap().status, Status::Running);
    eventually("the command runs", || marked(scratch.path()).len() == 2);
    container.force_delete().unwrap();
}

/// Not a test by itself: what the children of the other tests do.
#[test]
fn child_process() {
    let Some((role, root, _)) = role() else { return };
    let store = options(&root).open(&root).unwrap();
    let id = id("c1");
    let container = store.container(&id);
    match role.as_str() {
        "create" => {
            store.create(&id, CreateRequest::default()).unwrap();
        }
        "loop" => {
            say_ready();
            loop {
                let _ = store.create(&id, CreateRequest::default());
                let _ = container.start();
                let _ = container.pause();
                let _ = container.resume();
                let _ = container.delete();
                let _ = container.force_delete();
            }
        }
        _ => panic!("unknown role {role}"),
    }
}

#[test]
fn the_sandbox_outlives_the_process_that_created_it() {
    let scratch = scratch();
    Child::spawn("create", scratch.path(), LockKind::Fs2).join();
    let id = id("c1");
    let process = leader(&scratch, &id);
    assert_eq!(state_of(process), Some('T'), "held, though its creator has ended");
    assert_eq!(scratch.state(&id).status, Status::Created);
    scratch.store.container(&id).start().unwrap();
    eventually("the command runs", || has_become_the_command(process));
    scratch.store.container(&id).force_delete().unwrap();
    assert!(marked(scratch.path()).is_empty());
}

#[test]
fn a_kill_at_any_time_leaves_a_sandbox_that_the_next_process_masters() {
    let scratch = scratch();
    let id = id("c1");
    let mut random = support::Random::new();
    for round in 0..25 {
        let mut child = Child::spawn("loop", scratch.path(), LockKind::Fs2);
        child.wait_until_ready();
        std::thread::sleep(Duration::from_micros(random.below(20_000)));
        child.kill();
        match scratch.store.container(&id).state() {
            Ok(metadata) => check_agreement(&scratch, &metadata, round),
            Err(Error::NotFound { .. }) => (),
            Err(error) => panic!("round {round}: {error}"),
        }
        scratch.store.container(&id).force_delete().unwrap();
        assert!(scratch.store.list().unwrap().ids.is_empty());
        assert!(scratch.snapshot().is_empty(), "round {round}: {:?}", scratch.snapshot().keys());
        // A shell whose creator was killed before the save ends by itself.
        eventually("no process is left", || marked(scratch.path()).is_empty());
    }
}

fn check_agreement(scratch: &Scratch, metadata: &flockwork::Metadata, round: usize) {
    let process = metadata.sandbox.process.unwrap();
    let state = state_of(process).filter(|state| *state != 'Z');
    let agrees = match metadata.status {
        Status::Created | Status::Paused => state == Some('T'),
        Status::Running => state.is_some_and(|state| state != 'T'),
        Status::Stopped => state.is_none(),
    };
    assert!(agrees, "round {round}: {:?} and {state:?} in {}", metadata.status, scratch.path().display());
}
