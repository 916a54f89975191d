//! The command line, through the binary, as a user meets it.

mod bench;
mod browser;
mod check;
mod deploy;
mod doctor;
mod escapes;
mod explore;
mod foreign;
mod formats;
mod hold;
mod hostile;
mod merge;
mod merge_speed;
mod nothing;
mod objects;
mod power;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "only copying is needed here")]
mod program;
#[path = "../support/random.rs"]
mod random;
mod recipes;
mod run;
mod settings;
mod signals;
mod support;
mod unlucky;
mod usage;
