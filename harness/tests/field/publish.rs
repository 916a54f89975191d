//! Measures the corpus and the real tools, and fills in the tables of docs/field.md: `just field`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::flockwork::{Raced, flockwork_race, race, stress};
use super::measured::Log;
use super::pair::{By, Pair, Race, Variant, folder, is_installed, names};

/// How long a stress run takes at first. One that finds nothing is followed by one that takes the time of luck.
const STRESS: &str = "1s";
/// How many seeds each race that depends on luck is run with; `FLOCKWORK_FIELD_SEEDS` overrides it.
const SEEDS: u64 = 10;
/// How long commands that run freely are tried; `FLOCKWORK_FIELD_BUDGET` overrides it.
const LUCK: &str = "10s";
/// How long commands are explored at most.
const PATIENCE: &str = "120s";

#[test]
#[ignore = "measures for a long time: just field"]
fn publish() {
    let only = std::env::var("FLOCKWORK_FIELD").unwrap_or_default();
    let mut log = Log::open();
    let mut table = String::from(
        "| program | under control: schedules, time | stress with a model: found, operations, time \
         | perturbed: found, executions, time | free: found, executions, time | twin, under control | twin, stress |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for name in names().iter().filter(|name| name.contains(&only)) {
        let pair = Pair::read(name);
        let stressed = stress_columns(&mut log, &pair);
        for (index, raced) in pair.races.iter().enumerate() {
            let row = row(&mut log, &pair, index, raced, &stressed);
            print!("{row}");
            table += &row;
        }
    }
    if only.is_empty() {
        fill("field", &table);
    }
}

#[test]
#[ignore = "installs packages and measures for some minutes: just field-tools"]
fn publish_tools() {
    let only = std::env::var("FLOCKWORK_FIELD").unwrap_or_default();
    let mut table = String::from(
        "| tool | what is raced | verdict | executions | s | what it says |\n|---|---|---|---|---|---|\n",
    );
    let text = fs::read_to_string(folder().join("tools.json")).expect("tools.json");
    let tools: Vec<Tool> = serde_json::from_str(&text).expect("tools.json is as it must be");
    let mut log = Log::open();
    for tool in tools.iter().filter(|tool| tool.name.contains(&only)) {
        let row = tool.row(&mut log);
        print!("{row}");
        table += &row;
    }
    if only.is_empty() {
        fill("tools", &table);
    }
}

