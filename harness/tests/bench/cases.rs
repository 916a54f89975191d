//! What the engine reports of real processes, held against what their subject wrote down itself: right whatever the
//! machine does to both.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flockwork::LockKind;
use flockwork_harness::engine::bench::{BenchRun, run};
use flockwork_harness::measure::{Latency, Point, Round};
use flockwork_harness::plan::bench::{BenchPlan, BenchSubject, CellPlan, Load, Operations, Skew, Task};
use flockwork_harness::process::Zygote;

use crate::Case;
use crate::subject::{STALL, Truth, truths};

pub const ALL: &[Case] = &[
    ("what_is_reported_is_what_was", what_is_reported_is_what_was),
    ("a_stall_is_seen_by_all_that_were_due", a_stall_is_seen_by_all_that_were_due),
];

const RATE: f64 = 1000.0;

fn cell(write: &str, processes: u32, load: Load) -> CellPlan {
    CellPlan {
        point: Point::default(),
        task: Task::Operate {
            subject: BenchSubject::Library,
            lock: LockKind::Fs2,
            read: flockwork::ReadPolicy::Shared,
            write: write.parse().expect("a way to write"),
            payload_bytes: 0,
            operations: Operations::Pause,
        },
        processes,
        containers: 1,
        skew: Skew::Uniform,
        load,
        root: 0,
        timed_every: 1,
    }
}

/// Measures one round without warm-up, and says where its processes left the truth.
fn measure(zygote: &mut Zygote, root: &Path, cell: CellPlan) -> (Round, PathBuf) {
    let plan = BenchPlan {
        cells: vec![cell],
        roots: vec![root.to_owned()],
        seed: 1,
        warm_up_ns: 0,
        duration_ns: 1_000_000_000,
        rounds: 1,
    };
    let BenchRun { mut cells, complete } = run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
    assert!(complete, "{:?}", cells[0].invalid);
    (cells[0].rounds.pop().expect("a round"), root.join("f1"))
}

/// How far from a quantile its neighbours are: a share.
const NEIGHBOURS: f64 = 0.05;

#[track_caller]
fn close(what: &str, reported: f64, true_value: f64) {
    assert!(
        (reported / true_value - 1.0).abs() < 0.02,
        "{what}: reported {reported}, and it was {true_value}"
    );
}

/// Holds the quantiles of a latency against those of the truth. Whoever is measured may lose the processor between the
/// harness's look at the clock and its own, so a quantile may lie where one of its neighbours lies.
#[track_caller]
fn hold_against(what: &str, reported: &Latency, mut truth: Vec<u64>, shares: &[f64]) {
    truth.sort_unstable();
    assert_eq!(reported.count(), truth.len() as u64, "{what}");
    let true_at = |share: f64| {
        let at_or_below = |rank: &usize| *rank as f64 >= share * truth.len() as f64;
        truth[(1..=truth.len()).find(at_or_below).unwrap_or(truth.len()) - 1]
    };
    for &share in shares {
        let told = reported.quantile_ns(share) as f64;
        let (least, most) =
            (true_at(share - NEIGHBOURS) as f64 * 0.98, true_at(share + NEIGHBOURS) as f64 * 1.02);
        assert!((least..=most).contains(&told), "{what} at {share}: reported {told}, not {least} to {most}");
    }
}

fn what_is_reported_is_what_was(zygote: &mut Zygote) {
    let root = tempfile::tempdir().expect("a folder");
    let (round, folder) = measure(zygote, root.path(), cell("rename", 3, Load::Closed(0)));
    let all: Vec<Vec<Truth>> = (0..3).map(|process| truths(&folder, process)).collect();
    let shares: Vec<u64> = all.iter().map(|truths| truths.len() as u64).collect();
    assert_eq!(round.shares, shares);
    close("throughput", round.throughput(), shares.iter().sum::<u64>() as f64);
    let of = |part: fn(&Truth) -> u64| all.iter().flatten().map(part).collect::<Vec<_>>();
    let shares = [0.25, 0.5, 0.75, 0.9];
    hold_against("wait", &round.wait, of(|truth| truth.got_ns - truth.asked_ns), &shares);
    hold_against("hold", &round.hold, of(|truth| truth.given_ns - truth.got_ns), &shares);
    hold_against("whole", &round.whole, of(|truth| truth.done_ns - truth.asked_ns), &shares);
    assert!(round.handoffs > 0 && round.exclusion.watched > 0);
}

/// The subject stalls once, and what was due meanwhile is late. Measured from where operations really begin, all but one
/// would look as if nothing had been.
fn a_stall_is_seen_by_all_that_were_due(zygote: &mut Zygote) {
    let root = tempfile::tempdir().expect("a folder");
    let (round, folder) = measure(zygote, root.path(), cell("fsync", 1, Load::Open(RATE)));
    let truths = truths(&folder, 0);
    let interval_ns = 1e9 / RATE;
    // Nobody begins before it is due, and somebody was hardly late: that one tells when all were due.
    let due_ns = |number: usize| interval_ns * number as f64;
    let from_ns = truths.iter().enumerate().map(|(number, truth)| truth.asked_ns as f64 - due_ns(number));
    let from_ns = from_ns.fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_sign_loss, reason = "nothing ends before it is due")]
    let late = |(number, truth): (usize, &Truth)| (truth.done_ns as f64 - from_ns - due_ns(number)) as u64;
    let whole: Vec<u64> = truths.iter().enumerate().map(late).collect();
    let longest_ns = *whole.iter().max().expect("some operations");
    assert!(longest_ns >= STALL.1);
    hold_against("whole", &round.whole, whole, &[0.9, 0.95, 0.99, 1.0]);
    let mut service: Vec<u64> = truths.iter().map(|truth| truth.done_ns - truth.asked_ns).collect();
    service.sort_unstable();
    let omitted_ns = service[service.len() * 9 / 10];
    assert!(omitted_ns * 4 < round.whole.quantile_ns(0.9), "else there would be nothing to omit");
}
