//! Power losses of a race: after each execution under control, every state that the disk model allows.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::time::Instant;

use siphasher::sip128::{Hasher128, SipHasher13};

use super::control::{Holder, Search, follower};
use super::model::ModelJudge;
use super::moment::{Order, acknowledged_by};
use super::orders::Step;
use super::power::{Known, Looked, Losses, Wrong};
use super::run::Played;
use super::{Again, Discovery, NoBaseline, Seen};
use crate::disk::{Disk, Journal};
use crate::explore::machine::End;
use crate::plan::race::{ControlRecord, PowerRecord};
use crate::power::Recorded;
use crate::power::folders;
use crate::power::record;
use crate::tracee::Left;

/// What lay in the state folders before and after an execution; or why that cannot be told.
pub(super) type Around = Result<(folders::Seen, folders::Seen), String>;

/// What is known of power losses, for one choice of processes.
#[derive(Debug, Default)]
struct Members {
    known: Known,
    /// Executions of which every state was right: the same calls again leave nothing new.
    journals: HashSet<u128>,
}

/// What is known of power losses.
#[derive(Debug)]
pub(super) struct PowerBook {
    pub disk: &'static dyn Disk,
    by_members: HashMap<Vec<usize>, Members>,
    /// What lay in the folders around the last execution.
    pub around: Option<Around>,
}

impl PowerBook {
    pub fn new(disk: &'static dyn Disk) -> Self {
        Self { disk, by_members: HashMap::new(), around: None }
    }
}

/// A number that executions share which did the same to the folders; where a model judges, also at the same times and with the
/// same answers.
fn number_of(journal: &Journal, played: Option<&Played>) -> u128 {
    let mut hasher = SipHasher13::new();
    if let Some(played) = played {
        played.spans.hash(&mut hasher);
        for (_, done) in played.outcome.commands() {
            format!("{:?}", (&done.ending, &done.stdout.text, &done.stderr.text)).hash(&mut hasher);
        }
        journal.lines.iter().for_each(|line| line.step.hash(&mut hasher));
    }
    for line in &journal.lines {
        line.change.hash(&mut hasher);
    }
    hasher.finish128().as_u128()
}

