//! What one worker measures in one round: its histograms and counts, kept in its own memory until the round is over.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use hdrhistogram::serialization::{Serializer, V2Serializer};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use super::job::Performed;
use super::pace::Start;
use crate::measure::Latency;
use crate::process::arena::{Arena, HISTOGRAM_BYTES};

/// One worker's measurements.
#[derive(Debug)]
pub(super) struct Meter {
    wait: Latency,
    hold: Latency,
    whole: Latency,
    acquisitions: u64,
    reads: u64,
    refused: u64,
    usage: Option<Usage>,
}

impl Meter {
    pub fn new() -> Self {
        Self {
            wait: Latency::new(),
            hold: Latency::new(),
            whole: Latency::new(),
            acquisitions: 0,
            reads: 0,
            refused: 0,
            usage: None,
        }
    }

    /// Measuring begins: processor time that was used before is left out.
    pub fn begin(&mut self) {
        self.usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    }

    /// How many acquisitions were recorded.
    pub const fn acquisitions(&self) -> u64 {
        self.acquisitions
    }

    /// Records one operation.
    #[inline]
    pub fn record(&mut self, start: Start, performed: &Performed) {
        self.acquisitions += 1;
        self.reads += u64::from(performed.is_read);
        self.refused += u64::from(performed.is_refused);
        self.whole.record(performed.done_ns.saturating_sub(start.due_ns));
        if let Some((got_ns, given_ns)) = performed.held_ns {
            self.wait.record(got_ns.saturating_sub(start.asked_ns));
            self.hold.record(given_ns.saturating_sub(got_ns));
        }
    }

    /// Writes everything down; the door has written its own part already.
    pub fn write(&self, arena: &Arena, process: u32) -> io::Result<()> {
        let tally = &arena.tallies()[process as usize];
        let store = |counter: &AtomicU64, value: u64| counter.store(value, Ordering::Relaxed);
        store(&tally.acquisitions, self.acquisitions);
        store(&tally.reads, self.reads);
        store(&tally.refused, self.refused);
        let now = getrusage(UsageWho::RUSAGE_SELF)?;
        if let Some(then) = &self.usage {
            let since = |of: fn(&Usage) -> u64| of(&now).saturating_sub(of(then));
            store(&tally.cpu_user_ns, since(user_ns));
            store(&tally.cpu_system_ns, since(system_ns));
            store(
                &tally.switches_voluntary,
                since(|usage| usage.voluntary_context_switches().cast_unsigned()),
            );
            store(
                &tally.switches_involuntary,
                since(|usage| usage.involuntary_context_switches().cast_unsigned()),
            );
        }
        self.write_histograms(arena, process)?;
        tally.complete.store(1, Ordering::Release);
        Ok(())
    }

    fn write_histograms(&self, arena: &Arena, process: u32) -> io::Result<()> {
        let tally = &arena.tallies()[process as usize];
        let mut bytes = Vec::new();
        let mut serializer = V2Serializer::new();
        for (latency, length) in [&self.wait, &self.hold, &self.whole].into_iter().zip(&tally.histogram_bytes)
        {
            let before = bytes.len();
            serializer.serialize(&*latency.histogram(), &mut bytes).map_err(io::Error::other)?;
            length.store((bytes.len() - before) as u32, Ordering::Relaxed);
        }
        if bytes.len() > HISTOGRAM_BYTES {
            return Err(io::Error::other(format!(
                "the histograms take {} bytes, more than there is room",
                bytes.len()
            )));
        }
        for (shared, byte) in arena.histograms(process).iter().zip(bytes) {
            shared.store(byte, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Processor time of the calling process, or of its children that were reaped, so far; 0 where nobody tells.
pub(super) fn cpu_ns(whose: UsageWho) -> u64 {
    getrusage(whose).map_or(0, |usage| user_ns(&usage) + system_ns(&usage))
}

fn user_ns(usage: &Usage) -> u64 {
    usage.user_time().num_microseconds().cast_unsigned() * 1_000
}

fn system_ns(usage: &Usage) -> u64 {
    usage.system_time().num_microseconds().cast_unsigned() * 1_000
}
