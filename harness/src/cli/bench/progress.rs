//! Progress of a benchmark on stderr, where that is a terminal.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::bench::Progress;
use crate::plan::bench::CellPlan;
use crate::report::interleaving::terminal_width;
use crate::report::progress::Talk;

/// Shows how far a benchmark has come.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Begins to show a benchmark of so many rounds.
    pub fn start(name: &str, rounds: u64, talk: Talk) -> Self {
        let is_shown = talk == Talk::Normal && std::io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(rounds), target);
        let template = if terminal_width() < 90 {
            "{prefix:14!} {pos}/{len} rounds, {eta} left"
        } else {
            "{prefix:19!} [{bar:12}] {pos}/{len} rounds, {eta} left  {wide_msg}"
        };
        let style = ProgressStyle::with_template(template).expect("the template is a constant");
        bar.set_style(style.progress_chars("=> "));
        bar.set_prefix(name.to_owned());
        Self(bar)
    }

    /// It is over.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Progress for Bar {
    fn round(&self, done: u64, next: &CellPlan) {
        self.0.set_position(done);
        self.0.set_message(next.point.to_string());
    }
}
