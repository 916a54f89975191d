//! `--explain`: sees again under control what was seen while processes ran freely, so that it fails every time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Runner;
use super::explore::{SHRINKING, SHRINKING_ONE};
use crate::cli::findings::Simplest;
use crate::cli::request::Explain;
use crate::engine::explore::{self, Discovery};
use crate::explain::explorations;
use crate::history::History;
use crate::plan::{ExploreBudget, ExplorePlan, StressPlan};
use crate::report::progress::Bar;
use crate::scenario::Expect;
use crate::scratch::Scratch;
use crate::violation::{Class, Violation};
use crate::words::grouped;
use crate::words::plural;
use crate::words::units::show_ns;

/// Of one class so many violations are looked at, until one is such that it can be sought under control.
const VIOLATIONS_MAX: usize = 8;

/// What became of the attempt.
#[derive(Debug)]
pub(super) struct Explanation {
    /// The explanation as a paragraph for people.
    pub(super) words: String,
    /// The schedule, where one was found, and the number of the one that showed it first.
    pub(super) found: Option<(Simplest, u64)>,
}

/// Of each class that was sought under control, what became of it.
pub(super) type Explanations = BTreeMap<Class, Explanation>;

impl Explanation {
    fn without(words: String) -> Self {
        Self { words, found: None }
    }
}

/// What was done under control for one scenario: what one class was sought by may show another.
#[derive(Default)]
struct Book {
    seen: Vec<(ExplorePlan, Discovery)>,
    schedules: u64,
    /// Why an exploration could not be run, where one could not.
    failure: Option<String>,
}

impl Book {
    fn of_class(&self, class: Class) -> Option<&(ExplorePlan, Discovery)> {
        let shows = |discovery: &Discovery| discovery.violations.iter().any(|it| it.class == class);
        self.seen.iter().find(|(_, discovery)| shows(discovery))
    }
}

impl Runner<'_> {
    /// Tries to see the classes of a scenario's violations again. They share the time: each has an equal part of what is
    /// left when its turn comes.
    pub(super) fn explanations(
        &mut self,
        (expect, plan): (&Expect, &StressPlan),
        history: &History,
        violations: &[&Violation],
        bar: &Bar,
    ) -> Explanations {
        let mut explanations = Explanations::new();
        let mut by_class = BTreeMap::<Class, Vec<&Violation>>::new();
        for violation in violations {
            by_class.entry(violation.class).or_default().push(violation);
        }
        let limit = match self.request.explain {
            Explain::Nothing => return explanations,
            Explain::Unexpected(limit) => {
                by_class.retain(|class, _| !expect.covers(*class));
                limit
            }
            Explain::Everything(limit) => limit,
        };
        let deadline = Instant::now() + limit;
        let mut book = Book::default();
        let mut classes: Vec<Class> = by_class.keys().copied().collect();
        // What nobody expects comes first, then what the scenario is about: then the time is used up.
        let place = |class: &Class| expect.violations.iter().position(|it| it == class).unwrap_or(usize::MAX);
        classes.sort_by_key(|class| (expect.covers(*class), place(class)));
        if !classes.is_empty() {
            bar.explaining();
        }
        for (index, class) in classes.iter().enumerate() {
            let parts = (classes.len() - index) as u32;
            let until = Instant::now() + deadline.saturating_duration_since(Instant::now()) / parts;
            let why_not = match sought(plan, history, &by_class[class]) {
                Ok(plans) => self.seek(plans, *class, until, &mut book),
                Err(why) => format!("not tried under control: {why}"),
            };
            explanations.insert(*class, Explanation::without(why_not));
        }
        // What one class was sought by can have shown another, before or after.
        let deadline = Instant::now() + SHRINKING;
        for (class, explanation) in &mut explanations {
            let Some((plan, discovery)) = book.of_class(*class) else { continue };
            let time = SHRINKING_ONE.min(deadline.saturating_duration_since(Instant::now()));
            let simplest = self.simplest(plan, discovery, *class, time);
            let words = format!("reproduced under control, by schedule {}", grouped(discovery.number));
            *explanation = Explanation { words, found: Some((simplest, discovery.number)) };
        }
        explanations
    }

    /// Explores until the class has been seen, the plans are used up or the time is over; what is to be said if it was not
    /// seen.
    fn seek(&mut self, plans: Vec<ExplorePlan>, class: Class, deadline: Instant, book: &mut Book) -> String {
        let (begun, before) = (Instant::now(), book.schedules);
        for plan in plans {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.interrupt.is_set() || book.of_class(class).is_some() {
                break;
            }
            if let Err(why) = self.attempt(plan, left, book) {
                // A status that this subject cannot be brought into, or one try that cannot be controlled: others may.
                book.failure = Some(why.to_string());
            }
        }
        let tried = plural(book.schedules - before, "schedule");
        let took = show_ns(u64::try_from(begun.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let failure = book.failure.as_ref().and_then(|why| why.lines().next());
        let failure = failure.map(|first| format!("; one try failed: {first}")).unwrap_or_default();
        format!("not reproduced under control within {took} ({tried} tried{failure})")
    }

    fn attempt(
        &mut self,
        plan: ExplorePlan,
        left: Duration,
        book: &mut Book,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let scratch = Scratch::create(&self.request.base)?;
        let time_ns = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
        let budget = ExploreBudget { time_ns, ..plan.budget };
        let plan = ExplorePlan { root: scratch.root(), budget, ..plan };
        let run = explore::run(&mut self.zygote, &plan, self.interrupt.flag(), &())?;
        let before = book.schedules;
        book.schedules += run.schedules;
        book.seen.extend(run.discoveries.into_iter().map(|discovery| {
            let number = before + discovery.number;
            (plan.clone(), Discovery { number, ..discovery })
        }));
        Ok(())
    }
}

/// The explorations by which a class is sought: those of the first of its violations that has any.
fn sought(
    plan: &StressPlan,
    history: &History,
    violations: &[&Violation],
) -> Result<Vec<ExplorePlan>, crate::explain::Unexplained> {
    let mut tried = violations.iter().take(VIOLATIONS_MAX).map(|it| explorations(plan, history, it));
    let first = tried.next().unwrap_or(Err(crate::explain::Unexplained::NoOperation));
    first.or_else(|why| tried.find_map(Result::ok).ok_or(why))
}
