//! A worker's life: choose, think, perform, record; until its share is done or the run is over.

use std::sync::atomic::Ordering;

use super::choice::Choices;
use super::context::Post;
use super::fresh;
use super::limits::quota;
use super::pause::{is_over, pause};
use super::wire::Recording;
use crate::process::clock::now_ns;
use crate::process::log::{Recorder, Unrecorded, Writer};
use crate::subject::{Request, Session};

/// Value of the control word `end` when the user wants the run to stop.
pub(super) const END_STOP: u32 = 1;
/// Value of the control word `end` when a log is full.
pub(super) const END_FULL: u32 = 2;
/// Value of the control word `end` when nobody gets anywhere.
pub(super) const END_STALL: u32 = 3;

/// Lives; gives back the exit code.
pub(super) fn work(post: &Post<'_>) -> i32 {
    let process = post.identity.process;
    let worked = match post.context.order.recording {
        Recording::Full => labour(post, &mut Writer::new(&post.context.region, process)),
        Recording::Off => labour(post, &mut Unrecorded::new(post.header())),
    };
    match worked {
        Ok(()) => 0,
        Err(code) => code,
    }
}

fn labour(post: &Post<'_>, recorder: &mut impl Recorder) -> Result<(), i32> {
    let mut session = if post.plan().fresh_processes { None } else { Some(post.open()?) };
    let mut perform = |recorder: &mut _, request: &Request| match &mut session {
        Some(session) => Ok(perform_recorded(session.as_mut(), recorder, request)),
        None => fresh::perform(post, recorder, request),
    };
    post.wait_at_barrier();
    let control = post.context.region.control();
    let deadline_ns = control.deadline_ns.load(Ordering::Acquire);
    let quota = quota(post.plan().budget, post.plan().processes, post.identity.process);
    let mut choices = Choices::new(post.plan(), post.identity.process);
    let mut last_return_ns = now_ns();
    _ = post.header().started_ns.compare_exchange(0, last_return_ns, Ordering::Relaxed, Ordering::Relaxed);
    while last_return_ns < deadline_ns && !is_over(control) {
        let Some(sequence) = recorder.next_sequence() else {
            // Exactly full is done, where the log was made for exactly this share.
            if post.context.region.layout().entries_of(post.identity.process) < quota {
                post.header().full.store(1, Ordering::Relaxed);
                _ = control.end.compare_exchange(0, END_FULL, Ordering::AcqRel, Ordering::Relaxed);
            }
            break;
        };
        if sequence >= quota {
            break;
        }
        let choice = choices.at(sequence);
        if sequence > 0 && choice.think_ns > 0 {
            pause(choice.think_ns, control);
            if is_over(control) {
                break;
            }
        }
        let request = Request { operation: choice.operation, container: choice.container, sequence };
        last_return_ns = perform(recorder, &request)?;
    }
    post.header().finished_ns.store(now_ns(), Ordering::Release);
    Ok(())
}

/// Performs one operation in this process; gives back when it returned.
#[inline]
pub(super) fn perform_recorded(
    session: &mut dyn Session,
    recorder: &mut impl Recorder,
    request: &Request,
) -> u64 {
    let container = (request.operation != flockwork::Operation::List).then_some(request.container);
    recorder.invoked(request.operation, container);
    let answer = session.perform(request);
    recorder.returned(request.operation, &answer)
}
