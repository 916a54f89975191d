//! What power losses of a race came to, in words and for programs.

use serde::{Deserialize, Serialize};

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
            unjudged.push("the time was used up before the last state".into());
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
            "a power loss changes nothing: the commands change nothing in the state folder; name the one that they change with \
             --state"
                .into(),
        );
    }
    run.is_cut.then(|| {
        format!("the time was used up after {} of a power loss: raise --budget", plural(run.states, "state"))
    })
}
