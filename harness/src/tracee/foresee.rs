//! Looking ahead: what a stopped call will do, and whether it concerns anybody.

use std::cell::RefCell;
use std::os::unix::fs::MetadataExt;

use super::behalf;
use super::decode::{self, Recording};
use super::descriptors::Moved;
use super::machine::{Machine, Result};
use super::memory::Memory;
use super::outside::keeps_nothing;
use super::owner::Closing;
use super::paths::{Found, Naming};
use super::task::{Held, information, process_of};
use crate::books::deed::{At, Deed, Known, LockKind, Mapping, Target, Told};
use crate::books::places::Kind;
use crate::books::prediction::{Actor, Effect, Prediction, life, predict};
use crate::explore::step::Access;
use crate::plan::race::Sleeps;
use crate::process::sys::seccomp::{Notification, Reply};

/// What is to become of a stop.
pub(super) enum Foreseen {
    /// It is answered at once.
    Reply(Reply),
    /// It may be a step.
    Perhaps(Known),
}

impl Machine {
    /// Looks ahead; a task that does what concerns nobody goes on at once, every other is held.
    pub(super) fn foresee(&mut self, process: usize, stop: Notification) -> Result<()> {
        let tid = stop.task;
        let recording = if self.options.records_bytes { Recording::Bytes } else { Recording::Lengths };
        let told = decode::decode(&stop, Memory(tid), recording);
        if let Some(task) = self.trees[process].task(tid) {
            task.open.stopped(&told);
        }
        self.judge_apart(process, &stop)?;
        if let Some(reply) = self.spare(process, &stop, &told)? {
            self.answer(process, &stop, reply)?;
            return Ok(());
        }
        if let Some(reply) = self.note_timer(process, &stop) {
            self.answer(process, &stop, reply)?;
            return Ok(());
        }
        self.trees[process].copies |= matches!(told, Deed::Duplicate(_) | Deed::Replace { .. });
        let told = self.last_thread(process, &stop, told);
        match self.judge(process, tid, &told)? {
            Foreseen::Reply(reply) => {
                self.answer(process, &stop, reply)?;
                Ok(())
            }
            Foreseen::Perhaps(known) => self.weigh(process, stop, told, known),
        }
    }

    /// What can be said without looking at files.
    pub(super) fn judge(&mut self, process: usize, tid: u32, told: &Told) -> Result<Foreseen> {
        use Foreseen::Reply as Answer;
        Ok(match told {
            Deed::Nothing | Deed::Duplicate(_) => Answer(Reply::Continue),
            Deed::SyncAll if !self.options.keeps_journal => Answer(Reply::Continue),
            Deed::Ready => Answer(Reply::Error(nix::errno::Errno::EINVAL)),
            Deed::Pretend => Answer(Reply::Value(0)),
            Deed::Absent(name) if self.options.allow_uncontrolled => {
                self.refuse(process, tid, name, "is not controlled")?;
                Answer(Reply::Continue)
            }
            Deed::Absent(name) => Answer(self.not_there(name)),
            Deed::Refused(call, why) => {
                self.refuse(process, tid, call, why)?;
                Answer(Reply::Continue)
            }
            Deed::Start(flags) => {
                self.judge_start(process, tid, *flags)?;
                self.trees[process].starts(tid, *flags);
                Answer(Reply::Continue)
            }
            Deed::Exit(None) => {
                self.trees[process].tasks.retain(|task| task.tid != tid);
                Answer(Reply::Continue)
            }
            Deed::Sleep(_) | Deed::Await(..) if self.options.sleeps == Sleeps::Real => {
                if !self.run.is_perturbed {
                    self.run.left.uncertain.insert(format!("p{} slept in real time", process + 1));
                }
                Answer(Reply::Continue)
            }
            Deed::Sleep(time)
                if self.trees[process].seen.is_empty()
                    && !self.trees[process].holds_any()
                    && !self.trees[process].sleeps_on()
                    && !self.is_timed(process, *time) =>
            {
                // It waits for nothing: any pause of its own is one that the choice of who goes next makes anyhow. Where
                // another task of its own is held it may sleep for that one, again and again, as Go's monitor does.
                let tree = &mut self.trees[process];
                tree.slept_ns = tree.slept_ns.saturating_add(*time);
                tree.idle_sleeps += 1;
                Answer(Reply::Value(0))
            }
            Deed::Await(waited, _) => {
                let task = self.trees[process].tasks.iter().find(|task| task.tid == tid);
                if task.is_some_and(|task| behalf::is_ready(task, waited)) {
                    return Ok(Answer(Reply::Continue));
                }
                self.know(process, tid, told)?
            }
            Deed::AskFolder => match self.working_folder(process, tid) {
                // Whoever moves a folder on the way changes what it is told.
                Some(path) => {
                    let at = At { folder: libc::AT_FDCWD, path };
                    self.know(process, tid, &Deed::Look(at, true))?
                }
                None => Answer(Reply::Continue),
            },
            _ => self.know(process, tid, told)?,
        })
    }

