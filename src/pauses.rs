//! Pauses between looking and looking again: they grow, so that a long wait costs little and a short one is soon over.

use std::time::Duration;

/// The pauses of one wait, each twice as long as the one before, up to a longest.
#[derive(Debug)]
pub(crate) struct Pauses {
    next: Duration,
    longest: Duration,
}

impl Pauses {
    pub(crate) const fn between(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// How long to sleep before the next look.
    pub(crate) fn take(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut pauses = Pauses::between(Duration::from_millis(1), Duration::from_millis(5));
        let taken = [(); 5].map(|()| pauses.take().as_millis());
        assert_eq!(taken, [1, 2, 4, 5, 5]);
    }
}
