//! Runs tests one after the other without libtest, whose threads would forbid the zygote's fork; their results are told as
//! libtest tells them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

/// What became of a row of tests.
#[derive(Debug, Default)]
pub struct Tally {
    failed: Vec<String>,
}

impl Tally {
    /// Runs one, and tells what became of it.
    pub fn run(&mut self, name: &str, case: impl FnOnce()) {
        let passed = catch_unwind(AssertUnwindSafe(case)).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            self.failed.push(name.to_owned());
        }
    }

    /// How the program is to end.
    pub fn end(self) -> ExitCode {
        if self.failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("failed: {:?}", self.failed);
        ExitCode::FAILURE
    }
}
