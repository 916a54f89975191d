//! What a template must not have, for its clones would lack it or share it; and how what they would share is made their own.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::fs::{Mode, OFlags, SeekFrom, openat, seek};

use super::{Open, Unfit};
use crate::process::procfs;
use crate::process::sys::seccomp::Notification;
use crate::process::sys::task::share_file;

/// Where the call lies in a template's page that it is to make: its number, its arguments, and the path of a folder to go to
/// first. What makes clones carries the pass in the place of the sixth argument.
pub(super) const TABLE: u64 = 0x400;
/// Where structures lie for calls.
pub(super) const STRUCTURE: u64 = 0x500;
/// Where the pid lies that a clone is to have.
const PID: u64 = 0x600;
/// Where it lies what clones ask the kernel for again: where it looks for mutexes and what it clears when a task ends, which
/// signal the parent's end sends, and whether orphans are taken in.
pub(super) const HANDED_ON: u64 = 0x680;
/// Where texts lie for calls.
pub(super) const TEXT: u64 = 0x700;
/// How long a text may be.
pub(super) const TEXT_BYTES_MAX: usize = 0x800;
/// Marks a clone's first call, by which it gets a process group of its own.
pub(super) const OWN_GROUP: u32 = 0x464c_4f43;
/// Bytes of `struct clone_args`.
pub(super) const CLONE_BYTES: u64 = 11 * 8;

/// An address as an argument.
pub(super) const fn signed(address: u64) -> i64 {
    address.cast_signed()
}

/// The result of the call that a task made before this stop.
pub(super) const fn result(stop: &Notification) -> i64 {
    stop.args[1].cast_signed()
}

/// `struct clone_args` and behind it the pid: a child of the caller's parent, with a pid of the caller's choice.
pub(super) fn clone_arguments(page: u64, pid: u32) -> Vec<u8> {
    let mut words = [0_u64; 11];
    words[0] = libc::CLONE_PARENT as u64;
    (words[8], words[9]) = (page + PID, 1);
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
    bytes.resize((PID - STRUCTURE) as usize, 0);
    bytes.extend(pid.to_ne_bytes());
    bytes
}

/// Checks what `/proc` says of a template.
pub(super) fn check(pid: u32, slot: u32) -> Result<(), Unfit> {
    if procfs::threads(pid).len() != 1 {
        return Err("it has several threads before its first step".into());
    }
    if !procfs::children(pid).is_empty() {
        return Err("it has children before its first step".into());
    }
    let read = |what: &str| {
        procfs::text(format!("/proc/{pid}/{what}"))
            .map_err(|error| format!("/proc/{pid}/{what} cannot be read: {error}"))
    };
    let shares = |line: &str| {
        let rights = line.split_ascii_whitespace().nth(1).unwrap_or_default();
        rights.contains('s') && rights.contains('w')
    };
    if read("maps")?.lines().any(shares) {
        return Err("it shares memory that it may write".into());
    }
    // Memory that a fork leaves out or wipes; what the kernel may drop at any time (`dp`) is fit for that.
    let is_not_handed_on = |line: &str| {
        let has = |flag| line.split_ascii_whitespace().any(|one| one == flag);
        line.starts_with("VmFlags:") && (has("dc") || (has("wf") && !has("dp")))
    };
    if read("smaps")?.lines().any(is_not_handed_on) {
        return Err("it has memory that clones do not inherit".into());
    }
    if !read("timers")?.trim().is_empty() {
        return Err("it has a timer before its first step".into());
    }
    let status = read("status")?;
    let field = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        line.unwrap_or_default().to_owned()
    };
    for pending in ["SigPnd:", "ShdPnd:"] {
        if field(&status, pending).bytes().any(|digit| digit != b'0') {
            return Err("a signal waits for it before its first step".into());
        }
    }
    let others = procfs::text(format!("/proc/{slot}/status")).unwrap_or_default();
    if field(&status, "Seccomp_filters:") != field(&others, "Seccomp_filters:") {
        return Err("it filters its own calls".into());
    }
    Ok(())
}

/// The open files whose offsets clones must not share. What is the slot's is shared by all that it starts, clones or not.
pub(super) fn files(pid: u32, slot: u32, is_inside: impl Fn(&str) -> bool) -> Result<Vec<Open>, Unfit> {
    let mut files = Vec::new();
    for number in super::super::task::descriptors(pid) {
        let link = format!("/proc/{pid}/fd/{number}");
        let path = fs::read_link(&link).map_err(|error| format!("descriptor {number}: {error}"))?;
        let path = path.to_string_lossy().into_owned();
        let about = fs::metadata(&link).map_err(|error| format!("descriptor {number}: {error}"))?;
        if share_file(pid, slot, number).unwrap_or(false) {
            continue;
        }
        if is_inside(path.strip_suffix(" (deleted)").unwrap_or(&path)) {
            return Err(format!("it has {path} open before its first step"));
        }
        let information = procfs::text(format!("/proc/{pid}/fdinfo/{number}"))
            .map_err(|error| format!("descriptor {number}: {error}"))?;
        if information.lines().any(|line| line.starts_with("lock:")) {
            return Err(format!("it holds a lock of {path} before its first step"));
        }
        let field = |name: &str| information.lines().find_map(|line| line.strip_prefix(name).map(str::trim));
        let flags = field("flags:").and_then(|flags| i32::from_str_radix(flags, 8).ok()).unwrap_or(0);
        let offset = field("pos:").and_then(|offset| offset.parse().ok()).unwrap_or(0);
        let kind = about.file_type();
        // /dev/null, zero, full, random and urandom.
        let is_memory = kind.is_char_device() && libc::major(about.rdev()) == 1;
        if is_memory || flags & libc::O_PATH != 0 {
            continue;
        }
        if !path.starts_with('/') || (!kind.is_file() && !kind.is_dir()) {
            return Err(format!("it has {path} open before its first step"));
        }
        files.push(Open { number: number.cast_unsigned(), flags, offset });
    }
    Ok(files)
}

/// Opens a template's file anew, at the same offset.
pub(super) fn open_anew(pid: u32, open: &Open) -> io::Result<OwnedFd> {
    let once = libc::O_CREAT | libc::O_EXCL | libc::O_TRUNC | libc::O_NOFOLLOW;
    let flags = OFlags::from_bits_retain((open.flags & !once).cast_unsigned()) | OFlags::CLOEXEC;
    let path = format!("/proc/{pid}/fd/{}", open.number);
    let file = openat(rustix::fs::CWD, path.as_str(), flags, Mode::empty())?;
    seek(&file, SeekFrom::Start(open.offset))?;
    Ok(file)
}

/// A working folder that clones must go to by themselves, as it may have been made anew.
pub(super) fn folder(pid: u32, is_inside: impl Fn(&str) -> bool) -> Result<Option<String>, Unfit> {
    let path = fs::read_link(format!("/proc/{pid}/cwd")).map_err(|error| error.to_string())?;
    let path = path.into_os_string().into_string();
    let path = path.map_err(|_| "its working folder's name is not UTF-8".to_owned())?;
    if !is_inside(path.strip_suffix(" (deleted)").unwrap_or(&path)) {
        return Ok(None);
    }
    if path.ends_with(" (deleted)") || path.len() >= TEXT_BYTES_MAX {
        return Err(format!("it cannot return to its working folder {path}"));
    }
    Ok(Some(path))
}
