//! The engine for commands: real processes that run a user's commands freely, and write down what each answered.
//!
//! On the harness's side there is little: copy the state, send the order, show progress, and read what was written down. A
//! supervisor, forked from the zygote, has the rest: it prepares each round and forks its workers and auditors.

mod auditor;
mod context;
mod delay;
mod look;
mod supervise;
mod wire;
mod worker;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::de::DeserializeOwned;

pub(crate) use self::supervise::raise;
use self::wire::{CommandsTask, Finished, Places, Report};
pub use self::wire::{Entry, Torn, Unusual};
use super::{Ended, Progress};
use crate::ground::{copied_bytes, copy};
use crate::plan::command::CommandPlan;
use crate::process::clock::now_ns;
use crate::process::region::{Layout, Region};
use crate::process::spawner::Bind;
use crate::process::{Channel, Marker, Zygote};
use crate::subject::command::fill;

/// How often progress is shown, and the wish to stop looked at.
const UPDATE: Duration = Duration::from_millis(100);

/// What a run of commands gives back.
#[derive(Debug)]
pub struct CommandRun {
    /// Every operation, by invocation.
    pub entries: Vec<Entry>,
    /// Files that were not whole, as many as are kept.
    pub torn: Vec<Torn>,
    /// How many reads found a file that was not whole.
    pub torn_total: u64,
    /// How often a watched file was read.
    pub audits: u64,
    /// Processes that were left over, by name, with how many there were.
    pub strays: Vec<(String, u64)>,
    /// Files outside of the state that commands change: they are not put back.
    pub touched: BTreeSet<String>,
    /// Why calls were not delayed, where they were to be: only the starts of commands were.
    pub unperturbed: Option<String>,
    /// How many rounds there were.
    pub rounds: u64,
    /// From the first invocation to the last return, in nanoseconds.
    pub duration_ns: u64,
    /// From the call of the engine to the first process's start, in nanoseconds.
    pub startup_ns: u64,
    /// Whether the budget was used up, or somebody stopped it.
    pub ended: Ended,
}

/// A run of commands that could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CommandRunError {
    /// What was asked for cannot be done so.
    #[error("{0}")]
    Usage(String),
    /// The machine lacks what it takes.
    #[error("{0}")]
    Unsupported(String),
    /// The harness failed.
    #[error("{0}")]
    Failed(String),
}

impl CommandRunError {
    fn failed(doing: &str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Failed(format!("{doing}: {error}"))
    }
}

