//! The explore engine's tests: real processes under control, with subjects that do what a script says.
//!
//! Without libtest, whose threads would forbid the zygote's fork. With `--ignored` or `FLOCKWORK_LONG=1` the long ones
//! run, or run too.

mod binary;
mod cases;
#[path = "../support/program.rs"]
#[expect(dead_code, reason = "only copying is needed here")]
mod program;
mod random;
mod real;
mod refused;
mod script;
#[path = "../support/serial.rs"]
mod serial;
mod sys;
mod tidy;
mod traits;
mod trust;

use std::process::ExitCode;

use flockwork_harness::process::Zygote;

use serial::Tally;

/// A test and its name.
pub type Case = (&'static str, fn(&mut Zygote));

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if arguments.first().is_some_and(|argument| argument == binary::DEPRIVED) {
        return binary::be_deprived(&arguments[1..]);
    }
    let mut zygote = Zygote::fork_with(script::build).expect("a zygote");
    let usual = cases::ALL.iter().chain(refused::ALL).chain(traits::ALL).chain(binary::ALL).chain(trust::ALL);
    let long = trust::LONG.iter();
    let is_long =
        has("--ignored") || has("--include-ignored") || std::env::var_os("FLOCKWORK_LONG").is_some();
    if has("--list") {
        usual.chain(long).for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let usual = usual.filter(|_| !has("--ignored")).map(|case| (case, true));
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(*filter));
    let mut tally = Tally::default();
    for ((name, case), runs) in
        usual.chain(long.map(|case| (case, is_long))).filter(|((name, _), _)| wanted(name))
    {
        if !runs {
            println!("test {name} ... ignored");
            continue;
        }
        tally.run(name, || case(&mut zygote));
    }
    tally.end()
}
