//! Progress on stderr: a bar where there is a terminal, a plain line per scenario where there is none.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::fold::fold;
use super::github::harmless;
use super::interleaving::terminal_width;
use super::table::rate;
use super::{ScenarioReport, plain};
use crate::engine::Progress;
use crate::plan::Budget;
use crate::words::grouped;
use crate::words::plural;
use crate::words::units::show_ns;

/// How much is shown while a run lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Talk {
    /// Nothing is shown while the run lasts.
    Quiet,
    /// A bar on a terminal, and a line per scenario.
    Normal,
}

/// Terminals of fewer columns get no bar, and fewer words.
const ROOMY: u16 = 90;

/// How much room a line has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Narrow,
    Wide,
}

/// Shows how far one scenario has come.
#[derive(Debug)]
pub struct Bar {
    shown: ProgressBar,
    room: Room,
    talk: Talk,
    budget: Budget,
    started: Instant,
    operations: AtomicU64,
}

impl Bar {
    /// Begins to show a scenario.
    #[must_use]
    pub fn start(name: &str, budget: Budget, talk: Talk) -> Self {
        let length = match budget {
            Budget::Operations(operations) => operations,
            Budget::DurationNs(ns) => ns / 1_000_000,
        };
        let is_shown = talk == Talk::Normal && std::io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let room = if terminal_width() < ROOMY { Room::Narrow } else { Room::Wide };
        let template = match room {
            Room::Narrow => "{prefix} {percent:>3}%  {wide_msg}",
            Room::Wide => "{prefix:19} [{bar:12}] {percent:>3}%  {wide_msg}",
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(clipped(&plain::one_line(name), usize::from(terminal_width()) / 2));
        Self { shown: bar, room, talk, budget, started: Instant::now(), operations: AtomicU64::new(0) }
    }

    /// The processes have ended, and the checks begin.
    pub fn judging(&self) {
        self.shown
            .set_message(format!("judging {} operations", grouped(self.operations.load(Ordering::Relaxed))));
    }

    /// The exploration has ended, and what it found is made simpler.
    pub fn shrinking(&self) {
        self.shown.set_message("shrinking what was found");
    }

    /// The run has ended, and what it found is sought under control.
    pub fn explaining(&self) {
        self.shown.set_message("reproducing it under control");
    }

    /// The scenario has ended: one line says how.
    pub fn finish(&self, report: &ScenarioReport, verdict: &str) {
        self.shown.finish_and_clear();
        if self.talk == Talk::Quiet {
            return;
        }
        #[expect(clippy::cast_sign_loss, reason = "durations are not negative")]
        let duration_ns = (report.duration_s * 1e9) as u64;
        let done = match report.schedules {
            Some(schedules) => plural(schedules, "schedule"),
            None => plural(report.operations, "operation"),
        };
        let line =
            format!("{}: {verdict}, {done} in {}", plain::one_line(&report.name), show_ns(duration_ns));
        let line = harmless(&plain::framed(&line));
        let line = if std::io::stderr().is_terminal() { fold(&line, terminal_width()) } else { line };
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(anstream::stderr(), "{line}");
    }
}

/// A name in at most so many characters.
fn clipped(name: &str, characters: usize) -> String {
    if name.chars().count() <= characters {
        return name.to_owned();
    }
    name.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

impl Progress for Bar {
    fn update(&self, operations: u64, violations: u64) {
        self.operations.store(operations, Ordering::Relaxed);
        let elapsed = self.started.elapsed();
        let position = match self.budget {
            Budget::Operations(_) => operations,
            Budget::DurationNs(_) => u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        };
        self.shown.set_position(position);
        let per_second = rate(operations as f64 / elapsed.as_secs_f64().max(1e-9));
        self.shown.set_message(match self.room {
            Room::Narrow => format!("{per_second}, {}", plural(violations, "violation")),
            Room::Wide => {
                let (operations, violations) =
                    (plural(operations, "operation"), plural(violations, "violation"));
                format!("{operations}, {per_second}, {violations}")
            }
        });
    }
}
