//! Each pair is complete: both programs, what it mirrors, and every kind of fault in the languages that people use.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::pair::{By, Pair, Variant, folder, names};

/// The kinds of faults that the corpus must have.
const KINDS: [&str; 19] = [
    "append-without-o-append",
    "check-then-create",
    "clean-up-against-create",
    "fcntl-lock-lost-on-close",
    "fixed-temporary-name",
    "gvisor-2018",
    "lock-inherited-across-fork",
    "lock-left-by-kill",
    "pid-reuse",
    "read-modify-write",
    "rename-without-fsync",
    "replacing-a-folder",
    "steal-stale-lock",
    "truncate-in-place",
    "two-files-replaced-apart",
    "two-places-in-the-wrong-order",
    "two-takers-of-one-job",
    "unlink-on-release",
    "upgrade-of-a-shared-lock",
];

fn pairs() -> Vec<Pair> {
    names().iter().map(|name| Pair::read(name)).collect()
}

#[test]
fn every_kind_has_a_pair_and_every_pair_a_kind() {
    let kinds: BTreeSet<String> = pairs().into_iter().map(|pair| pair.kind).collect();
    assert_eq!(kinds, KINDS.map(str::to_owned).into());
}

#[test]
fn at_least_four_languages_are_there() {
    let languages: BTreeSet<String> = pairs().into_iter().map(|pair| pair.language).collect();
    assert!(languages.is_superset(&["C", "Go", "Python", "sh"].map(str::to_owned).into()), "{languages:?}");
}

#[test]
fn every_pair_names_public_reports_in_its_readme() {
    for pair in pairs() {
        let readme = fs::read_to_string(folder().join(&pair.name).join("README.md")).expect("a README.md");
        assert!(!pair.reports.is_empty(), "{}: no report", pair.name);
        for report in &pair.reports {
            assert!(readme.contains(report), "{}: README.md does not name {report}", pair.name);
        }
        for part in ["**Operations.**", "**Semantics.**", "**What breaks.**", "**Shortest interleaving**"] {
            assert!(readme.contains(part), "{}: README.md lacks {part}", pair.name);
        }
    }
}

#[test]
fn the_list_of_the_corpus_names_every_pair() {
    let list = fs::read_to_string(folder().join("README.md")).expect("a README.md");
    for Pair { name, kind, language, .. } in pairs() {
        let row = format!("| [{name}]({name}/README.md) | {kind} | {language} |");
        assert!(list.contains(&row), "README.md lacks the row {row}");
    }
}

#[test]
fn twins_differ_from_what_they_correct() {
    for pair in pairs() {
        let file = |variant: Variant| {
            let folder = folder().join(&pair.name).join(variant.as_str());
            let mut files: Vec<_> =
                fs::read_dir(folder).expect("a folder").map(|entry| entry.unwrap()).collect();
            assert_eq!(files.len(), 1, "{} {}: one file", pair.name, variant.as_str());
            files.remove(0)
        };
        let (broken, fixed) = (file(Variant::Broken), file(Variant::Fixed));
        assert_eq!(broken.file_name(), fixed.file_name(), "{}", pair.name);
        assert_ne!(fs::read(broken.path()).unwrap(), fs::read(fixed.path()).unwrap(), "{}", pair.name);
        if pair.build.is_none() {
            for script in [&broken, &fixed] {
                let mode = script.metadata().unwrap().permissions().mode();
                assert!(mode & 0o111 == 0o111, "{} is not executable", script.path().display());
            }
        }
    }
}

#[test]
fn every_race_names_the_class_of_its_finding() {
    for pair in pairs() {
        for race in &pair.races {
            let classes: &[&str] = match race.by {
                By::Race | By::Kill => &["not-serializable", "deadlock"],
                By::Crash => &["lost-by-crash"],
            };
            assert!(classes.contains(&race.found.as_str()), "{}: {race:?}", pair.name);
        }
    }
}

#[test]
fn every_race_has_processes() {
    for pair in pairs() {
        assert!(!pair.races.is_empty(), "{}: no race", pair.name);
        for race in &pair.races {
            assert!(race.processes.len() >= 2, "{}: {race:?}", pair.name);
            assert!(race.processes.iter().all(|commands| !commands.is_empty()), "{}: {race:?}", pair.name);
        }
    }
}
