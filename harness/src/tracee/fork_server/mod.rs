//! The fork server: a program is started once and stopped before its first visible step; each execution gets a clone of it
//! that goes on from exactly there. To execute, load and interpret is most of what an execution of a real program costs.
//!
//! It must never change a verdict. So a program is stopped early, before whatever a clone would not have or would share
//! ([`template`]); what cannot be cloned is started, one and all of an execution; where clones do what programs that are
//! started would not, the machine says so by an error, and whoever searches begins anew without them. A clone has the
//! pid that its program was started with, in a namespace of its own. Programs are started anew every now and then, as what
//! they read before they were stopped grows old.

#[cfg(target_arch = "x86_64")]
mod blob;
mod guard;
mod template;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::machine::{Machine, Result};
use super::memory::Memory;
use super::outside::Outside;
use super::settings::{Cloned, TraceeError};
use super::still::{Threads, descendants, descendants_by};
use super::task::{handle, innermost, process_of};
use super::tree::Heard;
use crate::books::deed::{Deed, Known, Target};
use crate::plan::race::ForkServer;
use crate::process::procfs;
use crate::process::sys::seccomp::{Notification, RENDEZVOUS, Reply};

/// The answer by which the code in a template makes the call that is written down.
const CALL: i64 = 0;
/// The answer by which a clone goes on as the program that it is.
const GO: i64 = 1;
/// How long a template serves.
const AGE_MAX: Duration = Duration::from_secs(1);
/// How many clones are made of one.
const CLONES_MAX: u64 = 200;
/// How long to wait for a stop before looking at the time.
const SOON: Duration = Duration::from_millis(1);
/// How long a clone may take to come.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a pid may take to be free again.
const FREE: Duration = Duration::from_secs(2);
/// The same where others of the execution are there already, one of whom may have it.
const FREE_BESIDE_OTHERS: Duration = Duration::from_millis(200);

/// A program that stands before its first visible step, ready to be cloned.
#[derive(Debug)]
pub(crate) struct Template {
    pub pid: u32,
    /// The pid that it was started with, which its clones have as well.
    pub own_pid: u32,
    /// The stop at which it waits for what it is to do.
    pub stop: Notification,
    /// Where the code lies that it waits in.
    page: u64,
    /// Open files whose offsets its clones must not share.
    files: Vec<Open>,
    /// Its working folder, where whoever puts the state folders back may have made that anew.
    pub folder: Option<String>,
    /// What it did outside of the state folders.
    outside: Outside,
    made: Instant,
    clones: u64,
    has_class: bool,
}

/// An open file, as it is opened anew for a clone.
#[derive(Debug)]
struct Open {
    number: u32,
    flags: i32,
    offset: u64,
}

/// What a machine knows of its fork server.
#[derive(Debug)]
pub(super) struct Forks {
    wanted: ForkServer,
    /// The pid namespace of all clones, and the first process in it.
    nest: Option<(u32, File)>,
    /// Whether programs are started for the moment.
    suspended: bool,
    /// Whether the programs of the execution at hand are clones.
    pub by_clone: bool,
    /// Why the execution at hand may not be what it would be had its programs been started.
    mistrust: Option<String>,
    told: Cloned,
    /// A clone that was heard of before its template said that it is there.
    early: Option<Notification>,
    /// Whether a clone could not be had because another process of the same execution has its number.
    has_met_its_number: bool,
}

impl Forks {
    pub fn new(wanted: ForkServer) -> Self {
        let told = Cloned::default();
        Self {
            wanted,
            nest: None,
            suspended: false,
            by_clone: false,
            mistrust: None,
            told,
            early: None,
            has_met_its_number: false,
        }
    }

    /// Whether a clone met its own number just now, which is forgotten: processes get numbers one after the other, so another beginning
    /// gets others.
    pub fn forgive_taken_number(&mut self) -> bool {
        let has = std::mem::take(&mut self.has_met_its_number);
        if has {
            self.told.refused = None;
        }
        has
    }

    fn can(&self) -> bool {
        !self.suspended && self.told.refused.is_none()
    }

    /// An execution begins.
    pub fn begin(&mut self) {
        self.by_clone = self.wanted == ForkServer::Auto && self.can();
        if self.by_clone {
            self.told.executions += 1;
        } else {
            self.told.started += 1;
        }
    }
}

/// Why a program cannot be cloned, in words.
type Unfit = String;

impl Machine {
    /// Whether the programs of executions are to be started for the moment, though they might be cloned.
    pub fn suspend_clones(&mut self, suspended: bool) {
        self.forks.suspended = suspended;
    }

    /// Whether the programs of the last execution were clones.
    #[must_use]
    pub fn ran_clones(&self) -> bool {
        self.forks.by_clone
    }

