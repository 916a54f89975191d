//! The engine's tests: real processes, with subjects whose behaviour is known. Without libtest, whose threads would
//! forbid the zygote's fork.

mod cases;
mod killed;
mod quiet;
#[path = "../support/serial.rs"]
mod serial;
mod subject;
mod unlucky;

use std::process::ExitCode;

use flockwork_harness::process::Zygote;

use serial::Tally;

/// A test and its name.
pub type Case = (&'static str, fn(&mut Zygote));

fn main() -> ExitCode {
    let mut zygote = Zygote::fork_with(subject::build).expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if arguments.first().is_some_and(|argument| argument == killed::VICTIM) {
        killed::be_victim(&mut zygote, &arguments[1]);
    }
    let cases = cases::ALL.iter().chain(quiet::ALL).chain(killed::ALL).chain(unlucky::ALL);
    if arguments.iter().any(|argument| argument == "--list") {
        cases.for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let mut tally = Tally::default();
    for (name, case) in cases.filter(|(name, _)| wanted(name)) {
        tally.run(name, || case(&mut zygote));
    }
    tally.end()
}
