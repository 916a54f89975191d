//! What a power loss may leave of an execution under control: from a machine's journal to states on disk, and back to words.
//!
//! A machine's journal tells what each call was about to do. Here the calls are done again on a model of the folder, so that
//! the disk models can say what may be missing of them; a state becomes folders, and what is wrong with it a sentence.

pub mod damage;
mod effect;
pub mod folders;
pub mod lost;
mod omitted;
mod record;

pub use lost::{Lost, Reached, StepOnDisk};
pub use omitted::omit;
pub use record::{Recorded, Recording, record};

use crate::disk::{Fsync, Mend, ROOT};
use crate::words::plural;

/// The calls that are missing, and what they make good.
#[must_use]
pub fn mend(recorded: &Recorded, mend: &Mend) -> String {
    let told = |fsync: &Fsync| {
        let what = if fsync.inode == ROOT {
            "the state folder".to_owned()
        } else {
            recorded.names.get(&fsync.inode).cloned().unwrap_or_else(|| "a file".into())
        };
        let place = recorded.journal.lines.get(fsync.before);
        let place = place.map_or_else(|| "at the end".to_owned(), |line| format!("before `{}`", line.label));
        format!("of {what} {place}")
    };
    let fsyncs: Vec<String> = mend.fsyncs.iter().map(told).collect();
    let make = if fsyncs.len() == 1 { "makes" } else { "together make" };
    format!("fsync {} {make} all {} right", fsyncs.join(" and "), plural(mend.states, "state"))
}

/// The calls with those that had reached the disk, and what would have helped: a line each.
#[must_use]
pub fn steps(lost: &Lost) -> Vec<String> {
    let mut lines = vec![format!(
        "on {}: {} of {} are wrong in this way; the simplest:",
        lost.disk,
        lost.bad,
        plural(lost.states, "state")
    )];
    lines.extend(calls(lost));
    if lost.mends.as_ref().is_some_and(Vec::is_empty) {
        lines.push(if lost.tried_all_mends {
            "no fsync makes every state right, nor do two together".into()
        } else {
            "no fsync that was tried makes every state right, alone or with another; not all were tried"
                .into()
        });
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