    /// What came of the fork server.
    #[must_use]
    pub fn cloned(&self) -> &Cloned {
        &self.forks.told
    }

    /// Sees to it that there is a fresh template of each command, where programs are to be cloned; whether that took anything.
    pub(super) fn prepare_clones(&mut self) -> bool {
        self.forks.mistrust = None;
        if self.forks.wanted == ForkServer::Off || !self.forks.can() {
            return false;
        }
        let is_fresh =
            |template: &Template| template.clones < CLONES_MAX && template.made.elapsed() < AGE_MAX;
        let are_there =
            self.trees.iter().zip(&self.lines).all(|(tree, lines)| {
                tree.templates.len() == lines.len() && tree.templates.iter().all(is_fresh)
            });
        if !are_there {
            self.drop_templates();
            match self.make_templates() {
                Ok(()) => self.forks.told.renewals += 1,
                Err(why) => {
                    self.drop_templates();
                    self.forks.told.refused = Some(why);
                }
            }
        }
        !are_there
    }

    /// What an execution showed: an error where its programs, had they been started, might have done something else.
    pub(super) fn vouch_for_clones(&mut self) -> Result<()> {
        if !self.forks.by_clone {
            return Ok(());
        }
        let mut templates = self.trees.iter().flat_map(|tree| &tree.templates);
        let changed = templates.find_map(|template| self.run.outside.changed_of(&template.outside));
        if let Some(path) = changed {
            let why = format!("{path}, outside the state folders, is read before the first step and changed");
            self.forks.mistrust.get_or_insert(why);
        }
        match self.forks.mistrust.take() {
            Some(why) => {
                self.forks.told.refused = Some(why.clone());
                Err(TraceeError::NotCloneable(why))
            }
            None => Ok(()),
        }
    }

    /// Notes what a clone comes to see that a program that is started would see otherwise.
    pub(super) fn mistrust_clones(&mut self, process: usize, tid: u32, known: &Known, outside: &[String]) {
        if !self.forks.by_clone || self.forks.mistrust.is_some() {
            return;
        }
        let own = self.trees[process].tasks.iter().find(|task| task.tid == tid).map(|task| task.pid);
        let tells_pids = |path: &String| {
            let Some(rest) = path.strip_prefix("/proc/") else { return false };
            let (first, rest) = rest.split_once('/').unwrap_or((rest, ""));
            match first.parse::<u32>() {
                // The numbers of processes in `/proc` are not those of the clones' namespace.
                Ok(pid) => Some(pid) != own || matches!(rest, "stat" | "status") || rest.starts_with("task"),
                Err(_) => first == "self" || first == "thread-self" || first == "locks" || first.is_empty(),
            }
        };
        if let Some(path) = outside.iter().find(|path| tells_pids(path) || *path == "/proc") {
            self.forks.mistrust = Some(format!("it asks {path} for processes"));
        } else if matches!(known, Deed::Signal(Target::All, _)) {
            self.forks.mistrust = Some("it signals all processes".into());
        }
    }

    /// The answer to a call that asks for a process outside of the clones' namespace: what it would be had the program been
    /// started. None where a call asks for nothing of the kind.
    pub(super) fn tell_clone(&self, process: usize, stop: &Notification) -> Option<Reply> {
        let asks_for_parent = stop.number == libc::SYS_getppid;
        if !asks_for_parent && stop.number != libc::SYS_getsid {
            return None;
        }
        let tree = &self.trees[process];
        let of_slot = |field: &str| innermost(tree.slot.pid, field);
        let [pid, own] = process_of(stop.task)?;
        let is_root = tree.root.as_ref().is_some_and(|(root, _)| *root == pid);
        let asked = stop.args[0] as u32;
        let told = match asks_for_parent {
            _ if !self.forks.by_clone => None,
            true if is_root => of_slot("NSpid:"),
            // Nobody of a session of its own stands before its first step.
            false if asked == 0 || asked == own => {
                innermost(pid, "NSsid:").filter(|session| *session == 0).and(of_slot("NSsid:"))
            }
            _ => None,
        };
        Some(told.map_or(Reply::Continue, |number| Reply::Value(number.into())))
    }

    /// All that descends from a process's slot, but for what stands ready to be cloned; clones that lost their parents among
    /// them, whosever they are.
    pub(super) fn family(&self, process: usize) -> Vec<u32> {
        self.family_by(process, procfs::children_of_single)
    }

