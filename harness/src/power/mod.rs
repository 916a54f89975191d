//! What a power loss may leave of an execution under control: from a machine's journal to states on disk, and back to words.
//!
//! A machine's journal tells what each call was about to do. Here the calls are done again on a model of the folder, so that
//! the disk models can say what may be missing of them; a state becomes folders, and what is wrong with it a sentence.

mod effect;
pub mod folders;
pub mod lost;
mod record;

pub use lost::{Lost, Reached, StepOnDisk};
pub use record::{Recorded, Recording, record};

use crate::disk::{Mend, ROOT};
use crate::words::plural;

/// A call that is missing, and what it makes good.
#[must_use]
pub fn mend(recorded: &Recorded, mend: &Mend) -> String {
    let what = if mend.inode == ROOT {
        "the state folder".to_owned()
    } else {
        recorded.names.get(&mend.inode).cloned().unwrap_or_else(|| "a file".into())
    };
    let place = recorded.journal.lines.get(mend.before);
    let place = place.map_or_else(|| "at the end".to_owned(), |line| format!("before `{}`", line.label));
    format!("fsync of {what} {place} makes all {} good", plural(mend.states, "state"))
}

/// The calls with those that had reached the disk, and what would have helped: a line each.
#[must_use]
pub fn steps(lost: &Lost) -> Vec<String> {
    let mut lines = vec![format!(
        "on {}: {} of {} are wrong like this; the simplest:",
        lost.disk,
        lost.bad,
        plural(lost.states, "state")
    )];
    lines.extend(calls(lost));
    if lost.mends.as_ref().is_some_and(Vec::is_empty) {
        lines.push("no single fsync makes every state good".into());
    }
    lines.extend(lost.mends.iter().flatten().cloned());
    lines
}

/// The calls with those that had reached the disk: a line each.
#[must_use]
pub fn calls(lost: &Lost) -> Vec<String> {
    let told = |step: &StepOnDisk| {
        let mark = match step.reached {
            Reached::Disk => "on disk ",
            Reached::PartOfIt => "in part ",
            Reached::Nothing => "lost    ",
            Reached::Sync => "        ",
            Reached::NotMade => "not made",
        };
        format!("  {mark}  {}", step.label)
    };
    lost.steps.iter().map(told).collect()
}
