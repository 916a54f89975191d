//! What power losses came to, of a race and of an exploration, in words and for programs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::power::damage::Damage;
use crate::race::PowerLosses;
use crate::words::plural;

/// What power losses came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerReport {
    /// The disk model.
    pub disk: String,
    /// How many different states were judged.
    pub states: u64,
    /// Executions that they are of: those that did the same to the folders count once.
    pub executions: u64,
    /// Whether these are all states that the model allows after them; else all with up to two pieces missing.
    pub exhausted: bool,
    /// Why some states could not be judged.
    pub unjudged: Vec<String>,
}

impl PowerReport {
    pub(super) fn of(run: &PowerLosses) -> Self {
        let mut unjudged: Vec<String> = run.unjudged.iter().cloned().collect();
        if run.is_cut {
            unjudged.push("the time ran out before the last state".into());
        }
        Self {
            disk: run.disk.to_owned(),
            states: run.states,
            executions: run.executions,
            exhausted: run.is_exhaustive && unjudged.is_empty(),
            unjudged,
        }
    }

    /// With another part of the same race.
    pub(super) fn with(mut self, other: &Self) -> Self {
        self.states = self.states.max(other.states);
        self.executions += other.executions;
        self.exhausted &= other.exhausted;
        self.unjudged.extend(other.unjudged.iter().cloned());
        self
    }

    /// In a line.
    pub(super) fn tell(&self) -> String {
        let of = match self.executions {
            1 => "one execution".to_owned(),
            count => format!("{} that differ in their calls", plural(count, "execution")),
        };
        format!("power losses on {}: {} of {of}", self.disk, plural(self.states, "state"))
    }

    /// In the last words on a race.
    pub(super) fn verdict(&self) -> String {
        let which = if self.exhausted { "every one" } else { "each with up to two pieces missing" };
        format!(
            "a power loss on {} leaves what some of the commands leave: {which} of {}",
            self.disk,
            plural(self.states, "state")
        )
    }
}

/// Why power losses that showed nothing may have been too little.
pub(super) fn shortfall(run: &PowerLosses) -> Option<String> {
    if let Some(why) = run.unjudged.first() {
        return Some(format!("a power loss could not be judged after every execution: {why}"));
    }
    if run.executions == 0 {
        return Some("no power loss was judged: no execution under control came to its end".into());
    }
    if run.states <= 1 {
        return Some(
            "the commands change nothing in the state folder, so a power loss has no effect; name the folder that they change with --state"
                .into(),
        );
    }
    run.is_cut.then(|| {
        format!("the time ran out after {} of a power loss: raise --budget", plural(run.states, "state"))
    })
}

/// What came of power losses of an exploration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplorationPower {
    /// The disk model.
    pub disk: String,
    /// Whether what an operation did must last once it has returned.
    pub durable: bool,
    /// States that were judged; equal ones count once for all that happened before them alike.
    pub states: u64,
    /// Whether these are all that the model allows; else all with up to two pieces missing.
    pub exhausted: bool,
    /// Executions whose states were judged; those that did and answered the same count once.
    #[serde(default)]
    pub executions: u64,
    /// Moments at which the power may have gone, in all these executions.
    #[serde(default)]
    pub moments: u64,
    /// States that the model allows at these moments, execution by execution.
    #[serde(default)]
    pub allowed: u64,
    /// Of these, how many broke a promise.
    #[serde(default)]
    pub wrong: u64,
    /// What was wrong with the files in those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damages: Vec<DamageReport>,
}

/// What a power loss did to a file, and in how many states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamageReport {
    /// The file, within the state folder; empty where each file by itself is whole.
    pub file: String,
    /// What is wrong with it.
    pub damage: Damage,
    /// In how many of the states that broke a promise.
    pub states: u64,
}

impl ExplorationPower {
    /// With another part of the same exploration.
    pub(super) fn with(mut self, other: &Self) -> Self {
        let mut all = std::mem::take(&mut self.damages);
        for damage in &other.damages {
            match all.iter_mut().find(|known| (&known.file, known.damage) == (&damage.file, damage.damage)) {
                Some(known) => known.states += damage.states,
                None => all.push(damage.clone()),
            }
        }
        Self {
            states: self.states + other.states,
            executions: self.executions + other.executions,
            moments: self.moments + other.moments,
            allowed: self.allowed + other.allowed,
            wrong: self.wrong + other.wrong,
            exhausted: self.exhausted && other.exhausted,
            damages: all,
            ..self
        }
    }

    /// In a line.
    pub(super) fn tell(&self) -> String {
        let lasts =
            if self.durable { "what has returned must last" } else { "what has returned may be undone" };
        let all = if self.exhausted { "" } else { ", all with up to two pieces missing" };
        let mut told = format!(
            "power losses on {}, at {} of {}: {} judged{all}; {lasts}",
            self.disk,
            plural(self.moments, "moment"),
            plural(self.executions, "execution"),
            plural(self.states, "state")
        );
        for DamageReport { file, damage, states } in &self.damages {
            let what = if file.is_empty() {
                "every file whole, but wrong together".into()
            } else {
                format!("{file} {damage}")
            };
            // Writing to memory does not fail.
            _ = write!(told, "; {what} in {}", plural(*states, "state"));
        }
        told
    }
}
