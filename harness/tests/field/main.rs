//! The corpus scenarios/field: small programs with one race each, and their corrected twins. `flockwork race` must
//! find every broken one with nothing but command lines, and must find every twin clean.

mod alone;
mod cloned;
mod flockwork;
mod guides;
mod gvisor;
mod held;
mod measured;
mod pair;
mod perturbed;
#[path = "../support/program.rs"]
mod program;
mod publish;
mod raced;
mod speed;
mod stalled;
mod strace;
mod stressed;
mod tidy;