impl Search<'_> {
    /// What the last execution did to the folders, as disk models read it.
    fn recorded(&mut self, left: &Left) -> Result<(Recorded, folders::Seen), String> {
        let around = self.power.as_mut().and_then(|book| book.around.take());
        let (before, after) = around.unwrap_or_else(|| Err("the folders were not examined".into()))?;
        let mut recorded = record(&left.journal, &before, &after, &self.site.places(), None)?;
        recorded.name(&left.names);
        Ok((recorded, before))
    }

    /// Judges every state that the disk model allows after the execution that was just run.
    pub(super) fn lose_power(
        &mut self,
        holder: &mut Holder,
        left: &Left,
        preemptions: u32,
        played: &Played,
    ) -> Result<Option<Discovery>, NoBaseline> {
        if self.power.is_none() {
            return Ok(None);
        }
        let (recorded, before) = match self.recorded(left) {
            Ok(recorded) => recorded,
            Err(why) => {
                self.run.power.iter_mut().for_each(|told| _ = told.unjudged.insert(why.clone()));
                return Ok(None);
            }
        };
        let number = number_of(&recorded.journal, self.judge.model.as_ref().map(|_| played));
        let members = &mut self.members(holder).journals;
        if members.contains(&number) {
            return Ok(None);
        }
        let mut looked = self.look(holder, &recorded, &before, played)?;
        if !looked.wrong.is_empty() && self.judge.model.is_none() {
            // What differs with time is no difference.
            self.judge.baseline.refresh(self.site)?;
            self.members(holder).known.clear();
            looked = self.look(holder, &recorded, &before, played)?;
        }
        if let Some(told) = &mut self.run.power {
            told.executions += 1;
            told.is_exhaustive &= looked.is_exhaustive;
            told.is_cut |= looked.is_cut;
            told.unjudged.extend(looked.excess.map(|excess| excess.to_string()));
        }
        let is_whole = holder.members.len() == self.site.processes.len();
        if is_whole {
            self.run.power.iter_mut().for_each(|told| told.states = looked.known);
        }
        let Some(wrong) = looked.wrong.into_iter().next() else {
            if !looked.is_cut {
                self.members(holder).journals.insert(number);
            }
            return Ok(None);
        };
        self.discovered(holder, left, preemptions, wrong).map(Some)
    }

    fn members(&mut self, holder: &Holder) -> &mut Members {
        let book = self.power.as_mut().expect("power losses are tried");
        book.by_members.entry(holder.members.clone()).or_default()
    }

    fn look(
        &mut self,
        holder: &Holder,
        recorded: &Recorded,
        before: &folders::Seen,
        played: &Played,
    ) -> Result<Looked, NoBaseline> {
        let disk = self.power.as_ref().expect("power losses are tried").disk;
        // Two states are two, though equal, where more had returned before one of them.
        let is_durable = self.judge.model.as_ref().is_some_and(ModelJudge::is_durable);
        let returned = || acknowledged_by(&recorded.journal.lines, Order::default(), played);
        let acknowledged = if is_durable { returned() } else { Vec::new() };
        self.with_losses(holder, played, |losses| losses.look(disk, recorded, before, &acknowledged))
    }

    fn with_losses<T>(
        &mut self,
        holder: &Holder,
        played: &Played,
        look: impl FnOnce(&mut Losses<'_>) -> Result<T, NoBaseline>,
    ) -> Result<T, NoBaseline> {
        let mut members = std::mem::take(self.members(holder));
        let (stop, until) = (self.stop, self.until);
        let absent: Vec<Step> =
            self.site.steps().into_iter().filter(|(process, _)| !holder.members.contains(process)).collect();
        let looked = look(&mut Losses {
            has_then: !self.plan.then.is_empty(),
            site: self.site,
            judge: self.judge,
            initial: &self.run.initial,
            absent: &absent,
            known: &mut members.known,
            left_over: &mut self.run.left_over,
            played: Some(played),
            is_over: &|_| stop.load(std::sync::atomic::Ordering::Relaxed) || Instant::now() >= until,
        });
        *self.members(holder) = members;
        looked
    }

    /// A state that is wrong, followed again as often as any finding.
    fn discovered(
        &mut self,
        holder: &mut Holder,
        left: &Left,
        preemptions: u32,
        wrong: Wrong,
    ) -> Result<Discovery, NoBaseline> {
        let schedule = left.schedule();
        let lost = Box::new(wrong.lost);
        let mut again = Again::default();
        while again.times < super::control::AGAIN {
            again.times += 1;
            let mut chooser = follower(&schedule, holder);
            let Ok((execution, played)) = self.execute(holder, &[], &mut chooser)? else { continue };
            if !chooser.followed().to_the_letter() && execution.end == End::Abandoned {
                self.run.diverged += 1;
                continue;
            }
            let kept = (lost.calls, &*lost.missing);
            let shown = self.look_again(holder, (&execution.outcome, &played), kept)?;
            again.shown += u64::from(matches!(shown, Ok(Some(_))));
        }
        let played = Played { outcome: wrong.outcome, ..Played::nothing() };
        let controlled = holder.controlled(played, schedule, preemptions);
        Ok(Discovery {
            broken: wrong.broken,
            seen: Seen::Controlled(Box::new(controlled)),
            lost: Some(lost),
            number: self.run.executions,
            again,
        })
    }

    /// Judges one state of the execution that was just run. The inner error says why there is no such state.
    pub(super) fn look_again(
        &mut self,
        holder: &Holder,
        (left, played): (&Left, &Played),
        (calls, missing): (usize, &[usize]),
    ) -> Result<Result<Option<Wrong>, String>, NoBaseline> {
        let Some(disk) = self.power.as_ref().map(|book| book.disk) else {
            return Ok(Err("no disk model is named".into()));
        };
        let (recorded, before) = match self.recorded(left) {
            Ok(recorded) => recorded,
            Err(why) => return Ok(Err(why)),
        };
        self.with_losses(holder, played, |losses| {
            losses.look_again(disk, (&recorded, &before), (calls, missing), false)
        })
    }
}

impl Discovery {
    /// What is kept of it to follow it again; none where it was not under control.
    #[must_use]
    pub fn record(&self) -> Option<ControlRecord> {
        let Seen::Controlled(controlled) = &self.seen else { return None };
        let power = self.lost.as_ref().map(|lost| PowerRecord {
            disk: lost.disk.to_owned(),
            calls: lost.calls,
            missing: lost.missing.clone(),
        });
        Some(ControlRecord {
            schedule: controlled.schedule.clone(),
            preemptions: controlled.preemptions,
            words: controlled.words.clone(),
            power,
        })
    }
}
