//! Whether this process may have threads. Where a limit refuses them (`ulimit -u`, a cgroup's `pids.max`), that is told
//! before anything starts, rather than by a panic in the middle of a run.

use std::io;
use std::sync::mpsc;
use std::thread;

use super::failure::Failure;
use crate::report::exit::Exit;

/// Those that listen, watch, and show progress.
const BESIDES: usize = 4;

/// Starts as many threads as a command may need at once, and ends them again.
pub fn can_be_had() -> Result<(), Failure> {
    let processors = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let wanted = processors + BESIDES;
    try_all(wanted).and_then(|()| start_pool()).map_err(|error| {
        let why = format!(
            "the system refuses this process {wanted} threads, which it needs: {error}; raise the limit of processes \
             (ulimit -u) or of the cgroup (pids.max)"
        );
        Failure::new(Exit::Unsupported, why)
    })
}

fn try_all(wanted: usize) -> io::Result<()> {
    thread::scope(|scope| {
        let mut leashes = Vec::with_capacity(wanted);
        for _ in 0..wanted {
            let (leash, held) = mpsc::channel::<()>();
            // It waits until all are there, or one is refused.
            thread::Builder::new().spawn_scoped(scope, move || {
                _ = held.recv();
            })?;
            leashes.push(leash);
        }
        Ok(())
    })
}

/// Starts the threads over which checks and statistics are spread.
fn start_pool() -> io::Result<()> {
    use std::error::Error as _;
    match rayon::ThreadPoolBuilder::new().build_global() {
        // Without a cause, there is a pool already.
        Err(error) if error.source().is_some() => Err(io::Error::other(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_to_be_had_here() {
        assert!(can_be_had().is_ok());
        assert!(can_be_had().is_ok(), "again, with a pool that is there");
    }
}
