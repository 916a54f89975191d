//! Signals that ask for an end: the first stops cleanly, a later one leaves at once.
//!
//! Ctrl-C (INT), TERM, HUP (the terminal has gone) and QUIT all mean the same. One request may come as several signals:
//! timeout(1) sends one to the process and one to its group, a shell that loses its terminal and the kernel both send
//! HUP. So what comes within a moment of the first is the same request; only what comes later is another.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::process::procfs;

/// How long after the first signal others belong to the same request.
const MOMENT: Duration = Duration::from_millis(500);

/// Whether the user wants to stop.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    stop: Arc<AtomicBool>,
}

impl Interrupt {
    /// Listens from now on.
    pub fn listen() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let ignored = procfs::ignored_signals();
        // Who starts a program by nohup(1) does not want it to hear that the terminal has gone.
        let heard = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().filter(|signal| !ignored.contains(signal));
        let mut signals = Signals::new(heard)?;
        let flag = Arc::clone(&stop);
        thread::Builder::new().name("fw-signals".into()).spawn(move || {
            let mut first = None;
            for signal in signals.forever() {
                match judge(
                    *first.get_or_insert_with(Instant::now),
                    Instant::now(),
                    flag.swap(true, Ordering::SeqCst),
                ) {
                    Meaning::Stop => {}
                    Meaning::Leave => leave(signal),
                }
            }
        })?;
        Ok(Self { stop })
    }

    /// The flag, for engines.
    #[must_use]
    pub fn flag(&self) -> &AtomicBool {
        &self.stop
    }

    /// Whether the user wants to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Stop,
    Leave,
}

fn judge(first: Instant, now: Instant, was_set: bool) -> Meaning {
    if was_set && now.duration_since(first) > MOMENT { Meaning::Leave } else { Meaning::Stop }
}

/// Ends the process. What it started is ended, and its temporary folder removed, by the warden.
fn leave(signal: i32) -> ! {
    let words = "flockwork: stopped at once, without a result; ending and clearing away what was started";
    // The terminal may be gone.
    _ = writeln!(io::stderr(), "{words}");
    std::process::exit(128 + signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_within_a_moment_is_the_same_request() {
        let first = Instant::now();
        assert_eq!(judge(first, first, false), Meaning::Stop);
        assert_eq!(judge(first, first + MOMENT, true), Meaning::Stop);
        assert_eq!(judge(first, first + MOMENT + Duration::from_millis(1), true), Meaning::Leave);
        assert_eq!(judge(first, first + MOMENT * 2, false), Meaning::Stop, "the first one, heard late");
    }
}
