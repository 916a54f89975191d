//! Power losses of races: what a disk model allows to be left while commands run at once.

use std::fs;
use std::process::Command;

use super::support::{ends_with, json, skip, stderr, stdout};
use super::workshop::{Workshop, said};

/// Counts under a lock, by way of another file that it never syncs.
const UNSYNCED: &str = "#!/bin/sh
exec 9>state/lock
flock 9
read -r n <state/count
echo $((n + 1)) >state/count.new
mv state/count.new state/count
";

/// The same, with an fsync before the rename.
fn synced() -> String {
    UNSYNCED.replace("mv ", "sync state/count.new\nmv ")
}

/// The one scenario of a race on this disk; none, said by name, where nothing can be controlled.
fn raced(test: &str, workshop: &Workshop, flags: &[&str], code: i32) -> Option<serde_json::Value> {
    let words = [&["--state", "state", "--format", "json", "--faults", "power-loss"], flags].concat();
    let output = workshop.race(&[&words[..], &["--", "./tool", "./tool"]].concat()).output().unwrap();
    let scenario = json(&output)["scenarios"][0].clone();
    if scenario["controlled"] == false {
        skip(test, &scenario["uncontrolled"].to_string());
        return None;
    }
    assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    Some(scenario)
}

#[test]
fn what_a_power_loss_takes_is_found_told_and_replayed() {
    let workshop = Workshop::new(UNSYNCED);
    let test = "what_a_power_loss_takes_is_found_told_and_replayed";
    let Some(scenario) = raced(test, &workshop, &["--disk", "ext4"], 100) else { return };
    let violation = &scenario["violations"][0];
    assert_eq!(violation["class"], "lost-by-crash", "{scenario:#}");
    let message = violation["message"].as_str().unwrap();
    assert!(
        message.contains("`rename count.new count` reached the disk before the data of count.new"),
        "{message}"
    );
    assert!(message.contains("zero byte"), "{message}");
    let story = violation["story"].to_string();
    assert!(story.contains("in part   p1 write 2 bytes to count.new"), "{story}");
    assert!(story.contains("not made  p2 "), "{story}");
    assert_eq!(scenario["power"]["disk"], "ext4");
    let finding = violation["finding"].as_str().unwrap();
    let replay =
        workshop.flockwork(&["replay", "--root", "root", "--format", "json", finding]).output().unwrap();
    let report = json(&replay);
    assert_eq!((&report["verdict"], &report["class"]), (&"reproduced".into(), &"lost-by-crash".into()));
    let mut script = Command::new(workshop.path().join(finding).join("reproduce.sh"));
    let told = stdout(&ends_with(
        script.env("FLOCKWORK", env!("CARGO_BIN_EXE_flockwork")).current_dir(workshop.path()),
        0,
    ));
    assert!(told.contains("reproduced: lost-by-crash"), "{told}");
    // What reached the disk when the power went is a part of the finding: another state is not it.
    let path = workshop.path().join(finding).join("finding.json");
    let mut kept: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    kept["race"]["control"]["power"]["missing"] = serde_json::json!([]);
    fs::write(&path, kept.to_string()).unwrap();
    let output = ends_with(&mut workshop.flockwork(&["replay", "--root", "root", finding]), 104);
    assert!(said(&output).contains("not reproduced"), "{}", said(&output));
    assert_eq!(fs::read_to_string(workshop.state().join("count")).unwrap(), "0\n");
}

#[test]
fn with_an_fsync_before_each_rename_every_power_loss_is_harmless() {
    let workshop = Workshop::new(&synced());
    let test = "with_an_fsync_before_each_rename_every_power_loss_is_harmless";
    let Some(scenario) = raced(test, &workshop, &["--disk", "ext4"], 0) else { return };
    assert_eq!(scenario["verdict"], "clean", "{scenario:#}");
    let power = &scenario["power"];
    assert_eq!((&power["exhausted"], &power["unjudged"]), (&true.into(), &serde_json::json!([])));
    assert!(power["states"].as_u64().is_some_and(|states| states > 5), "{power}");
    // What comes after decides where it is given; an empty lock file that is lost harms nobody.
    let then = ["--disk", "posix", "--ignore", "lock", "--then", "cat state/count", "--executions", "1"];
    let counted = raced(test, &workshop, &then, 102).expect("controlled before");
    assert_eq!(counted["violations"], serde_json::json!([]), "{counted:#}");
}

#[test]
fn which_of_two_calls_that_share_nothing_came_first_shows_after_a_power_loss() {
    let test = "which_of_two_calls_that_share_nothing_came_first_shows_after_a_power_loss";
    let workshop = Workshop::new("#!/bin/sh\nexec mv state/$1.new state/$1\n");
    for name in ["a", "b"] {
        workshop.place.file(&format!("state/{name}.new"), name);
    }
    let words = ["--state", "state", "--format", "json", "--faults", "power-loss", "--disk", "ext4"];
    let output = workshop.race(&[&words[..], &["--", "./tool a", "./tool b"]].concat()).output().unwrap();
    let scenario = json(&output)["scenarios"][0].clone();
    if scenario["controlled"] == false {
        return skip(test, &scenario["uncontrolled"].to_string());
    }
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    // Neither, both, the first without the second, and the second without the first: ext4 keeps renames in order.
    assert_eq!(
        (&scenario["coverage"], &scenario["power"]["states"]),
        (&"exhausted".into(), &4.into()),
        "{scenario:#}"
    );
}

#[test]
fn a_scenario_loses_power_too() {
    let workshop = Workshop::new(UNSYNCED);
    workshop.place.file(
        "lost.toml",
        "about = \"lost\"\nkind = \"race\"\n[race]\nprocesses = [[\"./tool\"], [\"./tool\"]]\nstate = [\"state\"]\n\
         faults = [\"power-loss\"]\ndisk = \"xfs\"\n[expect]\nviolations = [\"lost-by-crash\"]\n",
    );
    let words = ["run", "--root", "root", "--format", "json", "lost.toml"];
    let output = workshop.flockwork(&words).output().unwrap();
    let scenario = json(&output)["scenarios"][0].clone();
    if scenario["controlled"] == false {
        return skip("a_scenario_loses_power_too", &scenario["uncontrolled"].to_string());
    }
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(scenario["violations"][0]["message"].as_str().unwrap().contains("count holds nothing"));
}

#[test]
fn races_that_cannot_lose_power_say_so() {
    let workshop = Workshop::new(UNSYNCED);
    for (flags, told) in [
        (&["--disk", "ext4"][..], "expected --faults power-loss with it"),
        (&["--faults", "power-loss", "--disk", "ext5"], "the nearest is \"ext4\""),
        (&["--faults", "power-loss", "--free"], "leave out --free"),
        (&["--faults", "power-loss", "--fork-server", "auto"], "--fork-server"),
        (&["--faults", "power"], "expected kill, kill-one or power-loss"),
    ] {
        let words = [&["--state", "state"], flags, &["--", "./tool", "./tool"]].concat();
        let output = ends_with(&mut workshop.race(&words), 2);
        assert!(stderr(&output).contains(told), "{flags:?}: {}", stderr(&output));
    }
    let many =
        [&["--state", "state", "--faults", "power-loss"][..], &["--process"], &["./tool"; 5], &["--process"]];
    let words = [&many.concat()[..], &["./tool"; 4]].concat();
    assert!(stderr(&ends_with(&mut workshop.race(&words), 2)).contains("at most 8 commands"));
}
