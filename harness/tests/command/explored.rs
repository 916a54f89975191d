//! Commands under control, judged by a model, or by their own orders.

use super::support::{ends_with, json, skip, stdout};
use super::workshop::{COUNTER, LOCKED, Workshop, classes};

/// A scenario that explores a counter.
const EXPLORE: &str = r#"
about = "Two processes add to a counter."
kind = "explore"

[subject]
name = "command"
model = "counter"
env = { STATE = "{state}" }
answers = [{ exit = 0, stdout = '^(?<saw>-?\d+)$', outcome = "ok" }]

[subject.operations.add]
command = ["./tool", "add", "{value}"]
value = 1

[subject.operations.read]
command = ["./tool", "read"]

[explore]
processes = [["add x 2"], ["add x 3"]]
"#;

/// What was explored; nothing, said by name, where this machine cannot hold commands.
fn explored(test: &str, workshop: &Workshop, code: i32) -> Option<serde_json::Value> {
    // However slow the machine is, what is to be explored is explored to its end.
    let words = ["it.toml", "--format", "json", "--seed", "5", "--duration", "600s"];
    let output = workshop.place.run(&words).output().unwrap();
    let scenario = json(&output)["scenarios"][0].clone();
    if scenario["controlled"] == false {
        skip(test, &scenario["uncontrolled"].to_string());
        return None;
    }
    assert_eq!(output.status.code(), Some(code), "{}", stdout(&output));
    Some(scenario)
}

#[test]
fn a_lost_update_is_found_by_the_model_and_replayed() {
    let tool = COUNTER.replace("sleep 0.02\n", "");
    let workshop = Workshop::new(&tool, EXPLORE);
    let Some(scenario) = explored("a_lost_update_is_found_by_the_model", &workshop, 100) else { return };
    assert_eq!(classes(&scenario), ["not-linearizable"]);
    assert_eq!(scenario["model"], "counter");
    let violation = &scenario["violations"][0];
    assert!(violation["message"].as_str().unwrap().starts_with("x: "), "{violation}");
    assert_eq!(violation["control"]["processes"], 2);
    let finding = violation["finding"].as_str().unwrap();
    let replayed = ends_with(&mut workshop.place.flockwork(&["replay", "--root", "root", finding]), 0);
    assert!(stdout(&replayed).contains("x: "), "{}", stdout(&replayed));
}

#[test]
fn its_twin_with_a_lock_is_clean_and_all_of_it_was_seen() {
    let workshop = Workshop::new(LOCKED, EXPLORE);
    let Some(scenario) = explored("its_twin_with_a_lock_is_clean", &workshop, 0) else { return };
    assert_ne!(scenario["coverage"], "sampled", "{scenario:#}");
}

#[test]
fn what_a_kill_leaves_is_judged_by_the_model() {
    // Under a lock, but the old sum is gone before the new one is there.
    let tool = LOCKED.replace("> new\nmv new count\n", "> count\n");
    assert_ne!(tool, LOCKED);
    let killed = EXPLORE.replace("[explore]\n", "[explore]\nsetup = [\"add x 5\"]\nfaults = [\"kill\"]\n");
    let workshop = Workshop::new(&tool, &killed);
    let Some(scenario) = explored("what_a_kill_leaves", &workshop, 100) else { return };
    assert_eq!(classes(&scenario), ["not-linearizable"]);
    let sound = Workshop::new(LOCKED, &killed);
    explored("what_a_kill_leaves", &sound, 0);
}

/// A tool whose counter is saved in this way, and a scenario in which the power goes.
fn losing(save: &str, disk: &str, more: &str) -> Workshop {
    let tool = LOCKED.replace("mv new count\n", save);
    let losing = EXPLORE.replace("[\"add x 2\"], [\"add x 3\"]", "[\"add x 2\"], [\"read x\"]").replace(
        "[explore]\n",
        &format!(
            "[explore]\nsetup = [\"add x 5\"]\nfaults = [\"power-loss\"]\ndisk = \"{disk}\"\nafter = [\"read x\"]\n{more}\n"
        ),
    );
    Workshop::new(&tool, &losing)
}

