//! The judge of anyone's history: chooses the tier that what the history carries allows, container by container.
//!
//! The witness order is fastest and knows most, but needs generation and revision; the search needs neither. Nothing
//! here reads a file or starts a process.

use serde::Serialize;

use crate::check::search::{self, Budget, Explanation};
use crate::check::witness::{Deaths, Order};
use crate::evidence::{Evidence, Quiet};
use crate::history::History;
use crate::model::{Builtin, Model};
use crate::verdict::Verdict;
use crate::violation::Class;

/// Which tier is to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checker {
    /// The witness where it can, else the search.
    Auto,
    /// Only the order that generation and revision witness.
    Witness,
    /// Only the search, which looks at no generation and revision.
    Search,
}

/// Which tier has judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The witness order.
    Witness,
    /// The search.
    Search,
}

impl Tier {
    /// The tier as reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Search => "search",
        }
    }
}

/// What is said of one container.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The container.
    pub container: String,
    /// How many operations it had.
    pub operations: u64,
    /// The verdict: a violation is always `not-linearizable`.
    pub verdict: Verdict,
    /// Who reached it.
    pub tier: Tier,
    /// Why, where it is not clean.
    pub why: Option<String>,
    /// Why no order is legal, where intervals and outcomes alone show that.
    pub explanation: Option<Box<Explanation>>,
}

/// Judges every container that has operations, in the order of the history's names.
#[must_use]
pub fn judge(history: &History, model: &Model, checker: Checker, budget: Budget) -> Vec<Judgement> {
    // The witness knows the model runsc only.
    let has_witness = model.name() == Builtin::Runsc.as_str();
    let order = match checker {
        Checker::Auto | Checker::Witness if has_witness => {
            Some(Order::of_history(history, Deaths::of_history(history)))
        }
        _ => None,
    };
    let lanes = search::lanes(history);
    let budget = budget.shared(lanes.len());
    search::each_lane(lanes, |lane| {
        let bench = Bench { history, model, budget, order: order.as_ref() };
        match checker {
            Checker::Witness => bench.by_witness(lane.container, lane.indexes.len() as u64),
            Checker::Search => bench.by_search(&lane),
            Checker::Auto => bench.by_both(&lane),
        }
    })
}

/// What a container is judged by.
struct Bench<'a> {
    history: &'a History,
    model: &'a Model,
    budget: search::Allowance,
    order: Option<&'a Order>,
}

impl Bench<'_> {
    fn judgement(&self, container: u32, operations: u64, tier: Tier, verdict: Verdict) -> Judgement {
        let container = self.history.containers[container as usize].clone();
        Judgement { container, operations, verdict, tier, why: None, explanation: None }
    }

    fn by_witness(&self, container: u32, operations: u64) -> Judgement {
        let judgement = |verdict| self.judgement(container, operations, Tier::Witness, verdict);
        let Some(order) = self.order else {
            let why = format!("there is no witness order for the model {}", self.model.name());
            return Judgement { why: Some(why), ..judgement(Verdict::Inconclusive) };
        };
        if let Some(fault) = order.faults.iter().find(|fault| fault.container == container) {
            let quiet = Quiet::default();
            let evidence = Evidence {
                history: self.history,
                overlaps: &[],
                watched_sections: 0,
                exits: &[],
                quiet: &quiet,
                starvation_ns: u64::MAX,
                stall: None,
            };
            let message = fault.violation(&evidence, Class::NotLinearizable, "").message;
            // Whoever shows a judgement names the container anyway.
            let name = &self.history.containers[container as usize];
            let message = message.strip_prefix(&format!("{name}: ")).map_or(message.clone(), str::to_owned);
            return Judgement { why: Some(message), ..judgement(Verdict::Violation) };
        }
        match order.undecided.iter().find(|(undecided, _)| *undecided == container) {
            Some((_, why)) => Judgement { why: Some(why.clone()), ..judgement(Verdict::Inconclusive) },
            None => judgement(Verdict::Clean),
        }
    }

    fn by_search(&self, lane: &search::Operations) -> Judgement {
        let verdict = search::judge_one(self.history, self.model, self.budget, lane);
        let judgement =
            |verdict| self.judgement(lane.container, lane.indexes.len() as u64, Tier::Search, verdict);
        match verdict {
            search::Verdict::Linearizable => judgement(Verdict::Clean),
            search::Verdict::Inconclusive(why) => {
                Judgement { why: Some(why), ..judgement(Verdict::Inconclusive) }
            }
            search::Verdict::NotLinearizable(explanation) => Judgement {
                why: Some(explanation.sentence.clone()),
                explanation: Some(explanation),
                ..judgement(Verdict::Violation)
            },
        }
    }

    fn by_both(&self, lane: &search::Operations) -> Judgement {
        let witness = self.by_witness(lane.container, lane.indexes.len() as u64);
        match witness.verdict {
            Verdict::Clean => witness,
            Verdict::Violation => {
                // Where the search shows the same without tokens, its window and order explain it; where it does not,
                // it is the tokens that show it.
                let searched = self.by_search(lane);
                if searched.verdict == Verdict::Violation {
                    Judgement { tier: Tier::Witness, ..searched }
                } else {
                    witness
                }
            }
            Verdict::Inconclusive | Verdict::Error => self.by_search(lane),
        }
    }
}
