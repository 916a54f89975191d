//! Every command that a page of the documentation shows is one that this binary takes, and names scenarios that exist.
//! (Pages whose commands can also be run as they stand have tests that run them.)

use std::fs;
use std::path::{Path, PathBuf};

use clap::Parser;

use super::args::{Cli, Command};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn pages() -> Vec<PathBuf> {
    let mut pages = vec!["README.md".into(), "deploy/README.md".into(), "scenarios/field/README.md".into()];
    for folder in ["docs", "docs/guides", "docs/findings"] {
        let entries = fs::read_dir(workspace().join(folder)).unwrap();
        let names = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name()));
        pages.extend(names.filter(|name| name.extension().is_some_and(|extension| extension == "md")));
    }
    pages
}

/// The commands of a page's code: a line's part from `flockwork` on, without what a shell makes of its end.
fn commands(page: &str) -> Vec<String> {
    let joined = page.replace("\\\n", " ");
    let mut is_fenced = false;
    let mut commands = Vec::new();
    for line in joined.lines() {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
        } else if is_fenced || line.starts_with("    ") {
            commands.extend(of_line(line));
        }
    }
    commands
}

fn of_line(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for part in parted(line.trim().trim_start_matches("$ ")) {
        let is_set = |word: &&str| word.contains('=') && word.starts_with(|c: char| c.is_ascii_uppercase());
        let mut words = part.split_whitespace().skip_while(is_set).peekable();
        if words.next_if(|word| *word == "flockwork").is_some() && words.peek().is_some() {
            let start = part.find("flockwork ").unwrap();
            found.push(part[start..].trim_end().to_owned());
        }
    }
    found
}

/// The parts between `&&` and `|`, outside of quotes, each up to where its output goes; a comment ends the line.
fn parted(line: &str) -> Vec<String> {
    let (mut parts, mut quote, mut is_over) = (vec![String::new()], None, false);
    let mut before = ' ';
    for c in line.chars() {
        match quote {
            None if matches!(c, '|' | '&') => {
                parts.push(String::new());
                is_over = false;
                before = c;
                continue;
            }
            None if c == '#' && before == ' ' => break,
            None if c == '>' => is_over = true,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ => {}
        }
        if !is_over {
            parts.last_mut().unwrap().push(c);
        }
        before = c;
    }
    parts
}

#[test]
fn the_commands_that_pages_show_are_taken() {
    let mut count = 0;
    for page in pages() {
        let text = fs::read_to_string(workspace().join(&page)).unwrap();
        for command in commands(&text) {
            let words = shlex::split(&command).unwrap_or_else(|| panic!("{}: {command}", page.display()));
            // A shell's variable stands for any value.
            let words = words.iter().map(|word| if word.starts_with('$') { "1" } else { word.as_str() });
            let cli = match Cli::try_parse_from(words) {
                Ok(cli) => cli,
                Err(error) => panic!("{}: {command}\n{error}", page.display()),
            };
            let paths = match cli.command {
                Command::Run(run) => run.paths,
                Command::Bench(bench) => bench.paths,
                _ => Vec::new(),
            };
            for path in &paths {
                exists(&page, path);
            }
            count += 1;
        }
    }
    assert!(count > 60, "only {count} commands");
}

/// A path of the repository is there; a name is that of a scenario.
fn exists(page: &Path, path: &Path) {
    let is_name = path.extension().is_none() && path.components().count() == 1;
    if path.starts_with("scenarios") {
        assert!(workspace().join(path).exists(), "{}: {}", page.display(), path.display());
    } else if is_name {
        let places = ["", "history", "bench", "crash"];
        let file = |place: &&str| {
            workspace().join("scenarios").join(place).join(path).with_extension("toml").exists()
        };
        assert!(places.iter().any(file), "{}: {}", page.display(), path.display());
    }
}

#[test]
fn a_shown_command_is_found_in_its_line() {
    assert_eq!(of_line("    $ flockwork run x.toml --seed 1   # why"), ["flockwork run x.toml --seed 1"]);
    assert_eq!(of_line("A=1 flockwork man >f && cd d"), ["flockwork man"]);
    assert_eq!(of_line("cargo install x && flockwork doctor"), ["flockwork doctor"]);
    assert!(of_line("# flockwork is a word").is_empty());
    assert!(Cli::try_parse_from(["flockwork", "run", "--no-such-flag"]).is_err());
}
