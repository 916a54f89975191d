//! The tables of docs/crash.md on the library: every operation from every status on every model, what is left of saves without
//! fsync, and what each fsync is needed for.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use flockwork_harness::engine::explore::Damage;
use flockwork_harness::process::Zygote;

use super::power::{DAMAGES, DISKS, damages, must_last, omissions, pairs, statuses, without};
use super::spaces::Case;

/// Makes the tables, and puts them into the document where all models are wanted; else it only prints them.
pub fn publish(zygote: &mut Zygote, is_wanted: impl Fn(&str) -> bool) -> ExitCode {
    let all: Vec<&str> = DISKS.into_iter().filter(|disk| is_wanted(disk)).collect();
    let is_whole = all.len() == DISKS.len();
    let quick = format!("{}\n{}", left(zygote, &all), needed(zygote, &all));
    println!("{quick}");
    if is_whole {
        fill("fsyncs", &quick);
    }
    let (pairs, is_clean) = matrix(zygote, &all);
    println!("{pairs}");
    if is_whole {
        fill("pairs", &pairs);
    }
    if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Puts a text between the marks of this name in the document.
fn fill(name: &str, text: &str) {
    let begin = format!("<!-- library, {name}: written by `just crash-library` -->\n");
    let end = format!("<!-- end of library, {name} -->\n");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/crash.md");
    let page = fs::read_to_string(&path).expect("docs/crash.md");
    let (before, rest) = page.split_once(&begin).expect("the mark before the tables");
    let (_, after) = rest.split_once(&end).expect("the mark after the tables");
    fs::write(&path, format!("{before}{begin}{text}{end}{after}")).expect("docs/crash.md is writable");
}

/// Every pair of operations from every status.
fn matrix(zygote: &mut Zygote, disks: &[&str]) -> (String, bool) {
    let mut text = "| model | programs | executions | moments | allowed | states | seconds | verdict |\n\
                    |---|--:|--:|--:|--:|--:|--:|---|\n"
        .to_owned();
    let mut is_clean = true;
    for disk in disks {
        let begun = Instant::now();
        let (mut cases, mut executions, mut moments, mut allowed, mut judged) = (0_u64, 0, 0, 0, 0);
        let (mut broken, mut bounded) = (Vec::new(), 0_u64);
        for status in statuses() {
            for (one, other) in pairs(status.0) {
                let case = Case::new(status, &[&[one], &[other]]);
                let outcome =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| must_last(zygote, &case, disk)));
                cases += 1;
                match outcome {
                    Ok((_, power)) => {
                        executions += power.executions;
                        moments += power.moments;
                        allowed += power.allowed;
                        judged += power.states;
                        bounded += u64::from(power.is_bounded);
                    }
                    Err(_) => broken.push(case.words()),
                }
            }
            eprintln!("{disk}: {}, {:.0} s", status.0, begun.elapsed().as_secs_f64());
        }
        let seconds = begun.elapsed().as_secs_f64();
        let verdict = match (broken.len(), bounded) {
            (0, 0) => "clean".to_owned(),
            (0, some) => format!("clean; of {some} programs all states with up to two pieces missing"),
            (some, _) => format!("**{some} broken**"),
        };
        for words in &broken {
            eprintln!("{disk}: {words}");
        }
        is_clean &= broken.is_empty();
        let row = format!(
            "| `{disk}` | {cases} | {executions} | {moments} | {allowed} | {judged} | {seconds:.0} | {verdict} |\n"
        );
        eprint!("{row}");
        text += &row;
    }
    (text, is_clean)
}

/// What a save leaves that is not synced, or made in place.
fn left(zygote: &mut Zygote, disks: &[&str]) -> String {
    let mut text =
        "| `write` | model | a power loss leaves of `meta.json` | wrong states |\n|---|---|---|--:|\n"
            .to_owned();
    for (write, disk, _) in DAMAGES.iter().filter(|(_, disk, _)| disks.contains(disk)) {
        let (_, power) = damages(zygote, write, disk);
        let found: BTreeSet<Damage> = power.damages.keys().map(|(_, damage)| *damage).collect();
        let words: Vec<&str> =
            ["the old one", "the new one"].into_iter().chain(found.into_iter().map(in_words)).collect();
        writeln!(
            text,
            "| `{write}` | `{disk}` | {} | {} of {} |",
            words.join(", "),
            power.wrong,
            power.allowed
        )
        .expect("memory takes it");
    }
    text
}

const fn in_words(damage: Damage) -> &'static str {
    match damage {
        Damage::Missing => "**nothing: it is missing**",
        Damage::Empty => "**an empty file**",
        Damage::Zeros => "**zeros**",
        Damage::Cut => "**the beginning of it**",
        Damage::Mixed => "**parts of it and zeros**",
        Damage::None => "**a whole file that is not the last one acknowledged**",
    }
}

/// What each fsync is needed for.
fn needed(zygote: &mut Zygote, disks: &[&str]) -> String {
    let mut text = "| operation | fsync that is left out | |".to_owned();
    for disk in disks {
        write!(text, " `{disk}` |").expect("memory takes it");
    }
    text += "\n|---|---|---|";
    text += &"---|".repeat(disks.len());
    text.push('\n');
    for omission in omissions() {
        let late = if omission.is_late { ", late" } else { "" };
        write!(text, "| {} | `{}`{late} | {} |", omission.operation, omission.fsync, omission.rule)
            .expect("memory takes it");
        for disk in disks {
            let verdict = match without(zygote, &omission, disk) {
                None => "no such fsync".to_owned(),
                Some((run, _)) if run.discoveries.is_empty() => "harmless".to_owned(),
                Some((_, power)) => format!("found, {} of {}", power.wrong, power.allowed),
            };
            write!(text, " {verdict} |").expect("memory takes it");
        }
        text.push('\n');
    }
    text
}
