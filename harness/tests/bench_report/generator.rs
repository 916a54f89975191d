//! Records with known statistics. Published numbers never come from here.

use flockwork_harness::measure::machine::Machine;
use flockwork_harness::measure::{
    Axis, BenchRecord, Cell, Exclusion, Latency, Point, Round, SCHEMA_VERSION, Value,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a cell of a generated record is like.
#[derive(Clone, Copy)]
pub struct Kind {
    /// Acquisitions in each round of one second, before noise.
    pub rate: f64,
    /// The median wait, in nanoseconds: waits lie within 10 % of it, and one in 50 is ten times as long.
    pub wait_ns: u64,
    /// How far a round may be off, as a part.
    pub noise: f64,
    pub rounds: u32,
    pub processes: u32,
}

impl Default for Kind {
    fn default() -> Self {
        Self { rate: 10_000.0, wait_ns: 20_000, noise: 0.01, rounds: 5, processes: 2 }
    }
}

pub fn word(word: &str) -> Value {
    Value::Word(word.to_owned())
}

pub fn point(lock: &str, processes: u32) -> Point {
    Point::default()
        .with(Axis::Lock, word(lock))
        .with(Axis::Wait, word("block"))
        .with(Axis::Processes, Value::Number(processes.into()))
}

/// A cell of a kind, at a lock.
pub fn cell(lock: &str, kind: Kind, random: &mut ChaCha8Rng) -> Cell {
    let mut part = move || f64::from(random.next_u32()) / f64::from(u32::MAX);
    let rounds = (0..kind.rounds).map(|order| {
        let factor = 1.0 + kind.noise * (2.0 * part() - 1.0);
        let count = (kind.rate * factor) as u64;
        let (mut wait, mut hold, mut whole) = (Latency::new(), Latency::new(), Latency::new());
        for index in 0..2_000 {
            let long = if index % 50 == 0 { 10.0 } else { 1.0 };
            let wait_ns = (kind.wait_ns as f64 * (0.9 + 0.2 * part()) * long / factor) as u64;
            wait.record(wait_ns);
            hold.record(1_000);
            whole.record(wait_ns + 1_000);
        }
        let processes = u64::from(kind.processes);
        let shares: Vec<u64> = (0..processes)
            .map(|process| count / processes + u64::from(process < count % processes))
            .collect();
        let matrix = (0..kind.processes).map(|from| {
            let row = (0..kind.processes).map(|to| if from == to { count / 4 } else { count / 8 });
            row.collect()
        });
        Round {
            order,
            duration_ns: 1_000_000_000,
            shares,
            wait,
            hold,
            whole,
            handoffs: count / 2,
            handoff_matrix: matrix.collect(),
            cpu_user_ns: 500_000_000,
            cpu_system_ns: 1_000_000_000,
            switches_voluntary: count,
            switches_involuntary: count / 10,
            exclusion: Exclusion { watched: count, overlaps: 0 },
            ..Round::default()
        }
    });
    let rounds = rounds.collect();
    Cell { point: point(lock, kind.processes), rounds, invalid: None, warnings: Vec::new() }
}

/// A record of these cells.
pub fn record(seed: u64, cells: &[(&str, Kind)]) -> BenchRecord {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    BenchRecord {
        schema_version: SCHEMA_VERSION,
        scenario: "generated".into(),
        scenario_sha256: "00".into(),
        argv: ["flockwork", "bench", "it's here.toml"].map(str::to_owned).to_vec(),
        seed,
        version: "0.1.0".into(),
        machine: Machine {
            kernel: "Linux 6.1".into(),
            architecture: "x86_64".into(),
            processors: 2,
            processor_model: Some("Imaginary".into()),
            memory_bytes: 1 << 30,
        },
        filesystems: Vec::new(),
        started_at: "2026-01-01T00:00:00Z".into(),
        complete: true,
        left_out: 0,
        cells: cells.iter().map(|(lock, kind)| cell(lock, *kind, &mut random)).collect(),
    }
}

/// Two locks at 1 to 8 processes.
pub fn grid() -> BenchRecord {
    let kinds = [1, 2, 4, 8].map(|processes| {
        let rate = 40_000.0 / f64::from(processes);
        Kind { rate, wait_ns: 5_000 * u64::from(processes), processes, ..Kind::default() }
    });
    let slower = |kind: Kind| Kind { rate: kind.rate * 0.5, wait_ns: kind.wait_ns * 2, ..kind };
    let cells: Vec<_> = kinds
        .iter()
        .map(|kind| ("std", *kind))
        .chain(kinds.iter().map(|kind| ("lockfile", slower(*kind))))
        .collect();
    record(7, &cells)
}
