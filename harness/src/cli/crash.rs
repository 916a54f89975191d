//! `flockwork crash`: a command, killed at each step, and every state that a power loss may leave of it.

use std::io;
use std::path::PathBuf;

use clap::{ArgAction, Args};

use super::failure::Failure;
use super::output::Output;
use super::race::reproduce;
use super::request::random_seed;
use super::run::conduct;
use super::surroundings::{Surroundings, failed};
use crate::plan::crash::Durable;
use crate::process::Zygote;
use crate::report::exit::Exit;
use crate::scenario::{Crash, Expect, Race, Scenario, Work, crash_to_toml};

/// What `crash` takes.
#[derive(Debug, Args)]
pub struct CrashArgs {
    /// The command line; it runs with `sh -c` if it needs a shell
    #[arg(value_name = "CMD", last = true, required = true)]
    pub commands: Vec<String>,
    /// Folders, comparison, time and evidence.
    #[command(flatten)]
    pub surroundings: Surroundings,
    /// Only kills: SIGKILL at each step, no power loss
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "power")]
    pub kill: bool,
    /// Only power losses: at each moment, no SIGKILL
    #[arg(long, action = ArgAction::SetTrue)]
    pub power: bool,
    /// The disk model: posix, ext4, ext4-dioread-lock, ext4-writeback, xfs or btrfs [default: that of the folder's filesystem, else posix]
    #[arg(long, value_name = "NAME")]
    pub disk: Option<String>,
    /// Require that the result lasts once the command succeeds, or prints TEXT
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub durable: Option<String>,
}

/// Crashes what the arguments name, and reports.
pub fn run(
    zygote: io::Result<Zygote>,
    args: &CrashArgs,
    command_line: &[String],
    output: Output,
) -> Result<Exit, Failure> {
    let crash = crash(args)?;
    crash.check().map_err(|error| failed(&error))?;
    args.surroundings.check(&crash.race)?;
    let seed = args.surroundings.seed.unwrap_or_else(random_seed);
    let about = format!("{}: a crash leaves the state before or the one after.", args.commands.join(", "));
    let scenario = Scenario {
        name: "crash".into(),
        argument: PathBuf::from("crash"),
        text: crash_to_toml(&crash, &about),
        about,
        subject: crate::scenario::default_subject(),
        work: Work::Crash(Box::new(crash)),
        expect: Expect::default(),
    };
    let again = reproduce("crash", command_line, seed);
    let request = args.surroundings.request(scenario, seed, again)?;
    conduct(zygote, &request, command_line, output)
}

/// What was typed as a crash.
fn crash(args: &CrashArgs) -> Result<Crash, Failure> {
    let processes = args.commands.iter().map(|command| vec![command.clone()]).collect();
    let race = Race { processes, ..args.surroundings.race()? };
    let durable =
        args.durable.clone().map(|said| if said.is_empty() { Durable::Ended } else { Durable::Said(said) });
    Ok(Crash { race, kill: !args.power, power: !args.kill, disk: args.disk.clone(), durable })
}
