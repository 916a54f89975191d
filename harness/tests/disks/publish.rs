//! What was seen, as the tables of docs/disks.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use super::cases::by_hand;
use super::filesystem::ALL;
use super::suite::Row;

const BEGIN: &str = "<!-- seen: written by `just disks` -->\n";
const END: &str = "<!-- end of seen -->\n";

/// Writes the tables between their marks.
pub fn publish(rows: &[Row], torn: &[Row]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/disks.md");
    let page = std::fs::read_to_string(&path).expect("docs/disks.md");
    let (before, rest) = page.split_once(BEGIN).expect("the mark before the tables");
    let (_, after) = rest.split_once(END).expect("the mark after the tables");
    let page = format!("{before}{BEGIN}{}{END}{after}", tables(rows, torn));
    std::fs::write(&path, page).expect("docs/disks.md is writable");
    println!("written: docs/disks.md");
}

fn tables(rows: &[Row], torn: &[Row]) -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version: Vec<&str> = release.trim().split('.').take(2).collect();
    let mut text = format!("What the file named in a case held, on Linux {}:\n\n", version.join("."));
    text += "| what was done (files of 12 KiB) |";
    for filesystem in ALL {
        write!(text, " {} |", filesystem.model).expect("memory takes it");
    }
    text += "\n|---|---|---|---|---|---|\n";
    for (case, _) in by_hand() {
        write!(text, "| {}: `{}` |", case.name, case.shown).expect("memory takes it");
        for filesystem in ALL {
            let seen = rows.iter().find(|row| row.model == filesystem.model && row.case == case.name);
            let words: Vec<&str> =
                seen.map_or(vec!["not tried"], |row| row.seen.shown.iter().copied().collect());
            write!(text, " {} |", words.join(", ")).expect("memory takes it");
        }
        text += "\n";
    }
    text += "\nHow much of each model was seen, and what a disk left that tears file data at sectors of 512 bytes:\n\n";
    text += "| model | disks mounted | of the states allowed: by hand | random calls | outside of the model | outside, torn at 512 bytes |\n";
    text += "|---|---|---|---|---|---|\n";
    for filesystem in ALL {
        let of = |random: bool| -> (usize, usize) {
            rows.iter()
                .filter(|row| row.model == filesystem.model && (row.case == "random calls") == random)
                .fold((0, 0), |(seen, all), row| (seen + row.seen.reached, all + row.seen.allowed))
        };
        let mine = |rows: &'_ [Row]| -> (usize, usize) {
            rows.iter().filter(|row| row.model == filesystem.model).fold((0, 0), |(images, outside), row| {
                (images + row.seen.images, outside + row.seen.outside.len())
            })
        };
        let ((by_hand_seen, by_hand_all), (random_seen, random_all)) = (of(false), of(true));
        let ((images, outside), (torn_images, torn_outside)) = (mine(rows), mine(torn));
        writeln!(
            text,
            "| `{}` | {} | {by_hand_seen} of {by_hand_all} | {random_seen} of {random_all} | {outside} | {torn_outside} |",
            filesystem.model,
            images + torn_images
        )
        .expect("memory takes it");
    }
    text += &torn_cases(torn);
    text
}

/// Which cases left something outside of a model when data tore at sectors.
fn torn_cases(torn: &[Row]) -> String {
    let mut by_case: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in torn.iter().filter(|row| !row.seen.outside.is_empty()) {
        by_case.entry(&row.case).or_default().insert(row.model);
    }
    if by_case.is_empty() {
        return "\nTorn at 512 bytes, no case left anything outside of its model.\n".into();
    }
    let mut text = "\nTorn at 512 bytes, these cases left states that their model does not allow:".to_owned();
    let told: Vec<String> = by_case
        .into_iter()
        .map(|(case, models)| format!(" {case} ({})", models.into_iter().collect::<Vec<_>>().join(", ")))
        .collect();
    text += &told.join(";");
    text += ".\n";
    text
}
