//! An auditor's life: read the metadata of one container after the other, with or without the lock, and change nothing.

use std::sync::atomic::Ordering;

use flockwork::Operation;

use super::choice::Draws;
use super::context::Post;
use super::pause::{is_over, pause};
use crate::history::{Outcome, Reason};
use crate::plan::Audit;
use crate::process::log::{Recorder, Writer};
use crate::subject::{Answer, Request};

/// Auditors' draws are apart from the workers', whose streams are their numbers.
const STREAMS: u64 = 1 << 32;
const PAUSE_NS_MIN: u64 = 20_000;
const PAUSE_NS_MAX: u64 = 200_000;
/// A pause is never stretched beyond this.
const PAUSE_NS_LONGEST: u64 = 1_000_000_000;

/// Lives; gives back the exit code.
pub(super) fn audit(post: &Post<'_>) -> i32 {
    match look_around(post) {
        Ok(()) => 0,
        Err(code) => code,
    }
}

fn look_around(post: &Post<'_>) -> Result<(), i32> {
    let process = post.identity.process;
    let plan = post.plan();
    let mut session = post.open()?;
    let mut writer = Writer::new(&post.context.region, process);
    let capacity = post.context.region.layout().entries_of(process);
    let mut draws = Draws::new(plan.seed, STREAMS + u64::from(process));
    post.wait_at_barrier();
    let control = post.context.region.control();
    while !is_over(control) && control.workers_left.load(Ordering::Acquire) == 0 {
        let Some(sequence) = writer.next_sequence() else { break };
        let container = draws.below(u64::from(plan.containers)) as u32;
        writer.invoked(Operation::State, Some(container));
        let answer = match plan.audit {
            Audit::LockFree => as_state(session.audit(container)),
            Audit::Locked => session.perform(&Request { operation: Operation::State, container, sequence }),
        };
        writer.returned(Operation::State, &answer);
        // Each time half of what was left of the log is used, go half as fast: so it lasts for any run.
        let halvings = (capacity / writer.room().max(1)).max(1).ilog2();
        let pause_ns = draws.within(&(PAUSE_NS_MIN..=PAUSE_NS_MAX)) << halvings;
        pause(pause_ns.min(PAUSE_NS_LONGEST), control);
    }
    Ok(())
}

/// An audit's answer in the terms of `state`: an absent container is refused there.
fn as_state(answer: Answer) -> Answer {
    match (answer.outcome, answer.status) {
        (Outcome::Ok, None) => Answer { outcome: Outcome::Refused, reason: Some(Reason::Absent), ..answer },
        _ => answer,
    }
}
