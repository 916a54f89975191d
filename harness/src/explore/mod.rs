//! Exploration as such: what a machine of controlled processes promises, what a step touches, and which executions to run.
//!
//! Pure: nothing here knows a system call, a process or a file. What drives real processes is an engine.

pub mod machine;
pub mod observe;
pub mod step;
pub mod strategy;
