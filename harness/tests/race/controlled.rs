//! Under control: what is broken is found every time, told as a table, and followed again; what is sound is clean as a whole.

use std::fs;

use super::support::{ends_with, json, skip, stderr, stdout};
use super::workshop::{SOUND, Workshop};

/// A counter that loses counts: whoever reads meanwhile writes the same.
const LOSES: &str =
    "#!/bin/sh\nread -r n <state/count\necho $((n + 1)) >state/count.$$\nmv state/count.$$ state/count\n";

/// The report, unless this machine lets nothing be controlled.
#[track_caller]
fn controlled(
    test: &str,
    workshop: &Workshop,
    flags: &[&str],
    commands: &[&str],
) -> Option<serde_json::Value> {
    let words = [&["--state", "state", "--format", "json"], flags, &["--"], commands].concat();
    let report = json(&workshop.race(&words).output().unwrap());
    let scenario = &report["scenarios"][0];
    if let Some(why) = scenario["uncontrolled"].as_str() {
        assert!(why.contains("doctor"), "these commands can be controlled: {why}");
        skip(test, why);
        return None;
    }
    assert_eq!(scenario["controlled"], true, "{report}");
    Some(report)
}

#[test]
fn a_lost_count_is_found_at_once_and_followed_again() {
    let workshop = Workshop::new(LOSES);
    let name = "a_lost_count_is_found_at_once_and_followed_again";
    let Some(report) = controlled(name, &workshop, &[], &["./tool", "./tool"]) else { return };
    assert_eq!(report["exit_code"], 100);
    let violation = &report["scenarios"][0]["violations"][0];
    assert_eq!(violation["class"], "not-serializable");
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains("count holds \"1\" rather than \"2\""), "{message}");
    assert_eq!(
        (&violation["control"]["preemptions"], &violation["control"]["minimal"]),
        (&1.into(), &true.into())
    );
    assert_eq!(violation["explained"], "reproduced in 3 of 3 replays");
    // From anywhere, though the state has changed meanwhile.
    fs::write(workshop.state().join("count"), "41\n").unwrap();
    let finding = workshop.path().join(violation["finding"].as_str().unwrap());
    let replay = ["replay", finding.to_str().unwrap(), "--times", "3", "--root", "root", "--format", "json"];
    let again = json(&ends_with(&mut workshop.flockwork(&replay), 0));
    assert_eq!((&again["verdict"], &again["reproduced"]), (&"reproduced".into(), &3.into()));
    let text = stdout(&ends_with(&mut workshop.flockwork(&replay[..2]), 0));
    for told in ["p1: ./tool", "What happened: ", "what p", "reproduced: not-serializable"] {
        assert!(text.contains(told), "{told} in {text}");
    }
    assert_eq!(fs::read_to_string(workshop.state().join("count")).unwrap(), "41\n");
    let table = fs::read_to_string(finding.join("table.txt")).unwrap();
    assert!(table.contains("p2: ./tool") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn tasks_of_one_command_are_told_to_have_one_order() {
    // Both children make a file, in either order; only orders between the commands are explored.
    let workshop = Workshop::new("#!/bin/sh\nfor name in a b; do (: >state/$name.$1) & done\nwait\n");
    workshop.program("single", "#!/bin/sh\n: >state/c\n");
    let name = "tasks_of_one_command_are_told_to_have_one_order";
    let commands = ["./single", "./tool 2", "./tool 3"];
    let Some(report) = controlled(name, &workshop, &[], &commands) else { return };
    let scenario = &report["scenarios"][0];
    assert_eq!(
        scenario["threads"],
        serde_json::json!({ "order": "fixed", "concerned": ["p2", "p3"] }),
        "{report}"
    );
    let words = [&["--state", "state", "--"], &commands[..]].concat();
    let told = super::workshop::said(&workshop.race(&words).output().unwrap());
    assert!(told.contains("in one fixed order; their other orders were not explored: p2, p3"), "{told}");
}

#[test]
fn commands_find_their_signals_as_programs_do() {
    // The harness ignores this signal for itself, and blocks that of its children's ends.
    const XFSZ: u64 = 1 << 24;
    let tool = "#!/bin/sh\ngrep -E '^Sig(Blk|Ign):' /proc/self/status >>signals\n: >state/x\n";
    for mode in [&["--free", "--executions", "2"][..], &["--perturb", "0..1us", "--executions", "2"], &[]] {
        let workshop = Workshop::new(tool);
        let words = [&["--state", "state", "--setup", "./tool"], mode, &["--", "./tool", "./tool"]].concat();
        // Whether they met is a matter of luck, and what they write outside is not compared.
        let output = workshop.race(&words).output().unwrap();
        let told = fs::read_to_string(workshop.path().join("signals")).unwrap_or_default();
        assert!(told.lines().count() > 2, "{mode:?}: {}", super::workshop::said(&output));
        for line in told.lines() {
            let set = u64::from_str_radix(line[7..].trim(), 16).unwrap();
            let is_as_found = if line.starts_with("SigBlk") { set == 0 } else { set & XFSZ == 0 };
            assert!(is_as_found, "{mode:?}: {told}");
        }
    }
}

#[test]
fn a_schedule_that_no_longer_fits_diverges() {
    let workshop = Workshop::new(LOSES);
    let name = "a_schedule_that_no_longer_fits_diverges";
    let Some(report) = controlled(name, &workshop, &[], &["./tool", "./tool"]) else { return };
    let finding = report["scenarios"][0]["violations"][0]["finding"].as_str().unwrap().to_owned();
    workshop.program("tool", SOUND);
    let output = ends_with(&mut workshop.flockwork(&["replay", &finding]), 104);
    assert!(stdout(&output).contains("diverged at line"), "{}", stdout(&output));
}

#[test]
fn a_sound_counter_is_clean_as_a_whole() {
    let workshop = Workshop::new(SOUND);
    let name = "a_sound_counter_is_clean_as_a_whole";
    let Some(report) = controlled(name, &workshop, &[], &["./tool", "./tool"]) else { return };
    assert_eq!(report["exit_code"], 0, "{report}");
    let scenario = &report["scenarios"][0];
    assert!(["bounded", "exhausted"].contains(&scenario["coverage"].as_str().unwrap()), "{scenario}");
    // Whoever waits for a child does nothing beside it: there is no other order of a command's own tasks.
    assert_eq!(scenario["threads"], serde_json::json!({ "order": "fixed", "concerned": [] }));
    assert_eq!((&scenario["diverged"], &scenario["sequential_orders"]), (&0.into(), &2.into()));
    let text = stdout(&ends_with(&mut workshop.race(&["--state", "state", "--", "./tool", "./tool"]), 0));
    assert!(text.contains("each gave what one of the 2 sequential orders gives"), "{text}");
}

#[test]
fn only_those_processes_are_told_that_it_takes() {
    let workshop = Workshop::new(LOSES);
    workshop.program("look", "#!/bin/sh\nread -r n <state/count\n");
    let name = "only_those_processes_are_told_that_it_takes";
    let commands = ["./look", "./tool", "./tool"];
    let Some(report) = controlled(name, &workshop, &[], &commands) else { return };
    let violation = &report["scenarios"][0]["violations"][0];
    assert_eq!(violation["control"]["processes"], 2, "{violation}");
    let finding = workshop.path().join(violation["finding"].as_str().unwrap());
    let kept = super::support::json_file(&finding.join("finding.json"));
    assert_eq!(kept["race"]["processes"], serde_json::json!([["./tool"], ["./tool"]]));
    ends_with(&mut workshop.flockwork(&["replay", finding.to_str().unwrap()]), 0);
}

#[test]
fn commands_that_share_nothing_prove_nothing() {
    let workshop = Workshop::new("#!/bin/sh\necho $1 >state/$1\n");
    fs::create_dir(workshop.path().join("other")).unwrap();
    let name = "commands_that_share_nothing_prove_nothing";
    let words = ["./tool a", "sh -c true"];
    let Some(report) = controlled(name, &workshop, &[], &words) else { return };
    assert_eq!(report["exit_code"], 102);
    let reason = report["scenarios"][0]["reasons"][0].as_str().unwrap();
    assert!(reason.contains("never met"), "{reason}");
}

#[test]
fn a_lock_that_a_kill_leaves_is_found_and_one_that_goes_is_not() {
    let by_folder = "#!/bin/sh\nmkdir state/lock 2>/dev/null || { echo locked; exit 4; }\nread -r n <state/count\n\
                     echo $((n + 1)) >state/count.new\nmv state/count.new state/count\nrmdir state/lock\n";
    let by_flock = "#!/bin/sh\nexec 9>>state/lock\nflock 9\nread -r n <state/count\necho $((n + 1)) >state/count.new\n\
                    mv state/count.new state/count\n";
    let name = "a_lock_that_a_kill_leaves_is_found_and_one_that_goes_is_not";
    let workshop = Workshop::new(by_folder);
    let flags = ["--faults", "kill", "--then", "./tool", "--busy", "exit:4"];
    let Some(report) = controlled(name, &workshop, &flags, &["./tool", "./tool"]) else { return };
    let violation = &report["scenarios"][0]["violations"][0];
    let message = violation["message"].as_str().unwrap_or_else(|| panic!("{report}"));
    assert!(message.contains("was killed") && message.contains("locked"), "{message}");
    ends_with(&mut workshop.flockwork(&["replay", violation["finding"].as_str().unwrap()]), 0);
    workshop.program("tool", by_flock);
    // All kills with all interruptions take long; a part of them must show nothing.
    let flags = ["--faults", "kill", "--then", "./tool", "--executions", "60"];
    let Some(report) = controlled(name, &workshop, &flags, &["./tool", "./tool"]) else { return };
    assert_eq!(report["scenarios"][0]["violations"], serde_json::json!([]), "{report}");
    assert!(report["scenarios"][0]["faulted"].as_u64() > Some(0), "{report}");
}

#[test]
fn who_looks_in_vain_for_ever_hangs_and_who_looks_until_a_change_does_not() {
    let waits = "#!/bin/sh\nwhile ! mkdir state/lock 2>/dev/null; do sleep 0.1; done\nread -r n <state/count\n\
                 echo $((n + 1)) >state/count\nrmdir state/lock\n";
    let name = "who_looks_in_vain_for_ever_hangs_and_who_looks_until_a_change_does_not";
    let workshop = Workshop::new(waits);
    let flags = ["--time-limit", "1s"];
    let Some(report) = controlled(name, &workshop, &flags, &["./tool", "./tool"]) else { return };
    assert_eq!(report["verdict"], "clean", "{report}");
    let flags = ["--time-limit", "1s", "--faults", "kill"];
    let Some(report) = controlled(name, &workshop, &flags, &["./tool", "./tool"]) else { return };
    let violation = &report["scenarios"][0]["violations"][0];
    assert_eq!(violation["class"], "deadlock", "{report}");
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains("no process is left to make one: it has looked in vain for 1 s"), "{message}");
    assert_eq!(violation["explained"], "reproduced in 1 of 1 replays", "{report}");
    let finding = violation["finding"].as_str().unwrap();
    let table = fs::read_to_string(workshop.path().join(finding).join("table.txt")).unwrap();
    assert!(table.lines().count() < 50, "{table}");
    ends_with(&mut workshop.flockwork(&["replay", finding]), 0);
}

