//! The pages of findings of other kinds, who held which lock, and what a printer makes of a page.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::cases::{NONE, assert_fits, assert_prints, assert_quiet, keep_pictures, only_run};
use super::driver::Browser;
use crate::support::{Place, SOUND, ends_with, json_file, skip, stderr};

fn text(browser: &Browser) -> String {
    browser.value("document.body.innerText").as_str().unwrap().to_owned()
}

/// The figure of this name, as the page shows it.
fn figure(browser: &Browser, name: &str) -> Value {
    browser.value(&format!(
        "[...document.querySelectorAll('dt')].find((it) => it.textContent === {name:?}).nextElementSibling.textContent"
    ))
}

fn grouped(count: &Value) -> Value {
    flockwork_harness::words::grouped(count.as_u64().unwrap()).into()
}

/// Opens a run's page, and looks at it in every width, in the dark and on paper.
fn opened(run: &Path, name: &str) -> Option<Browser> {
    let browser = Browser::start()?;
    browser.open(&run.join("report.html"));
    assert_quiet(&browser);
    assert_fits(&browser, &[420, 1200, 1600]);
    keep_pictures(&browser, name);
    assert_prints(&browser);
    browser.resize(1200, 900);
    Some(browser)
}

/// What every page of a finding says: the seed and the machine of run.json, and the summary's violations with their commands.
fn assert_says_what_was_found(browser: &Browser, run: &Path) -> Value {
    let (record, summary) = (json_file(&run.join("run.json")), json_file(&run.join("summary.json")));
    assert_eq!(figure(browser, "Seed"), record["seed"].to_string());
    assert_eq!(figure(browser, "Kernel"), record["kernel"]);
    let page = text(browser);
    for violation in summary["violations"].as_array().unwrap() {
        for part in ["signature", "reproduce"] {
            assert!(page.contains(violation[part].as_str().unwrap()), "{part}: {page}");
        }
    }
    summary
}

#[test]
fn a_race_shows_its_commands_and_is_walked_step_by_step() {
    let place = Place::new();
    place.file("state/n", "0\n");
    place.file("add.sh", "n=$(cat state/n)\necho $((n+1)) >state/n\n");
    let words = ["race", "--root", "root", "--state", "state", "--seed", "5", "--", "sh add.sh", "sh add.sh"];
    ends_with(&mut place.flockwork(&words), 100);
    let run = only_run(&place);
    let Some(browser) = opened(&run, "race") else { return skip("a_race_shows_its_commands", NONE) };
    let summary = assert_says_what_was_found(&browser, &run);
    assert_eq!(figure(&browser, "Executions that overlap"), grouped(&summary["executions"]));
    assert_eq!(figure(&browser, "Sequential orders"), grouped(&summary["sequential_orders"]));
    let page = text(&browser);
    assert!(page.contains("sh add.sh") && page.contains("this execution gave"), "{page}");
    if summary["controlled"] == true {
        browser.run("document.querySelector('[data-walk] tr[tabindex=\"0\"]').focus()");
        browser.press("\u{e011}");
        let steps = browser.value("document.querySelectorAll('[data-walk] tbody tr').length");
        let words = "document.querySelector('[data-step]').textContent";
        assert_eq!(browser.value(words), format!("Step 1 of {steps}"));
        let mut seen = String::new();
        for _ in 1..steps.as_u64().unwrap() {
            browser.press("\u{e015}");
            let files = "[...document.querySelector('[data-walk]').querySelectorAll('[data-files]')].map((it) => it.innerText).join(' ')";
            seen += browser.value(files).as_str().unwrap();
        }
        assert_eq!(browser.value(words), format!("Step {steps} of {steps}"));
        assert!(seen.contains("n (changed)"), "{seen}");
    }
    assert_quiet(&browser);
}

#[test]
fn a_crash_shows_what_had_reached_the_disk() {
    let place = Place::new();
    place.file("state/f", "old\n");
    let command = "printf 'new new\\n' >state/f.tmp && mv state/f.tmp state/f";
    let words = [
        "crash", "--root", "root", "--state", "state", "--power", "--disk", "ext4", "--seed", "5", "--",
        command,
    ];
    ends_with(&mut place.flockwork(&words), 100);
    let run = only_run(&place);
    let Some(browser) = opened(&run, "crash") else { return skip("a_crash_shows_what_had_reached", NONE) };
    let summary = assert_says_what_was_found(&browser, &run);
    assert_eq!(figure(&browser, "States of a power loss"), grouped(&summary["states"]));
    assert_eq!(figure(&browser, "Disk model"), summary["disk"]);
    let page = text(&browser);
    for part in
        ["what had reached the disk", "a part of it", "all of it", "rename f.tmp f", "expected", "found"]
    {
        assert!(page.contains(part), "{part}: {page}");
    }
    assert_quiet(&browser);
}

