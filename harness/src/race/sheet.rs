//! An outcome as a sheet: a value at each place, as far as it is compared. Masks and what is ignored are out of it already.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::bytes::Regex;

use super::outcome::{Done, Ending, Outcome, Output, Who};
use crate::ground::{Body, Capture, Kind};
pub use crate::plan::race::Compare;

/// A place of an outcome, ordered as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// How a command ended.
    Ending(Who),
    /// What it wrote to stdout.
    Stdout(Who),
    /// What it wrote to stderr.
    Stderr(Who),
    /// What lies at a path, and what it holds.
    Entry(Location),
}

/// A path within one of the state folders.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Location {
    /// Which of them, counted from 0.
    pub folder: usize,
    /// The path within it; the folder itself has none.
    pub path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ending(who) => write!(f, "{who}"),
            Self::Stdout(who) => write!(f, "{who} stdout"),
            Self::Stderr(who) => write!(f, "{who} stderr"),
            Self::Entry(location) if location.path.is_empty() => f.write_str("the folder itself"),
            Self::Entry(location) => f.write_str(&location.path),
        }
    }
}

/// What stands at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// What is compared exactly: an exit code, an entry's kind and mode.
    pub word: String,
    /// What is compared as a text.
    pub text: Option<Arc<[u8]>>,
}

impl Value {
    fn word(word: impl Into<String>) -> Self {
        Self { word: word.into(), text: None }
    }
}

/// When folders are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// When the commands of all processes have ended.
    AllEnded,
    /// When what comes after has ended, too.
    AfterThen,
}

/// Values by their places.
pub type Sheet = BTreeMap<Place, Value>;

/// What of an outcome is compared, and how it is made ready for that.
#[derive(Clone, Debug)]
pub struct Comparator {
    /// What of an execution is compared.
    pub compare: Compare,
    masks: Vec<Regex>,
    ignored: GlobSet,
}

