//! The proof of the library by controlled exploration: docs/proof.md.
//!
//! Always: some pairs of operations from every status, and every rule that is switched off. With `--table`, which takes
//! long: the document's table, of all spaces or of those that are named.
//!
//! Without libtest, whose threads would forbid the zygote's fork.

mod broken;
mod explore;
mod quick;
#[path = "../support/serial.rs"]
mod serial;
mod spaces;
mod table;

use std::process::ExitCode;

use flockwork_harness::process::Zygote;

use serial::Tally;

type Case = (&'static str, fn(&mut Zygote));

const ALL: &[Case] = &[
    ("the_library_is_clean_in_some_pairs", quick::pairs),
    ("the_library_is_clean_with_a_fault_at_every_step", quick::faults),
    ("every_backend_is_clean_in_one_pair", quick::backends),
    ("every_rule_is_needed", broken::every_rule_is_needed),
    ("with_all_rules_the_replica_is_clean", broken::all_rules_are_enough),
    ("every_scenario_of_the_proof_parses", broken::scenarios_parse),
    ("the_document_shows_every_rule", broken::document_shows_every_rule),
];

fn main() -> ExitCode {
    let mut zygote = Zygote::fork().expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        for (name, _) in ALL {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let is_wanted =
        |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    if has("--table") {
        return table::print(&mut zygote, is_wanted);
    }
    let mut tally = Tally::default();
    for (name, case) in ALL.iter().filter(|(name, _)| is_wanted(name)) {
        tally.run(name, || case(&mut zygote));
    }
    tally.end()
}
