//! Campaigns: one body of work that several machines may share, as a list of cases.
//!
//! A case is a scenario, a seed, and a part of an exploration. The list is a pure function of the scenarios and the
//! seeds, and which shard a case belongs to is a pure function of the case's number and the shard: no machine has to ask
//! another. What a machine ran stands in each run's `run.json`, so that `flockwork merge` knows what is there and what is
//! missing.

pub mod shard;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use strum::VariantArray;

use crate::plan::StrategyPlan;
use crate::plan::parts::Parts;
use crate::scenario::{Scenario, Work};
use shard::Shard;

/// Some seeds, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seeds {
    /// The smallest seed of the range.
    pub first: u64,
    /// How many; at least one.
    pub count: u64,
}

impl Seeds {
    /// The seed of this number, from 0.
    #[must_use]
    pub const fn get(self, number: u64) -> u64 {
        self.first.wrapping_add(number)
    }
}

/// Whether another seed is another case, and whether parts of it are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// Each seed is a case.
    BySeed,
    /// Each seed has a case for each part.
    BySeedAndPart,
    /// One seed says all: each part is a case.
    ByPart,
    /// It stays whole.
    Whole,
}

impl Split {
    /// How a scenario can be shared.
    #[must_use]
    pub fn of(scenario: &Scenario) -> Self {
        match &scenario.work {
            Work::Stress(_) | Work::Command(_) | Work::Rounds(_) | Work::Bench(_) | Work::Race(_) => {
                Self::BySeed
            }
            // It makes no random choice.
            Work::Crash(_) => Self::Whole,
            Work::Explore(explore) => match (&explore.strategy, explore.faults.is_empty()) {
                (StrategyPlan::Replay(_), _) | (StrategyPlan::Exhaustive { .. }, true) => Self::Whole,
                (StrategyPlan::Exhaustive { .. }, false) => Self::ByPart,
                (StrategyPlan::Random | StrategyPlan::Pct { .. } | StrategyPlan::Pos, true) => Self::BySeed,
                (StrategyPlan::Random | StrategyPlan::Pct { .. } | StrategyPlan::Pos, false) => {
                    Self::BySeedAndPart
                }
            },
        }
    }

    const fn seeds(self, seeds: Seeds) -> u64 {
        match self {
            Self::BySeed | Self::BySeedAndPart => seeds.count,
            Self::ByPart | Self::Whole => 1,
        }
    }

    const fn parts(self) -> u32 {
        match self {
            Self::BySeedAndPart | Self::ByPart => Parts::COUNT,
            Self::BySeed | Self::Whole => 1,
        }
    }
}

/// A scenario of a campaign.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// The scenario, as its file is called.
    pub name: String,
    /// SHA-256 of its text.
    pub sha256: String,
    /// What the command line set, as `key.path=value`.
    pub overrides: Vec<String>,
    /// How it is shared.
    pub split: Split,
}

/// All the work, and what it is measured by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Campaign {
    /// Its scenarios, in their order.
    pub scenarios: Vec<Entry>,
    /// The seeds with which each of its scenarios runs.
    pub seeds: Seeds,
}

/// What one engine runs at once: cases of one scenario and one seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unit {
    /// Index of its scenario in the campaign.
    pub scenario: usize,
    /// The seed of this case: that of its run.
    pub seed: u64,
    /// Its parts; all of them where the scenario has none.
    pub parts: Parts,
}

/// What a run was of a campaign: a part of `run.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The whole campaign, of which a shard has a part.
    pub campaign: Campaign,
    /// Which share of it this machine had.
    pub shard: Shard,
    /// What of that share this run was.
    pub unit: Unit,
}

