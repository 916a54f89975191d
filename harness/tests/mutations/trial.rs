//! One real history, and what the judges make of its mutations.

use std::fmt;
use std::fs;
use std::sync::atomic::AtomicBool;

use flockwork::Operation;
use flockwork_harness::check::search::{self, Budget, SearchRuling};
use flockwork_harness::check::witness::{DeathRule, WitnessOrder};
use flockwork_harness::engine::stress::run;
use flockwork_harness::history::{History, Outcome, Record};
use flockwork_harness::model::{Builtin, Model, parse};
use flockwork_harness::plan::{Audit, Budget as RunBudget, LibraryPlan, StressPlan, SubjectPlan};
use flockwork_harness::process::Zygote;

use crate::mutate::Mutation;
use crate::oracle::{self, Reads};
use crate::random::Random;

/// What became of the mutations of one kind.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    tried: u64,
    /// Detected by the search, without tokens.
    by_search: u64,
    /// Detected with tokens: by the witness, or by the search where that cannot judge.
    by_either: u64,
    /// Not detected by the search: of every one the order is valid.
    certified: u64,
    /// How many windows show what the search detected: one a container.
    windows: u64,
    /// Detected by the search, and the window small enough for the oracle, which finds no order in it either.
    proved: u64,
    /// Small enough for the oracle as a whole.
    judged_by_oracle: u64,
}

impl Tally {
    /// The sum of several.
    pub fn sum<'a>(tallies: impl Iterator<Item = &'a Self>) -> Self {
        tallies.fold(Self::default(), |sum, tally| Self {
            tried: sum.tried + tally.tried,
            by_search: sum.by_search + tally.by_search,
            by_either: sum.by_either + tally.by_either,
            certified: sum.certified + tally.certified,
            windows: sum.windows + tally.windows,
            proved: sum.proved + tally.proved,
            judged_by_oracle: sum.judged_by_oracle + tally.judged_by_oracle,
        })
    }

    /// What the percentages rest on.
    pub fn proofs(&self) -> String {
        let Self { tried, by_search, certified, windows, proved, judged_by_oracle, .. } = self;
        assert_eq!(by_search + certified, *tried, "each has a window or an order");
        format!(
            "{tried} mutations: of {certified} that the search does not detect the order is valid; of {by_search} \
             that it detects, {proved} of {windows} windows are small enough for the oracle, and none has an order. Of \
             {judged_by_oracle} containers the oracle judges the whole, and says the same."
        )
    }
}

impl fmt::Display for Tally {
    /// Percentages, with tokens and without.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tried == 0 {
            return f.write_str("–");
        }
        let percent = |count: u64| 100.0 * count as f64 / self.tried as f64;
        write!(f, "{:.1} % / {:.1} %", percent(self.by_either), percent(self.by_search))
    }
}

/// A real clean history of two containers.
pub struct Trial {
    history: History,
    model: Model,
    /// The same rules from a file: no witness knows that model.
    own_model: Model,
    seed: u64,
    /// By container: whether it was deleted as often as created.
    ends_absent: Vec<bool>,
}

/// How many containers there are.
const CONTAINERS: u32 = 2;

