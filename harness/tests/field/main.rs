//! The corpus scenarios/field: small programs with one race each, and their corrected twins. `flockwork race` must
//! find every broken one with nothing but command lines, and must find every twin clean.

mod alone;
mod held;
mod pair;
mod strace;
mod tidy;