#[test]
fn what_is_touched_outside_is_named() {
    let workshop = Workshop::new("#!/bin/sh\nread -r n <state/count\necho $n >>outside\n");
    let name = "what_is_touched_outside_is_named";
    let Some(report) = controlled(name, &workshop, &[], &["./tool", "./tool"]) else { return };
    let touched = report["scenarios"][0]["also_touched"].to_string();
    assert!(touched.contains("outside"), "{touched}");
    // Files in shared memory are files.
    let mark = workshop.path().file_name().unwrap().to_string_lossy().into_owned();
    let shares =
        format!("#!/bin/sh\nread -r n <state/count\necho $n >/dev/shm/{mark}.$$; rm /dev/shm/{mark}.$$\n");
    workshop.program("tool", &shares);
    let Some(report) = controlled(name, &workshop, &[], &["./tool", "./tool"]) else { return };
    let touched = report["scenarios"][0]["also_touched"].to_string();
    assert!(touched.contains(&format!("/dev/shm/{mark}")), "{touched}");
}

#[test]
fn nothing_is_claimed_of_commands_that_meet_outside() {
    // What meets outside, and whether anything may be claimed of it.
    let cases = [
        ("read -r n <state/count\necho $n >>outside", false),
        ("read -r n <state/count\n[ -e outside ] && rm -f outside || echo $n >outside", false),
        ("mkdir outside 2>/dev/null\nrmdir outside 2>/dev/null\nread -r n <state/count", false),
        ("exec 9>outside\nflock 9\nread -r n <state/count\necho $((n + 1)) >state/count", true),
        (
            "exec 9>state/lock\nflock 9\nread -r n <state/count\necho $((n + 1)) >state/count\necho $n >own.$$\nrm own.$$",
            true,
        ),
    ];
    for (lines, is_claimed) in cases {
        let workshop = Workshop::new(&format!("#!/bin/sh\n{lines}\n"));
        let name = "nothing_is_claimed_of_commands_that_meet_outside";
        let flags = ["--compare", "files"];
        let Some(report) = controlled(name, &workshop, &flags, &["./tool", "./tool"]) else { return };
        let reasons = report["scenarios"][0]["reasons"].to_string();
        assert_eq!(report["exit_code"], if is_claimed { 0 } else { 102 }, "{lines}: {report}");
        assert_eq!(reasons.contains("outside, outside the state folders"), !is_claimed, "{lines}: {reasons}");
    }
}

