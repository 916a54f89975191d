//! Container runtimes as they are installed. Without libtest, whose threads would forbid the zygote's fork.
//!
//! A runtime that is not here, or cannot be used, is told by name. With `FLOCKWORK_REQUIRE_ALL=1` that is a failure, but
//! for youki, which no distribution packages: `FLOCKWORK_REQUIRE_YOUKI=1` demands that too.

#[path = "../support/program.rs"]
#[expect(dead_code, reason = "only writing is needed here")]
mod program;
#[path = "../support/serial.rs"]
mod serial;

mod altered;
mod clean;
mod grounds;
mod pool;
mod profiles;
mod race;
mod scenarios;
mod speed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use flockwork_harness::process::Zygote;
use flockwork_harness::runtimes::{Host, Runtime, find};
use serde_json::Value;
use tempfile::TempDir;

use serial::Tally;

type Case = (&'static str, fn(&Zygote));

const ALL: &[Case] = &[
    ("a_runtime_that_is_not_there_is_told", scenarios::a_runtime_that_is_not_there_is_told),
    ("a_runtime_that_never_answers_is_told", scenarios::a_runtime_that_never_answers_is_told),
    ("flags_that_a_runtime_refuses_are_told", scenarios::flags_that_a_runtime_refuses_are_told),
    ("where_nothing_is_created_nothing_is_clean", scenarios::where_nothing_is_created_nothing_is_clean),
    ("a_race_that_makes_no_sense_is_told", race::a_race_that_makes_no_sense_is_told),
    ("two_deletes_of_runc_are_found", race::two_deletes_of_runc_are_found),
    ("two_creates_of_runc_are_found", race::two_creates_of_runc_are_found),
    ("two_creates_of_crun_are_not_found_to_differ", race::two_creates_of_crun_are_not_found_to_differ),
    ("two_kills_are_not_found_to_differ", race::two_kills_are_not_found_to_differ),
    ("what_was_set_up_can_be_killed", race::what_was_set_up_can_be_killed),
    (
        "containers_that_sleep_and_frozen_ones_are_controlled",
        race::containers_that_sleep_and_frozen_ones_are_controlled,
    ),
    ("a_start_of_runc_that_hangs_is_found", race::a_start_of_runc_that_hangs_is_found),
    (
        "a_killed_operation_leaves_an_id_that_can_be_used",
        race::a_killed_operation_leaves_an_id_that_can_be_used,
    ),
    ("a_saved_race_runs_as_a_scenario", race::a_saved_race_runs_as_a_scenario),
    (
        "what_is_found_with_a_pool_is_what_is_found_without",
        pool::what_is_found_with_a_pool_is_what_is_found_without,
    ),
    ("a_search_covers_as_much_with_a_pool_as_without", pool::a_search_covers_as_much_with_a_pool_as_without),
    (
        "what_a_round_leaves_is_told_of_it_while_others_are_played",
        grounds::what_a_round_leaves_is_told_of_it_while_others_are_played,
    ),
    ("a_status_that_is_not_true_is_told", altered::a_status_that_is_not_true_is_told),
    (
        "a_process_that_takes_its_time_to_start_is_waited_for",
        altered::a_process_that_takes_its_time_to_start_is_waited_for,
    ),
    ("a_create_of_the_setup_is_tried_again", altered::a_create_of_the_setup_is_tried_again),
    ("a_killed_create_leaves_no_file_elsewhere", clean::a_killed_create_leaves_no_file_elsewhere),
    ("a_run_leaves_nothing_behind", clean::a_run_leaves_nothing_behind),
    ("a_killed_harness_leaves_nothing_behind", clean::a_killed_harness_leaves_nothing_behind),
    ("a_killed_race_leaves_nothing_behind", clean::a_killed_race_leaves_nothing_behind),
    ("two_harnesses_at_once_do_not_meet", clean::two_harnesses_at_once_do_not_meet),
    ("a_full_disk_is_no_fault_of_the_runtime", clean::a_full_disk_is_no_fault_of_the_runtime),
    ("runc_does_what_its_profile_says", |zygote| profiles::hold(zygote, Runtime::Runc)),
    ("crun_does_what_its_profile_says", |zygote| profiles::hold(zygote, Runtime::Crun)),
    ("youki_does_what_its_profile_says", |zygote| profiles::hold(zygote, Runtime::Youki)),
    ("runsc_does_what_its_profile_says", |zygote| profiles::hold(zygote, Runtime::Runsc)),
    ("every_script_shows_its_finding", scenarios::every_script_shows_its_finding),
    ("every_scenario_ends_as_it_expects", scenarios::every_scenario_ends_as_it_expects),
    ("measure_speed", speed::measure),
];

fn main() -> ExitCode {
    let zygote = Zygote::fork().expect("a zygote");
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in ALL {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).collect::<Vec<_>>();
    let mut tally = Tally::default();
    for (name, case) in ALL {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(*filter)) {
            tally.run(name, || case(&zygote));
        }
    }
    tally.end()
}

/// Whether a variable is set to 1.
fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

/// Whether a test that needs this runtime can run here; that it cannot is told.
fn is_usable(runtime: Runtime) -> bool {
    let lacks = match find(runtime, None) {
        Ok(_) if rustix::process::geteuid().is_root() => return true,
        Ok(_) => "it needs root".to_owned(),
        Err(why) => why.to_string(),
    };
    let variable =
        if runtime == Runtime::Youki { "FLOCKWORK_REQUIRE_YOUKI" } else { "FLOCKWORK_REQUIRE_ALL" };
    assert!(!is_set(variable), "{runtime} is required: {lacks}");
    println!("skipped: {runtime}: {lacks}");
    false
}

/// A ground for a host, whose name nothing else has.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let base = flockwork_harness::scratch::default_base();
        let folder = tempfile::Builder::new().prefix("flockwork-test-").tempdir_in(base).expect("a folder");
        fs::create_dir(folder.path().join("root")).expect("writable");
        Self(folder)
    }

    fn host(&self, zygote: &Zygote, runtime: Runtime) -> Host {
        Host::open(zygote, &runtime.plan(), &self.0.path().join("root")).expect("a host")
    }
}

/// The folder of the repository.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn flockwork(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flockwork"));
    command.args(arguments).current_dir(workspace());
    command
}

/// Runs the text of a scenario, with its results in a folder of their own.
fn run_text(text: &str) -> Output {
    run_text_with(text, &[])
}

/// Runs the text of a scenario, and gives back what is reported of it.
#[track_caller]
fn run_for_report(text: &str) -> Value {
    scenario(&run_text_with(text, &["--format", "json"]))
}

fn run_text_with(text: &str, more: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("tried.toml");
    fs::write(&file, text).expect("writable");
    let results = folder.path().join("results");
    let paths = [&file, &results].map(|path| path.to_str().expect("UTF-8"));
    flockwork(&["run", paths[0], "--results-dir", paths[1]]).args(more).output().expect("it runs")
}

/// The one scenario of a report.
#[track_caller]
fn scenario(output: &Output) -> Value {
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(output)));
    report["scenarios"][0].clone()
}

/// All that a command said.
fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
