//! The proof of the library by controlled exploration: docs/proof.md.
//!
//! Always: some pairs of operations from every status, and every rule that is switched off; power losses after some of them, and
//! every fsync that is left out. With `--table`, which takes long: the document's table, of all spaces or of those that are named;
//! with `--power-table` the tables of docs/crash.md on the library.
//!
//! Without libtest, whose threads would forbid the zygote's fork.

mod broken;
mod explore;
mod power;
mod power_table;
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
    ("a_power_loss_leaves_what_was_or_what_is", power::saves_with_fsync_last),
    ("without_fsync_a_power_loss_is_found_on_every_model", power::others_are_lost),
    ("every_fsync_is_needed", power::every_fsync_is_needed),
    ("power_losses_of_the_library_end_as_expected", broken::power_losses_end_as_expected),
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
    if has("--power-table") {
        return power_table::publish(&mut zygote, is_wanted);
    }
    let mut tally = Tally::default();
    for (name, case) in ALL.iter().filter(|(name, _)| is_wanted(name)) {
        tally.run(name, || case(&mut zygote));
    }
    tally.end()
}
