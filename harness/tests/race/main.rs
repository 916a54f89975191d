//! `flockwork race`, by its binary: real commands, whose fault or soundness is known.

mod controlled;
mod found;
mod input;
mod kept;
mod noise;
mod perturbed;
mod power;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "only writing is needed here")]
mod program;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "other tests need more of it")]
mod support;
mod threads;
mod tidy;
mod workshop;
