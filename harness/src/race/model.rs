//! Executions judged by a model: what each command answered becomes a history, and the judge of histories says whether it is
//! legal.
//!
//! Under control, times are numbers of steps: a command begins with its first and has returned with its last.

use std::collections::BTreeSet;
use std::io::Write as _;

use super::NoBaseline;
use super::error::RaceError;
use super::judge::{Broken, Judged};
use super::outcome::{Done, Ending, Who};
use super::run::Played;
use crate::check::search::Budget;
use crate::history::{AnyHistory, Clock, FIRST_STEP};
use crate::judge::{AnyJudged, Checker, judge_any};
use crate::model::{AnyModel, Builtin, Model, load_any};
use crate::plan::command::Ends;
use crate::plan::race::{Modelled, ModelledCall};
use crate::subject::command::answer::{self, Compiled, Output};
use crate::subject::command::history::{self, Call};
use crate::violation::Class;

/// Judges executions by a model.
#[derive(Debug)]
pub(crate) struct ModelJudge {
    modelled: Modelled,
    /// The model, where a history of it cannot say so itself.
    model: Option<AnyModel>,
    rules: Vec<Vec<Vec<Compiled>>>,
    /// The rules of what comes after.
    after: Vec<Vec<Compiled>>,
    /// Whether every answer of what comes after was understood where no power went.
    is_after_understood: bool,
    /// What was not decided, in words.
    pub doubts: BTreeSet<String>,
}

/// A command's answer.
struct Answered {
    call: Call,
    is_unmatched: bool,
}

/// What is said of a history: none: it is legal.
type Said = Option<(Class, Vec<String>)>;

impl ModelJudge {
    pub fn new(modelled: &Modelled) -> Result<Self, RaceError> {
        let compile =
            |call: &ModelledCall| call.rules.iter().map(Compiled::new).collect::<Result<Vec<_>, _>>();
        let rules =
            modelled.calls.iter().map(|calls| calls.iter().map(compile).collect::<Result<Vec<_>, _>>());
        let rules = rules.collect::<Result<Vec<_>, _>>().map_err(RaceError::Usage)?;
        let after = modelled.after.iter().map(compile).collect::<Result<Vec<_>, _>>();
        let after = after.map_err(RaceError::Usage)?;
        let model = modelled.file.as_deref().map(load_any).transpose();
        let model = model.map_err(|error| RaceError::Usage(format!("model: {error}")))?;
        Ok(Self {
            modelled: modelled.clone(),
            model,
            rules,
            after,
            is_after_understood: false,
            doubts: BTreeSet::new(),
        })
    }

    pub fn name(&self) -> &str {
        &self.modelled.name
    }

    /// Whether what a command did must last once it has returned, where the power goes.
    pub const fn is_durable(&self) -> bool {
        self.modelled.is_durable
    }

    /// Judges what was found after a power loss. Commands that had not returned count as killed: they may have acted or not.
    pub fn judge_crash(&mut self, played: &Played) -> Result<Judged, NoBaseline> {
        Ok(match self.judge_as(played, true)? {
            Judged::Broken(broken) => Judged::Broken(Broken { class: Class::LostByCrash, ..broken }),
            legal @ Judged::Legal { .. } => legal,
        })
    }

    pub fn judge(&mut self, played: &Played) -> Result<Judged, NoBaseline> {
        self.judge_as(played, false)
    }

