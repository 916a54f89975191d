//! A crash again: the same step, or the same state of the same calls, from the state that it was found in.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Work, open};
use crate::plan::crash::CrashPlan;
use crate::plan::race::PowerRecord;
use crate::power::Lost;
use crate::process::Zygote;
use crate::race::RaceError;
use crate::race::baseline::NoBaseline;
use crate::race::judge::Broken;
use crate::tracee::Options;

/// The crash that is to come again.
#[derive(Clone, Debug)]
pub enum Moment {
    /// SIGKILL before a step.
    Kill {
        /// The step, as schedules spell it.
        before: String,
        /// The words that names are made of in it.
        words: BTreeSet<String>,
    },
    /// A power loss.
    PowerLoss {
        /// What had reached the disk.
        record: PowerRecord,
        /// Whether it is right but for an acknowledgement.
        is_undone: bool,
    },
}

/// What came of it once.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The promise that was broken; none where all were kept.
    pub broken: Option<Broken>,
    /// What the power loss left.
    pub lost: Option<Lost>,
    /// Why it could not come again.
    pub divergence: Option<String>,
}

impl Replayed {
    fn diverged(why: String) -> Self {
        Self { broken: None, lost: None, divergence: Some(why) }
    }
}

/// Has a crash come again so many times. `root` is an empty folder.
pub fn replay(
    zygote: &Zygote,
    plan: &CrashPlan,
    root: &Path,
    moment: &Moment,
    times: u32,
    stop: &AtomicBool,
) -> Result<Vec<Replayed>, RaceError> {
    let mut work = open(zygote, plan, root, stop, &())?;
    let mut all = Vec::new();
    while all.len() < times as usize && !stop.load(Ordering::Relaxed) {
        all.push(match moment {
            Moment::Kill { before, words } => work.kill_again(before, words)?,
            Moment::PowerLoss { record, is_undone } => work.lose_again(record, *is_undone)?,
        });
    }
    Ok(all)
}

impl Work<'_> {
    fn kill_again(&mut self, before: &str, words: &BTreeSet<String>) -> Result<Replayed, NoBaseline> {
        let mut machine = self.machine(Options { words: Some(words.clone()), ..Options::default() })?;
        Ok(match self.killed_before(&mut machine, before)? {
            Some((_, broken)) => Replayed { broken, lost: None, divergence: None },
            None => Replayed::diverged(format!("the command never reaches {before:?}")),
        })
    }

    fn lose_again(&mut self, kept: &PowerRecord, is_undone: bool) -> Result<Replayed, NoBaseline> {
        let Some(disk) = crate::disk::model::named(&kept.disk) else {
            return Ok(Replayed::diverged(format!("no disk model is called {:?}", kept.disk)));
        };
        let (recorded, before) = match self.recorded()? {
            Ok(recorded) => recorded,
            Err(why) => return Ok(Replayed::diverged(why)),
        };
        let state = (kept.calls, kept.missing.as_slice());
        let again =
            self.with_losses(|losses| losses.look_again(disk, (&recorded, &before), state, is_undone))?;
        Ok(match again {
            Ok(Some(wrong)) => {
                Replayed { broken: Some(wrong.broken), lost: Some(wrong.lost), divergence: None }
            }
            Ok(None) => Replayed { broken: None, lost: None, divergence: None },
            Err(why) => Replayed::diverged(why),
        })
    }
}
