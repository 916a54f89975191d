//! What a race of commands came to, in words and for programs.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::human::{FAINT, STRONG, line};
use super::power::PowerReport;
use super::{ScenarioReport, WorkReport};
use crate::explore::strategy::Coverage;
use crate::plan::race::RacePlan;
use crate::race::{Alone, RaceRun};
use crate::words::{grouped, plural};

/// So many preemptions are enough to call commands clean, where all executions with as many were run.
pub const PREEMPTIONS_ENOUGH: u32 = 2;
/// Which part of all executions was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RaceCoverage {
    /// Every execution there is, or one that is equivalent to it.
    Exhausted,
    /// Every execution with up to so many preemptions as are enough, or one that is equivalent to it.
    Bounded,
    /// Some executions, chosen at random.
    Sampled,
}

impl RaceCoverage {
    /// Of a run.
    #[must_use]
    pub fn of(run: &RaceRun) -> Self {
        match run.coverage {
            Some(Coverage::Exhausted) => Self::Exhausted,
            Some(Coverage::ExhaustedTo { preemptions }) if preemptions >= PREEMPTIONS_ENOUGH => Self::Bounded,
            _ => Self::Sampled,
        }
    }

    /// What is certain of two parts together: no more than of the lesser.
    #[must_use]
    pub const fn least(self, other: Self) -> Self {
        match (self, other) {
            (Self::Sampled, _) | (_, Self::Sampled) => Self::Sampled,
            (Self::Bounded, _) | (_, Self::Bounded) => Self::Bounded,
            (Self::Exhausted, Self::Exhausted) => Self::Exhausted,
        }
    }

    /// As reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Bounded => "bounded",
            Self::Sampled => "sampled",
        }
    }
}

/// What a race did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RaceReport {
    /// Whether commands were held at their system calls, rather than left to run freely.
    pub controlled: bool,
    /// Why they were not, where they were to be.
    pub uncontrolled: Option<String>,
    /// Why calls were not delayed, where they were to be: only the starts of commands were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unperturbed: Option<String>,
    /// Which part of all executions was seen.
    pub coverage: RaceCoverage,
    /// Executions in which commands overlapped.
    pub executions: u64,
    /// Of these, how many had a fault.
    pub faulted: u64,
    /// Executions that did not repeat what they should, and were left out.
    pub diverged: u64,
    /// Sequential orders of the commands.
    pub sequential_orders: u64,
    /// How often one was run.
    pub sequential_runs: u64,
    /// What differs between equal runs, and so was not compared.
    pub masked: Vec<Masked>,
    /// Files that killed commands left over, and that are no violation.
    pub left_over: Vec<String>,
    /// Processes that commands leave behind in the background.
    pub left_behind: Vec<String>,
    /// What commands changed outside of the state folders, as far as that was seen.
    pub also_touched: Vec<String>,
    /// Why nothing exhaustive is claimed, though executions were under control.
    pub uncertain: Vec<String>,
    /// Which task of a command goes first, where several could; none where nothing was under control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<ThreadsReport>,
    /// What came of power losses; none where they were not to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<Box<PowerReport>>,
    /// The model that judged, where one did rather than the orders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What came of cloning programs; none where they were not to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork_server: Option<ForkServerReport>,
    /// Executions a second, sequential ones included.
    pub executions_per_s: f64,
}

/// How the threads and children of one command were ordered among each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadsReport {
    /// By which rule.
    pub order: ThreadOrder,
    /// The processes of which several tasks could have taken the next step at some point: `p1`.
    pub concerned: Vec<String>,
    /// What commands came to one after the other, by every order of their own tasks; none where that order is fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone: Option<AloneReport>,
}

/// What commands came to one after the other, where the order of their own threads and children was explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AloneReport {
    /// Executions of the commands one after the other, by the order of their tasks.
    pub executions: u64,
    /// Outcomes of these that differ. All of them are right.
    pub outcomes: u64,
}

/// By which rule the threads and children of one command are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreadOrder {
    /// The same in every execution. What other orders of a command's own tasks would come to is not known.
    Fixed,
    /// Each in turn: which task of a command goes next is a choice as that between commands is.
    Explore,
}

