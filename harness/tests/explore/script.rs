//! A subject that does what a script says: real file system calls, one after the other, and what it saw of each is its
//! answer. The script of each operation comes with the plan, so that a test can have any.

use std::fmt::Write;
use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flockwork::Operation;
use flockwork_harness::history::{Outcome, Reason};
use flockwork_harness::plan::SubjectPlan;
use flockwork_harness::plan::schedule::FaultKind;
use flockwork_harness::subject::{Answer, Owner, Request, Root, Seat, Session, Subject, Traits};
use nix::fcntl::FcntlArg;
use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::sys;

/// What an operation does.
pub type Script = Vec<Action>;

/// How a lock is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    Shared,
    Exclusive,
    TryShared,
    TryExclusive,
    Unlock,
}

/// Who owns a `fcntl` lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockOwner {
    Description,
    Process,
}

/// One thing to do: as a rule one system call. Paths are relative to the root, slots stand for descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// `how` is made of the words read, write, append, create, exclusive, truncate, folder.
    Open {
        slot: usize,
        path: String,
        how: String,
    },
    Close(usize),
    Read(usize),
    Write(usize, String),
    Resize(usize, u64),
    Truncate(String, u64),
    Rename(String, String),
    Exchange(String, String),
    Link(String, String),
    Unlink(String),
    MakeFolder(String),
    RemoveFolder(String),
    List(String),
    Stat(String),
    Lstat(String),
    Fstat(usize),
    Symlink {
        target: String,
        path: String,
    },
    ReadLink(String),
    Chmod(String, u32),
    Flock(usize, Ask),
    Fcntl {
        slot: usize,
        owner: LockOwner,
        ask: Ask,
        start: i64,
        length: i64,
    },
    /// Copies a descriptor into another slot.
    Copy {
        from: usize,
        to: usize,
    },
    /// Sleeps and looks again until the path exists.
    Await(String),
    Sleep,
    /// Asks whether the process of this number lives.
    IsAlive(u32),
    /// Looks at the path of this name and a number that nobody can foretell.
    Whim(String),
    Thread,
    Child,
    Program,
    Loop,
    MapShared(usize),
    MapPrivate(usize),
    IoUring,
    SetAttribute(usize),
    /// Binds a socket to a path: an entry that no call of files makes.
    Bind(String),
    /// Takes a descriptor from itself, as if from another process.
    TakeDescriptor,
    Panic,
    Abort,
    Exit(i32),
}

/// The file whose content is bad where it is [`BAD_TOKEN`]: the examiner sees that when all is quiet, and nobody else.
pub const TOKEN: &str = "token";
pub const GOOD_TOKEN: &str = "1764000000123456789";
pub const BAD_TOKEN: &str = "1764000000123456780";

/// What a subject says of itself that scripts alone do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Manner {
    #[default]
    Usual,
    StartsProcesses,
    CannotBeKilled,
    HasNoForceDelete,
}

/// What the plan's word says.
#[derive(Serialize, Deserialize)]
struct Scripted {
    scripts: Vec<Script>,
    manner: Manner,
}

/// The plan of a subject with these scripts: an operation on the container of an index does the script of that index.
pub fn plan(scripts: &[Script]) -> SubjectPlan {
    plan_as(Manner::Usual, scripts)
}

/// The same of a subject in this manner.
pub fn plan_as(manner: Manner, scripts: &[Script]) -> SubjectPlan {
    let scripted = Scripted { scripts: scripts.to_vec(), manner };
    SubjectPlan::Custom { word: serde_json::to_string(&scripted).expect("scripts") }
}

/// The builder of the tests' zygote.
pub fn build(plan: &SubjectPlan) -> Result<Box<dyn Subject>, String> {
    let SubjectPlan::Custom { word } = plan else { return Err("only scripts here".into()) };
    let scripted: Scripted = serde_json::from_str(word).map_err(|error| error.to_string())?;
    Ok(Box::new(scripted))
}

