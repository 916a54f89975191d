//! Bad input, one by one: each is told by name, with the way out, and leaves nothing behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use super::support::{ends_with, stderr};
use super::workshop::{SOUND, Workshop, contents, said};

/// Runs it, expects a mistake, and checks what is told of it.
#[track_caller]
fn refuses(workshop: &Workshop, words: &[&str], told: &str) {
    let before = contents(&workshop.state());
    let output = ends_with(&mut workshop.race(words), 2);
    assert!(said(&output).contains(told), "expected {told:?} in:\n{}", said(&output));
    assert_eq!(contents(&workshop.state()), before);
    assert_eq!(workshop.place.remains(), Vec::<std::path::PathBuf>::new());
}

const TWO: [&str; 3] = ["--", "./tool", "./tool"];

#[test]
fn commands_that_cannot_be_run() {
    let workshop = Workshop::new(SOUND);
    workshop.place.file("plain", "#!/bin/sh\n");
    workshop.program("orphan", "#!/no/such/shell\n");
    workshop.program("nothing", "echo hi\n");
    for (command, told) in [
        ("./absent", "./absent: no such program"),
        ("absent", "no such program on PATH"),
        ("tool", "did you mean ./tool?"),
        ("./plain", "it is not executable; chmod +x"),
        ("./orphan", "asks for /no/such/shell, which is not there"),
        ("./nothing", "begin it with a line such as #!/bin/sh"),
        ("./state", "it is a folder"),
        ("./tool 'a", "a quote is never closed"),
        ("./tool {stat}", "{stat} is not a placeholder; the nearest is {state}"),
        ("", "a command is empty"),
    ] {
        refuses(&workshop, &["--state", "state", "--", "./tool", command], told);
    }
}

#[test]
fn too_few_or_too_many() {
    let workshop = Workshop::new(SOUND);
    refuses(&workshop, &["--state", "state"], "takes 2 to 8 processes, and this has 0");
    refuses(&workshop, &["--state", "state", "--", "./tool"], "and this has 1");
    refuses(&workshop, &[&["--state", "state", "--"][..], &["./tool"; 9]].concat(), "and this has 9");
    refuses(&workshop, &TWO, "name the folder that the commands share with --state DIR");
    let long = vec!["./tool"; 10];
    let words = [&["--state", "state", "--process"][..], &long, &["--process"], &long].concat();
    refuses(&workshop, &words, "in 184756 orders");
}

