//! The site of a race: the copies, the spawner, and the commands with their programs found.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::command::{Command, CommandError, Placeholders, check_numbers, check_placeholders, names_state};
use super::containers::{self, Calls, Containers};
use super::error::RaceError;
use super::orders::Step;
use crate::disk::Image;
use crate::ground::{Backup, Folders, Ground, copied_bytes, copy, put_back_from};
use crate::plan::race::RacePlan;
use crate::plan::rounds::OciPlan;
use crate::process::spawner::{Bind, Network, Settings, Spawner, SpawnerError, Start, Unready};
use crate::process::{Marker, Zygote};
use crate::tracee::CommandLine;

/// How long what a command left in the background may go on by itself, before it counts as left behind.
const GRACE: Duration = Duration::from_secs(1);
/// The same, once it is known that it does not end.
const GRACE_KNOWN: Duration = Duration::from_millis(10);

/// A command with its program found.
#[derive(Clone, Debug)]
pub(crate) struct Ready {
    /// As it was written.
    pub text: String,
    program: PathBuf,
    words: Vec<String>,
}

/// Where executions take place.
#[derive(Debug)]
pub(crate) struct Site {
    pub spawner: Spawner,
    /// The containers that they share, where they are operations of a runtime. After the spawner: what is raced ends first.
    pub containers: Option<Containers>,
    pub ground: Folders,
    /// What a power loss left, where just that lies in the folders.
    pub laid: Option<Image>,
    /// The commands of each process.
    pub processes: Vec<Vec<Ready>>,
    pub observe: Option<Ready>,
    pub then: Vec<Ready>,
    pub time_limit: Duration,
    pub grace: Duration,
    /// What each state folder is worked on at.
    pub work: Vec<PathBuf>,
    /// The copies that lie in the places of folders, for commands alone.
    pub binds: Vec<Bind>,
    /// Whose network commands are in.
    pub network: Network,
    /// Variables that commands find set.
    pub environment: Vec<(String, String)>,
    /// What all commands carry, whoever starts them: they must not find themselves elsewhere when they are held.
    pub marker: String,
    /// Whether executions are judged by the commands' own orders.
    pub needs_orders: bool,
    folder: PathBuf,
    outputs: PathBuf,
    slots: u32,
    // Behind the spawner: whoever could still write is gone when it is put back.
    backup: Option<Backup>,
}

impl Site {
    /// Copies the folders, raises a spawner and runs the setup.
    pub fn open(zygote: &Zygote, plan: &RacePlan, root: &Path) -> Result<Self, RaceError> {
        if let Some(oci) = &plan.oci {
            return Self::of_containers(zygote, plan, oci, root);
        }
        must_lie_outside(plan, root)?;
        let copies = (1..=plan.state.len()).map(|number| root.join(format!("state{number}")));
        let work: Vec<PathBuf> = if plan.in_place { plan.state.clone() } else { copies.collect() };
        let kept = (1..=plan.state.len()).map(|number| root.join(format!("kept{number}")));
        let ground = Folders::new(work.iter().cloned().zip(kept));
        let backup = copy_all(plan, &work, root)?;
        let outputs = root.join("outputs");
        std::fs::create_dir_all(&outputs)
            .map_err(RaceError::failed("a folder for outputs cannot be made"))?;
        let all = commands(plan)?;
        let marker = Marker::next().to_string();
        let (spawner, binds) = spawner(zygote, plan, &work, &all, &marker)?;
        // Where the copies lie in their places, they are named by these: what is seen of a path must be what it is.
        let placeholders = placeholders(&binds, &work);
        let environment = filled(plan, &placeholders);
        let is_private = binds.len() == work.len() && !plan.in_place;
        let mut site = Self {
            spawner,
            containers: None,
            ground,
            laid: None,
            processes: Vec::new(),
            observe: None,
            then: Vec::new(),
            time_limit: Duration::from_nanos(plan.time_limit_ns),
            grace: GRACE,
            needs_orders: plan.modelled.is_none(),
            folder: plan.folder.clone(),
            outputs,
            slots: 0,
            work,
            binds,
            network: Network::Shared,
            environment,
            marker,
            backup,
        };
        let finder =
            Finder { plan, placeholders: &placeholders, work: is_private.then(|| site.work.clone()) };
        let setup = if plan.initial.is_some() { &[][..] } else { &all.setup };
        for command in setup {
            let ready = finder.ready(command)?;
            site.run_setup(&ready)?;
        }
        site.processes = all
            .processes
            .iter()
            .map(|commands| commands.iter().map(|command| finder.ready(command)).collect())
            .collect::<Result<_, _>>()?;
        site.observe = all.observe.as_ref().map(|command| finder.ready(command)).transpose()?;
        site.then = all.then.iter().map(|command| finder.ready(command)).collect::<Result<_, _>>()?;
        if site.then.is_empty() && !plan.faults.is_empty() && plan.modelled.is_none() {
            // What a killed command leaves must be fit for all of them to be run again.
            site.then = site.processes.iter().flatten().cloned().collect();
        }
        site.ground.settle()?;
        Ok(site)
    }