/// Runs the plan in an empty folder. Setting `stop` ends it early and cleanly: what was seen until then is given back.
pub fn run(
    zygote: &Zygote,
    plan: &CommandPlan,
    root: &Path,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<CommandRun, CommandRunError> {
    let called_ns = now_ns();
    let places = Places::below(root);
    prepare(plan, &places)?;
    let binds = plan.state.iter().map(|place| Bind { copy: places.state.clone(), place: place.clone() });
    let region =
        Region::create(layout(plan)).map_err(CommandRunError::failed("shared memory is not available"))?;
    let finished = match conduct(zygote, plan, &places, binds.collect(), &region, stop, progress)? {
        Ok(finished) => finished,
        Err(_) if names_state(plan) => {
            let again = conduct(zygote, plan, &places, Vec::new(), &region, stop, progress)?;
            again.map_err(CommandRunError::Unsupported)?
        }
        Err(why) => {
            return Err(CommandRunError::Unsupported(format!(
                "this machine allows no private mount namespace ({why}), so the copy cannot take the state folder's place: write {{state}}, the copy's path, where commands, cwd or env name the folder"
            )));
        }
    };
    gather(plan, &places, &region, finished, called_ns, stop)
}

const fn layout(plan: &CommandPlan) -> Layout {
    Layout {
        workers: plan.processes,
        auditors: plan.auditors,
        containers: 0,
        worker_entries: 0,
        auditor_entries: 0,
        examiner_entries: 0,
        holds_per_entry: 0,
    }
}

/// Copies the state and makes the folders.
fn prepare(plan: &CommandPlan, places: &Places) -> Result<(), CommandRunError> {
    for folder in [&places.state, &places.records, &places.copies] {
        fs::create_dir_all(folder).map_err(CommandRunError::failed("a folder cannot be made"))?;
    }
    if let Some(state) = &plan.state {
        let leaves_out = |path: &Path| plan.leaves_out.iter().any(|left| path == left);
        let usage = |error: crate::ground::GroundError| CommandRunError::Usage(error.to_string());
        copied_bytes(state, &leaves_out).map_err(usage)?;
        copy(state, &places.state, &leaves_out).map_err(usage)?;
    }
    Ok(())
}

/// Whether commands name the state folder themselves.
fn names_state(plan: &CommandPlan) -> bool {
    let names = |text: &String| fill::has(text, "state");
    plan.operations.iter().any(|operation| operation.command.words.iter().any(names))
        || plan.environment.iter().any(|(_, value)| names(value))
        || names(&plan.folder)
}

/// Has a supervisor do the run; the inner error says why there is no mount namespace.
fn conduct(
    zygote: &Zygote,
    plan: &CommandPlan,
    places: &Places,
    binds: Vec<Bind>,
    region: &Region,
    stop: &AtomicBool,
    progress: &dyn Progress,
) -> Result<Result<Finished, String>, CommandRunError> {
    let lost = CommandRunError::failed;
    let (line, theirs) = Channel::pair().map_err(lost("no channel can be opened"))?;
    zygote.order_over(&super::ServerTask::Commands, theirs.as_fd()).map_err(lost("lost the zygote"))?;
    drop(theirs);
    let order = CommandsTask {
        plan: plan.clone(),
        layout: *region.layout(),
        marker: Marker::next().to_string(),
        binds,
        places: places.clone(),
    };
    let memory = region.memory();
    line.send(&order, Some(memory.as_fd())).map_err(lost("lost the supervisor"))?;
    loop {
        if stop.load(Ordering::Relaxed) {
            region.control().end.store(1, Ordering::Release);
        }
        show(region, plan, progress);
        if !line.wait(UPDATE).map_err(lost("lost the supervisor"))? {
            continue;
        }
        return match line.receive::<Report>().map_err(lost("lost the supervisor"))? {
            Some((Report::Finished(finished), _)) => Ok(Ok(finished)),
            Some((Report::NoNamespace(why), _)) => Ok(Err(why)),
            Some((Report::Usage(why), _)) => Err(CommandRunError::Usage(why)),
            Some((Report::Failed(why), _)) => Err(CommandRunError::Failed(why)),
            None => Err(CommandRunError::Failed("the supervisor of commands ended without a report".into())),
        };
    }
}

fn show(region: &Region, plan: &CommandPlan, progress: &dyn Progress) {
    let headers = region.headers();
    let workers = headers.iter().take(plan.processes as usize);
    let operations = workers.map(|header| header.completed.load(Ordering::Relaxed)).sum();
    progress.update(operations, headers.iter().map(|header| header.torn.load(Ordering::Relaxed)).sum());
}

/// Reads what workers and auditors wrote down.
fn gather(
    plan: &CommandPlan,
    places: &Places,
    region: &Region,
    finished: Finished,
    called_ns: u64,
    stop: &AtomicBool,
) -> Result<CommandRun, CommandRunError> {
    let failed = || CommandRunError::failed("what the processes wrote down cannot be read");
    let mut entries: Vec<Entry> = Vec::new();
    for process in 0..plan.processes {
        entries.extend(lines(&places.record_of(process)).map_err(failed())?);
    }
    entries.sort_by_key(|entry| entry.invoke_ns);
    let mut torn: Vec<Torn> = Vec::new();
    let auditors = plan.processes..plan.processes + plan.auditors;
    for process in auditors.clone() {
        torn.extend(lines(&places.record_of(process)).map_err(failed())?);
    }
    torn.sort_by_key(|torn| torn.at_ns);
    let lacking = entries.iter().find_map(|entry| match &entry.unusual {
        Some(Unusual::Lacking(why)) => Some(why.clone()),
        _ => None,
    });
    if let Some(why) = lacking {
        return Err(CommandRunError::Unsupported(format!("a command could not be started: {why}")));
    }
    let sum = |of: fn(&crate::process::region::Header) -> u64| {
        auditors.clone().map(|process| of(region.header(process))).sum()
    };
    let last_ns = entries.iter().filter_map(|entry| entry.return_ns).max();
    let first_ns = entries.first().map(|entry| entry.invoke_ns);
    Ok(CommandRun {
        torn_total: sum(|header| header.torn.load(Ordering::Relaxed)),
        audits: sum(|header| header.completed.load(Ordering::Relaxed)),
        duration_ns: last_ns.zip(first_ns).map_or(0, |(last, first)| last.saturating_sub(first)),
        startup_ns: finished.started_ns.saturating_sub(called_ns),
        rounds: finished.rounds,
        strays: finished.strays,
        touched: finished.touched,
        unperturbed: finished.unperturbed,
        ended: if stop.load(Ordering::Relaxed) { Ended::Interrupted } else { Ended::Completed },
        entries,
        torn,
    })
}

fn lines<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    BufReader::new(file).lines().map(|line| Ok(serde_json::from_str(&line?)?)).collect()
}