    fn judge_as(&mut self, played: &Played, is_crash: bool) -> Result<Judged, NoBaseline> {
        let mut answered = Vec::new();
        let mut killed = Vec::new();
        for (who, done) in played.outcome.commands() {
            let Who::Command { process, index, .. } = who else { continue };
            let call = &self.modelled.calls[process][index];
            if let Ending::Signaled(signal) = done.ending {
                let told = format!("{who} ({}) {}", call.op, Ending::Signaled(signal));
                return Ok(broken(Class::SubjectCrash, vec![told], Vec::new()));
            }
            if done.ending == Ending::Killed {
                killed.push((process, index));
            }
            if done.ending != Ending::Skipped {
                let span = played.spans.get(&(process, index)).copied();
                let span = span.unwrap_or((0, u64::MAX));
                let rules = &self.rules[process][index];
                answered.push(self.answered((call, rules), process as u32 + 1, done, span, played.clock));
            }
        }
        // Whoever comes after begins when everybody else has returned or can act no more.
        let last = played.spans.values().map(|span| if span.1 == u64::MAX { span.0 } else { span.1 }).max();
        let (mut at, process) = (last.map_or(0, |last| last + 1), self.modelled.calls.len() as u32 + 1);
        for ((call, rules), done) in self.modelled.after.iter().zip(&self.after).zip(&played.outcome.then) {
            if let Ending::Signaled(_) | Ending::TimedOut = done.ending {
                let told = format!("{} of {}, which came after, {}", call.op, call.object, done.ending);
                return Ok(broken(Class::SubjectCrash, vec![told], killed));
            }
            let one = self.answered((call, rules), process, done, (at, at), played.clock);
            if is_crash && one.is_unmatched && self.is_after_understood {
                // It answers by the rules as long as the power stays on.
                let why = one.call.message.unwrap_or_default();
                let told = format!("{} of {}, which came after: {why}", call.op, call.object);
                return Ok(broken(Class::LostByCrash, vec![told], killed));
            }
            answered.push(one);
            at += 1;
        }
        if !is_crash && answered.len() >= self.after.len() {
            let after = &answered[answered.len() - self.after.len()..];
            self.is_after_understood = after.iter().all(|one| !one.is_unmatched);
        }
        let said = self.said(&answered, Ends::Failed, played.clock)?;
        let Some((class, told)) = said else { return Ok(Judged::Legal { left_over: Vec::new() }) };
        let unmatched = answered.iter().find(|answered| answered.is_unmatched);
        if let Some(unmatched) = unmatched
            && self.said(&answered, Ends::Unknown, played.clock)?.is_none()
        {
            // Whether an operation acted whose answer nobody understood is not known.
            let why = unmatched.call.message.clone().unwrap_or_default();
            self.doubts
                .insert(format!("{}: {why}; if it acted after all, everything is legal", unmatched.call.op));
            return Ok(Judged::Legal { left_over: Vec::new() });
        }
        Ok(broken(class, told, killed))
    }

    /// The time at which commands begin: behind whatever setup did.
    fn from(&self, clock: Clock) -> u64 {
        let behind_setup = 2 * self.modelled.setup.len() as u64 + 1;
        if clock == Clock::Steps { behind_setup.max(FIRST_STEP) } else { behind_setup }
    }

    fn answered(
        &self,
        (call, rules): (&ModelledCall, &[Compiled]),
        process: u32,
        done: &Done,
        span: (u64, u64),
        clock: Clock,
    ) -> Answered {
        let from = self.from(clock);
        let mut answered = Call {
            process,
            object: call.object.clone(),
            op: call.op.clone(),
            value: call.value.clone(),
            invoke_ns: from.saturating_add(span.0),
            return_ns: (span.1 != u64::MAX).then(|| from.saturating_add(span.1)),
            ..Call::default()
        };
        let mut is_unmatched = false;
        match done.ending {
            Ending::Exited(code) => {
                let (stdout, stderr) =
                    [&done.stdout.text, &done.stderr.text].map(|text| String::from_utf8_lossy(text)).into();
                let output = Output {
                    code,
                    stdout: stdout.trim_end_matches('\n'),
                    stderr: stderr.trim_end_matches('\n'),
                };
                let told = answer::read(rules, call.saw, &output);
                answered.outcome = Some(told.outcome);
                answered.reason = told.reason;
                answered.saw = told.saw;
                answered.status = told.status;
                answered.message = told.message;
                answered.value = told.value.or(answered.value);
                is_unmatched = told.is_unmatched;
            }
            Ending::NotStarted(_) => answered.outcome = Some(Ends::Failed),
            Ending::Signaled(_) | Ending::Killed | Ending::TimedOut | Ending::Skipped => {}
        }
        if answered.return_ns.is_none() && answered.outcome.is_some_and(|outcome| outcome != Ends::Unknown) {
            answered.return_ns = Some(u64::MAX / 2);
        }
        Answered { call: answered, is_unmatched }
    }

