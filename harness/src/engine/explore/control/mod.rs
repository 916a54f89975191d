//! Control of real processes: they stop at each system call through which they can affect each other, and go on when
//! they are told to.

mod behalf;
mod call;
mod course;
mod crew;
mod entries;
mod error;
mod inmate;
mod locks;
mod mail;
mod nursery;
mod places;
mod predict;
mod record;
mod snapshot;
mod stage;
mod stand;

pub(crate) use error::StageError;
pub(crate) use nursery::{NAME as NURSERY, NurseryOrder, raise as raise_nursery};
pub(crate) use predict::Faults;
pub(crate) use record::{Recorder, SETUP, number};
pub(crate) use snapshot::Digest;
pub(crate) use stage::{Control, FIRST_SEQUENCE, Left};
pub(crate) use stand::Planned;
