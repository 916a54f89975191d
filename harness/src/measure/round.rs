//! One round of one cell: what its processes counted between the start and the end of measuring.

use serde::{Deserialize, Serialize};

use super::{Latency, Stretch};

/// What one round measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Its place in the order of running, over all cells of the run, from 0: drift shows along it.
    pub order: u32,
    /// How long was measured, in nanoseconds.
    pub duration_ns: u64,
    /// How many times each process got the lock, by process. Its sum is the count of acquisitions.
    pub shares: Vec<u64>,
    /// From asking for the lock to having it, in nanoseconds.
    pub wait: Latency,
    /// From having the lock to having given it back, in nanoseconds.
    pub hold: Latency,
    /// The whole operation, in nanoseconds: from its start, or under open load from its intended start, to its end.
    pub whole: Latency,
    /// How many acquisitions followed one by another process.
    pub handoffs: u64,
    /// From whom (row) to whom (column) the lock went, by process, those that got it again included; empty where the processes are too many to tell.
    pub handoff_matrix: Vec<Vec<u64>>,
    /// Processor time of all processes in user mode, in nanoseconds.
    pub cpu_user_ns: u64,
    /// Processor time of all processes in the kernel, in nanoseconds.
    pub cpu_system_ns: u64,
    /// Context switches by waiting.
    pub switches_voluntary: u64,
    /// Context switches by being displaced.
    pub switches_involuntary: u64,
    /// Reads, where the work reads and writes.
    pub reads: u64,
    /// Operations that were answered with a refusal, as a pause of what is paused; they got the lock as the others did.
    #[serde(default)]
    pub refused: u64,
    /// The latencies of waiting and holding are those of one acquisition in this many, where to time each of them would
    /// have cost more than a fast lock does; 1 is all. `whole` always has every operation.
    #[serde(default = "all")]
    pub timed_every: u32,
    /// Processor time that went to anybody else on the machine meanwhile, in nanoseconds.
    #[serde(default)]
    pub foreign_cpu_ns: u64,
    /// Processor time that the hypervisor took away meanwhile, in nanoseconds.
    #[serde(default)]
    pub stolen_ns: u64,
    /// The proof that the processes excluded each other.
    pub exclusion: Exclusion,
}

const fn all() -> u32 {
    1
}

impl Round {
    /// How many times the lock was got, by all.
    #[must_use]
    pub fn acquisitions(&self) -> u64 {
        self.shares.iter().sum()
    }

    /// The latencies of a stretch of the operation.
    #[must_use]
    pub const fn latency(&self, stretch: Stretch) -> &Latency {
        match stretch {
            Stretch::Wait => &self.wait,
            Stretch::Hold => &self.hold,
            Stretch::Whole => &self.whole,
        }
    }

    /// Acquisitions each second.
    #[must_use]
    pub fn throughput(&self) -> f64 {
        if self.duration_ns == 0 { 0.0 } else { self.acquisitions() as f64 * 1e9 / self.duration_ns as f64 }
    }
}

/// Whether the processes excluded each other: each holder writes its mark into shared memory where it has the lock, and
/// looks whether it is still its own where it gives it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// How many critical sections were watched.
    pub watched: u64,
    /// In how many somebody else was seen. Must be 0 but for the lock `none` and shared reads.
    pub overlaps: u64,
}