    /// The working folder of a task, where that lies below a state folder.
    fn working_folder(&mut self, process: usize, tid: u32) -> Option<String> {
        let path = std::fs::read_link(format!("/proc/{tid}/cwd")).ok()?;
        let path = path.to_str()?.to_owned();
        let task = self.trees[process].task(tid)?;
        task.folder = Some(path.clone());
        self.paths.is_below(&path).then_some(path)
    }

    /// Finds out which files a deed is about.
    fn know(&mut self, process: usize, tid: u32, told: &Told) -> Result<Foreseen> {
        let mut outside = Vec::new();
        let locks = matches!(told, Deed::Lock { .. } | Deed::Unlock { .. } | Deed::QueryLock { .. });
        let naming = match told {
            Deed::Unlink(_) | Deed::RemoveFolder(_) | Deed::Rename { .. } => Naming::Ends,
            _ => Naming::Stays,
        };
        let known = {
            let Some(at) = self.trees[process].tasks.iter().position(|task| task.tid == tid) else {
                return Self::broken("an unknown task stopped");
            };
            let both = RefCell::new((&mut self.paths, &mut self.trees[process].tasks[at]));
            told.clone().map(
                |at, follow| {
                    let (paths, task) = &mut *both.borrow_mut();
                    match paths.find(process, task, &at, follow, naming) {
                        Found::Inside(place) => Some(place),
                        Found::Outside(path) => {
                            outside.push(path);
                            None
                        }
                    }
                },
                |fd| {
                    let (paths, task) = &mut *both.borrow_mut();
                    if locks {
                        paths.lockable(process, task, fd.0)
                    } else {
                        paths.descriptor(process, task, fd.0)
                    }
                },
            )
        };
        self.run.outside.note(process, &known, &outside);
        self.mistrust_clones(process, tid, &known, &outside);
        self.note_outside(&known, &outside);
        if let Some(reply) = self.beyond_files(process, tid, told, &known, &outside)? {
            return Ok(Foreseen::Reply(reply));
        }
        if let Some(other) = outside.first().and_then(|path| self.told_of(process, path)) {
            let label = format!("look at p{}", other + 1);
            return Ok(Foreseen::Perhaps(Known::Refused(label, LOOK)));
        }
        Ok(Foreseen::Perhaps(known))
    }

    /// Changes outside are told, once each.
    fn note_outside(&mut self, known: &Known, outside: &[String]) {
        let changes_names = matches!(
            known,
            Deed::Rename { .. }
                | Deed::Link { .. }
                | Deed::Symlink(..)
                | Deed::Unlink(_)
                | Deed::MakeFolder(_)
                | Deed::RemoveFolder(_)
        );
        if !known.changes_what_it_names() || outside.is_empty() {
            return;
        }
        if changes_names {
            if let Deed::Rename { from: Some(_), to: None, .. }
            | Deed::Rename { from: None, to: Some(_), .. } = known
            {
                self.run.left.renamed_across.extend(outside.iter().cloned());
            }
            self.paths.forget_outside();
        }
        let is_told = |path: &&String| !keeps_nothing(path) || path.starts_with("/sys/");
        self.run.left.touched_outside.extend(outside.iter().filter(is_told).cloned());
    }