    /// What the judge says; unmatched answers count as this.
    fn said(&mut self, answered: &[Answered], unmatched: Ends, clock: Clock) -> Result<Said, NoBaseline> {
        let mut lines = format!("{}\n", self.modelled.header).into_bytes();
        for (number, setup) in (0..).zip(&self.modelled.setup) {
            let call = Call {
                object: setup.object.clone(),
                op: setup.op.clone(),
                value: setup.value.clone(),
                invoke_ns: 2 * number,
                return_ns: Some(2 * number + 1),
                outcome: Some(Ends::Ok),
                ..Call::default()
            };
            // Writing to memory does not fail.
            _ = writeln!(lines, "{}", history::line(self.modelled.is_table, &call));
        }
        for answered in answered {
            let outcome = if answered.is_unmatched { Some(unmatched) } else { answered.call.outcome };
            let call = Call { outcome, ..answered.call.clone() };
            _ = writeln!(lines, "{}", history::line(self.modelled.is_table, &call));
        }
        let failed = |why: String| {
            NoBaseline::Error(RaceError::Failed(format!(
                "the history of an execution cannot be judged: {why}"
            )))
        };
        let mut history =
            history::read(&lines, self.model.as_ref()).map_err(|error| failed(error.to_string()))?;
        if self.from(clock) == FIRST_STEP {
            match &mut history {
                AnyHistory::Table(history) => history.clock = clock,
                AnyHistory::Object(history) => history.clock = clock,
            }
        }
        let model =
            self.model.clone().or_else(|| own_model(&history)).ok_or_else(|| failed("no model".into()))?;
        let judged = judge_any(&history, &model, Checker::Auto, Budget::default())
            .map_err(|error| failed(error.to_string()))?;
        Ok(self.first(&judged))
    }

    /// The first thing that is wrong.
    fn first(&mut self, judged: &AnyJudged) -> Said {
        if let Some(undecided) = judged.ruling().undecided() {
            self.doubts.insert(undecided.why().to_owned());
        }
        match judged {
            AnyJudged::Object(judged) => {
                if let Some(violation) = judged.failures.violations.first() {
                    return Some((violation.class, vec![violation.message.clone()]));
                }
                judged.objects.iter().find_map(|object| {
                    let explanation = object.ruling.illegal()?;
                    let mut told = vec![format!("{}: {}", object.object, explanation.sentence)];
                    told.extend(object.marked());
                    Some((Class::NotLinearizable, told))
                })
            }
            AnyJudged::Table(judged) => {
                if let Some(violation) = judged.failures.broken.violations.first() {
                    return Some((violation.class, vec![violation.message.clone()]));
                }
                judged.containers.iter().find_map(|container| {
                    let grounds = container.ruling.illegal()?;
                    Some((
                        Class::NotLinearizable,
                        vec![format!("{}: {}", container.container, grounds.sentence())],
                    ))
                })
            }
        }
    }
}

fn broken(class: Class, told: Vec<String>, killed: Vec<(usize, usize)>) -> Judged {
    Judged::Broken(Broken {
        class,
        nearest: Vec::new(),
        differences: Vec::new(),
        busy: Vec::new(),
        killed,
        waiting: Vec::new(),
        also_alone: false,
        told,
    })
}

/// The model that a history names.
fn own_model(history: &AnyHistory) -> Option<AnyModel> {
    match history {
        AnyHistory::Table(history) => {
            Some(AnyModel::Table(Model::builtin(history.model.unwrap_or(Builtin::Runsc))))
        }
        AnyHistory::Object(history) => history.model.clone().map(AnyModel::Object),
    }
}
