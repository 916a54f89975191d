//! What is right: every sequential order, run from the initial state several times, and learnt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::RaceError;
use super::expected::{Difference, Expected, Wild};
use super::orders::{self, Step};
use super::outcome::{Ending, Who};
use super::run::Played;
use super::sheet::{Comparator, Sheet, When};
use super::site::Site;

/// How often each order is run at the least.
pub const RUNS_MIN: usize = 3;
/// Most orders that are run: each takes as long as all commands together.
pub const ORDERS_MAX: u128 = 720;
/// Of runs of one order so many are learnt from.
const RUNS_MAX: usize = 16;

/// What one sequential order of the commands printed and left: one of the outcomes that are right.
#[derive(Clone, Debug)]
pub struct SequentialOrder {
    /// The commands in their order.
    pub steps: Vec<Step>,
    ended: Learnt,
    after: Option<Learnt>,
}

/// Runs of an order, and what they have in common.
#[derive(Clone, Debug)]
struct Learnt {
    sheets: Vec<Sheet>,
    expected: Expected,
}

/// The sequential orders of all commands, and of those that are left when some did not run.
#[derive(Debug)]
pub(crate) struct Baseline {
    pub comparator: Arc<Comparator>,
    /// Orders by which commands they leave out.
    orders: BTreeMap<BTreeSet<Step>, Vec<SequentialOrder>>,
    /// Whether orders have all their outcomes, found out under control: no other is ever learnt.
    is_complete: bool,
    /// How many runs there were.
    pub runs: u64,
    /// How long a command took, in nanoseconds, by the order that takes longest at its quickest: the first run of all, and one
    /// that something else held up, say little of how commands meet.
    pub took_ns: u64,
    /// How all went the first time.
    pub first: Option<Played>,
}

/// A sequential order in which somebody did not end.
#[derive(Clone, Debug)]
pub(crate) struct Hang {
    /// The order in which the commands were run when one of them hung.
    pub steps: Vec<Step>,
    /// What the commands printed and left until then.
    pub played: Played,
}

/// What a run came to when all had ended, and when what comes after had.
pub(crate) type Sheets = (Sheet, Option<Sheet>);

/// What a baseline cannot be had for.
#[derive(Debug)]
pub(crate) enum NoBaseline {
    /// One after the other, too, somebody does not end.
    Hangs(Box<Hang>),
    /// It is refused, or failed.
    Error(RaceError),
}

impl From<NoBaseline> for RaceError {
    fn from(none: NoBaseline) -> Self {
        match none {
            NoBaseline::Error(error) => error,
            NoBaseline::Hangs(_) => Self::Refused("even one after the other, a command does not end".into()),
        }
    }
}

impl From<RaceError> for NoBaseline {
    fn from(error: RaceError) -> Self {
        Self::Error(error)
    }
}

impl SequentialOrder {
    /// What it comes to when all have ended, or when what comes after has ended, too.
    #[must_use]
    pub fn expected(&self, when: When) -> Option<&Expected> {
        match when {
            When::AllEnded => Some(&self.ended.expected),
            When::AfterThen => self.after.as_ref().map(|after| &after.expected),
        }
    }

    /// What its runs came to, when all had ended and when what comes after had.
    pub(super) fn sheets(&self) -> impl Iterator<Item = &Sheet> {
        self.ended.sheets.iter().chain(self.after.iter().flat_map(|after| &after.sheets))
    }
}

impl Baseline {
    /// Refuses orders that are too many.
    pub fn new(comparator: Comparator, site: &Site) -> Result<Self, RaceError> {
        let counts: Vec<usize> = site.processes.iter().map(Vec::len).collect();
        let count = orders::count(&counts);
        if site.needs_orders && count.is_none_or(|count| count > ORDERS_MAX) {
            let number = count.map_or("more than can be counted".to_owned(), |count| count.to_string());
            return Err(RaceError::Usage(format!(
                "these commands can run one after the other in {number} orders, and each would have to be run {RUNS_MIN} \
                 times: the limit is {ORDERS_MAX}; give fewer commands"
            )));
        }
        Ok(Self {
            comparator: Arc::new(comparator),
            orders: BTreeMap::new(),
            is_complete: false,
            runs: 0,
            took_ns: 0,
            first: None,
        })
    }

    /// The orders that leave these commands out; run where they are not known yet.
    pub fn orders(
        &mut self,
        site: &mut Site,
        without: &BTreeSet<Step>,
    ) -> Result<&[SequentialOrder], NoBaseline> {
        if !self.orders.contains_key(without) {
            self.run(site, without, RUNS_MIN)?;
        }
        Ok(&self.orders[without])
    }

