//! What a crash came to, in words.

use super::record::Recorded;
use super::{Discovery, How, Lost, Reached};
use crate::disk::{Mend, ROOT};
use crate::race::tell::{changed, sentence};
use crate::words::plural;

/// A call that is missing, and what it makes good.
pub(super) fn mend(recorded: &Recorded, mend: &Mend) -> String {
    let what = if mend.inode == ROOT {
        "the state folder".to_owned()
    } else {
        recorded.names.get(&mend.inode).cloned().unwrap_or_else(|| "a file".into())
    };
    let place = recorded.journal.lines.get(mend.before);
    let place = place.map_or_else(|| "at the end".to_owned(), |line| format!("before `{}`", line.label));
    format!("fsync of {what} {place} makes all {} good", plural(mend.states as u64, "state"))
}

/// A discovery in one or two sentences.
#[must_use]
pub fn message(discovery: &Discovery) -> String {
    let told: Vec<String> = discovery.broken.differences.iter().take(2).map(sentence).collect();
    let more = discovery.broken.differences.len().saturating_sub(told.len()) as u64;
    let more = if more > 0 { format!("; and {}", plural(more, "more difference")) } else { String::new() };
    let told = format!("{}{more}", told.join("; "));
    match &discovery.how {
        How::Killed { before, .. } => format!(
            "killed before `{before}`, the command leaves a state that is neither the one before nor the one after: {told}"
        ),
        How::PowerLost(lost) if lost.is_undone => {
            format!("{}: what was acknowledged is gone after a power loss: {told}", lost.why)
        }
        How::PowerLost(lost) => format!("{}: {told}", lost.why),
    }
}

/// What differs, and the steps with those that had reached the disk: a line each.
#[must_use]
pub fn story(discovery: &Discovery) -> Vec<String> {
    let mut lines = changed(&discovery.broken.differences, nearest(discovery));
    match &discovery.how {
        How::Killed { before, steps, shown } => {
            lines.push(format!("steps before the kill ({} show it):", plural(*shown, "step")));
            lines.extend(steps.iter().map(|step| format!("  {step}")));
            lines.push(format!("  killed before: {before}"));
        }
        How::PowerLost(lost) => lines.extend(steps(lost)),
    }
    lines
}

/// Which of the two states it is nearer to.
fn nearest(discovery: &Discovery) -> &'static str {
    if discovery.broken.nearest.is_empty() { "the state before" } else { "the state after" }
}

fn steps(lost: &Lost) -> Vec<String> {
    let mut lines = vec![format!(
        "on {}: {} of {} are wrong like this; the simplest:",
        lost.disk,
        lost.bad,
        plural(lost.states, "state")
    )];
    for step in &lost.steps {
        let mark = match step.reached {
            Reached::Disk => "on disk ",
            Reached::PartOfIt => "in part ",
            Reached::Nothing => "lost    ",
            Reached::Sync => "        ",
            Reached::NotMade => "not made",
        };
        lines.push(format!("  {mark}  {}", step.label));
    }
    if lost.mends.is_empty() {
        lines.push("no single fsync makes every state good".into());
    }
    lines.extend(lost.mends.iter().cloned());
    lines
}
