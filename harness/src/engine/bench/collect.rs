//! Puts a round together from what its workers left in the arena.

use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::serialization::Deserializer;

use super::noise::Disturbance;
use crate::measure::{Exclusion, Latency, Round};
use crate::plan::bench::CellPlan;
use crate::process::arena::{Arena, MATRIX_PROCESSES_MAX, Tally};

/// The round; an error says whose part of it is missing.
pub(super) fn round(
    arena: &Arena,
    cell: &CellPlan,
    (order, duration_ns): (u32, u64),
    disturbance: Disturbance,
) -> Result<Round, String> {
    let tallies = arena.tallies();
    if let Some(process) = tallies.iter().position(|tally| tally.complete.load(Ordering::Acquire) == 0) {
        return Err(format!("process {process} left no record of what it measured"));
    }
    let sum =
        |of: fn(&Tally) -> &AtomicU64| tallies.iter().map(|tally| of(tally).load(Ordering::Relaxed)).sum();
    let [wait, hold, whole] = histograms(arena)?;
    Ok(Round {
        order,
        duration_ns,
        shares: tallies.iter().map(|tally| tally.acquisitions.load(Ordering::Relaxed)).collect(),
        wait,
        hold,
        whole,
        handoffs: sum(|tally| &tally.handoffs),
        handoff_matrix: matrix(tallies),
        cpu_user_ns: sum(|tally| &tally.cpu_user_ns),
        cpu_system_ns: sum(|tally| &tally.cpu_system_ns),
        switches_voluntary: sum(|tally| &tally.switches_voluntary),
        switches_involuntary: sum(|tally| &tally.switches_involuntary),
        reads: sum(|tally| &tally.reads),
        refused: sum(|tally| &tally.refused),
        timed_every: cell.timed_every,
        foreign_cpu_ns: disturbance.foreign_cpu_ns,
        stolen_ns: disturbance.stolen_ns,
        exclusion: Exclusion { watched: sum(|tally| &tally.watched), overlaps: sum(|tally| &tally.overlaps) },
    })
}

/// From whom (row) to whom (column).
fn matrix(tallies: &[Tally]) -> Vec<Vec<u64>> {
    if tallies.len() > MATRIX_PROCESSES_MAX as usize {
        return Vec::new();
    }
    let came =
        |from: usize| tallies.iter().map(move |to| to.came_from[from].load(Ordering::Relaxed)).collect();
    (0..tallies.len()).map(came).collect()
}

fn histograms(arena: &Arena) -> Result<[Latency; 3], String> {
    let mut merged = [Latency::new(), Latency::new(), Latency::new()];
    let mut deserializer = Deserializer::new();
    for (process, tally) in arena.tallies().iter().enumerate() {
        let mut shared = arena.histograms(process as u32);
        for (total, length) in merged.iter_mut().zip(&tally.histogram_bytes) {
            let (own, rest) = shared
                .split_at_checked(length.load(Ordering::Relaxed) as usize)
                .ok_or_else(|| format!("the histograms of process {process} are too long"))?;
            shared = rest;
            let bytes: Vec<u8> = own.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
            let read = deserializer.deserialize(&mut bytes.as_slice()).map_err(|error| error.to_string());
            let latency =
                read.and_then(|read| Latency::from_histogram(read).map_err(|error| error.to_string()));
            total.merge(&latency.map_err(|error| format!("a histogram of process {process}: {error}"))?);
        }
    }
    Ok(merged.map(|latency| latency.folded()))
}
