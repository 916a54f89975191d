//! Control of real processes: they stop at each system call through which they can affect each other, and go on when
//! they are told to.

mod course;
mod entries;
mod error;
mod foresee;
mod fork_server;
mod ground;
mod journal;
mod left;
mod mail;
mod places;
mod record;
mod run;
mod snapshot;
mod stand;
mod supervise;
mod tracee;
mod tracees;
mod waiting;

pub(crate) use error::ControlError;
pub(crate) use fork_server::{ForkServerTask, NAME as FORK_SERVER, raise as raise_fork_server};
pub(crate) use left::Left;
pub(crate) use record::{HistoryBuilder, SETUP, number};
pub(crate) use run::{Control, FIRST_SEQUENCE};
pub(crate) use snapshot::{Digest, digest_of, without};
pub(crate) use stand::Planned;
