//! A user's commands as subject, by the binary: real programs, whose fault or soundness is known.

mod bench;
mod explored;
mod found;
mod input;
mod languages;
mod models;
mod seen;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod support;
mod tidy;
mod workshop;
