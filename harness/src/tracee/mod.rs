//! Controlled programs: any command, held at its system calls with all its threads and children.
//!
//! One schedulable process is one tree of tasks: a command, and all that it starts. A program stops where the filter
//! says, by a table of all system calls; what it is about to do is decoded into a deed, and it is found out which files
//! that is about. What concerns nobody else goes on at once. Everything else is a step, and waits to be chosen.
//!
//! A [`Machine`] is to strategies what the machine of forked workers is: it promises the same.

mod afterwards;
mod beginning;
pub(crate) mod behalf;
pub(crate) mod class;
pub(crate) mod decode;
mod descriptors;
mod fall;
pub(crate) mod filter;
mod foresee;
mod fork_server;
mod hurry;
mod journal;
mod late;
mod machine;
pub(crate) mod memory;
mod names;
mod outside;
mod owner;
mod paths;
mod perturb;
mod seat;
mod sent;
mod serve;
mod settings;
mod sharing;
mod signals;
mod spared;
mod step;
mod still;
pub(crate) mod table;
mod task;
mod tasks;
mod timers;
mod tree;
mod vain;
mod watchdog;
mod watched;

pub use journal::{Entry, KEPT_BYTES_MAX, Stood};
pub use machine::Machine;
pub(crate) use outside::keeps_nothing;
pub use perturb::{Perturbation, Perturbed, Treatment};
pub use seat::any_processor;
pub use settings::{Cloned, Command, Ending, Left, Options, Planned, Settings, TraceeError};
pub(crate) use tasks::task_of;

pub use crate::plan::race::{ForkServer, Sleeps, Threads};
pub use crate::process::slot::CommandLine;
