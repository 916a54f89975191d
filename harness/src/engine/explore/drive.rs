//! Drives an exploration: lanes side by side, one campaign, one book of what was found.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::thread::Thread;
use std::time::Duration;

use super::campaign::{Campaign, Receipt, Task, Work};
use super::control::{ControlError, Left};
use super::judge::{self, JudgedExecution, Known};
use super::lane::Lane;
use super::power::Looked;
use super::repeat::{self, Repeat, Repeats};
use super::{Answers, Discovery, ExploreRun, Power, strategies};
use crate::check::{self, CheckId, Examination};
use crate::engine::{Ended, EngineError, Progress};
use crate::explore::machine::{Chooser, End, Execution, Machine};
use crate::explore::strategy::Coverage;
use crate::explore::strategy::size::{NaiveSize, naive_size};
use crate::plan::schedule::Schedule;
use crate::plan::{Call, ExplorePlan};
use crate::power::Lost;
use crate::process::Zygote;
use crate::process::clock::now_ns;
use crate::signature::signature;

/// So many interleavings without reduction are counted; more are estimated.
const NAIVE_COUNT_MAX: u64 = 100;
/// So many random walks make an estimate.
const NAIVE_WALKS: u64 = 100;
/// How often progress is shown, and the wish to stop looked at.
const UPDATE: Duration = Duration::from_millis(100);

/// Runs executions until the strategy has no other to ask for, or the budget is used up.
pub(super) fn run(
    zygote: &Zygote,
    plan: &ExplorePlan,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<ExploreRun, EngineError> {
    let begun_ns = now_ns();
    let lanes: Vec<Lane> =
        (0..plan.lanes.max(1)).map(|number| Lane::open(zygote, plan, number)).collect::<Result<_, _>>()?;
    let book = Book {
        state: Mutex::new(State::new(plan, begun_ns)),
        news: Condvar::new(),
        plan,
        until_ns: begun_ns.saturating_add(plan.budget.time_ns),
    };
    let mut failed = None;
    let leader = std::thread::current();
    std::thread::scope(|scope| {
        let (book, leader) = (&book, &leader);
        let workers: Vec<_> =
            lanes.into_iter().map(|lane| scope.spawn(move || book.work(lane, leader))).collect();
        while book.lock().lanes_left > 0 && workers.iter().any(|worker| !worker.is_finished()) {
            std::thread::park_timeout(UPDATE);
            let mut state = book.lock();
            state.is_interrupted |= stop.load(Ordering::Relaxed);
            progress.update(state.run.operations, state.run.discoveries.len() as u64);
        }
        for worker in workers {
            match worker.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed = Some(error.into()),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(book.close()),
    }
}

/// What the lanes of one exploration share: the campaign, and what was seen so far.
struct Book<'p> {
    state: Mutex<State>,
    news: Condvar,
    plan: &'p ExplorePlan,
    until_ns: u64,
}

struct State {
    campaign: Campaign,
    run: ExploreRun,
    known: Known,
    examined: HashMap<CheckId, Examination>,
    repeats: Repeats,
    signatures: HashSet<String>,
    taken: u64,
    /// Schedules of other parts, run to learn where faults may be.
    foreign: u64,
    is_interrupted: bool,
    is_failed: bool,
    begun_ns: u64,
    lanes_left: u32,
    is_measured: bool,
}

/// A lane as a machine of its own: nothing is judged.
struct Walks<'w> {
    lane: &'w mut Lane,
    programs: &'w [Vec<Call>],
}

impl Machine for Walks<'_> {
    type Outcome = ();
    type Error = ControlError;

    fn run(&mut self, chooser: &mut dyn Chooser) -> Result<Execution<()>, ControlError> {
        Ok(self.lane.run(self.programs, &[], chooser, &mut ())?.split().0)
    }
}

