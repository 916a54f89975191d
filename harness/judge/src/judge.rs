//! The judge of anyone's history: chooses the tier that what the history carries allows, container by container.
//!
//! The witness order is fastest and knows most, but needs generation and revision; the search needs neither. Nothing
//! here reads a file or starts a process.

mod object;

pub use object::{ObjectFailures, ObjectJudged, ObjectJudgement};

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::check::certificate::Proof;
use crate::check::search::{self, Budget, Explanation};
use crate::check::witness::{self, DeathRule, Fault, Witnessed};
use crate::failures::Failures;
use crate::history::{AnyHistory, History};
use crate::model::object::Kind;
use crate::model::{AnyModel, Builtin, Model};
use crate::verdict::{self, Undecided, Verdict};
use crate::violation::Class;

/// Which tier is to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checker {
    /// The witness where it can, else the search.
    Auto,
    /// Only the order that generation and revision witness.
    Witness,
    /// Only the search, which looks at no generation and revision.
    Search,
}

/// Which tier has judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// The order that generations and revisions give, without a search.
    Witness,
    /// The search, which needs no tokens: it tries orders by intervals and outcomes alone.
    Search,
}

impl Tier {
    /// The tier as reports spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Witness => "witness",
            Self::Search => "search",
        }
    }
}

/// Why a container has no legal order.
#[derive(Clone, Debug, PartialEq)]
pub enum Grounds {
    /// Intervals and outcomes alone show it.
    Explained(Box<Explanation>),
    /// Generations and revisions show it, in these words.
    Told(String),
}

impl Grounds {
    /// What it rests on, in one sentence for people.
    #[must_use]
    pub fn sentence(&self) -> &str {
        match self {
            Self::Explained(explanation) => &explanation.sentence,
            Self::Told(sentence) => sentence,
        }
    }
}

/// What is said of a container: it is legal by an order that was validated, or not, or nobody knows.
pub type ContainerRuling = verdict::Ruling<Proof, Grounds>;

/// What is said of one container, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The container, by index into the history's names.
    pub number: u32,
    /// The container, as the history calls it.
    pub container: String,
    /// How many operations it had.
    pub operations: u64,
    /// Legal, with its order; illegal, and on what grounds; or undecided, and why.
    pub ruling: ContainerRuling,
    /// Which judge decided: the witness order or the search.
    pub tier: Tier,
}

impl Judgement {
    /// The verdict in one word; a violation is always `not-linearizable`.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.ruling.verdict()
    }

    /// Why, where it is not clean.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match &self.ruling {
            ContainerRuling::Legal(_) => None,
            ContainerRuling::Illegal(grounds) => Some(grounds.sentence()),
            ContainerRuling::Undecided(undecided) => Some(undecided.why()),
        }
    }

    /// Why no order is legal, where intervals and outcomes alone show that.
    #[must_use]
    pub fn explanation(&self) -> Option<&Explanation> {
        match &self.ruling {
            ContainerRuling::Illegal(Grounds::Explained(explanation)) => Some(explanation),
            _ => None,
        }
    }
}

impl Serialize for Judgement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Judgement", 7)?;
        fields.serialize_field("container", &self.container)?;
        fields.serialize_field("operations", &self.operations)?;
        fields.serialize_field("decided", &self.ruling.legal().map(Proof::decided))?;
        fields.serialize_field("verdict", &self.verdict())?;
        fields.serialize_field("tier", &self.tier)?;
        fields.serialize_field("why", &self.why())?;
        fields.serialize_field("explanation", &self.explanation())?;
        fields.end()
    }
}

/// What is said of a whole history.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// What is said of each container that has operations, in the order of the history's names.
    pub containers: Vec<Judgement>,
    /// The operations that failed, by reason; they verify nothing, and some break a promise.
    pub failures: Failures,
}

impl Judged {
    /// Judges a whole history.
    #[must_use]
    pub fn of(history: &History, model: &Model, checker: Checker, budget: Budget) -> Self {
        Self { containers: judge(history, model, checker, budget), failures: Failures::of(history, model) }
    }

    /// What follows for the whole: the one place where a history's verdict is made.
    #[must_use]
    pub fn ruling(&self) -> verdict::Ruling {
        if self.containers.is_empty() {
            let why = "nothing was verified: the history has no operation on a container";
            return verdict::fold([verdict::Ruling::nothing(why), self.failures.ruling()]);
        }
        let containers = self.containers.iter().map(|judgement| judgement.ruling.bare());
        verdict::fold(containers.chain([self.failures.ruling()]))
    }
}

/// What is said of a history, whatever it is of.
#[derive(Clone, Debug)]
pub enum AnyJudged {
    /// Of a history of containers, judged by a table of container operations.
    Table(Judged),
    /// Objects that hold values.
    Object(ObjectJudged),
}

impl AnyJudged {
    /// What follows for the whole.
    #[must_use]
    pub fn ruling(&self) -> verdict::Ruling {
        match self {
            Self::Table(judged) => judged.ruling(),
            Self::Object(judged) => judged.ruling(),
        }
    }
}

