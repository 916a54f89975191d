//! Where one controlled process stands in an execution: its program, the operation at hand, and its next step.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::foresee::Foreseen;
use crate::books::prediction::{Effect, under};
use crate::explore::step::{Access, Footprint, Gate, Object, Step};
use crate::plan;
use crate::plan::schedule::{Fault, Line};
use crate::subject::Answer;

/// A fault that is to meet a process at the step of this label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Planned {
    pub process: usize,
    pub label: Arc<str>,
    pub fault: Fault,
}

impl Planned {
    /// The fault that a line of a schedule tells of.
    pub fn of(line: &Line) -> Option<Self> {
        line.fault.map(|fault| Self { process: line.process, label: line.label.as_str().into(), fault })
    }
}

/// What a process is about to do.
#[derive(Debug)]
pub(super) enum Next {
    /// The call at which it stopped.
    Call(Box<Foreseen>),
    /// To return from its operation with this answer.
    Return(Answer),
    /// Nothing: its program is over.
    Over,
    /// The process has ended, so it takes no step any more.
    Dead,
}

/// Where one controlled process stands between two steps: what it is about to do, or that it is over.
#[derive(Debug)]
pub(super) struct Stand {
    pub program: Vec<plan::Call>,
    /// Index of the operation at hand.
    pub at: usize,
    /// Index of the event with which that was invoked; none before its first step.
    pub invoked: Option<usize>,
    pub next: Next,
    /// What `next` is as a step.
    pub step: Option<Step>,
    /// The label of `step`, without its number.
    plain: Arc<str>,
    /// The last step that it took.
    pub last: Option<Arc<str>>,
    /// The fault that will meet it there.
    pub fault: Option<Fault>,
    /// How many steps it took of each label.
    taken: FxHashMap<Arc<str>, u32>,
    /// What it looked at since it last slept or began.
    pub seen: Vec<(Object, Access)>,
    /// Whether another changed any of that since.
    pub is_stale: bool,
}

impl Stand {
    pub fn new(program: Vec<plan::Call>) -> Self {
        Self {
            program,
            at: 0,
            invoked: None,
            next: Next::Over,
            step: None,
            plain: Arc::from(""),
            last: None,
            fault: None,
            taken: FxHashMap::default(),
            seen: Vec::new(),
            is_stale: false,
        }
    }

    /// The operation at hand.
    pub fn operation(&self) -> Option<plan::Call> {
        self.program.get(self.at).copied()
    }

    /// Whether it has more to do.
    pub fn is_live(&self) -> bool {
        matches!(self.next, Next::Call(_) | Next::Return(_))
    }

    /// Puts a prediction before it.
    pub fn foresee(
        &mut self,
        process: usize,
        call: Foreseen,
        disk: Option<(Object, Access)>,
        planned: &[Planned],
        killed: impl FnOnce() -> Vec<(Object, Access)>,
    ) {
        let prediction = &call.prediction;
        let label = self.number(&prediction.label);
        let more = self.invoked.is_none().then_some((Object::REAL_TIME, Access::Read));
        let step = prediction.step(label, more.into_iter().chain(disk));
        self.fault = planned_for(planned, process, &step.label).filter(|fault| prediction.faults.has(*fault));
        self.step = Some(self.under_fault(step, killed, more));
        self.next = Next::Call(Box::new(call));
    }

    /// Puts a return before it.
    pub fn return_with(
        &mut self,
        process: usize,
        answer: Answer,
        words: &str,
        planned: &[Planned],
        killed: impl FnOnce() -> Vec<(Object, Access)>,
    ) {
        let label = self.number(&format!("return {words} {}", answer.outcome));
        let more = self.invoked.is_none().then_some((Object::REAL_TIME, Access::Read));
        let touches = [(Object::REAL_TIME, Access::Update)].into_iter().chain(more).collect();
        let footprint = Footprint::of(touches);
        let step = Step { footprint, gate: Gate::Open, lock: None, label };
        self.fault = planned_for(planned, process, &step.label).filter(|fault| *fault == Fault::Kill);
        self.step = Some(self.under_fault(step, killed, more));
        self.next = Next::Return(answer);
    }

    /// The step under the fault that will meet it.
    fn under_fault(
        &self,
        step: Step,
        killed: impl FnOnce() -> Vec<(Object, Access)>,
        more: Option<(Object, Access)>,
    ) -> Step {
        match self.fault {
            None => step,
            fault => under(step, fault, &killed(), more.as_slice()),
        }
    }

    /// The step has been taken.
    pub fn took(&mut self, step: &Step) {
        self.last = Some(Arc::clone(&step.label));
        *self.taken.entry(Arc::clone(&self.plain)).or_insert(0) += 1;
        if let Next::Call(call) = &self.next
            && call.prediction.effect == Effect::Sleep
        {
            self.seen.clear();
            self.is_stale = false;
            return;
        }
        self.seen.extend(step.footprint.touches());
    }

    /// Another took a step.
    pub fn witness(&mut self, footprint: &Footprint) {
        let changed = footprint.touches().iter().filter(|(_, access)| *access != Access::Read);
        self.is_stale = self.is_stale
            || changed.into_iter().any(|(object, _)| self.seen.iter().any(|(seen, _)| seen == object));
    }

    /// Gives a label to the next step: one that the process has met before gets a number.
    fn number(&mut self, label: &str) -> Arc<str> {
        self.plain = label.into();
        match self.taken.get(label) {
            None => Arc::clone(&self.plain),
            Some(count) => format!("{label} #{}", count + 1).into(),
        }
    }
}

fn planned_for(planned: &[Planned], process: usize, label: &str) -> Option<Fault> {
    let fits = |planned: &&Planned| planned.process == process && *planned.label == *label;
    planned.iter().find(fits).map(|planned| planned.fault)
}