    /// Prepares containers of a runtime, whose operations the commands are.
    fn of_containers(
        zygote: &Zygote,
        plan: &RacePlan,
        oci: &OciPlan,
        root: &Path,
    ) -> Result<Self, RaceError> {
        Self::with_containers(zygote, plan, Containers::open(zygote, plan, oci, root)?, root)
    }

    /// One more site of a race whose containers were prepared elsewhere before.
    pub fn beside(zygote: &Zygote, plan: &RacePlan, root: &Path) -> Result<Self, RaceError> {
        let oci = plan.oci.as_ref().ok_or_else(|| RaceError::Failed("there is no runtime".into()))?;
        Self::with_containers(zygote, plan, Containers::beside(zygote, plan, oci, root)?, root)
    }

    fn with_containers(
        zygote: &Zygote,
        plan: &RacePlan,
        containers: Containers,
        root: &Path,
    ) -> Result<Self, RaceError> {
        let outputs = root.join("told");
        std::fs::create_dir_all(&outputs)
            .map_err(RaceError::failed("a folder for outputs cannot be made"))?;
        let (program, environment) = containers::program(containers.host());
        let binds = containers::binds(containers.host().runtime)?;
        let (marker, state) = (containers.host().ground.clone(), containers.host().root.clone());
        let network = containers.host().network();
        let settings = Settings {
            marker: marker.clone(),
            environment: environment.clone(),
            binds: binds.clone(),
            network,
            ..Settings::default()
        };
        let ready = |(text, words): (&String, Vec<String>)| Ready {
            text: text.clone(),
            program: program.clone(),
            words,
        };
        let processes = plan.processes.iter().zip(containers.words());
        Ok(Self {
            spawner: Spawner::open(zygote, settings)?,
            processes: processes.map(|(texts, words)| texts.iter().zip(words).map(ready).collect()).collect(),
            containers: Some(containers),
            ground: Folders::new(std::iter::empty()),
            laid: None,
            observe: None,
            then: Vec::new(),
            time_limit: Duration::from_nanos(plan.time_limit_ns),
            grace: GRACE_KNOWN,
            work: vec![state],
            binds,
            network,
            environment,
            marker,
            needs_orders: true,
            // Not the state: programs look at where they are, which concerns nobody.
            folder: PathBuf::from("/"),
            outputs,
            slots: 0,
            backup: None,
        })
    }

    /// The commands of a process, for a machine that holds them.
    pub fn command_lines(&self, process: usize) -> Vec<CommandLine> {
        let line = |ready: &Ready| CommandLine {
            program: ready.program.clone(),
            words: ready.words.clone(),
            environment: Vec::new(),
            folder: self.folder.clone(),
            stdin: None,
        };
        self.processes[process].iter().map(line).collect()
    }

    /// Where commands find the state folders.
    pub(crate) fn places(&self) -> Vec<PathBuf> {
        if self.binds.is_empty() || self.containers.is_some() {
            self.work.clone()
        } else {
            self.binds.iter().map(|bind| bind.place.clone()).collect()
        }
    }

    /// All commands, process by process.
    pub fn steps(&self) -> Vec<Step> {
        let counts = self.processes.iter().map(Vec::len).enumerate();
        counts.flat_map(|(process, count)| (0..count).map(move |index| (process, index))).collect()
    }

    /// What lies in the folders at first.
    pub fn initial(&mut self) -> Result<Vec<crate::ground::Capture>, RaceError> {
        self.put_back()?;
        Ok(self.ground.capture()?)
    }

    /// Ends all that could still write, and puts folders back that were worked on in place.
    pub fn close(self) -> Result<(), RaceError> {
        drop(self.spawner);
        if let Some(mut containers) = self.containers {
            containers.close()?;
        }
        Ok(self.backup.map_or(Ok(()), Backup::put_back)?)
    }

