//! What commands left behind, once all of them have ended: it goes on by itself while somebody looks at what is there.
//!
//! Whoever is held at a call cannot end, and keeps others from ending that wait for it; whoever has ended is still there until
//! it is reaped. Looked at like that, a process that is about to go would be taken for one that stays: by runsc as well, whose
//! delete waits until the pid of its sandbox is nobody's.

use std::io::{self, PipeReader};
use std::os::fd::AsFd;
use std::thread;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::machine::{Machine, Result};
use super::still::{self, Look};
use super::task::Task;
use super::tree::Phase;
use crate::books::deed::Deed;
use crate::process::sys::seccomp::{Listener, Notification, Reply};

impl Machine {
    /// Notes what commands left behind. Where that only sleeps, or waits for somebody, it is as it would be at the end of a
    /// sequential order; whoever had more to do might have done it before the end.
    pub(super) fn note_left_behind(&mut self) {
        self.note_orphans();
        for (process, tree) in self.trees.iter().enumerate() {
            if tree.phase != Phase::Over || !tree.is_many || self.family(process).is_empty() {
                continue;
            }
            self.run.left.left_behind.insert(process);
            let acts = |task: &Task| {
                task.held.as_ref().is_some_and(|held| !matches!(held.told, Deed::Sleep(_) | Deed::Await(..)))
            };
            let goes_on = match self.look(process) {
                Look::Calm(waiting) => waiting.iter().any(|(_, seen)| still::has_limit(seen)),
                Look::Busy => true,
            };
            if goes_on || tree.tasks.iter().any(acts) {
                let what = format!("p{} left a process behind that went on working", process + 1);
                self.run.left.uncertain.insert(what);
            }
        }
    }

    /// Lets everybody go on while somebody looks, whatever they call, if that is what the machine's options want.
    pub(super) fn while_all_go_on(&mut self, look: impl FnOnce()) -> Result<()> {
        if !self.options.goes_on_afterwards {
            look();
            return Ok(());
        }
        // Whether somebody had more to do is told by how they stand now.
        self.note_left_behind();
        for process in 0..self.trees.len() {
            self.trees[process].slot.keep_reaping()?;
            for stop in self.all_held(process) {
                // Whoever was killed meanwhile needs no answer.
                self.answer(process, &stop, Reply::Continue)?;
            }
        }
        let listeners = self.trees.iter().map(|tree| tree.slot.listener.as_fd().try_clone_to_owned());
        let listeners: Vec<Listener> =
            listeners.map(|descriptor| descriptor.map(Listener::from_fd)).collect::<io::Result<_>>()?;
        let (end, looks) = io::pipe()?;
        thread::scope(|scope| {
            scope.spawn(move || serve(&listeners, &end));
            // Closed when the look is over, in whatever way.
            let _looks = looks;
            look();
        });
        Ok(())
    }

    /// The calls at which tasks of a process are held, who are held no longer.
    fn all_held(&mut self, process: usize) -> Vec<Notification> {
        let tree = &mut self.trees[process];
        let leaving = tree.leaving.drain(..).map(|(stop, _)| stop);
        leaving.chain(tree.tasks.iter_mut().filter_map(|task| Some(task.held.take()?.stop))).collect()
    }
}

/// Lets every call go on, until the other end of a pipe is closed.
fn serve(listeners: &[Listener], end: &PipeReader) {
    loop {
        let polled = std::iter::once(end.as_fd()).chain(listeners.iter().map(AsFd::as_fd));
        let mut polled: Vec<PollFd<'_>> =
            polled.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(_) => return,
        }
        let is_ready: Vec<bool> = polled.iter().map(|one| one.any().unwrap_or(false)).collect();
        if is_ready[0] {
            return;
        }
        for (listener, _) in listeners.iter().zip(&is_ready[1..]).filter(|(_, is_ready)| **is_ready) {
            if let Ok(stop) = listener.receive() {
                _ = listener.answer(stop.id, Reply::Continue);
            }
        }
    }
}
