//! Control of real processes: they stop at each system call through which they can affect each other, and go on when
//! they are told to.

mod filter;
mod mail;
mod nursery;

pub(crate) use nursery::{NurseryOrder, raise as raise_nursery};
