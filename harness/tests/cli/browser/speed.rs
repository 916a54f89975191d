//! A page of a million operations: how long it takes to write and to open. Measured, not judged: `just report-speed`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use super::driver::Browser;
use crate::support::{BROKEN, Place, ends_with};

/// A history of so many operations by sixteen processes, as a run keeps it.
fn history(path: &Path, operations: u64) {
    let mut out = zstd::Encoder::new(BufWriter::new(File::create(path).unwrap()), 1).unwrap();
    writeln!(out, r#"{{"flockwork_history":1,"model":"runsc","initial":{{"c1":"absent"}}}}"#).unwrap();
    for number in 0..operations {
        let (process, at) = (number % 16, 1_000_000 + number * 2_000 + number % 7 * 50);
        let (op, outcome) = if number % 3 == 0 {
            ("pause", r#""outcome":"refused","reason":"status","status":"paused""#)
        } else {
            ("state", r#""outcome":"ok","status":"paused""#)
        };
        let end = at + 20_000;
        writeln!(
            out,
            r#"{{"process":{process},"container":"c1","op":"{op}","invoke_ns":{at},"return_ns":{end},{outcome},"generation":1795651839896723386,"revision":{}}}"#,
            number / 16 + 1
        )
        .unwrap();
    }
    out.finish().unwrap().flush().unwrap();
}

/// As many holds of the container's lock, each within its operation: some exclusive, some shared.
fn holds(path: &Path, operations: u64) {
    let mut out = zstd::Encoder::new(BufWriter::new(File::create(path).unwrap()), 1).unwrap();
    writeln!(out, r#"{{"flockwork_holds":1}}"#).unwrap();
    for number in 0..operations {
        let (process, from) = (number % 16, 1_000_000 + number * 2_000 + number % 7 * 50 + 400);
        let to = from + 1_200 + number % 11 * 10;
        let shared = if number % 3 == 0 { r#","shared":true"# } else { "" };
        writeln!(out, r#"{{"container":"c1","process":{process},"from_ns":{from},"to_ns":{to}{shared}}}"#)
            .unwrap();
    }
    out.finish().unwrap().flush().unwrap();
}

/// What it takes without holds of a lock, and with one an operation.
#[test]
#[ignore = "it measures"]
fn a_million_operations() {
    for with_holds in [false, true] {
        million(with_holds);
    }
}

fn million(with_holds: bool) {
    let place = Place::new();
    place.file("broken.toml", BROKEN);
    ends_with(&mut place.run(&["broken.toml", "--seed", "5"]), 100);
    let run = place.runs().pop().unwrap();
    history(&run.join("history.jsonl.zst"), 1_000_000);
    if with_holds {
        holds(&run.join("holds.jsonl.zst"), 1_000_000);
    }
    let begun = Instant::now();
    let mut command = std::process::Command::new("/usr/bin/time");
    command
        .args(["-f", "%M KiB, %U s user, %S s system"])
        .arg(assert_cmd::cargo::cargo_bin!("flockwork"))
        .arg("report")
        .arg(&run);
    let output = command.output().unwrap();
    let written = begun.elapsed();
    let page = run.join("report.html");
    println!(
        "{}: written in {written:?}, at most {}, {} bytes",
        if with_holds { "with a million holds" } else { "without holds" },
        String::from_utf8_lossy(&output.stderr).trim(),
        fs::metadata(&page).unwrap().len()
    );
    let Some(browser) = Browser::start() else { return };
    let begun = Instant::now();
    browser.open(&page);
    println!(
        "opened in {:?}, ready after {} ms",
        begun.elapsed(),
        browser.value("document.getElementById('timeline').dataset.ready")
    );
    browser.run("document.querySelector('#timeline canvas').focus()");
    browser.press("0");
    for _ in 0..5 {
        println!("drawn in {} ms", browser.value("flockwork.redraw()"));
        browser.press("++");
    }
    println!("{} of {} operations", browser.value("flockwork.drawn"), browser.value("flockwork.total"));
}
