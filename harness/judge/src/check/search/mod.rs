//! The search: whether any legal order explains a history, from intervals and outcomes alone.
//!
//! It must never say that there is an order where there is none, nor the reverse; where it cannot say, it says that. To
//! try every order (Wing and Gong 1993) is hopeless where many operations are under way at once, so it leaves most of
//! them out. Why that loses nothing:
//!
//! # What is left out
//!
//! An order is *valid* if its operations have instants, each within its interval, that do not decrease, and if each is
//! legal in the state that those before it left. Each argument turns a valid order into one that is still tried.
//!
//! - **Containers are judged one by one.** A history is linearizable exactly if its part on each object is (locality:
//!   Herlihy and Wing 1990, theorem 1). Horn and Kroening (2015) call it P-compositionality, and split further where a
//!   specification allows: see `lives` for generations.
//! - **Nothing acts before a return asks for it** (`sweep`; Lowe 2017 calls it just-in-time linearization). Delay
//!   everything in a valid order to the earliest return of an operation that is not before it in the order: nobody
//!   passes its own return, nobody passes another, and the order is the same.
//! - **What changes nothing is no step.** An operation that only looked (a read, a refusal) is legal wherever it found
//!   the container in one of its states. Put it there: that neither moves nor changes any other. So it is enough to
//!   remember, for each state, when it was left last. If it was invoked before an earlier leaving of that state, it was
//!   invoked before the last one as well; and it is asked for at its own return at the latest. Operations that are legal
//!   everywhere and change nothing, and unknown ones that can change nothing, are dropped at once.
//! - **Of two operations with the same row of the table, the one with the earlier deadline goes first.** Both are
//!   invoked. If the other one, x, acts now and this one, y, acts later, let them change places: y is not over yet, x is
//!   over no earlier than y, and nobody else can tell them apart. If y never acts, because it need not, let it act in
//!   x's place; x then need not act either, or it acts where the same argument puts it.
//! - **An operation that need not act goes after one of the same row that must, if that is over no later.** The same
//!   exchange. One that need not and is over earlier is tried beside it: then the other may be wanted later. What may
//!   act for ever (unknown, with no return) is over last, so it goes after all others of its row, and those are told
//!   apart by nothing: it is enough to count them. For operations that are over at some time a count is *not* enough:
//!   of two nested intervals the inner one may be over while the outer one is not, and only which of them acted tells
//!   what is still due. Those are remembered one by one (`config`).
//! - **A death that no operation caused** is one more that may act for ever, and that is never used up.
//! - **A way is dropped for one that is at least as good** (`pool`; memoisation as in Wing and Gong, and Lowe). In the
//!   same state, with the same operations used up: if it left every state no earlier, whatever has seen its state in the
//!   other way has seen it in this one; if it used up no more of what may act for ever, those that are left were invoked
//!   no later. Times that no operation under way tells apart count as equal.
//!
//! # What proves what
//!
//! - A narrow sweep forgets ways, so it proves one thing only: where it gets through, there is an order. The ruling
//!   hands it out, and [`certificate`](crate::check::certificate) checks it without any of the above.
//! - A violation is proved by an exact sweep of a part: what was under way at its beginning may have acted before it or
//!   not, the container may have been in any state, and what is under way at its end may act later. Any order of the
//!   whole would give one of the part, so where the part has none, neither has the whole (`case`). `shrink` makes
//!   the part smaller by steps that keep that so, and judges it again after each.
//! - Where neither is reached within the budget, the ruling is [undecided](crate::verdict::Undecided).
//!
//! Tests hold all of it against an oracle that tries every order (`harness/tests/search`), every order found against the
//! validator, and every window against the oracle.
//!
//! # Sources
//!
//! - M. Herlihy, J. Wing: Linearizability: a correctness condition for concurrent objects. TOPLAS 12(3), 1990.
//! - J. Wing, C. Gong: Testing and verifying concurrent objects. JPDC 17(1–2), 1993.
//! - A. Horn, D. Kroening: Faster linearizability checking via P-compositionality. FORTE 2015.
//! - G. Lowe: Testing for linearizability. Concurrency and Computation: Practice and Experience 29(4), 2017.

mod case;
mod cause;
mod config;
mod decide;
mod explain;
mod lives;
mod order;
mod partition;
mod pool;
mod shrink;
mod sweep;
mod words;

use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::check::certificate::{Certificate, Proof as Proven, Step, decides};
use crate::history::{History, Outcome, Record};
use crate::model::Model;
use crate::model::table::Table;
use crate::verdict;

use crate::words::plural;
pub use decide::Allowance;
use decide::Decision;
pub use explain::{Explanation, Member, Placed, Proof, Role};
use lives::Lives;
pub(crate) use partition::{Duty, Item as RowItem};
use partition::{Item, Partition, States};