#[test]
fn an_exploration_says_who_held_which_lock_at_each_step() {
    let place = Place::new();
    // A pause that reads its status before it has the lock: the bug of 2018.
    let stale = "about = \"Create and delete.\"\nkind = \"explore\"\n[subject]\nname = \"replica\"\nreplica = \"gvisor-2018\"\n[explore]\n\
                 setup = [\"create c1\", \"start c1\"]\nprocesses = [[\"pause c1\"], [\"force-delete c1\"]]\npreemptions = 2\n";
    place.file("stale.toml", stale);
    ends_with(&mut place.run(&["stale.toml", "--seed", "5"]), 100);
    let run = only_run(&place);
    let Some(browser) = opened(&run, "locks") else { return skip("an_exploration_says_who_held", NONE) };
    let held = browser.value(
        "[...document.querySelectorAll('[data-walk] td.held')].map((it) => it.textContent).filter((it) => it !== '')",
    );
    let held: Vec<String> = serde_json::from_value(held).unwrap();
    assert!(!held.is_empty(), "{}", text(&browser));
    assert!(held.iter().all(|it| it.starts_with('p') && it.contains(": ")), "{held:?}");
}

#[test]
fn the_timeline_says_who_held_the_lock() {
    let place = Place::new();
    place.file("sound.toml", SOUND);
    ends_with(&mut place.run(&["sound.toml", "--seed", "5", "--keep-history"]), 0);
    let run = only_run(&place);
    ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 0);
    let Some(browser) = opened(&run, "held") else { return skip("the_timeline_says_who_held", NONE) };
    let holds = browser.value("flockwork.holds()");
    assert_eq!((&holds[0]["name"], &holds[0]["clashes"]), (&"c1".into(), &0.into()), "{holds}");
    let text = zstd::decode_all(fs::File::open(run.join("holds.jsonl.zst")).unwrap()).unwrap();
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    assert_eq!(holds[0]["count"], lines - 1);
    // Operations that held it say so, to whoever cannot see the strip.
    browser.run("document.querySelector('#timeline canvas').focus()");
    browser.press(".");
    let told = browser.value("document.getElementById('timeline-details').textContent");
    assert!(told.as_str().unwrap().contains(" ms, "), "{told}");
    let told = browser.value(
        "flockwork.lanes.flatMap((n, l) => [...Array(n).keys()].map((i) => flockwork.say(l, i))).find((it) => it.includes('held the lock for'))",
    );
    assert!(told.as_str().is_some_and(|told| told.contains(" c1: ")), "{told}");

    // Two that hold it at once are shown as such; one whose end nobody saw accuses nobody.
    let hold = |process: u32, from: u64, to: u64, more: &str| {
        format!("{{\"container\":\"c1\",\"process\":{process},\"from_ns\":{from},\"to_ns\":{to}{more}}}\n")
    };
    let first = serde_json::from_slice::<Value>(text.split(|byte| *byte == b'\n').nth(1).unwrap()).unwrap();
    let at = first["from_ns"].as_u64().unwrap();
    let clash = hold(0, at, at + 900, "") + &hold(1, at + 500, at + 1_500, "");
    let unseen =
        hold(2, at + 2_000, at + 9_000, ",\"end_unseen\":true") + &hold(3, at + 3_000, at + 4_000, "");
    fs::write(run.join("holds.jsonl.zst"), format!("{{\"flockwork_holds\":1}}\n{clash}{unseen}")).unwrap();
    ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 0);
    browser.open(&run.join("report.html"));
    let holds = browser.value("flockwork.holds()");
    assert_eq!((&holds[0]["count"], &holds[0]["clashes"]), (&4.into(), &1.into()), "{holds}");
    assert_quiet(&browser);

    // A file that is cut is an error with its place; without the file the page says that it was not kept.
    fs::write(run.join("holds.jsonl.zst"), "{\"flockwork_holds\":1}\n{\"container\":\"c1\",\"pro").unwrap();
    let output = ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 2);
    assert!(stderr(&output).contains("holds.jsonl.zst: line 2"), "{}", stderr(&output));
    fs::remove_file(run.join("holds.jsonl.zst")).unwrap();
    ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 0);
    browser.open(&run.join("report.html"));
    assert_quiet(&browser);
    let said = browser.value("document.getElementById('timeline-locks').textContent");
    assert!(said.as_str().unwrap().contains("the run did not keep it"), "{said}");
}
