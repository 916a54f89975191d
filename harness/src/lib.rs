//! The harness: forks real processes that operate on containers, records what they saw, and judges it.
//!
//! A pipeline, a folder a stage: scenario → subject + engine → history → check (with model) → finding → report.
//! Beneath the engines lies [`process`]: the zygote, the workers and the shared log.

pub mod books;
pub mod campaign;
pub mod cli;
pub mod conduct;
pub mod crash;
pub mod disk;
pub mod doctor;
pub mod engine;
pub mod explain;
pub mod explore;
pub mod finding;
pub mod ground;
pub mod measure;
pub mod own;
pub mod plan;
pub mod power;
pub mod process;
pub mod race;
pub mod report;
pub mod results;
pub mod runtimes;
pub mod scenario;
pub mod scratch;
pub mod settings;
pub mod shrink;
pub mod subject;
pub mod tracee;

pub use flockwork_judge::{
    answer, check, document, evidence, failures, history, judge, model, reach, signature, violation, words,
};