    /// Runs one order, to see that it ends and how long it takes: where the orders themselves are not asked.
    pub fn once(&mut self, site: &mut Site) -> Result<(), NoBaseline> {
        let (played, took_ns) = self.play(site, &site.steps())?;
        self.took_ns = self.took_ns.max(took_ns);
        if !played.outcome.left_behind.is_empty() {
            site.know_daemons();
        }
        self.first = Some(played);
        Ok(())
    }

    /// How many orders of all commands there are.
    pub fn count(&self) -> u64 {
        self.known_orders(&BTreeSet::new()).len() as u64
    }

    /// Whether the orders that leave these commands out are known.
    pub fn knows(&self, without: &BTreeSet<Step>) -> bool {
        self.orders.contains_key(without)
    }

    /// The orders that leave these commands out, as far as they are known, each once.
    pub fn known_orders(&self, without: &BTreeSet<Step>) -> BTreeSet<Vec<Step>> {
        self.orders.get(without).into_iter().flatten().map(|order| order.steps.clone()).collect()
    }

    /// Whether an order is known to come to this.
    pub fn has_outcome(&self, without: &BTreeSet<Step>, steps: &[Step], sheets: &Sheets) -> bool {
        self.nearest_outcome(without, steps, sheets).is_some_and(|differences| differences.is_empty())
    }

    /// How what an order came to differs from the nearest of its outcomes that are known; none where none is known.
    pub fn nearest_outcome(
        &self,
        without: &BTreeSet<Step>,
        steps: &[Step],
        (ended, after): &Sheets,
    ) -> Option<Vec<Difference>> {
        let orders = self.orders.get(without).into_iter().flatten().filter(|order| order.steps == steps);
        let differences = |order: &SequentialOrder| {
            let mut all = order.ended.expected.differences(ended);
            if let (Some(expected), Some(after)) = (&order.after, after) {
                all.extend(expected.expected.differences(after));
            }
            all
        };
        orders.map(differences).min_by_key(Vec::len)
    }

    /// One more outcome of an order, by equal runs of it.
    pub fn add_outcome(
        &mut self,
        site: &Site,
        without: &BTreeSet<Step>,
        steps: &[Step],
        runs: Vec<Sheets>,
    ) -> Result<(), RaceError> {
        let learnt = learn(steps.to_vec(), None, runs, site)?;
        self.orders.entry(without.clone()).or_default().push(learnt);
        self.is_complete = true;
        Ok(())
    }

    /// Runs one order freely.
    pub fn play_freely(&mut self, site: &mut Site, steps: &[Step]) -> Result<Played, NoBaseline> {
        self.play(site, steps).map(|(played, _)| played)
    }

    /// Runs all known orders once more: what differs now is learnt as well.
    pub fn refresh(&mut self, site: &mut Site) -> Result<(), NoBaseline> {
        if self.is_complete {
            return Ok(());
        }
        let known: Vec<_> = self.orders.keys().cloned().collect();
        known.iter().try_for_each(|without| self.run(site, without, 1))
    }

    /// Runs each order so many times, in turn, so that equal runs lie apart in time.
    fn run(&mut self, site: &mut Site, without: &BTreeSet<Step>, times: usize) -> Result<(), NoBaseline> {
        let counts: Vec<usize> = site.processes.iter().map(Vec::len).collect();
        let all = orders::all(&counts);
        let mut left: Vec<Vec<Step>> = all
            .into_iter()
            .map(|order| order.into_iter().filter(|step| !without.contains(step)).collect())
            .collect();
        left.sort();
        left.dedup();
        let mut runs: Vec<Vec<(Sheet, Option<Sheet>)>> = vec![Vec::new(); left.len()];
        let mut quickest_ns = vec![u64::MAX; left.len()];
        for time in 0..times {
            for (number, steps) in left.iter().enumerate() {
                let (played, took_ns) = self.play(site, steps)?;
                quickest_ns[number] = quickest_ns[number].min(took_ns);
                runs[number].push(self.sheets(site, &played));
                if time == 0 && !played.outcome.left_behind.is_empty() {
                    site.know_daemons();
                }
                self.first.get_or_insert(played);
            }
        }
        let known = self.orders.remove(without).unwrap_or_default();
        if known.is_empty() {
            self.took_ns = quickest_ns.into_iter().fold(self.took_ns, u64::max);
        }
        let mut learnt = Vec::new();
        for (steps, runs) in left.into_iter().zip(runs) {
            let known = known.iter().find(|order| order.steps == steps);
            learnt.push(learn(steps, known, runs, site).map_err(NoBaseline::Error)?);
        }
        self.orders.insert(without.clone(), learnt);
        Ok(())
    }

