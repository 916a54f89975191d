//! How much of this machine a run may take, decided before anything is started.

use std::fs;

use rustix::process::{Resource, getrlimit};

use crate::engine::EngineError;
use crate::plan::{Budget, StressPlan};
use crate::process::region::Layout;

/// Most entries of all logs together, however much memory there is.
const ENTRIES_MAX: u64 = 64 << 20;
/// What one operation costs in memory until it is judged: its entry, its record, its hold of the lock, and the checks' share.
const BYTES_EACH: u64 = 384;
/// An operation holds its lock once, and some replicas twice; of an operation that goes over all containers and holds the
/// lock of each, the rest may be missing where there are many of them.
const HOLDS_PER_ENTRY: u32 = 2;
/// Most entries of an auditor's log: it slows down as the log fills, so that it always lasts.
const AUDITOR_ENTRIES_MAX: u64 = 1 << 20;
/// What one process costs, apart from its log: page tables, stacks, texts.
const PROCESS_BYTES: u64 = 1 << 20;

/// How many operations of the budget fall to one worker.
pub(super) fn quota(budget: Budget, workers: u32, worker: u32) -> u64 {
    match budget {
        Budget::Operations(operations) => {
            let workers = u64::from(workers);
            operations / workers + u64::from(u64::from(worker) < operations % workers)
        }
        Budget::DurationNs(_) => u64::MAX,
    }
}

/// Lays out the region for a plan, or says which limit the plan exceeds.
pub(super) fn layout(plan: &StressPlan) -> Result<Layout, EngineError> {
    let processes = u64::from(plan.processes) + u64::from(plan.auditors) + 2;
    if plan.processes == 0 || plan.containers == 0 || plan.mix.is_empty() {
        return Err(EngineError::Failed(
            "a stress run needs a worker, a container and an operation at least".into(),
        ));
    }
    let available = memory_available();
    check_processes(processes, process_limit())?;
    if processes * PROCESS_BYTES > available {
        let available = available >> 20;
        return Err(EngineError::Failed(format!(
            "{processes} processes need more memory than the {available} MiB free"
        )));
    }
    let cap = (available / BYTES_EACH).clamp(1 << 16, ENTRIES_MAX);
    let share = (cap / u64::from(plan.processes)).max(16);
    Ok(Layout {
        workers: plan.processes,
        auditors: plan.auditors,
        containers: plan.containers,
        worker_entries: share.min(quota(plan.budget, plan.processes, 0)).max(1),
        auditor_entries: AUDITOR_ENTRIES_MAX.min(cap / 8 / u64::from(plan.auditors.max(1))).max(16),
        // `list` and a `state` each, and one more of each that got stuck.
        examiner_entries: 2 * (u64::from(plan.containers) + 1),
        holds_per_entry: HOLDS_PER_ENTRY,
    })
}

/// How many processes this user may have, and which limit says so.
fn process_limit() -> (u64, &'static str) {
    let kernel = number("/proc/sys/kernel/pid_max").unwrap_or(u64::MAX);
    let threads = number("/proc/sys/kernel/threads-max").unwrap_or(u64::MAX);
    let user = if nix::unistd::geteuid().is_root() { None } else { getrlimit(Resource::Nproc).current };
    [
        (kernel, "/proc/sys/kernel/pid_max"),
        (threads, "/proc/sys/kernel/threads-max"),
        (user.unwrap_or(u64::MAX), "RLIMIT_NPROC (ulimit -u)"),
    ]
    .into_iter()
    .min()
    .expect("three limits")
}

fn check_processes(wanted: u64, (limit, name): (u64, &str)) -> Result<(), EngineError> {
    if wanted > limit {
        return Err(EngineError::Failed(format!("{wanted} processes are more than {name} allows: {limit}")));
    }
    Ok(())
}

/// Memory that can be had without swapping, in bytes, this control group's limit considered.
fn memory_available() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?.trim();
        line.strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let machine = machine.map_or(1 << 30, |kib| kib << 10);
    let group = number("/sys/fs/cgroup/memory.max")
        .and_then(|limit| Some(limit.saturating_sub(number("/sys/fs/cgroup/memory.current")?)));
    machine.min(group.unwrap_or(u64::MAX))
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_add_up() {
        for (operations, workers) in [(10, 3), (3, 10), (64, 64), (1, 1)] {
            let shares = (0..workers).map(|worker| quota(Budget::Operations(operations), workers, worker));
            assert_eq!(shares.clone().sum::<u64>(), operations);
            assert!(shares.clone().max().unwrap() - shares.min().unwrap() <= 1);
        }
    }

    #[test]
    fn too_many_processes_are_refused_by_the_limits_name() {
        let error = check_processes(100_000, (32_768, "pid_max")).expect_err("too many").to_string();
        assert!(error.contains("100000") && error.contains("pid_max") && error.contains("32768"), "{error}");
        assert!(check_processes(32_768, (32_768, "pid_max")).is_ok());
        assert!(memory_available() > 1 << 20);
    }
}
