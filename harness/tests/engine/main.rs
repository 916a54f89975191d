//! The engine's tests: real processes, with subjects whose behaviour is known. Without libtest, whose threads would
//! forbid the zygote's fork.

mod cases;
mod killed;
mod subject;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use flockwork_harness::process::Zygote;

/// A test and its name.
pub type Case = (&'static str, fn(&mut Zygote));

fn main() -> ExitCode {
    let mut zygote = Zygote::fork_with(subject::build).expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if arguments.first().is_some_and(|argument| argument == killed::VICTIM) {
        killed::be_victim(&mut zygote, &arguments[1]);
    }
    let cases = cases::ALL.iter().chain(killed::ALL);
    if arguments.iter().any(|argument| argument == "--list") {
        cases.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let mut failed = Vec::new();
    for (name, case) in cases.filter(|(name, _)| wanted(name)) {
        let passed = catch_unwind(AssertUnwindSafe(|| case(&mut zygote))).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        if !passed {
            failed.push(name);
        }
    }
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {failed:?}");
    ExitCode::FAILURE
}
