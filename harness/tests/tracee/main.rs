//! Real programs under control: C, shells, Python, Go, with threads and children. Without libtest, whose threads would
//! forbid the zygote's fork.

mod cases;
mod clones;
mod descriptors;
mod lab;
mod lives;
mod random;
#[path = "../support/serial.rs"]
mod serial;
mod signals;
mod spared;
mod tasks;
mod timers;
mod vain;

use std::process::ExitCode;

use flockwork_harness::process::Zygote;
use serial::Tally;

/// A test by its name.
type Case = (&'static str, fn(&Zygote));

fn main() -> ExitCode {
    let zygote = Zygote::fork().expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let all = cases::ALL.iter().chain(lives::ALL).chain(clones::ALL).chain(random::ALL).chain(tasks::ALL);
    let all = all.chain(descriptors::ALL).chain(signals::ALL).chain(spared::ALL).chain(timers::ALL);
    let all: Vec<&Case> = all.chain(vain::ALL).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in all {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if arguments.iter().any(|argument| argument == "--hang") {
        lives::hang(&zygote);
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let mut tally = Tally::default();
    for (name, case) in all {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)) {
            tally.run(name, || case(&zygote));
        }
    }
    tally.end()
}