/// The rules of runsc as somebody writes them down.
const OWN: &str = "\
statuses = [\"created\", \"running\", \"paused\", \"stopped\"]
[operations]
create = { from = \"absent\", to = \"created\", refused = \"exists\" }
start  = { from = \"created\", to = \"running\" }
pause  = { from = [\"created\", \"running\"], to = \"paused\" }
resume = { from = \"paused\", to = \"remembered\" }
kill   = { from = [\"created\", \"running\", \"paused\"], to = \"stopped\" }
state  = { from = [\"created\", \"running\", \"paused\", \"stopped\"], to = \"same\" }
delete = { from = [\"created\", \"stopped\"], to = \"absent\" }
";

impl Trial {
    /// Lets the library run under stress, and sees to it that the history is clean by every judge.
    pub fn run(zygote: &mut Zygote, processes: u32, operations: u64, seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("a root");
        let plan = StressPlan { root, ..plan(processes, operations, seed) };
        let ran = run(zygote, &plan, &AtomicBool::new(false), &()).expect("a run");
        let mut history = ran.history;
        // What tidied up afterwards is no part of it.
        history.records.retain(|record| record.process < processes);
        let count = |container, operation| {
            let records = history.records.iter().filter(|record| record.container() == Some(container));
            records.filter(|record| record.operation == operation && record.outcome == Outcome::Ok).count()
        };
        let ends_absent = (0..CONTAINERS)
            .map(|container| count(container, Operation::Create) == count(container, Operation::Delete))
            .collect();
        let model = Model::builtin(Builtin::Runsc);
        let own_model = parse("own.toml", OWN.to_owned()).expect("a model");
        let trial = Self { history, model, own_model, seed, ends_absent };
        assert_eq!(is_detected_by_witness(&trial.history), Some(false), "the library is clean");
        assert!(!trial.is_detected_by_search(&trial.history, &mut Tally::default()), "the library is clean");
        trial
    }

    /// Mutates the history so many times, and judges each.
    pub fn mutate(&self, mutation: Mutation, times: u64, tally: &mut Tally) {
        let mut random = Random::new(self.seed << 8 | mutation as u64);
        for _ in 0..times {
            let Some((mutated, container)) = mutation.of(&self.history, &mut random) else { continue };
            tally.tried += 1;
            let by_search = self.is_detected_by_search(&mutated, tally);
            let by_witness = is_detected_by_witness(&mutated);
            let knows_less = by_witness == Some(false) && by_search;
            assert!(!knows_less, "{mutation:?}: the witness knows more, and finds less");
            // As the judge does it: what the witness cannot judge, the search does.
            let by_either = by_witness.unwrap_or(by_search);
            tally.by_search += u64::from(by_search);
            tally.by_either += u64::from(by_either);
            self.expect(mutation, container, by_search, by_either);
        }
    }

    /// What must be detected, whatever the intervals are.
    fn expect(&self, mutation: Mutation, container: u32, by_search: bool, by_either: bool) {
        let ends_absent = self.ends_absent[container as usize];
        let told = format!("{mutation:?} of seed {} must be detected", self.seed);
        match mutation {
            // A container is created at most once more than it is deleted. One that exists at the end has been, so one
            // create more, or one delete less, is one too many in every order; and one that is absent at the end has been
            // created as often as deleted, so one create less is one too few.
            Mutation::DuplicateCreate | Mutation::DropDelete => {
                assert!(by_search || ends_absent, "{told}");
            }
            Mutation::DropCreate => assert!(by_search || !ends_absent, "{told}"),
            // Generation and revision say which status it was, whatever the time.
            Mutation::AlterStatus => assert!(by_either, "{told}"),
            forgetting if forgetting.only_forgets() => {
                assert!(!by_search && !by_either, "{mutation:?} of seed {} claims nothing", self.seed);
            }
            _ => {}
        }
        // Two creates cannot both be the first save of a generation.
        assert!(by_either || mutation != Mutation::DuplicateCreate, "{told}");
    }

    /// Whether the search detects it. Whatever it says is proved by other means, and said by the same rules from a file.
    fn is_detected_by_search(&self, history: &History, tally: &mut Tally) -> bool {
        let history = &without_tokens(history);
        let allowance = Budget::default().shared(1);
        let mut is_detected = false;
        for lane in search::partitions(history) {
            let ruling = search::judge_one(history, &self.model, allowance, &lane);
            let own = search::judge_one(history, &self.own_model, allowance, &lane);
            assert_eq!(own.verdict(), ruling.verdict(), "the same rules from a file say otherwise");
            let is_illegal = ruling.illegal().is_some();
            match ruling {
                SearchRuling::Legal(proof) => {
                    let order = proof.certificate();
                    assert_eq!(order.validate(history, &self.model), Ok(()), "the order explains nothing");
                }
                SearchRuling::Illegal(explanation) => {
                    let has_an_order = oracle::window_has_an_order(&self.model, history, &explanation);
                    assert_ne!(has_an_order, Some(true), "the window proves nothing: {explanation:?}");
                    tally.windows += 1;
                    tally.proved += u64::from(has_an_order.is_some());
                }
                other @ SearchRuling::Undecided(_) => panic!("{other:?}"),
            }
            let records: Vec<Record> =
                lane.indexes.iter().map(|&index| history.records[index as usize]).collect();
            let starts: Vec<u8> = self.model.starts(history, lane.container).collect();
            let has_an_order = oracle::has_an_order(&self.model, &records, starts, None, Reads::Statuses);
            assert_ne!(has_an_order, Some(is_illegal), "the oracle says otherwise: {records:?}");
            tally.judged_by_oracle += u64::from(has_an_order.is_some());
            is_detected |= is_illegal;
        }
        tally.certified += u64::from(!is_detected);
        is_detected
    }
}

fn without_tokens(history: &History) -> History {
    let mut history = history.clone();
    for record in &mut history.records {
        (record.generation, record.revision) = (None, None);
    }
    history
}

/// `None`: it cannot judge what tells no tokens.
fn is_detected_by_witness(history: &History) -> Option<bool> {
    let order = WitnessOrder::of_history(history, DeathRule::Never);
    order.open().next().is_none().then_some(order.faults().next().is_some())
}

fn plan(processes: u32, operations: u64, seed: u64) -> StressPlan {
    use Operation::{Create, Delete, Kill, Pause, Resume, Start, State};
    StressPlan {
        subject: SubjectPlan::Library(LibraryPlan::default()),
        root: "to be said".into(),
        seed,
        processes,
        auditors: 0,
        audit: Audit::Locked,
        containers: CONTAINERS,
        budget: RunBudget::Operations(operations),
        think_ns: 0..=50_000,
        hold_ns: 0..=0,
        mix: vec![(Create, 6), (Start, 6), (Pause, 12), (Resume, 12), (State, 12), (Kill, 3), (Delete, 5)],
        kill_every_ns: None,
        payload_bytes: 64,
        fresh_processes: false,
        starvation_ns: 60_000_000_000,
        stall_ns: 60_000_000_000,
    }
}
