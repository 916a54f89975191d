//! When nobody can go on: whoever waits in the kernel may still come by itself.

use std::time::Duration;

use super::machine::{Machine, Result};
use super::serve::SOON;
use super::still::{self, Look, Waiting};
use super::tree::{Heard, Tree};
use crate::process::attention::Attention;

impl Machine {
    /// How long the sleep that ends first would still take, in nanoseconds.
    fn shortest_sleep_ns(&self) -> Option<u64> {
        let left = |slept_ns: u64| move |until_ns: u64| until_ns.saturating_sub(slept_ns);
        let of = |tree: &Tree| {
            let sleeps = tree.tasks.iter().filter_map(|task| task.held.as_ref()?.until_ns);
            sleeps.map(left(tree.slept_ns)).chain(tree.first_timer_ns()).min()
        };
        self.trees.iter().filter_map(of).min()
    }

    /// Nobody can go on: waits for those who wait in the kernel with a limit of their own, or for who may only be late;
    /// whether anybody came. Who sleeps for less is not kept waiting for them: Go's monitor waits for a minute. Nor is he
    /// kept waiting again for somebody who did not come the first time and has not run since: see [`Tree::outlasted`].
    pub(super) fn wait_for_the_late(&mut self) -> Result<bool> {
        /// How long a task may be on its way that nobody can see.
        const GRACE: Duration = Duration::from_millis(20);
        let patience = self.shortest_sleep_ns().map(|ns| GRACE.max(Duration::from_nanos(ns)));
        let mut waiting = self.all_that_wait();
        if patience.is_some()
            && self.trees.iter().zip(&waiting).all(|(tree, waiting)| match waiting {
                Some(waiting) => tree.is_outlasted(waiting),
                None => false,
            })
        {
            return self.hear_the_late(Duration::ZERO);
        }
        let mut attention = Attention::within(2 * SOON);
        let begun_ns = attention.now_ns();
        loop {
            if self.hear_the_late(SOON)? {
                return Ok(true);
            }
            if waiting.contains(&None) {
                waiting = self.all_that_wait();
            }
            // Whoever is not asleep may have any.
            let has_limit = |tree: &Option<Waiting>| {
                tree.as_ref().is_none_or(|tasks| tasks.iter().any(|(_, seen)| still::has_limit(seen)))
            };
            let has_limit = waiting.iter().any(has_limit);
            let since = Duration::from_nanos(attention.now_ns() - begun_ns);
            let is_patient =
                if has_limit { patience.is_none_or(|most| since <= most) } else { since <= GRACE };
            if !self.trees.iter().any(Tree::waits) || !is_patient {
                self.run.waited_in_vain += u64::from(self.trees.iter().any(Tree::waits));
                for (tree, waiting) in self.trees.iter_mut().zip(waiting) {
                    tree.outlast(waiting.unwrap_or_default());
                }
                return Ok(false);
            }
            if self.run.begun.elapsed() > self.options.time_limit {
                return Ok(false);
            }
        }
    }

    /// How those tasks wait that wait in the kernel, of each tree; nothing of a tree in which somebody does not sleep.
    fn all_that_wait(&self) -> Vec<Option<Waiting>> {
        let of = |process: usize| {
            if !self.trees[process].waits() {
                return Some(Vec::new());
            }
            match self.look(process) {
                Look::Calm(seen) => Some(seen),
                Look::Busy => None,
            }
        };
        (0..self.trees.len()).map(of).collect()
    }

    /// Whether somebody of those who wait in the kernel came: each is waited for this long.
    fn hear_the_late(&mut self, at_most: Duration) -> Result<bool> {
        for process in 0..self.trees.len() {
            if self.trees[process].waits() && self.trees[process].hear(at_most)? != Heard::Nothing {
                let what = format!("p{} went on by itself, as time passed", process + 1);
                self.run.left.uncertain.insert(what);
                self.settle(process)?;
                return Ok(true);
            }
        }
        Ok(false)
    }
}
