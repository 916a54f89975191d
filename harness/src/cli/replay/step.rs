//! `--step`: a person walks through the schedule.

use super::desk::{Desk, Heard, show};
use super::scene;
use crate::explore::observe::{Observer, Scene};
use crate::plan::schedule::Schedule;

const QUESTION: &str = "Enter: next step, N: go to step N, c: on to the end, ?: help";

const HELP: &str = "\
Enter or n  take the step shown, and stop before the next one
N or go N   go on to step N, such as 12, and stop before it
c or q      go on to the end without stopping, and print the result
?           print this help
A schedule runs forwards only: to see an earlier step, start again. --hold N stops before one step for a debugger.
";

/// Shows each moment, and asks how to go on.
#[derive(Debug)]
pub struct Walk {
    desk: Desk,
    schedule: Schedule,
    /// The step that is shown next, counted from 1; none where the rest is not shown.
    stop_at: Option<usize>,
}

impl Walk {
    /// Walks through this schedule.
    #[must_use]
    pub fn new(desk: Desk, schedule: Schedule) -> Self {
        Self { desk, schedule, stop_at: Some(1) }
    }
}

impl Observer for Walk {
    fn before(&mut self, scene: &Scene<'_>) {
        let step = scene.depth + 1;
        if self.stop_at.is_none_or(|stop_at| step < stop_at) {
            return;
        }
        let steps = self.schedule.lines.len();
        let line = self.schedule.lines.get(scene.depth).map(ToString::to_string).unwrap_or_default();
        let (processes, folder) = (scene::processes(scene), scene::folder(scene.root));
        show(&format!("\nstep {step} of {steps}: {line}\n{processes}\n{folder}"));
        // Whatever is left of the schedule takes no time, and leaves everything tidy.
        self.stop_at = None;
        while let Heard::Line(line) = self.desk.ask(QUESTION) {
            match Answer::of(&line, step, steps) {
                Answer::StopAt(next) => {
                    self.stop_at = Some(next);
                    return;
                }
                Answer::ToTheEnd => return,
                Answer::Words(words) => show(&words),
            }
        }
    }
}

/// What a line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    StopAt(usize),
    ToTheEnd,
    /// Nothing but words.
    Words(String),
}

impl Answer {
    fn of(line: &str, step: usize, steps: usize) -> Self {
        let number =
            ["go to step ", "go to ", "goto ", "go ", "g "].iter().find_map(|word| line.strip_prefix(word));
        match (line, number.unwrap_or(line).trim().parse::<usize>()) {
            ("" | "n", _) => Self::StopAt(step + 1),
            ("c" | "q", _) => Self::ToTheEnd,
            ("?" | "h" | "help", _) => Self::Words(HELP.into()),
            (_, Ok(to)) if to > step && to <= steps => Self::StopAt(to),
            (_, Ok(to)) if to == step => Self::Words(format!("this is step {to}\n")),
            (_, Ok(to)) if (1..step).contains(&to) => Self::Words(format!(
                "step {to} is over, and a schedule runs forwards only: to see it, start again\n"
            )),
            (_, Ok(to)) => Self::Words(format!("there is no step {to}: the schedule has {steps}\n")),
            (other, Err(_)) => Self::Words(format!("{other:?} is not a command; ? lists them\n")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_a_step_that_is_still_to_come() {
        assert_eq!(Answer::of("", 3, 9), Answer::StopAt(4));
        assert_eq!(Answer::of("7", 3, 9), Answer::StopAt(7));
        assert_eq!(Answer::of("go to step 7", 3, 9), Answer::StopAt(7));
        assert_eq!(Answer::of("c", 3, 9), Answer::ToTheEnd);
        for (line, told) in [
            ("2", "is over"),
            ("3", "this is"),
            ("10", "has 9"),
            ("0", "no step 0"),
            ("x", "not a command"),
            ("?", "Enter"),
        ] {
            let Answer::Words(words) = Answer::of(line, 3, 9) else { panic!("{line}") };
            assert!(words.contains(told), "{line}: {words}");
        }
    }
}
