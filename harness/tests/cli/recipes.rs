//! The recipes of `docs/ci.md`: each shell block is run as it stands, in a folder of its own, with the settings that the
//! page shows. Only budgets are shorter: a stress run works until its budget ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use yaml_rust2::YamlLoader;

use crate::support::{Place, SOUND};

/// The fenced blocks of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn page(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

#[test]
fn each_recipe_runs_as_it_stands() {
    let text = page("ci.md");
    let hasty = |block: &str, budget: &str, short: &str| {
        assert!(block.contains(budget), "no {budget} in {block}");
        block.replace(budget, short)
    };
    let settings = blocks(&text, "toml").into_iter().find(|block| block.contains("[profile.ci]")).unwrap();
    let settings = hasty(settings, "budget = \"60s\"", "budget = \"2s\"");
    let recipes = blocks(&text, "sh");
    assert!(recipes.len() >= 7, "{} recipes", recipes.len());
    let binary = assert_cmd::cargo::cargo_bin!("flockwork");
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    for recipe in recipes {
        let place = Place::new();
        let has_budget = recipe.contains("--budget");
        let recipe =
            if has_budget { hasty(recipe, "--budget 20s", "--budget 2s") } else { recipe.to_owned() };
        place.file("flockwork.toml", &settings);
        place.file("scenarios/sound.toml", &SOUND.replace("2_000", "200"));
        let mut command = Command::new("bash");
        command.args(["-euc", &recipe]).current_dir(place.path()).env("PATH", &path);
        for variable in ["GITHUB_STEP_SUMMARY", "CI_NODE_INDEX", "CI_NODE_TOTAL"] {
            command.env_remove(variable);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{recipe}\n{told}\n{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn what_is_meant_to_be_yaml_is() {
    let text = page("ci.md");
    let pipelines = blocks(&text, "yaml");
    assert_eq!(pipelines.len(), 3);
    for pipeline in pipelines {
        YamlLoader::load_from_str(pipeline).unwrap_or_else(|error| panic!("{error}:\n{pipeline}"));
    }
}
