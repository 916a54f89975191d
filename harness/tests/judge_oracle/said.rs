//! What the judge says, in the words of the oracle.

use flockwork_harness::check::search::Budget;
use flockwork_harness::history::History;
use flockwork_harness::judge::{Checker, Judged};
use flockwork_harness::model::Model;
use flockwork_harness::report::verdict::{Ruling, Undecided};

use crate::oracle::window_has_an_order;

/// Whether what is said is only counted, right or wrong: to measure an older judge.
pub const ONLY_COUNTS: bool = false;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Legal,
    Illegal,
    Open,
    Nothing,
}

#[derive(Debug)]
pub struct AllSaid {
    /// By index of the container.
    pub containers: Vec<(u32, Said)>,
    pub whole: Said,
}

fn of_ruling<P, E>(ruling: &Ruling<P, E>) -> Said {
    match ruling {
        Ruling::Legal(_) => Said::Legal,
        Ruling::Illegal(_) => Said::Illegal,
        Ruling::Undecided(Undecided::Open(_)) => Said::Open,
        Ruling::Undecided(Undecided::Nothing(_)) => Said::Nothing,
    }
}

/// Judges a history; whatever is called legal has a proof that is validated here once more, and whatever is explained has
/// a window in which every order tried is wrong.
pub fn of(history: &History, model: &Model, text: &str) -> AllSaid {
    let judged = Judged::of(history, model, Checker::Auto, Budget::default());
    let containers = judged.containers.iter().map(|judgement| {
        let container = history.containers.iter().position(|name| *name == judgement.container);
        if let Ruling::Legal(proof) = &judgement.ruling {
            assert_eq!(proof.certificate().validate(history, model), Ok(()), "{judgement:?}\n{text}");
        }
        if let Some(explanation) = judgement.explanation() {
            let has_an_order = window_has_an_order(model, history, explanation);
            assert_eq!(has_an_order, Some(false), "no proof: {judgement:?}\n{text}");
        }
        (container.expect("a container of the history") as u32, of_ruling(&judgement.ruling))
    });
    AllSaid { containers: containers.collect(), whole: of_ruling(&judged.ruling()) }
}
