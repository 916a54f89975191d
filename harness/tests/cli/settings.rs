//! Settings, their schema, and what ends a run early.

use std::fs;
use std::path::Path;

use flockwork_harness::scenario::{BUILTIN, schema};
use flockwork_harness::settings;
use serde_json::{Value, json};

use crate::support::{BROKEN, Place, SOUND, ends_with, json as output_json, json_file, stderr, stdout};

const SETTINGS: &str =
    "[run]\nseed = 7\nresults_dir = \"out\"\n\n[profile.ci]\nseeds = 2\njunit = \"ci.xml\"\n";

#[test]
fn the_file_the_environment_and_the_command_line_overrule_each_other() {
    let place = Place::new();
    place.file("flockwork.toml", SETTINGS);
    place.file("sound.toml", &SOUND.replace("2_000", "100"));
    let said = stderr(&ends_with(&mut place.run(&["sound.toml"]), 0));
    assert!(said.contains("seed: 7"), "{said}");
    assert!(place.path().join("out/latest").exists());
    let said =
        stderr(&ends_with(place.run(&["sound.toml", "--profile", "ci"]).env("FLOCKWORK_SEED", "8"), 0));
    assert!(said.contains("seed: 8") && place.path().join("ci.xml").exists(), "{said}");
    let said = stderr(&ends_with(place.run(&["sound.toml", "--seed", "9"]).env("FLOCKWORK_SEED", "8"), 0));
    assert!(said.contains("seed: 9"), "{said}");
}

#[test]
fn config_prints_what_holds_and_why() {
    let place = Place::new();
    place.file("flockwork.toml", SETTINGS);
    let mut command = place.flockwork(&["config", "--profile", "ci"]);
    let text = stdout(&ends_with(command.env("FLOCKWORK_BUDGET", "60s"), 0));
    for words in [
        "flockwork.toml:2, [run]",
        "flockwork.toml:6, [profile.ci]",
        "the environment: FLOCKWORK_BUDGET",
        "the default",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let mut command = place.flockwork(&["config", "--format", "json"]);
    let document = output_json(&ends_with(&mut command, 0));
    assert_eq!(
        (&document["settings"][0]["key"], &document["settings"][0]["value"]),
        (&json!("seed"), &json!("7"))
    );
    place.file("flockwork.toml", "[run]\nsead = 7\n");
    let said = stderr(&ends_with(&mut place.flockwork(&["config"]), 2));
    assert!(said.contains("flockwork.toml:2:1: unknown key") && said.contains("\"seed\""), "{said}");
    place.file("flockwork.toml", SETTINGS);
    let said = stderr(&ends_with(&mut place.run(&["--profile", "nightly"]), 2));
    assert!(said.contains("there is no [profile.nightly]"), "{said}");
}

#[test]
fn a_budget_is_shared_and_kept() {
    let place = Place::new();
    for name in ["a", "b", "c"] {
        place.file(&format!("s/{name}.toml"), &SOUND.replace("operations = 2_000", "duration = \"1h\""));
    }
    let report = output_json(&ends_with(&mut place.run(&["s", "--budget", "1500ms", "--format", "json"]), 0));
    let durations: Vec<f64> =
        report["scenarios"].as_array().unwrap().iter().map(|it| it["duration_s"].as_f64().unwrap()).collect();
    assert_eq!(durations.len(), 3, "each has its turn");
    assert!(durations.iter().all(|duration| *duration < 1.5), "{durations:?}");
    let said = stderr(&ends_with(&mut place.run(&["s", "--budget", "soon"]), 2));
    assert!(said.contains("--budget soon: expected a duration"), "{said}");
}

#[test]
fn a_run_ends_at_its_first_failure_or_at_so_many_findings() {
    let place = Place::new();
    place.file("s/a.toml", BROKEN);
    place.file("s/b.toml", SOUND);
    for words in [&["--fail-fast"][..], &["--max-findings", "1"]] {
        let words = [&["s", "--seed", "5", "--format", "json"], words].concat();
        let report = output_json(&ends_with(&mut place.run(&words), 100));
        assert_eq!(report["scenarios"].as_array().unwrap().len(), 1, "{report}");
        assert_eq!(report["not_run"], json!(["b"]));
    }
}

/// Why a value is not of a schema, at the first place where that is so. It knows what our schemas use.
fn mismatch(schema: &Value, value: &Value, place: &str) -> Option<String> {
    if let Some(kinds) = schema["oneOf"].as_array() {
        let fits: Vec<Option<String>> = kinds.iter().map(|kind| mismatch(kind, value, place)).collect();
        return match fits.iter().filter(|it| it.is_none()).count() {
            1 => None,
            0 => Some(
                fits.into_iter()
                    .flatten()
                    .min_by_key(|why| usize::from(why.ends_with("kind")))
                    .unwrap_or_default(),
            ),
            count => Some(format!("{place}: {count} kinds fit")),
        };
    }
    let is = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("the schema has a type {other}"),
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap())),
        kind => is(kind.as_str().unwrap()),
    };
    if !fits {
        return Some(format!("{place}: {value} is no {}", schema["type"]));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        return Some(place.to_owned());
    }
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        return Some(format!("{place}: {value} is none of {}", schema["enum"]));
    }
    let number = value.as_f64();
    if schema["minimum"].as_f64().zip(number).is_some_and(|(low, it)| it < low)
        || schema["maximum"].as_f64().zip(number).is_some_and(|(high, it)| it > high)
    {
        return Some(format!("{place}: {value} is out of bounds"));
    }
    let missing = schema["required"]
        .as_array()
        .and_then(|keys| keys.iter().find(|key| value.get(key.as_str().unwrap()).is_none()));
    if let Some(key) = missing {
        return Some(format!("{place}: no {key}"));
    }
    if let Some(items) = value.as_array().filter(|_| schema["items"].is_object()) {
        return items.iter().find_map(|item| mismatch(&schema["items"], item, place));
    }
    let fields = value.as_object()?;
    let none = serde_json::Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    fields.iter().find_map(|(key, value)| {
        let place = format!("{place}.{key}");
        match (properties.get(key), &schema["additionalProperties"]) {
            (None, Value::Bool(false)) => Some(format!("{place}: unknown")),
            (Some(inner), _) | (None, inner) => mismatch(inner, value, &place),
        }
    })
}

