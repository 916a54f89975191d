//! What descriptors are open on is remembered from stop to stop. Each way in which that can change must be seen: whatever a
//! program reads, its step says so.

use std::fs;
use std::path::Path;

use flockwork_harness::explore::strategy::Coverage;
use flockwork_harness::explore::strategy::exhaustive::Exhaustive;
use flockwork_harness::process::Zygote;
use flockwork_harness::tracee::{ForkServer, Options};

use crate::Case;
use crate::cases::{counter, ends, in_turn, steps};
use crate::lab::{Build, Lab, Turns, act, actor, has, shell, skip_unless};

pub const ALL: &[Case] = &[
    ("what_a_number_is_open_on_is_seen_to_change", what_a_number_is_open_on_is_seen_to_change),
    ("what_is_renamed_is_shown_by_its_new_name", what_is_renamed_is_shown_by_its_new_name),
    ("how_a_number_is_open_is_seen_to_change", how_a_number_is_open_is_seen_to_change),
    ("a_lock_goes_with_what_is_open_on_its_file", a_lock_goes_with_what_is_open_on_its_file),
];

/// Each file holds its name.
fn setup(folder: &Path) {
    fs::create_dir(folder.join("d")).expect("made");
    for name in ["a", "b", "d/x"] {
        fs::write(folder.join(name), name).expect("written");
    }
}

/// The files that are read, by the labels of the steps.
fn reads(steps: &[String]) -> Vec<String> {
    let read = |step: &String| {
        Some(step.split_once(" read ")?.1.split_ascii_whitespace().next().unwrap_or_default().to_owned())
    };
    steps.iter().filter_map(read).collect()
}

/// The contents that were read, by what the program printed.
fn contents(printed: &[u8]) -> Vec<String> {
    let printed = String::from_utf8_lossy(printed).into_owned();
    let names = ["a", "b", "d/x"];
    let first = printed.lines().filter_map(|line| line.split_ascii_whitespace().next());
    first.filter(|word| names.contains(word)).map(str::to_owned).collect()
}

fn what_a_number_is_open_on_is_seen_to_change(zygote: &Zygote) {
    if !skip_unless(actor(Build::Static).is_some(), "gcc", "what_a_number_is_open_on_is_seen_to_change") {
        return;
    }
    // What the program does, and the files that it reads, in this order.
    let ways = [
        ("open 0 a r read 0 close 0 open 1 b r read 1", "a b"),
        ("open 0 a r open 1 b r read 0 dup2 1 0 read 0", "a b"),
        ("open 0 a r open 1 b r read 0 dup3 1 0 read 0", "a b"),
        ("open 0 a r read 0 range 0 open 1 b r read 1", "a b"),
        ("open 0 a r read 0 exec open 0 b r read 0", "a b"),
        // In the table of another, or by another in a table that is shared.
        ("open 0 a r open 1 b r read 0 fork dup2 1 0 read 0 endfork wait read 0", "a b a"),
        ("open 0 a r open 1 b r read 0 fork read 0 endfork wait dup2 1 0 read 0", "a a b"),
        ("open 0 a r open 1 b r read 0 swapper 1 0 wait read 0", "a b"),
        ("open 0 a r open 1 b r read 0 thread dup2 1 0 endthread join read 0", "a b"),
        ("open 0 a r open 1 b r read 0 thread read 0 endthread join dup2 1 0 read 0", "a a b"),
        // By a call that does not stop: no file is read after it.
        ("open 0 a r read 0 close 0 pipe send recv", "a"),
    ];
    for fork_server in [ForkServer::Off, ForkServer::Auto] {
        for (words, files) in ways {
            let options = Options { fork_server, ..Options::default() };
            let mut lab = Lab::open(zygote, setup, &[act(words)], options).expect("a machine");
            let execution = lab.run(&mut in_turn()).expect("an execution");
            let steps = steps(&execution.outcome);
            let told = reads(&steps).join(" ");
            assert_eq!(told, files, "{words}: {steps:?}");
            assert_eq!(contents(&execution.outcome.commands[0][0].stdout).join(" "), files, "{words}");
        }
    }
}

