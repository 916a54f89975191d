//! What rounds of a container runtime came to, in words and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::ScenarioReport;
use super::human::{FAINT, line};
use crate::violation::Class;
use crate::words::{grouped, plural};

/// What rounds of a container runtime came to: how many were played, met, and killed in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoundsReport {
    /// What the runtime says of its version.
    pub version: String,
    /// How many rounds were played.
    pub rounds: u64,
    /// In how many of them two commands ran at one time.
    pub met: u64,
    /// How many times metadata was read while commands ran.
    pub reads: u64,
    /// In how many rounds each class was broken, and the number of the first of them.
    pub broken: BTreeMap<Class, Broken>,
}

/// How often a class was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// In so many rounds.
    pub rounds: u64,
    /// The number of the first, from 1.
    pub first: u64,
}

impl RoundsReport {
    /// Several rounds' worth together: counts are added up.
    #[must_use]
    pub fn with(mut self, other: &Self) -> Self {
        for (class, more) in &other.broken {
            let own =
                self.broken.entry(*class).or_insert(Broken { rounds: 0, first: more.first + self.rounds });
            own.rounds += more.rounds;
        }
        self.rounds += other.rounds;
        self.met += other.met;
        self.reads += other.reads;
        self
    }

    /// In a line.
    #[must_use]
    pub fn words(&self) -> String {
        let mut said = format!(
            "{}: {}, {} of them with commands that ran at the same time",
            self.version,
            plural(self.rounds, "round"),
            grouped(self.met)
        );
        if self.reads > 0 {
            let reads = grouped(self.reads);
            write!(said, "; metadata was read {reads} times meanwhile").expect("a String takes all");
        }
        for (class, broken) in &self.broken {
            let rounds = plural(broken.rounds, "round");
            let first = grouped(broken.first);
            write!(said, "; {class} in {rounds}, first in round {first}").expect("a String takes all");
        }
        said
    }
}

/// The rounds of a scenario in the report for people.
pub(super) fn tell(text: &mut String, scenario: &ScenarioReport) {
    if let Some(rounds) = &scenario.rounds {
        line(text, &format!("{FAINT}{}: {}{FAINT:#}", scenario.name, rounds.words()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_of_several_runs_add_up() {
        let one = RoundsReport {
            version: "runc version 1.1.5".into(),
            rounds: 100,
            met: 99,
            reads: 0,
            broken: BTreeMap::new(),
        };
        let broken = BTreeMap::from([(Class::DuplicateCreate, Broken { rounds: 2, first: 7 })]);
        let both = one.clone().with(&RoundsReport { broken, ..one });
        assert_eq!(
            both.words(),
            "runc version 1.1.5: 200 rounds, 198 of them with commands that ran at the same time; \
             duplicate-create in 2 rounds, first in round 107"
        );
    }
}
