//! Words that others wrote hold what a terminal obeys: file names, descriptions, quoted lines, histories, versions, what
//! commands print. Whatever is said of them with `--color always` holds no more than our own colours.

use std::fs;
use std::process::Output;

use crate::support::{BROKEN, Place, SOUND};

/// Sets the title, clears the screen, conceals, goes back to the start of the line, and turns its direction.
const EVIL: &str = "e\u{1b}]0;title\u{7}\u{1b}[2J\u{1b}[8mvil\u{9b}31m\r\u{202e}";

/// The same where JSON or TOML spells it.
const EVIL_IN_TEXT: &str = "e\\u001b]0;title\\u0007\\u001b[2J\\u001b[8mvil\\u009b31m\\r\\u202e";

/// What is left of an output once our own styles are taken away: nothing odd may be in it.
#[track_caller]
fn is_tame(what: &str, output: &Output) {
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let text = String::from_utf8_lossy(bytes);
        let mut rest = text.to_string();
        for own in ["0", "1", "2", "4", "1;31", "31", "32", "33", "36", "1;33", "1;32"] {
            rest = rest.replace(&format!("\u{1b}[{own}m"), "");
        }
        let odd = rest.chars().find(|&c| !matches!(c, '\n' | '\t') && is_odd(c));
        assert_eq!(odd, None, "{what}: {name} holds {odd:?}:\n{rest:?}");
        assert!(!rest.contains("panicked"), "{what}: {rest}");
    }
}

fn is_odd(c: char) -> bool {
    flockwork::printable(&c.to_string()).to_string() != c.to_string()
}

fn told(place: &Place, words: &[&str]) -> Output {
    let mut command = place.flockwork(words);
    command.args(["--color", "always"]);
    let output = command.output().unwrap();
    is_tame(&format!("{words:?}"), &output);
    output
}

#[test]
fn no_output_holds_what_a_terminal_obeys() {
    let place = Place::new();
    let name = format!("{EVIL}.toml");
    place.file(&name, &SOUND.replace("Four processes.", EVIL_IN_TEXT));
    let said = told(&place, &["run", "--root", "root", &name, "--operations", "200", "--no-explain"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    for format in ["json", "junit", "github"] {
        let words =
            ["run", "--root", "root", &name, "--operations", "200", "--no-explain", "--format", format];
        told(&place, &words);
    }
    for words in
        [&["list", "."][..], &["list", ".", "--format", "json"], &["list", EVIL], &["run", EVIL], &[EVIL]]
    {
        told(&place, words);
    }
    // Lines that are quoted, keys that nobody knows, and words that stand where others are expected.
    for (number, text) in [
        format!("about = \"{EVIL}\n"),
        format!("{EVIL} = 1\n"),
        format!("about = \"x\"\nkind = \"{EVIL_IN_TEXT}\"\n"),
        SOUND.replace("\"library\"", &format!("\"{EVIL_IN_TEXT}\"")),
        SOUND.replace("think =", &format!("\"{EVIL_IN_TEXT}\" = 1\nthink =")),
    ]
    .iter()
    .enumerate()
    {
        let wrong = format!("wrong{number}.toml");
        place.file(&wrong, text);
        assert_eq!(told(&place, &["run", &wrong]).status.code(), Some(2), "{text}");
    }
    told(&place, &["run", &name, "--set", &format!("stress.{EVIL}=1")]);
    told(&place, &["run", &name, "--root", EVIL]);
    told(&place, &["doctor", "--root", EVIL]);
}

#[test]
fn no_finding_and_no_history_holds_what_a_terminal_obeys() {
    let place = Place::new();
    let name = format!("{EVIL}.toml");
    place.file(&name, &BROKEN.replace("No lock at all.", EVIL_IN_TEXT));
    told(&place, &["run", "--root", "root", &name, "--no-explain", "-v", "--results-dir", EVIL]);
    let results = place.path().join(EVIL);
    let run = fs::read_dir(&results).unwrap().flatten().find(|entry| entry.file_type().unwrap().is_dir());
    let run = run.expect("a run").path();
    let run = run.to_str().unwrap();
    for words in [
        &["check", run][..],
        &["replay", run],
        &["report", run],
        &["merge", run, run],
        &["compare", run, run],
    ] {
        told(&place, words);
    }
    let header = format!(
        "{{\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{{\"{EVIL_IN_TEXT}\":\"running\"}}}}\n"
    );
    let record = |process: u32, at: u32| {
        format!(
            "{{\"process\":{process},\"container\":\"{EVIL_IN_TEXT}\",\"op\":\"pause\",\"invoke_ns\":{at},\"return_ns\":{},\
             \"outcome\":\"ok\",\"message\":\"{EVIL_IN_TEXT}\"}}\n",
            at + 5
        )
    };
    let history = format!("{EVIL}.jsonl");
    place.file(&history, &(header + &record(1, 10) + &record(2, 20)));
    assert_eq!(told(&place, &["check", &history]).status.code(), Some(100));
    told(&place, &["check", &history, "-v"]);
    told(&place, &["check", &history, "--format", "json"]);
    told(&place, &["check", &history, "--model", EVIL]);
    place.file("broken.jsonl", &format!("{{\"flockwork_history\":1,\"model\":\"{EVIL_IN_TEXT}\"}}\n"));
    told(&place, &["check", "broken.jsonl"]);
    place.file("newer.json", &format!("{{\"version\":\"{EVIL_IN_TEXT}\",\"schema_version\":99}}"));
    for command in ["replay", "shrink", "report"] {
        told(&place, &[command, "newer.json"]);
    }
}

/// What commands print, and what their files are called.
#[test]
fn no_race_holds_what_a_terminal_obeys() {
    let place = Place::new();
    fs::create_dir(place.path().join("state")).unwrap();
    let script = place.file("tool.sh", "n=$(cat state/n 2>/dev/null || echo 0); printf '\\033]0;x\\007\\033[2J%s\\n' $n; sleep 0.01; echo $((n+1)) >state/n\n");
    let command = format!("sh {} {EVIL}", script.display());
    let words = ["race", "--state", "state", "--root", "root", "--budget", "2s", "--", &command, &command];
    let mut race = place.flockwork(&words[..7]);
    is_tame("race", &race.args(["--color", "always"]).args(&words[7..]).output().unwrap());
}
