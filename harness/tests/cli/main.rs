//! The command line, through the binary, as a user meets it.

mod bench;
mod check;
mod doctor;
mod explore;
mod formats;
mod nothing;
mod objects;
mod run;
mod signals;
mod support;
mod unlucky;
mod usage;
