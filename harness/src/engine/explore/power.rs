//! Power losses of an exploration: after an execution, every state that the disk model allows is laid out, and the subject is
//! asked what it is good for.
//!
//! A power loss ends all processes at once. What an operation had not returned by then may have happened or not; where the
//! subject says that its operations last once they return, those that had returned have happened, else they may be undone.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use flockwork::Operation;

use super::Power;
use super::control::{Control, ControlError, HistoryBuilder, Left, SETUP, digest_of, number, without};
use super::judge::{self, Examined, JudgedExecution};
use crate::disk::{Bounds, Change, Disk, State, walk};
use crate::evidence::{Exit, ExitHow};
use crate::history::{Outcome, Record};
use crate::plan::{FsyncName, PowerPlan};
use crate::power::damage::Versions;
use crate::power::folders::{self, Seen};
use crate::power::{Lost, Recorded, Recording, omit};
use crate::subject::Subject;
use crate::violation::{Class, Violation};

/// What is known of power losses on one lane.
#[derive(Debug)]
pub(super) struct PowerLosses {
    disk: &'static dyn Disk,
    is_durable: bool,
    volatile: &'static [&'static str],
    /// The folder that every execution starts from.
    before: Seen,
    /// States, with what had happened by then, that are right.
    clean: HashSet<u64>,
    /// Executions of which every state is.
    executions: HashSet<u64>,
    without_fsync: Vec<FsyncName>,
    late_fsync: Vec<FsyncName>,
}

/// An execution whose power losses are not known yet.
#[derive(Debug)]
pub(super) struct Fresh {
    recorded: Recorded,
    likeness: u64,
    omitted: u64,
}

/// What power losses after one execution came to.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// How many states were judged, and of what.
    pub power: Power,
    /// The simplest that is wrong.
    pub found: Option<(JudgedExecution, Box<Lost>)>,
}

/// The simplest state so far that is wrong, and how many there are.
#[derive(Default)]
struct Wrong {
    simplest: Option<(State, JudgedExecution)>,
    count: u64,
}

impl PowerLosses {
    pub fn new(
        plan: &PowerPlan,
        is_durable: bool,
        control: &Control,
        subject: &dyn Subject,
    ) -> Result<Self, String> {
        let disk = crate::disk::model::named(&plan.disk)
            .ok_or_else(|| format!("explore.disk: no disk model is called {}", plan.disk))?;
        let before = folders::read(std::slice::from_ref(&control.root))
            .map_err(|error| format!("the folder cannot be read: {error}"))?;
        Ok(Self {
            disk,
            is_durable,
            volatile: subject.traits().volatile,
            // Which inode is which is learnt as they are met: they are others in every execution.
            before: Seen { image: before.image, numbers: Vec::new() },
            clean: HashSet::new(),
            executions: HashSet::new(),
            without_fsync: plan.without_fsync.clone(),
            late_fsync: plan.late_fsync.clone(),
        })
    }

    /// What the execution that was just run did to the folder; none where as much was known before. The folder must be as the
    /// execution left it.
    pub fn fresh(&self, control: &mut Control, left: &Left) -> Result<Option<Fresh>, String> {
        let entries = control.take_journal();
        if !left.faults.is_empty() || left.stall.is_some() {
            return Ok(None);
        }
        let places = [control.root.clone()];
        let recording = Recording::of(&entries, &self.before, &places)?;
        let likeness = self.likeness(&recording, left);
        if self.executions.contains(&likeness) {
            return Ok(None);
        }
        let after = folders::read(&places).map_err(|error| error.to_string())?;
        let mut recorded = recording.conclude(&after)?;
        let omitted = omit(&mut recorded, &self.without_fsync, &self.late_fsync);
        Ok(Some(Fresh { recorded, likeness, omitted }))
    }

