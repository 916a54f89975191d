//! An auditor: reads watched files at full speed, without any lock, and says where one is not whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use globset::GlobMatcher;

use super::context::CommandContext;
use super::wire::Torn;
use super::worker::appending;
use crate::plan::command::Whole;
use crate::process::clock::now_ns;
use crate::process::launch::Ending;
use crate::subject::command::glob;

/// How often the folder is listed anew, in nanoseconds.
const LIST_NS: u64 = 5_000_000;
/// How many files that are not whole one auditor writes down in a round.
const TORN_MAX: u64 = 16;
/// How much of a file is quoted.
const QUOTED_CHARS: usize = 300;

/// Looks until the workers have left.
pub(super) fn work(shared: &CommandContext, round: u64, process: u32) -> io::Result<()> {
    let matchers: Vec<(GlobMatcher, &Whole)> = shared
        .plan
        .watch
        .iter()
        .filter_map(|watched| Some((glob(&watched.pattern).ok()?, &watched.whole)))
        .collect();
    let header = shared.region.header(process);
    let control = shared.region.control();
    let mut out = appending(&shared.places.record_of(process))?;
    let mut files = Vec::new();
    let mut listed_ns = 0;
    let mut torn = 0;
    while control.workers_left.load(Ordering::Acquire) == 0 {
        let at_ns = now_ns();
        if at_ns - listed_ns >= LIST_NS {
            listed_ns = at_ns;
            files.clear();
            gather(&shared.places.state, Path::new(""), &matchers, &mut files);
        }
        if files.is_empty() {
            crate::process::clock::wait_ns(100_000);
        }
        for (file, whole) in &files {
            let Ok(content) = fs::read(shared.places.state.join(file)) else { continue };
            header.completed.fetch_add(1, Ordering::Relaxed);
            let Some(why) = unwhole(shared, process, file, whole, &content)? else { continue };
            header.torn.fetch_add(1, Ordering::Relaxed);
            torn += 1;
            if torn <= TORN_MAX {
                let content = quoted(&content);
                let torn = Torn { round, at_ns: now_ns(), file: file.display().to_string(), why, content };
                serde_json::to_writer(&mut out, &torn)?;
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()
}

fn gather<'w>(
    root: &Path,
    at: &Path,
    matchers: &[(GlobMatcher, &'w Whole)],
    files: &mut Vec<(PathBuf, &'w Whole)>,
) {
    let Ok(entries) = fs::read_dir(root.join(at)) else { return };
    for entry in entries.flatten() {
        let path = at.join(entry.file_name());
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            gather(root, &path, matchers, files);
        } else if kind.is_file() {
            let whole = matchers.iter().find(|(glob, _)| glob.is_match(&path));
            files.extend(whole.map(|(_, whole)| (path, *whole)));
        }
    }
}

/// What is wrong with what was read; nothing where it is whole.
fn unwhole(
    shared: &CommandContext,
    process: u32,
    file: &Path,
    whole: &Whole,
    content: &[u8],
) -> io::Result<Option<String>> {
    let Ok(text) = std::str::from_utf8(content) else {
        if let Whole::Command(_) = whole {
            return by_command(shared, process, file, whole, content);
        }
        return Ok(Some("it is not UTF-8".into()));
    };
    Ok(match whole {
        Whole::Json => {
            serde_json::from_str::<serde::de::IgnoredAny>(text).err().map(|error| error.to_string())
        }
        Whole::Toml => toml::from_str::<toml::Table>(text).err().map(|error| error.message().to_owned()),
        Whole::Yaml if text.trim().is_empty() => Some("it is empty".into()),
        Whole::Yaml => yaml_rust2::YamlLoader::load_from_str(text).err().map(|error| error.to_string()),
        Whole::Command(_) => return by_command(shared, process, file, whole, content),
    })
}

/// Asks a command about a copy of what was read: what the command would read itself may be another by then.
fn by_command(
    shared: &CommandContext,
    process: u32,
    file: &Path,
    whole: &Whole,
    content: &[u8],
) -> io::Result<Option<String>> {
    let Whole::Command(line) = whole else { return Ok(None) };
    let folder = shared.places.copies.join(process.to_string());
    fs::create_dir_all(&folder)?;
    let copy = folder.join(file.file_name().unwrap_or_default());
    fs::write(&copy, content)?;
    let done = shared.run_alone(line, Some(&copy), "watch")?;
    let said = [&done.stderr, &done.stdout].map(|text| String::from_utf8_lossy(text).trim().to_owned());
    let said = said.into_iter().find(|said| !said.is_empty()).unwrap_or_default();
    Ok(match done.ending {
        Ending::Exited(0) => None,
        Ending::Exited(code) => Some(format!("{}: exit code {code}: {said}", line.text)),
        other => return Err(io::Error::other(format!("watch: {}: {other:?}", line.text))),
    })
}

fn quoted(content: &[u8]) -> String {
    let text = String::from_utf8_lossy(content);
    match text.char_indices().nth(QUOTED_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}