impl State {
    fn new(plan: &ExplorePlan, begun_ns: u64) -> Self {
        let run = ExploreRun {
            undecided: None,
            first: None,
            discoveries: Vec::new(),
            examinations: Vec::new(),
            schedules: 0,
            faulted: 0,
            redundant: 0,
            operations: 0,
            answers: Answers::default(),
            steps: 0,
            blocked: 0,
            met: false,
            coverage: Coverage::Partial,
            naive: None,
            repeated: 0,
            promised: None,
            power: plan.power.as_ref().map(|_| Power::default()),
            duration_ns: 0,
            ended: Ended::Completed,
        };
        Self {
            campaign: Campaign::new(strategies::maker(plan), plan.faults.clone(), plan.fault_bound)
                .of_parts(plan.parts),
            run,
            known: Known::default(),
            examined: HashMap::new(),
            repeats: Repeats::new(plan.seed),
            signatures: HashSet::new(),
            taken: 0,
            foreign: 0,
            is_interrupted: false,
            is_failed: false,
            begun_ns,
            lanes_left: plan.lanes.max(1),
            is_measured: false,
        }
    }
}

impl Book<'_> {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A lane's work, until nothing is left or the budget is used up.
    fn work(&self, mut lane: Lane, leader: &Thread) -> Result<(), ControlError> {
        lane.settle();
        let worked = self.work_with(&mut lane).and_then(|()| self.measure(&mut lane));
        if worked.is_err() {
            self.lock().is_failed = true;
        }
        self.news.notify_all();
        drop(lane);
        self.lock().lanes_left -= 1;
        leader.unpark();
        worked
    }

    fn work_with(&self, lane: &mut Lane) -> Result<(), ControlError> {
        while let Some((mut task, number)) = self.next() {
            let receipt = task.receipt();
            let execution = lane.run(&self.plan.processes, &task.planned, task.chooser.as_mut(), &mut ())?;
            self.conclude(lane, &receipt, &task, execution, number)?;
        }
        while let Some(repeat) = self.last_repeat() {
            self.repeat(lane, &repeat)?;
        }
        Ok(())
    }

    /// One that still waits to be run once more, when there is nothing else to do.
    fn last_repeat(&self) -> Option<Repeat> {
        let mut state = self.lock();
        if state.is_failed || state.is_interrupted { None } else { state.repeats.draw() }
    }

    fn repeat(&self, lane: &mut Lane, repeat: &Repeat) -> Result<(), ControlError> {
        repeat::must_come_again(lane, &self.plan.processes, repeat)?;
        self.lock().run.repeated += 1;
        Ok(())
    }

    /// Measures how many schedules there are without reduction, once all was seen.
    fn measure(&self, lane: &mut Lane) -> Result<(), ControlError> {
        {
            let mut state = self.lock();
            if state.is_measured
                || !state.campaign.has_faultless()
                || state.campaign.coverage() != Coverage::Exhausted
            {
                return Ok(());
            }
            state.is_measured = true;
        }
        let mut walks = Walks { lane, programs: &self.plan.processes };
        let size = naive_size(&mut walks, NAIVE_COUNT_MAX, NAIVE_WALKS, self.plan.seed)?;
        self.lock().run.naive = Some(match size {
            NaiveSize::Exact(count) => count as f64,
            NaiveSize::Estimate(estimate) => estimate.mean(),
        });
        Ok(())
    }

    /// The next task, with its number; `None` where there is none, or no time for it.
    fn next(&self) -> Option<(Task, u64)> {
        let mut state = self.lock();
        loop {
            if state.is_failed || state.is_interrupted {
                return None;
            }
            let schedules = self.plan.budget.schedules;
            if state.taken.max(state.foreign) >= schedules || now_ns() >= self.until_ns {
                return None;
            }
            match state.campaign.next() {
                Work::Run(task) => {
                    state.taken += u64::from(task.is_own);
                    state.foreign += u64::from(!task.is_own);
                    return Some((task, state.taken));
                }
                Work::Done => return None,
                Work::Wait => {
                    let waited = self.news.wait_timeout(state, UPDATE);
                    state = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
                }
            }
        }
    }

    fn conclude(
        &self,
        lane: &mut Lane,
        receipt: &Receipt,
        task: &Task,
        execution: Execution<Left>,
        number: u64,
    ) -> Result<(), ControlError> {
        let preemptions = execution.preemptions();
        let (execution, left) = execution.split();
        let is_judged = task.is_own && execution.end != End::Abandoned;
        let (mut verdict, mut lost) = (None, None);
        if is_judged {
            let files = lane.control.digest()?;
            let fresh = lane.fresh(&left);
            let likeness = judge::likeness(files, &left);
            if !self.lock().known.has(likeness) {
                let judged = lane.judge(files, &left)?;
                if judged.violations.is_empty() {
                    self.lock().known.add(likeness);
                }
                verdict = Some(judged);
            }
            let is_sound = verdict.as_ref().is_none_or(|verdict| verdict.violations.is_empty());
            if is_sound && execution.end == End::Completed {
                let Looked { power, found } = lane.lose_power(fresh, &left)?;
                if let Some(told) = &mut self.lock().run.power {
                    told.add(power);
                }
                lost = found;
            }
        }
        let mut state = self.lock();
        if task.is_own {
            state.note(&execution, &left, is_judged);
        }
        if let Some(verdict) = verdict {
            state.found(verdict, &left.schedule(), number, preemptions, None);
        }
        if let Some((verdict, why)) = lost {
            state.found(verdict, &left.schedule(), number, preemptions, Some(why));
        }
        // Without faults to be planned nobody asks where they could be.
        let chances = if self.plan.faults.is_empty() { Vec::new() } else { left.chances };
        state.campaign.learn(receipt, &execution, chances);
        let mut repeat = None;
        if is_judged && self.plan.repeat.of_parts(self.plan.parts).wants(state.run.schedules) {
            let planned = std::sync::Arc::clone(&task.planned);
            repeat = state.repeats.exchange(Repeat { number, planned, first: execution });
        }
        drop(state);
        self.news.notify_all();
        repeat.map_or(Ok(()), |repeat| self.repeat(lane, &repeat))
    }

    fn close(self) -> ExploreRun {
        let state = self.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut run = state.run;
        let mut examined = state.examined;
        run.examinations =
            check::all().iter().filter_map(|check| examined.remove_entry(&check.id())).collect();
        run.coverage = state.campaign.coverage();
        run.promised = state.campaign.promised();
        run.duration_ns = now_ns() - state.begun_ns;
        run.ended = if state.is_interrupted { Ended::Interrupted } else { Ended::Completed };
        run
    }
}

