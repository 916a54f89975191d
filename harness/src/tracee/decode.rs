//! System calls decoded: from numbers, registers and the caller's memory to what they do. Nothing here knows what the
//! files are.

mod control;
mod lock;
mod wait;

use std::sync::Arc;

use super::class::Class;
use super::memory::{Memory, View};
use super::{filter, table};
use crate::books::deed::{
    At, Attribute, CopiedBy, Copying, Deed, Fd, Mapping, Node, Offset, Opening, Renaming, Resizing, SyncKind,
    Target, Told, Writing,
};
use crate::process::sys::seccomp::{Notification, RENDEZVOUS};

/// Whether the bytes that are written are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recording {
    /// Only how many they are.
    Lengths,
    /// The bytes themselves, which states after a loss of power are made of.
    Bytes,
}

/// Decodes a stop. The caller stands still, so its memory is as the kernel will find it.
pub(crate) fn decode(stop: &Notification, memory: Memory, recording: Recording) -> Told {
    if stop.arch != filter::ARCH {
        return Deed::Refused(format!("system call {}", stop.number), "is one of another architecture");
    }
    let a = Arguments { stop, memory: view(stop, memory), recording };
    let Some(call) = table::of(stop.number) else {
        return Deed::Refused(format!("system call {}", stop.number), "is not known");
    };
    match call.class {
        Class::Absent => Deed::Absent(call.name),
        Class::Refused(why) => Deed::Refused(call.name.to_owned(), why.as_str()),
        Class::Harmless(_) => Deed::Nothing,
        Class::Foreseen | Class::Sometimes(_) => by_path(&a)
            .or_else(|| by_descriptor(&a))
            .or_else(|| about_processes(&a))
            .or_else(|| old(&a))
            .unwrap_or_else(|| Deed::Refused(call.name.to_owned(), "is not foreseen")),
    }
}

/// What the arguments lead to: in one look where two of them do.
fn view(stop: &Notification, memory: Memory) -> View {
    let (one, other) = match stop.number {
        libc::SYS_openat2 => (1, 2),
        libc::SYS_renameat | libc::SYS_renameat2 | libc::SYS_linkat => (1, 3),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_rename | libc::SYS_link | libc::SYS_symlink => (0, 1),
        _ => return View::of(memory),
    };
    View::over(memory, stop.args[one], stop.args[other])
}