    /// A number for all that the states of an execution, and what is said of them, depend on.
    fn likeness(&self, recording: &Recording<'_>, left: &Left) -> u64 {
        let mut hasher = DefaultHasher::new();
        for line in recording.lines() {
            (line.process, line.step).hash(&mut hasher);
            match &line.change {
                Change::Write { inode, offset, bytes } => {
                    (inode, offset, bytes.len(), without(bytes, self.volatile)).hash(&mut hasher);
                }
                change => change.hash(&mut hasher),
            }
        }
        for record in &left.recorder.history.records {
            told(record).hash(&mut hasher);
            (record.invoke_ns, record.return_ns()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Judges every state that the model allows. The folder is used up.
    pub fn look(
        &mut self,
        fresh: Fresh,
        left: &Left,
        control: &mut Control,
        subject: &dyn Subject,
        examined: &mut Examined,
    ) -> Result<Looked, ControlError> {
        let Fresh { recorded, likeness, omitted } = fresh;
        let steps: Vec<usize> = recorded.journal.lines.iter().map(|line| line.step).collect();
        let mut acknowledged: Vec<usize> = Vec::new();
        if self.is_durable {
            acknowledged.extend(returns(left).map(|depth| before(&steps, depth)));
        }
        acknowledged.sort_unstable();
        let moments = recorded.journal.lines.len() as u64 + 1;
        let mut power = Power { executions: 1, moments, omitted, ..Power::default() };
        let mut wrong = Wrong::default();
        let mut versions = None;
        let (mut failure, mut judged) = (None, 0);
        let walked = walk(&recorded.journal, self.disk, &acknowledged, Bounds::default(), &mut |state| {
            judged += 1;
            let cut = cut(left, &steps, state.calls, self.is_durable);
            match self.judge(&state, &cut, control, subject, examined) {
                Ok(None) => {}
                Ok(Some(verdict)) => {
                    power.states += 1;
                    if !verdict.violations.is_empty() {
                        let versions =
                            versions.get_or_insert_with(|| Versions::of(&recorded.journal, self.disk));
                        for damage in versions.damage(&state.image) {
                            *power.damages.entry(damage).or_default() += 1;
                        }
                        wrong.add(state, verdict);
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = failure {
            return Err(error);
        }
        power.is_bounded = !walked.is_exhaustive;
        power.unjudged = walked.excess.map(|excess| excess.to_string());
        (power.allowed, power.wrong) = (judged, wrong.count);
        let Some((state, mut verdict)) = wrong.simplest else {
            self.executions.insert(likeness);
            return Ok(Looked { power, found: None });
        };
        let counts = (wrong.count, judged);
        let lost = Lost::new(self.disk, &recorded, &walked.pieces, &state, false, counts, None);
        verdict.violations.truncate(1);
        for violation in &mut verdict.violations {
            let message = format!("{}: after a power loss on {}: {}", lost.why, lost.disk, violation.message);
            *violation = Violation { class: Class::LostByCrash, message, ..violation.clone() };
        }
        verdict.examinations.clear();
        Ok(Looked { power, found: Some((verdict, Box::new(lost))) })
    }

    /// Judges one state; none where it is known to be right.
    fn judge(
        &mut self,
        state: &State,
        cut: &Left,
        control: &mut Control,
        subject: &dyn Subject,
        examined: &mut Examined,
    ) -> Result<Option<JudgedExecution>, ControlError> {
        let files = digest_of(&state.image, self.volatile);
        let likeness = judge::likeness(files, cut);
        if self.clean.contains(&likeness) {
            return Ok(None);
        }
        if !examined.has(files) {
            control.lay(&state.image)?;
        }
        let verdict = judge::judge(control, subject, examined, files, cut)?;
        if verdict.violations.is_empty() {
            self.clean.insert(likeness);
        }
        Ok(Some(verdict))
    }
}

impl Wrong {
    fn add(&mut self, state: State, verdict: JudgedExecution) {
        self.count += 1;
        let weight = |state: &State| (state.missing.len(), state.calls);
        if self.simplest.as_ref().is_none_or(|(known, _)| weight(&state) < weight(known)) {
            self.simplest = Some((state, verdict));
        }
    }
}

/// How many calls came before the step of this number.
fn before(steps: &[usize], depth: usize) -> usize {
    steps.iter().filter(|step| **step < depth).count()
}

/// When operations could return that a process of the exploration had invoked, as numbers of steps.
fn returns(left: &Left) -> impl Iterator<Item = usize> {
    let ours = left.recorder.history.records.iter().filter(|record| record.process != SETUP);
    ours.filter(|record| record.outcome != Outcome::Unknown).filter_map(|record| returned(left, record))
}

/// From which step on an operation could have returned: right after the last step that it took, for it waits for nobody then. The
/// return itself may come later in this execution; in another, which differs in nothing else, it comes there.
fn returned(left: &Left, record: &Record) -> Option<usize> {
    let depth = HistoryBuilder::depth(record.return_ns()?);
    let steps = left.chances.get(..depth)?;
    let last = steps.iter().rposition(|(process, ..)| number(*process) == record.process);
    let invoked = HistoryBuilder::depth(record.invoke_ns);
    Some(last.map_or(invoked, |last| (last + 1).max(invoked)))
}

/// What is told of an operation, beside when.
fn told(record: &Record) -> impl Hash {
    let who = (record.process, record.container(), record.operation);
    (who, record.outcome, record.reason, record.status, record.generation, record.revision)
}

/// What had happened when the power went: all processes are gone, and whoever had not answered never will.
fn cut(left: &Left, steps: &[usize], calls: usize, is_durable: bool) -> Left {
    let last = calls.checked_sub(1).map(|last| steps[last]);
    let mut recorder = left.recorder.clone();
    recorder.overlaps.clear();
    recorder.exits.clear();
    let mut kept: Vec<Record> = Vec::new();
    for record in &left.recorder.history.records {
        if record.process == SETUP {
            kept.push(*record);
            continue;
        }
        let invoked = HistoryBuilder::depth(record.invoke_ns);
        let has_returned = record.outcome != Outcome::Unknown
            && returned(left, record).is_some_and(|depth| before(steps, depth) <= calls);
        if has_returned && is_durable {
            kept.push(*record);
        } else if last.is_some_and(|last| invoked <= last) && changes(record) {
            kept.push(Record::invoked(
                record.process,
                record.container(),
                record.operation,
                record.invoke_ns,
            ));
        }
    }
    let end = kept.iter().flat_map(|record| [Some(record.invoke_ns), record.return_ns()]).flatten().max();
    let end = end.map_or(0, |end| end + 1);
    for record in kept.iter_mut().filter(|record| record.outcome == Outcome::Unknown) {
        record.set_return_ns(Some(end));
    }
    let mut processes: Vec<u32> = kept
        .iter()
        .filter(|record| record.outcome == Outcome::Unknown)
        .map(|record| record.process)
        .collect();
    processes.sort_unstable();
    processes.dedup();
    let killed = |process: &u32| Exit {
        process: *process,
        pid: 0,
        how: ExitHow::Signal(libc::SIGKILL),
        killed_ns: Some(end),
        reaped_ns: end,
        last_words: None,
    };
    recorder.exits = processes.iter().map(killed).collect();
    recorder.history.records = kept;
    Left { recorder, faults: Vec::new(), blocked: 0, chances: Vec::new(), stall: None, entered: left.entered }
}

/// Whether an operation may have changed something: one that only looked, or was refused, has not.
fn changes(record: &Record) -> bool {
    !matches!(record.operation, Operation::State | Operation::Load | Operation::List | Operation::Wait)
        && record.outcome != Outcome::Refused
}
