//! Folders of runs that came from elsewhere, were cut, or are of a newer flockwork: each is read as what it is, or is an error
//! that names the file.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{BROKEN, Place, ends_with, json, json_file, stderr};

/// A run with findings and its whole history.
fn broken_run(place: &Place, words: &[&str]) -> PathBuf {
    place.file("broken.toml", &BROKEN.replace("8_000", "2_000"));
    let output = place.run(&[&["broken.toml", "--keep-history"], words].concat()).output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 100 | 102)), "{}", stderr(&output));
    place.runs().pop().unwrap()
}

fn edit(path: &Path, change: impl Fn(&mut Value)) {
    let mut value = json_file(path);
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// Makes a run one of another machine: other names, other paths, none of which is here.
fn move_elsewhere(run: &Path) {
    edit(&run.join("run.json"), |record| {
        record["host"] = "elsewhere".into();
        record["kernel"] = "Linux 5.4.0-elsewhere".into();
        record["processors"] = 64.into();
        record["filesystem"] = serde_json::json!({"kind": "xfs", "path": "/data/not/here", "free_bytes": 1});
        record["argv"] = serde_json::json!(["/opt/elsewhere/flockwork", "run"]);
        record["pid"] = 1.into();
    });
    edit(&run.join("summary.json"), |summary| {
        summary["results"] = "/data/not/here/results".into();
        for violation in summary["violations"].as_array_mut().unwrap() {
            let finding = format!("/data/not/here/{}", violation["signature"].as_str().unwrap());
            violation["reproduce"] = format!("flockwork replay {finding}").into();
            violation["finding"] = finding.into();
        }
    });
}

#[test]
fn runs_of_another_machine_are_shown_and_merged_like_ones_own() {
    let place = Place::new();
    let mut folders = Vec::new();
    for shard in ["1/2", "2/2"] {
        let folder = format!("shard-{}", &shard[..1]);
        let words = ["--seed", "5", "--seeds", "2", "--shard", shard, "--results-dir", &folder];
        broken_run_in(&place, &words);
        folders.push(place.path().join(folder));
    }
    let run = only_run(&folders[1]);
    // What was carried here lies in another folder than it did there.
    let carried = place.path().join("carried/from/afar");
    fs::create_dir_all(carried.parent().unwrap()).unwrap();
    fs::rename(&run, &carried).unwrap();
    move_elsewhere(&carried);
    ends_with(&mut place.flockwork(&["report", "carried/from/afar"]), 0);
    let page = fs::read_to_string(carried.join("report.html")).unwrap();
    assert!(page.contains("Linux 5.4.0-elsewhere") && page.contains("xfs at /data/not/here"));
    assert!(!page.contains("replay /data/not/here"), "what is replayed lies here");
    let mut merge =
        place.flockwork(&["merge", "shard-1", "carried", "--format", "json", "--results-dir", "merged"]);
    let report = json(&ends_with(&mut merge, 100));
    let violations = report["scenarios"][0]["violations"].as_array().unwrap();
    let signatures = [only_run(&folders[0]), carried].map(|run| json_file(&run.join("summary.json")));
    for signature in signatures.iter().flat_map(|summary| summary["violations"].as_array().unwrap()) {
        let signature = &signature["signature"];
        let united = violations.iter().find(|violation| violation["signature"] == *signature);
        let finding = united.unwrap_or_else(|| panic!("{signature} is lost"))["finding"].as_str().unwrap();
        assert!(place.path().join(finding).join("finding.json").is_file(), "{finding} was carried along");
        let again = united.unwrap()["reproduce"].as_str().unwrap();
        assert!(!again.contains("/data/not/here"), "{again}: what is replayed lies here");
    }
}

fn broken_run_in(place: &Place, words: &[&str]) {
    place.file("broken.toml", &BROKEN.replace("8_000", "2_000"));
    ends_with(&mut place.run(&[&["broken.toml"], words].concat()), 100);
}

fn only_run(folder: &Path) -> PathBuf {
    let mut entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| !path.is_symlink()).unwrap()
}

#[test]
fn a_folder_that_is_not_whole_is_an_error_that_names_the_file() {
    let place = Place::new();
    let run = broken_run(&place, &["--seed", "5"]);
    let finding = fs::read_dir(run.join("findings")).unwrap().next().unwrap().unwrap().path();
    let report =
        |code: i32| stderr(&ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), code));
    for file in [
        run.join("run.json"),
        run.join("summary.json"),
        finding.join("finding.json"),
        run.join("history.jsonl.zst"),
        run.join("holds.jsonl.zst"),
    ] {
        let name = file.file_name().unwrap().to_str().unwrap();
        let whole = fs::read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let told = report(2);
        assert!(told.contains(name), "{name}: {told}");
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        assert!(told.contains("truncated") || !is_json, "{name}: {told}");
        if is_json {
            let newer = String::from_utf8(whole.clone()).unwrap().replacen(
                "\"schema_version\": 1",
                "\"schema_version\": 9",
                1,
            );
            let newer = newer.replacen("\"schema_version\":1", "\"schema_version\":9", 1);
            assert_ne!(newer.as_bytes(), whole, "{name} says its version");
            fs::write(&file, newer).unwrap();
            let told = report(2);
            assert!(told.contains(name) && told.contains("a newer flockwork wrote it"), "{told}");
        }
        fs::write(&file, whole).unwrap();
    }
    assert_eq!(report(0), "");

    // Cut short before it came to anything: shown as such, and it is no verdict.
    fs::remove_file(run.join("summary.json")).unwrap();
    edit(&run.join("run.json"), |record| record["status"] = "incomplete".into());
    report(0);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        page.contains("the run was cut short, or is not over") && !page.contains("as the scenario expects")
    );
    let run_words = run.to_str().unwrap();
    let merged = ends_with(&mut place.flockwork(&["merge", run_words, "--results-dir", "merged"]), 102);
    assert!(stderr(&merged).contains("missing"), "{}", stderr(&merged));
}
