//! The canary: a short run of a protocol without any lock. A harness that finds nothing there would find nothing
//! anywhere.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::{Health, Probe};
use crate::conduct::stress;
use crate::engine::Ended;
use crate::process::Zygote;
use crate::scenario::{Found, Scenario};
use crate::scratch::Scratch;
use crate::violation::Class;
use crate::words::plural;

const SCENARIO: &str = r#"
about = "The canary: a protocol without any lock, which must be caught."
kind = "stress"

[subject]
name = "replica"
replica = "gvisor-unlocked"

[stress]
processes = 8
containers = 4
operations = 8_000
think = "0us..50us"
payload = "16KiB"
# No pause: on a created container the original dies of it, and that takes no race.
mix = { create = 4, start = 4, state = 6, force-delete = 3 }
handoff_min = 0.0
"#;

/// What only a race can bring about. Anything else would be caught by a harness whose processes never meet.
const RACES: [Class; 3] = [Class::TornRead, Class::DuplicateCreate, Class::LostUpdate];

/// Whatever the machine, one choice of operations; the interleaving is the machine's own.
const SEED: u64 = 1;

/// Runs the canary.
pub fn examine(zygote: io::Result<Zygote>, base: &Path, stop: &AtomicBool) -> Probe {
    let zygote = match zygote {
        Ok(zygote) => zygote,
        Err(error) => {
            // What the machine lacks is no fault of the harness.
            let health =
                if error.kind() == io::ErrorKind::Unsupported { Health::Missing } else { Health::Broken };
            return Probe::new("canary", health, format!("no process can be started: {error}"));
        }
    };
    match run(zygote, base, stop) {
        Ok(detail) => Probe::new("canary", Health::Ok, detail),
        Err(why) => Probe::new("canary", Health::Broken, why),
    }
}

fn run(mut zygote: Zygote, base: &Path, stop: &AtomicBool) -> Result<String, String> {
    let scenario = scenario()?;
    let scratch = Scratch::create(base).map_err(|error| error.to_string())?;
    let stress = scenario.stress().ok_or("the canary is no stress run")?;
    let plan = stress.plan(scenario.subject.clone(), &scratch.root(), SEED);
    let trial = stress::run(&mut zygote, (&scenario.expect, stress), &plan, stop, &(), || ())
        .map_err(|error| format!("the engine failed: {error}"))?;
    let classes: BTreeSet<_> = trial
        .violations()
        .iter()
        .filter(|violation| RACES.contains(&violation.class))
        .map(|violation| violation.class.as_str())
        .collect();
    let operations = plural(trial.run.history.records.len() as u64, "operation");
    match () {
        () if !classes.is_empty() => {
            let classes: Vec<_> = classes.into_iter().collect();
            Ok(format!("caught, as it must be: {} in {operations}", classes.join(", ")))
        }
        () if trial.run.ended == Ended::Interrupted => Err("interrupted".into()),
        () => Err(format!("no race was found in {operations} of a protocol without any lock")),
    }
}

fn scenario() -> Result<Scenario, String> {
    let found = Found { argument: "canary.toml".into(), text: SCENARIO.into() };
    Scenario::parse(&found, &[])
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_canary_is_a_sound_scenario() {
        super::scenario().unwrap();
    }
}
