//! The zygote's side of the examination: gives the examiner its time, and no more.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::Duration;

use rustix::fs::MemfdFlags;

use super::{Found, Observation, Step, examine};
use crate::engine::stress::pause::is_over;
use crate::engine::stress::wire::Departure;
use crate::engine::stress::workers::Workers;
use crate::process::attention::{Attention, Deadline};

/// How often the zygote looks whether the examiner gets on.
const TICK_NS: u64 = 10_000_000;
/// Least time for one step.
const STEP_NS_MIN: u64 = 1_000_000_000;
/// Least time for all steps.
const ALL_NS_MIN: u64 = 60_000_000_000;

/// Has the root examined; gives back a observation a step, as far as they go.
pub(in crate::engine::stress) fn oversee(workers: &mut Workers<'_>) -> io::Result<Vec<Observation>> {
    let notes = Notes::new()?;
    let plan = workers.context.plan();
    let (containers, stall_ns) = (plan.containers, plan.stall_ns);
    let mut deadline = Deadline::after(Duration::from_nanos(ALL_NS_MIN.max(stall_ns.saturating_mul(3))));
    let mut step = 0;
    while Step::number(step, containers).is_some() {
        let departure = attend(workers, &notes, step, &mut deadline)?;
        step = notes.next_step()?;
        if departure.how == 0 || deadline.is_over() {
            break;
        }
        let why = stuck(&departure);
        for missed in step..=last_missed(step, containers) {
            notes.add(&Observation { step: missed, found: Found::Nothing(why.clone()) })?;
        }
        step = notes.next_step()?;
    }
    notes.read()
}

/// Lets an examiner work from this step on, until it ends or does not get on; gives back how it ended.
fn attend(
    workers: &mut Workers<'_>,
    notes: &Notes,
    first: u32,
    deadline: &mut Deadline,
) -> io::Result<Departure> {
    let examiner = workers.context.order.layout.examiner();
    let patience_ns = workers.context.plan().stall_ns.max(STEP_NS_MIN);
    workers.start(examiner, &|post| examine(post, first, &notes.file))?;
    let mut attention = Attention::begin();
    let mut seen = (notes.bytes()?, attention.now_ns());
    loop {
        if let Some(departure) = workers.wait(TICK_NS)?.pop() {
            return Ok(departure);
        }
        let (bytes, seen_ns) = (notes.bytes()?, attention.now_ns());
        if bytes != seen.0 {
            seen = (bytes, seen_ns);
        }
        // The user who stops a run wants an end, though not one without what there is to see.
        let patience_ns = if is_over(workers.context.region.control()) { STEP_NS_MIN } else { patience_ns };
        if deadline.is_over() || seen_ns > seen.1 + patience_ns {
            workers.kill(examiner);
        }
    }
}

fn stuck(departure: &Departure) -> String {
    match &departure.last_words {
        _ if departure.was_killed() => "no answer in time".into(),
        Some(words) => format!("the process that tried it died: {words}"),
        None => format!("the process that tried it ended with {}", departure.how),
    }
}

/// Where one step of a container's recovery failed to answer, the rest of its recovery is not tried.
fn last_missed(step: u32, containers: u32) -> u32 {
    match Step::number(step, containers) {
        Some(Step::Delete(_)) => step + 2,
        Some(Step::Create(_)) => step + 1,
        _ => step,
    }
}

/// Findings, a line each, in memory that outlives the examiner.
struct Notes {
    file: File,
}

impl Notes {
    fn new() -> io::Result<Self> {
        let file = rustix::fs::memfd_create("flockwork-notes", MemfdFlags::CLOEXEC)?;
        Ok(Self { file: File::from(file) })
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn add(&self, observation: &Observation) -> io::Result<()> {
        let mut line = serde_json::to_vec(observation)?;
        line.push(b'\n');
        (&self.file).write_all(&line)
    }

    /// The step behind the last that has its line; a line that was cut short is taken away.
    fn next_step(&self) -> io::Result<u32> {
        let text = self.text()?;
        let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
        self.file.set_len(whole as u64)?;
        // The position is shared with the examiners, past and to come.
        (&self.file).seek(SeekFrom::End(0))?;
        Ok(text[..whole].split_inclusive(|&byte| byte == b'\n').count() as u32)
    }

    fn read(&self) -> io::Result<Vec<Observation>> {
        let text = self.text()?;
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(io::Error::from)).collect()
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        (&self.file).seek(SeekFrom::Start(0))?;
        (&self.file).read_to_end(&mut text)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_cut_short_is_no_finding() {
        let notes = Notes::new().expect("notes");
        let observation = |step| Observation { step, found: Found::Done };
        notes.add(&observation(0)).expect("added");
        (&notes.file).write_all(b"{\"step\":1,\"fou").expect("cut short");
        assert_eq!(notes.next_step().expect("read"), 1);
        notes.add(&observation(1)).expect("added");
        let steps = notes.read().expect("whole lines").into_iter().map(|observation| observation.step);
        assert_eq!(steps.collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_stuck_recovery_is_left_as_a_whole() {
        let missed = (0..).map_while(|step| Step::number(step, 1).map(|_| last_missed(step, 1)));
        assert_eq!(missed.collect::<Vec<_>>(), [0, 1, 2, 3, 6, 6, 6, 7, 8]);
    }
}
