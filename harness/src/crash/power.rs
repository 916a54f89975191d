//! Power loss: the command runs once with a journal, and every state that the disk model allows is judged.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Discovery, How, Power, Work};
use crate::disk::Disk;
use crate::engine::Ended;
use crate::plan::crash::Durable;
use crate::power::folders::{self, Seen};
use crate::power::{Recorded, Recording};
use crate::race::RaceError;
use crate::race::baseline::NoBaseline;
use crate::race::power::{Known, Losses};
use crate::tracee::Options;
use crate::words::plural;

impl Work<'_> {
    /// Runs the command with a journal, and judges every state that the model allows.
    pub(super) fn lose_power(&mut self, disk: &'static dyn Disk) -> Result<(), NoBaseline> {
        let (recorded, before) = match self.recorded()? {
            Ok(recorded) => recorded,
            Err(why) => {
                self.run.leaves_unjudged(why);
                return Ok(());
            }
        };
        let calls = recorded.journal.lines.len();
        let acknowledged: Vec<usize> = match &self.plan.durable {
            None => Vec::new(),
            Some(Durable::Ended) => vec![calls],
            Some(Durable::Said(_)) => recorded.said.into_iter().collect(),
        };
        let looked = self.with_losses(|losses| losses.look(disk, &recorded, &before, &acknowledged))?;
        if looked.is_cut {
            self.run.leaves_unjudged(format!(
                "the time ran out after {} of a power loss: raise --budget",
                plural(looked.states, "state")
            ));
        } else if let Some(excess) = looked.excess {
            self.run.leaves_unjudged(excess.to_string());
        }
        let is_exhaustive = looked.is_exhaustive;
        self.run.power = Some(Power { disk: disk.name(), calls, states: looked.states, is_exhaustive });
        for wrong in looked.wrong {
            let how = How::PowerLost(Box::new(wrong.lost));
            self.run.discoveries.push(Discovery { broken: wrong.broken, outcome: wrong.outcome, how });
        }
        Ok(())
    }

    /// Judges power losses, until the time is used up or somebody stops it.
    pub(super) fn with_losses<T>(
        &mut self,
        look: impl FnOnce(&mut Losses<'_>) -> Result<T, NoBaseline>,
    ) -> Result<T, NoBaseline> {
        let (stop, until, progress) = (self.stop, self.until, self.progress);
        let ended = Cell::new(self.run.ended);
        let is_over = |judged: u64| {
            progress.update(judged, 0);
            if stop.load(Ordering::Relaxed) {
                ended.set(Ended::Interrupted);
            }
            ended.get() == Ended::Interrupted || Instant::now() >= until
        };
        let looked = look(&mut Losses {
            has_then: !self.site.then.is_empty(),
            site: &mut self.site,
            judge: &mut self.judge,
            initial: &self.run.initial,
            absent: &[],
            known: &mut Known::new(),
            left_over: &mut self.run.left_over,
            played: None,
            is_over: &is_over,
        });
        self.run.ended = ended.get();
        looked
    }

    /// Runs the command with a journal; the inner error says why nothing can be told of it.
    pub(super) fn recorded(&mut self) -> Result<Result<(Recorded, Seen), String>, NoBaseline> {
        let failed = || RaceError::failed("a state folder cannot be read");
        let options = Options { keeps_journal: true, records_bytes: true, ..Options::default() };
        let mut machine = self.machine(options)?;
        self.site.put_back()?;
        let before = folders::read(&self.site.work).map_err(failed())?;
        let execution = self.hold(&mut machine, &[])?;
        self.run.touched_outside.extend(execution.outcome.touched_outside.iter().cloned());
        let said = match &self.plan.durable {
            Some(Durable::Said(text)) => Some(text.as_str()),
            Some(Durable::Ended) | None => None,
        };
        let places = self.site.places();
        let recording = match Recording::hearing(&execution.outcome.journal, &before, &places, said) {
            Ok(recording) => recording,
            Err(why) => return Ok(Err(why)),
        };
        let after = folders::read_like(&self.site.work, Some(&recording.image())).map_err(failed())?;
        let mapped = &self.run.mapped;
        let mut recorded = match recording.conclude_but(&after, &|path| mapped.contains(path)) {
            Ok(recorded) => recorded,
            Err(why) => return Ok(Err(why)),
        };
        recorded.name(&execution.outcome.names);
        if recorded.journal.lines.is_empty() {
            let why = "the command changes nothing in the state folder; name the folder that it changes with --state";
            return Ok(Err(why.into()));
        }
        if let (Some(text), None) = (said, recorded.said) {
            return Ok(Err(format!("the command never prints {text:?}")));
        }
        Ok(Ok((recorded, before)))
    }
}