impl ThreadsReport {
    fn of(run: &RaceRun) -> Option<Self> {
        let Alone { executions, outcomes } = run.alone;
        let (order, processes, alone) = match executions {
            0 => (ThreadOrder::Fixed, &run.in_fixed_order, None),
            _ => (ThreadOrder::Explore, &run.in_any_order, Some(AloneReport { executions, outcomes })),
        };
        let concerned = processes.iter().map(|process| format!("p{}", process + 1)).collect();
        run.coverage.is_some().then_some(Self { order, concerned, alone })
    }

    /// In sentences; nothing where every command has but one task at a time.
    fn tell(&self, orders: u64) -> Option<String> {
        let concerned = Some(self.concerned.join(", ")).filter(|concerned| !concerned.is_empty())?;
        let Some(alone) = self.alone else {
            return Some(format!(
                "the threads and children of a command took their steps in one fixed order; their other orders were not explored: {concerned}"
            ));
        };
        let differ = match alone.outcomes.saturating_sub(orders) {
            0 => String::new(),
            _ => format!(
                "; even one after the other the commands give {}, depending on the order of their own threads and children, and each counts as right",
                plural(alone.outcomes, "different outcome")
            ),
        };
        let executions = plural(alone.executions, "execution");
        Some(format!(
            "the orders of each command's own threads and children were explored, also one command after the other ({executions}): {concerned}{differ}"
        ))
    }

    /// What every order is of, in the claim that it was run.
    fn between(&self) -> &'static str {
        match self.order {
            ThreadOrder::Explore => " between processes and their threads",
            ThreadOrder::Fixed if self.concerned.is_empty() => " between processes",
            ThreadOrder::Fixed => " between processes, those of one command in a fixed order,",
        }
    }
}

/// What came of cloning programs rather than starting them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkServerReport {
    /// Executions whose programs were clones.
    pub executions: u64,
    /// Of these, how many were run again with programs that were started, and came to the same.
    pub compared: u64,
    /// Why programs were started all the same.
    pub refused: Option<String>,
}

impl ForkServerReport {
    /// With another part of the same race.
    fn with(self, other: &Self) -> Self {
        Self {
            executions: self.executions + other.executions,
            compared: self.compared + other.compared,
            refused: self.refused.or_else(|| other.refused.clone()),
        }
    }

    /// In a sentence's words.
    fn tell(&self) -> String {
        let compared = match self.compared {
            0 => String::new(),
            count => format!(" ({} repeated with started programs)", grouped(count)),
        };
        let executions = plural(self.executions, "execution");
        match &self.refused {
            None => format!("fork server: {executions} used clones{compared}"),
            Some(why) if self.executions == 0 => {
                format!("fork server: not used: {why}")
            }
            Some(why) => {
                format!(
                    "fork server: {executions} used clones{compared}, the others started their programs: {why}"
                )
            }
        }
    }
}

/// A place that differs between equal runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Masked {
    /// The path or stream whose differences are left out.
    pub place: String,
    /// The line there, or the name; `*` is what may be anything.
    pub shown: String,
}

impl From<&RaceRun> for RaceReport {
    fn from(run: &RaceRun) -> Self {
        let duration_s = run.duration_ns as f64 / 1e9;
        let all = run.executions + run.sequential_runs;
        let masked =
            run.masked.iter().map(|(place, shown)| Masked { place: place.clone(), shown: shown.clone() });
        Self {
            controlled: run.coverage.is_some(),
            uncontrolled: run.uncontrolled.clone(),
            unperturbed: run.unperturbed.clone(),
            coverage: RaceCoverage::of(run),
            executions: run.executions,
            faulted: run.faulted,
            diverged: run.diverged,
            sequential_orders: run.sequential_orders,
            sequential_runs: run.sequential_runs,
            masked: masked.collect(),
            left_over: run.left_over.iter().cloned().collect(),
            left_behind: run.daemons.iter().cloned().collect(),
            also_touched: run.touched_outside.iter().cloned().collect(),
            uncertain: run.uncertain.iter().cloned().collect(),
            threads: ThreadsReport::of(run),
            power: run.power.as_ref().map(|power| Box::new(PowerReport::of(power))),
            model: run.model.clone(),
            fork_server: run.fork_server.as_ref().map(|clones| ForkServerReport {
                executions: clones.executions,
                compared: clones.compared,
                refused: clones.refused.clone(),
            }),
            executions_per_s: if duration_s > 0.0 { all as f64 / duration_s } else { 0.0 },
        }
    }
}

