//! `flockwork config`: what holds, and why; and the schemas by which editors complete and check files.

use serde::Serialize;

use super::args::{ConfigArgs, Format, SchemaArg};
use super::failure::Failure;
use super::output::{Output, print_json, print_words, room};
use crate::report::exit::Exit;
use crate::report::table::render;
use crate::scenario::schema;
use crate::settings::{self, KEYS, Settings};

#[derive(Serialize)]
struct Config {
    schema_version: u32,
    file: Option<String>,
    profile: Option<String>,
    settings: Vec<Held>,
}

#[derive(Serialize)]
struct Held {
    key: &'static str,
    /// Null where nobody set it.
    value: Option<String>,
    default: &'static str,
    origin: String,
    flag: String,
    variable: String,
}

/// Prints what holds, or a schema.
pub fn run(args: &ConfigArgs, output: Output) -> Result<Exit, Failure> {
    if let Some(which) = args.schema {
        print_json(&match which {
            SchemaArg::Scenario => schema::scenario(),
            SchemaArg::Settings => settings::schema(),
        })?;
        return Ok(Exit::AsExpected);
    }
    let settings = load(args.profile.as_deref())?;
    let held: Vec<Held> = KEYS
        .into_iter()
        .map(|key| {
            let setting = settings.get(key.name);
            Held {
                key: key.name,
                value: setting.value,
                default: key.default,
                origin: setting.origin.to_string(),
                flag: format!("--{}", key.name.replace('_', "-")),
                variable: key.variable(),
            }
        })
        .collect();
    match output.format {
        Format::Human => print_words(&table(&settings, &held))?,
        Format::Json => print_json(&Config {
            schema_version: crate::report::SCHEMA_VERSION,
            file: settings.file.as_ref().map(|path| path.display().to_string()),
            profile: settings.profile.clone(),
            settings: held,
        })?,
    }
    Ok(Exit::AsExpected)
}

/// The settings of this folder and environment.
pub fn load(profile: Option<&str>) -> Result<Settings, Failure> {
    let folder = std::env::current_dir().unwrap_or_else(|_| ".".into());
    Settings::load(&folder, profile, |name| std::env::var(name).ok())
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

fn table(settings: &Settings, held: &[Held]) -> String {
    let file = settings.file.as_ref().map_or("none".to_owned(), |path| path.display().to_string());
    let profile = settings.profile.as_deref().unwrap_or("none");
    let rows: Vec<Vec<String>> = held
        .iter()
        .map(|held| {
            let value = held.value.clone().unwrap_or_else(|| held.default.to_owned());
            vec![held.key.to_owned(), value, held.origin.clone(), held.flag.clone()]
        })
        .collect();
    let mut table = render(&["setting", "value", "from", "overruled by"], &rows, 0..0);
    let is_too_wide = |width: u16| table.lines().any(|line| line.chars().count() > usize::from(width));
    if room().is_some_and(is_too_wide) {
        let entry = |row: &Vec<String>| {
            format!("{}: {}\n  from {}, overridden by {}\n", row[0], row[1], row[2], row[3])
        };
        table = rows.iter().map(entry).collect();
    }
    format!("file: {file}\nprofile: {profile}\n\n{table}")
}
