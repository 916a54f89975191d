//! docs/disks.md, made from the models' own tables, so that it cannot say anything else than the code does.

use std::fmt::Write;

use super::model::{ALL, COMMON, Disk, Rule};

const BEFORE: &str = include_str!("document-before.md");
const AFTER: &str = include_str!("document-after.md");

/// What was seen on real filesystems stands between these lines; `just disks` writes it.
const SEEN: (&str, &str) = ("<!-- seen: written by `just disks` -->\n", "<!-- end of seen -->\n");

/// The whole page, with what the one that is there says was seen.
#[must_use]
pub fn page(there: &str) -> String {
    let sections = ALL.map(section);
    let after = match (between(AFTER), between(there)) {
        (Some((before, _, after)), Some((_, seen, _))) => {
            format!("{before}{}{seen}{}{after}", SEEN.0, SEEN.1)
        }
        _ => AFTER.to_owned(),
    };
    let common = format!("## What holds of every model\n{}", table(&COMMON));
    format!("{BEFORE}\n{common}\n{}\n{after}", sections.join("\n"))
}

/// What stands before, between and after the lines around what was seen.
fn between(page: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = page.split_once(SEEN.0)?;
    let (seen, after) = rest.split_once(SEEN.1)?;
    Some((before, seen, after))
}

fn section(disk: &dyn Disk) -> String {
    let mut text = format!("## `{}`\n\n{}.\n\n", disk.name(), capitalised(disk.about()));
    let tearing = match disk.tears_at() {
        Some(bytes) => format!("A write may tear at every multiple of {bytes} bytes."),
        None => "A write never tears.".to_owned(),
    };
    text += &tearing;
    text.push('\n');
    text + &table(disk.rules())
}

fn table(rules: &[Rule]) -> String {
    let mut text =
        "\n| what happens | what the model promises or allows | source |\n|---|---|---|\n".to_owned();
    for rule in rules {
        writeln!(text, "| {} | {} | {} |", rule.event, rule.promise, rule.source).expect("memory takes it");
    }
    text
}

/// With a capital letter, unless the sentence begins with a filesystem's name.
fn capitalised(text: &str) -> String {
    if ["ext4", "xfs", "btrfs"].iter().any(|name| text.starts_with(name)) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