/// Whoever signals its parent, or everybody, ends no harness: it is told, with the way out.
#[test]
fn a_command_that_would_end_the_harness_is_told() {
    let workshop = Workshop::new("#!/bin/sh\neval \"$1\"\necho over >state/count\n");
    // SIGWINCH, which nobody minds who gets it all the same.
    let cases = [
        ("kill -TERM $PPID", 102, "its parent"),
        ("kill -USR1 $PPID", 102, "its parent"),
        ("kill -KILL $PPID", 1, "sends SIGKILL to its parent"),
        ("kill -WINCH -1", 102, "every process there is"),
    ];
    for (script, code, told) in cases {
        for mode in [&["--free", "--executions", "2"][..], &["--perturb", "0..1us", "--executions", "2"], &[]]
        {
            if script.ends_with("-1") && !mode.is_empty() && !nix::unistd::geteuid().is_root() {
                continue;
            }
            let command = format!("./tool '{script}'");
            let words = [&["--state", "state"], mode, &["--", command.as_str(), "./tool :"]].concat();
            let output = ends_with(&mut workshop.race(&words), code);
            assert!(stdout(&output).contains(told), "{script} {mode:?}: {}", stdout(&output));
        }
    }
    // With a parent of its own it may.
    let words = ["--state", "state", "--", "./tool 'sh -c \"kill -USR1 \\$PPID\"; :'", "./tool :"];
    let told = stdout(&workshop.race(&words).output().unwrap());
    assert!(!told.contains("its parent"), "{told}");
}

