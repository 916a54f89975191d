//! Settings: what holds where the command line says nothing, and why.
//!
//! The command line overrules the environment (`FLOCKWORK_SEED`), which overrules the profile of `flockwork.toml`, which
//! overrules its `[run]`. The file is the nearest one, from the working folder upwards. A key that nobody knows is an
//! error, as in a scenario.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;

use crate::document::reader::Reader;
use crate::document::sketch;
use crate::document::source::{Place, Problem, Source, SourceKind};
use crate::document::tree::{self, Value};
use crate::scenario::schema;
use crate::words::nearest;
use crate::words::units::{DURATION_FORM, duration_ns};

/// The file's name.
pub const FILE_NAME: &str = "flockwork.toml";
/// The variable that names a profile.
pub const PROFILE_VARIABLE: &str = "FLOCKWORK_PROFILE";

const DAY_NS: u64 = 86_400_000_000_000;

/// What a setting's value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// A whole number from one to another.
    Count(u64, u64),
    /// A number with a unit of time: `30s`, `5m`.
    Duration,
    /// true or false.
    Truth,
    /// Any text; what it means is for whoever asks.
    Text,
    /// `no`, or a duration.
    Explain,
}

/// A setting that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name in the file; with `-` for `_` that of its flag.
    pub name: &'static str,
    form: Form,
    /// What holds where nobody sets it, in words.
    pub default: &'static str,
}

/// All settings, in the order in which `flockwork config` lists them.
pub const KEYS: [Key; 10] = [
    Key { name: "seed", form: Form::Count(0, u64::MAX), default: "random, and printed" },
    Key { name: "seeds", form: Form::Count(1, 1_000_000_000), default: "1" },
    Key { name: "budget", form: Form::Duration, default: "none: each scenario's own" },
    Key { name: "fail_fast", form: Form::Truth, default: "false" },
    Key { name: "max_findings", form: Form::Count(1, 1_000_000), default: "no limit" },
    Key { name: "explain", form: Form::Explain, default: "10s, for unexpected violations" },
    Key { name: "keep_history", form: Form::Truth, default: "false" },
    Key { name: "results_dir", form: Form::Text, default: "results" },
    Key { name: "root", form: Form::Text, default: "/dev/shm if it has room, else the temporary folder" },
    Key { name: "junit", form: Form::Text, default: "none" },
];

impl Key {
    /// The variable of the environment that sets it.
    #[must_use]
    pub fn variable(self) -> String {
        format!("FLOCKWORK_{}", self.name.to_uppercase())
    }

    /// Why a text is no value of it.
    fn complaint(self, text: &str) -> Option<String> {
        let expected = match self.form {
            Form::Count(low, high) => {
                let is_within = text.parse::<u64>().is_ok_and(|number| (low..=high).contains(&number));
                (!is_within).then(|| format!("a whole number from {low} to {high}"))
            }
            Form::Duration => duration_ns(text).is_none().then(|| DURATION_FORM.to_owned()),
            Form::Truth => (!matches!(text, "true" | "false")).then(|| "true or false".to_owned()),
            Form::Explain if text == "no" => None,
            Form::Explain => duration_ns(text).is_none().then(|| format!("no, or {DURATION_FORM}")),
            Form::Text => text.is_empty().then(|| "a text".to_owned()),
        };
        expected.map(|expected| format!("expected {expected}, found {text:?}"))
    }
}

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A variable of the environment.
    Environment(String),
    /// A table of the file, at a line.
    File {
        /// The file that sets it.
        path: PathBuf,
        /// The table: `[run]` or `[profile.ci]`.
        table: String,
        /// The line, from 1.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(variable) => write!(f, "the environment: {variable}"),
            Self::File { path, table, line } => write!(f, "{}:{line}, {table}", path.display()),
            Self::Default => f.write_str("the default"),
        }
    }
}

/// A setting with what holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The value as it would be typed; `None`: nobody set it.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: Origin,
}

/// What holds, by the names of [`KEYS`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The file, where there is one.
    pub file: Option<PathBuf>,
    /// The profile, where one was named.
    pub profile: Option<String>,
    values: BTreeMap<&'static str, Setting>,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file that could not be read.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it cannot be meant.
    #[error("{0}")]
    Wrong(String),
}

