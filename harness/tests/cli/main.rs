//! The command line, through the binary, as a user meets it.

mod check;
mod doctor;
mod run;
mod signals;
mod support;
mod usage;
