//! Every rule is needed: the scenarios of scenarios/proof/broken, each with one rule switched off, and the document that
//! shows them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flockwork_harness::conduct::explore::{Trial, run};
use flockwork_harness::plan::{Replica, SubjectPlan};
use flockwork_harness::process::Zygote;
use flockwork_harness::scenario::{Expect, Plan, Scenario, find};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The scenarios of a folder, and of those below it.
fn scenarios(folder: &str) -> Vec<Scenario> {
    let found = find(&[repository().join("scenarios").join(folder)]).expect("scenarios");
    let parse = |found| Scenario::parse(found, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
    found.iter().map(parse).collect()
}

fn explore(zygote: &mut Zygote, scenario: &Scenario) -> Trial {
    let folder = super::explore::folder();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let Plan::Explore(plan) = scenario.plan(&root, 1) else { panic!("{} is no exploration", scenario.name) };
    run(zygote, &scenario.expect, &plan, &AtomicBool::new(false), &())
        .unwrap_or_else(|error| panic!("{}: {error}", scenario.name))
}

/// Without a rule the explorer finds what it is there for, within the budget of a thousand schedules.
pub fn every_rule_is_needed(zygote: &mut Zygote) {
    let broken = scenarios("proof/broken");
    assert!(broken.len() >= 8, "{} rules", broken.len());
    for scenario in &broken {
        let trial = explore(zygote, scenario);
        assert!(trial.judgement.expected, "{}: {:?}", scenario.name, trial.judgement.reasons);
        assert!(trial.run.schedules <= 1_000, "{}: {} schedules", scenario.name, trial.run.schedules);
    }
}

/// With all rules the same programs are clean: what the explorer found was the missing rule, not the replica.
pub fn all_rules_are_enough(zygote: &mut Zygote) {
    for scenario in scenarios("proof/broken") {
        if !matches!(scenario.subject, SubjectPlan::Replica { .. }) {
            continue;
        }
        let subject = SubjectPlan::Replica { replica: Replica::Rules { without: None }, fail_create: None };
        let whole = Scenario { subject, expect: Expect::default(), ..scenario };
        let trial = explore(zygote, &whole);
        assert!(
            trial.judgement.expected && trial.run.discoveries.is_empty(),
            "{} with all rules: {:?}\n{:?}",
            whole.name,
            trial.judgement.reasons,
            trial.run.discoveries.first()
        );
    }
}

pub fn scenarios_parse(_: &mut Zygote) {
    for scenario in scenarios("proof") {
        assert!(scenario.name.len() > 2, "{}", scenario.name);
    }
}

/// What docs/crash.md says of the library: each rule of its fsyncs left out is found, and with all of them nothing is.
pub fn power_losses_end_as_expected(zygote: &mut Zygote) {
    let all = scenarios("crash/library");
    assert!(all.len() >= 8, "{} scenarios", all.len());
    for scenario in &all {
        let trial = explore(zygote, scenario);
        assert!(trial.judgement.expected, "{}: {:?}", scenario.name, trial.judgement.reasons);
        let power = trial.run.power.as_ref().unwrap_or_else(|| panic!("{} loses no power", scenario.name));
        assert!(power.unjudged.is_none() && power.states > 3, "{}: {power:?}", scenario.name);
        let (found, clean) = (scenario.about.contains(" Found:"), scenario.about.contains(" Clean:"));
        assert!(found != clean, "{}: found or clean, with the reason: {}", scenario.name, scenario.about);
        assert_eq!(found, !scenario.expect.violations.is_empty(), "{}", scenario.name);
    }
}

/// The document has a section for each, with the classes that it shows.
pub fn document_shows_every_rule(_: &mut Zygote) {
    let path = repository().join("docs/proof.md");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for scenario in scenarios("proof/broken") {
        let heading = format!("\n### {}\n", scenario.name);
        let (_, section) =
            text.split_once(&heading).unwrap_or_else(|| panic!("no section {}", scenario.name));
        let section = section.split("\n### ").next().unwrap_or_default();
        assert!(section.contains("What happened: "), "{}: no schedule", scenario.name);
        for class in &scenario.expect.violations {
            assert!(section.contains(&format!("`{class}`")), "{}: {class} is not named", scenario.name);
        }
    }
}
