//! `--step`: a person walks through the schedule.

use super::desk::{Desk, Heard, show};
use super::scene;
use crate::explore::observe::{Observer, Scene};
use crate::plan::schedule::Schedule;

const QUESTION: &str = "Enter: next step, c: go on to the end, q: quit";

/// Shows each moment, and asks how to go on.
#[derive(Debug)]
pub struct Walk {
    desk: Desk,
    schedule: Schedule,
    is_shown: bool,
}

impl Walk {
    /// Walks through this schedule.
    #[must_use]
    pub fn new(desk: Desk, schedule: Schedule) -> Self {
        Self { desk, schedule, is_shown: true }
    }
}

impl Observer for Walk {
    fn before(&mut self, scene: &Scene<'_>) {
        if !self.is_shown {
            return;
        }
        let line = self.schedule.lines.get(scene.depth).map(ToString::to_string).unwrap_or_default();
        let title = format!("step {} of {}: {line}", scene.depth + 1, self.schedule.lines.len());
        let (processes, folder) = (scene::processes(scene), scene::folder(scene.root));
        show(&format!("\n{title}\n{processes}\n{folder}"));
        while let Heard::Line(line) = self.desk.ask(QUESTION) {
            match line.as_str() {
                "" | "n" => return,
                "c" | "q" => break,
                other => show(&format!("{other:?} means nothing here\n")),
            }
        }
        // Whatever is left of the schedule takes no time, and leaves everything tidy.
        self.is_shown = false;
    }
}
