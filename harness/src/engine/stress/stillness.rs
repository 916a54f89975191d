//! Stillness: notices that no operation ends any more, and says what everybody was doing.

use std::sync::atomic::Ordering;

use super::context::RunContext;
use super::wire::{Recording, Stillness};
use super::workers::Workers;
use crate::process::clock::now_ns;
use crate::process::log::Entry;
use crate::process::procfs::{self, Stat};
use crate::process::region::Region;

/// Watches whether operations end.
#[derive(Debug)]
pub(super) struct Pulse {
    completed: u64,
    since_ns: u64,
}

impl Pulse {
    pub fn new(now_ns: u64) -> Self {
        Self { completed: 0, since_ns: now_ns }
    }

    /// Looks again; gives back since when no operation of any worker has ended.
    pub fn feel(&mut self, context: &RunContext, now_ns: u64) -> u64 {
        let workers = context.region.headers().iter().take(context.plan().processes as usize);
        let completed = workers.map(|header| header.completed.load(Ordering::Relaxed)).sum();
        if completed != self.completed {
            *self = Self { completed, since_ns: now_ns };
        }
        self.since_ns
    }
}

/// How long operations may fail to end before that is a stall: longer where somebody may only be thinking.
pub(super) fn patience_ns(workers: &Workers<'_>) -> u64 {
    let context = workers.context;
    let mut workers = workers.living().filter(|&(process, _)| process < context.plan().processes);
    let busy = |process| open_entry(&context.region, process).is_some();
    let all_busy = context.order.recording == Recording::Full && workers.all(|(process, _)| busy(process));
    context.plan().stall_ns + if all_busy { 0 } else { *context.plan().think_ns.end() }
}

/// Says what everybody is doing.
pub(super) fn describe(workers: &Workers<'_>) -> Stillness {
    let region = &workers.context.region;
    let now_ns = now_ns();
    let waiting = workers.living().map(|(process, pid)| {
        let pid = pid.as_raw().cast_unsigned();
        // Where a fresh process acts for the worker, what that one waits for is of interest.
        let child = region.header(process).child.load(Ordering::Acquire);
        let acting = if child == 0 || child == u32::MAX { pid } else { child };
        let what = match open_entry(region, process) {
            Some(entry) => doing(workers.context, entry, now_ns),
            None => "between two operations".into(),
        };
        format!("process {process} (pid {acting}): {what}, {}", waits_in(acting))
    });
    Stillness { since_ns: last_return_ns(workers.context), waiting: waiting.collect() }
}

fn doing(context: &RunContext, entry: &Entry, now_ns: u64) -> String {
    let (operation, container) = entry.subject_matter();
    let object = container.map_or(String::new(), |index| format!(" {}", context.containers[index as usize]));
    let seconds = now_ns.saturating_sub(entry.invoke_ns()) as f64 / 1e9;
    format!("{operation}{object} for {seconds:.1} s")
}

fn waits_in(pid: u32) -> String {
    let state = Stat::of(pid).map_or('?', |stat| stat.state);
    match procfs::wait_channel(pid) {
        Some(channel) => format!("state {state} in {channel}"),
        None => format!("state {state}"),
    }
}

/// The operation that a process is in the midst of.
fn open_entry(region: &Region, process: u32) -> Option<&Entry> {
    let published = region.header(process).published.load(Ordering::Acquire);
    let entry = &region.entries(process)[published.checked_sub(1)? as usize];
    entry.return_ns().is_none().then_some(entry)
}

/// When the last operation of any worker had ended; the start, where none has.
fn last_return_ns(context: &RunContext) -> u64 {
    let last = |process| {
        let header = context.region.header(process);
        let published = header.published.load(Ordering::Acquire) as usize;
        let entries = &context.region.entries(process)[..published];
        let returned = entries.iter().rev().take(2).find_map(Entry::return_ns);
        returned.unwrap_or_else(|| header.started_ns.load(Ordering::Relaxed))
    };
    (0..context.plan().processes).map(last).max().unwrap_or(0)
}
