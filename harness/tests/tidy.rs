//! Holds the house to its own rules: which folder may import which, how long a file may be, where unsafe code may stand.
//!
//! The order of the folders is the one that ARCHITECTURE.md lists under "Code map of the harness", from the top down: a
//! folder imports only what comes below it there. There are no exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, in lines.
const LINES_MAX: usize = 500;

/// Where unsafe code may stand.
const UNSAFE: &[&str] =
    &["harness/src/process/sys/", "harness/tests/explore/sys.rs", "harness/tests/disks/sys.rs"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Every Rust file of the workspace, by its path from there, with its text.
fn sources() -> BTreeMap<String, String> {
    let workspace = workspace();
    let mut found = BTreeMap::new();
    let mut folders: Vec<PathBuf> =
        ["src", "tests", "benches", "examples", "harness"].map(|folder| workspace.join(folder)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&workspace).expect("below it").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("a source"));
            }
        }
    }
    assert!(found.len() > 300, "only {} sources: the test looks in the wrong place", found.len());
    found
}

/// The folders of the harness as ARCHITECTURE.md lists them, the highest first.
fn order() -> Vec<String> {
    let map = fs::read_to_string(workspace().join("ARCHITECTURE.md")).expect("the map");
    let section = map.split("## Code map of the harness").nth(1).expect("the code map of the harness");
    let rows =
        section.split("\n## ").next().unwrap_or(section).lines().filter(|line| line.starts_with("| `"));
    let mut order = Vec::new();
    for row in rows {
        let named = row.split('|').nth(1).unwrap_or_default();
        for name in named.split('`').skip(1).step_by(2) {
            let top = name.split('/').next().unwrap_or(name).to_owned();
            if !order.contains(&top) {
                order.push(top);
            }
        }
    }
    order
}

/// The folder of the harness that a source belongs to.
fn folder_of(path: &str) -> Option<&str> {
    let inner = path.strip_prefix("harness/src/")?;
    let top = inner.split('/').next()?;
    Some(top.strip_suffix(".rs").unwrap_or(top)).filter(|top| !matches!(*top, "lib" | "main"))
}

/// Which folder imports which, with a source that does. Modules that the judge's crate gives are no folders here.
fn arrows(sources: &BTreeMap<String, String>) -> BTreeMap<(String, String), String> {
    let folders: BTreeSet<&str> = sources.keys().filter_map(|path| folder_of(path)).collect();
    let mut arrows = BTreeMap::new();
    for (path, text) in sources {
        let Some(from) = folder_of(path) else { continue };
        for part in text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| line.split("crate::").skip(1))
        {
            let to: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if to != from && folders.contains(to.as_str()) {
                arrows.entry((from.to_owned(), to)).or_insert_with(|| path.clone());
            }
        }
        assert!(
            !text.contains("crate::{"),
            "{path}: import each folder by a line of its own, so that arrows show"
        );
    }
    arrows
}

#[test]
fn folders_import_downwards_only() {
    let (sources, order) = (sources(), order());
    let place = |folder: &str| order.iter().position(|listed| listed == folder);
    let unlisted: BTreeSet<&str> =
        sources.keys().filter_map(|path| folder_of(path)).filter(|folder| place(folder).is_none()).collect();
    assert!(unlisted.is_empty(), "ARCHITECTURE.md does not list {unlisted:?}");
    let arrows = arrows(&sources);
    let mut wrong = Vec::new();
    for ((from, to), path) in &arrows {
        if place(from) > place(to) {
            wrong.push(format!("{from} -> {to} ({path}) runs up"));
        }
        if from < to && arrows.contains_key(&(to.clone(), from.clone())) {
            wrong.push(format!("{from} and {to} import each other"));
        }
    }
    assert!(wrong.is_empty(), "{} arrows of {}:\n{}", wrong.len(), arrows.len(), wrong.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{path}: {lines} lines"));
        }
    }
    assert!(wrong.is_empty(), "over {LINES_MAX} lines: {wrong:#?}");
}

/// What tests start must not outlive them. Sandboxes are marked and ended by `tests/support/marked.rs`, and what is static
/// is never dropped, so that no temporary folder may be.
#[test]
fn tests_leave_nothing_behind() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let is_test = path.starts_with("tests/") || path.starts_with("harness/tests/");
        if !is_test || path == "harness/tests/tidy.rs" {
            continue;
        }
        let unmarked = text.contains(".sandbox(Arc::new(Process") && path != "tests/support/marked.rs";
        let is_lasting = |line: &str| {
            let line = line.trim_start().trim_start_matches("pub ");
            line.starts_with("static ") && line.contains("TempDir")
        };
        if unmarked || text.lines().any(is_lasting) {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "sandboxes that nobody ends, or temporary folders that stay: {wrong:#?}");
}

#[test]
fn every_file_says_why_it_exists() {
    let silent = |text: &str| !text.trim_start().starts_with("//!");
    let wrong: Vec<String> =
        sources().into_iter().filter(|(_, text)| silent(text)).map(|(path, _)| path).collect();
    assert!(wrong.is_empty(), "no module documentation at the top: {wrong:#?}");
}

#[test]
fn unsafe_code_stands_where_it_may() {
    let is_unsafe = |line: &str| {
        let code = line.split("//").next().unwrap_or(line);
        ["unsafe {", "unsafe fn ", "unsafe impl ", "unsafe extern "].iter().any(|form| code.contains(form))
    };
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let may = UNSAFE.iter().any(|allowed| path.starts_with(allowed)) || path == "harness/tests/tidy.rs";
        if !may && text.lines().any(is_unsafe) {
            wrong.push(path);
        }
    }
    assert!(wrong.is_empty(), "unsafe code outside of the modules for it: {wrong:#?}");
}