    /// The same, where this tells the children of a process of one thread.
    pub(super) fn family_by(&self, process: usize, children: impl FnMut(u32) -> Vec<u32>) -> Vec<u32> {
        let tree = &self.trees[process];
        let knows_all = !tree.starting && !tree.lingers && !self.options.allow_uncontrolled;
        if knows_all && tree.starters.is_empty() {
            return tree.root.iter().map(|(root, _)| *root).collect();
        }
        let mut family = if knows_all && !tree.shares {
            descendants_by(tree.slot.pid, &tree.starters, children)
        } else {
            descendants(tree.slot.pid)
        };
        if !tree.templates.is_empty() {
            family.retain(|pid| tree.templates.iter().all(|template| template.pid != *pid));
        }
        if let Some((nest, _)) = self.forks.nest.as_ref().filter(|_| self.forks.by_clone) {
            family.extend(descendants(*nest));
        }
        family
    }

    /// How many threads the processes of a tree have.
    pub(super) fn threads_of(&self, process: usize) -> Threads {
        let may_be_many = self.trees[process].shares || self.options.allow_uncontrolled;
        if may_be_many { Threads::Any } else { Threads::One }
    }

    /// A process of a clone lost its parent: whose it is cannot be told.
    pub(super) fn note_orphans(&mut self) {
        let Some((nest, _)) = self.forks.nest.as_ref().filter(|_| self.forks.by_clone) else { return };
        if self.trees.iter().all(|tree| tree.starters.is_empty()) && !self.options.allow_uncontrolled {
            return;
        }
        let is_alive = |pid: u32| procfs::lives(pid);
        if descendants(*nest).into_iter().any(is_alive) {
            self.forks.mistrust.get_or_insert_with(|| "it leaves processes behind".into());
        }
    }

    /// Ends all that stands ready to be cloned.
    pub(super) fn drop_templates(&mut self) {
        for tree in &mut self.trees {
            for template in std::mem::take(&mut tree.templates) {
                _ = kill(Pid::from_raw(template.pid.cast_signed()), Signal::SIGKILL);
                // Where the slot is gone, so is what it started.
                _ = tree.slot.reap(template.pid);
            }
        }
    }

    /// Has a command begin as a clone.
    pub(super) fn start_clone(&mut self, process: usize, command: usize) -> Result<()> {
        let refuse = |machine: &mut Self, why: String| {
            machine.forks.told.refused = Some(why.clone());
            TraceeError::NotCloneable(why)
        };
        let child = match self.clone_of(process, command) {
            Ok(child) => child,
            Err(why) => return Err(refuse(self, why)),
        };
        let pid = child.task;
        let template = &mut self.trees[process].templates[command];
        template.clones += 1;
        if !template.has_class {
            self.real_time = false;
        }
        self.run.outside.add(&self.trees[process].templates[command].outside);
        let root = handle(pid)?;
        self.trees[process].has_root(pid, root);
        if let Err(why) = self.make_its_own(process, command, &child) {
            return Err(refuse(self, why));
        }
        let own = self.trees[process].templates[command].own_pid;
        self.trees[process].pids.push(own);
        self.watch(process);
        Ok(())
    }

    /// Has a template cloned; gives back the stop at which the clone waits.
    fn clone_of(&mut self, process: usize, command: usize) -> Result<Notification, Unfit> {
        let pid = {
            let Some(template) = self.trees[process].templates.get(command) else {
                return Err("a template is gone".into());
            };
            template.pid
        };
        let begun = Instant::now();
        let has_others = self.trees.iter().any(|tree| !tree.tasks.is_empty());
        let free = if has_others { FREE_BESIDE_OTHERS } else { FREE };
        loop {
            let stop = self.trees[process].templates[command].stop;
            self.forks.early = None;
            let next = if self.trees[process].templates[command].clones > 0 {
                // The call is written down already, and it is the only one that a template makes once it is ready.
                self.have_it_called(process, &stop)?
            } else {
                self.write_clone_call(process, command)?;
                self.have_it_called(process, &stop)?
            };
            self.trees[process].templates[command].stop = next;
            match guard::result(&next) {
                error if error == -i64::from(libc::EEXIST) && begun.elapsed() < free => {
                    // What the last execution left is about to be gone.
                    std::thread::sleep(Duration::from_micros(50));
                }
                error if error == -i64::from(libc::ENOENT) || error == -i64::from(libc::ENOTDIR) => {
                    let folder = self.trees[process].templates[command].folder.clone();
                    return Err(format!("its working folder {} is gone", folder.unwrap_or_default()));
                }
                error @ ..=0 => {
                    self.forks.has_met_its_number = error == -i64::from(libc::EEXIST) && has_others;
                    let error = io::Error::from_raw_os_error(error.unsigned_abs() as i32);
                    return Err(format!("the kernel does not clone it: {error}"));
                }
                _ => break,
            }
        }
        match self.forks.early.take() {
            Some(child) => Ok(child),
            None => self.hear_rendezvous(process, |task| task != pid),
        }
    }

