//! Processes behind containers: what they do, and which are left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use flockwork::{ProcessIdentity, SandboxRecord, Standing};
use serde::Deserialize;
use serde_json::Value;

use super::Doing;
use crate::engine::stress::context::RunContext;
use crate::process::attention::Deadline;
use crate::process::procfs::{self, Stat};
use crate::process::{Marker, marker};

/// How long processes that were killed may take to be gone.
const DEATH_MAX: Duration = Duration::from_secs(1);

/// What the process does that a container's metadata names; `None` where it names none, is no JSON, or where that cannot
/// be told.
pub(super) fn of_metadata(path: &Path) -> Option<Doing> {
    let metadata = serde_json::from_slice::<Value>(&fs::read(path).ok()?).ok()?;
    let sandbox = metadata.get("sandbox")?;
    let pid = u32::try_from(sandbox.get("pid")?.as_u64()?).ok().filter(|&pid| pid > 0)?;
    match SandboxRecord::deserialize(sandbox).ok().and_then(|record| record.process) {
        Some(process) => doing(process),
        // Others than the library may record no more than a number.
        None => doing(ProcessIdentity::of(pid).unwrap_or_else(|| ProcessIdentity::new(pid, 0))),
    }
}

fn doing(process: ProcessIdentity) -> Option<Doing> {
    match process.standing() {
        Standing::Ended | Standing::Replaced => Some(Doing::Dead),
        Standing::Lives(Some(b'T' | b't')) => Some(Doing::Stopped),
        Standing::Lives(_) => Some(Doing::Running),
        Standing::Unknown => None,
    }
}

/// Processes of the run's sandboxes that are left, in words; those that are about to die are waited for.
pub(super) fn left(context: &RunContext) -> Vec<String> {
    let mut deadline = Deadline::after(DEATH_MAX);
    loop {
        let left = of_run(context);
        if left.is_empty() || deadline.is_over() {
            return left.into_iter().map(describe).collect();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Living processes that carry the run's marker or descend from its zygote, but for the calling process and the zygote.
/// What a subject forked and has not yet made another program carries no marker, but descends from the zygote.
pub(super) fn of_run(context: &RunContext) -> BTreeSet<u32> {
    let marked = context.order.marker.parse::<Marker>().map(|marker| marker::processes_of(&marker));
    let zygote = context.zygote.as_raw().cast_unsigned();
    let mut of_run =
        descendants(zygote).into_iter().chain(marked.into_iter().flatten()).collect::<BTreeSet<_>>();
    of_run.remove(&std::process::id());
    of_run.remove(&zygote);
    of_run
}

fn descendants(ancestor: u32) -> Vec<u32> {
    let parents = procfs::pids().into_iter().filter_map(|pid| {
        let stat = Stat::of(pid)?;
        (!stat.is_dead()).then_some((pid, stat.parent))
    });
    let parents = parents.collect::<BTreeMap<_, _>>();
    let descends = |&pid: &u32| {
        let mut line = std::iter::successors(parents.get(&pid).copied(), |pid| parents.get(pid).copied());
        // Bounded, because a list that is read while processes come and go might hold a circle.
        line.by_ref().take(64).any(|pid| pid == ancestor)
    };
    parents.keys().copied().filter(descends).collect()
}

fn describe(pid: u32) -> String {
    let name = procfs::name(pid).unwrap_or_else(|| "?".into());
    let state = Stat::of(pid).map_or('?', |stat| stat.state);
    format!("{name} (pid {pid}, state {state})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_from_its_successor() {
        let own = ProcessIdentity::own().expect("our own");
        assert_eq!(doing(own), Some(Doing::Running));
        assert_eq!(doing(ProcessIdentity::new(own.pid, own.start_time)), Some(Doing::Running));
        assert_eq!(doing(ProcessIdentity::new(own.pid, own.start_time + 1)), Some(Doing::Dead));
    }

    #[test]
    fn metadata_names_its_process() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("meta.json");
        let own = std::process::id();
        for (text, expected) in [
            (format!(r#"{{"sandbox":{{"pid":{own}}}}}"#), Some(Doing::Running)),
            (format!(r#"{{"sandbox":{{"pid":{own},"start_time":1}}}}"#), Some(Doing::Dead)),
            (r#"{"sandbox":null}"#.into(), None),
            (r#"{"sandbox":{"pid":0}}"#.into(), None),
            ("{".into(), None),
        ] {
            fs::write(&path, &text).expect("written");
            assert_eq!(of_metadata(&path), expected, "{text}");
        }
    }
}