#[test]
fn what_a_power_loss_leaves_is_judged_by_the_model() {
    let test = "what_a_power_loss_leaves_is_judged_by_the_model";
    let unsynced = losing("mv new count\n", "ext4", "");
    let Some(scenario) = explored(test, &unsynced, 100) else { return };
    assert_eq!(classes(&scenario), ["lost-by-crash"], "{scenario:#}");
    let violation = &scenario["violations"][0];
    let message = violation["message"].as_str().unwrap();
    assert!(message.contains("`rename new count` reached the disk before the data of new"), "{message}");
    let story = violation["story"].to_string();
    assert!(story.contains("on disk   rename new count"), "{violation:#}");
    assert!(story.contains("fsync of new before `rename new count` makes all"), "{violation:#}");
    let finding = violation["finding"].as_str().unwrap();
    let words = ["replay", "--root", "root", "--format", "json", finding];
    let replayed = json(&ends_with(&mut unsynced.place.flockwork(&words), 0));
    assert_eq!((&replayed["verdict"], &replayed["class"]), (&"reproduced".into(), &"lost-by-crash".into()));
    let scenario = explored(test, &losing("sync new\nmv new count\n", "ext4", ""), 0).expect("held before");
    assert_eq!(scenario["verdict"], "clean", "{scenario:#}");
    assert!(scenario["power"]["states"].as_u64().is_some_and(|states| states > 3), "{scenario:#}");
}

#[test]
fn what_a_command_acknowledged_lasts_only_where_it_synced_the_folder() {
    let test = "what_a_command_acknowledged_lasts_only_where_it_synced_the_folder";
    let halfway = losing("sync new\nmv new count\n", "posix", "durable = true");
    let Some(scenario) = explored(test, &halfway, 100) else { return };
    assert_eq!(classes(&scenario), ["lost-by-crash"], "{scenario:#}");
    // What comes after the command's last call is made before it answers.
    let story = scenario["violations"][0]["story"].to_string();
    assert!(story.contains("fsync of the state folder "), "{scenario:#}");
    let lasting = losing("sync new\nmv new count\nsync .\n", "posix", "durable = true");
    let scenario = explored(test, &lasting, 0).expect("held before");
    assert_eq!(scenario["verdict"], "clean", "{scenario:#}");
}

#[test]
fn the_orders_of_commands_judge_power_losses_too() {
    let test = "the_orders_of_commands_judge_power_losses_too";
    let mut sequential = losing("mv new count\n", "xfs", "");
    let written = std::fs::read_to_string(sequential.place.path().join("it.toml")).unwrap();
    sequential.place.file("it.toml", &written.replace("\"counter\"", "\"sequential\""));
    let Some(scenario) = explored(test, &sequential, 100) else { return };
    assert_eq!(classes(&scenario), ["lost-by-crash"], "{scenario:#}");
    sequential = losing("sync new\nmv new count\n", "xfs", "");
    let written = std::fs::read_to_string(sequential.place.path().join("it.toml")).unwrap();
    sequential.place.file("it.toml", &written.replace("\"counter\"", "\"sequential\""));
    explored(test, &sequential, 0);
}

#[test]
fn what_is_answered_before_it_is_done_is_found() {
    // The second process's only command begins when the first's has answered: what it misses was promised by then.
    let tool = r#"#!/bin/sh
cd "$STATE" || exit 9
if [ "$1" = read ]; then cat r 2>/dev/null || echo 0; exit 0; fi
WRITES
"#;
    let register = EXPLORE
        .replace("model = \"counter\"", "model = { kind = \"register\", initial = 0 }")
        .replace("answers = [{ exit = 0, stdout = '^(?<saw>-?\\d+)$', outcome = \"ok\" }]\n", "")
        .replace("operations.add]", "operations.write]")
        .replace("\"add\", \"{value}\"]\nvalue = 1", "\"write\", \"{value}\"]")
        .replace(
            "\"read\"]",
            "\"read\"]\nanswers = [{ exit = 0, stdout = '^(?<saw>\\d+)$', outcome = \"ok\" }]",
        )
        .replace("[\"add x 2\"], [\"add x 3\"]", "[\"write x 1\"], [\"read x\"]");
    let late = Workshop::new(&tool.replace("WRITES", "{ echo \"$2\" >new; mv new r; } &"), &register);
    let Some(scenario) = explored("what_is_answered_before_it_is_done", &late, 100) else { return };
    assert_eq!(classes(&scenario), ["not-linearizable"], "{scenario:#}");
    let done = Workshop::new(&tool.replace("WRITES", "echo \"$2\" >new; mv new r"), &register);
    explored("what_is_answered_before_it_is_done", &done, 0);
}

