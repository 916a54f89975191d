//! The formats: what was written once must be written again, to the letter.

use std::fs;
use std::path::Path;

use flockwork_harness::measure::BenchRecord;
use flockwork_harness::measure::threshold::Threshold;
use flockwork_harness::report::bench::BenchReport;
use flockwork_harness::report::exit::Exit;
use flockwork_harness::report::human::Detail;
use serde_json::Value;

use crate::generator::{Kind, grid, record};

/// Compares with the stored text; with `FLOCKWORK_BLESS=1` stores it.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench_report/golden").join(name);
    if std::env::var_os("FLOCKWORK_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
    }
    let stored = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, stored, "{name}: FLOCKWORK_BLESS=1 stores what is meant to be new");
}

#[test]
fn csv_markdown_and_bencher_are_as_stored() {
    let mut record =
        record(1, &[("fs2", Kind::default()), ("std", Kind { rate: 9_000.0, ..Kind::default() })]);
    record.cells[1].invalid = Some("killed, \"in\" the midst | there".into());
    let report = BenchReport::of(&record, &[]);
    golden("generated.csv", &report.csv());
    golden("generated.md", &report.markdown());
    golden("generated.bmf.json", &report.bencher());
}

#[test]
fn the_table_marks_best_and_worst_and_says_once_what_does_not_vary() {
    let record = grid();
    let report = BenchReport::of(&record, &[]);
    let text = anstream::adapter::strip_str(&report.human(Detail::Normal)).to_string();
    assert!(text.starts_with("everywhere: wait block\n"), "{text}");
    let line = |words: &str| text.lines().filter(|line| line.contains(words)).collect::<Vec<_>>();
    // What compares has the same number of processes: one of each is the best, and one the worst.
    for (words, lock) in [("best throughput", "std"), ("worst throughput", "lockfile")] {
        assert_eq!(line(words).len(), 4, "{text}");
        assert!(line(words).iter().all(|line| line.starts_with(lock)), "{text}");
    }
    golden("grid.txt", &text);
}

#[test]
fn the_answer_says_only_what_the_intervals_carry() {
    let answer = |cells: &[(&str, Kind)]| {
        let record = record(1, cells);
        let human =
            anstream::adapter::strip_str(&BenchReport::of(&record, &[]).human(Detail::Normal)).to_string();
        human
            .lines()
            .find(|line| line.starts_with("answer: "))
            .unwrap_or_else(|| panic!("{human}"))
            .to_owned()
    };
    let kind = |rate, noise, processes| Kind { rate, noise, processes, ..Kind::default() };
    let both = [
        ("fs2", kind(10_000.0, 0.05, 2)),
        ("std", kind(10_000.0, 0.05, 2)),
        ("lockfile", kind(1_000.0, 0.01, 2)),
    ];
    let told = answer(&both);
    let expected =
        "answer: at 2 processes the intervals do not separate fs2 and std, which are each at least ";
    assert!(told.starts_with(expected) && told.ends_with(" times as fast as lockfile"), "{told}");
    // One of the two may be no faster than the third.
    let one = [
        ("fs2", kind(10_000.0, 0.01, 2)),
        ("std", kind(9_000.0, 0.4, 2)),
        ("lockfile", kind(8_000.0, 0.01, 2)),
    ];
    assert_eq!(answer(&one), "answer: at 2 processes the intervals do not separate fs2 and std");
    let alone = [("fs2", kind(10_000.0, 0.2, 1)), ("fs2", kind(10_100.0, 0.2, 2))];
    assert_eq!(answer(&alone), "answer: no gain over 1 process is certain");
    let slower = [("fs2", kind(10_000.0, 0.01, 1)), ("fs2", kind(5_000.0, 0.01, 2))];
    let told = answer(&slower);
    assert!(
        told.starts_with("answer: no gain over 1 process is certain; throughput with 2 is at most 5"),
        "{told}"
    );
}

#[test]
fn nothing_is_marked_where_intervals_meet_and_nobody_is_best_who_let_others_starve() {
    let shown = |record: &BenchRecord| {
        let report = BenchReport::of(record, &[]);
        anstream::adapter::strip_str(&report.human(Detail::Normal)).to_string()
    };
    let kind = |rate, noise| Kind { rate, noise, ..Kind::default() };
    let close = record(1, &[("fs2", kind(10_000.0, 0.2)), ("std", kind(10_100.0, 0.2))]);
    let text = shown(&close);
    assert!(!text.contains("best throughput") && !text.contains("worst throughput"), "{text}");
    let mut apart = record(
        1,
        &[("fs2", kind(10_000.0, 0.01)), ("std", kind(90_000.0, 0.01)), ("ofd", kind(5_000.0, 0.01))],
    );
    assert!(shown(&apart).lines().any(|line| line.starts_with("std") && line.contains("best throughput")));
    for round in &mut apart.cells[1].rounds {
        round.shares = vec![round.shares.iter().sum(), 0];
    }
    let text = shown(&apart);
    let best: Vec<&str> = text.lines().filter(|line| line.contains("best throughput")).collect();
    assert!(best.len() == 1 && best[0].starts_with("fs2"), "{text}");
}

#[test]
fn every_csv_row_has_every_column() {
    let report_of = grid();
    let text = BenchReport::of(&report_of, &[]).csv();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().unwrap().clone();
    let mut names: Vec<&str> = header.iter().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), header.len(), "two columns have one name");
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 8);
    let throughput: f64 = rows[0][at("throughput_per_s")].parse().unwrap();
    assert!((throughput / 40_000.0 - 1.0).abs() < 0.02, "{throughput}");
    assert_eq!(&rows[7][at("lock")], "lockfile");
}

#[test]
fn the_document_is_versioned_and_whole() {
    let record = grid();
    let thresholds = [Threshold::parse("throughput", "> 0.9 * lock:std").unwrap()];
    let report = BenchReport::of(&record, &thresholds);
    let document = serde_json::to_value(report.document(Exit::ThresholdExceeded, &["why".into()])).unwrap();
    assert_eq!(document["schema_version"], 1);
    assert_eq!(
        (&document["exit_code"], &document["verdict"]),
        (&Value::from(103), &Value::from("violation"))
    );
    assert_eq!(document["thresholds_outcome"], "exceeded");
    assert_eq!(document["cells"].as_array().unwrap().len(), 8);
    let cell = &document["cells"][0];
    assert_eq!(cell["point"]["lock"], "std");
    for key in ["p50", "p90", "p99", "p99.9", "max"] {
        assert!(cell["statistics"]["wait_ns"][key]["value"].is_number(), "{key} in {cell}");
        assert!(cell["statistics"]["wait_ns"][key]["lower"].is_number(), "{key} in {cell}");
    }
    // What docs/bench.md says is there.
    let described =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/bench.md")).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    for key in keys(&document).into_iter().chain(keys(cell)).chain(keys(&cell["statistics"])) {
        assert!(described.contains(&format!("`{key}`")), "docs/bench.md does not name {key}");
    }
}