impl Settings {
    /// What holds in a folder, with a profile and an environment.
    pub fn load(
        folder: &Path,
        profile: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let profile = profile.map(str::to_owned).or_else(|| variable(PROFILE_VARIABLE));
        let profile = profile.filter(|profile| !profile.is_empty());
        let file = nearest_file(folder);
        let tables = match &file {
            Some(path) => read_file(path)?,
            None => Tables::default(),
        };
        let mut values = tables.run.clone();
        if let Some(name) = &profile {
            let Some(own) = tables.profiles.get(name) else {
                return Err(tables.unknown(name, file.as_deref()));
            };
            values.extend(own.clone());
        }
        for key in KEYS {
            let name = key.variable();
            let Some(text) = variable(&name).filter(|text| !text.is_empty()) else { continue };
            if let Some(complaint) = key.complaint(&text) {
                return Err(SettingsError::Wrong(format!("{name}: {complaint}")));
            }
            values.insert(key.name, Setting { value: Some(text), origin: Origin::Environment(name) });
        }
        Ok(Self { file, profile, values })
    }

    /// What holds of a key.
    #[must_use]
    pub fn get(&self, name: &str) -> Setting {
        self.values.get(name).cloned().unwrap_or(Setting { value: None, origin: Origin::Default })
    }

    /// The value of a key, where somebody set it.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.value.as_deref()
    }
}

/// What stands in a file.
#[derive(Clone, Debug, Default)]
struct Tables {
    run: BTreeMap<&'static str, Setting>,
    profiles: BTreeMap<String, BTreeMap<&'static str, Setting>>,
}

impl Tables {
    fn unknown(&self, name: &str, file: Option<&Path>) -> SettingsError {
        let Some(file) = file else {
            let why = format!("profile {name}: there is no {FILE_NAME} here, nor in a folder above");
            return SettingsError::Wrong(why);
        };
        let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
        let help = match (nearest(name, known.iter().copied()), known.is_empty()) {
            (Some(near), _) => format!("the nearest is {near}"),
            (None, true) => "it has none".to_owned(),
            (None, false) => format!("it has {}", known.join(", ")),
        };
        SettingsError::Wrong(format!("{}: there is no [profile.{name}]; {help}", file.display()))
    }
}

fn nearest_file(folder: &Path) -> Option<PathBuf> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    folder.ancestors().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file())
}

fn read_file(path: &Path) -> Result<Tables, SettingsError> {
    let text =
        fs::read_to_string(path).map_err(|source| SettingsError::Io { path: path.to_owned(), source })?;
    let source = Arc::new(Source { kind: SourceKind::File, name: path.display().to_string(), text });
    let told = |problems: Vec<Problem>| {
        SettingsError::Wrong(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))
    };
    let root = tree::parse(&source).map_err(|problem| told(vec![problem]))?;
    let mut problems = Vec::new();
    let tables = read_root(&root, &source, path, &mut problems);
    if problems.is_empty() { Ok(tables) } else { Err(told(problems)) }
}

fn read_root(root: &tree::Table, source: &Arc<Source>, path: &Path, problems: &mut Vec<Problem>) -> Tables {
    let mut reader = Reader::titled(root, FILE_NAME, Place::start_of(source), problems);
    let run = read_table(reader.section("run", "[run]"), path, "[run]");
    let mut profiles = BTreeMap::new();
    reader.hint("profile", || sketch::Shape::Table);
    let entry = reader.take("profile");
    let own: &[tree::Entry] = match entry.map(|entry| &entry.node.value) {
        Some(Value::Table(table)) => &table.entries,
        Some(other) => {
            let place = entry.map_or_else(|| Place::start_of(source), |entry| entry.node.place.clone());
            let message =
                format!("profile: expected tables such as [profile.ci], found {}", other.describe());
            reader.complain(Problem::new(&place, message));
            &[]
        }
        None => &[],
    };
    for entry in own {
        let title = format!("[profile.{}]", entry.key);
        let Value::Table(table) = &entry.node.value else {
            let message = format!("{title}: expected a table, found {}", entry.node.value.describe());
            reader.complain(Problem::new(&entry.node.place, message));
            continue;
        };
        let mut problems = Vec::new();
        let inner = Reader::titled(table, &title, entry.key_place.clone(), &mut problems);
        profiles.insert(entry.key.clone(), read_table(inner, path, &title));
        for problem in problems {
            reader.complain(problem);
        }
    }
    reader.finish();
    Tables { run, profiles }
}