fn by_path(a: &Arguments<'_>) -> Option<Told> {
    Some(match a.stop.number {
        libc::SYS_openat => Deed::Open(a.at(0, 1), Opening(a.int(2))),
        libc::SYS_openat2 => {
            let [flags, _, resolve] = a.memory.words(a.arg(2));
            // The others only make it fail where it would lead on: what is foreseen is more, never less.
            if resolve & libc::RESOLVE_IN_ROOT != 0 {
                return Some(Deed::Refused("openat2".into(), "resolves paths below another root"));
            }
            Deed::Open(a.at(0, 1), Opening(flags as i32))
        }
        libc::SYS_truncate => Deed::Truncate(a.here(0), a.arg(1).cast_signed()),
        libc::SYS_renameat => a.rename(0),
        libc::SYS_renameat2 => a.rename(a.int(4).cast_unsigned()),
        libc::SYS_linkat => {
            Deed::Link { from: a.at(0, 1), to: a.at(2, 3), follow: a.int(4) & libc::AT_SYMLINK_FOLLOW != 0 }
        }
        libc::SYS_unlinkat if a.int(2) & libc::AT_REMOVEDIR != 0 => Deed::RemoveFolder(a.at(0, 1)),
        libc::SYS_unlinkat => Deed::Unlink(a.at(0, 1)),
        libc::SYS_symlinkat => Deed::Symlink(a.memory.text(a.arg(0)), a.at(1, 2)),
        libc::SYS_readlinkat => Deed::ReadLink(a.at(0, 1)),
        libc::SYS_mkdirat => Deed::MakeFolder(a.at(0, 1)),
        libc::SYS_mknodat => Deed::MakeNode(a.at(0, 1), node(a.int(2))),
        libc::SYS_newfstatat | libc::SYS_faccessat2 => a.look(a.int(3)),
        libc::SYS_statx | SYS_GETXATTRAT | SYS_LISTXATTRAT => a.look(a.int(2)),
        libc::SYS_faccessat => a.look(0),
        libc::SYS_name_to_handle_at => {
            a.look(if a.int(4) & libc::AT_SYMLINK_FOLLOW != 0 { 0 } else { libc::AT_SYMLINK_NOFOLLOW })
        }
        libc::SYS_utimensat if a.arg(1) == 0 => Deed::ChangeAt(a.fd(0), Attribute::Times),
        libc::SYS_utimensat => a.change(a.int(3), Attribute::Times),
        libc::SYS_fchmodat => a.change(0, Attribute::Permissions),
        libc::SYS_fchmodat2 => a.change(a.int(3), Attribute::Permissions),
        libc::SYS_fchownat => a.change(a.int(4), Attribute::Permissions),
        libc::SYS_setxattr | libc::SYS_removexattr => Deed::Change(a.here(0), true, Attribute::Extended),
        libc::SYS_lsetxattr | libc::SYS_lremovexattr => Deed::Change(a.here(0), false, Attribute::Extended),
        libc::SYS_getxattr | libc::SYS_listxattr => Deed::Look(a.here(0), true),
        libc::SYS_lgetxattr | libc::SYS_llistxattr => Deed::Look(a.here(0), false),
        SYS_SETXATTRAT | SYS_REMOVEXATTRAT => a.change(a.int(2), Attribute::Extended),
        SYS_FILE_SETATTR => a.change(a.int(4), Attribute::Extended),
        SYS_FILE_GETATTR => a.look(a.int(4)),
        libc::SYS_chdir => Deed::ChangeFolder(a.here(0)),
        libc::SYS_getcwd => Deed::AskFolder,
        libc::SYS_inotify_add_watch => Deed::Watch(a.here(1)),
        libc::SYS_execve => Deed::Exec(a.here(0)),
        libc::SYS_execveat => Deed::Exec(a.at(0, 1)),
        _ => return None,
    })
}

// Newer than the crate that names the others.
const SYS_SETXATTRAT: i64 = 463;
const SYS_GETXATTRAT: i64 = 464;
const SYS_LISTXATTRAT: i64 = 465;
const SYS_REMOVEXATTRAT: i64 = 466;
const SYS_FILE_GETATTR: i64 = 468;
const SYS_FILE_SETATTR: i64 = 469;

