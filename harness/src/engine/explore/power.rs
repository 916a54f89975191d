//! Power losses of an exploration: after an execution, every state that the disk model allows is laid out, and the subject is
//! asked what it is good for.
//!
//! A power loss ends all processes at once. What an operation had not returned by then may have happened or not; where the
//! subject says that its operations last once they return, those that had returned have happened, else they may be undone.

use std::cell::Cell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use flockwork::Operation;

use super::Power;
use super::control::{Control, ControlError, HistoryBuilder, Left, SETUP, digest_of, number, without};
use super::judge::{self, Examined, JudgedExecution};
use crate::disk::{Bounds, Change, Disk, Fsync, Line, State, Trial, recorded_among, returned_behind, walk};
use crate::evidence::{Exit, ExitHow};
use crate::history::{Outcome, Record};
use crate::plan::{FsyncName, PowerPlan};
use crate::power::damage::Versions;
use crate::power::folders::{self, Seen};
use crate::power::{Lost, Recorded, Recording, omit};
use crate::signature::signature;
use crate::subject::Subject;
use crate::violation::{Class, Violation};

/// So many states more are judged at the most to find the fsyncs that are missing.
const JUDGED_FOR_MENDS_MAX: u32 = 2_000;

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
    /// Violations for which the missing fsync was looked for, by their signatures.
    mended: HashSet<String>,
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
            mended: HashSet::new(),
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
        let course = Course { left, lines: &recorded.journal.lines, is_durable: self.is_durable };
        let acknowledged = course.acknowledged(&[]);
        let moments = recorded.journal.lines.len() as u64 + 1;
        let mut power = Power { executions: 1, moments, omitted, ..Power::default() };
        let mut wrong = Wrong::default();
        let mut versions = None;
        let (mut failure, mut judged) = (None, 0);
        let walked = walk(&recorded.journal, self.disk, &acknowledged, Bounds::default(), &mut |state| {
            judged += 1;
            let cut = course.cut(state.calls, &[]);
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
        verdict.violations.truncate(1);
        // Of each kind of violation once: whatever is found later is no news.
        let kind = |violation| signature(&verdict.history, violation, "");
        let is_new = verdict.violations.first().is_some_and(|violation| self.mended.insert(kind(violation)));
        let mends = is_new.then(|| self.mends(&recorded, &course, control, subject, examined)).transpose()?;
        let counts = (wrong.count, judged);
        let lost = Lost::new(self.disk, &recorded, &walked.pieces, &state, false, counts, mends);
        for violation in &mut verdict.violations {
            let message = format!("{}: after a power loss on {}: {}", lost.why, lost.disk, violation.message);
            *violation = Violation { class: Class::LostByCrash, message, ..violation.clone() };
        }
        verdict.examinations.clear();
        Ok(Looked { power, found: Some((verdict, Box::new(lost))) })
    }

    /// The fsyncs that make every state right, one or two together, in words; and whether all of these were tried.
    fn mends(
        &mut self,
        recorded: &Recorded,
        course: &Course<'_>,
        control: &mut Control,
        subject: &dyn Subject,
        examined: &mut Examined,
    ) -> Result<(Vec<String>, bool), ControlError> {
        let (disk, mut failure, judged) = (self.disk, None, Cell::new(0));
        let mut is_good = |state: &State, fsyncs: &[Fsync]| {
            let cut = course.cut(state.calls, fsyncs);
            let verdict = match self.judge(state, &cut, control, subject, examined) {
                Ok(verdict) => verdict,
                Err(error) => {
                    failure = Some(error);
                    return false;
                }
            };
            judged.set(judged.get() + u32::from(verdict.is_some()));
            verdict.is_none_or(|verdict| verdict.violations.is_empty())
        };
        let mends = Trial {
            journal: &recorded.journal,
            disk,
            acknowledgements: &|fsyncs| course.acknowledged(fsyncs),
            bounds: Bounds::default(),
            is_good: &mut is_good,
            goes_on: &|_| judged.get() < JUDGED_FOR_MENDS_MAX,
        }
        .mends();
        if let Some(error) = failure {
            return Err(error);
        }
        let told = mends.found.iter().map(|mend| crate::power::mend(recorded, mend));
        Ok((told.collect(), mends.is_whole))
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

/// An execution as the power cuts it short.
struct Course<'a> {
    left: &'a Left,
    /// The calls that it made.
    lines: &'a [Line],
    /// Whether operations last once they return.
    is_durable: bool,
}

impl Course<'_> {
    /// How many calls came before the step of this number.
    fn before(&self, depth: usize) -> usize {
        self.lines.iter().filter(|line| line.step < depth).count()
    }

    /// After how many calls an operation returns, with these fsyncs among them. An fsync behind the last of the calls until then is
    /// made before the operation returns that made that call: it counts for this one and for whatever returns later.
    fn returned(&self, record: &Record, fsyncs: &[Fsync]) -> Option<usize> {
        if record.outcome == Outcome::Unknown {
            return None;
        }
        let end = returned(self.left, record)?;
        let calls = self.before(end);
        let last = calls.checked_sub(1).map(|last| &self.lines[last]);
        let maker = last.and_then(|last| self.end_of(last));
        Some(returned_behind(calls, fsyncs, maker.is_some_and(|maker| maker <= end)))
    }

    /// From which step on the operation could have returned that made a call; nothing where it never did.
    fn end_of(&self, line: &Line) -> Option<usize> {
        let records = self.left.recorder.history.records.iter();
        let mut its = records.filter(|record| {
            record.process as usize == line.process && HistoryBuilder::depth(record.invoke_ns) <= line.step
        });
        let end =
            |record: &Record| returned(self.left, record).filter(|_| record.outcome != Outcome::Unknown);
        its.find_map(|record| end(record).filter(|&end| line.step < end))
    }

    /// After how many calls operations return whose work must last then, ascending.
    fn acknowledged(&self, fsyncs: &[Fsync]) -> Vec<usize> {
        let records = self.left.recorder.history.records.iter();
        let ours = records.filter(|record| self.is_durable && record.process != SETUP);
        let mut acknowledged: Vec<usize> = ours.filter_map(|record| self.returned(record, fsyncs)).collect();
        acknowledged.sort_unstable();
        acknowledged
    }

    /// What had happened when the power went after so many calls, these fsyncs among them: all processes are gone, and whoever had
    /// not answered never will.
    fn cut(&self, calls: usize, fsyncs: &[Fsync]) -> Left {
        let left = self.left;
        let last = recorded_among(fsyncs, calls).checked_sub(1).map(|last| self.lines[last].step);
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
            let has_returned = self.returned(record, fsyncs).is_some_and(|returned| returned <= calls);
            if has_returned && self.is_durable {
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
        let times = kept.iter().flat_map(|record| [Some(record.invoke_ns), record.return_ns()]);
        let end = times.flatten().max().map_or(0, |end| end + 1);
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
        let (faults, chances) = (Vec::new(), Vec::new());
        Left { recorder, faults, blocked: 0, chances, stall: None, entered: left.entered }
    }
}

/// Whether an operation may have changed something: one that only looked, or was refused, has not.
fn changes(record: &Record) -> bool {
    !matches!(record.operation, Operation::State | Operation::Load | Operation::List | Operation::Wait)
        && record.outcome != Outcome::Refused
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::books::deed::Faults;
    use crate::disk::ROOT;

    #[test]
    fn an_operation_returns_behind_the_fsyncs_of_those_that_returned_before() {
        // p1 makes the call of step 1 and takes step 2; p2 takes the steps 3 and 4, without a call.
        let mut recorder = HistoryBuilder::new(&["c1".to_owned()]);
        for (process, operation, invoked, returned) in
            [(1, Operation::Start, 0, 3), (2, Operation::State, 3, 5)]
        {
            let mut record = Record::invoked(process, Some(0), operation, recorder.time(invoked));
            record.set_return_ns(Some(recorder.time(returned)));
            record.outcome = Outcome::Ok;
            recorder.history.records.push(record);
        }
        let chances = [0, 0, 0, 1, 1].map(|process| (process, "read".into(), Faults::default())).to_vec();
        let mut left = Left { recorder, faults: Vec::new(), blocked: 0, chances, stall: None, entered: 0 };
        let lines = [Line { process: 1, step: 1, label: "rename".into(), change: Change::SyncAll }];
        let behind = |left: &Left, befores: &[usize]| {
            let fsyncs: Vec<Fsync> = befores.iter().map(|&before| Fsync { inode: ROOT, before }).collect();
            Course { left, lines: &lines, is_durable: true }.acknowledged(&fsyncs)
        };
        assert_eq!(behind(&left, &[]), [1, 1]);
        assert_eq!(behind(&left, &[0]), [2, 2]);
        assert_eq!(behind(&left, &[1]), [2, 2]);
        assert_eq!(behind(&left, &[0, 1]), [3, 3]);
        // p1 returns after p2: whether its fsync comes before p2 returns, nobody knows.
        left.chances.push((0, "close".into(), Faults::default()));
        let end = left.recorder.time(6);
        left.recorder.history.records[0].set_return_ns(Some(end));
        assert_eq!(behind(&left, &[1]), [1, 2]);
        // p1 never returned.
        left.recorder.history.records[0].outcome = Outcome::Unknown;
        assert_eq!(behind(&left, &[1]), [1]);
    }
}