impl Subject for Scripted {
    fn open(&self, seat: Seat) -> Result<Box<dyn Session>, String> {
        let pids = seat.root.with_extension("pids");
        fs::create_dir_all(&pids).map_err(|error| error.to_string())?;
        let own = pids.join(seat.process.to_string());
        fs::write(own, std::process::id().to_string()).map_err(|error| error.to_string())?;
        Ok(Box::new(Reader { scripts: self.scripts.clone(), root: seat.root, pids, slots: Vec::new() }))
    }

    fn traits(&self) -> Traits {
        const NO_FORCE: &[Operation] = &[Operation::Create, Operation::State, Operation::List];
        const NO_KILL: &[FaultKind] = &[FaultKind::Error, FaultKind::ShortWrite];
        Traits {
            operations: if self.manner == Manner::HasNoForceDelete { NO_FORCE } else { &Operation::ALL },
            tokens: false,
            counts_generations: false,
            watch: false,
            children: self.manner == Manner::StartsProcesses,
            lock_free_reads: true,
            deaths: None,
            model: None,
            roots: &[Root::Seat],
            faults: if self.manner == Manner::CannotBeKilled { NO_KILL } else { FaultKind::ALL },
            volatile: &[],
        }
    }

    fn owner(&self, _: &Path) -> Owner {
        Owner::Root
    }

    fn metadata_path(&self, container: &str) -> PathBuf {
        container.into()
    }
}

struct Reader {
    scripts: Vec<Script>,
    root: PathBuf,
    pids: PathBuf,
    slots: Vec<Option<OwnedFd>>,
}

impl Session for Reader {
    fn perform(&mut self, request: &Request) -> Answer {
        if request.operation == Operation::State
            && fs::read(self.at(TOKEN)).is_ok_and(|it| it == BAD_TOKEN.as_bytes())
        {
            let reason = Some(Reason::Corrupt);
            return Answer { reason, ..answer(Outcome::Failed, "the token is bad".into()) };
        }
        // What the engine asks when all is quiet is no part of a script.
        if !matches!(request.operation, Operation::Pause | Operation::Resume) {
            return answer(Outcome::Ok, String::new());
        }
        let script = self.scripts.get(request.container as usize).cloned().unwrap_or_default();
        let (mut outcome, mut seen) = (Outcome::Ok, String::new());
        for action in &script {
            let what = self.act(action).unwrap_or_else(|error| {
                outcome = Outcome::Failed;
                name(error)
            });
            _ = write!(seen, "{what};");
        }
        // In the order of their numbers: locks go with them.
        self.slots.drain(..).for_each(drop);
        answer(outcome, seen)
    }

    fn audit(&mut self, _: u32) -> Answer {
        answer(Outcome::Ok, String::new())
    }
}

fn answer(outcome: Outcome, seen: String) -> Answer {
    Answer {
        outcome,
        reason: (outcome == Outcome::Failed).then_some(Reason::Other),
        status: None,
        generation: None,
        revision: None,
        message: Some(seen),
        errno: None,
    }
}

fn name(error: Errno) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(error.raw_os_error()))
}

fn done(_: ()) -> String {
    "ok".into()
}

