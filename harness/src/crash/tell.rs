//! What a crash came to, in words.

use super::{Discovery, How};
use crate::plan::schedule::as_read;
use crate::power::steps;
use crate::race::tell::{changed, differences, lost_message};
use crate::words::plural;

/// A discovery in one or two sentences.
#[must_use]
pub fn message(discovery: &Discovery) -> String {
    match &discovery.how {
        How::Killed { before, names, .. } => format!(
            "killed before `{}`, the command leaves a state that is neither the one before nor the one after: {}",
            as_read(before, names),
            differences(&discovery.broken)
        ),
        How::PowerLost(lost) => lost_message(&discovery.broken, lost),
    }
}

/// What differs, and the steps with those that had reached the disk: a line each.
#[must_use]
pub fn story(discovery: &Discovery) -> Vec<String> {
    let mut lines = changed(&discovery.broken.differences, nearest(discovery));
    match &discovery.how {
        How::Killed { before, steps, shown, names, .. } => {
            lines.push(format!("steps before the kill ({} show it):", plural(*shown, "step")));
            lines.extend(steps.iter().map(|step| format!("  {}", as_read(step, names))));
            lines.push(format!("  killed before: {}", as_read(before, names)));
        }
        How::PowerLost(lost) => lines.extend(steps(lost)),
    }
    lines
}

/// Which of the two states it is nearer to.
fn nearest(discovery: &Discovery) -> &'static str {
    if discovery.broken.nearest.is_empty() { "the state before" } else { "the state after" }
}