fn by_descriptor(a: &Arguments<'_>) -> Option<Told> {
    Some(match a.stop.number {
        libc::SYS_close => Deed::Close(a.fd(0)),
        libc::SYS_close_range if a.int(2).cast_unsigned() & libc::CLOSE_RANGE_CLOEXEC != 0 => Deed::Nothing,
        libc::SYS_close_range => Deed::CloseRange(a.arg(0) as u32, a.arg(1) as u32),
        libc::SYS_dup => Deed::Duplicate(a.fd(0)),
        libc::SYS_dup3 => Deed::Replace { from: a.fd(0), to: a.fd(1) },
        libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 | libc::SYS_preadv | libc::SYS_preadv2 => {
            Deed::Read(a.fd(0))
        }
        libc::SYS_write => a.write(Offset::Current),
        libc::SYS_pwrite64 => a.write(Offset::At(a.arg(3).cast_signed())),
        libc::SYS_writev => a.write_parts(Offset::Current),
        libc::SYS_pwritev => a.write_parts(Offset::At(a.arg(3).cast_signed())),
        libc::SYS_pwritev2 => match a.arg(3).cast_signed() {
            -1 => a.write_parts(Offset::Current),
            offset => a.write_parts(Offset::At(offset)),
        },
        libc::SYS_ftruncate => Deed::Resize(a.fd(0), Resizing::Length(a.arg(1).cast_signed())),
        libc::SYS_fallocate => {
            let (offset, length) = (a.arg(2).cast_signed(), a.arg(3).cast_signed());
            Deed::Resize(a.fd(0), Resizing::Allocate { mode: a.int(1), offset, length })
        }
        libc::SYS_copy_file_range => a.copy((0, a.place(1)), (2, a.place(3)), CopiedBy::Range, a.arg(4)),
        libc::SYS_splice => a.copy((0, a.place(1)), (2, a.place(3)), CopiedBy::Pipe, a.arg(4)),
        libc::SYS_sendfile => a.copy((1, a.place(2)), (0, Offset::Current), CopiedBy::Pipe, a.arg(3)),
        libc::SYS_getdents64 => Deed::List(a.fd(0)),
        libc::SYS_fstat | libc::SYS_lseek | libc::SYS_fgetxattr | libc::SYS_flistxattr => {
            Deed::LookAt(a.fd(0))
        }
        libc::SYS_fchmod | libc::SYS_fchown => Deed::ChangeAt(a.fd(0), Attribute::Permissions),
        libc::SYS_fsetxattr | libc::SYS_fremovexattr => Deed::ChangeAt(a.fd(0), Attribute::Extended),
        libc::SYS_fsync => Deed::Sync(a.fd(0), SyncKind::File),
        libc::SYS_fdatasync => Deed::Sync(a.fd(0), SyncKind::Data),
        libc::SYS_sync_file_range => Deed::Sync(a.fd(0), SyncKind::Range),
        libc::SYS_syncfs => Deed::Sync(a.fd(0), SyncKind::Filesystem),
        libc::SYS_sync => Deed::SyncAll,
        libc::SYS_fchdir => Deed::ChangeFolderTo(a.fd(0)),
        libc::SYS_flock => a.flock(),
        libc::SYS_fcntl => a.fcntl(),
        libc::SYS_mmap => Deed::Map(a.fd(4), a.mapping()),
        libc::SYS_ioctl => control::decode(a),
        _ => return None,
    })
}

fn about_processes(a: &Arguments<'_>) -> Option<Told> {
    Some(match a.stop.number {
        libc::SYS_prctl if a.int(0) == RENDEZVOUS => Deed::Ready,
        libc::SYS_prctl
        | libc::SYS_sched_setparam
        | libc::SYS_sched_setscheduler
        | libc::SYS_sched_setaffinity
        | libc::SYS_sched_setattr => Deed::Pretend,
        libc::SYS_kill => Deed::Signal(target(a.int(0)), a.int(1)),
        libc::SYS_tkill | libc::SYS_rt_sigqueueinfo => Deed::Signal(Target::Task(a.int(0)), a.int(1)),
        libc::SYS_tgkill | libc::SYS_rt_tgsigqueueinfo => Deed::Signal(Target::Task(a.int(0)), a.int(2)),
        libc::SYS_pidfd_send_signal => Deed::SignalBy(a.fd(0), a.int(1)),
        libc::SYS_clone => Deed::Start(a.arg(0)),
        libc::SYS_clone3 => {
            let [flags] = a.memory.words(a.arg(0));
            Deed::Start(flags)
        }
        libc::SYS_exit => Deed::Exit(None),
        libc::SYS_exit_group => Deed::Exit(Some(a.int(0) & 0xff)),
        libc::SYS_nanosleep => Deed::Sleep(a.time(0)),
        libc::SYS_clock_nanosleep => a.clock_sleep(),
        libc::SYS_setitimer
        | libc::SYS_getitimer
        | libc::SYS_timer_settime
        | libc::SYS_timer_gettime
        | libc::SYS_timer_delete
        | libc::SYS_prlimit64 => Deed::Nothing,
        libc::SYS_ppoll => a.poll(a.time_or_for_ever(2)),
        libc::SYS_pselect6 => a.select(a.time_or_for_ever(4)),
        libc::SYS_epoll_pwait => a.epoll(a.milliseconds(3)),
        libc::SYS_epoll_pwait2 => a.epoll(a.time_or_for_ever(3)),
        libc::SYS_connect => a.connect(1, 2),
        libc::SYS_sendto if a.arg(4) == 0 => Deed::Nothing,
        libc::SYS_sendto => a.connect(4, 5),
        libc::SYS_sendmsg => a.send_message(a.arg(1)),
        libc::SYS_sendmmsg => a.send_messages(),
        libc::SYS_bind => a.bind(),
        _ => return None,
    })
}