/// A mask or a path to ignore that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ComparatorError {
    /// A mask is not a regular expression.
    #[error("--mask {mask:?}: it is not a regular expression: {why}")]
    Mask {
        /// As it was written.
        mask: String,
        /// What is wrong with it.
        why: String,
    },
    /// A path cannot be read.
    #[error("--ignore {path:?}: expected a path within a state folder, such as cache or *.log: {why}")]
    Ignore {
        /// As it was written.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl Comparator {
    /// Compares this; what matches a mask is `*`, and what lies at an ignored path is not there.
    pub fn new(compare: Compare, masks: &[String], ignored: &[String]) -> Result<Self, ComparatorError> {
        let compile = |mask: &String| {
            Regex::new(mask).map_err(|error| ComparatorError::Mask {
                mask: mask.clone(),
                why: last_line(&error.to_string()),
            })
        };
        let masks = masks.iter().map(compile).collect::<Result<_, _>>()?;
        let mut set = GlobSetBuilder::new();
        for path in ignored {
            let wrong =
                |why: &globset::Error| ComparatorError::Ignore { path: path.clone(), why: why.to_string() };
            let plain = path.trim_start_matches("./").trim_end_matches('/');
            if plain.is_empty() || plain.starts_with('/') {
                return Err(ComparatorError::Ignore {
                    path: path.clone(),
                    why: "it is not a path within one".into(),
                });
            }
            // A name alone is meant wherever it lies, as in other lists of files to ignore.
            let anywhere = if plain.contains('/') { String::new() } else { "**/".into() };
            for pattern in [format!("{anywhere}{plain}"), format!("{anywhere}{plain}/**")] {
                let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
                set.add(glob.map_err(|error| wrong(&error))?);
            }
        }
        let ignored = set
            .build()
            .map_err(|error| ComparatorError::Ignore { path: String::new(), why: error.to_string() })?;
        Ok(Self { compare, masks, ignored })
    }

    /// Whether what lies at this path within a state folder is not compared.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        self.ignored.is_match(path)
    }

    /// The sheet of an outcome. Places of commands that `silent` says of are left out: they are no part of what is compared.
    #[must_use]
    pub fn sheet(&self, outcome: &Outcome, when: When, silent: &dyn Fn(Who) -> bool) -> Sheet {
        self.sheet_without(outcome, when, silent, &BTreeSet::new())
    }

    /// The same, as if nothing lay at these paths.
    #[must_use]
    pub fn sheet_without(
        &self,
        outcome: &Outcome,
        when: When,
        silent: &dyn Fn(Who) -> bool,
        without: &BTreeSet<Location>,
    ) -> Sheet {
        let mut sheet = Sheet::new();
        let folders = match when {
            When::AllEnded => &outcome.folders,
            When::AfterThen => &outcome.folders_then,
        };
        for (who, done) in outcome.everybody().filter(|(who, _)| !silent(*who)) {
            self.add_command(&mut sheet, who, done);
        }
        if self.compare.files {
            for (folder, capture) in folders.iter().enumerate() {
                self.add_folder(&mut sheet, folder, capture, without);
            }
        }
        sheet
    }

    fn add_command(&self, sheet: &mut Sheet, who: Who, done: &Done) {
        if who == Who::Observe && !self.compare.observe {
            return;
        }
        // What tells nothing because it did not run has no output either.
        let has_output = !matches!(done.ending, Ending::Skipped | Ending::Killed);
        sheet.insert(Place::Ending(who), Value::word(done.ending.to_string()));
        if has_output && (self.compare.output || who == Who::Observe) {
            sheet.insert(Place::Stdout(who), self.output(&done.stdout));
        }
        if has_output && self.compare.stderr && who != Who::Observe {
            sheet.insert(Place::Stderr(who), self.output(&done.stderr));
        }
    }

    fn output(&self, output: &Output) -> Value {
        let word = if output.is_cut() {
            format!("{} bytes, of which the first are", output.bytes)
        } else {
            String::new()
        };
        Value { word, text: Some(self.masked(&output.text)) }
    }

    fn add_folder(&self, sheet: &mut Sheet, folder: usize, capture: &Capture, without: &BTreeSet<Location>) {
        let is_compared = |path: &String| {
            !self.ignored.is_match(path) && !without.contains(&Location { folder, path: path.clone() })
        };
        // Of a file's names, the first of those that are compared.
        let mut firsts: BTreeMap<&String, &String> = BTreeMap::new();
        for (path, entry) in &capture.entries {
            if !is_compared(path) {
                continue;
            }
            let first = entry.same_as.as_ref().map(|name| *firsts.entry(name).or_insert(path));
            let same = first.filter(|first| *first != path);
            let same = same.map(|first| format!(", the same file as {first}")).unwrap_or_default();
            let mode = entry.mode;
            let value = match &entry.kind {
                Kind::File(Body::Whole(bytes)) => {
                    let text = if self.masks.is_empty() { Arc::clone(bytes) } else { self.masked(bytes) };
                    Value { word: format!("file {mode:04o}{same}"), text: Some(text) }
                }
                Kind::File(Body::Large { bytes, sha256 }) => {
                    let hash = u64::from_be_bytes(sha256[..8].try_into().expect("eight bytes"));
                    Value::word(format!("file {mode:04o}{same}, {bytes} bytes, hash {hash:016x}…"))
                }
                Kind::Link(target) => Value {
                    word: format!("link{same} to"),
                    text: Some(self.masked(&target.as_bytes().into())),
                },
                kind => Value::word(format!("{} {mode:04o}{same}", kind.as_str())),
            };
            sheet.insert(Place::Entry(Location { folder, path: path.clone() }), value);
        }
    }

    fn masked(&self, text: &Arc<[u8]>) -> Arc<[u8]> {
        let mut masked = Arc::clone(text);
        for mask in &self.masks {
            if mask.is_match(&masked) {
                masked = mask.replace_all(&masked, &b"*"[..]).as_ref().into();
            }
        }
        masked
    }
}

