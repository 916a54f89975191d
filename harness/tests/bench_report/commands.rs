//! `flockwork compare` and `flockwork report`, through the binary.

use std::fs;
use std::path::PathBuf;

use flockwork_harness::measure::BenchRecord;

use crate::generator::{Kind, grid, record};
use crate::support::{Place, ends_with, json, stderr, stdout};

fn store(place: &Place, name: &str, record: &BenchRecord) -> PathBuf {
    place.file(name, &serde_json::to_string(record).unwrap())
}

fn slower(factor: f64) -> BenchRecord {
    let kind = Kind::default();
    record(2, &[("fs2", Kind { rate: kind.rate / factor, wait_ns: (20_000.0 * factor) as u64, ..kind })])
}

#[test]
fn a_slower_record_ends_with_103_and_a_noisy_one_with_102() {
    let place = Place::new();
    store(&place, "base/bench.json", &record(1, &[("fs2", Kind::default())]));
    store(&place, "slow.json", &slower(1.2));
    store(&place, "same.json", &slower(1.0));
    let noisy = Kind { noise: 0.5, rounds: 4, ..Kind::default() };
    store(&place, "noisy.json", &record(3, &[("fs2", noisy)]));
    let threshold = ["--threshold", "10%"];
    let compare = |new: &str, words: &[&str], code: i32| {
        ends_with(place.flockwork(&["compare", "base", new]).args(words), code)
    };
    let said = stdout(&compare("slow.json", &threshold, 103));
    assert!(said.contains("threshold exceeded") && said.contains("worse, beyond the threshold"), "{said}");
    let said = stdout(&compare("noisy.json", &threshold, 102));
    assert!(said.contains("inconclusive") && said.contains("measure more or longer rounds"), "{said}");
    compare("same.json", &threshold, 0);
    compare("slow.json", &[], 0);
    compare("slow.json", &["--threshold", "40%"], 0);
    let document = json(&compare("slow.json", &["--threshold", "10%", "--format", "json"], 103));
    assert_eq!((&document["schema_version"], &document["outcome"]), (&1.into(), &"exceeded".into()));
    let change = &document["cells"][0]["changes"][0];
    assert_eq!((&change["metric"], &change["direction"]), (&"throughput".into(), &"worse".into()));
    assert!((change["ratio"].as_f64().unwrap() * 1.2 - 1.0).abs() < 0.03, "{change}");
    assert!(change["lower"].as_f64().unwrap() < change["upper"].as_f64().unwrap());
}

#[test]
fn other_machines_are_compared_by_force_only() {
    let place = Place::new();
    store(&place, "base.json", &slower(1.0));
    let mut other = slower(1.0);
    other.machine.processors = 64;
    store(&place, "new.json", &other);
    let refused = ends_with(&mut place.flockwork(&["compare", "base.json", "new.json"]), 2);
    assert!(stderr(&refused).contains("processors: 2 and 64") && stderr(&refused).contains("--force"));
    assert!(refused.stdout.is_empty());
    let forced = ends_with(&mut place.flockwork(&["compare", "base.json", "new.json", "--force"]), 0);
    assert!(stdout(&forced).contains("the machines differ in processors: 2 and 64"));
}

#[test]
fn records_that_cannot_be_read_are_told_with_the_way_out() {
    let place = Place::new();
    store(&place, "base.json", &slower(1.0));
    let text = serde_json::to_string_pretty(&slower(1.0)).unwrap();
    place.file("cut.json", &text[..text.len() / 2]);
    place.file("old.json", &text.replace("\"schema_version\": 1", "\"schema_version\": 0"));
    place.file("future.json", "{\"schema_version\": 7, \"everything\": \"is different\"}");
    place.file("other.json", "{\"schema_version\": 1, \"scenarios\": []}");
    place.file("words.json", "no JSON");
    place.file("huge.json", &text.replacen("\"shares\": [", "\"shares\": [18446744073709551615, 1, ", 1));
    fs::create_dir(place.path().join("empty")).unwrap();
    let cases = [
        ("cut.json", "truncated at line"),
        ("old.json", "schema version 0, and this flockwork reads version 1"),
        ("future.json", "schema version 7"),
        ("other.json", "missing field"),
        ("words.json", "not a record of a benchmark"),
        ("huge.json", "more acquisitions than any machine makes"),
        ("empty", "no bench.json in this folder"),
        ("nowhere.json", "No such file"),
    ];
    for (path, expected) in cases {
        for words in [["compare", "base.json", path], ["compare", path, "base.json"]] {
            let said = stderr(&ends_with(&mut place.flockwork(&words), 2));
            assert!(said.contains(path) && said.contains(expected), "{path}: {said}");
        }
    }
}

#[test]
fn mistakes_of_usage_are_told() {
    let place = Place::new();
    store(&place, "base.json", &slower(1.0));
    let cases: [(&[&str], &str); 4] = [
        (&["--threshold", "10"], "such as 10%"),
        (&["--threshold", "-5%"], "such as 10%"),
        (&["--threshold", "100%"], "less than 100%"),
        (&["--metric", "wait.p98"], "the nearest is \"wait.p9"),
    ];
    for (words, expected) in cases {
        let mut command = place.flockwork(&["compare", "base.json", "base.json"]);
        let said = stderr(&ends_with(command.args(words.iter().map(|word| word.replace("-5%", "x%"))), 2));
        assert!(said.contains(expected), "{words:?}: {said}");
    }
    let other = record(1, &[("std", Kind::default())]);
    store(&place, "other.json", &other);
    let nothing = ends_with(&mut place.flockwork(&["compare", "base.json", "other.json"]), 4);
    assert!(stderr(&nothing).contains("no cell in common"));
    assert!(stdout(&nothing).contains("1 cell only in the base record"));
}