const fn target(pid: i32) -> Target {
    match pid {
        -1 => Target::All,
        ..=0 => Target::Group(-pid),
        _ => Target::Task(pid),
    }
}

const fn node(mode: i32) -> Node {
    match mode.cast_unsigned() & libc::S_IFMT {
        libc::S_IFIFO => Node::Fifo,
        libc::S_IFSOCK => Node::Socket,
        0 | libc::S_IFREG => Node::File,
        _ => Node::Device,
    }
}

/// Calls that only old architectures have.
#[cfg(target_arch = "x86_64")]
fn old(a: &Arguments<'_>) -> Option<Told> {
    Some(match a.stop.number {
        libc::SYS_open => Deed::Open(a.here(0), Opening(a.int(1))),
        libc::SYS_creat => Deed::Open(a.here(0), Opening(libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC)),
        libc::SYS_stat | libc::SYS_access => Deed::Look(a.here(0), true),
        libc::SYS_lstat => Deed::Look(a.here(0), false),
        libc::SYS_rename => Deed::Rename { from: a.here(0), to: a.here(1), how: Renaming::Replace },
        libc::SYS_link => Deed::Link { from: a.here(0), to: a.here(1), follow: false },
        libc::SYS_unlink => Deed::Unlink(a.here(0)),
        libc::SYS_rmdir => Deed::RemoveFolder(a.here(0)),
        libc::SYS_symlink => Deed::Symlink(a.memory.text(a.arg(0)), a.here(1)),
        libc::SYS_readlink => Deed::ReadLink(a.here(0)),
        libc::SYS_mkdir => Deed::MakeFolder(a.here(0)),
        libc::SYS_mknod => Deed::MakeNode(a.here(0), node(a.int(1))),
        libc::SYS_getdents => Deed::List(a.fd(0)),
        libc::SYS_dup2 => Deed::Replace { from: a.fd(0), to: a.fd(1) },
        libc::SYS_chmod | libc::SYS_chown => Deed::Change(a.here(0), true, Attribute::Permissions),
        libc::SYS_lchown => Deed::Change(a.here(0), false, Attribute::Permissions),
        libc::SYS_utime | libc::SYS_utimes => Deed::Change(a.here(0), true, Attribute::Times),
        libc::SYS_futimesat => Deed::Change(a.at(0, 1), true, Attribute::Times),
        libc::SYS_alarm => Deed::Nothing,
        libc::SYS_fork => Deed::Start(libc::SIGCHLD as u64),
        libc::SYS_vfork => Deed::Start((libc::CLONE_VFORK | libc::CLONE_VM | libc::SIGCHLD) as u64),
        libc::SYS_poll => a.poll(a.milliseconds(2)),
        libc::SYS_select => a.select(a.time_of_day_or_for_ever(4)),
        libc::SYS_epoll_wait => a.epoll(a.milliseconds(3)),
        _ => return None,
    })
}

#[cfg(not(target_arch = "x86_64"))]
fn old(_a: &Arguments<'_>) -> Option<Told> {
    None
}

struct Arguments<'s> {
    stop: &'s Notification,
    memory: View,
    recording: Recording,
}

/// Most that is recorded of one write.
const RECORDED_BYTES_MAX: u64 = super::KEPT_BYTES_MAX;
/// Most parts that one write has.
const PARTS_MAX: u64 = 1024;