    /// Writes down the calls by which a template is cloned: to the working folder, where that may have been made anew, and the
    /// clone itself. They carry the pass, so that they do not stop.
    fn write_clone_call(&self, process: usize, command: usize) -> Result<(), Unfit> {
        let tree = &self.trees[process];
        let Some(template) = tree.templates.get(command) else { return Err("a template is gone".into()) };
        let (page, memory) = (template.page, Memory(template.pid));
        let mut folder = 0;
        let write = |at: u64, bytes: &[u8]| {
            memory
                .write(page + at, bytes)
                .map_err(|error| format!("a template cannot be written to: {error}"))
        };
        if let Some(path) = &template.folder {
            write(guard::TEXT, &[path.as_bytes(), &[0]].concat())?;
            folder = page + guard::TEXT;
        }
        let clone = [libc::SYS_clone3.cast_unsigned(), page + guard::STRUCTURE, guard::CLONE_BYTES];
        let words = [clone[0], clone[1], clone[2], 0, 0, 0, tree.pass, folder];
        write(guard::TABLE, &words.map(u64::to_ne_bytes).concat())
    }

    /// Gives a clone what it must not share, and lets it go on.
    fn make_its_own(&mut self, process: usize, command: usize, child: &Notification) -> Result<(), Unfit> {
        let tree = &self.trees[process];
        let template = &tree.templates[command];
        for open in &template.files {
            let file = guard::open_anew(template.pid, open)
                .map_err(|error| format!("descriptor {} cannot be opened anew: {error}", open.number))?;
            let closes = open.flags & libc::O_CLOEXEC != 0;
            tree.slot
                .listener
                .give(child.id, file.as_fd(), Some(open.number), closes)
                .map_err(|error| format!("a descriptor cannot be given: {error}"))?;
        }
        match self.answer(process, child, Reply::Value(GO)) {
            Ok(true) => Ok(()),
            Ok(false) => Err("a clone is gone before it began".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Has a task that waits at a stop of its code make a call; gives back the stop at which it waits then, with the result.
    fn ask(
        &mut self,
        process: usize,
        page: u64,
        stop: &Notification,
        call: [i64; 7],
    ) -> Result<Notification, Unfit> {
        let words: Vec<u8> = call.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let failed = |what: &str, error: String| format!("{what}: {error}");
        Memory(stop.task)
            .write(page + guard::TABLE, &words)
            .map_err(|error| failed("a template cannot be written to", error.to_string()))?;
        self.have_it_called(process, stop)
    }

    /// The same for the call that is written down already.
    fn have_it_called(&mut self, process: usize, stop: &Notification) -> Result<Notification, Unfit> {
        let failed = |what: &str, error: String| format!("{what}: {error}");
        let answered = self.answer(process, stop, Reply::Value(CALL));
        if !answered.map_err(|error| failed("a template cannot be answered", error.to_string()))? {
            // It was interrupted and stops anew.
            let again = self.hear_rendezvous(process, |task| task == stop.task)?;
            let answered = self.answer(process, &again, Reply::Value(CALL));
            if !answered.map_err(|error| failed("a template cannot be answered", error.to_string()))? {
                return Err("a template is gone".into());
            }
        }
        self.hear_rendezvous(process, |task| task == stop.task)
    }

    /// The next stop of such a task in the code that was put into it. Calls that it is made to do are let through.
    fn hear_rendezvous(
        &mut self,
        process: usize,
        is_it: impl Fn(u32) -> bool,
    ) -> Result<Notification, Unfit> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let told = |error: TraceeError| error.to_string();
            let heard = self.trees[process].hear(SOON).map_err(|error| error.to_string())?;
            if heard != Heard::Stop {
                continue;
            }
            let Some(stop) = self.receive(process).map_err(told)? else { continue };
            let is_rendezvous = stop.number == libc::SYS_prctl && stop.args[0] as i32 == RENDEZVOUS;
            match (is_rendezvous, is_it(stop.task)) {
                (true, true) => return Ok(stop),
                (true, false) => self.forks.early = Some(stop),
                (false, _) => _ = self.answer(process, &stop, Reply::Continue).map_err(told)?,
            }
        }
        Err("a template does not answer".into())
    }

    /// The pid namespace of all clones, made when it is first asked for.
    fn nest(&mut self) -> io::Result<OwnedFd> {
        if self.forks.nest.is_none() {
            let first = self.spawner.nest()?;
            let namespace = File::open(format!("/proc/{first}/ns/pid"))?;
            self.also_watch(first);
            self.forks.nest = Some((first, namespace));
        }
        match &self.forks.nest {
            Some((_, namespace)) => Ok(namespace.try_clone()?.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Whether a stop is a clone's first call, by which it gets a process group of its own.
pub(super) fn is_start_of_clone(stop: &Notification) -> bool {
    stop.number == libc::SYS_setpgid && stop.args[..3] == [0, 0, u64::from(guard::OWN_GROUP)]
}