impl RaceReport {
    /// With another part of the same race: all but how fast it was.
    pub(super) fn add(&mut self, next: &Self) {
        self.controlled &= next.controlled;
        self.uncontrolled = self.uncontrolled.take().or_else(|| next.uncontrolled.clone());
        self.unperturbed = self.unperturbed.take().or_else(|| next.unperturbed.clone());
        self.coverage = self.coverage.least(next.coverage);
        self.executions += next.executions;
        self.faulted += next.faulted;
        self.diverged += next.diverged;
        self.sequential_orders = self.sequential_orders.max(next.sequential_orders);
        self.sequential_runs += next.sequential_runs;
        self.fork_server = match (self.fork_server.take(), &next.fork_server) {
            (Some(one), Some(other)) => Some(one.with(other)),
            (one, other) => one.or_else(|| other.clone()),
        };
        self.power = match (self.power.take(), &next.power) {
            (Some(one), Some(other)) => Some(Box::new(one.with(other))),
            (one, other) => one.or_else(|| other.clone()),
        };
        add(&mut self.masked, &next.masked);
        add(&mut self.left_over, &next.left_over);
        add(&mut self.left_behind, &next.left_behind);
        add(&mut self.also_touched, &next.also_touched);
        add(&mut self.uncertain, &next.uncertain);
        match (&mut self.threads, &next.threads) {
            (Some(one), Some(other)) => {
                add(&mut one.concerned, &other.concerned);
                one.alone = one.alone.or(other.alone);
            }
            (one, other) => *one = one.take().or_else(|| other.clone()),
        }
    }
}

fn add<T: Clone + PartialEq>(known: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !known.contains(item) {
            known.push(item.clone());
        }
    }
}

/// Why a race that found nothing may have been too little.
#[must_use]
pub fn shortfalls(plan: &RacePlan, run: &RaceRun) -> Vec<String> {
    let mut told = Vec::new();
    // Whatever was found was enough to be found.
    if !run.discoveries.is_empty() {
        return told;
    }
    if run.executions > 0 && !run.met {
        let how = if run.coverage.is_some() {
            "no step of one depends on a step of another"
        } else {
            "the commands of two processes never ran at the same time"
        };
        told.push(format!(
            "the commands never met: {how}, which proves nothing; name the folder that they share with --state"
        ));
    }
    told.extend(run.blind.clone());
    if !plan.faults.is_empty() && run.executions > 0 && run.faulted == 0 {
        let executions = plural(run.executions, "execution");
        told.push(format!("no fault met a command in {executions}, though --faults asks for some: raise --executions or --budget"));
    }
    if let Some(why) = shortfall_of_coverage(plan, run) {
        told.push(why);
    }
    told.extend(run.power.as_ref().and_then(super::power::shortfall));
    told
}

fn shortfall_of_coverage(plan: &RacePlan, run: &RaceRun) -> Option<String> {
    let executions = plural(run.executions, "execution");
    match (run.coverage, plan.budget.executions) {
        (Some(_), _) if RaceCoverage::of(run) != RaceCoverage::Sampled => None,
        (Some(_), _) if run.diverged > 0 => Some(format!(
            "{} diverged, so this says nothing about all executions",
            plural(run.diverged, "execution")
        )),
        (Some(_), _) if !run.uncertain.is_empty() => Some(format!(
            "not everything was under control, so this says nothing about all executions: {}",
            run.uncertain.iter().cloned().collect::<Vec<_>>().join("; ")
        )),
        (Some(_), _) if plan.strategy.is_some() && run.coverage != Some(Coverage::Partial) => Some(format!(
            "{executions} are all with fewer than {PREEMPTIONS_ENOUGH} preemptions: raise --preemptions"
        )),
        (Some(_), _) => Some(format!(
            "the budget ran out after {executions}, before all with up to {PREEMPTIONS_ENOUGH} preemptions had run: raise --budget"
        )),
        (None, Some(asked)) if run.executions >= asked => None,
        (None, Some(asked)) => {
            Some(format!("the time ran out after {executions} of {}: raise --budget", grouped(asked)))
        }
        (None, None) => Some(format!(
            "nothing was found in {executions} that ran freely, which proves nothing: a rare interleaving may not have occurred (--executions N says how many are enough)"
        )),
    }
}

