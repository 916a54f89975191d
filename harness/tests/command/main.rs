//! A user's commands as subject, by the binary: real programs, whose fault or soundness is known.

mod bench;
mod explored;
mod found;
mod input;
mod languages;
mod models;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "only writing is needed here")]
mod program;
mod seen;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod support;
mod tidy;
mod workshop;
