//! Beneath the engines: the zygote, the workers it forks, and the log they share with the harness.

/// A small single-threaded process, forked before any thread exists, that forks and reaps the workers.
#[derive(Debug)]
pub struct Zygote {}

impl Zygote {
    /// Forks the zygote. Call it first thing in `main`, before anything starts a thread.
    pub fn fork() -> std::io::Result<Self> {
        Ok(Self {})
    }
}