fn toml(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
}

fn scenarios(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            scenarios(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push((path.display().to_string(), fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_scenario_is_of_the_schema_and_what_is_no_scenario_is_not() {
    let schema = schema::scenario();
    let mut all: Vec<(String, String)> =
        BUILTIN.iter().map(|it| (it.name().to_owned(), it.text.to_owned())).collect();
    scenarios(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios"), &mut all);
    let mut checked = 0;
    for (name, text) in &all {
        // Other files lie there too; a scenario says its kind.
        let value = toml(text);
        if value.get("kind").is_some() {
            assert_eq!(mismatch(&schema, &value, name), None);
            checked += 1;
        }
    }
    assert!(checked > 60, "{checked} scenarios");
    for (from, to) in [
        ("processes = 4", "proceses = 4"),
        ("processes = 4", "processes = -4"),
        ("processes = 4", "processes = \"four\""),
        ("kind = \"stress\"", "kind = \"dance\""),
        ("handoff_min = 0.0", "handoff_min = 3.0"),
        ("about = ", "abuot = "),
    ] {
        assert!(mismatch(&schema, &toml(&SOUND.replace(from, to)), "it").is_some(), "{to}");
    }
}

#[test]
fn settings_files_are_of_their_schema() {
    let schema = settings::schema();
    assert_eq!(mismatch(&schema, &toml(SETTINGS), "it"), None);
    for text in ["[run]\nsead = 1\n", "[run]\nseeds = 0\n", "[runs]\n", "[profile.ci]\nx = 1\n"] {
        assert!(mismatch(&schema, &toml(text), "it").is_some(), "{text}");
    }
}

#[test]
fn the_schemas_that_are_kept_are_those_that_the_binary_writes() {
    let place = Place::new();
    for (which, file) in [("scenario", "scenario.schema.json"), ("settings", "settings.schema.json")] {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas").join(file);
        let written = output_json(&ends_with(&mut place.flockwork(&["config", "--schema", which]), 0));
        assert!(json_file(&kept) == written, "flockwork config --schema {which} > schemas/{file}");
    }
}