#[test]
fn state_folders_that_cannot_be_copied() {
    let workshop = Workshop::new(SOUND);
    refuses(&workshop, &[&["--state", "absent"][..], &TWO].concat(), "absent: no such folder; make it");
    refuses(&workshop, &[&["--state", "tool"][..], &TWO].concat(), "expected a folder, found a file");
    let huge = workshop.path().join("huge");
    fs::create_dir(&huge).unwrap();
    fs::File::create(huge.join("disk")).unwrap().set_len(2_000_000_000).unwrap();
    refuses(&workshop, &[&["--state", "huge"][..], &TWO].concat(), "it holds more than 1000 MB");
    let odd = workshop.path().join("odd");
    fs::create_dir(&odd).unwrap();
    let socket = UnixListener::bind(odd.join("socket")).unwrap();
    refuses(&workshop, &[&["--state", "odd"][..], &TWO].concat(), "socket: it is a socket");
    drop(socket);
    fs::remove_file(odd.join("socket")).unwrap();
    nix::unistd::mkfifo(&odd.join("pipe"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    refuses(&workshop, &[&["--state", "odd"][..], &TWO].concat(), "pipe: it is a FIFO");
    refuses(&workshop, &[&["--state", ".", "--state", "state"][..], &TWO].concat(), "lies within");
}

#[test]
fn flags_that_make_no_sense() {
    let workshop = Workshop::new(SOUND);
    for (flags, told) in [
        (&["--mask", "("][..], "--mask \"(\": it is not a regular expression"),
        (&["--busy", "stderr:["], "--busy: \"[\" is not a regular expression"),
        (&["--busy", "75"], "expected exit:CODE"),
        (&["--ignore", "/etc"], "expected a path within a state folder"),
        (&["--compare", "file"], "the nearest is \"files\""),
        (&["--compare", "observe"], "give --observe CMD"),
        (&["--faults", "EIO"], "expected kill, kill-one or power-loss, found \"EIO\""),
        (&["--strict"], "expected --faults kill"),
        (&["--perturb", "fast"], "expected times such as 0..2ms"),
        (&["--perturb", "0..2ms", "--free"], "cannot be used with"),
        (&["--budget", "soon"], "--budget soon: expected"),
        (&["--time-limit", "0s"], "--time-limit 0s: expected"),
        (&["--env", "NAME"], "--env NAME: expected NAME=VALUE"),
        (&["--env", "A={stat}"], "the nearest is {state}"),
        (&["--cwd", "absent"], "--cwd absent: no such folder"),
        (&["--save", "../x"], "expected the name of a scenario"),
        (&["--setup", "echo no >&2; exit 3"], "exit code 3; it said: no"),
        (&["--observe", "absent"], "no such program on PATH"),
    ] {
        refuses(&workshop, &[&["--state", "state"][..], flags, &TWO].concat(), told);
    }
}

#[test]
fn commands_that_never_end_write_without_end_or_ask() {
    let workshop = Workshop::new(SOUND);
    let race = |flags: &[&str], command: &str, code: i32| {
        let words =
            [&["--state", "state", "--free", "--executions", "2"], flags, &["--", command, command]].concat();
        said(&ends_with(&mut workshop.race(&words), code))
    };
    let text = race(&["--time-limit", "300ms"], "sleep 100", 102);
    assert!(text.contains("did not end within 300.0ms, although nothing else ran"), "{text}");
    let text = race(&[], "yes", 102);
    assert!(text.contains("it wrote more than 64 MB to stdout and was stopped"), "{text}");
    // Nothing is there to be read, and no terminal: both end at once.
    for command in ["cat", "cat /dev/tty"] {
        let words = ["--state", "state", "--free", "--executions", "2", "--", command, command];
        let text = said(&workshop.race(&words).output().unwrap());
        assert!(text.contains("2 executions that overlap") && !text.contains("violation"), "{text}");
    }
}

#[test]
fn what_stays_in_the_background_is_told_and_ended() {
    let workshop = Workshop::new("#!/bin/sh\nsetsid sleep 1000 >/dev/null 2>&1 &\n");
    let words = [&["--state", "state", "--free", "--executions", "2"][..], &TWO].concat();
    let text = said(&workshop.race(&words).output().unwrap());
    assert!(text.contains("left running in the background by a command, and killed: sleep"), "{text}");
    let state = workshop.path().display().to_string();
    let is_ours = |pid: u32| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|folder| folder.display().to_string() == state)
    };
    let left: Vec<u32> =
        flockwork_harness::process::procfs::pids().into_iter().filter(|pid| is_ours(*pid)).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn files_of_others_and_closed_ones_are_told() {
    let workshop = Workshop::new(SOUND);
    let path = workshop.state().join("closed");
    fs::write(&path, "x").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let words = [&["--state", "state", "--free", "--executions", "1"][..], &TWO].concat();
    let is_root = nix::unistd::geteuid().is_root();
    let output = workshop.race(&words).output().unwrap();
    if is_root {
        assert!([Some(0), Some(102)].contains(&output.status.code()), "{}", stderr(&output));
    } else {
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(said(&output).contains("it cannot be read, so it cannot be copied"), "{}", said(&output));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
}

#[test]
fn a_device_and_a_folder_that_cannot_be_written() {
    let workshop = Workshop::new(SOUND);
    let odd = workshop.path().join("odd");
    fs::create_dir(&odd).unwrap();
    let device = nix::sys::stat::makedev(1, 3);
    let mode = nix::sys::stat::Mode::S_IRUSR;
    match nix::sys::stat::mknod(&odd.join("null"), nix::sys::stat::SFlag::S_IFCHR, mode, device) {
        Ok(()) => {
            refuses(&workshop, &[&["--state", "odd"][..], &TWO].concat(), "null: it is a character device");
        }
        Err(_) => super::support::skip("a_device_and_a_folder", "only root makes devices"),
    }
    // What cannot be written is copied as it is: commands fail in the copy as they would in the folder.
    let tool = "#!/bin/sh\nexec 9<state\nflock 9\nif echo x >state/new; then echo wrote; else echo could not; fi 2>/dev/null\n";
    workshop.program("tool", tool);
    fs::set_permissions(workshop.state(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = contents(&workshop.state());
    let report = workshop.json(&["--free", "--executions", "12", "--seed", "1"], &["./tool", "./tool"], 0);
    assert_eq!(report["scenarios"][0]["executions"], 12, "{report:#}");
    assert_eq!(contents(&workshop.state()), before);
    assert_eq!(fs::metadata(workshop.state()).unwrap().permissions().mode() & 0o777, 0o555);
    fs::set_permissions(workshop.state(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn hard_links_stay_links_in_the_copy() {
    let workshop =
        Workshop::new("#!/bin/sh\nexec 9>>state/lock\nflock 9\necho x >>state/one\nwc -l <state/two\n");
    workshop.place.file("state/one", "");
    fs::hard_link(workshop.state().join("one"), workshop.state().join("two")).unwrap();
    let before = contents(&workshop.state());
    let report = workshop.json(&["--free", "--executions", "12", "--seed", "1"], &["./tool", "./tool"], 0);
    assert_eq!(report["scenarios"][0]["executions"], 12, "{report:#}");
    assert_eq!(contents(&workshop.state()), before);
}

#[test]
fn what_commands_close_to_their_owner_is_put_back_all_the_same() {
    let workshop = Workshop::new(SOUND);
    let close = "sh -c 'mkdir -p {state}/closed/within && echo x >{state}/closed/n && echo x >{state}/n && \
                 chmod 000 {state}/n && chmod 500 {state}/closed/within && chmod 400 {state}/closed'";
    let words = ["--state", "state", "--free", "--executions", "12", "--seed", "1", "--", close, "true"];
    let before = contents(&workshop.state());
    let mut race = workshop.race(&words);
    if nix::unistd::geteuid().is_root() {
        // Root may do all; without its privileges it may do what its files' modes say.
        let mut bare = std::process::Command::new("setpriv");
        bare.arg("--bounding-set=-all").arg(race.get_program()).args(race.get_args());
        bare.current_dir(workshop.path())
            .envs(race.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if std::process::Command::new("setpriv").arg("--version").output().is_err() {
            return super::support::skip("what_commands_close", "setpriv (util-linux) is not installed");
        }
        race = bare;
    }
    let output = ends_with(&mut race, 0);
    assert!(said(&output).contains("12 executions that overlap"), "{}", said(&output));
    assert_eq!(contents(&workshop.state()), before);
    assert_eq!(workshop.place.remains(), Vec::<std::path::PathBuf>::new());
}
