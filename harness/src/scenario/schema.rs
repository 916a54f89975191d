//! JSON schemas of scenarios and settings, for editors: made of what the readers ask for.

use serde_json::{Map, Value, json};

use super::{BUILTIN, Found, Scenario};
use crate::document::sketch::{self, Shape, Sketch};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// What readers ask depends on what they read: the kind, and the subject. Each of these has something the others lack.
const SKELETONS: [&str; 14] = [
    "kind = \"stress\"\n[subject]\nname = \"command\"\nmodel = \"counter\"\n[subject.operations.add]\ncommand = \"true\"\n[stress]\n",
    "kind = \"stress\"\n[subject]\nname = \"command\"\n[subject.operations.add]\ncommand = \"true\"\n[stress]\n",
    "kind = \"race\"\n[race]\nprocesses = []\n",
    "kind = \"crash\"\n[crash]\ncommand = \"true\"\n",
    "kind = \"race\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\n[race]\nprocesses = []\n",
    "kind = \"stress\"\n[subject]\nname = \"library\"\n[stress]\noperations = 1\n",
    "kind = \"stress\"\n[subject]\nname = \"replica\"\nreplica = \"gvisor-2018\"\n[stress]\nduration = \"1s\"\n",
    "kind = \"stress\"\n[subject]\nname = \"oci\"\nruntime = \"runc\"\n[rounds]\ntogether = [\"create c1\"]\nbudget = {}\n",
    "kind = \"explore\"\n[subject]\nname = \"library\"\n[explore]\nprocesses = []\n",
    "kind = \"explore\"\n[subject]\nname = \"command\"\nmodel = \"counter\"\n[subject.operations.add]\ncommand = \"true\"\n[explore]\n",
    "kind = \"explore\"\n[subject]\nname = \"library\"\n[explore]\nstrategy = \"pct\"\n",
    "kind = \"explore\"\n[subject]\nname = \"replica\"\nreplica = \"gvisor-2018\"\n[explore]\nstrategy = \"replay\"\nschedule = []\n",
    "kind = \"bench\"\n[bench]\nprocesses = 1\n",
    "kind = \"bench\"\n[bench]\nprocesses = 1\n[thresholds]\n",
];

/// The schema of a scenario file.
#[must_use]
pub fn scenario() -> Value {
    let builtin = BUILTIN.iter().map(|builtin| builtin.text);
    let mut kinds: Vec<(&str, Sketch)> = Vec::new();
    for text in SKELETONS.into_iter().chain(builtin) {
        let Some(kind) = kind_of(text) else { continue };
        let found = Found { argument: "scenario.toml".into(), text: text.to_owned() };
        // Whether it is sound means nothing here: what was asked for does.
        let asked = sketch::of(|| drop(Scenario::parse(&found, &[])));
        match kinds.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) => *known = sketch::with(std::mem::take(known), asked),
            None => kinds.push((kind, asked)),
        }
    }
    let kinds: Vec<Value> = kinds
        .iter()
        .map(|(kind, sketch)| {
            let mut table = table(sketch, "");
            table["properties"]["kind"] = json!({ "const": kind });
            table["required"] = json!(["kind"]);
            table
        })
        .collect();
    json!({
        "$schema": DRAFT,
        "title": "flockwork scenario",
        "description": "What to run and what to expect: docs/scenarios.md",
        "type": "object",
        "oneOf": kinds,
    })
}

/// The schema of what a sketch is of, under a title.
#[must_use]
pub fn of_sketch(title: &str, description: &str, sketch: &Sketch) -> Value {
    let mut schema = table(sketch, "");
    schema["$schema"] = DRAFT.into();
    schema["title"] = title.into();
    schema["description"] = description.into();
    schema
}

fn kind_of(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("kind"))?;
    line.split('"').nth(1)
}

fn table(sketch: &Sketch, path: &str) -> Value {
    let Some(known) = sketch.get(path) else { return json!({ "type": "object" }) };
    let mut properties = Map::new();
    for (key, shape) in &known.keys {
        let inner = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
        let value = if *shape == Shape::Table { table(sketch, &inner) } else { schema_of(shape) };
        properties.insert((*key).to_owned(), value);
    }
    let inner = format!("{path}.*");
    let others = if known.is_open && sketch.contains_key(&inner) {
        table(sketch, &inner)
    } else {
        known.is_open.into()
    };
    json!({ "type": "object", "properties": properties, "additionalProperties": others })
}

fn schema_of(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Text => json!({ "type": "string" }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::List => json!({ "type": "array" }),
        Shape::Words(words) => json!({ "type": "array", "items": { "enum": words } }),
        Shape::Count(low, high) => json!({ "type": "integer", "minimum": low, "maximum": high }),
        Shape::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
        Shape::Truth => json!({ "type": "boolean" }),
        Shape::Duration => {
            json!({ "type": "string", "description": "a duration with its unit, such as 10s" })
        }
        Shape::Size => json!({ "type": ["string", "integer"], "description": "a size, such as 4KiB" }),
        Shape::Table => json!({ "type": "object" }),
    }
}