/// What a search may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// How long it may take.
    pub time: Option<Duration>,
    /// How much memory its configurations may take, in bytes; the operations themselves are not counted.
    pub memory_bytes: usize,
    /// How many configurations the first, fast sweep keeps. It makes no difference to the verdict.
    pub width: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: None, memory_bytes: 1 << 30, width: 6 }
    }
}

/// What the search says of one container.
pub type SearchRuling = verdict::Ruling<Proven, Box<Explanation>>;

/// The operations of one container.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The container, by index into the history's names.
    pub container: u32,
    /// Its operations, as indexes into the history's records.
    pub indexes: Vec<u32>,
}

/// The operations of every container that has any, in the order of the history's names.
///
/// A history is linearizable if each of its containers' is (Herlihy and Wing). Operations about the whole root are left
/// out: no container's model tells what they may see.
#[must_use]
pub fn partitions(history: &History) -> Vec<Operations> {
    let partitions = super::lives::by_container(history).into_iter().enumerate();
    let partitions = partitions.filter(|(_, indexes)| !indexes.is_empty());
    partitions.map(|(container, indexes)| Operations { container: container as u32, indexes }).collect()
}

impl Budget {
    /// What each of so many containers may cost: as many as there are threads are judged at once.
    #[must_use]
    pub fn shared(self, containers: usize) -> Allowance {
        // To ask how many threads there are starts them; one container needs none.
        let at_once = if containers > 1 { containers.min(rayon::current_num_threads()) } else { 1 };
        Allowance {
            until: self.time.map(|time| Instant::now() + time),
            memory_bytes: self.memory_bytes / at_once,
            width: self.width,
        }
    }
}

/// Judges every container of a history by itself, in the order of their names.
#[must_use]
pub fn judge(history: &History, model: &Model, budget: Budget) -> Vec<SearchRuling> {
    let partitions = partitions(history);
    let allowance = budget.shared(partitions.len());
    each_partition(partitions, |partition| judge_one(history, model, allowance, &partition))
}

/// Judges each container by itself, in threads where there are several.
pub fn each_partition<L: Send, T: Send>(partitions: Vec<L>, judge: impl Fn(L) -> T + Send + Sync) -> Vec<T> {
    if partitions.len() > 1 {
        partitions.into_par_iter().map(judge).collect()
    } else {
        partitions.into_iter().map(judge).collect()
    }
}

/// Judges one container. Where its operations tell generations, those count as well: see [`tells_lives`].
///
/// What is legal has an order that was validated, and that anybody can validate again.
#[must_use]
pub fn judge_one(
    history: &History,
    model: &Model,
    allowance: Allowance,
    operations: &Operations,
) -> SearchRuling {
    let records = || operations.indexes.iter().map(|&index| &history.records[index as usize]);
    if !records().any(|record| history.must_act(record) && decides(model, record)) {
        return SearchRuling::nothing(undecisive(history, operations));
    }
    match (Decided { history, model, allowance }).whole(operations) {
        Err(SearchRuling::Illegal(explanation)) => match records().find(|it| is_open(history, model, it)) {
            None => SearchRuling::Illegal(explanation),
            // It was held to one of two effects, so that there is no order says nothing.
            Some(open) => SearchRuling::open(format!(
                "the outcome of p{}'s {} is unknown, and by model {} it may have led to either of two statuses: no order is legal \
                 where it changed nothing or led to one of them, and the other was not tried; kind = \"table\" tries both",
                open.process,
                open.operation,
                model.name()
            )),
        },
        Err(ruling) => ruling,
        Ok(certificate) => match certificate.prove(history, model, operations) {
            Ok(proof) => SearchRuling::Legal(proof),
            Err(flaw) => SearchRuling::open(format!(
                "the search found an order that does not hold ({flaw}): that is a bug of the search; please report it"
            )),
        },
    }
}

/// Whether an operation may have acted in more ways than the search tries.
fn is_open(history: &History, model: &Model, record: &Record) -> bool {
    !history.must_act(record) && model.has_two_ways(record.operation)
}

/// That none of the operations decides anything, and what became of them.
fn undecisive(history: &History, operations: &Operations) -> String {
    let count = |outcome| {
        let records = operations.indexes.iter().map(|&index| &history.records[index as usize]);
        records.filter(|record| record.outcome == outcome).count()
    };
    let told = [Outcome::Failed, Outcome::Unknown, Outcome::Ok, Outcome::Refused].map(|outcome| {
        let count = count(outcome);
        (count > 0).then(|| format!("{count} {outcome}"))
    });
    let told = told.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let all = plural(operations.indexes.len() as u64, "operation");
    format!("nothing was verified: of {all} ({told}) none reports anything that an order could contradict")
}

