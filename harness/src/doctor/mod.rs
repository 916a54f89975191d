//! The doctor: what this machine can do, tried rather than believed, and a canary that must fail.
//!
//! Everything is a [`Probe`]. What scenarios need and is missing makes a machine unsupported; a canary that does
//! not fail makes the harness itself useless.

mod canary;
mod control;
mod kernel;
pub mod locks;
mod program;
mod runtimes;
mod storage;

use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use crate::measure::machine::Machine;
use crate::process::Zygote;
use crate::report::exit::Exit;

/// What became of one thing that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It is as it should be.
    Ok,
    /// It is missing, and nothing of this version needs it.
    Optional,
    /// It is missing, and scenarios need it.
    Missing,
    /// The harness is at fault.
    Broken,
}

impl Health {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Optional => "optional",
            Self::Missing => "missing",
            Self::Broken => "broken",
        }
    }

    const fn exit(self) -> Exit {
        match self {
            Self::Ok | Self::Optional => Exit::AsExpected,
            Self::Missing => Exit::Unsupported,
            Self::Broken => Exit::HarnessFailed,
        }
    }
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Probe {
    /// What was tried on this machine.
    pub name: String,
    /// What became of it.
    pub health: Health,
    /// What was seen when it was tried.
    pub detail: String,
}

impl Probe {
    fn new(name: impl Into<String>, health: Health, detail: impl Into<String>) -> Self {
        Self { name: name.into(), health, detail: detail.into() }
    }

    /// What scenarios need: there, or missing.
    fn needed(name: impl Into<String>, tried: Result<String, String>) -> Self {
        match tried {
            Ok(detail) => Self::new(name, Health::Ok, detail),
            Err(detail) => Self::new(name, Health::Missing, detail),
        }
    }
}

/// All that the doctor found.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnosis {
    /// Version of this format.
    pub schema_version: u32,
    /// `ok`, `missing` or `broken`: the worst of the probes.
    pub health: Health,
    /// The exit code that says the same.
    pub exit_code: u8,
    /// The kernel, the processors and the filesystems that were found.
    pub machine: Machine,
    /// What was tried; programs know it by the name of the first version.
    #[serde(rename = "findings")]
    pub probes: Vec<Probe>,
    /// The code with which `doctor` ends.
    #[serde(skip)]
    pub exit: Exit,
}

/// Examines the machine. Containers would live below `base`. Each probe is told as soon as it is made.
pub fn examine(
    zygote: std::io::Result<Zygote>,
    base: &Path,
    stop: &AtomicBool,
    tell: &dyn Fn(&Probe),
) -> Diagnosis {
    let machine = Machine::observe();
    let mut probes = Vec::new();
    let mut add = |more: Vec<Probe>| {
        more.iter().for_each(tell);
        probes.extend(more);
    };
    add(kernel::examine(&machine));
    add(storage::examine(base));
    add(locks::examine(base));
    add(control::examine(&zygote, base));
    add(program::examine(&zygote, base));
    add(runtimes::examine(&zygote, base));
    add(vec![canary::examine(zygote, base, stop)]);
    let exit = probes.iter().map(|probe| probe.health.exit()).fold(Exit::AsExpected, Exit::and);
    let health = match exit {
        Exit::AsExpected => Health::Ok,
        Exit::Unsupported => Health::Missing,
        _ => Health::Broken,
    };
    Diagnosis {
        schema_version: crate::report::SCHEMA_VERSION,
        health,
        exit_code: exit.code(),
        machine,
        probes,
        exit,
    }
}