/// A model that cannot judge a history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// Judges any history by any model that fits it: the one entrance. `checker` is for containers only.
pub fn judge_any(
    history: &AnyHistory,
    model: &AnyModel,
    checker: Checker,
    budget: Budget,
) -> Result<AnyJudged, Unfit> {
    match (history, model) {
        (AnyHistory::Table(history), AnyModel::Table(model)) => {
            model.covers(history).map_err(Unfit)?;
            Ok(AnyJudged::Table(Judged::of(history, model, checker, budget)))
        }
        (AnyHistory::Object(history), AnyModel::Object(model)) => {
            let read_by = history.model.as_ref().map(|model| (model.kind, model.rules.as_deref()));
            if model.kind == Kind::Table && read_by != Some((model.kind, model.rules.as_deref())) {
                let why = "a table judges only a history that was read by the same table";
                return Err(Unfit(format!("model {}: {why}", model.name)));
            }
            if let Some((kind, _)) = read_by.filter(|(kind, _)| *kind != model.kind) {
                return Err(Unfit(format!(
                    "model {} is for a {}, and the history is of a {kind}",
                    model.name, model.kind
                )));
            }
            Ok(AnyJudged::Object(ObjectJudged::of(history, model, budget)))
        }
        (AnyHistory::Table(_), AnyModel::Object(model)) => Err(Unfit(format!(
            "model {} is for a {}, and the history is of containers",
            model.name, model.kind
        ))),
        (AnyHistory::Object(_), AnyModel::Table(model)) => {
            Err(Unfit(format!("model {} is for containers, and the history is of objects", model.name())))
        }
    }
}

/// Judges every container that has operations, in the order of the history's names.
#[must_use]
pub fn judge(history: &History, model: &Model, checker: Checker, budget: Budget) -> Vec<Judgement> {
    judge_those(history, model, checker, budget, |_| true)
}

/// Judges those of the containers that are asked for, by their numbers among the history's names.
pub(crate) fn judge_those(
    history: &History,
    model: &Model,
    checker: Checker,
    budget: Budget,
    asked: impl Fn(u32) -> bool,
) -> Vec<Judgement> {
    // The witness knows the model runsc only.
    let has_witness = checker != Checker::Search && model.name() == Builtin::Runsc.as_str();
    let mut partitions = search::partitions(history);
    partitions.retain(|partition| asked(partition.container));
    let budget = budget.shared(partitions.len());
    let mut witness = Vec::new();
    if has_witness {
        witness.extend(witness::judge(history, model, DeathRule::of_history(history)).into_iter().map(Some));
    }
    let partitions = partitions.into_iter().map(|partition| {
        let witness = witness.get_mut(partition.container as usize).and_then(Option::take);
        (partition, witness)
    });
    let bench = Bench { history, model, budget };
    search::each_partition(partitions.collect(), |(partition, witness)| {
        let (tier, ruling) = bench.judge(&partition, witness, checker);
        let (number, container) =
            (partition.container, history.containers[partition.container as usize].clone());
        Judgement { number, container, operations: partition.indexes.len() as u64, ruling, tier }
    })
}

/// What a container is judged by.
struct Bench<'a> {
    history: &'a History,
    model: &'a Model,
    budget: search::Allowance,
}

impl Bench<'_> {
    /// `witness`: what the witness says, where it knows the model.
    fn judge(
        &self,
        partition: &search::Operations,
        witness: Option<Witnessed>,
        checker: Checker,
    ) -> (Tier, ContainerRuling) {
        let witness = match witness {
            _ if checker == Checker::Search => return (Tier::Search, self.by_search(partition)),
            None => ContainerRuling::open(format!(
                "there is no witness order for the model {}",
                self.model.name()
            )),
            Some(Witnessed::Ruled(ruling)) => {
                ruling.map_illegal(|fault| Grounds::Told(self.sentence(&fault)))
            }
            Some(Witnessed::Unplaced(why)) if checker == Checker::Auto => {
                return match self.by_search(partition) {
                    ContainerRuling::Illegal(_) => (Tier::Witness, ContainerRuling::open(why)),
                    ruling => (Tier::Search, ruling),
                };
            }
            Some(Witnessed::Unplaced(why)) => ContainerRuling::open(why),
            Some(Witnessed::Silent(why)) if checker == Checker::Auto => {
                return (Tier::Search, self.by_search_and_tokens(partition, why));
            }
            Some(Witnessed::Silent(why)) => ContainerRuling::Undecided(why),
        };
        match (checker, witness) {
            (Checker::Auto, ContainerRuling::Undecided(_)) => (Tier::Search, self.by_search(partition)),
            // Where the search shows the same without tokens, its window and order explain it; where it does not, it is
            // the tokens that show it.
            (Checker::Auto, ContainerRuling::Illegal(grounds)) => match self.by_search(partition) {
                ContainerRuling::Illegal(explained) => (Tier::Witness, ContainerRuling::Illegal(explained)),
                ContainerRuling::Legal(_) | ContainerRuling::Undecided(_) => {
                    (Tier::Witness, ContainerRuling::Illegal(grounds))
                }
            },
            (_, ruling) => (Tier::Witness, ruling),
        }
    }

    fn by_search(&self, partition: &search::Operations) -> ContainerRuling {
        search::judge_one(self.history, self.model, self.budget, partition).map_illegal(Grounds::Explained)
    }

    /// Where force deletes told nothing: an order that contradicts what others told proves nothing.
    fn by_search_and_tokens(&self, partition: &search::Operations, why: Undecided) -> ContainerRuling {
        match self.by_search(partition) {
            ContainerRuling::Legal(proof)
                if !witness::tokens::fit(self.history, self.model, proof.certificate()) =>
            {
                ContainerRuling::Undecided(why)
            }
            ruling => ruling,
        }
    }

    fn sentence(&self, fault: &Fault) -> String {
        let message = fault.violation(self.history, Class::NotLinearizable, "").message;
        // Whoever shows a judgement names the container anyway.
        let name = &self.history.containers[fault.container as usize];
        message.strip_prefix(&format!("{name}: ")).map_or(message.clone(), str::to_owned)
    }
}
