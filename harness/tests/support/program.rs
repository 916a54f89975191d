//! Programs that a test makes, to be executed.
//!
//! Another process makes each of them. If this one did, a process that another thread forks in the meantime would inherit
//! the descriptor that is open for writing, and for as long as it had not executed its own program, the new one could not
//! be executed: "Text file busy".

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a script that may be executed.
pub fn write(path: &Path, text: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"]).arg(path).stdin(Stdio::piped());
    let mut shell = shell.spawn().expect("sh runs");
    shell.stdin.take().expect("piped").write_all(text.as_bytes()).expect("sh reads");
    assert!(shell.wait().expect("ours").success(), "{} cannot be written", path.display());
}

/// Copies a program, with its permissions.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-p").args([from, to]).status().expect("cp runs");
    assert!(status.success(), "{} cannot be copied", from.display());
}