/// What is wrong with a regular expression, in one line: the rest draws it.
#[must_use]
pub fn last_line(error: &str) -> String {
    let line = error.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(error);
    line.trim().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::Entry;

    const ALL: Compare = Compare { files: true, output: true, stderr: false, observe: true };

    fn outcome(stdout: &str, files: &[(&str, &str)]) -> Outcome {
        let output = |text: &str| Output { text: text.as_bytes().into(), bytes: text.len() as u64 };
        let done = Done { ending: Ending::Exited(0), stdout: output(stdout), stderr: output("noise") };
        let entry =
            |text: &str| Entry { kind: Kind::File(Body::of(text.into())), mode: 0o644, same_as: None };
        let entries = files.iter().map(|(path, text)| ((*path).to_owned(), entry(text))).collect();
        Outcome {
            processes: vec![vec![done]],
            folders: vec![Capture { entries }],
            observed: None,
            then: Vec::new(),
            folders_then: Vec::new(),
            left_behind: Vec::new(),
        }
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let ignored = ["cache".to_owned(), "*.log".to_owned(), "a/b".to_owned()];
        let comparator = Comparator::new(ALL, &[], &ignored).unwrap();
        let files =
            [("cache/x/y", ""), ("z/cache", ""), ("x.log", ""), ("a/b/c", ""), ("z/a/b", ""), ("logs", "")];
        let sheet = comparator.sheet(&outcome("", &files), When::AllEnded, &|_| false);
        let places: Vec<_> = sheet.keys().map(ToString::to_string).collect();
        assert_eq!(places, ["p1", "p1 stdout", "logs", "z/a/b"]);
    }

    #[test]
    fn a_name_that_is_not_compared_is_nobodys_other_name() {
        let mut outcome = outcome("", &[("a", "x"), ("b", "x"), ("c", "x")]);
        for entry in outcome.folders[0].entries.values_mut() {
            entry.same_as = Some("a".into());
        }
        let words = |comparator: &Comparator, without: &[&str]| -> Vec<String> {
            let location = |path: &&str| Location { folder: 0, path: (*path).to_owned() };
            let without = without.iter().map(location).collect();
            let sheet = comparator.sheet_without(&outcome, When::AllEnded, &|_| true, &without);
            sheet.into_values().map(|value| value.word).collect()
        };
        let all = Comparator::new(ALL, &[], &[]).unwrap();
        let one = "file 0644";
        let same = |first: &str| format!("file 0644, the same file as {first}");
        assert_eq!(words(&all, &[]), [one, &same("a"), &same("a")]);
        assert_eq!(words(&all, &["a"]), [one, &same("b")]);
        assert_eq!(words(&all, &["a", "b"]), [one]);
        let ignoring = Comparator::new(ALL, &[], &["a".to_owned()]).unwrap();
        assert_eq!(words(&ignoring, &[]), [one, &same("b")]);
    }

    #[test]
    fn masks_apply_to_outputs_and_files() {
        let comparator = Comparator::new(ALL, &["id=[0-9]+".to_owned()], &[]).unwrap();
        let sheet =
            comparator.sheet(&outcome("id=17;", &[("f", "a id=3\nid=4")]), When::AllEnded, &|_| false);
        let texts: Vec<_> = sheet.values().filter_map(|value| value.text.as_deref()).collect();
        assert_eq!(texts, [&b"*;"[..], b"a *\n*"]);
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let mask = Comparator::new(ALL, &["a(".to_owned()], &[]).unwrap_err().to_string();
        assert!(mask.contains("--mask \"a(\": it is not a regular expression: unclosed group"), "{mask}");
        for path in ["/etc/passwd", "[", "/"] {
            let ignore = Comparator::new(ALL, &[], &[path.to_owned()]).unwrap_err().to_string();
            assert!(ignore.starts_with("--ignore"), "{ignore}");
        }
    }
}