/// Writes a table between its marks in docs/field.md.
fn fill(mark: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/field.md");
    let text = fs::read_to_string(&path).expect("docs/field.md");
    let (begin, end) = (format!("<!-- {mark}: begin -->\n"), format!("<!-- {mark}: end -->"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    fs::write(&path, format!("{before}{begin}{table}{end}{after}")).expect("written");
}

/// How many seeds there are.
fn seeds() -> u64 {
    std::env::var("FLOCKWORK_FIELD_SEEDS").map_or(SEEDS, |seeds| seeds.parse().expect("a number"))
}

/// How long commands that run freely are tried.
fn luck() -> String {
    std::env::var("FLOCKWORK_FIELD_BUDGET").unwrap_or_else(|_| LUCK.into())
}

/// The row of a race.
fn row(log: &mut Log, pair: &Pair, index: usize, raced: &Race, stressed: &[String; 2]) -> String {
    let luck = luck();
    let mut run = |variant: Variant, words: &[&str], seed: u64| {
        let what = format!("{}, {index}, {}, {}, seed {seed}", pair.name, variant.as_str(), words.join(" "));
        let known = log.measured(&what, || {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let words = [words, vec!["--seed".into(), seed.to_string()]].concat();
            race(pair.build(variant).path(), raced, &words)
        });
        (
            known.code == 100,
            known.report.as_ref().map_or(0, |report| report.executions),
            known.seconds,
            told(known),
        )
    };
    let controlled = run(Variant::Broken, &["--budget", PATIENCE], 1).3;
    let twin = run(Variant::Fixed, &["--budget", PATIENCE], 1).3;
    let mut by_luck = |how: &[&str]| {
        let words = [how, &["--budget", &luck]].concat();
        let runs: Vec<_> = (1..=seeds()).map(|seed| run(Variant::Broken, &words, seed)).collect();
        found(
            &runs
                .iter()
                .map(|(is_found, number, seconds, _)| (*is_found, *number, *seconds))
                .collect::<Vec<_>>(),
        )
    };
    let (perturbed, free) = if raced.by == By::Crash {
        ("–".into(), "–".into())
    } else {
        (by_luck(&["--perturb", "0..2ms"]), by_luck(&["--free"]))
    };
    let name = &pair.name;
    let which = if pair.races.len() > 1 {
        format!(", {}", raced.processes.concat().join(" ‖ ").replace("./tool ", ""))
    } else {
        String::new()
    };
    let [stress, calm] = stressed;
    format!(
        "| [{name}](../scenarios/field/{name}/README.md){which} | {controlled} | {stress} | {perturbed} | {free} | {twin} | {calm} |\n"
    )
}

/// How soon the program's own scenario finds its fault, and what it says of the twin.
fn stress_columns(log: &mut Log, pair: &Pair) -> [String; 2] {
    let Some(scenario) = pair.stress() else { return ["–".into(), "–".into()] };
    let luck = luck();
    let mut run = |variant: Variant, seed: u64, duration: &str| {
        let what = format!("{}, stress, {}, {duration}, seed {seed}", pair.name, variant.as_str());
        let known = log.measured(&what, || {
            let words = ["--seed", &seed.to_string(), "--duration", duration].map(str::to_owned);
            stress(pair.build(variant).path(), &scenario, &words)
        });
        let operations = known.report.as_ref().map_or(0, |report| report.operations);
        (known.code == 100, operations, known.seconds, told_stress(known))
    };
    let runs: Vec<(bool, u64, f64)> = (1..=seeds())
        .map(|seed| {
            let (is_found, operations, seconds, _) = run(Variant::Broken, seed, STRESS);
            if is_found {
                return (true, operations, seconds);
            }
            let (is_found, more, took, _) = run(Variant::Broken, seed, &luck);
            (is_found, operations + more, seconds + took)
        })
        .collect();
    [found(&runs), run(Variant::Fixed, 1, STRESS).3]
}

/// A stress run in a few words.
fn told_stress(raced: &Raced) -> String {
    let Some(report) = &raced.report else { return format!("exit {}", raced.code) };
    let verdict = if raced.code == 100 { raced.classes().join(", ") } else { report.verdict.clone() };
    format!("{verdict}: {}, {:.1} s", report.operations, raced.seconds)
}

/// A race under control in a few words.
fn told(raced: &Raced) -> String {
    let Some(report) = &raced.report else { return format!("exit {}", raced.code) };
    let how = match (report.controlled, report.coverage.as_deref()) {
        (true, Some("exhausted")) => "all",
        (true, Some("bounded")) => "all with 2 preemptions",
        (true, _) => "sampled",
        (false, _) => "not controlled",
    };
    let verdict =
        if raced.code == 100 { raced.classes().join(", ") } else { format!("{}, {how}", report.verdict) };
    format!("{verdict}: {}, {:.1} s", report.executions, raced.seconds)
}

/// Runs that depend on luck, each with whether it found the fault, after how much, in what time: how many found it, and the
/// medians of those that did.
fn found(runs: &[(bool, u64, f64)]) -> String {
    let mut found: Vec<(u64, f64)> =
        runs.iter().filter(|run| run.0).map(|(_, number, seconds)| (*number, *seconds)).collect();
    let of = format!("{} of {}", found.len(), runs.len());
    if found.is_empty() {
        return of;
    }
    found.sort_by_key(|(number, _)| *number);
    let number = found[found.len() / 2].0;
    found.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    format!("{of}: {number}, {:.1} s", found[found.len() / 2].1)
}

/// A pair of commands of a tool that others made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    /// The tool.
    #[serde(rename = "tool")]
    name: String,
    /// What is raced.
    about: String,
    /// Programs without which it cannot run.
    needs: Vec<String>,
    /// Commands that install what it takes beside the state.
    #[serde(default)]
    prepare: Vec<String>,
    /// Files beside the state.
    #[serde(default)]
    files: BTreeMap<PathBuf, String>,
    /// Environment of all commands.
    #[serde(default)]
    env: BTreeMap<String, String>,
    setup: Vec<String>,
    commands: Vec<String>,
    /// Further words of the command line.
    #[serde(default)]
    options: Vec<String>,
}

impl Tool {
    fn row(&self, log: &mut Log) -> String {
        let lacks: Vec<&str> =
            self.needs.iter().map(String::as_str).filter(|program| !is_installed(program)).collect();
        if !lacks.is_empty() {
            return format!(
                "| {} | {} | not run: {} is not installed | | | |\n",
                self.name,
                self.about,
                lacks.join(", ")
            );
        }
        let raced = log.measured(&format!("{}: {}", self.name, self.about), || self.race());
        let (verdict, executions, says) = match &raced.report {
            None => (format!("exit {}", raced.code), String::new(), last_line(&raced.told)),
            Some(report) => {
                let verdict = match (raced.code, report.controlled, report.coverage.as_deref()) {
                    (100, ..) => raced.classes().join(", "),
                    (_, true, Some(coverage)) => format!("{} ({coverage})", report.verdict),
                    _ => format!("{} (not controlled)", report.verdict),
                };
                let messages = report.violations.iter().map(|violation| violation.message.clone());
                // What was found needs no reason.
                let reasons = report.reasons.iter().filter(|why| !why.starts_with("unexpected ")).cloned();
                let says: Vec<String> = messages.chain(reasons).chain(report.uncontrolled.clone()).collect();
                (verdict, report.executions.to_string(), says.join("; "))
            }
        };
        let says: String = says.replace('|', "\\|").replace('\n', " ").chars().take(300).collect();
        format!(
            "| {} | {} | {verdict} | {executions} | {:.1} | {says} |\n",
            self.name, self.about, raced.seconds
        )
    }

    fn race(&self) -> Raced {
        let place = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(place.path().join("state")).expect("made");
        for (name, text) in &self.files {
            fs::write(place.path().join(name), text).expect("written");
        }
        for command in &self.prepare {
            let status =
                Command::new("sh").args(["-c", command]).current_dir(place.path()).status().expect("sh runs");
            assert!(status.success(), "{}: {command}", self.name);
        }
        let mut words: Vec<String> = ["--budget", "60s", "--time-limit", "30s"].map(str::to_owned).into();
        // A commit's time and author are part of its name.
        let date =
            [("GIT_AUTHOR_DATE", "2001-01-01T00:00:00Z"), ("GIT_COMMITTER_DATE", "2001-01-01T00:00:00Z")];
        let names = ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"];
        let given = self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in date.into_iter().chain(names.map(|name| (name, "nobody"))).chain(given) {
            words.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        for command in &self.setup {
            words.extend(["--setup".to_owned(), command.clone()]);
        }
        words.extend(self.options.clone());
        words.push("--".into());
        words.extend(self.commands.clone());
        flockwork_race(place.path(), &words)
    }
}

fn last_line(text: &str) -> String {
    text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned()
}

/// The tools are as they must be, also where nobody measures them.
#[test]
fn at_least_ten_pairs_of_real_commands_are_listed() {
    let text = fs::read_to_string(folder().join("tools.json")).expect("tools.json");
    let tools: Vec<Tool> = serde_json::from_str(&text).expect("tools.json is as it must be");
    assert!(tools.len() >= 10, "{}", tools.len());
    for tool in tools {
        assert!(tool.commands.len() >= 2, "{tool:?}");
    }
}
