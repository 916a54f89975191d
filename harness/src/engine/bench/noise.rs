//! What disturbed a round: who else worked on this machine meanwhile. Which rounds stand out is a matter of statistics.

use std::fs;

use crate::measure::Round;
use crate::words::units::show_ns;

/// The kernel's counters of processor time, in its ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counters {
    busy: u64,
    stolen: u64,
}

/// What happened between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Disturbance {
    /// What others had of the processors.
    pub foreign_cpu_ns: u64,
    /// What the hypervisor took away.
    pub stolen_ns: u64,
}

/// `/proc/stat` counts in hundredths of a second on every architecture that Linux runs on today.
const TICK_NS: u64 = 10_000_000;

impl Counters {
    /// Looks now; `None`: `/proc` does not say.
    pub fn look() -> Option<Self> {
        fs::read_to_string("/proc/stat").ok().and_then(|text| Self::parse(&text))
    }

    /// user nice system idle iowait irq softirq steal …
    fn parse(text: &str) -> Option<Self> {
        let fields = text.lines().next()?.strip_prefix("cpu ")?.split_ascii_whitespace();
        let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, stolen] = *ticks.first_chunk()?;
        Some(Self { busy: user + nice + system + irq + softirq, stolen })
    }

    /// What has happened since, where we had this much of the processors ourselves.
    pub fn since(self, before: Self, own_ns: u64) -> Disturbance {
        let busy_ns = self.busy.saturating_sub(before.busy) * TICK_NS;
        Disturbance {
            foreign_cpu_ns: busy_ns.saturating_sub(own_ns),
            stolen_ns: self.stolen.saturating_sub(before.stolen) * TICK_NS,
        }
    }
}

/// Others had more than this share of one processor.
const FOREIGN_SHARE_MAX: f64 = 0.25;
/// Less than this is within what the kernel's ticks can tell.
const FOREIGN_NS_MIN: u64 = 4 * TICK_NS;
/// The hypervisor took more than this share of one processor.
const STOLEN_SHARE_MAX: f64 = 0.05;
/// What makes a cell's numbers doubtful, each with what to do about it.
pub(super) fn warnings(rounds: &[Round], warmed_up_ns: u64, is_watched: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    if !is_watched {
        warnings.push(
            "/proc/stat cannot be read, so other programs may have disturbed this unnoticed; measure where it can be read".into(),
        );
    }
    for (round, number) in rounds.iter().zip(1..) {
        let lasted_ns = round.duration_ns + warmed_up_ns;
        let share = |ns: u64| ns as f64 / lasted_ns as f64;
        if share(round.stolen_ns) > STOLEN_SHARE_MAX {
            let stolen = show_ns(round.stolen_ns);
            warnings.push(format!(
                "round {number}: the hypervisor took {stolen} of processor time; measure on a machine of your own"
            ));
        }
        if share(round.foreign_cpu_ns) > FOREIGN_SHARE_MAX && round.foreign_cpu_ns > FOREIGN_NS_MIN {
            let foreign = show_ns(round.foreign_cpu_ns);
            warnings.push(format!(
                "round {number}: other programs used {foreign} of processor time; stop them and measure again"
            ));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Exclusion, Latency};

    fn round(acquisitions: u64) -> Round {
        Round {
            order: 0,
            duration_ns: 1_000_000_000,
            shares: vec![acquisitions],
            wait: Latency::new(),
            hold: Latency::new(),
            whole: Latency::new(),
            handoffs: 0,
            handoff_matrix: Vec::new(),
            cpu_user_ns: 0,
            cpu_system_ns: 0,
            switches_voluntary: 0,
            switches_involuntary: 0,
            reads: 0,
            refused: 0,
            timed_every: 1,
            foreign_cpu_ns: 0,
            stolen_ns: 0,
            exclusion: Exclusion::default(),
        }
    }

    #[test]
    fn an_odd_round_is_left_to_the_statistics() {
        let odd: Vec<Round> = [1000, 1010, 990, 500, 995].map(round).into();
        assert_eq!(warnings(&odd, 0, true), Vec::<String>::new());
    }

    #[test]
    fn who_cannot_see_the_others_is_told_so() {
        let even: Vec<Round> = [1000, 1000].map(round).into();
        let told = warnings(&even, 0, false);
        assert!(told.len() == 1 && told[0].contains("/proc/stat cannot be read"), "{told:?}");
    }

    #[test]
    fn who_else_worked_is_named() {
        let mut rounds: Vec<Round> = [1000, 1000].map(round).into();
        rounds[1].foreign_cpu_ns = 600_000_000;
        rounds[0].stolen_ns = 100_000_000;
        let told = warnings(&rounds, 0, true);
        assert!(told[0].starts_with("round 1: the hypervisor took 100.0ms"), "{told:?}");
        assert!(told[1].starts_with("round 2: other programs used 600.0ms"), "{told:?}");
    }

    #[test]
    fn the_kernels_counters_are_read() {
        let text = "cpu  10 1 5 100 3 2 4 7 0 0\ncpu0 1 2 3\n";
        assert_eq!(Counters::parse(text), Some(Counters { busy: 22, stolen: 7 }));
        assert_eq!(Counters::parse("intr 1"), None);
        let since = Counters { busy: 30, stolen: 9 }.since(Counters { busy: 22, stolen: 7 }, 50_000_000);
        assert_eq!((since.foreign_cpu_ns, since.stolen_ns), (30_000_000, 20_000_000));
    }
}