impl Arguments<'_> {
    fn arg(&self, index: usize) -> u64 {
        self.stop.args[index]
    }

    fn int(&self, index: usize) -> i32 {
        self.stop.args[index] as i32
    }

    fn fd(&self, index: usize) -> Fd {
        Fd(self.int(index))
    }

    /// A path relative to the folder of another argument.
    fn at(&self, folder: usize, path: usize) -> At {
        let address = self.arg(path);
        let path = if address == 0 { String::new() } else { self.memory.text(address) };
        At { folder: self.int(folder), path }
    }

    /// A path relative to the working folder.
    fn here(&self, path: usize) -> At {
        At { folder: libc::AT_FDCWD, path: self.memory.text(self.arg(path)) }
    }

    fn rename(&self, flags: u32) -> Told {
        let how = match flags {
            _ if flags & libc::RENAME_EXCHANGE != 0 => Renaming::Exchange,
            _ if flags & libc::RENAME_NOREPLACE != 0 => Renaming::Keep,
            _ => Renaming::Replace,
        };
        if flags & !(libc::RENAME_EXCHANGE | libc::RENAME_NOREPLACE) != 0 {
            return Deed::Refused("renameat2".into(), "leaves a whiteout behind");
        }
        Deed::Rename { from: self.at(0, 1), to: self.at(2, 3), how }
    }

    fn look(&self, flags: i32) -> Told {
        let at = self.at(0, 1);
        if at.path.is_empty() && at.folder != libc::AT_FDCWD {
            return Deed::LookAt(Fd(at.folder));
        }
        Deed::Look(at, flags & libc::AT_SYMLINK_NOFOLLOW == 0)
    }

    fn change(&self, flags: i32, what: Attribute) -> Told {
        let at = self.at(0, 1);
        if at.path.is_empty() && at.folder != libc::AT_FDCWD {
            return Deed::ChangeAt(Fd(at.folder), what);
        }
        Deed::Change(at, flags & libc::AT_SYMLINK_NOFOLLOW == 0, what)
    }

    fn write(&self, offset: Offset) -> Told {
        let (length, parts) = (self.arg(2), vec![(self.arg(1), self.arg(2))]);
        Deed::Write(self.fd(0), self.writing(length, offset, parts))
    }

    fn write_parts(&self, offset: Offset) -> Told {
        let count = self.arg(2).min(PARTS_MAX);
        let parts: Vec<(u64, u64)> = (0..count)
            .map(|part| self.memory.words(self.arg(1).wrapping_add(16 * part)))
            .map(|[address, length]| (address, length))
            .collect();
        let length = parts.iter().map(|(_, length)| length).sum();
        Deed::Write(self.fd(0), self.writing(length, offset, parts))
    }

    fn writing(&self, length: u64, offset: Offset, parts: Vec<(u64, u64)>) -> Writing {
        let bytes = (self.recording == Recording::Bytes && length <= RECORDED_BYTES_MAX).then(|| {
            let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, length as usize).collect();
            let room = Arc::get_mut(&mut bytes).expect("nobody else has it yet");
            let mut at = 0;
            for (address, length) in &parts {
                at += self.memory.read(*address, &mut room[at..at + *length as usize]);
            }
            if at < bytes.len() { bytes[..at].into() } else { bytes }
        });
        Writing { length, offset, parts, bytes }
    }

    /// The offset that a pointer leads to; without one it is that of the descriptor.
    fn place(&self, index: usize) -> Offset {
        match self.arg(index) {
            0 => Offset::Current,
            address => {
                let [at] = self.memory.words(address);
                Offset::At(at.cast_signed())
            }
        }
    }

    /// A copy from one descriptor to another, each an argument with an offset.
    fn copy(&self, from: (usize, Offset), to: (usize, Offset), by: CopiedBy, length: u64) -> Told {
        let what = Copying { from: from.1, to: to.1, length, by };
        Deed::Copy { from: self.fd(from.0), to: self.fd(to.0), what }
    }

    fn mapping(&self) -> Mapping {
        let is_private = self.int(3) & libc::MAP_TYPE == libc::MAP_PRIVATE;
        match is_private {
            true => Mapping::Private,
            false if self.int(2) & libc::PROT_WRITE != 0 => Mapping::SharedWritable,
            false => Mapping::Shared,
        }
    }
}
