//! `flockwork doctor`: shows what the doctor finds.

use std::io;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::args::{DoctorArgs, Format};
use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::{Output, print_json, print_words, say};
use super::request;
use crate::doctor::{self, Diagnosis, Health, Probe, locks};
use crate::process::Zygote;
use crate::report::exit::Exit;

/// Examines the machine and tells.
pub fn run(zygote: io::Result<Zygote>, args: &DoctorArgs, output: Output) -> Result<Exit, Failure> {
    let base = request::base(args.root.as_deref())?;
    let interrupt = Interrupt::listen()
        .map_err(|error| Failure::new(Exit::HarnessFailed, format!("signals cannot be received: {error}")))?;
    let diagnosis = match output.format {
        Format::Json => {
            let diagnosis = doctor::examine(zygote, &base, interrupt.flag(), &|_| ());
            print_json(&diagnosis)?;
            diagnosis
        }
        Format::Human => {
            // Told one by one: the last ones take a moment. Whether anybody reads is asked at the end.
            let tell = |probe: &Probe| drop(print_words(&line(probe)));
            let diagnosis = doctor::examine(zygote, &base, interrupt.flag(), &tell);
            print_words(&last_line(&diagnosis))?;
            diagnosis
        }
    };
    // A canary that was stopped proves nothing, either way.
    Ok(if interrupt.is_set() { Exit::Inconclusive } else { diagnosis.exit })
}

fn line(finding: &Probe) -> String {
    let style = style_of(finding.health);
    format!("{style}{:8}{style:#} {:18} {}\n", finding.health.as_str(), finding.name, finding.detail)
}

fn last_line(diagnosis: &Diagnosis) -> String {
    let style = style_of(diagnosis.health);
    let words = match diagnosis.health {
        Health::Ok | Health::Optional => "this machine has everything that scenarios need",
        Health::Missing => "this machine lacks what some scenarios need",
        Health::Broken => "the harness does not work here: its results mean nothing",
    };
    format!("\n{style}{words}{style:#}\n")
}

const fn style_of(health: Health) -> Style {
    match health {
        Health::Ok => AnsiColor::Green.on_default(),
        Health::Optional => AnsiColor::Yellow.on_default(),
        Health::Missing | Health::Broken => AnsiColor::Red.on_default().bold(),
    }
}

/// The doctor's other process.
pub fn hold_lock(lock: &str, root: &Path) -> Exit {
    match locks::hold(lock, root) {
        Ok(()) => Exit::AsExpected,
        Err(error) => {
            say(&format!("flockwork hold-lock: {error}"));
            Exit::HarnessFailed
        }
    }
}
