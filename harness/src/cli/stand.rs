//! What `replay` and `shrink` stand on: the finding they are about, the zygote, and a temporary folder.

use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use super::interrupt::Interrupt;
use super::output::Output;
use super::request;
use crate::engine::EngineError;
use crate::finding::load::{Kept, load};
use crate::plan::ExplorePlan;
use crate::process::Zygote;
use crate::report::exit::Exit;
use crate::scratch::Scratch;

/// What whoever follows a finding needs: somebody who forks, whether the user wants to stop, and a temporary folder.
#[derive(Debug)]
pub struct Footing {
    /// Forks the processes.
    pub zygote: Zygote,
    /// Whether the user wants to stop.
    pub interrupt: Interrupt,
    /// Where temporary folders are made.
    pub base: PathBuf,
    /// The one that was made.
    pub scratch: Scratch,
}

impl Footing {
    /// Makes all of it ready, once what others left below the base is cleared.
    pub fn prepare(zygote: io::Result<Zygote>, root: Option<&Path>, output: Output) -> Result<Self, Failure> {
        let base = request::base(root)?;
        let zygote = zygote.map_err(|error| Failure::no_zygote(&error))?;
        let interrupt = Interrupt::listen().map_err(|error| {
            Failure::new(Exit::HarnessFailed, format!("signals cannot be received: {error}"))
        })?;
        super::run::clear_leftovers(&base, output);
        let scratch = Scratch::create(&base).map_err(|error| {
            let why = format!("no folder can be made below {}: {error}", base.display());
            Failure::new(Exit::Unsupported, why)
        })?;
        Ok(Self { zygote, interrupt, base, scratch })
    }
}

/// All that is needed to follow a kept schedule.
#[derive(Debug)]
pub struct Stand {
    /// What was kept.
    pub kept: Kept,
    /// Forks the processes.
    pub zygote: Zygote,
    /// Whether the user wants to stop.
    pub interrupt: Interrupt,
    /// Where temporary folders are made.
    pub base: PathBuf,
    scratch: Scratch,
}

impl Stand {
    /// Reads what a path leads to, and makes ready to follow it.
    pub fn prepare(
        zygote: io::Result<Zygote>,
        path: &Path,
        root: Option<&Path>,
        output: Output,
    ) -> Result<Self, Failure> {
        let kept = load(path).map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
        let this = env!("CARGO_PKG_VERSION");
        if let Some(other) = kept.found_by.as_deref().filter(|version| *version != this) {
            output.remark(&format!(
                "found by flockwork {other}, and this is {this}: if steps have changed, the replay diverges"
            ));
        }
        let Footing { zygote, interrupt, base, scratch } = Footing::prepare(zygote, root, output)?;
        Ok(Self { kept, zygote, interrupt, base, scratch })
    }

    /// The plan, in the temporary folder.
    #[must_use]
    pub fn plan(&self) -> ExplorePlan {
        let kept = &self.kept;
        let plan = kept.explore.plan(kept.scenario.subject.clone(), &self.scratch.root(), kept.seed);
        ExplorePlan { lanes: 1, ..plan }
    }
}

/// The engine's failure as the command's.
pub fn engine_failed(error: &EngineError) -> Failure {
    Failure::new(exit_of(error), words_of(error))
}

/// What is told of an engine that failed, with where to learn more.
#[must_use]
pub fn words_of(error: &EngineError) -> String {
    if error.is_unsupported() { format!("{error}; see `flockwork doctor`") } else { error.to_string() }
}

/// How a command ends whose engine failed: whether the machine lacks something, or the harness itself is at fault.
#[must_use]
pub fn exit_of(error: &EngineError) -> Exit {
    if error.is_unsupported() { Exit::Unsupported } else { Exit::HarnessFailed }
}
