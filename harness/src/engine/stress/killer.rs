//! The killer: SIGKILLs a random worker now and then.

use super::choice::Draws;
use super::workers::Workers;

/// The killer's draws are apart from everybody else's.
const STREAM: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct Killer {
    every_ns: u64,
    next_ns: u64,
    draws: Draws,
}

impl Killer {
    pub fn new(every_ns: u64, seed: u64, now_ns: u64) -> Self {
        let mut killer = Self { every_ns: every_ns.max(1), next_ns: 0, draws: Draws::new(seed, STREAM) };
        killer.schedule(now_ns);
        killer
    }

    /// How long until the next kill is due.
    pub fn due_in_ns(&self, now_ns: u64) -> u64 {
        self.next_ns.saturating_sub(now_ns)
    }

    /// Kills a worker that is at work, if one is due and there is one.
    pub fn strike(&mut self, workers: &mut Workers<'_>, now_ns: u64) {
        if now_ns < self.next_ns {
            return;
        }
        self.schedule(now_ns);
        let processes = workers.context.plan().processes;
        let at_work = |&process: &u32| process < processes && !workers.has_finished(process);
        let victims = workers.unharmed().filter(at_work).collect::<Vec<_>>();
        if !victims.is_empty() {
            let victim = victims[self.draws.below(victims.len() as u64) as usize];
            workers.kill(victim);
        }
    }

    /// From half the interval to one and a half.
    fn schedule(&mut self, now_ns: u64) {
        let least_ns = self.every_ns / 2;
        self.next_ns = now_ns + self.draws.within(&(least_ns..=least_ns + self.every_ns));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_kept_within_its_bounds() {
        let mut killer = Killer::new(1000, 5, 0);
        let mut total = 0;
        for _ in 0..1000 {
            killer.schedule(0);
            assert!((500..=1500).contains(&killer.next_ns));
            total += killer.next_ns;
        }
        assert!((950_000..1_050_000).contains(&total), "about the interval on average: {total}");
    }
}
