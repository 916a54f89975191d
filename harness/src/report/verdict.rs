//! From what was seen to a verdict. Pure: the one place that decides what a run was worth.

use std::collections::BTreeSet;

use flockwork_judge::verdict::fold;
pub use flockwork_judge::verdict::{Ruling, Undecided, Verdict};

use super::exit::Exit;
use crate::engine::Ended;
use crate::scenario::Expect;
use crate::violation::Class;

/// The verdict of a whole run, from the exit code it ends with.
#[must_use]
pub const fn of_exit(exit: Exit) -> Verdict {
    match exit {
        Exit::AsExpected => Verdict::Clean,
        Exit::Violation | Exit::ThresholdExceeded => Verdict::Violation,
        Exit::Inconclusive => Verdict::Inconclusive,
        Exit::HarnessFailed | Exit::Usage | Exit::NothingToRun | Exit::Unsupported | Exit::Diverged => {
            Verdict::Error
        }
    }
}

/// All that a verdict rests on.
#[derive(Clone, Debug)]
pub struct Case<'a> {
    /// What the scenario expects.
    pub expect: &'a Expect,
    /// The classes of the violations found.
    pub seen: BTreeSet<Class>,
    /// Checks that could not judge, and why.
    pub doubts: Vec<Doubt>,
    /// Why the run may have been too little to show what there is: processes that hardly met, containers that never
    /// came to be, interleavings that were not reached.
    pub shortfalls: Vec<String>,
    /// How many things all checks looked at.
    pub examined: u64,
    /// Why the run ended.
    pub ended: Ended,
}

/// What a check could not decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The class of the violations that may have gone unseen.
    pub class: Class,
    /// What could not be decided, in a sentence.
    pub why: String,
}

/// The verdict, and what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What was seen.
    pub verdict: Verdict,
    /// Whether that is what the scenario expects.
    pub expected: bool,
    /// The exit code that this scenario alone would end with.
    pub exit: Exit,
    /// Why, where it is not simply as expected.
    pub reasons: Vec<String>,
}

/// Judges a run.
#[must_use]
pub fn judge(case: &Case<'_>) -> Judgement {
    let expect = case.expect;
    let unexpected: Vec<_> = case.seen.iter().filter(|class| !expect.covers(**class)).collect();
    let missing: Vec<_> = expect.violations.iter().filter(|class| !case.seen.contains(class)).collect();
    let mut doubts = doubts(case);
    // Contention is the means, and so is the rest. Where what it should bring about has appeared, there was enough of it.
    if expect.violations.is_empty() || !missing.is_empty() {
        doubts.extend(case.shortfalls.iter().cloned());
    }

    let mut reasons: Vec<String> = unexpected.iter().map(|class| format!("unexpected {class}")).collect();
    let is_cut_short = case.ended == Ended::Interrupted;
    if !is_cut_short {
        reasons.extend(missing.iter().map(|class| {
            format!("expected {class} did not appear: either the subject was fixed, or the run missed it")
        }));
    }
    // What was judged is legal, but for what was found and what was left open.
    let open = || doubts.iter().map(Ruling::open).chain([Ruling::Legal(())]);
    let illegal = |is_illegal: bool| is_illegal.then_some(Ruling::Illegal(())).into_iter();
    let exit = Exit::from(&fold(illegal(!reasons.is_empty()).chain(open())));
    let verdict = fold(illegal(!case.seen.is_empty()).chain(open())).verdict();
    reasons.extend(doubts);
    Judgement { verdict, expected: exit == Exit::AsExpected, exit, reasons }
}

