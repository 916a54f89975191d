//! The command line: what was typed, what it means, and the exit code it ends with.

mod args;
mod bench;
mod check;
mod compare;
mod config;
mod crash;
mod deliver;
mod doctor;
mod failure;
mod findings;
mod init;
mod interrupt;
mod latest;
mod list;
mod merge;
mod output;
mod page;
mod patient;
mod race;
mod reference;
mod replay;
mod report;
mod request;
mod run;
#[cfg(test)]
mod shown;
mod shrink;
mod stand;
mod surroundings;
mod threads;

use std::ffi::OsString;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};

use clap::Parser;

use crate::process::{Zygote, lifeline};
use crate::report::exit::Exit;
use crate::report::plain;
use args::{Cli, Command};
use failure::Failure;
use output::{Output, say};

/// Does what the command line asks for, and says how it ended.
pub fn main(zygote: io::Result<Zygote>, words: impl IntoIterator<Item = OsString>) -> Exit {
    let words: Vec<OsString> = words.into_iter().collect();
    let typed = match Cli::try_parse_from(&words) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, mistakes to stderr; a reader that has gone away is no error.
            let words = error.render().ansi().to_string();
            if error.use_stderr() {
                say(words.trim_end_matches('\n'));
                return Exit::Usage;
            }
            return match output::print(&words) {
                Ok(()) => Exit::AsExpected,
                Err(failure) => {
                    say(&format!("flockwork: {}", failure.message));
                    failure.exit
                }
            };
        }
    };
    let command_line: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    // A panic is a bug of the harness, and has its exit code; its message has been printed by then.
    match catch_unwind(AssertUnwindSafe(|| dispatch(zygote, typed, &command_line))) {
        Ok(Ok(exit)) => exit,
        Ok(Err(failure)) => {
            say(&format!("flockwork: {}", plain::lines(&failure.message)));
            failure.exit
        }
        Err(_) => Exit::HarnessFailed,
    }
}

fn dispatch(zygote: io::Result<Zygote>, typed: Cli, command_line: &[String]) -> Result<Exit, Failure> {
    lifeline::panic_if_asked("command");
    let output = Output::new(typed.common);
    if let (Some(ci), Command::Bench(_)) = (output.ci, &typed.command) {
        return Err(Failure::new(Exit::Usage, bench::instead(ci.flag())));
    }
    if output.ci.is_some() && !typed.command.reports_scenarios() {
        let why =
            "--format junit and --format github are for run and merge; this command takes human and json";
        return Err(Failure::new(Exit::Usage, why));
    }
    if typed.command.needs_threads() {
        threads::can_be_had()?;
    }
    if !typed.command.is_for_programs() {
        run::put_back_left(output);
    }
    match typed.command {
        Command::Run(args) => run::run(zygote, args, command_line, output),
        Command::Race(args) => race::run(zygote, &args, command_line, output),
        Command::Crash(args) => crash::run(zygote, &args, command_line, output),
        Command::Bench(args) => bench::run(zygote, args, command_line, output),
        Command::Replay(args) => replay::run(zygote, &args, output),
        Command::Shrink(args) => shrink::run(zygote, &args, output),
        Command::List(args) => list::run(&args, output),
        Command::Check(args) => check::run(&args, output),
        Command::Doctor(args) => doctor::run(zygote, &args, output),
        Command::Init(args) => init::run(&args, output),
        Command::Compare(args) => compare::run(&args, output),
        Command::Config(args) => config::run(&args, output),
        Command::Merge(args) => merge::run(&args, command_line, output),
        Command::Report(args) => report::run(&args, output),
        Command::HoldLock { lock, root } => Ok(doctor::hold_lock(&lock, &root)),
        Command::Completions { shell } => reference::completions(shell),
        Command::Man => reference::man(),
    }
}