#[test]
fn the_example_is_found_and_its_twin_is_clean() {
    let workshop = Workshop::new(LOSES);
    let text = stdout(&ends_with(&mut workshop.flockwork(&["init", "--example"]), 0));
    let folder = workshop.path().join("flockwork-example");
    let typed: Vec<&str> = text.lines().filter_map(|line| line.trim().strip_prefix("flockwork ")).collect();
    assert_eq!(typed.len(), 2, "{text}");
    for (line, codes) in typed.iter().zip([[100, 100], [0, 102]]) {
        let words: Vec<&str> = line.split(' ').collect();
        let output = workshop.flockwork(&words).current_dir(&folder).output().unwrap();
        // Where nothing can be controlled, what runs freely proves nothing.
        assert!(codes.contains(&output.status.code().unwrap()), "{line}: {}", stdout(&output));
    }
    // What is there is somebody's.
    ends_with(&mut workshop.flockwork(&["init", "--example"]), 2);
    ends_with(&mut workshop.flockwork(&["init"]), 2);
}

#[test]
fn a_scenario_for_a_tool_runs_before_it_is_filled_in() {
    let help = "#!/bin/sh\nif [ \"$1\" = --help ]; then printf 'Commands:\\n  inc        Adds one\\n  put <k> <v>  Puts\\n'; exit; fi\n\
                exec 9>>state/lock\nflock 9\nif [ \"$1\" = put ]; then echo \"$3\" >\"state/$2\"; exit; fi\n\
                read -r n <state/count\necho $((n + 1)) >state/count\n";
    let workshop = Workshop::new(help);
    let text = stdout(&ends_with(&mut workshop.flockwork(&["init", "--", "./tool"]), 0));
    assert!(text.contains("wrote scenarios/tool.toml: its help names inc, put."), "{text}");
    let scenario = fs::read_to_string(workshop.path().join("scenarios/tool.toml")).unwrap();
    assert!(scenario.contains("FILL IN"), "{scenario}");
    assert!(scenario.contains(r#"command = ["./tool", "put", "{object}", "{value}"]"#), "{scenario}");
    // Where copies are made lies outside of what is copied.
    let told = stderr(&ends_with(&mut workshop.place.run(&["scenarios/tool.toml"]), 2));
    let told = told + &stdout(&workshop.place.run(&["scenarios/tool.toml"]).output().unwrap());
    assert!(told.contains("where commands would not find it"), "{told}");
    let elsewhere = tempfile::tempdir().unwrap();
    let root = elsewhere.path().display().to_string();
    let words = ["run", "scenarios/tool.toml", "--seed", "1", "--root", &root];
    ends_with(&mut workshop.flockwork(&words), 0);
    // What is there is somebody's.
    ends_with(&mut workshop.flockwork(&["init", "--", "./tool"]), 2);
    let text = stdout(&ends_with(&mut workshop.flockwork(&["init", "--race", "--", "./tool"]), 0));
    assert!(text.contains("wrote scenarios/race.toml"), "{text}");
    let scenario = fs::read_to_string(workshop.path().join("scenarios/race.toml")).unwrap();
    assert!(scenario.contains(r#"processes = [["./tool inc"], ["./tool put"]]"#), "{scenario}");
}

#[test]
fn who_sleeps_does_not_wait_for_a_thread_that_waits_for_a_minute() {
    // As the monitor of Go's runtime does.
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        return skip("who_sleeps_does_not_wait_for_a_thread", "it needs /usr/bin/python3");
    }
    let tool = format!(
        "#!{python} -SI\nimport os, threading, time\n\
         threading.Thread(target=threading.Event().wait, args=(60,), daemon=True).start()\n\
         n = int(open('state/count').read())\ntime.sleep(0.001)\n\
         open('state/new', 'w').write(f'{{n + 1}}\\n')\nos.replace('state/new', 'state/count')\n"
    );
    let (name, workshop) = ("who_sleeps_does_not_wait_for_a_thread", Workshop::new(&tool));
    let Some(report) = controlled(name, &workshop, &["--seed", "1"], &["./tool", "./tool"]) else { return };
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["violations"][0]["class"], "not-serializable", "{scenario:#}");
}

#[test]
fn who_sleeps_between_reading_and_writing_is_controlled() {
    let tool = LOSES.replace("echo $((n", "sleep 0.01\necho $((n");
    let (name, workshop) = ("who_sleeps_between_reading_and_writing", Workshop::new(&tool));
    let Some(report) = controlled(name, &workshop, &["--seed", "1"], &["./tool", "./tool"]) else { return };
    assert_eq!(report["scenarios"][0]["violations"][0]["class"], "not-serializable", "{report:#}");
}

#[test]
fn a_pause_may_end_before_others_go_on() {
    let tool = "#!/bin/sh\nif [ $1 = rm ]; then test -e state/absent; sleep 0.01; rm -f state/count; exit; fi\n\
                test -e state/count && { cat state/count 2>/dev/null || echo gone; }\n";
    let (name, workshop) = ("a_pause_may_end_before_others_go_on", Workshop::new(tool));
    let Some(report) = controlled(name, &workshop, &["--seed", "1"], &["./tool rm", "./tool cat"]) else {
        return;
    };
    let message = report["scenarios"][0]["violations"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("gone"), "{report:#}");
}

#[test]
fn sleeps_take_their_time_where_that_is_wanted_and_nothing_exhaustive_is_claimed_then() {
    // The same but for a sleep that the clock can tell of: it takes no time where it is held.
    const NAPS: &str = "#!/usr/bin/env python3\nimport fcntl, time\nlock = open('state/lock', 'w')\n\
                        fcntl.flock(lock, fcntl.LOCK_EX)\nn = int(open('state/count').read())\n\
                        begun = time.monotonic()\ntime.sleep(0.1)\nprint(time.monotonic() - begun >= 0.1)\n\
                        open('state/count', 'w').write(f'{n + 1}\\n')\n";
    let name = "sleeps_take_their_time_where_that_is_wanted_and_nothing_exhaustive_is_claimed_then";
    let workshop = Workshop::new(NAPS);
    // What the clock says is not compared.
    let flags = ["--compare", "files", "--executions", "3", "--sleeps"];
    let races =
        |how: &str| controlled(name, &workshop, &[&flags[..], &[how]].concat(), &["./tool", "./tool"]);
    let (Some(real), Some(held)) = (races("real"), races("held")) else { return };
    let [real, held] = [&real, &held].map(|report| &report["scenarios"][0]);
    let slept = "slept in real time";
    assert!(real["uncertain"].to_string().contains(slept), "{real:#}");
    assert_eq!(real["coverage"], "sampled", "{real:#}");
    assert!(!held["uncertain"].to_string().contains(slept), "{held:#}");
    // Two sleeps in each execution, one after the other.
    let executions = real["executions"].as_f64().unwrap();
    assert!(real["duration_s"].as_f64().unwrap() >= 0.2 * executions, "{real:#}");
}