#[test]
fn what_had_ended_before_a_read_began_must_be_seen() {
    // The read begins with its first step, right behind the last of an add, and never looks at the sum.
    let blind = "#!/bin/sh\ncd \"$STATE\" || exit 9\nif [ \"$1\" = read ]; then echo x >look; echo 0; exit 0; fi\n\
                 echo 1 >count\necho 1\n";
    let reads = EXPLORE.replace("[\"add x 2\"], [\"add x 3\"]", "[\"add x 1\"], [\"read x\"]");
    let blind = Workshop::new(blind, &reads);
    let Some(scenario) = explored("what_had_ended_before_a_read_began", &blind, 100) else { return };
    assert_eq!(classes(&scenario), ["not-linearizable"], "{scenario:#}");
    // Its times are those of the table: steps, from 1.
    let message = scenario["violations"][0]["message"].as_str().expect("a message");
    let story = scenario["violations"][0].to_string();
    assert!(message.contains("read") && !story.contains(" ns)"), "{scenario:#}");
    let sees = "#!/bin/sh\ncd \"$STATE\" || exit 9\n\
                if [ \"$1\" = read ]; then cat count 2>/dev/null || echo 0; exit 0; fi\n\
                echo 1 >new\nmv new count\necho 1\n";
    explored("what_had_ended_before_a_read_began", &Workshop::new(sees, &reads), 0);
}

#[test]
fn the_program_may_be_its_own_specification() {
    let tool = COUNTER.replace("sleep 0.02\n", "");
    let workshop = Workshop::new(&tool, &EXPLORE.replace("\"counter\"", "\"sequential\""));
    let Some(scenario) = explored("the_program_may_be_its_own_specification", &workshop, 100) else { return };
    assert_eq!(classes(&scenario), ["not-serializable"]);
    let stress =
        EXPLORE.replace("\"counter\"", "\"sequential\"").replace("\"explore\"", "\"stress\"").replace(
            "[explore]\nprocesses = [[\"add x 2\"], [\"add x 3\"]]",
            "[stress]\nprocesses = 2\noperations = 40\nmix = { add = 1 }",
        );
    let sound = Workshop::new(LOCKED, &stress).run(&[], 0);
    assert_eq!((&sound["controlled"], &sound["executions"]), (&false.into(), &20.into()), "{sound:#}");
    let broken = Workshop::new(COUNTER, &stress).run(&[], 100);
    assert_eq!(classes(&broken), ["not-serializable"]);
}

#[test]
fn mistakes_are_told() {
    for (what, by, expected) in [
        ("add x 3", "ad x 3", "processes: there is no operation \"ad\""),
        ("[explore]", "[explore]\npreemption = 1", "the nearest known key is \"preemptions\""),
        ("[explore]", "[explore]\nfaults = [\"kil\"]", "faults: expected kill"),
        (
            "[explore]",
            "[explore]\nfaults = [\"power-loss\"]",
            "after: a model judges the state after a power loss",
        ),
        ("[explore]", "[explore]\ndisk = \"ext4\"", "expected --faults power-loss with it"),
        ("processes = [[\"add x 2\"], [\"add x 3\"]]", "", "[explore] needs processes"),
        // What nobody would judge is not called clean.
        (
            "value = 1",
            "value = 1\n[[subject.watch]]\npath = \"*.json\"",
            "watch: files are watched only with",
        ),
        ("env =", "strays = \"forbidden\"\nenv =", "strays are judged only with kind = \"stress\""),
    ] {
        let workshop = Workshop::new(LOCKED, &EXPLORE.replace(what, by));
        let output = ends_with(&mut workshop.place.run(&["it.toml"]), 2);
        let told = super::support::stderr(&output);
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_race_is_found_where_commands_name_the_state_by_its_placeholder() {
    let workshop = Workshop::new(&COUNTER.replace("sleep 0.02\n", ""), "");
    workshop.place.file("mine/count", "7\n");
    let words =
        ["race", "--root", "root", "--format", "json", "--state", "mine", "--env", "STATE={state}", "--"];
    let mut race = workshop.place.flockwork(&words);
    let output = race.args(["./tool add 1", "./tool add 1"]).output().unwrap();
    let scenario = json(&output)["scenarios"][0].clone();
    if scenario["controlled"] == false {
        skip("a_race_is_found_where_commands_name_the_state", &scenario["uncontrolled"].to_string());
        return;
    }
    assert_eq!(output.status.code(), Some(100), "{scenario:#}");
    assert_eq!(scenario["also_touched"], serde_json::json!([]), "{scenario:#}");
}