impl Reader {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn slot(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        self.slots.get(slot).and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    fn put(&mut self, slot: usize, descriptor: OwnedFd) {
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        self.slots[slot] = Some(descriptor);
    }

    fn act(&mut self, action: &Action) -> Result<String, Errno> {
        match action {
            Action::Open { slot, path, how } => {
                let opened = rustix::fs::open(self.at(path), flags(how), Mode::from_raw_mode(0o644))?;
                self.put(*slot, opened);
                Ok("ok".into())
            }
            Action::Close(slot) => {
                self.slot(*slot)?;
                self.slots[*slot] = None;
                Ok("ok".into())
            }
            Action::Copy { from, to } => {
                let copy = rustix::io::fcntl_dupfd_cloexec(self.slot(*from)?, 0)?;
                self.put(*to, copy);
                Ok("ok".into())
            }
            Action::Read(slot) => {
                let mut bytes = [0; 64];
                let read = rustix::io::read(self.slot(*slot)?, &mut bytes)?;
                Ok(format!("{:?}", String::from_utf8_lossy(&bytes[..read])))
            }
            Action::Write(slot, text) => {
                rustix::io::write(self.slot(*slot)?, text.as_bytes()).map(|written| written.to_string())
            }
            Action::Resize(slot, length) => rustix::fs::ftruncate(self.slot(*slot)?, *length).map(done),
            Action::Flock(slot, ask) => rustix::fs::flock(self.slot(*slot)?, flock(*ask)).map(done),
            Action::Fcntl { slot, owner, ask, start, length } => {
                let lock = fcntl_lock(*ask, *start, *length);
                let how = fcntl(*owner, *ask, &lock);
                let asked = nix::fcntl::fcntl(self.slot(*slot)?, how);
                asked.map(|_| "ok".into()).map_err(|error| Errno::from_raw_os_error(error as i32))
            }
            Action::Fstat(slot) => rustix::fs::fstat(self.slot(*slot)?).map(|stat| shown(&stat)),
            other => self.act_on_paths(other),
        }
    }

    fn act_on_paths(&mut self, action: &Action) -> Result<String, Errno> {
        match action {
            Action::Truncate(path, length) => nix::unistd::truncate(&self.at(path), (*length).cast_signed())
                .map_err(|error| Errno::from_raw_os_error(error as i32))
                .map(done),
            Action::Rename(from, to) => rustix::fs::rename(self.at(from), self.at(to)).map(done),
            Action::Exchange(from, to) => {
                let (from, to) = (self.at(from), self.at(to));
                rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, RenameFlags::EXCHANGE)
                    .map(done)
            }
            Action::Link(from, to) => rustix::fs::link(self.at(from), self.at(to)).map(done),
            Action::Unlink(path) => rustix::fs::unlink(self.at(path)).map(done),
            Action::MakeFolder(path) => {
                rustix::fs::mkdir(self.at(path), Mode::from_raw_mode(0o755)).map(done)
            }
            Action::RemoveFolder(path) => rustix::fs::rmdir(self.at(path)).map(done),
            Action::List(path) => list(&self.at(path)),
            Action::Stat(path) => rustix::fs::stat(self.at(path)).map(|stat| shown(&stat)),
            Action::Lstat(path) => rustix::fs::lstat(self.at(path)).map(|stat| shown(&stat)),
            Action::Symlink { target, path } => rustix::fs::symlink(target.as_str(), self.at(path)).map(done),
            Action::ReadLink(path) => rustix::fs::readlink(self.at(path), Vec::new())
                .map(|target| target.to_string_lossy().into_owned()),
            Action::Chmod(path, mode) => {
                rustix::fs::chmod(self.at(path), Mode::from_raw_mode(*mode)).map(done)
            }
            Action::Await(path) => loop {
                if rustix::fs::access(self.at(path), rustix::fs::Access::EXISTS).is_ok() {
                    return Ok("there".into());
                }
                std::thread::sleep(Duration::from_millis(1));
            },
            Action::Sleep => {
                std::thread::sleep(Duration::from_millis(1));
                Ok("slept".into())
            }
            other => self.act_oddly(other),
        }
    }

