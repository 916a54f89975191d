//! What it costs that nothing is called legal without an order that was validated: each judge with the proof, and without.
//!
//! `cargo bench -p flockwork-judge --bench certificate`. A row a judge: medians of rounds in turns, and their ratio.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use flockwork::{Operation, Status};
use flockwork_judge::check::search::{self, Budget};
use flockwork_judge::check::witness::{self, DeathRule, WitnessOrder};
use flockwork_judge::history::{History, Outcome, Record};
use flockwork_judge::model::{Builtin, Model};
use flockwork_judge::verdict::Ruling;

const OPERATIONS: u64 = 200_000;
const PROCESSES: u64 = 16;
const ROUNDS: usize = 9;

/// One container that is paused, resumed and looked at, by processes whose operations overlap.
fn history(containers: u32) -> History {
    let mut history = History::default();
    history.model = Some(Builtin::Runsc);
    let mut revisions = vec![0_u64; containers as usize];
    let mut state = 0x9e37_79b9_u64;
    for number in 0..OPERATIONS {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let container = (number % u64::from(containers)) as u32;
        let revision = &mut revisions[container as usize];
        let turn = number / u64::from(containers);
        let (operation, status) = match (*revision, turn % 4) {
            (0, _) => (Operation::Create, Status::Created),
            (_, 1) => (Operation::Pause, Status::Paused),
            (_, 3) => (Operation::Resume, Status::Created),
            (_, 2) => (Operation::State, Status::Paused),
            _ => (Operation::State, Status::Created),
        };
        *revision += u64::from(operation != Operation::State);
        let at_ns = 1000 + 100 * number;
        let process = (number % PROCESSES) as u32;
        let mut record = Record::invoked(process, Some(container), operation, at_ns - (state >> 60) * 40);
        record.set_return_ns(Some(at_ns + (state >> 52 & 15) * 40));
        record.outcome = Outcome::Ok;
        record.status = Some(status);
        record.generation = NonZeroU64::new(1);
        record.revision = NonZeroU64::new(*revision);
        history.records.push(record);
    }
    history.containers = (1..=containers).map(|number| format!("c{number}")).collect();
    history
}

fn median(mut rounds: Vec<Duration>) -> f64 {
    rounds.sort();
    rounds[rounds.len() / 2].as_secs_f64() * 1e3
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let since = Instant::now();
    let done = work();
    (done, since.elapsed())
}

fn row(name: &str, with: Vec<Duration>, without: Vec<Duration>) {
    let ratios = with.iter().zip(&without).map(|(with, without)| with.as_secs_f64() / without.as_secs_f64());
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios[ratios.len() / 2];
    println!(
        "{name:<28} {:>9.1} ms with, {:>9.1} ms without, ratio {ratio:.2} ({:.2} to {:.2})",
        median(with),
        median(without),
        ratios[0],
        ratios[ratios.len() - 1]
    );
}

fn main() {
    let model = Model::builtin(Builtin::Runsc);
    for containers in [1, 64] {
        let told = history(containers);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (rulings, took) = timed(|| witness::judge(&told, &model, DeathRule::Never));
            let is_legal =
                |ruling: &witness::Witnessed| matches!(ruling, witness::Witnessed::Ruled(Ruling::Legal(_)));
            assert!(rulings.iter().all(is_legal), "the history is legal");
            with.push(took);
            let (order, took) = timed(|| WitnessOrder::of_history(&told, DeathRule::Never));
            assert_eq!(order.faults().count(), 0, "the history is legal");
            without.push(took);
        }
        row(&format!("witness, {containers} containers"), with, without);
        if containers > 1 {
            // `validate` looks for a container's operations among all, and is no measure where there are several.
            continue;
        }
        let mut untold = told;
        for record in &mut untold.records {
            (record.generation, record.revision) = (None, None);
        }
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (rulings, took) = timed(|| search::judge(&untold, &model, Budget::default()));
            let [Ruling::Legal(proof)] = &rulings[..] else { panic!("the history is legal: {rulings:?}") };
            // To make the order out of what was found is part of finding it; to validate it is measured by itself.
            let (valid, validated) = timed(|| proof.certificate().validate(&untold, &model));
            assert_eq!(valid, Ok(()));
            with.push(took);
            without.push(took.saturating_sub(validated));
        }
        row("search, 1 container", with, without);
    }
}
