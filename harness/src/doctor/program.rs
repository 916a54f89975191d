//! The canary of programs: two real commands that add to a counter without a lock, held at their system calls. In turn
//! they leave 2; with the steps mixed so that both read first, they must leave 1.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Health, Probe};
use crate::explore::machine::{Chooser, Pick, Point};
use crate::explore::step::Event;
use crate::process::spawner::Network;
use crate::process::{Marker, Zygote};
use crate::scratch::Scratch;
use crate::tracee::{CommandLine, Machine, Options, Settings, TraceeError};

const NAME: &str = "programs";
/// What makes it cheap to know that all stand still.
const CLASS: &str = "class SCHED_FIFO";

const SHELL: &str = "/bin/sh";
const SCRIPT: &str = "read n < counter; echo $((n + 1)) > counter";

/// Holds two commands below `base`.
pub fn examine(zygote: &io::Result<Zygote>, base: &Path) -> Vec<Probe> {
    if !Path::new(SHELL).exists() {
        let detail = format!("not tried: {SHELL} is not there");
        return vec![Probe::new(NAME, Health::Optional, detail)];
    }
    let tried = match zygote {
        Ok(zygote) => hold(zygote, base),
        Err(error) => {
            let health =
                if error.kind() == io::ErrorKind::Unsupported { Health::Missing } else { Health::Broken };
            return vec![Probe::new(NAME, health, format!("no process can be started: {error}"))];
        }
    };
    match tried {
        Ok(Tried { in_turn: 2, mixed: 1, steps, has_class }) => {
            let detail = format!(
                "controlled two commands of {SHELL} for {steps} steps; interleaved, they lost an update, as they must"
            );
            vec![Probe::new(NAME, Health::Ok, detail), class(has_class)]
        }
        Ok(Tried { in_turn, mixed, .. }) => {
            let detail =
                format!("two commands that add 1 left {in_turn} in turn, and {mixed} when interleaved");
            vec![Probe::new(NAME, Health::Broken, detail)]
        }
        Err(TraceeError::Unsupported(why)) => {
            let advice = "programs can run, but cannot be controlled; in a container, allow the system call seccomp and /proc of child processes (with docker: --security-opt seccomp=unconfined)";
            vec![Probe::new(NAME, Health::Optional, format!("{why}; {advice}"))]
        }
        Err(error) => vec![Probe::new(NAME, Health::Broken, error.to_string())],
    }
}

fn class(there: bool) -> Probe {
    if there {
        return Probe::new(CLASS, Health::Ok, "one look shows that all tasks of a program are waiting");
    }
    let detail = "without it, programs with threads or children are explored more slowly (needs CAP_SYS_NICE and a second processor)";
    Probe::new(CLASS, Health::Optional, detail)
}

struct Tried {
    in_turn: u32,
    mixed: u32,
    steps: usize,
    has_class: bool,
}

fn hold(zygote: &Zygote, base: &Path) -> Result<Tried, TraceeError> {
    let scratch = Scratch::create(base).map_err(|error| io::Error::other(error.to_string()))?;
    let root = scratch.root();
    let [state, output] = ["state", "output"].map(|name| root.join(name));
    fs::create_dir_all(&state)?;
    fs::create_dir_all(&output)?;
    let mut machine = Machine::open(zygote, settings(&state, output))?;
    let mut left_by = |chooser: &mut dyn Chooser| -> Result<(u32, usize), TraceeError> {
        fs::write(state.join("counter"), "0\n")?;
        let execution = machine.run(&[], chooser, &mut ())?;
        let counter = fs::read_to_string(state.join("counter"))?;
        Ok((counter.trim().parse().unwrap_or(u32::MAX), execution.events.len()))
    };
    let (in_turn, _) = left_by(&mut InTurn)?;
    let (mixed, steps) = left_by(&mut BothReadFirst)?;
    Ok(Tried { in_turn, mixed, steps, has_class: machine.has_real_time() })
}

fn settings(state: &Path, scratch: PathBuf) -> Settings {
    let line = CommandLine {
        program: SHELL.into(),
        words: ["sh", "-c", SCRIPT].map(str::to_owned).to_vec(),
        environment: Vec::new(),
        folder: state.to_owned(),
        stdin: None,
    };
    Settings {
        marker: Marker::next().to_string(),
        environment: Vec::new(),
        binds: Vec::new(),
        network: Network::Shared,
        processes: vec![vec![line.clone()], vec![line]],
        folders: vec![state.to_owned()],
        scratch,
        processor: crate::tracee::any_processor(),
        options: Options::default(),
    }
}

/// One after the other.
struct InTurn;

impl Chooser for InTurn {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        point.enabled.lowest().map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}

/// Whoever is about to empty the counter waits until nobody else can go on.
struct BothReadFirst;

impl Chooser for BothReadFirst {
    fn choose(&mut self, point: &Point<'_>) -> Pick {
        let writes = |process: &usize| {
            let step = point.pending.get(*process).and_then(Option::as_ref);
            step.is_some_and(|step| step.label.contains("truncate"))
        };
        let reader = point.enabled.iter().find(|process| !writes(process));
        reader.or(point.enabled.lowest()).map_or(Pick::Abandon, Pick::Step)
    }

    fn happened(&mut self, _: &Event) {}
}
