//! Reports of benchmarks, on records whose statistics are known: made by a generator, from a seed.

#![expect(clippy::cast_sign_loss, reason = "rates and times are not negative")]

mod charts;
mod commands;
mod comparison;
mod formats;
mod generator;
mod pages;
mod published;
mod statistics;
#[path = "../cli/support.rs"]
#[expect(dead_code, reason = "it serves the tests of the command line as well")]
mod support;
mod thresholds;
