//! The examiner's observations, as evidence.

use super::{Doing, Found, Observation, Step};
use crate::engine::NO_PROCESS;
use crate::evidence::{Observed, ProcessState, Quiet, QuietContainer, Recovery, Reply, Unobserved};
use crate::subject::Traits;

/// Puts the observations together. What nobody answered is a silence, and what nobody tried is missing.
pub(in crate::engine::stress) fn quiet_from(
    observations: Vec<Observation>,
    containers: u32,
    traits: &Traits,
) -> Quiet {
    let mut quiet = Quiet {
        containers: (0..containers).map(|_| unexamined()).collect(),
        strays: missed(),
        remains: missed(),
        processes: missed(),
        list: missed(),
    };
    let mut recoveries = vec![[missed(), missed(), missed()]; containers as usize];
    for Observation { step, found } in observations {
        if let Some(step) = Step::number(step, containers) {
            add(&mut quiet, &mut recoveries, traits, step, found);
        }
    }
    for (container, recovery) in quiet.containers.iter_mut().zip(recoveries) {
        container.recovery = whole(recovery);
    }
    quiet
}

fn missed<T>() -> Observed<T> {
    Err(Unobserved::Missed("the examination ended before it came to this".into()))
}

fn unexamined() -> QuietContainer {
    QuietContainer { state: missed(), files: missed(), process: missed(), recovery: missed() }
}

fn add(
    quiet: &mut Quiet,
    recoveries: &mut [[Observed<Reply>; 3]],
    traits: &Traits,
    step: Step,
    found: Found,
) {
    match (step, found) {
        (Step::List, found) => quiet.list = reply(found),
        (Step::State(container), Found::State(state, process)) => {
            let container = &mut quiet.containers[container as usize];
            container.state = Ok(Reply::Answered(state.into()));
            container.process = process_of(process, traits);
        }
        (Step::State(container), found) => quiet.containers[container as usize].state = reply(found),
        (Step::Files, Found::Files(sorted)) => {
            for container in &mut quiet.containers {
                container.files = Ok(Vec::new());
            }
            for (container, files) in sorted.containers {
                quiet.containers[container as usize].files = Ok(files);
            }
            quiet.strays = Ok(sorted.strays);
        }
        (Step::Files, found) => {
            quiet.strays = names(found);
            for container in &mut quiet.containers {
                container.files.clone_from(&quiet.strays);
            }
        }
        (Step::Delete(container), found) => recoveries[container as usize][0] = reply(found),
        (Step::Create(container), found) => recoveries[container as usize][1] = reply(found),
        (Step::DeleteAgain(container), found) => recoveries[container as usize][2] = reply(found),
        (Step::Remains, found) => quiet.remains = names(found),
        (Step::Processes, found) => quiet.processes = names(found),
        (Step::Copy, _) => {}
    }
}

fn process_of(process: Option<Doing>, traits: &Traits) -> Observed<ProcessState> {
    match process {
        Some(doing) => Ok(doing.into()),
        None if traits.children => Err(Unobserved::lacking("its metadata names no process")),
        None => Err(NO_PROCESS),
    }
}

fn whole([delete, create, delete_again]: [Observed<Reply>; 3]) -> Observed<Recovery> {
    Ok(Recovery { delete: delete?, create: create?, delete_again: delete_again? })
}

fn reply(found: Found) -> Observed<Reply> {
    match found {
        Found::Answer(answer) | Found::State(answer, _) => Ok(Reply::Answered(answer.into())),
        Found::Nothing(why) => Ok(Reply::Silent(why)),
        Found::Lacking(why) => Err(Unobserved::Lacking(why.into())),
        Found::Files(_) | Found::Names(_) | Found::Done => missed(),
    }
}

fn names(found: Found) -> Observed<Vec<String>> {
    match found {
        Found::Names(names) => Ok(names),
        Found::Nothing(why) => Err(Unobserved::Missed(why)),
        Found::Lacking(why) => Err(Unobserved::Lacking(why.into())),
        Found::Answer(_) | Found::State(..) | Found::Files(_) | Found::Done => missed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_answered_is_a_silence_and_what_nobody_tried_is_missing() {
        let nothing = |step| Observation { step, found: Found::Nothing("no answer in time".into()) };
        let silence = Reply::Silent("no answer in time".into());
        // Two containers: state of the first, and the whole recovery of the second.
        let quiet = quiet_from([1, 8, 9, 10].map(nothing).to_vec(), 2, &Traits::NONE);
        let [first, second] = &quiet.containers[..] else { panic!("two containers") };
        assert_eq!(first.state, Ok(silence.clone()));
        assert!(matches!(second.state, Err(Unobserved::Missed(_))));
        assert!(matches!(first.recovery, Err(Unobserved::Missed(_))));
        assert_eq!(second.recovery.as_ref().map(|recovery| &recovery.delete), Ok(&silence));
        for unseen in [&quiet.strays, &quiet.remains, &quiet.processes, &first.files] {
            assert!(matches!(unseen, Err(Unobserved::Missed(_))), "{unseen:?}");
        }
        assert!(matches!(quiet.list, Err(Unobserved::Missed(_))));
    }

    #[test]
    fn what_a_subject_has_not_is_lacking() {
        let lacking = |step| Observation { step, found: Found::Lacking("no force-delete".into()) };
        let quiet = quiet_from([4, 5, 6, 7].map(lacking).to_vec(), 1, &Traits::NONE);
        assert_eq!(quiet.containers[0].recovery, Err(Unobserved::lacking("no force-delete")));
        assert_eq!(quiet.remains, Err(Unobserved::lacking("no force-delete")));
    }
}