    /// Runs one order; what came of it, and how long a command of it took.
    fn play(&mut self, site: &mut Site, steps: &[Step]) -> Result<(Played, u64), NoBaseline> {
        let begun_ns = crate::process::clock::now_ns();
        let played = site.sequential(steps)?;
        self.runs += 1;
        let took_ns = (crate::process::clock::now_ns() - begun_ns) / steps.len().max(1) as u64;
        let Some(late) = played.outcome.timed_out().next() else { return Ok((played, took_ns)) };
        let is_first = match (late, steps.first()) {
            (Who::Command { process, index, .. }, Some(&first)) => first == (process, index),
            _ => true,
        };
        if is_first {
            let waiting = if played.waiting.is_empty() {
                String::new()
            } else {
                format!(": {}", played.waiting.join("; "))
            };
            return Err(NoBaseline::Error(RaceError::Refused(format!(
                "{late} did not end within {}, although nothing else ran{waiting}; give a command that ends, or more time \
                 with --time-limit",
                crate::words::units::show_ns(u64::try_from(site.time_limit.as_nanos()).unwrap_or(u64::MAX))
            ))));
        }
        Err(NoBaseline::Hangs(Box::new(Hang { steps: steps.to_vec(), played })))
    }

    pub fn sheets(&self, site: &Site, played: &Played) -> (Sheet, Option<Sheet>) {
        let skipped = |who: Who| {
            let Who::Command { process, index, .. } = who else { return false };
            played.outcome.processes[process][index].ending == Ending::Skipped
        };
        let ended = self.comparator.sheet(&played.outcome, When::AllEnded, &skipped);
        let after = (!site.then.is_empty())
            .then(|| self.comparator.sheet(&played.outcome, When::AfterThen, &skipped));
        (ended, after)
    }

    /// What may be anything, over all orders.
    pub fn masked(&self) -> BTreeSet<(String, String)> {
        let orders = self.orders.values().flatten();
        orders.flat_map(|order| order.ended.expected.masked()).collect()
    }
}

fn learn(
    steps: Vec<Step>,
    known: Option<&SequentialOrder>,
    runs: Vec<(Sheet, Option<Sheet>)>,
    site: &Site,
) -> Result<SequentialOrder, RaceError> {
    let (ended, after): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    let refuse = |wild: Wild| refused(&steps, &wild, site);
    let ended = Learnt::of(known.map(|known| &known.ended), ended).map_err(refuse)?;
    let after: Option<Vec<Sheet>> = after.into_iter().collect();
    let known = known.and_then(|known| known.after.as_ref());
    let after = after.map(|after| Learnt::of(known, after)).transpose().map_err(refuse)?;
    Ok(SequentialOrder { steps, ended, after })
}

impl Learnt {
    fn of(known: Option<&Self>, new: Vec<Sheet>) -> Result<Self, Wild> {
        let mut sheets: Vec<Sheet> = known.map(|known| known.sheets.clone()).unwrap_or_default();
        for sheet in new {
            // Equal ones teach nothing.
            if sheets.len() < RUNS_MAX && !sheets.contains(&sheet) {
                sheets.push(sheet);
            }
        }
        let expected = Expected::learn(&sheets)?;
        Ok(Self { sheets, expected })
    }
}

fn refused(steps: &[Step], wild: &Wild, site: &Site) -> RaceError {
    let order = told(steps, site);
    RaceError::Refused(format!(
        "these commands differ from run to run even one after the other ({order}), so no verdict is possible: {}: {}. Mask what differs with --mask REGEX, leave a file out with --ignore PATH, or compare the output of a command that shows the state with --observe CMD",
        wild.place, wild.how
    ))
}

/// An order in words: `p1, then p2`.
pub(crate) fn told(steps: &[Step], site: &Site) -> String {
    let counts: Vec<usize> = site.processes.iter().map(Vec::len).collect();
    told_of(steps, &counts)
}

/// The same, of processes with so many commands.
#[must_use]
pub fn told_of(steps: &[Step], counts: &[usize]) -> String {
    let who =
        |&(process, index): &Step| Who::Command { process, index, alone: counts[process] == 1 }.to_string();
    let all: Vec<String> = steps.iter().map(who).collect();
    if all.is_empty() { "none of them".into() } else { all.join(", then ") }
}
