//! How a forked process is tied to its parent, and what it leaves behind when it goes.

use std::ffi::CString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::unistd::Pid;

use super::region::{Header, LAST_WORDS_BYTES, Region};
use super::{log, sys};

/// Exit code of a process that panicked in the subject.
pub const PANICKED: i32 = 101;
/// Exit code of a process that panicked in the harness's own code.
pub const HARNESS_PANICKED: i32 = 104;
/// Exit code of a process that could not open the subject.
pub const UNOPENED: i32 = 102;
/// Exit code of a process that the kernel does not let be controlled.
pub const UNSUPPORTED: i32 = 103;

/// Ties the calling process, just forked, to its parent: it is killed as soon as the parent dies.
///
/// Where the parent is dead already, this does not return.
pub fn tie_to(parent: Pid) -> io::Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
    // The parent may have died before the line above, and then no signal comes.
    if nix::unistd::getppid() != parent {
        sys::exit_now(0);
    }
    Ok(())
}

/// Sets the name that `ps` and `top` show.
pub fn call_oneself(name: &str) {
    // Cosmetic: a failure harms nothing.
    _ = CString::new(name).map(|name| nix::sys::prctl::set_name(&name));
}

/// Lets all signals in again. The zygote blocks SIGCHLD, and programs that a subject starts would inherit that.
pub fn unblock_signals() -> io::Result<()> {
    Ok(sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)?)
}

/// Gives the signals what they mean to a program that was just started, for commands that the caller is to start: all are let
/// in, and none is ignored because the harness ignores it for itself.
pub fn restore_signals() -> io::Result<()> {
    sys::restore_default(Signal::SIGXFSZ)?;
    unblock_signals()
}

/// Panics where a test asks for it, to see what becomes of a panic in the harness's own code: with `FLOCKWORK_PANIC=command`
/// in the command itself, with `FLOCKWORK_PANIC=process` in each process that it forks. A build without debug assertions
/// never does.
pub fn panic_if_asked(place: &str) {
    let is_asked = || std::env::var_os("FLOCKWORK_PANIC").is_some_and(|asked| asked == place);
    assert!(!(cfg!(debug_assertions) && is_asked()), "FLOCKWORK_PANIC asks for a panic in the {place}");
}

/// Runs the life of a forked process, and ends the process with the code it gives back; a panic's last words are kept.
pub fn live(region: &Arc<Region>, process: u32, life: impl FnOnce() -> i32) -> ! {
    let listener = Arc::clone(region);
    let own = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&own);
    std::panic::set_hook(Box::new(move |panic| {
        let payload = panic.payload();
        let words = payload.downcast_ref::<&str>().copied();
        let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let words = words.unwrap_or("a panic without words");
        noted.store(panic.location().is_some_and(|place| is_own(place.file())), Ordering::Relaxed);
        let place = panic.location().map(|place| format!(" at {place}")).unwrap_or_default();
        leave_words(listener.header(process), &format!("{words}{place}"));
    }));
    let whole = || {
        panic_if_asked("process");
        life()
    };
    let code = catch_unwind(AssertUnwindSafe(whole))
        .unwrap_or_else(|_| if own.load(Ordering::Relaxed) { HARNESS_PANICKED } else { PANICKED });
    sys::exit_now(code)
}

/// Whether a source file is the harness's own: one of this crate, and not of the replicas, whose panics are ports of the
/// originals'.
fn is_own(file: &str) -> bool {
    const HERE: &str = "process/lifeline.rs";
    let own = file!().strip_suffix(HERE).expect("this file lies there");
    file.strip_prefix(own).is_some_and(|rest| !rest.starts_with("subject/replica/"))
}

/// What is told of a process that panicked in the harness's own code.
#[must_use]
pub fn harness_panicked(process: u32, words: Option<&str>) -> String {
    let words = words.unwrap_or("without a word");
    format!(
        "process {process} panicked in the harness itself ({words}): that is a bug of flockwork, not of the subject"
    )
}

/// Writes last words, for the zygote to report.
pub fn leave_words(header: &Header, words: &str) {
    let words = log::cut(words, LAST_WORDS_BYTES);
    header.last_words_bytes.store(0, Ordering::Relaxed);
    for (shared, byte) in header.last_words.iter().zip(words.bytes()) {
        shared.store(byte, Ordering::Relaxed);
    }
    header.last_words_bytes.store(words.len() as u32, Ordering::Release);
}

/// Takes the last words of a dead process away, so that its successor starts without any.
pub fn take_words(header: &Header) -> Option<String> {
    let length = header.last_words_bytes.swap(0, Ordering::AcqRel) as usize;
    let bytes = header.last_words.iter().take(length).map(|byte| byte.load(Ordering::Relaxed));
    (length > 0).then(|| String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned())
}
