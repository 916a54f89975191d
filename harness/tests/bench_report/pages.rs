//! report.html: one file, that needs nothing from elsewhere and shows words as words.

use flockwork_harness::measure::threshold::Threshold;
use flockwork_harness::report::bench::{BenchReport, Scene};

use crate::generator::{Kind, grid, record};

/// What would be fetched, or run.
const OUTSIDE: [&str; 10] =
    ["href=", "src=", "url(", "@import", "<script", "<link", "<iframe", "<img", "onload", "<object"];

#[test]
fn a_page_stands_alone() {
    let record = grid();
    let thresholds = [Threshold::parse("wait.p99", "< 1us").unwrap()];
    let page = BenchReport::of(&record, &thresholds).html(&Scene::default());
    for outside in OUTSIDE {
        assert!(!page.contains(outside), "{outside} in the page");
    }
    // The one address in it names the language of the charts, and is never fetched.
    assert!(page.split("http").skip(1).all(|rest| rest.starts_with("://www.w3.org/2000/svg")));
    for words in
        ["Machine", "Method", "Thresholds", "exceeded", "Imaginary", "lockfile", "<svg class=\"chart\""]
    {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("flockwork bench 'it'\\''s here.toml'"), "the command is ready for a shell");
    assert!(page.contains("prefers-color-scheme:dark"));
    assert!(page.starts_with("<!DOCTYPE html>"));
}

#[test]
fn whatever_a_record_says_is_shown_and_not_obeyed() {
    let evil = "<script>alert(1)</script>\"'&";
    let mut record = record(1, &[(evil, Kind::default()), ("fs2", Kind::default())]);
    record.scenario = evil.into();
    record.machine.kernel = evil.into();
    record.argv.push(evil.into());
    record.cells[0].warnings.push(evil.into());
    record.cells[1].invalid = Some(evil.into());
    let scene = Scene { reproduce: None, scenario: Some(evil.into()) };
    let page = BenchReport::of(&record, &[]).html(&scene);
    assert!(!page.contains("<script"), "it would be run");
    assert!(page.matches("&lt;script&gt;").count() >= 7, "and it is shown");
}