impl Campaign {
    /// Of these scenarios with what was set for each.
    #[must_use]
    pub fn new<'s>(scenarios: impl IntoIterator<Item = (&'s Scenario, Vec<String>)>, seeds: Seeds) -> Self {
        let entry = |(scenario, overrides): (&Scenario, Vec<String>)| {
            let (name, sha256) = (scenario.name.clone(), sha256_hex(&scenario.text));
            Entry { name, sha256, overrides, split: Split::of(scenario) }
        };
        Self { scenarios: scenarios.into_iter().map(entry).collect(), seeds }
    }

    /// What it is of, whatever the seeds: campaigns of one work can be merged.
    #[must_use]
    pub fn work(&self) -> String {
        let text = serde_json::to_string(&self.scenarios).expect("strings");
        sha256_hex(&text)
    }

    /// How many cases there are.
    #[must_use]
    pub fn cases(&self) -> u64 {
        self.scenarios.iter().map(|entry| self.cases_of(entry)).sum()
    }

    fn cases_of(&self, entry: &Entry) -> u64 {
        entry.split.seeds(self.seeds) * u64::from(entry.split.parts())
    }

    /// What a shard runs, in the order in which it does. Parts of one exploration run at once.
    #[must_use]
    pub fn units(&self, shard: Shard) -> Vec<Unit> {
        let mut units = Vec::new();
        let mut first = 0;
        for (scenario, entry) in self.scenarios.iter().enumerate() {
            let parts = entry.split.parts();
            for number in 0..entry.split.seeds(self.seeds) {
                let case = first + number * u64::from(parts);
                let own = owned(shard, case, parts);
                if !own.is_none() {
                    units.push(Unit { scenario, seed: self.seeds.get(number), parts: own });
                }
            }
            first += self.cases_of(entry);
        }
        units
    }

    /// The numbers, from 1, of the shards, of so many, that have one of a unit's cases.
    #[must_use]
    pub fn shards_of(&self, unit: Unit, of: u32) -> BTreeSet<u32> {
        let Some(entry) = self.scenarios.get(unit.scenario) else { return BTreeSet::new() };
        let before: u64 = self.scenarios[..unit.scenario].iter().map(|entry| self.cases_of(entry)).sum();
        let parts = entry.split.parts();
        let first = before + unit.seed.wrapping_sub(self.seeds.first) * u64::from(parts);
        let own = unit.parts.numbers().take_while(|part| *part < parts);
        own.map(|part| ((first + u64::from(part)) % u64::from(of.max(1))) as u32 + 1).collect()
    }

    /// What is missing where these units are there.
    #[must_use]
    pub fn missing(&self, there: &[Unit]) -> Vec<Unit> {
        let mut known = BTreeMap::<(usize, u64), Parts>::new();
        for unit in there {
            let parts = known.entry((unit.scenario, unit.seed)).or_insert(Parts::NONE);
            *parts = parts.with(unit.parts);
        }
        let missing = self.units(Shard::WHOLE).into_iter().map(|unit| {
            let there = known.get(&(unit.scenario, unit.seed)).copied().unwrap_or(Parts::NONE);
            Unit { parts: unit.parts.without(there), ..unit }
        });
        missing.filter(|unit| !unit.parts.is_none()).collect()
    }
}

/// SHA-256 of a text, in hexadecimal.
#[must_use]
pub fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all");
        hex
    })
}

/// Those of `parts` cases from `first` on that a shard has; all where there is one case and it has that.
fn owned(shard: Shard, first: u64, parts: u32) -> Parts {
    if parts == 1 {
        return if shard.owns(first) { Parts::ALL } else { Parts::NONE };
    }
    let own = (0..parts).filter(|part| shard.owns(first + u64::from(*part)));
    own.fold(Parts::NONE, |parts, part| parts.with(Parts::one(part)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn campaign(splits: &[Split], count: u64) -> Campaign {
        let entry = |(number, split): (usize, &Split)| Entry {
            name: format!("s{number}"),
            sha256: String::new(),
            overrides: vec![],
            split: *split,
        };
        Campaign {
            scenarios: splits.iter().enumerate().map(entry).collect(),
            seeds: Seeds { first: u64::MAX, count },
        }
    }

    #[test]
    fn the_shards_together_are_the_whole_and_no_two_share_anything() {
        for of in [1, 2, 3, 4, 64, 100, 999] {
            let campaign = campaign(Split::VARIANTS, 5);
            let mut seen = BTreeMap::<(usize, u64), Parts>::new();
            let mut cases = 0;
            for index in 0..of {
                for unit in campaign.units(Shard::new(index, of).unwrap()) {
                    let known = seen.entry((unit.scenario, unit.seed)).or_insert(Parts::NONE);
                    assert!(known.common(unit.parts).is_none(), "{unit:?} of {of}");
                    *known = known.with(unit.parts);
                    let parts = campaign.scenarios[unit.scenario].split.parts();
                    cases += if parts == 1 { 1 } else { unit.parts.numbers().count() as u64 };
                }
            }
            assert!(seen.values().all(|parts| parts.is_all()), "{of}");
            assert_eq!((seen.len(), cases), (12, campaign.cases()), "{of}");
        }
    }

    #[test]
    fn the_shard_of_a_case_can_be_named() {
        let campaign = campaign(Split::VARIANTS, 5);
        for index in 0..7 {
            let shard = Shard::new(index, 7).unwrap();
            for unit in campaign.units(shard) {
                assert_eq!(campaign.shards_of(unit, 7), BTreeSet::from([shard.number()]));
            }
        }
    }

    #[test]
    fn what_is_missing_is_what_the_missing_shard_has() {
        let campaign = campaign(Split::VARIANTS, 3);
        let shards: Vec<Shard> = (0..4).map(|index| Shard::new(index, 4).unwrap()).collect();
        let there: Vec<Unit> = shards[..3].iter().flat_map(|shard| campaign.units(*shard)).collect();
        assert_eq!(campaign.missing(&there), campaign.units(shards[3]));
        let all: Vec<Unit> = shards.iter().flat_map(|shard| campaign.units(*shard)).collect();
        assert_eq!(campaign.missing(&all), []);
    }

    #[test]
    fn the_work_is_another_where_a_scenario_is() {
        let one = campaign(&[Split::BySeed], 5);
        assert_eq!(one.work(), campaign(&[Split::BySeed], 9).work(), "seeds are no part of it");
        let mut other = one.clone();
        other.scenarios[0].sha256 = "1".into();
        assert_ne!(one.work(), other.work());
    }
}
