//! Unites what several machines, or several seeds, came to for one scenario.
//!
//! It is commutative and idempotent: what is united is put in one order first, and what is certain of the whole is never
//! more than of its least part. The verdict is made anew from what all of them saw, as one run would have made it.

use std::collections::{BTreeMap, BTreeSet};

use super::coverage::CoverageReport;
use super::race::RaceReport;
use super::rounds::RoundsReport;
use crate::campaign::Unit;
use crate::check::{self, CheckId};
use crate::engine::Ended;
use crate::history::Outcome;
use crate::plan::parts::Parts;
use crate::report::exit::Exit;
use crate::report::guarantee::GuaranteeReport;
use crate::report::verdict::{Case, Doubt, Verdict, judge};
use crate::report::{
    CheckReport, CheckVerdict, ExplorationReport, ReachReport, Reproduction, ScenarioReport, Tries,
    ViolationReport, WorkReport,
};
use crate::scenario::{Expect, Kind};
use crate::violation::Class;

/// What one unit came to.
#[derive(Clone, Copy, Debug)]
pub struct Piece<'r> {
    /// The case of the campaign that it is a part of.
    pub unit: Unit,
    /// What it came to.
    pub report: &'r ScenarioReport,
}

/// Unites the pieces of one scenario, in whatever order; `None` where there is none. One whole piece stays as it is.
#[must_use]
pub fn unite(pieces: &[Piece<'_>]) -> Option<ScenarioReport> {
    let mut pieces = pieces.to_vec();
    pieces.sort_by_key(|piece| piece.unit);
    pieces.dedup_by_key(|piece| piece.unit);
    let first = pieces.first()?;
    if pieces.len() == 1 && first.unit.parts.is_all() {
        return Some(first.report.clone());
    }
    let mut united = summed(&pieces);
    conclude(&mut united, &pieces);
    Some(united)
}

fn summed(pieces: &[Piece<'_>]) -> ScenarioReport {
    let reports = || pieces.iter().map(|piece| piece.report);
    let sum = |of: fn(&ScenarioReport) -> u64| reports().map(of).sum::<u64>();
    let some =
        |of: fn(&ScenarioReport) -> Option<u64>| reports().filter_map(of).reduce(|one, other| one + other);
    let first = pieces[0].report;
    ScenarioReport {
        name: first.name.clone(),
        work: work(pieces),
        subject: first.subject.clone(),
        verdict: Verdict::Inconclusive,
        expected: false,
        reasons: Vec::new(),
        expect: first.expect.clone(),
        operations: sum(|report| report.operations),
        failed: sum(|report| report.failed),
        first_failure: reports().find_map(|report| report.first_failure.clone()),
        duration_s: reports().map(|report| report.duration_s).sum(),
        startup_s: None,
        processes: reports().map(|report| report.processes).max().unwrap_or(0),
        kills: some(|report| report.kills),
        handoff_ratio: handoff_ratio(pieces),
        schedules: some(|report| report.schedules),
        interrupted: reports().any(|report| report.interrupted),
        ended: reports().map(|report| report.ended).reduce(worse).unwrap_or_default(),
        shortfalls: shortfalls(pieces),
        violations: violations(pieces),
        violations_total: sum(|report| report.violations_total),
        checks: checks(pieces),
        reach: reports()
            .filter_map(|report| report.reach.as_ref())
            .fold(None, |sum, next| Some(reach(sum, next))),
        rounds: reports().filter_map(|report| report.rounds.as_ref()).fold(None, |sum, next| {
            Some(sum.map_or_else(|| next.clone(), |sum: RoundsReport| sum.with(next)))
        }),
        results: (pieces.len() == 1).then(|| first.results.clone()).flatten(),
        exit: Exit::Inconclusive,
    }
}

/// The verdict on all of it.
fn conclude(united: &mut ScenarioReport, pieces: &[Piece<'_>]) {
    // Whoever did not run has seen nothing that could be judged, and what the others saw stays true.
    let failed: Vec<&ScenarioReport> =
        pieces.iter().map(|piece| piece.report).filter(|report| report.verdict == Verdict::Error).collect();
    let doubts = united.checks.iter().filter_map(|check| {
        let why = format!("{}: {}", check.name, check.inconclusive.as_ref()?);
        Some(Doubt { class: check.name.class(), why })
    });
    let seen: BTreeSet<Class> = united.violations.iter().map(|violation| violation.class).collect();
    let mut expect = united.expect.clone();
    if !is_whole(pieces) {
        // What is expected and does not show may show in a part that is not here.
        let (shown, missing): (Vec<Class>, Vec<Class>) =
            expect.violations.iter().partition(|class| seen.contains(class));
        united.shortfalls.extend(missing.iter().map(|class| {
            format!("expected {class} did not appear in this part: `flockwork merge` says whether it did in another")
        }));
        if !missing.is_empty() {
            expect = Expect { violations: Vec::new(), also: [shown, missing, expect.also].concat() };
        }
    }
    let judgement = judge(&Case {
        expect: &expect,
        seen,
        doubts: doubts.collect(),
        shortfalls: united.shortfalls.clone(),
        examined: examined(united),
        ended: united.ended,
    });
    united.exit = failed.iter().map(|report| report.exit).fold(judgement.exit, Exit::and);
    united.verdict = match judgement.verdict {
        Verdict::Clean | Verdict::Inconclusive if !failed.is_empty() => Verdict::Error,
        verdict => verdict,
    };
    united.expected = united.exit == Exit::AsExpected;
    let told: BTreeSet<&String> = failed.iter().flat_map(|report| &report.reasons).collect();
    united.reasons = judgement.reasons.into_iter().chain(told.into_iter().cloned()).collect();
}

/// Whether every part of each seed is there.
fn is_whole(pieces: &[Piece<'_>]) -> bool {
    let mut parts = BTreeMap::<u64, Parts>::new();
    for piece in pieces {
        let known = parts.entry(piece.unit.seed).or_insert(Parts::NONE);
        *known = known.with(piece.unit.parts);
    }
    parts.values().all(|parts| parts.is_all())
}

/// How much was looked at: by checks, and of commands their executions.
fn examined(united: &ScenarioReport) -> u64 {
    let checked: u64 = united.checks.iter().map(|check| check.examined).sum();
    let raced = match &united.work {
        WorkReport::Race { race: Some(race) } => race.executions + united.violations.len() as u64,
        _ => 0,
    };
    checked + raced
}

const fn worse(one: Ended, other: Ended) -> Ended {
    if weight(one) >= weight(other) { one } else { other }
}

const fn weight(ended: Ended) -> u8 {
    match ended {
        Ended::Completed => 0,
        Ended::Stalled => 1,
        Ended::LogFull => 2,
        Ended::Interrupted => 3,
    }
}

/// Of each signature the first finding, with how many runs showed it.
fn violations(pieces: &[Piece<'_>]) -> Vec<ViolationReport> {
    let mut by_signature = BTreeMap::<&str, ViolationReport>::new();
    for violation in pieces.iter().flat_map(|piece| &piece.report.violations) {
        match by_signature.get_mut(violation.signature.as_str()) {
            Some(known) => known.reproduction = known.reproduction.with(violation.reproduction),
            None => {
                by_signature.insert(&violation.signature, violation.clone());
            }
        }
    }
    // A run of free processes that did not show what another did tells how rarely it shows.
    let runs = pieces.len() as u32;
    let mut violations: Vec<_> = by_signature.into_values().collect();
    for violation in &mut violations {
        if violation.reproduction.tries != Tries::Replays {
            let shown = |piece: &&Piece<'_>| {
                piece.report.violations.iter().any(|other| other.signature == violation.signature)
            };
            let times = pieces.iter().filter(shown).count() as u32;
            violation.reproduction = Reproduction { times, of: runs, tries: Tries::Runs };
        }
    }
    violations.sort_by(|one, other| (one.class, &one.signature).cmp(&(other.class, &other.signature)));
    violations
}

fn checks(pieces: &[Piece<'_>]) -> Vec<CheckReport> {
    let mut known = BTreeMap::<CheckId, CheckReport>::new();
    for check in pieces.iter().flat_map(|piece| &piece.report.checks) {
        let Some(sum) = known.get_mut(&check.name) else {
            known.insert(check.name, check.clone());
            continue;
        };
        sum.verdict = sum.verdict.max(check.verdict);
        sum.examined += check.examined;
        sum.violations_total += check.violations_total;
        sum.inconclusive = sum.inconclusive.take().or_else(|| check.inconclusive.clone());
        let is_not_applicable = sum.verdict == CheckVerdict::NotApplicable;
        sum.not_applicable = sum.not_applicable.take().filter(|_| is_not_applicable);
    }
    // The order of checks is everywhere the same; a piece may lack some.
    let place = |id: CheckId| check::all().iter().position(|check| check.id() == id).unwrap_or(usize::MAX);
    let mut all: Vec<_> = known.into_values().collect();
    all.sort_by_key(|check| place(check.name));
    all
}

fn reach(sum: Option<ReachReport>, next: &ReachReport) -> ReachReport {
    let Some(mut sum) = sum else { return next.clone() };
    sum.pairs_seen = sum.pairs_seen.max(next.pairs_seen);
    sum.pairs_possible = sum.pairs_possible.max(next.pairs_possible);
    for (operation, counts) in &next.counts {
        let known: &mut BTreeMap<Outcome, u64> = sum.counts.entry(operation.clone()).or_default();
        for (outcome, count) in counts {
            *known.entry(*outcome).or_default() += count;
        }
    }
    sum
}

/// Each ratio weighs as much as the operations that it is of.
fn handoff_ratio(pieces: &[Piece<'_>]) -> Option<f64> {
    let known = || {
        pieces.iter().filter_map(|piece| Some((piece.report.handoff_ratio?, piece.report.operations as f64)))
    };
    let operations: f64 = known().map(|(_, operations)| operations).sum();
    known().next()?;
    let weighed: f64 = known().map(|(ratio, operations)| ratio * operations).sum();
    Some(if operations > 0.0 { weighed / operations } else { 0.0 })
}

/// What was too little in one is too little in all, but that its part of an exploration lacked what another's had.
fn shortfalls(pieces: &[Piece<'_>]) -> Vec<String> {
    let told: BTreeSet<&String> = pieces.iter().flat_map(|piece| &piece.report.shortfalls).collect();
    let mut told: Vec<String> = told.into_iter().cloned().collect();
    let explored: Vec<&ExplorationReport> =
        pieces.iter().filter_map(|piece| piece.report.exploration()).collect();
    let is_all = explored.iter().any(|it| it.strategy.starts_with("exhaustive"));
    if is_all && pieces[0].report.processes > 1 && !explored.iter().any(|it| it.met) {
        told.push(ExplorationReport::NEVER_MET.into());
    }
    told
}

fn work(pieces: &[Piece<'_>]) -> WorkReport {
    match pieces[0].report.work.kind() {
        Kind::Explore => WorkReport::Explore { exploration: exploration(pieces) },
        Kind::Race => WorkReport::Race { race: race(pieces) },
        // It is never shared among machines: the pieces are of one run.
        Kind::Crash => pieces[0].report.work.clone(),
        kind => WorkReport::nothing(kind),
    }
}

fn exploration(pieces: &[Piece<'_>]) -> Option<ExplorationReport> {
    let known = || pieces.iter().filter_map(|piece| Some((piece, piece.report.exploration()?)));
    let first = known().next()?.1;
    let sum = |of: fn(&ExplorationReport) -> u64| known().map(|(_, report)| of(report)).sum::<u64>();
    let schedules: u64 = pieces.iter().filter_map(|piece| piece.report.schedules).sum();
    let duration_s: f64 = pieces.iter().map(|piece| piece.report.duration_s).sum();
    let (redundant, repeated) = (sum(|it| it.redundant), sum(|it| it.repeated));
    let all = (schedules + redundant + repeated) as f64;
    Some(ExplorationReport {
        strategy: first.strategy.clone(),
        coverage: known().map(|(_, it)| it.coverage).reduce(CoverageReport::least)?,
        redundant,
        naive: known().find_map(|(_, it)| it.naive),
        faulted: sum(|it| it.faulted),
        repeated,
        power: known().filter_map(|(_, it)| it.power.clone()).reduce(|one, other| one.with(&other)),
        blocked: sum(|it| it.blocked),
        steps: sum(|it| it.steps),
        met: known().any(|(_, it)| it.met),
        guarantee: guarantee(pieces),
        schedules_per_s: if duration_s > 0.0 { all / duration_s } else { 0.0 },
    })
}

fn race(pieces: &[Piece<'_>]) -> Option<RaceReport> {
    let known = || {
        pieces.iter().filter_map(|piece| match &piece.report.work {
            WorkReport::Race { race } => race.as_ref(),
            _ => None,
        })
    };
    let mut sum = known().next()?.clone();
    known().skip(1).for_each(|next| sum.add(next));
    let duration_s: f64 = pieces.iter().map(|piece| piece.report.duration_s).sum();
    let all = (sum.executions + sum.sequential_runs) as f64;
    sum.executions_per_s = if duration_s > 0.0 { all / duration_s } else { 0.0 };
    Some(sum)
}

/// What is promised of all: of each seed what its least part promises, and of several seeds that one of them finds it.
fn guarantee(pieces: &[Piece<'_>]) -> Option<GuaranteeReport> {
    let mut by_seed = BTreeMap::<u64, Option<GuaranteeReport>>::new();
    for piece in pieces {
        let promised = piece.report.exploration().and_then(|it| it.guarantee);
        by_seed
            .entry(piece.unit.seed)
            .and_modify(|known| *known = known.zip(promised).map(|(one, other)| one.of_parts(other)))
            .or_insert(promised);
    }
    let each: Option<Vec<GuaranteeReport>> = by_seed.into_values().collect();
    each?.into_iter().reduce(GuaranteeReport::of_seeds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::cases::tests::scenario;

    fn unit(seed: u64, parts: Parts) -> Unit {
        Unit { scenario: 0, seed, parts }
    }

    fn explored(schedules: u64, coverage: CoverageReport, met: bool) -> ScenarioReport {
        let exploration = ExplorationReport {
            strategy: "exhaustive".into(),
            coverage,
            redundant: 1,
            naive: None,
            faulted: schedules,
            repeated: 2,
            power: None,
            blocked: 3,
            steps: 40,
            met,
            guarantee: None,
            schedules_per_s: 1.0,
        };
        ScenarioReport {
            work: WorkReport::Explore { exploration: Some(exploration) },
            schedules: Some(schedules),
            violations: vec![],
            violations_total: 0,
            checks: vec![CheckReport {
                name: CheckId::Of(Class::LostUpdate),
                verdict: CheckVerdict::Clean,
                examined: schedules,
                violations_total: 0,
                inconclusive: None,
                not_applicable: None,
            }],
            shortfalls: vec![],
            handoff_ratio: None,
            kills: None,
            expect: Expect::default(),
            ..scenario("words", Exit::AsExpected)
        }
    }

    #[test]
    fn the_order_of_pieces_and_their_number_of_times_mean_nothing() {
        let reports = [
            scenario("one", Exit::Violation),
            explored(9, CoverageReport::Exhausted, true),
            scenario("one", Exit::AsExpected),
        ];
        let pieces: Vec<Piece<'_>> = reports
            .iter()
            .enumerate()
            .map(|(seed, report)| Piece { unit: unit(seed as u64, Parts::ALL), report })
            .collect();
        let whole = unite(&pieces).unwrap();
        let orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]];
        for order in orders {
            let turned: Vec<_> = order.iter().map(|index| pieces[*index]).collect();
            assert_eq!(unite(&turned).unwrap(), whole);
            let twice: Vec<_> = turned.iter().chain(&pieces).copied().collect();
            assert_eq!(unite(&twice).unwrap(), whole);
        }
        assert_eq!(unite(&[]), None);
    }

    proptest! {
        #[test]
        fn any_order_and_any_repetition_of_any_pieces_come_to_the_same(
            work in prop::collection::vec((0_u64..1_000, 0_usize..5, any::<bool>()), 1..12),
            mixed in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
            kind in any::<bool>(),
        ) {
            let report = |(number, exit, met): (u64, usize, bool)| {
                let exit = [Exit::AsExpected, Exit::Violation, Exit::Inconclusive, Exit::HarnessFailed, Exit::Unsupported][exit];
                let coverage = if met { CoverageReport::Exhausted } else { CoverageReport::Partial };
                // Seconds that do not add up to the same in every order, as floats.
                let duration_s = 0.1 + number as f64 / 3.0;
                let one = if kind { explored(number, coverage, met) } else { scenario("one", exit) };
                ScenarioReport { duration_s, ..one }
            };
            let reports: Vec<ScenarioReport> = work.into_iter().map(report).collect();
            // Two parts a seed, so that both ways of adding up are tried.
            let piece = |(index, report)| {
                let parts = if index % 2 == 0 { Parts::one(3) } else { Parts::one(4) };
                Piece { unit: unit(index as u64 / 2, parts), report }
            };
            let pieces: Vec<Piece<'_>> = reports.iter().enumerate().map(piece).collect();
            let whole = unite(&pieces).unwrap();
            let mut turned: Vec<Piece<'_>> = mixed.iter().map(|index| *index.get(&pieces)).collect();
            turned.extend(pieces.iter().rev());
            prop_assert_eq!(unite(&turned).unwrap(), whole);
        }
    }

    #[test]
    fn parts_of_an_exploration_add_up_and_are_worth_what_the_least_is_worth() {
        let (left, right) = (Parts::one(0).with(Parts::one(1)), Parts::one(2));
        let one = explored(10, CoverageReport::Exhausted, false);
        let other = explored(5, CoverageReport::ExhaustedTo { preemptions: 2 }, true);
        let pieces =
            [Piece { unit: unit(1, left), report: &one }, Piece { unit: unit(1, right), report: &other }];
        let united = unite(&pieces).unwrap();
        let exploration = united.exploration().unwrap();
        assert_eq!((united.schedules, exploration.steps, united.checks[0].examined), (Some(15), 80, 15));
        assert_eq!(exploration.coverage, CoverageReport::ExhaustedTo { preemptions: 2 });
        assert_eq!(
            (united.verdict, united.exit),
            (Verdict::Clean, Exit::AsExpected),
            "in one of them they met"
        );
        let alone = unite(&pieces[..1]).unwrap();
        assert_eq!(alone.exit, Exit::Inconclusive, "{:?}", alone.reasons);
    }

    #[test]
    fn one_finding_of_several_runs_is_one_and_says_how_many_showed_it() {
        let shown = scenario("one", Exit::Violation);
        let clean = ScenarioReport { violations: vec![], violations_total: 0, ..shown.clone() };
        let reports = [&shown, &clean, &shown, &clean];
        let pieces: Vec<_> = reports
            .into_iter()
            .enumerate()
            .map(|(seed, report)| Piece { unit: unit(seed as u64, Parts::ALL), report })
            .collect();
        let united = unite(&pieces).unwrap();
        assert_eq!(united.violations.len(), 1);
        assert_eq!(united.violations[0].reproduction, Reproduction { times: 2, of: 4, tries: Tries::Runs });
        assert_eq!((united.violations_total, united.exit), (2, Exit::Violation));
    }

    #[test]
    fn what_is_expected_may_appear_in_any_piece() {
        let expect = Expect { violations: vec![Class::LostUpdate], also: vec![Class::TornRead] };
        let shown = ScenarioReport { expect: expect.clone(), ..scenario("one", Exit::AsExpected) };
        let missing = ScenarioReport { violations: vec![], exit: Exit::Inconclusive, ..shown.clone() };
        let pieces = [
            Piece { unit: unit(1, Parts::ALL), report: &missing },
            Piece { unit: unit(2, Parts::ALL), report: &shown },
        ];
        assert_eq!(unite(&pieces).unwrap().exit, Exit::AsExpected);
        let neither = [pieces[0], Piece { unit: unit(3, Parts::ALL), report: &missing }];
        assert_eq!(unite(&neither).unwrap().exit, Exit::Violation, "nobody has shown it");
    }

    #[test]
    fn a_piece_that_did_not_run_makes_no_clean_whole() {
        let clean = explored(10, CoverageReport::Exhausted, true);
        let error = ScenarioReport {
            verdict: Verdict::Error,
            exit: Exit::HarnessFailed,
            reasons: vec!["no memory".into()],
            checks: vec![],
            work: WorkReport::Explore { exploration: None },
            schedules: None,
            ..clean.clone()
        };
        let pieces = [
            Piece { unit: unit(1, Parts::one(0)), report: &clean },
            Piece { unit: unit(1, Parts::one(1)), report: &error },
        ];
        let united = unite(&pieces).unwrap();
        assert_eq!((united.verdict, united.exit), (Verdict::Error, Exit::HarnessFailed));
        assert_eq!(united.reasons, ["no memory"]);
    }
}
