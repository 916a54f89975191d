//! Container metadata in `meta.json`, guarded by `meta.lock`: correct under concurrency and crashes.
#![forbid(unsafe_code)]

pub mod status;

pub use status::{Operation, Status};