/// The race of a scenario in the report for people.
pub(super) fn tell(text: &mut String, scenario: &ScenarioReport) {
    let WorkReport::Race { race: Some(race) } = &scenario.work else { return };
    let orders = plural(race.sequential_orders, "sequential order");
    let how = match (race.controlled, race.coverage) {
        (true, RaceCoverage::Exhausted) => "under control, all of them".to_owned(),
        (true, RaceCoverage::Bounded) => {
            format!("under control, all with up to {}", plural(u64::from(PREEMPTIONS_ENOUGH), "preemption"))
        }
        (true, RaceCoverage::Sampled) => "under control".to_owned(),
        (false, _) => "running freely".to_owned(),
    };
    let judged = match &race.model {
        Some(model) => format!("judged by the model {model}"),
        None => format!("{orders}, run {} times", grouped(race.sequential_runs)),
    };
    let executions = plural(race.executions, "execution");
    let overlap = if race.executions == 1 { "overlaps" } else { "overlap" };
    line(text, &format!("  {FAINT}{judged}; {executions} that {overlap}, {how}{FAINT:#}"));
    if let Some(why) = &race.uncontrolled {
        line(text, &format!("  not controlled: {why}"));
    }
    if let Some(why) = &race.unperturbed {
        line(text, &format!("  calls could not be delayed, only the starts of commands: {why}"));
    }
    if let Some(power) = &race.power {
        line(text, &format!("  {FAINT}{}{FAINT:#}", power.tell()));
    }
    if let Some(clones) = &race.fork_server {
        line(text, &format!("  {FAINT}{}{FAINT:#}", clones.tell()));
    }
    if let Some(threads) = race.threads.as_ref().and_then(|threads| threads.tell(race.sequential_orders)) {
        line(text, &format!("  {threads}"));
    }
    for masked in &race.masked {
        line(
            text,
            &format!("  not compared, as it differs from run to run: {}: {}", masked.place, masked.shown),
        );
    }
    if !race.also_touched.is_empty() {
        let files = race.also_touched.join(", ");
        line(
            text,
            &format!("  also touched outside the state folders, so neither restored nor compared: {files}"),
        );
    }
    if !race.left_over.is_empty() {
        let files = race.left_over.join(", ");
        line(text, &format!("  left over by a crash, but harmless to what runs later: {files}"));
    }
    if !race.left_behind.is_empty() {
        let names = race.left_behind.join(", ");
        line(text, &format!("  left running in the background by a command, and killed: {names}"));
    }
}

/// The last words on a race that ran alone.
pub(super) fn verdict(scenario: &ScenarioReport) -> Option<String> {
    let WorkReport::Race { race: Some(race) } = &scenario.work else { return None };
    let mut text = String::new();
    let orders = plural(race.sequential_orders, "sequential order");
    let executions = plural(race.executions, "execution");
    let legal = match &race.model {
        Some(model) => format!("is legal by the model {model}"),
        None => format!("gave what one of the {orders} gives"),
    };
    let between = race.threads.as_ref().map_or("", ThreadsReport::between);
    match (race.controlled, race.coverage) {
        (true, RaceCoverage::Exhausted) => {
            write!(text, "every order of their system calls{between} was run ({executions}), and each {legal}")
        }
        (true, RaceCoverage::Bounded) => write!(
            text,
            "every order of their system calls{between} with up to {PREEMPTIONS_ENOUGH} preemptions was run ({executions}), and \
             each {legal}"
        ),
        _ => write!(
            text,
            "each of {executions} {legal}, as many as were asked for; that is a sample, not a proof"
        ),
    }
    .expect("a String takes all");
    if let Some(power) = &race.power {
        write!(text, "; {}", power.verdict()).expect("a String takes all");
    }
    Some(format!("{STRONG}{text}{STRONG:#}"))
}
