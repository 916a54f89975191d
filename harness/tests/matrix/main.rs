//! gVisor's bugs against gVisor's replicas: each present or absent as docs/gvisor-history.md says, and the same
//! operations clean on the library.
//!
//! Always: every command that the document prints does as it says, its matrix is this one, every stepped test that a
//! cell rests on exists, and every bug is found by exploration within a thousand schedules, and not on the library. With `--ignored` (or `FLOCKWORK_MATRIX=full`), which takes some minutes: every cell that a
//! run can decide is decided by a run, and the library is clean. With `--measure`, and the names of scenarios or none:
//! the document's table of times; with `--measure-explored`, and the names of bugs or none: its table of schedules; with `--measure-shrunk`, the same: that of
//! shrunk schedules.
//!
//! Without libtest, whose threads would forbid the zygote's fork.

mod document;
mod explored;
mod measure;
mod runs;
#[path = "../support/serial.rs"]
mod serial;
mod shrunk;
mod table;

use std::process::ExitCode;

use flockwork_harness::process::Zygote;

use serial::Tally;

/// A test, its name, and whether it runs only where it is asked for.
type Case = (&'static str, fn(&mut Zygote), When);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    Asked,
}

const ALL: &[Case] = &[
    ("the_document_shows_this_matrix", |_| document::shows_the_matrix(), When::Always),
    ("every_stepped_test_exists", |_| table::stepped_tests_exist(), When::Always),
    ("every_bug_has_its_command", |_| document::names_every_bug(), When::Always),
    ("the_documents_commands_do_as_they_say", |_| document::commands_run(), When::Always),
    ("every_bug_is_found_under_control", explored::every_bug_is_found, When::Always),
    ("every_bug_shrinks_to_what_it_needs_and_replays", shrunk::every_bug_shrinks, When::Always),
    ("the_library_is_clean_under_control", explored::library_is_clean, When::Always),
    ("every_cell_is_as_the_table_says", table::every_cell, When::Asked),
    ("the_library_is_clean", table::library_is_clean, When::Asked),
];

fn main() -> ExitCode {
    let mut zygote = Zygote::fork().expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--list") {
        for (name, ..) in ALL {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    if has("--measure-explored") {
        explored::print(&mut zygote, |name| filters.is_empty() || filters.iter().any(|only| *only == name));
        return ExitCode::SUCCESS;
    }
    if has("--measure-shrunk") {
        shrunk::print(&mut zygote, |name| filters.is_empty() || filters.iter().any(|only| *only == name));
        return ExitCode::SUCCESS;
    }
    if has("--measure") {
        measure::print(&mut zygote, |name| filters.is_empty() || filters.iter().any(|only| *only == name));
        return ExitCode::SUCCESS;
    }
    let full = has("--include-ignored") || std::env::var("FLOCKWORK_MATRIX").is_ok_and(|how| how == "full");
    let mut tally = Tally::default();
    for (name, case, when) in ALL {
        if !filters.is_empty() && !filters.iter().any(|filter| name.contains(filter.as_str())) {
            continue;
        }
        if (*when == When::Asked) != has("--ignored") && !full {
            println!("test {name} ... ignored");
            continue;
        }
        tally.run(name, || case(&mut zygote));
    }
    tally.end()
}
