//! The examiner's findings, as evidence.

use super::{Doing, Finding, Found, Step};
use crate::engine::stress::wire::no_answer;
use crate::evidence::{Quiet, QuietContainer, Recovery};
use crate::subject::Answer;

/// Puts the findings together. What is missing is an answer that nobody gave, or something not tried.
pub(in crate::engine::stress) fn quiet_from(findings: Vec<Finding>, containers: u32) -> Quiet {
    let mut draft =
        Draft { containers: vec![DraftContainer::default(); containers as usize], ..Draft::default() };
    for Finding { step, found } in findings {
        if let Some(step) = Step::number(step, containers) {
            draft.add(step, found);
        }
    }
    let containers = draft.containers.into_iter().map(DraftContainer::finish).collect();
    Quiet { containers, ..draft.quiet }
}

#[derive(Default)]
struct Draft {
    quiet: Quiet,
    containers: Vec<DraftContainer>,
}

#[derive(Clone, Default)]
struct DraftContainer {
    state: Option<Answer>,
    process: Option<Doing>,
    files: Vec<String>,
    delete: Option<Answer>,
    create: Option<Answer>,
    delete_again: Option<Answer>,
}

impl Draft {
    fn add(&mut self, step: Step, found: Found) {
        match (step, found) {
            (Step::List, found) => self.quiet.list = answer(found),
            (Step::State(container), Found::State(state, process)) => {
                let container = &mut self.containers[container as usize];
                container.state = Some(state.into());
                container.process = process;
            }
            (Step::State(container), found) => self.containers[container as usize].state = answer(found),
            (Step::Files, Found::Files(sorted)) => {
                for (container, files) in sorted.containers {
                    self.containers[container as usize].files = files;
                }
                self.quiet.strays = sorted.strays;
            }
            (Step::Delete(container), found) => self.containers[container as usize].delete = answer(found),
            (Step::Create(container), found) => self.containers[container as usize].create = answer(found),
            (Step::DeleteAgain(container), found) => {
                self.containers[container as usize].delete_again = answer(found);
            }
            (Step::Remains, Found::Names(names)) => self.quiet.remains = names,
            (Step::Processes, Found::Names(names)) => self.quiet.processes = names,
            (Step::Files | Step::Copy | Step::Remains | Step::Processes, _) => {}
        }
    }
}

impl DraftContainer {
    fn finish(self) -> QuietContainer {
        let recovery = match (self.delete, self.create, self.delete_again) {
            (Some(delete), Some(create), Some(delete_again)) => {
                Some(Recovery { delete, create, delete_again })
            }
            _ => None,
        };
        QuietContainer {
            state: self.state.unwrap_or_else(|| no_answer("the examination ended before it came to this")),
            files: self.files,
            process: self.process.map(Into::into),
            recovery,
        }
    }
}

fn answer(found: Found) -> Option<Answer> {
    match found {
        Found::Answer(answer) => Some(answer.into()),
        Found::Nothing(why) => Some(no_answer(why)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Outcome, Reason};

    #[test]
    fn what_nobody_answered_is_a_failure_and_what_nobody_tried_is_missing() {
        let nothing = |step| Finding { step, found: Found::Nothing("no answer in time".into()) };
        // Two containers: state of the first, and the whole recovery of the second.
        let quiet = quiet_from([1, 8, 9, 10].map(nothing).to_vec(), 2);
        for container in &quiet.containers {
            assert_eq!(container.state.outcome, Outcome::Failed);
            assert_eq!(container.state.reason, Some(Reason::Locked));
        }
        assert_eq!(quiet.containers[0].state.message.as_deref(), Some("no answer in time"));
        assert_eq!(quiet.containers[0].recovery, None);
        let recovery = quiet.containers[1].recovery.as_ref().expect("tried");
        assert_eq!(recovery.delete.outcome, Outcome::Failed);
        assert_eq!(quiet.list, None);
    }
}
