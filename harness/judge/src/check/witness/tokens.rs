//! Whether an order that was found by statuses fits generations and revisions as well.
//!
//! Where force deletes tell nothing, the witness cannot say whether they removed the container, and a search decides, which
//! reads statuses. What its order contradicts is not called linearizable: an operation that tells a generation while the
//! container is absent, or a revision that nobody saved.

use crate::check::certificate::{Certificate, Step};
use crate::history::{History, Outcome, Reason, Record};
use crate::model::Model;
use crate::model::table::ILLEGAL;

/// The present life of the container.
struct Life {
    /// 0: nobody has told it yet.
    generation: u64,
    revision: u64,
    /// How many changes nobody told: each may have been a save.
    untold: u64,
}

/// Whether every generation and revision that an operation tells may be so where the order has it.
pub(crate) fn fit(history: &History, model: &Model, order: &Certificate) -> bool {
    let is_absent = |state: u8| model.states_of(None).any(|absent| absent == state);
    let (mut state, mut latest) = (order.first, 0);
    let mut life: Option<Life> = None;
    for &step in &order.steps {
        let (token, next) = match step {
            Step::Acts(index) => {
                let record = &history.records[index as usize];
                (token(record), model.table().row(record.into())[state as usize])
            }
            Step::Dies | Step::DiesBy(_) => (None, model.death_row()[state as usize]),
        };
        if next == ILLEGAL {
            return false;
        }
        match (&mut life, token) {
            (None, Some((generation, revision))) => {
                if is_absent(next) || generation <= latest || revision != 1 {
                    return false;
                }
                life = Some(Life { generation, revision, untold: 0 });
            }
            (None, None) if !is_absent(next) => {
                life = Some(Life { generation: 0, revision: 1, untold: 0 });
            }
            (None, None) => {}
            (Some(life), Some((generation, revision))) => {
                let is_other =
                    if life.generation == 0 { generation <= latest } else { generation != life.generation };
                let saved = life.revision..=life.revision + 1 + life.untold;
                if is_other || !saved.contains(&revision) {
                    return false;
                }
                (life.generation, life.revision) = (generation, revision);
            }
            (Some(life), None) => life.untold += u64::from(next != state),
        }
        latest = life.as_ref().map_or(latest, |life| latest.max(life.generation));
        if is_absent(next) {
            life = None;
        }
        state = next;
    }
    true
}

/// The generation and the revision that an operation found or left.
fn token(record: &Record) -> Option<(u64, u64)> {
    let met = match record.outcome {
        Outcome::Ok => true,
        Outcome::Refused => !matches!(record.reason, Some(Reason::Absent | Reason::Ambiguous)),
        Outcome::Failed | Outcome::Unknown => false,
    };
    let (generation, revision) = (record.generation?, record.revision?);
    met.then_some((generation.get(), revision.get()))
}

#[cfg(test)]
mod tests {
    use crate::check::search::Budget;
    use crate::history::read;
    use crate::judge::{Checker, judge};
    use crate::model::{Builtin, Model};
    use crate::verdict::Verdict;

    fn verdict(lines: &[&str]) -> Verdict {
        let header =
            "{\"flockwork_history\":1,\"model\":\"runsc\",\"initial\":{\"c1\":\"absent\"}}\n".to_owned();
        let lines = (0..).zip(lines).map(|(process, line): (u32, _)| {
            format!("{{\"process\":{process},\"container\":\"c1\",{line},\"outcome\":\"ok\"}}\n")
        });
        let text: String = std::iter::once(header).chain(lines).collect();
        let history = read::read(text.as_bytes()).expect("a history");
        let judged = judge(&history, &Model::builtin(Builtin::Runsc), Checker::Auto, Budget::default());
        judged[0].ruling.verdict()
    }

    const CREATE: &str =
        r#""op":"create","invoke_ns":20,"return_ns":30,"status":"created","generation":1,"revision":1"#;
    const SILENT: &str = r#""op":"force-delete","invoke_ns":35,"return_ns":38"#;

    /// By statuses it is legal to delete by force what is absent.
    #[test]
    fn what_was_removed_in_silence_is_not_removed_again() {
        let again = r#""op":"force-delete","invoke_ns":41,"return_ns":44,"generation":1,"revision":2"#;
        assert_eq!(verdict(&[CREATE, SILENT, again]), Verdict::Inconclusive);
        assert_eq!(verdict(&[CREATE, again]), Verdict::Clean);
        assert_eq!(verdict(&[CREATE, SILENT]), Verdict::Clean);
        let anew = again.replace("\"force-delete\"", "\"create\",\"status\":\"created\"");
        let anew = anew.replace("\"generation\":1,\"revision\":2", "\"generation\":2,\"revision\":1");
        assert_eq!(verdict(&[CREATE, SILENT, &anew]), Verdict::Clean);
        let skipped = anew.replace("\"revision\":1", "\"revision\":3");
        assert_ne!(verdict(&[CREATE, SILENT, &skipped]), Verdict::Clean);
    }
}
