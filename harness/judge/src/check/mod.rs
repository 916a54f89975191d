//! Checks: judges of a run's evidence. One trait, one file per check; each is a function from values to values.
//!
//! A check never touches a file, a process or a clock, and never guesses: what it reports is certain by the intervals
//! of the operations, and what it cannot decide it calls inconclusive.

pub mod certificate;
mod collateral;
mod collect;
mod deadlock;
mod decide;
mod duplicate_create;
#[cfg(test)]
mod fixture;
mod id;
mod leftover;
mod lives;
mod lock_overlap;
mod lost_update;
pub mod opaque;
mod resurrection;
pub mod search;
mod starvation;
mod status_mismatch;
mod subject_crash;
pub mod tell;
mod torn_read;
mod unrecoverable;
pub mod witness;

pub use id::CheckId;
pub use lives::examiner;
use rayon::prelude::*;

use crate::evidence::{Evidence, Unobserved};
use crate::violation::{Class, Violation};

/// A judge of evidence.
pub trait Check: Sync {
    /// Which it is, and so the class of what it finds.
    fn id(&self) -> CheckId;

    /// Judges the evidence.
    fn examine(&self, evidence: &Evidence<'_>) -> Examination;
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examination {
    /// How many things it looked at (operations, files, ends of processes); 0 means that it had nothing to judge.
    pub examined: u64,
    /// Broken promises; at most [`VIOLATIONS_MAX`] a check, the earliest first.
    pub violations: Vec<Violation>,
    /// How many there were, beyond those kept.
    pub violations_total: u64,
    /// Why it could reach no verdict on part of the evidence, where it could not.
    pub inconclusive: Option<String>,
    /// Why the check does not apply, where it does not: what it needs is not there. Then it examined nothing.
    pub not_applicable: Option<String>,
}

/// What an examination comes to: exactly one of these, the gravest that is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upshot<'e> {
    /// A promise was broken.
    Violation,
    /// Part of the evidence could not be judged, and this is why.
    Inconclusive(&'e str),
    /// There was nothing to judge, for this reason where one is known.
    NotApplicable(Option<&'e str>),
    /// All was examined, and no promise was broken.
    Clean,
}

impl Examination {
    /// One of a check that lacks what it needs.
    #[must_use]
    pub fn without(why: &Unobserved) -> Self {
        match why {
            Unobserved::Lacking(_) => Self { not_applicable: Some(why.to_string()), ..Self::default() },
            Unobserved::Missed(why) => Self { inconclusive: Some(why.clone()), ..Self::default() },
        }
    }

    /// What it comes to.
    #[must_use]
    pub fn upshot(&self) -> Upshot<'_> {
        match self {
            Self { violations, .. } if !violations.is_empty() => Upshot::Violation,
            Self { inconclusive: Some(why), .. } => Upshot::Inconclusive(why),
            Self { examined: 0, not_applicable, .. } => Upshot::NotApplicable(not_applicable.as_deref()),
            _ => Upshot::Clean,
        }
    }

    /// Takes in another of the same check. Where one of the two applies, both together do.
    pub fn merge(&mut self, other: Self) {
        let is_first = *self == Self::default();
        self.examined += other.examined;
        self.violations_total += other.violations_total;
        let room = VIOLATIONS_MAX.saturating_sub(self.violations.len());
        self.violations.extend(other.violations.into_iter().take(room));
        self.inconclusive = self.inconclusive.take().or(other.inconclusive);
        self.not_applicable = match self.not_applicable.take() {
            _ if self.examined > 0 => None,
            known if !is_first => known,
            _ => other.not_applicable,
        };
    }
}

/// How many violations one check keeps.
pub const VIOLATIONS_MAX: usize = 16;

/// Every check, in the order in which reports show them.
#[must_use]
pub fn all() -> &'static [&'static dyn Check] {
    &[
        &torn_read::TornRead,
        &duplicate_create::DuplicateCreate,
        &lost_update::LostUpdate,
        &lock_overlap::LockOverlap,
        &witness::Witness,
        &resurrection::Resurrection,
        &collateral::Collateral,
        &leftover::Leftover,
        &unrecoverable::Unrecoverable,
        &deadlock::Deadlock,
        &starvation::Starvation,
        &status_mismatch::StatusMismatch,
        &subject_crash::SubjectCrash,
    ]
}

/// Reads of torn metadata, as the operations told of them.
#[must_use]
pub fn torn_reads(evidence: &Evidence<'_>) -> Examination {
    torn_read::TornRead.examine(evidence)
}

/// Judges the evidence by every check, in the order of [`all`].
///
/// Checks run side by side, and those that need the witness order share one. What that order leaves open, as that of a
/// subject that tells no revisions, the search decides: the same that judges the histories of others, by the history's
/// model.
#[must_use]
pub fn examine_all(evidence: &Evidence<'_>) -> Vec<(CheckId, Examination)> {
    let order = witness::WitnessOrder::of(evidence);
    all().par_iter().map(|check| (check.id(), examine_one(*check, evidence, &order))).collect()
}

/// The same in the calling thread alone: for histories so short that threads cost more than they save.
#[must_use]
pub fn examine_in_turn(evidence: &Evidence<'_>) -> Vec<(CheckId, Examination)> {
    let order = witness::WitnessOrder::of(evidence);
    all().iter().map(|check| (check.id(), examine_one(*check, evidence, &order))).collect()
}

fn examine_one(check: &dyn Check, evidence: &Evidence<'_>, order: &witness::WitnessOrder) -> Examination {
    match check.id() {
        CheckId::Witness => decide::decide_open(evidence.history, order, witness::examine(evidence, order)),
        CheckId::Of(Class::Collateral) => collateral::examine(evidence, order),
        CheckId::Of(_) => check.examine(evidence),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_check_in_the_order_of_the_classes() {
        let ids: Vec<_> = all().iter().map(|check| check.id()).collect();
        // Of what objects and commands do, not of containers.
        let others = [Class::NotSerializable, Class::UnexpectedFailure, Class::LostByCrash];
        let of_containers = || Class::ALL.into_iter().filter(|class| !others.contains(class));
        let expected: Vec<_> = of_containers()
            .map(|class| if class == Class::NotLinearizable { CheckId::Witness } else { CheckId::Of(class) })
            .collect();
        assert_eq!(ids, expected);
        assert_eq!(
            ids.into_iter().map(CheckId::class).collect::<Vec<_>>(),
            of_containers().collect::<Vec<_>>()
        );
    }

    #[test]
    fn nothing_is_no_violation_and_was_not_examined() {
        let case = fixture::Case::default();
        for (name, examination) in examine_all(&case.evidence()) {
            assert_eq!(examination.violations, [], "{name}");
            assert_eq!(examination.inconclusive, None, "{name}");
        }
    }
}
