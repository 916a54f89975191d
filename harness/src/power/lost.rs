//! What a power loss had let reach the disk, step by step, and why that is wrong.

use super::record::Recorded;
use crate::disk::{Change, Disk, Inode, Line, Part, Piece, State};

/// How much of a call reached the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The whole of it.
    Disk,
    /// Some of it.
    PartOfIt,
    /// No part of it: the power loss undid it.
    Nothing,
    /// It asked for something to last, and changes nothing by itself.
    Sync,
    /// It had not been made yet.
    NotMade,
}

/// A call of the command, and how much of it reached the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepOnDisk {
    /// The call, as people read it.
    pub label: String,
    /// How much of it had reached the disk when the power went.
    pub reached: Reached,
}

/// A state that is wrong, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The model of the filesystem by which this state may be left, as scenarios spell it.
    pub disk: &'static str,
    /// Every call that the command made.
    pub steps: Vec<StepOnDisk>,
    /// What reached the disk before what.
    pub why: String,
    /// Whether the state is right but for an acknowledgement.
    pub is_undone: bool,
    /// How many states are wrong in this way.
    pub bad: u64,
    /// How many there are.
    pub states: u64,
    /// Fsyncs, one or two together, that make every state good; none where that was not tried.
    pub mends: Option<Vec<String>>,
    /// Whether every fsync was tried, and every two where none helps alone.
    pub tried_all_mends: bool,
    /// After how many calls the power went.
    pub calls: usize,
    /// Which pieces of these calls were not on disk, by their numbers.
    pub missing: Vec<usize>,
}

impl Lost {
    /// Of a state that is wrong: so many are like it, of so many in all.
    #[must_use]
    pub fn new(
        disk: &'static dyn Disk,
        recorded: &Recorded,
        pieces: &[Piece],
        state: &State,
        is_undone: bool,
        (bad, states): (u64, u64),
        mends: Option<(Vec<String>, bool)>,
    ) -> Self {
        let lines = &recorded.journal.lines;
        let first = lines.first().map(|line| line.process);
        let has_several = lines.iter().any(|line| Some(line.process) != first);
        let label = |line: &Line| {
            if has_several { format!("p{} {}", line.process, line.label) } else { line.label.to_string() }
        };
        let steps = lines
            .iter()
            .enumerate()
            .map(|(number, line)| StepOnDisk {
                label: label(line),
                reached: reached(recorded, pieces, state, number),
            })
            .collect();
        let why = why(recorded, pieces, state);
        let (calls, missing) = (state.calls, state.missing.clone());
        let (mends, tried_all_mends) = mends.map_or((None, false), |(mends, all)| (Some(mends), all));
        let disk = disk.name();
        Self { disk, steps, why, is_undone, bad, states, mends, tried_all_mends, calls, missing }
    }
}

fn reached(recorded: &Recorded, pieces: &[Piece], state: &State, line: usize) -> Reached {
    if line >= state.calls {
        return Reached::NotMade;
    }
    if matches!(recorded.journal.lines[line].change, Change::Sync { .. } | Change::SyncAll) {
        return Reached::Sync;
    }
    let of_line: Vec<usize> = (0..pieces.len()).filter(|&index| pieces[index].line == line).collect();
    let missing = of_line.iter().filter(|index| state.missing.binary_search(index).is_ok()).count();
    match missing {
        0 => Reached::Disk,
        missing if missing == of_line.len() => Reached::Nothing,
        _ => Reached::PartOfIt,
    }
}

/// What reached the disk before what, in a sentence without its end.
fn why(recorded: &Recorded, pieces: &[Piece], state: &State) -> String {
    let is_there =
        |index: usize| pieces[index].line < state.calls && state.missing.binary_search(&index).is_err();
    let label = |index: usize| &recorded.journal.lines[pieces[index].line].label;
    let Some(&first) = state.missing.first() else {
        let last = state.calls.checked_sub(1).map(|last| &recorded.journal.lines[last].label);
        return last.map_or_else(
            || "the power went before the first call".to_owned(),
            |last| format!("the power went after `{last}`"),
        );
    };
    // A file whose name is there and whose content is not.
    for &missing in &state.missing {
        let Some(inode) = pieces[missing].part.content_of() else { continue };
        let named = (missing..pieces.len()).find(|&later| is_there(later) && pieces[later].part.names(inode));
        if let Some(named) = named {
            let name = name(recorded, inode);
            let lacking = match pieces[missing].part {
                Part::Grown { .. } | Part::Resized { .. } => "length",
                _ => "data",
            };
            return format!(
                "`{}` reached the disk before the {lacking} of {name}, which {}",
                label(named),
                synced(recorded, inode, pieces[named].line)
            );
        }
    }
    let later = (first + 1..pieces.len()).rev().find(|&later| is_there(later));
    match (&pieces[first].part, later) {
        (_, Some(later)) if pieces[later].line != pieces[first].line => {
            format!("`{}` reached the disk before `{}`", label(later), label(first))
        }
        (_, Some(_)) => format!("only a part of `{}` reached the disk", label(first)),
        (part, None) => match part.content_of() {
            Some(inode) => format!(
                "`{}` had not reached the disk: {} {}",
                label(first),
                name(recorded, inode),
                synced(recorded, inode, recorded.journal.lines.len())
            ),
            None => format!("`{}` had not reached the disk: its folder was never fsynced", label(first)),
        },
    }
}

fn name(recorded: &Recorded, inode: Inode) -> String {
    recorded.names.get(&inode).cloned().unwrap_or_else(|| "a file".into())
}

/// Whether a file was fsynced before this call, in words.
fn synced(recorded: &Recorded, file: Inode, before: usize) -> &'static str {
    let is_synced = |line: &Line| match line.change {
        Change::Sync { inode, .. } => inode == file,
        Change::SyncAll => true,
        _ => false,
    };
    let lines = &recorded.journal.lines;
    if lines[..before].iter().any(is_synced) {
        "was written again after its fsync"
    } else if lines.iter().any(is_synced) {
        "was fsynced only later"
    } else {
        "was never fsynced"
    }
}