fn doubts(case: &Case<'_>) -> Vec<String> {
    // What a scenario allows to appear may also stay undecided: it hides nothing that would be unexpected.
    let mut doubts: Vec<String> = case
        .doubts
        .iter()
        .filter(|doubt| !case.expect.covers(doubt.class))
        .map(|doubt| doubt.why.clone())
        .collect();
    match case.ended {
        Ended::Interrupted => doubts.push("interrupted before the budget ran out".into()),
        Ended::Stalled if case.seen.is_empty() => {
            doubts.push("stalled: no operation finished within the stall time, and no check says why".into());
        }
        Ended::LogFull => {
            doubts.push("the log filled up before the budget ran out: run fewer operations".into());
        }
        Ended::Completed | Ended::Stalled => {}
    }
    if case.examined == 0 {
        doubts.push("no check had anything to judge".into());
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use Class::{LostUpdate, TornRead};

    fn case<'a>(expect: &'a Expect, seen: &[Class]) -> Case<'a> {
        Case {
            expect,
            seen: seen.iter().copied().collect(),
            doubts: Vec::new(),
            shortfalls: Vec::new(),
            examined: 10,
            ended: Ended::Completed,
        }
    }

    fn doubt(class: Class) -> Doubt {
        Doubt { class, why: "gaps".into() }
    }

    fn verdict(case: &Case<'_>) -> (Verdict, bool, Exit) {
        let judgement = judge(case);
        assert_eq!(judgement.expected, judgement.reasons.is_empty(), "{judgement:?}");
        (judgement.verdict, judgement.expected, judgement.exit)
    }

    #[test]
    fn what_is_expected_and_what_is_not() {
        let none = Expect::default();
        let torn = Expect { violations: vec![TornRead], also: vec![LostUpdate] };
        assert_eq!(verdict(&case(&none, &[])), (Verdict::Clean, true, Exit::AsExpected));
        assert_eq!(verdict(&case(&none, &[TornRead])), (Verdict::Violation, false, Exit::Violation));
        assert_eq!(verdict(&case(&torn, &[TornRead])), (Verdict::Violation, true, Exit::AsExpected));
        assert_eq!(
            verdict(&case(&torn, &[TornRead, LostUpdate])),
            (Verdict::Violation, true, Exit::AsExpected)
        );
        assert_eq!(verdict(&case(&torn, &[LostUpdate])), (Verdict::Violation, false, Exit::Violation));
        assert_eq!(verdict(&case(&torn, &[])), (Verdict::Clean, false, Exit::Violation));
        let more = [TornRead, Class::Deadlock];
        assert_eq!(verdict(&case(&torn, &more)), (Verdict::Violation, false, Exit::Violation));
    }

    #[test]
    fn inconclusive_is_never_clean() {
        let none = Expect::default();
        let clean = case(&none, &[]);
        for doubtful in [
            Case { doubts: vec![doubt(LostUpdate)], ..clean.clone() },
            Case { shortfalls: vec!["no create succeeded".into()], ..clean.clone() },
            Case { examined: 0, ..clean.clone() },
            Case { ended: Ended::Interrupted, ..clean.clone() },
            Case { ended: Ended::LogFull, ..clean.clone() },
            Case { ended: Ended::Stalled, ..clean.clone() },
        ] {
            assert_eq!(verdict(&doubtful), (Verdict::Inconclusive, false, Exit::Inconclusive));
        }
    }

    #[test]
    fn what_may_appear_may_stay_undecided() {
        let torn = Expect { violations: vec![TornRead], also: vec![LostUpdate] };
        let seen = case(&torn, &[TornRead]);
        let allowed = Case { doubts: vec![doubt(LostUpdate)], ..seen.clone() };
        assert_eq!(verdict(&allowed).2, Exit::AsExpected);
        let other = Case { doubts: vec![doubt(Class::Deadlock)], ..seen };
        assert_eq!(verdict(&other).2, Exit::Inconclusive);
    }

    #[test]
    fn an_interrupted_run_is_not_blamed_for_what_it_did_not_show() {
        let torn = Expect { violations: vec![TornRead], also: vec![] };
        let interrupted = Case { ended: Ended::Interrupted, ..case(&torn, &[]) };
        assert_eq!(verdict(&interrupted).2, Exit::Inconclusive);
        let unexpected = Case { ended: Ended::Interrupted, ..case(&torn, &[LostUpdate]) };
        assert_eq!(verdict(&unexpected).2, Exit::Violation);
    }

    #[test]
    fn shortfalls_do_not_matter_once_the_expected_has_appeared() {
        let torn = Expect { violations: vec![TornRead], also: vec![] };
        let shortfalls = vec!["handoff ratio 0".to_owned()];
        let seen = Case { shortfalls: shortfalls.clone(), ..case(&torn, &[TornRead]) };
        assert_eq!(verdict(&seen).2, Exit::AsExpected);
        let missing = judge(&Case { shortfalls, ..case(&torn, &[]) });
        assert_eq!(missing.exit, Exit::Violation);
        assert!(missing.reasons.iter().any(|reason| reason.contains("handoff")));
    }
}
