//! Power losses of explorations of the library: what each disk model leaves of each way to save.

use std::fmt::Write;

use super::support::{Place, ends_with, json, stdout};

/// An exploration of two processes, saving like this, that loses its power on this disk.
fn scenario(write: &str, disk: &str, more: &str) -> String {
    format!(
        "about = \"power\"\nkind = \"explore\"\n[subject]\nname = \"library\"\nwrite = \"{write}\"\n[explore]\n\
         setup = [\"create c1\"]\nprocesses = [[\"start c1\"], [\"state c1\"]]\nfaults = [\"power-loss\"]\n\
         disk = \"{disk}\"\n{more}\n"
    )
}

/// How a scenario of this name saves.
fn write_of(name: &str) -> &str {
    name.rsplit_once('-').map_or(name, |(write, _)| write)
}

/// Runs all of these at once; what became of each, by its name.
fn explored(place: &Place, scenarios: &[(String, String)], code: i32) -> Vec<serde_json::Value> {
    let mut words = vec!["run".to_owned(), "--root".into(), "root".into(), "--format".into(), "json".into()];
    for (name, text) in scenarios {
        place.file(&format!("{name}.toml"), text);
        words.push(format!("{name}.toml"));
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let report = json(&ends_with(&mut place.flockwork(&words), code));
    report["scenarios"].as_array().expect("scenarios").clone()
}

#[test]
fn saves_with_fsync_last_on_every_disk_and_others_are_lost() {
    let place = Place::new();
    let is_long = std::env::var_os("FLOCKWORK_LONG").is_some();
    let mut all = Vec::new();
    for (write, disk) in [("fsync", "posix"), ("fsync", "btrfs"), ("rename", "ext4"), ("in-place", "xfs")] {
        let disks = if is_long { &["posix", "ext4", "ext4-writeback", "xfs", "btrfs"][..] } else { &[disk] };
        for disk in disks {
            let expected = if write == "fsync" { "" } else { "[expect]\nviolations = [\"lost-by-crash\"]" };
            all.push((format!("{write}-{disk}"), scenario(write, disk, expected)));
        }
    }
    all.sort();
    all.dedup();
    let mut told = String::new();
    for scenario in explored(&place, &all, 0) {
        let (name, power) = (scenario["name"].as_str().unwrap(), &scenario["power"]);
        writeln!(told, "{name}: {power}").unwrap();
        assert_eq!(power["exhausted"], true, "{told}");
        assert_eq!(power["durable"], name.starts_with("fsync"), "{told}");
        assert!(power["states"].as_u64().is_some_and(|states| states > 3), "{told}");
        let violations = scenario["violations"].as_array().unwrap();
        assert_eq!(violations.len(), usize::from(!name.starts_with("fsync")), "{told}");
        if let Some(violation) = violations.first() {
            let story = violation["story"].to_string();
            assert!(story.contains("c1/meta.json") && story.contains("on disk"), "{name}: {story}");
            let missing = match write_of(name) {
                // Written over itself, a file is torn whatever is synced.
                "in-place" => "no fsync makes every state right, nor do two together",
                _ => "fsync of c1/meta.json.tmp before `rename c1/meta.json.tmp c1/meta.json` makes all",
            };
            assert!(story.contains(missing), "{name}: {story}");
        }
    }
    // What an operation did not ask to last is held to it here, and does not.
    let held = scenario("rename", "ext4-dioread-lock", "durable = true");
    let held = explored(&place, &[("held".into(), held)], 100);
    let message = held[0]["violations"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("after a power loss on ext4-dioread-lock"), "{message}");
    let finding = held[0]["violations"][0]["finding"].as_str().unwrap();
    let replayed = stdout(&ends_with(&mut place.flockwork(&["replay", "--root", "root", finding]), 0));
    assert!(replayed.contains("reproduced: lost-by-crash"), "{replayed}");
    let kept = place.path().join(finding).join("schedule.toml");
    let again = ends_with(&mut place.flockwork(&["run", "--root", "root", kept.to_str().unwrap()]), 0);
    assert!(stdout(&again).contains("lost-by-crash"), "{}", stdout(&again));
}

#[test]
fn what_is_wrong_with_power_losses_of_an_exploration_is_told() {
    let place = Place::new();
    for (old, new, told) in [
        ("ext4", "ext5", "the nearest is \"ext4\""),
        ("faults = [\"power-loss\"]\n", "", "expected faults = [\"power-loss\"] with it"),
        ("power-loss", "power-los", "the nearest known fault is \"power-loss\""),
    ] {
        place.file("wrong.toml", &scenario("rename", "ext4", "").replace(old, new));
        let output = ends_with(&mut place.flockwork(&["run", "wrong.toml"]), 2);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(told), "{text}");
    }
}

#[test]
fn a_crash_comes_again_from_the_state_that_it_was_found_in() {
    let place = Place::new();
    place.file("state/f", "old\n");
    // A temporary file has another name each time.
    let command =
        "t=$(mktemp state/XXXXXX) && printf 'new\\n' >$t && read -r x <$t && echo $x >state/f && rm $t";
    let words =
        ["crash", "--root", "root", "--state", "state", "--disk", "ext4", "--format", "json", "--", command];
    let report = json(&ends_with(&mut place.flockwork(&words), 100));
    let violations = report["scenarios"][0]["violations"].as_array().unwrap();
    assert_eq!(violations.len(), 2, "one by a kill, one by a power loss: {report:#}");
    // What lies there now says nothing of what lay there then.
    place.file("state/f", "something else\n");
    for violation in violations {
        let finding = violation["finding"].as_str().unwrap();
        let words = ["replay", "--root", "root", "--times", "2", "--format", "json", finding];
        let replayed = json(&ends_with(&mut place.flockwork(&words), 0));
        assert_eq!(
            (&replayed["class"], &replayed["reproduced"]),
            (&violation["class"], &2.into()),
            "{replayed:#}"
        );
        let shrunk = ends_with(&mut place.flockwork(&["shrink", finding]), 2);
        assert!(String::from_utf8_lossy(&shrunk.stderr).contains("already the simplest"));
    }
    let held = violations[0]["finding"].as_str().unwrap();
    let output = ends_with(&mut place.flockwork(&["replay", "--hold", "1", held]), 2);
    assert!(String::from_utf8_lossy(&output.stderr).contains("are for schedules"));
}