fn what_is_renamed_is_shown_by_its_new_name(zygote: &Zygote) {
    if !skip_unless(actor(Build::Static).is_some(), "gcc", "what_is_renamed_is_shown_by_its_new_name") {
        return;
    }
    let own = [
        ("open 0 a r read 0 mv a c read 0", "a c"),
        ("open 0 a r open 1 b r read 0 swap a b read 0 read 1", "a b a"),
        ("open 0 d/x r read 0 mv d e read 0", "d/x e/x"),
        ("open 0 d/x r read 0 fork mv d e endfork wait read 0", "d/x e/x"),
        ("open 0 a r read 0 thread mv a c endthread join read 0", "a c"),
    ];
    for (words, files) in own {
        let mut lab = Lab::open(zygote, setup, &[act(words)], Options::default()).expect("a machine");
        let execution = lab.run(&mut in_turn()).expect("an execution");
        let steps = steps(&execution.outcome);
        assert_eq!(reads(&steps).join(" "), files, "{words}: {steps:?}");
    }
    // By another process, while the first stands before its second read: what that is called has been said.
    let others = [("a", "mv a c", "a a c"), ("d/x", "mv d e", "d/x d/x e/x"), ("a", "swap a b", "a a b")];
    for (file, rename, files) in others {
        let commands = [act(&format!("open 0 {file} r read 0 read 0 read 0")), act(rename)];
        let mut lab = Lab::open(zygote, setup, &commands, Options::default()).expect("a machine");
        let execution = lab.run(&mut Turns(vec![0, 0, 1, 0, 0, 1], 0)).expect("an execution");
        let steps = steps(&execution.outcome);
        assert_eq!(reads(&steps).join(" "), files, "{rename}: {steps:?}");
    }
}

/// Whether a lock may be had depends on how the descriptor is open: were that remembered of the descriptor which had the number
/// before, the books would miss the lock.
fn how_a_number_is_open_is_seen_to_change(zygote: &Zygote) {
    if !skip_unless(actor(Build::Static).is_some(), "gcc", "how_a_number_is_open_is_seen_to_change") {
        return;
    }
    let words = "open 0 a r lock 0 x 0 0 close 0 open 0 a w lock 0 x 0 0 stat b";
    let mut lab = Lab::open(zygote, setup, &[act(words), act(words)], Options::default()).expect("a machine");
    let execution = lab.run(&mut in_turn()).expect("an execution");
    let steps = steps(&execution.outcome);
    let locks = steps.iter().filter(|step| step.contains(" fcntl-lock a exclusive")).count();
    assert_eq!(locks, 2, "one each: {steps:?}");
    let explored = lab.explore(&mut Exhaustive::new(), 1_000).expect("few executions");
    assert_eq!(explored.coverage, Coverage::Exhausted);
    for seen in &explored.seen {
        for command in &seen.commands {
            assert!(command[0].contains("lock -9") && command[0].contains("lock 0"), "{seen:?}");
        }
    }
}

/// Which locks go with a descriptor is told by its file, under whatever name and number that is open.
fn a_lock_goes_with_what_is_open_on_its_file(zygote: &Zygote) {
    let test = "a_lock_goes_with_what_is_open_on_its_file";
    if !skip_unless(actor(Build::Static).is_some(), "gcc", test) {
        return;
    }
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("lock"), "").expect("written");
    fs::hard_link(outside.path().join("lock"), outside.path().join("other")).expect("linked");
    let (kept, lost) = (vec!["n: \"2\\n\""], vec!["n: \"1\\n\"", "n: \"2\\n\""]);
    for place in [String::new(), format!("{}/", outside.path().display())] {
        let of = |words: &str| act(&words.replace('@', &place));
        let mut ways = vec![
            (of("open 1 @lock w lock 1 px 0 0 open 0 n w add 0"), &kept),
            // A lock of a process goes when that closes any descriptor on the file.
            (of("open 1 @lock w lock 1 px 0 0 open 2 @other w close 2 open 0 n w add 0"), &lost),
            (of("open 1 @lock w lock 1 px 0 0 open 2 @other w range 2 open 0 n w add 0"), &lost),
            (of("open 1 @lock w lock 1 px 0 0 open 2 @other w open 3 n r dup2 3 2 open 0 n w add 0"), &lost),
            // One of an open file goes with the last of its own.
            (of("open 1 @lock w flock 1 x open 2 @other w close 2 open 0 n w add 0"), &kept),
            (of("open 1 @lock w flock 1 x close 1 open 0 n w add 0"), &lost),
            (of("open 1 @lock w lock 1 ox 0 0 fork endfork wait open 0 n w add 0"), &kept),
        ];
        if has("flock", test) {
            // By the number that output has, which a child has as well.
            let script = format!("exec 1>>{place}other; flock 1; read n < n; echo $((n + 1)) > n");
            ways.push((shell(&script), &kept));
            let script =
                format!("exec 1>>{place}other; flock 1; exec 1>/dev/null; read n < n; echo $((n + 1)) > n");
            ways.push((shell(&script), &lost));
        }
        for (command, expected) in ways {
            let setup = |folder: &Path| {
                counter(folder);
                fs::hard_link(folder.join("lock"), folder.join("other")).expect("linked");
            };
            let both = [command.clone(), command.clone()];
            let mut lab = Lab::open(zygote, setup, &both, Options::default()).expect("a machine");
            let explored = lab.explore(&mut Exhaustive::new(), 5_000).expect("few executions");
            assert_eq!((explored.coverage, explored.diverged), (Coverage::Exhausted, 0), "{command:?}");
            assert!(explored.seen.iter().all(|seen| !seen.stuck), "{command:?}: {explored:?}");
            assert_eq!(ends(&explored), *expected, "{command:?}");
        }
    }
}
