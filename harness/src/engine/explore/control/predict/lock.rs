//! What calls will touch that are about locks.

use rustix::fs::OFlags;

use super::{Access, Effect, File, Gate, LockPart, NO_FAULT, Prediction, Scene, WAITING, shown, touched_by};
use crate::engine::explore::control::call::{Ask, LockKind, Mode, Range};
use crate::engine::explore::control::locks::Holding;

use Access::Read;

impl Scene<'_> {
    /// A descriptor is copied: whoever locks by one of two numbers of one open file description holds it by both.
    pub(super) fn copied(&mut self, fd: i32) -> Result<(), &'static str> {
        let is_inside = self.file(fd).is_some();
        if is_inside && self.locks.of(self.process).any(|held| held.fd == fd) {
            return Err("copies a descriptor by which it holds a lock");
        }
        if is_inside {
            self.places.note_copy(self.process);
        }
        Ok(())
    }

    /// The lock that a call is about; none where it is no concern of the exploration.
    pub(super) fn wanted(
        &mut self,
        fd: i32,
        kind: LockKind,
        mode: Mode,
        range: Range,
    ) -> Result<Option<(Holding, File)>, &'static str> {
        let Some(file) = self.file(fd) else { return Ok(None) };
        if kind != LockKind::Posix && self.places.has_copies(self.process) {
            return Err("locks a file while it has copies of descriptors");
        }
        if kind != LockKind::Flock {
            if !self.can_lock(fd, mode) {
                // The kernel refuses it at once.
                return Ok(None);
            }
            self.locks.note_part(file.name, range)?;
        }
        let lock = file.lock(kind, range);
        let wanted = Holding { lock, file: file.name, process: self.process, fd, kind, mode, range };
        Ok(Some((wanted, file)))
    }

    /// Whether a descriptor is open in a way that allows a lock by `fcntl`.
    pub(super) fn can_lock(&self, fd: i32, mode: Mode) -> bool {
        let Ok(copy) = self.tracee.descriptor(fd) else { return false };
        let Ok(flags) = rustix::fs::fcntl_getfl(&copy) else { return false };
        match mode {
            Mode::Shared => flags & OFlags::ACCMODE != OFlags::WRONLY,
            Mode::Exclusive => flags & OFlags::ACCMODE != OFlags::RDONLY,
        }
    }

    pub(super) fn query_lock(
        &mut self,
        fd: i32,
        kind: LockKind,
        range: Range,
    ) -> Result<Prediction, &'static str> {
        // Whoever may read may ask, for any kind of lock.
        let asked = self.wanted(fd, kind, Mode::Shared, range)?;
        Ok(asked.map_or_else(
            || Prediction::new(""),
            |(asked, file)| {
                Prediction::new(format!("query-lock {}", shown(&file.shown))).touching([(asked.lock, Read)])
            },
        ))
    }

    pub(super) fn lock(
        &mut self,
        fd: i32,
        kind: LockKind,
        mode: Mode,
        ask: Ask,
        range: Range,
    ) -> Result<Prediction, &'static str> {
        let Some((wanted, file)) = self.wanted(fd, kind, mode, range)? else {
            return Ok(Prediction::new(""));
        };
        let lock = wanted.lock;
        let own = self.locks.own(&wanted).copied();
        if let Some(own) = own.filter(|own| own.mode != mode && kind == LockKind::Flock) {
            // flock(2): the lock that is there is removed, and then the new one taken; others may come between.
            let give_up = Prediction::new(format!("give up {} to lock it anew", shown(&file.shown)));
            return Ok(Prediction {
                lock: Some(LockPart::Release(lock)),
                effect: Effect::GiveUp(own),
                ..give_up.touching([(lock, touched_by(own.mode))])
            });
        }
        let verb = match (kind, ask) {
            (LockKind::Flock, Ask::Wait) => "flock",
            (LockKind::Flock, Ask::Try) => "try-flock",
            (_, Ask::Wait) => "fcntl-lock",
            (_, Ask::Try) => "try-fcntl-lock",
        };
        let word = if mode == Mode::Shared { "shared" } else { "exclusive" };
        let call = Prediction::new(format!("{verb} {} {word}", shown(&file.shown)));
        if ask == Ask::Try && !self.locks.is_free(&wanted) {
            return Ok(call.touching([(lock, Read)]));
        }
        let faults = if ask == Ask::Wait { WAITING } else { NO_FAULT };
        // A lock by fcntl changes its mode at once: from exclusive to shared it lets others in.
        let was = own.map(|own| own.mode);
        let lets_in = was == Some(Mode::Exclusive) && mode == Mode::Shared;
        let part = if lets_in { LockPart::Release(lock) } else { LockPart::Acquire(lock) };
        // By the gate it is told from a release after which nothing is held.
        let gate = if ask == Ask::Wait || lets_in { Gate::Lock(lock) } else { Gate::Open };
        let access = was.map_or(touched_by(mode), |was| touched_by(was).max(touched_by(mode)));
        Ok(Prediction {
            gate,
            lock: Some(part),
            effect: Effect::Take(wanted, ask),
            ..call.touching([(lock, access)]).meeting(faults)
        })
    }

    pub(super) fn unlock(
        &mut self,
        fd: i32,
        kind: LockKind,
        range: Range,
    ) -> Result<Prediction, &'static str> {
        let Some(file) = self.file(fd) else { return Ok(Prediction::new("")) };
        let is_own = |held: &&Holding| {
            held.file == file.name && held.kind == kind && (kind == LockKind::Posix || held.fd == fd)
        };
        let hit = |held: &&Holding| is_own(held) && held.range.overlaps(range);
        let held: Vec<Holding> = self.locks.of(self.process).filter(hit).copied().collect();
        if held.iter().any(|held| !range.covers(held.range)) {
            return Err("unlocks a part of what it locked");
        }
        let Some(first) = held.first() else { return Ok(Prediction::new("")) };
        let unlock = Prediction::new(format!("unlock {}", shown(&file.shown)));
        Ok(Prediction {
            lock: Some(LockPart::Release(first.lock)),
            ..unlock.touching(held.iter().map(|held| (held.lock, touched_by(held.mode))))
        }
        .letting_go(held))
    }
}