    /// What reaches beyond files: answered, refused, or nothing of it.
    fn beyond_files(
        &mut self,
        process: usize,
        tid: u32,
        told: &Told,
        known: &Known,
        outside: &[String],
    ) -> Result<Option<Reply>> {
        match (told, known) {
            (Deed::Control(_, call, how), Deed::Control(Some(file), ..)) => {
                self.refuse(process, tid, call, &format!("{how}: {}", file.shown))?;
                Ok(Some(Reply::Continue))
            }
            (Deed::Map(_, how), Deed::Map(Some(file), _)) if *how != Mapping::Private => {
                let why = format!("shares memory through {}", file.shown);
                self.refuse(process, tid, "mmap", &why)?;
                Ok(None)
            }
            (Deed::Map(fd, Mapping::SharedWritable), Deed::Map(None, _)) => {
                let path = std::fs::read_link(format!("/proc/{tid}/fd/{}", fd.0)).unwrap_or_default();
                let path = path.to_string_lossy();
                let is_own =
                    path.ends_with(" (deleted)") || path.starts_with("/dev/zero") || !path.starts_with('/');
                if !is_own {
                    self.refuse(process, tid, "mmap", &format!("shares memory through {path}"))?;
                }
                Ok(Some(Reply::Continue))
            }
            (Deed::Connect(path), Deed::Connect(None | Some(None))) => {
                self.judge_connection(process, tid, path.is_some().then_some(outside))
            }
            (Deed::Bind(_), Deed::Bind(None)) => {
                let path = outside.first().map_or("", String::as_str);
                self.refuse(process, tid, "bind", &format!("listens at {path}"))?;
                Ok(Some(Reply::Continue))
            }
            (Deed::Watch(_), Deed::Watch(Some(place))) => {
                let why = format!("watches {}", place.shown);
                self.refuse(process, tid, "inotify_add_watch", &why)?;
                Ok(Some(Reply::Continue))
            }
            (Deed::Exec(_), _) => {
                let path = outside.first().map(|path| format!("/proc/{tid}/root{path}"));
                let gains =
                    |path: String| std::fs::metadata(path).is_ok_and(|file| file.mode() & libc::S_ISUID != 0);
                if !nix::unistd::geteuid().is_root() && path.is_some_and(gains) {
                    let path = outside.first().map_or("", String::as_str);
                    let why = format!("starts {path}, which gains no privileges under control");
                    self.refuse(process, tid, "execve", &why)?;
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn judge_connection(
        &mut self,
        process: usize,
        tid: u32,
        path: Option<&[String]>,
    ) -> Result<Option<Reply>> {
        /// Daemons that the C library asks first, and does without where they are not there.
        const ASKED_FIRST: [&str; 2] = ["/run/nscd/socket", "/var/run/nscd/socket"];
        let Some(path) = path else {
            self.refuse(process, tid, "connect", "talks to a process that is not under control")?;
            return Ok(Some(Reply::Continue));
        };
        let path = path.first().map_or("", String::as_str);
        if ASKED_FIRST.contains(&path) {
            return Ok(Some(Reply::Error(nix::errno::Errno::ECONNREFUSED)));
        }
        if std::fs::symlink_metadata(format!("/proc/{tid}/root{path}")).is_ok() {
            self.refuse(process, tid, "connect", &format!("talks to the process that listens at {path}"))?;
        }
        Ok(Some(Reply::Continue))
    }

    /// Whether a path outside tells of another process under control.
    fn told_of(&self, process: usize, path: &str) -> Option<usize> {
        let pid = path.strip_prefix("/proc/")?.split('/').next()?.parse().ok()?;
        self.trees.iter().position(|tree| tree.has(pid)).filter(|other| *other != process)
    }

    /// Predicts what a deed will do; holds its task where that concerns anybody.
    fn weigh(&mut self, process: usize, stop: Notification, told: Told, known: Known) -> Result<()> {
        let prediction = self.predict(process, stop.task, &told, &known)?;
        let tid = stop.task;
        let is_end = matches!(known, Deed::Exit(Some(_)))
            && self.trees[process].root.as_ref().is_some_and(|(root, _)| {
                self.trees[process].tasks.iter().any(|task| task.tid == tid && task.pid == *root)
            });
        let is_private = prediction.is_private() && self.touches_disk(&known, &prediction).is_none();
        if is_private && !is_end {
            if self.is_to_wait(process, tid, &known) {
                self.keep(process, stop, known);
                return Ok(());
            }
            self.ends_others(process, tid, &known);
            self.go_on(process, tid, &known);
            self.journal(process, tid, &told, known);
            self.answer(process, &stop, Reply::Continue)?;
            return Ok(());
        }
        let until_ns = match &told {
            Deed::Sleep(time) | Deed::Await(_, time) => {
                Some(self.trees[process].slept_ns.saturating_add(*time))
            }
            _ => None,
        };
        let held = Held { stop, told, known, prediction, since: self.run.depth, until_ns };
        match self.trees[process].task(tid) {
            Some(task) => task.held = Some(held),
            None => return Self::broken("an unknown task stopped"),
        }
        Ok(())
    }

    /// Foresees anew what a held task will do: it stays held, whatever that is.
    pub(super) fn hold_again(&mut self, process: usize, stop: Notification) -> Result<()> {
        let Some(held) = self.trees[process].task(stop.task).and_then(|task| task.held.take()) else {
            return Ok(());
        };
        let known = match self.know(process, stop.task, &held.told)? {
            Foreseen::Perhaps(known) => known,
            Foreseen::Reply(_) => held.known,
        };
        let prediction = self.predict(process, stop.task, &held.told, &known)?;
        if let Some(task) = self.trees[process].task(stop.task) {
            task.held = Some(Held { known, prediction, ..held });
        }
        Ok(())
    }

    /// What is known of a task changes as it goes on.
    pub(super) fn go_on(&mut self, process: usize, tid: u32, known: &Known) {
        self.move_names(&Moved::by(known));
        let tree = &mut self.trees[process];
        match known {
            Deed::ChangeFolder(_) | Deed::ChangeFolderTo(_) => {
                // Threads share it, and whether the call succeeds is not known yet.
                tree.tasks.iter_mut().for_each(|task| task.folder = None);
            }
            Deed::Exit(Some(_)) => {
                let pid = tree.task(tid).map_or(tid, |task| task.pid);
                tree.tasks.retain(|task| task.pid != pid);
            }
            Deed::Exec(_) => {
                let pid = tree.task(tid).map_or(tid, |task| task.pid);
                tree.tasks.retain(|task| task.pid != pid || task.tid == tid);
            }
            Deed::Open(Some(place), _)
                if place.file.as_ref().is_some_and(|file| file.kind == Kind::Channel) =>
            {
                tree.has_channel = true;
            }
            Deed::Connect(Some(Some(_))) | Deed::Bind(Some(_)) => tree.has_channel = true,
            _ => {}
        }
    }

    /// What a deed will do.
    pub(super) fn predict(
        &mut self,
        process: usize,
        tid: u32,
        told: &Told,
        known: &Known,
    ) -> Result<Prediction> {
        if let Deed::Refused(label, LOOK) = known {
            let pid = label.trim_start_matches("look at p").parse::<usize>().unwrap_or(1);
            let mut look = Prediction::new(label.clone());
            look.touches.push((life(pid - 1), Access::Read));
            return Ok(look);
        }
        let (owner, may_lock) = self.lock_of(process, tid, told);
        let closing = match told {
            Deed::Close(fd) => self.closing(process, tid, Closing::One(*fd)),
            Deed::Replace { to, .. } => self.closing(process, tid, Closing::One(*to)),
            Deed::CloseRange(first, last) => self.closing(process, tid, Closing::Range(*first, *last)),
            Deed::Exec(_) => self.closing(process, tid, Closing::OnExec),
            Deed::Exit(Some(_)) => self.closing(process, tid, Closing::All),
            _ => Vec::new(),
        };
        let signalled = match told {
            Deed::Signal(target, _) => self.signalled(process, *target),
            Deed::SignalBy(fd, _) => {
                let pid = information(tid, fd.0).and_then(|known| known.process);
                let pid = pid.map(|pid| process_of(pid).map_or(pid, |[_, own]| own));
                pid.and_then(|pid| self.signalled(process, Target::Task(pid.cast_signed())))
            }
            _ => None,
        };
        let seen = std::mem::take(&mut self.trees[process].seen);
        let actor = Actor { process, owner, may_lock, closing, seen: &seen, signalled, is_alone: false };
        let predicted = self.predict_end(process, tid, known, &actor);
        let predicted = predicted.unwrap_or_else(|| predict(known, &actor, &mut self.locks));
        self.trees[process].seen = seen;
        match predicted {
            Ok(mut prediction) => {
                if prediction.effect == Effect::Sleep {
                    prediction.gate = self.gate_of_sleep(process, tid, told, prediction.gate);
                }
                let is_channel = |file: &Option<crate::books::places::File>| {
                    file.as_ref().is_some_and(|file| file.kind == Kind::Channel)
                };
                // Whoever waits at the other end hears of it.
                let closes_channel = match known {
                    Deed::Close(file) | Deed::Replace { to: file, .. } => is_channel(file),
                    Deed::Exit(Some(_)) => self.trees[process].has_channel,
                    _ => false,
                };
                prediction.is_opaque |= closes_channel;
                if closes_channel && prediction.label.is_empty() {
                    prediction.label = "exit of a child".into();
                }
                Ok(prediction)
            }
            Err(why) => {
                self.refuse(process, tid, &call_of(known), why)?;
                Ok(Prediction::opaque(known.label()))
            }
        }
    }

    /// The end of a process of the tree that is not its command: only what it holds is for others to see.
    fn predict_end(
        &self,
        process: usize,
        tid: u32,
        known: &Known,
        actor: &Actor<'_>,
    ) -> Option<Result<Prediction, &'static str>> {
        let Deed::Exit(Some(_)) = known else { return None };
        let tree = &self.trees[process];
        let pid = tree.tasks.iter().find(|task| task.tid == tid)?.pid;
        if tree.root.as_ref().is_some_and(|(root, _)| *root == pid) {
            return None;
        }
        if actor.closing.is_empty() {
            return Some(Ok(Prediction::new("")));
        }
        // As if its descriptors were closed.
        let mut end = predict(&Deed::Close(None), actor, &mut self.locks.clone());
        if let Ok(end) = &mut end {
            end.label = "exit of a child".into();
        }
        Some(end)
    }

    /// Notes who maps a file, and who writes one that another has mapped.
    pub(super) fn note_mapped(&mut self, process: usize, known: &Known, prediction: &Prediction) {
        if let Deed::Map(Some(file), _) = known {
            self.run.mapped.push((process, file.inode));
        }
        let Some(inode) = prediction.writes else { return };
        for (other, mapped) in &self.run.mapped {
            if *other != process && *mapped == inode {
                let what = format!("p{} has a file mapped that p{} writes", other + 1, process + 1);
                self.run.left.uncertain.insert(what);
            }
        }
    }
}

/// Marks a look at another process.
const LOOK: &str = "looks at another process";

/// What a deed that cannot be foreseen is called.
fn call_of(known: &Known) -> String {
    match known {
        Deed::Lock { kind: LockKind::Flock, .. } | Deed::Unlock { kind: LockKind::Flock, .. } => {
            "flock".into()
        }
        Deed::Lock { .. } | Deed::Unlock { .. } | Deed::QueryLock { .. } => "fcntl".into(),
        other => other.label(),
    }
}