/// Whether the operations tell so much of generations that they are judged life by life. Then an operation acted in the
/// generation that it tells, a create begins one greater than all before it, and a verdict of linearizable says so too.
#[must_use]
pub fn tells_lives(history: &History, model: &Model, operations: &Operations) -> bool {
    Lives::of(history, model, operations).is_some()
}

/// One container, to be decided.
struct Decided<'a> {
    history: &'a History,
    model: &'a Model,
    allowance: Allowance,
}

impl Decided<'_> {
    fn whole(&self, operations: &Operations) -> Result<Certificate, SearchRuling> {
        let (history, model) = (self.history, self.model);
        let starts = model.starts(history, operations.container).fold(0, |starts, state| starts | 1 << state);
        match Lives::of(history, model, operations) {
            None => {
                let table = model.table();
                let items = operations.indexes.iter().map(|&index| item(history, table, index)).collect();
                self.part(items, starts, operations, Proof::Order)
            }
            Some(Err(fault)) => {
                let explanation = explain::by_generations(history, model.table(), fault, starts);
                Err(SearchRuling::Illegal(Box::new(explanation)))
            }
            Some(Ok(lives)) => self.lives(lives, operations.container),
        }
    }

    /// Decides life by life.
    fn lives(&self, mut lives: Lives, container: u32) -> Result<Certificate, SearchRuling> {
        let mut whole = Certificate { container, first: 0, steps: Vec::new() };
        let mut gaps = std::mem::take(&mut lives.gaps).into_iter();
        let mut next_gap = || gaps.next().into_iter().flatten().map(Step::Acts);
        whole.steps.extend(next_gap());
        for (number, life) in std::mem::take(&mut lives.all).into_iter().enumerate() {
            let indexes = life.items.iter().map(|item| item.record).collect();
            let operations = Operations { container, indexes };
            let starts = lives.starts(number, self.model);
            let order = self.part(life.items, starts, &operations, Proof::Life)?;
            if number == 0 {
                whole.first = order.first;
            }
            whole.steps.extend(order.steps);
            whole.steps.extend(next_gap());
        }
        order::place_idle(self.history, &mut whole, &lives.idle);
        Ok(whole)
    }

    /// Decides operations that begin in one of the states.
    fn part(
        &self,
        items: Vec<Item>,
        starts: States,
        operations: &Operations,
        proof: Proof,
    ) -> Result<Certificate, SearchRuling> {
        let (history, model) = (self.history, self.model);
        let partition = Partition::of(items, starts, model.table().states().len(), model.death(history));
        match decide::decide(&partition, self.allowance) {
            Decision::Linearizable(found) => Ok(order::certificate(history, &partition, operations, &found)),
            Decision::Inconclusive(why) => Err(SearchRuling::open(why)),
            Decision::Not(case, dead) => {
                let (case, dead) = cause::behind(&partition, case, dead);
                drop(partition);
                let explanation = explain::explain(history, model.table(), case, dead, proof);
                Err(SearchRuling::Illegal(Box::new(explanation)))
            }
        }
    }
}

/// What became of operations that are known by their rows alone. They are told by what their items call records.
pub(crate) enum ByRows {
    /// An order of all but those that are legal everywhere and change nothing.
    Order(Vec<u32>),
    /// There is none.
    Dead {
        /// Which has no place.
        place: u32,
        /// The operations that show it, and whether each must act among them.
        part: Vec<(u32, Duty)>,
        /// Whether they show it whatever was there before them.
        is_anywhere: bool,
    },
    /// The budget ran out, or there are too many at once.
    Undecided(String),
}

/// Decides operations on one object of a table of at most 16 states. The order has to be validated by who asks.
pub(crate) fn by_rows(items: Vec<RowItem>, first: u8, states: usize, allowance: Allowance) -> ByRows {
    let partition = Partition::of(items, 1 << first, states, None);
    match decide::decide(&partition, allowance) {
        Decision::Linearizable(found) => ByRows::Order(order::acting(&partition, &found)),
        Decision::Inconclusive(why) => ByRows::Undecided(why),
        Decision::Not(case, dead) => ByRows::Dead {
            place: dead.record,
            is_anywhere: case.initial != partition.initial,
            part: case.items.iter().map(|item| (item.record, item.duty)).collect(),
        },
    }
}

fn item(history: &History, table: &Table, index: u32) -> Item {
    let record = &history.records[index as usize];
    Item {
        record: index,
        invoke_ns: record.invoke_ns,
        deadline_ns: record.deadline_ns(),
        row: *table.row(record.into()),
        duty: if history.must_act(record) { Duty::Required } else { Duty::Optional },
    }
}