impl State {
    fn note(&mut self, execution: &Execution<()>, left: &Left, is_judged: bool) {
        let run = &mut self.run;
        run.steps += execution.events.len() as u64;
        run.blocked += left.blocked;
        run.met = run.met || left.blocked > 0 || execution.has_met();
        if is_judged {
            run.schedules += 1;
            run.faulted += u64::from(!left.faults.is_empty());
            run.operations += left.recorder.history.records.len() as u64;
            run.answers.count(&left.recorder.history);
            // What an injected error says is not the machine's.
            if left.faults.is_empty() {
                run.answers.lacks.extend(&left.recorder.lacks);
            }
        } else {
            run.redundant += 1;
        }
    }

    fn found(
        &mut self,
        verdict: JudgedExecution,
        schedule: &Schedule,
        number: u64,
        preemptions: u32,
        lost: Option<Box<Lost>>,
    ) {
        if verdict.examinations.iter().any(|(_, examination)| examination.inconclusive.is_some()) {
            self.run.undecided.get_or_insert_with(|| verdict.history.clone());
        }
        self.run.first.get_or_insert_with(|| verdict.history.clone());
        for (check, new) in verdict.examinations {
            self.examined.entry(check).or_default().merge(new);
        }
        let signature = |violation| signature(&verdict.history, violation, "");
        let signatures: Vec<String> = verdict.violations.iter().map(signature).collect();
        let is_new = signatures.iter().any(|signature| !self.signatures.contains(signature));
        self.signatures.extend(signatures);
        if is_new {
            self.run.discoveries.push(Discovery {
                violations: verdict.violations,
                schedule: schedule.clone(),
                history: verdict.history,
                number,
                preemptions,
                lost,
            });
        }
    }
}