#[test]
fn a_report_is_written_where_the_run_lies_or_where_it_is_wanted() {
    let place = Place::new();
    store(&place, "run/bench.json", &grid());
    let said = stdout(&ends_with(&mut place.flockwork(&["report", "run"]), 0));
    assert_eq!(said, "run/report.html\n");
    let page = fs::read_to_string(place.path().join("run/report.html")).unwrap();
    assert!(page.contains("Benchmark generated"));
    let words = ["report", "run/bench.json", "-o", "other.html", "--charts", "charts", "--format", "json"];
    let document = json(&ends_with(&mut place.flockwork(&words), 0));
    assert_eq!(document["report"], "other.html");
    let charts = document["charts"].as_array().unwrap();
    assert!(charts.len() >= 5);
    assert!(charts.iter().all(|chart| place.path().join(chart.as_str().unwrap()).is_file()));
    let said = stderr(&ends_with(&mut place.flockwork(&["report", "nowhere"]), 2));
    assert!(said.contains("nowhere"), "{said}");
    ends_with(&mut place.flockwork(&["report", "run", "-o", "no/such/folder.html"]), 1);
}

#[test]
fn a_record_may_be_compressed() {
    let place = Place::new();
    store(&place, "base.json", &slower(1.0));
    let bytes = zstd::encode_all(serde_json::to_string(&slower(1.0)).unwrap().as_bytes(), 3).unwrap();
    fs::create_dir(place.path().join("packed")).unwrap();
    fs::write(place.path().join("packed/bench.json.zst"), bytes).unwrap();
    ends_with(&mut place.flockwork(&["compare", "base.json", "packed", "--threshold", "5%"]), 0);
}

#[test]
fn a_stress_run_has_a_page_too() {
    let place = Place::new();
    place.file("s.toml", crate::support::SOUND);
    ends_with(&mut place.run(&["s.toml"]), 0);
    let run = place.runs().remove(0);
    ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 0);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("Run of s") && page.contains("as the scenario expects"), "{page}");
    assert!(page.contains("lost-update") && page.contains("<td>pause</td>"), "checks and counts");
    fs::remove_file(run.join("summary.json")).unwrap();
    ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 0);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("the run was cut short"), "{page}");
}

const BENCH: &str = r#"
about = "Two processes."
kind = "bench"

[bench]
lock = ["fs2", "std"]
processes = 2
warm_up = "1ms"
duration = "5ms"
rounds = 6

[thresholds]
"#;

#[test]
fn a_benchmark_is_judged_exported_and_reported() {
    let place = Place::new();
    place.file("b.toml", &format!("{BENCH}\"wait.p50\" = \"< 10h\"\n"));
    let words = ["bench", "b.toml", "--root", "root", "--export-csv", "r.csv", "--export-markdown", "r.md"];
    let more = ["--export-json", "r.json", "--export-bencher", "r.bmf.json", "--seed", "3"];
    let said = stdout(&ends_with(place.flockwork(&words).args(more), 0));
    assert!(said.contains("thresholds: 2 of 2 met") && said.contains("everywhere: "), "{said}");
    let written = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    assert_eq!(written("r.csv").lines().count(), 3);
    assert!(written("r.md").contains("| lock |") && written("r.json").contains("\"kind\": \"bench\""));
    let metrics: serde_json::Value = serde_json::from_str(&written("r.bmf.json")).unwrap();
    assert_eq!(metrics.as_object().unwrap().len(), 2);
    let run = place.runs().remove(0);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(
        page.contains("Two processes.") && page.contains("Thresholds"),
        "the page has scenario and verdicts"
    );
    // What it says on how to do it again is what was typed.
    assert!(page.contains("flockwork bench b.toml --root root"), "the command");

    place.file("b.toml", &format!("{BENCH}\"throughput\" = \"> 1e15/s\"\n"));
    let missed = ends_with(&mut place.flockwork(&["bench", "b.toml", "--root", "root"]), 103);
    assert!(stdout(&missed).contains("exceeded: throughput > 1e15/s"), "{}", stdout(&missed));
}

#[test]
fn mistakes_in_thresholds_are_pointed_at() {
    let place = Place::new();
    let cases = [
        ("\"wait.p98\" = \"< 5ms\"", ":13:1: unknown metric", "the nearest is \"wait.p9"),
        ("\"wait.p99\" = \"< 5\"", ":13:17: wait.p99: expected a duration", "| \"wait.p99\" = \"< 5\""),
        ("\"throughput\" = \"> 0.9 * lok:std\"", ":13:25: unknown axis", "the nearest is \"lock\""),
        ("wait.p99 = \"< 5ms\"", "expected a bound as a text", "needs quotes"),
    ];
    for (threshold, at, help) in cases {
        place.file("b.toml", &format!("{BENCH}{threshold}\n"));
        let said = stderr(&ends_with(&mut place.flockwork(&["bench", "b.toml", "--root", "root"]), 2));
        assert!(said.contains(at) && said.contains(help), "{threshold}: {said}");
        assert!(place.runs().is_empty(), "nothing ran");
    }
}
