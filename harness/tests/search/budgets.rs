//! Budgets: where time or memory runs out, nothing is said, least of all that all is well.

use std::time::Duration;

use flockwork::Operation;
use flockwork_harness::check::search::{self, Budget, SearchRuling};
use flockwork_harness::history::{History, Outcome, Reason, Record};
use flockwork_harness::model::{Builtin, Model};

use crate::crowd;
use crate::simulation::Random;

const NO_TIME: Budget = Budget { time: Some(Duration::ZERO), memory_bytes: 1 << 30, width: 6 };
const NO_MEMORY: Budget = Budget { time: None, memory_bytes: 1, width: 6 };

fn judge(history: &History, budget: Budget) -> SearchRuling {
    search::judge(history, &Model::builtin(Builtin::Runsc), budget).remove(0)
}

/// Many killed operations that may have acted in any combination, and a refusal that no state explains.
fn hard() -> History {
    use Operation::{Create, Delete, ForceDelete, Kill, Pause, Resume, Start};

    let mut history = History::default();
    history.containers.push("c1".into());
    let mut add = |operation, invoke_ns, return_ns, outcome, reason| {
        let process = history.records.len() as u32;
        let mut record = Record::invoked(process, Some(0), operation, invoke_ns);
        record.set_return_ns(Some(return_ns));
        (record.outcome, record.reason) = (outcome, reason);
        history.records.push(record);
    };
    add(Create, 10, 20, Outcome::Ok, None);
    for (number, operation) in
        [Pause, Resume, Kill, Delete, Create, Start, ForceDelete].into_iter().cycle().take(28).enumerate()
    {
        add(operation, 50, 1000 + number as u64, Outcome::Unknown, None);
    }
    add(Start, 60, 70, Outcome::Refused, Some(Reason::Exists));
    history
}

#[test]
fn without_time_nothing_is_said() {
    for seed in 0..20 {
        let history = crowd::history(&mut Random::new(seed), 100, 1 + seed);
        assert_eq!(judge(&history, NO_TIME), SearchRuling::open("the time budget ran out"));
    }
    assert!(matches!(judge(&hard(), NO_TIME), SearchRuling::Undecided(_)));
}

#[test]
fn without_memory_what_needs_it_is_inconclusive() {
    let SearchRuling::Undecided(why) = judge(&hard(), NO_MEMORY) else { panic!("64 ways cannot hold this") };
    assert!(why.why().contains("memory budget"), "{why:?}");
    assert!(matches!(judge(&hard(), Budget::default()), SearchRuling::Illegal(_)));
}

/// With as little memory as there is, the verdict is the same or none.
#[test]
fn without_memory_no_verdict_is_another() {
    let mut undecided = 0;
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut history = crowd::history(&mut random, 120, 2 + seed % 20);
        if seed % 2 == 1 {
            crate::turn(&mut random, &mut history.records);
        }
        let (poor, rich) = (judge(&history, NO_MEMORY), judge(&history, Budget::default()));
        match (&poor, &rich) {
            (SearchRuling::Undecided(_), _) => undecided += 1,
            (SearchRuling::Legal(_), SearchRuling::Legal(_))
            | (SearchRuling::Illegal(_), SearchRuling::Illegal(_)) => {}
            _ => panic!("seed {seed}: {poor:?} without memory, {rich:?} with"),
        }
    }
    println!("undecided without memory: {undecided} of 60");
}
