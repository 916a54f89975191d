//! Compiles the scenarios of the repository into the binary, so that an installed one needs no checkout.
//!
//! `scenarios` beside this file is a link to the repository's folder, which packaging replaces by what it leads to. A
//! build that finds no scenarios there, or not those that it must, fails: an empty suite would pass everything.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// The folders of the built-in suite, below `scenarios/`.
const FOLDERS: [&str; 3] = ["", "history", "regressions"];

/// What is always there, of the suite and besides: whoever packages without these has lost the rest as well.
const REQUIRED: [&str; 3] = ["create-pause-resume.toml", "history/no-lock.toml", "bench/default.toml"];

fn main() -> io::Result<()> {
    let scenarios =
        PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("scenarios");
    for required in REQUIRED {
        let path = scenarios.join(required);
        if !path.is_file() {
            return Err(io::Error::other(format!(
                "{}: the built-in suite is not there; harness/scenarios must lead to the repository's scenarios",
                path.display()
            )));
        }
    }
    println!("cargo::rerun-if-changed={}", scenarios.display());
    println!("cargo::rerun-if-changed=build.rs");
    let mut list = String::from("&[\n");
    for folder in FOLDERS {
        for path in toml_files(&scenarios.join(folder))? {
            let name =
                path.file_name().expect("a file has a name").to_str().expect("scenario names are UTF-8");
            let relative = Path::new(folder).join(name);
            let (relative, text) = (relative.to_str(), path.canonicalize()?);
            let (relative, text) =
                (relative.expect("UTF-8"), text.to_str().expect("the checkout's path is UTF-8"));
            writeln!(list, "    ({relative:?}, include_str!({text:?})),").expect("a String takes all");
        }
    }
    list.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("builtin_scenarios.rs");
    fs::write(out, list)
}

/// The folder's TOML files, sorted; none where there is no such folder.
fn toml_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_file() && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
