//! A moment of a replay in words: who is where, and what lies in the folder.

use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::super::output::room;
use crate::explore::observe::Scene;
use crate::report::table::render;
use crate::subject::replica::RunscStatus;

/// Of a longer file the size is enough.
const SHOWN_BYTES_MAX: usize = 4096;
/// Of a longer line the beginning is enough.
const SHOWN_CHARACTERS: usize = 100;
/// On a narrow terminal at least so much is shown of a line.
const SHOWN_CHARACTERS_MIN: usize = 20;
/// What the other columns of the table take of a terminal's width, about.
const OTHER_COLUMNS: usize = 38;
/// More files than these nobody reads on a terminal.
const FILES_MAX: usize = 40;

/// Each process: its pid and what it is about to do.
#[must_use]
pub fn processes(scene: &Scene<'_>) -> String {
    let rows: Vec<Vec<String>> = scene
        .pending
        .iter()
        .enumerate()
        .map(|(process, pending)| {
            let mark = if process == scene.next { ">" } else { "" };
            let pid = scene.pids.get(process).copied().flatten();
            let about_to = match (pending, pid) {
                (_, None) => "killed".to_owned(),
                (None, _) => "has ended".to_owned(),
                (Some(step), _) if scene.enabled.has(process) => step.label.to_string(),
                (Some(step), _) => format!("{}  (has to wait)", step.label),
            };
            let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
            vec![mark.to_owned(), format!("p{}", process + 1), pid, about_to]
        })
        .collect();
    render(&["", "process", "pid", "is about to"], &rows, 2..3)
}

/// What lies in the folder: each file with its size, and of small ones the first line.
#[must_use]
pub fn folder(root: &Path) -> String {
    let mut paths = Vec::new();
    gather(root, &mut paths);
    paths.sort();
    let more = paths.len().saturating_sub(FILES_MAX);
    let rows: Vec<Vec<String>> = paths.iter().take(FILES_MAX).map(|path| row(root, path)).collect();
    if rows.is_empty() {
        return "the folder is empty\n".into();
    }
    let mut text = render(&["file", "bytes", "[status] and how it begins"], &rows, 1..2);
    if more > 0 {
        writeln!(text, "and {more} more").expect("a String takes all");
    }
    text
}

fn gather(folder: &Path, paths: &mut Vec<PathBuf>) {
    // What has gone away in between is not there: the processes stand still, but a debugger's user may not.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            gather(&entry.path(), paths);
        }
        paths.push(entry.path());
    }
}

fn row(root: &Path, path: &Path) -> Vec<String> {
    let name = path.strip_prefix(root).unwrap_or(path).display().to_string();
    let Ok(about) = path.symlink_metadata() else { return vec![name, "-".into(), "gone".into()] };
    if !about.is_file() {
        let mark = if about.is_dir() { "/" } else { "" };
        return vec![format!("{name}{mark}"), "-".into(), String::new()];
    }
    vec![name, about.len().to_string(), first_line(path)]
}

fn first_line(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(SHOWN_BYTES_MAX as u64 + 1).read_to_end(&mut bytes));
    if read.is_err() || bytes.len() > SHOWN_BYTES_MAX {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let status = serde_json::from_str(&text).ok().and_then(|json| status(&json));
    let status = status.map_or_else(String::new, |status| format!("[{status}] "));
    let line: Vec<char> =
        text.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    let room = room().map_or(SHOWN_CHARACTERS, |width| usize::from(width).saturating_sub(OTHER_COLUMNS));
    let characters = room.clamp(SHOWN_CHARACTERS_MIN, SHOWN_CHARACTERS);
    let cut = if line.len() > characters { " …" } else { "" };
    let shown: String = line.into_iter().take(characters).collect();
    format!("{status}{shown}{cut}")
}

/// The status that metadata tell, by its name: runsc writes a number.
fn status(json: &serde_json::Value) -> Option<String> {
    match json.get("status")? {
        serde_json::Value::String(name) => Some(name.clone()),
        number if json.get("bundleDir").is_some() => {
            let number = u8::try_from(number.as_u64()?).ok()?;
            RunscStatus::try_from(number).ok().map(|status| status.to_string())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_show_how_they_begin() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(super::folder(folder.path()), "the folder is empty\n");
        fs::create_dir(folder.path().join("c1")).unwrap();
        fs::write(folder.path().join("c1/meta.json"), "{\"status\":\"running\",\n\"more\":1}").unwrap();
        fs::write(folder.path().join("c1/meta.lock"), "").unwrap();
        fs::write(folder.path().join("c1/other"), "{\"status\":3}").unwrap();
        fs::write(folder.path().join("c1/runsc"), "{\"bundleDir\":\"/b\",\"status\":3}").unwrap();
        fs::write(folder.path().join("large"), "x".repeat(5000)).unwrap();
        let lines: Vec<_> = super::folder(folder.path()).lines().map(str::to_owned).collect();
        assert_eq!(
            lines,
            [
                "file          bytes  [status] and how it begins",
                "c1/               -",
                "c1/meta.json     30  [running] {\"status\":\"running\",",
                "c1/meta.lock      0",
                "c1/other         12  {\"status\":3}",
                "c1/runsc         29  [running] {\"bundleDir\":\"/b\",\"status\":3}",
                "large          5000",
            ]
        );
    }
}