    /// Puts everything back to what it was at first.
    pub fn put_back(&mut self) -> Result<(), RaceError> {
        self.laid = None;
        if let Some(containers) = &mut self.containers {
            containers.put_back()?;
        }
        Ok(self.ground.put_back()?)
    }

    /// Looks at containers while what commands started still lives, where there are any.
    pub fn look(&mut self) -> Result<(), RaceError> {
        self.containers.as_mut().map_or(Ok(()), Containers::look)
    }

    fn run_setup(&mut self, ready: &Ready) -> Result<(), RaceError> {
        let done = self.run_alone(ready, "setup")?;
        if done.ending == super::outcome::Ending::Exited(0) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&done.stderr.text).trim().to_owned();
        let said =
            if said.is_empty() { String::from_utf8_lossy(&done.stdout.text).trim().to_owned() } else { said };
        let said = if said.is_empty() { String::new() } else { format!("; it said: {said}") };
        Err(RaceError::Usage(format!("--setup {:?}: {}{said}", ready.text, done.ending)))
    }

    /// A number for a command that is about to be started.
    pub fn next_slot(&mut self) -> u32 {
        self.slots += 1;
        self.slots
    }

    /// How a command is started; its outputs lie under this name.
    pub fn start(&self, ready: &Ready, slot: u32, name: &str) -> Start {
        Start {
            slot,
            program: ready.program.clone(),
            words: ready.words.clone(),
            environment: Vec::new(),
            folder: self.folder.clone(),
            stdin: None,
            stdout: self.stdout(name),
            stderr: self.stderr(name),
        }
    }

    /// Where the command of this name writes its stdout.
    pub fn stdout(&self, name: &str) -> PathBuf {
        self.outputs.join(format!("{name}.stdout"))
    }

    /// Where the command of this name writes its stderr.
    pub fn stderr(&self, name: &str) -> PathBuf {
        self.outputs.join(format!("{name}.stderr"))
    }

    /// What commands leave in the background does not end by itself: from now on nobody waits for it.
    pub fn know_daemons(&mut self) {
        self.grace = GRACE_KNOWN;
    }
}

/// All commands of a plan, read.
struct Commands {
    setup: Vec<Command>,
    processes: Vec<Vec<Command>>,
    observe: Option<Command>,
    then: Vec<Command>,
}

fn commands(plan: &RacePlan) -> Result<Commands, RaceError> {
    let usage = |error: CommandError| RaceError::Usage(error.to_string());
    let folders = plan.state.len().max(usize::from(plan.own_state));
    let parse =
        |text: &String| check_numbers(text, folders).and_then(|()| Command::parse(text)).map_err(usage);
    let all = |texts: &[String]| texts.iter().map(parse).collect::<Result<Vec<_>, _>>();
    for (_, value) in &plan.environment {
        check_placeholders(value)
            .and_then(|()| check_numbers(value, folders))
            .map_err(|error| RaceError::Usage(format!("--env: {error}")))?;
    }
    Ok(Commands {
        setup: all(&plan.setup)?,
        processes: plan.processes.iter().map(|texts| all(texts)).collect::<Result<_, _>>()?,
        observe: plan.observe.as_ref().map(parse).transpose()?,
        then: all(&plan.then)?,
    })
}

/// Checks what the commands and the folders of a plan say, without running anything.
pub(crate) fn check(plan: &RacePlan) -> Result<(), RaceError> {
    for (number, folder) in plan.state.iter().enumerate() {
        let mut others = plan.state.iter().enumerate().filter(|(other, _)| *other != number);
        if let Some((_, around)) = others.find(|(_, path)| folder.starts_with(path)) {
            return Err(RaceError::Usage(format!(
                "--state {} lies within --state {}: name only one of them",
                folder.display(),
                around.display()
            )));
        }
    }
    if plan.oci.is_some() {
        return Calls::read(plan).map(drop);
    }
    commands(plan).map(drop)
}

/// What commands write to lies below the root: where a copy is put in the place of a folder around it, nobody would find it.
fn must_lie_outside(plan: &RacePlan, root: &Path) -> Result<(), RaceError> {
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    match plan.state.iter().find(|folder| !plan.in_place && real.starts_with(folder)) {
        None => Ok(()),
        Some(around) => Err(RaceError::Usage(format!(
            "--root: {} lies in --state {}, where commands would not find it: give --root a folder elsewhere",
            real.display(),
            around.display()
        ))),
    }
}

