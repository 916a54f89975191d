//! The formats of CI servers, and what somebody could put into a name or a text to break out of any format.

use std::fs;

use crate::support::{BROKEN, Place, SOUND, ends_with, json, stderr, stdout};

/// A file's name may hold anything but a slash.
const HOSTILE: &str =
    "<script>alert(1)<script> ]]> &amp;\n::error::injected\n##[error]old \u{1b}[31m | `x` %0A \u{202e}";

/// Each line of a log that GitHub's runner would obey.
fn commands(log: &str) -> Vec<&str> {
    log.split(['\n', '\r'])
        .filter(|line| line.trim_start().starts_with("::") || line.contains("##["))
        .collect()
}

#[test]
fn junit_is_written_beside_any_format_and_by_itself() {
    let place = Place::new();
    place.file("broken.toml", BROKEN);
    place.file("sound.toml", SOUND);
    let words = ["broken.toml", "sound.toml", "--seed", "5", "--junit", "out.xml", "--format", "json"];
    let report = json(&ends_with(&mut place.run(&words), 100));
    let text = fs::read_to_string(place.path().join("out.xml")).unwrap();
    let document = roxmltree::Document::parse(&text).expect(&text);
    let suites: Vec<_> = document.descendants().filter(|node| node.has_tag_name("testsuite")).collect();
    assert_eq!(
        suites.iter().map(|suite| suite.attribute("name").unwrap()).collect::<Vec<_>>(),
        ["broken", "sound"]
    );
    for (suite, scenario) in suites.iter().zip(report["scenarios"].as_array().unwrap()) {
        let cases = suite.children().filter(|node| node.has_tag_name("testcase")).count();
        assert_eq!(cases, scenario["checks"].as_array().unwrap().len() + 1, "{text}");
    }
    let failure = suites[0].descendants().find(|node| node.has_tag_name("failure")).unwrap();
    assert!(failure.text().unwrap().contains("run it again: flockwork run broken.toml --seed 5"), "{text}");
    assert!(suites[1].descendants().all(|node| !node.has_tag_name("failure") && !node.has_tag_name("error")));
    let alone = stdout(&ends_with(&mut place.run(&["sound.toml", "--format", "junit"]), 0));
    assert!(roxmltree::Document::parse(&alone).is_ok(), "stdout is one document:\n{alone}");
}

#[test]
fn a_junit_file_that_cannot_be_written_is_an_error_and_the_report_comes_all_the_same() {
    let place = Place::new();
    place.file("sound.toml", SOUND);
    let output = ends_with(&mut place.run(&["sound.toml", "--junit", "no/such/folder.xml"]), 1);
    assert!(stderr(&output).contains("no/such/folder.xml cannot be written"), "{}", stderr(&output));
    assert!(stdout(&output).contains("clean"), "{}", stdout(&output));
}

#[test]
fn github_gets_annotations_and_a_summary_of_the_step() {
    let place = Place::new();
    place.file("broken.toml", BROKEN);
    let summary = place.file("summary.md", "earlier\n");
    let mut command = place.run(&["broken.toml", "--format", "github"]);
    let log = stdout(&ends_with(command.env("GITHUB_STEP_SUMMARY", &summary), 100));
    let annotations = commands(&log);
    assert!((1..=10).contains(&annotations.len()), "{log}");
    assert!(annotations.iter().all(|line| line.starts_with("::error title=")), "{log}");
    assert!(annotations[0].starts_with("::error title=broken%3A "), "{log}");
    let text = fs::read_to_string(summary).unwrap();
    assert!(text.starts_with("earlier\n## flockwork: violation") && text.contains("| broken |"), "{text}");
}

#[test]
fn commands_without_scenarios_have_no_format_of_a_ci_server() {
    let place = Place::new();
    for format in ["junit", "github"] {
        let output = ends_with(&mut place.flockwork(&["list", "--format", format]), 2);
        assert!(stderr(&output).contains("for run"), "{}", stderr(&output));
    }
}

#[test]
fn whatever_is_in_a_name_stays_a_name_in_every_format() {
    let place = Place::new();
    let about = "\"<script>alert(2)</script> ]]> \\u001B[31m ::error::injected\"";
    let text = BROKEN.replace("\"No lock at all.\"", about);
    place.file(&format!("s/{HOSTILE}.toml"), &text);
    let summary = place.path().join("summary.md");
    for format in ["human", "json", "junit", "github"] {
        let mut command = place.run(&["s", "--format", format, "--color", "always"]);
        let output = ends_with(command.env("GITHUB_STEP_SUMMARY", &summary), 100);
        let (out, err) = (stdout(&output), stderr(&output));
        assert!(!out.contains("\u{1b}[31m |") && !err.contains("\u{1b}[31m |"), "{format}: {out:?} {err:?}");
        match format {
            "json" => assert_eq!(json(&output)["scenarios"][0]["name"], HOSTILE),
            "junit" => {
                let document = roxmltree::Document::parse(&out).expect(&out);
                assert!(document.descendants().all(|node| !node.has_tag_name("script")), "{out}");
            }
            "github" => {
                assert!(commands(&out).iter().all(|line| line.starts_with("::error title=")), "{out}");
                assert_eq!(commands(&err), Vec::<&str>::new());
                assert!(!fs::read_to_string(&summary).unwrap().contains("<script"));
            }
            _ => assert!(!out.lines().any(|line| line.trim_start().starts_with("::")), "{out}"),
        }
    }
    let run = place.runs().pop().unwrap();
    ends_with(&mut place.flockwork(&["report", run.to_str().unwrap()]), 0);
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert(2)"), "it is escaped");
}
