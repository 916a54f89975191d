//! What calls leave after a power loss: which of them a disk model has to know of, and how their order shows.

use std::sync::Arc;

use super::deed::{Deed, Known};
use super::places::{File, Place};
use super::prediction::Prediction;
use crate::explore::step::{Access, Object};

/// How a call touches what a power loss leaves, where it does: by what it writes and names, and by what it makes last. Any two such
/// calls depend on each other, for it shows after a power loss which of them came first; but two that make something last change
/// nothing for each other. What is shown by a name that is not `counted` lies beside the folders that lose power.
pub fn touches_disk(
    known: &Known,
    prediction: &Prediction,
    counted: impl Fn(&str) -> bool,
) -> Option<(Object, Access)> {
    let access = match known {
        Deed::Sync(..) | Deed::SyncAll => Access::Update,
        Deed::Change(..) | Deed::ChangeAt(..) | Deed::Truncate(..) | Deed::Resize(..) | Deed::Copy { .. } => {
            Access::Write
        }
        // What is there already is not made, and what is not there is not removed.
        _ if prediction.entries.is_empty() && prediction.writes.is_none() => return None,
        _ => Access::Write,
    };
    is_kept(known, counted).then_some((Object::DISK, access))
}

/// Whether a disk model has to know of it. Whatever is looked at is kept, too, where it tells which file a path leads to.
pub fn is_kept(known: &Known, counted: impl Fn(&str) -> bool) -> bool {
    let is_in = |place: &Option<Arc<Place>>| place.as_ref().is_some_and(|place| counted(&place.shown));
    let is_of = |file: &Option<File>| file.as_ref().is_some_and(|file| counted(&file.shown));
    known.changed_places().any(is_in)
        || match known {
            Deed::Look(place, _) => is_in(place),
            Deed::Write(file, _)
            | Deed::Resize(file, _)
            | Deed::Sync(file, _)
            | Deed::ChangeAt(file, _)
            | Deed::Copy { to: file, .. } => is_of(file),
            Deed::SyncAll => true,
            _ => false,
        }
}