/// Makes the copies, or a backup where the folders themselves are worked on.
fn copy_all(plan: &RacePlan, work: &[PathBuf], root: &Path) -> Result<Option<Backup>, RaceError> {
    // Where a run leaves its evidence is no part of the state, though it may lie in it.
    let leaves_out = |path: &Path| path == root || plan.leaves_out.iter().any(|left| path == left);
    if plan.in_place {
        let backup = Backup::take(&plan.state, &leaves_out)?;
        if let Some(initial) = &plan.initial {
            for (from, folder) in initial.iter().zip(&plan.state) {
                put_back_from(folder, from)?;
            }
        }
        return Ok(Some(backup));
    }
    for folder in &plan.state {
        copied_bytes(folder, &leaves_out)?;
    }
    for (folder, work) in plan.initial.as_ref().unwrap_or(&plan.state).iter().zip(work) {
        std::fs::create_dir_all(work).map_err(RaceError::failed("a copy cannot be made"))?;
        copy(folder, work, &leaves_out)?;
    }
    Ok(None)
}

/// What `{state}` stands for.
fn placeholders(binds: &[Bind], work: &[PathBuf]) -> Placeholders {
    let state = match binds {
        [] => work.to_vec(),
        binds => binds.iter().map(|bind| bind.place.clone()).collect(),
    };
    Placeholders { state }
}

/// The environment of commands.
fn filled(plan: &RacePlan, placeholders: &Placeholders) -> Vec<(String, String)> {
    let fill = |(name, value): &(String, String)| (name.clone(), placeholders.fill(value));
    plan.environment.iter().map(fill).collect()
}

/// The spawner, and which copies lie in the places of folders for what it starts: all or none.
fn spawner(
    zygote: &Zygote,
    plan: &RacePlan,
    work: &[PathBuf],
    all: &Commands,
    marker: &str,
) -> Result<(Spawner, Vec<Bind>), RaceError> {
    let binds =
        plan.state.iter().zip(work).map(|(place, copy)| Bind { copy: copy.clone(), place: place.clone() });
    let binds: Vec<Bind> = if plan.in_place { Vec::new() } else { binds.collect() };
    let settings = Settings {
        marker: marker.to_owned(),
        environment: filled(plan, &placeholders(&binds, work)),
        binds: binds.clone(),
        ..Settings::default()
    };
    match Spawner::open(zygote, settings.clone()) {
        Ok(spawner) => Ok((spawner, binds)),
        Err(SpawnerError::Unready(Unready::Namespace(why))) => {
            let names = |command: &Command| command.names_state();
            let is_named = all.processes.iter().flatten().any(names)
                || plan.environment.iter().any(|(_, value)| names_state(value));
            if !is_named {
                return Err(RaceError::Unsupported(format!(
                    "this machine allows no private mount namespace ({why}), so the copy cannot take the state folder's place: write {{state}}, the copy's path, where commands name the folder, such as --env TOOL_DIR={{state}}"
                )));
            }
            let environment = filled(plan, &placeholders(&[], work));
            let spawner = Spawner::open(zygote, Settings { binds: Vec::new(), environment, ..settings })?;
            Ok((spawner, Vec::new()))
        }
        Err(error) => Err(error.into()),
    }
}

/// Finds the program of each command line of the plan.
struct Finder<'p> {
    plan: &'p RacePlan,
    placeholders: &'p Placeholders,
    /// The copies, where they lie in the places of the folders.
    work: Option<Vec<PathBuf>>,
}

impl Finder<'_> {
    fn ready(&self, command: &Command) -> Result<Ready, RaceError> {
        let path =
            self.plan.environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
        let path = path
            .or_else(|| std::env::var("PATH").ok())
            .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        let seen_as = |path: &Path| self.seen_as(path);
        let program = command
            .find(self.placeholders, &self.plan.folder, &path, &seen_as)
            .map_err(|error| RaceError::Usage(error.to_string()))?;
        Ok(Ready { text: command.text.clone(), program, words: command.words(self.placeholders) })
    }

    /// Where a path, as commands see it, can be looked at from here.
    fn seen_as(&self, path: &Path) -> PathBuf {
        let folders = self.plan.state.iter().zip(self.work.iter().flatten());
        let within = folders.filter_map(|(folder, work)| Some(work.join(path.strip_prefix(folder).ok()?)));
        within.last().unwrap_or_else(|| path.to_owned())
    }
}