fn read_table(mut reader: Reader<'_>, path: &Path, title: &str) -> BTreeMap<&'static str, Setting> {
    let mut values = BTreeMap::new();
    for key in KEYS {
        let place = reader.take(key.name).map(|entry| entry.node.place.clone());
        let value = match key.form {
            Form::Count(low, high) => reader.count(key.name, low..=high, "").map(|number| number.to_string()),
            Form::Truth => reader.truth(key.name).map(|truth| truth.to_string()),
            Form::Duration => {
                // It is kept as it was written; that it can be meant is what matters here.
                reader.duration_ns(key.name, 0..=365 * DAY_NS).and(text(&mut reader, key.name))
            }
            Form::Text | Form::Explain => text(&mut reader, key.name),
        };
        let (Some(place), Some(value)) = (place, value) else { continue };
        if let Some(complaint) = key.complaint(&value) {
            reader.complain(Problem::new(&place, format!("{}: {complaint}", key.name)));
            continue;
        }
        let line =
            place.source.text[..place.span.start.min(place.source.text.len())].matches('\n').count() + 1;
        let origin = Origin::File { path: path.to_owned(), table: title.to_owned(), line };
        values.insert(key.name, Setting { value: Some(value), origin });
    }
    reader.finish();
    values
}

fn text(reader: &mut Reader<'_>, key: &'static str) -> Option<String> {
    reader.text(key).map(|(text, _)| text.to_owned())
}

/// The schema of the file, for editors.
#[must_use]
pub fn schema() -> Json {
    let text = "[run]\n";
    let source = Arc::new(Source { kind: SourceKind::File, name: FILE_NAME.into(), text: text.into() });
    let root = tree::parse(&source).expect("it is ours");
    let asked = sketch::of(|| drop(read_root(&root, &source, Path::new(FILE_NAME), &mut Vec::new())));
    let mut schema = schema::of_sketch(
        "flockwork settings",
        "Settings for what the command line leaves open: docs/ci.md",
        &asked,
    );
    // Every profile has what [run] has.
    schema["properties"]["profile"] =
        serde_json::json!({ "type": "object", "additionalProperties": schema["properties"]["run"] });
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "[run]\nseed = 7\nbudget = \"60s\"\n\n[profile.ci]\nbudget = \"5s\"\nfail_fast = true\n";

    fn load(text: &str, profile: Option<&str>, variables: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        let deep = folder.path().join("a/b");
        fs::create_dir_all(&deep).unwrap();
        let look = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::load(&deep, profile, look).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_overrules_the_profile_and_that_the_file() {
        let plain = load(FILE, None, &[]).unwrap();
        assert_eq!((plain.value("seed"), plain.value("budget")), (Some("7"), Some("60s")));
        assert_eq!((plain.value("fail_fast"), plain.get("junit").origin), (None, Origin::Default));
        let ci = load(FILE, Some("ci"), &[]).unwrap();
        assert_eq!(
            (ci.value("seed"), ci.value("budget"), ci.value("fail_fast")),
            (Some("7"), Some("5s"), Some("true"))
        );
        assert!(ci.get("budget").origin.to_string().ends_with("flockwork.toml:6, [profile.ci]"));
        let both = load(FILE, None, &[("FLOCKWORK_PROFILE", "ci"), ("FLOCKWORK_BUDGET", "1s")]).unwrap();
        assert_eq!((both.value("budget"), both.value("fail_fast")), (Some("1s"), Some("true")));
        assert_eq!(both.get("budget").origin.to_string(), "the environment: FLOCKWORK_BUDGET");
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_place() {
        for (text, told) in [
            ("[run]\nsead = 7\n", "flockwork.toml:2:1: unknown key \"sead\" in [run]"),
            ("[run]\nbudget = \"5\"\n", "flockwork.toml:2:10: budget: expected a duration"),
            ("[run]\nseeds = 0\n", "seeds: expected a whole number"),
            ("[run]\nexplain = \"maybe\"\n", "explain: expected no, or a duration"),
            ("[profile]\nci = 3\n", "[profile.ci]: expected a table"),
            ("[profile.ci]\nx = 3\n", "unknown key \"x\" in [profile.ci]"),
            ("[runs]\n", "unknown key \"runs\" in flockwork.toml"),
            ("[run\n", "not valid TOML"),
        ] {
            let error = load(text, None, &[]).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
        let error = load(FILE, Some("co"), &[]).unwrap_err();
        assert!(error.contains("there is no [profile.co]; the nearest is ci"), "{error}");
        let error = load(FILE, None, &[("FLOCKWORK_SEEDS", "0")]).unwrap_err();
        assert!(error.contains("FLOCKWORK_SEEDS: expected a whole number from 1"), "{error}");
    }

    #[test]
    fn the_schema_knows_every_key() {
        let schema = schema();
        for key in KEYS {
            assert!(schema["properties"]["run"]["properties"][key.name].is_object(), "{}", key.name);
        }
        assert_eq!(schema["properties"]["run"]["additionalProperties"], false);
    }
}