    fn act_oddly(&self, action: &Action) -> Result<String, Errno> {
        match action {
            Action::IsAlive(process) => {
                let pid = fs::read_to_string(self.pids.join(process.to_string())).unwrap_or_default();
                let pid = nix::unistd::Pid::from_raw(pid.parse().map_err(|_| Errno::SRCH)?);
                let asked = nix::sys::signal::kill(pid, None);
                asked.map(done).map_err(|error| Errno::from_raw_os_error(error as i32))
            }
            Action::Whim(path) => {
                let mut number = [0; 8];
                rustix::rand::getrandom(&mut number, rustix::rand::GetRandomFlags::empty())?;
                let path = self.at(&format!("{path}{}", u64::from_ne_bytes(number)));
                rustix::fs::stat(path).map(|stat| shown(&stat))
            }
            Action::Thread => {
                let joined = std::thread::spawn(|| ()).join();
                Ok(format!("{}", joined.is_ok()))
            }
            Action::Child => {
                let ran = std::process::Command::new("true").status();
                Ok(format!("{:?}", ran.ok()))
            }
            Action::Program => {
                use std::os::unix::process::CommandExt;
                Ok(std::process::Command::new("true").exec().to_string())
            }
            Action::Loop => loop {
                std::hint::spin_loop();
            },
            Action::MapShared(slot) => sys::map_file(self.slot(*slot)?, sys::Map::Shared).map(done),
            Action::MapPrivate(slot) => sys::map_file(self.slot(*slot)?, sys::Map::Private).map(done),
            Action::IoUring => sys::set_up_io_uring().map(done),
            Action::SetAttribute(slot) => {
                rustix::fs::fsetxattr(self.slot(*slot)?, "user.x", b"y", rustix::fs::XattrFlags::empty())
                    .map(done)
            }
            Action::Bind(path) => {
                let bound = std::os::unix::net::UnixListener::bind(self.at(path));
                bound.map(|_| "ok".into()).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            }
            Action::TakeDescriptor => {
                use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
                let own = pidfd_open(getpid(), PidfdFlags::empty())?;
                pidfd_getfd(own, 0, PidfdGetfdFlags::empty()).map(|_| "ok".into())
            }
            Action::Panic => panic!("as the script says"),
            Action::Abort => std::process::abort(),
            Action::Exit(code) => std::process::exit(*code),
            other => unreachable!("{other:?}"),
        }
    }
}

fn flags(how: &str) -> OFlags {
    how.split_whitespace().fold(OFlags::CLOEXEC, |flags, word| {
        flags
            | match word {
                "read" => OFlags::RDONLY,
                "write" => OFlags::RDWR,
                "append" => OFlags::RDWR | OFlags::APPEND,
                "create" => OFlags::CREATE,
                "exclusive" => OFlags::EXCL,
                "truncate" => OFlags::TRUNC,
                "folder" => OFlags::DIRECTORY,
                other => panic!("no way to open: {other}"),
            }
    })
}

fn flock(ask: Ask) -> FlockOperation {
    match ask {
        Ask::Shared => FlockOperation::LockShared,
        Ask::Exclusive => FlockOperation::LockExclusive,
        Ask::TryShared => FlockOperation::NonBlockingLockShared,
        Ask::TryExclusive => FlockOperation::NonBlockingLockExclusive,
        Ask::Unlock => FlockOperation::Unlock,
    }
}

fn fcntl_lock(ask: Ask, start: i64, length: i64) -> libc::flock {
    let kind = match ask {
        Ask::Shared | Ask::TryShared => libc::F_RDLCK,
        Ask::Exclusive | Ask::TryExclusive => libc::F_WRLCK,
        Ask::Unlock => libc::F_UNLCK,
    };
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

fn fcntl(owner: LockOwner, ask: Ask, lock: &libc::flock) -> FcntlArg<'_> {
    match (owner, ask) {
        (LockOwner::Description, Ask::Shared | Ask::Exclusive) => FcntlArg::F_OFD_SETLKW(lock),
        (LockOwner::Description, _) => FcntlArg::F_OFD_SETLK(lock),
        (LockOwner::Process, Ask::Shared | Ask::Exclusive) => FcntlArg::F_SETLKW(lock),
        (LockOwner::Process, _) => FcntlArg::F_SETLK(lock),
    }
}

fn shown(stat: &rustix::fs::Stat) -> String {
    // The size of a folder is the file system's own affair, and its links are its folders.
    let is_folder = stat.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let size = if is_folder { 0 } else { stat.st_size };
    format!("{:o} {} {size}", stat.st_mode, stat.st_nlink)
}

fn list(folder: &Path) -> Result<String, Errno> {
    let descriptor =
        rustix::fs::open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let mut buffer = Vec::with_capacity(4096);
    let mut entries = rustix::fs::RawDir::new(&descriptor, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(format!("{name}:{:?}", entry.file_type()));
        }
    }
    names.sort();
    Ok(names.join(","))
}
