//! What `/proc` says of processes. Every answer may be out of date as soon as it is given.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What a file of `/proc` says, as text. The kernel does not tell how long it is, so that whoever goes by that reads it in
/// many pieces; this takes a page at a time.
///
/// # Errors
/// As of `open` and `read`; [`io::ErrorKind::InvalidData`] where it is no text.
pub fn text(path: impl AsRef<Path>) -> io::Result<String> {
    read(path.as_ref(), |_| false)
}

/// The same of a file that the kernel writes in one piece (`stat`, `status`, `syscall`, `schedstat`, `fdinfo`): what does not
/// fill a page is all of it. Lists are written in several pieces (`maps`, `children`), and may stop short of a page.
///
/// # Errors
/// As of [`text`].
pub fn record(path: impl AsRef<Path>) -> io::Result<String> {
    read(path.as_ref(), |read| read < PAGE)
}

/// How much is read at once, in bytes.
pub(crate) const PAGE: usize = 4096;

/// The first page of a file that is open, in one call.
pub(crate) fn first_page(file: &File) -> io::Result<String> {
    let mut page = [0; PAGE];
    let length = loop {
        match file.read_at(&mut page, 0) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    into_text(page[..length].to_vec())
}

fn into_text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn read(path: &Path, is_last: impl Fn(usize) -> bool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut text = Vec::new();
    let mut page = [0; PAGE];
    loop {
        match file.read(&mut page) {
            Ok(0) => break,
            Ok(read) => {
                text.extend_from_slice(&page[..read]);
                if is_last(read) {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    into_text(text)
}

/// A process as `/proc/<pid>/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// R, S, D, T, t, Z, X …
    pub state: char,
    /// The pid of the process that it is a child of.
    pub parent: u32,
    /// When it started, in clock ticks since boot: tells two processes of one pid apart.
    pub start_ticks: u64,
    /// The program that it runs.
    pub image: Image,
}

/// Which program a process runs since when: where its code and its stack lie is drawn anew whenever a program is executed, and
/// stays the same in whoever is forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    code: [u64; 2],
    stack: u64,
    /// Whether the process has executed nothing since it was forked.
    is_copied: bool,
}

impl Image {
    /// The flag of the kernel's `PF_FORKNOEXEC`.
    const FORKED: u64 = 0x40;

    /// Whether a process of this image is a copy of that process, or of a copy of it, and has executed nothing since.
    #[must_use]
    pub fn is_copy_of(&self, of: &Self) -> bool {
        self.is_copied && (self.code, self.stack) == (of.code, of.stack)
    }
}

impl Stat {
    /// Reads a process; `None` where there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Self::parse(&record(path(pid, "stat")).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        // The name may hold spaces and parentheses; what follows the last one is regular.
        let mut fields = line.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let mut number = |skipped| fields.nth(skipped)?.parse::<u64>().ok();
        let flags = number(4)?;
        let start_ticks = number(12)?;
        let code = [number(3)?, number(0)?];
        let image = Image { code, stack: number(0)?, is_copied: flags & Image::FORKED != 0 };
        Some(Self { state, parent, start_ticks, image })
    }

    /// Whether it has ended, reaped or not.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// Whether a process or task is there, and has not ended.
#[must_use]
pub(crate) fn lives(pid: u32) -> bool {
    Stat::of(pid).is_some_and(|stat| !stat.is_dead())
}

/// Every process there is.
#[must_use]
pub fn pids() -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The children of a process that are there, dead ones among them.
#[must_use]
pub fn children(pid: u32) -> Vec<u32> {
    if is_single(pid) {
        return children_of_single(pid);
    }
    children_of_all(pid)
}

fn children_of_all(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(path(pid, "task")) else { return Vec::new() };
    let listed: Option<Vec<String>> = threads
        .flatten()
        .map(|thread| match text(thread.path().join("children")) {
            // A thread that is gone has none.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Some(String::new()),
            listed => listed.ok(),
        })
        .collect();
    match listed {
        Some(listed) => listed.iter().flat_map(|listed| numbers(listed)).collect(),
        // Not every kernel lists them.
        None => pids()
            .into_iter()
            .filter(|&other| Stat::of(other).is_some_and(|stat| stat.parent == pid))
            .collect(),
    }
}

/// The children of a process that has one thread.
#[must_use]
pub fn children_of_single(pid: u32) -> Vec<u32> {
    match text(format!("/proc/{pid}/task/{pid}/children")) {
        Ok(listed) => numbers(&listed),
        // It is gone, or the kernel lists no children.
        Err(_) => children_of_all(pid),
    }
}

/// The numbers in a list of `/proc`.
pub(crate) fn numbers(list: &str) -> Vec<u32> {
    list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// How many threads a process has: told by one call, where listing them takes five. `None` where there is no such process.
pub(crate) fn thread_count(pid: u32) -> Option<usize> {
    // Two for the folder itself, and one for each thread.
    let links = fs::metadata(path(pid, "task")).ok()?.nlink();
    usize::try_from(links).ok()?.checked_sub(2)
}

/// Whether a process has one thread, and so is its first.
fn is_single(pid: u32) -> bool {
    thread_count(pid) == Some(1)
}

/// All that descends from a process, dead ones among them. Whoever is handed to another parent meanwhile may be missed.
#[must_use]
pub fn descendants(of: u32) -> Vec<u32> {
    descendants_by(of, children)
}

/// The same, where this tells the children of each.
pub(crate) fn descendants_by(of: u32, mut children: impl FnMut(u32) -> Vec<u32>) -> Vec<u32> {
    let mut found = children(of);
    let mut at = 0;
    while let Some(&pid) = found.get(at) {
        found.extend(children(pid));
        at += 1;
    }
    found
}

/// The threads of a process, by number.
#[must_use]
pub fn threads(pid: u32) -> Vec<u32> {
    if is_single(pid) {
        return vec![pid];
    }
    let Ok(entries) = fs::read_dir(path(pid, "task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// A variable of the environment that a process was started with; `None` where it has none, or may not be asked.
#[must_use]
pub fn environment(pid: u32, variable: &str) -> Option<String> {
    let environment = fs::read(path(pid, "environ")).ok()?;
    environment.split(|&byte| byte == 0).find_map(|pair| {
        let value = pair.strip_prefix(variable.as_bytes())?.strip_prefix(b"=")?;
        Some(String::from_utf8_lossy(value).into_owned())
    })
}

/// The words that a process was started with, or that it calls itself by; none where it has ended.
#[must_use]
pub fn command_line(pid: u32) -> Option<Vec<String>> {
    let line = fs::read(path(pid, "cmdline")).ok()?;
    let words = line.split(|&byte| byte == 0).filter(|word| !word.is_empty());
    Some(words.map(|word| String::from_utf8_lossy(word).into_owned()).collect())
}

/// The control groups that a process is in, a line a hierarchy, in the kernel's own form.
#[must_use]
pub fn cgroups(pid: u32) -> Option<String> {
    text(path(pid, "cgroup")).ok()
}

/// Whether a process is in a control group of this name, or below one, in any hierarchy.
#[must_use]
pub fn is_in_cgroup(pid: u32, name: &str) -> bool {
    // "4:memory:/ground/id"
    let listed = cgroups(pid).unwrap_or_default();
    let mut paths = listed.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths.any(|path| path.split('/').any(|part| part == name))
}

/// Whether a process is in a control group of version 1 that is frozen, or about to be. Its tasks are in state D then; those of version 2
/// are in state S.
#[must_use]
pub fn is_frozen(pid: u32) -> bool {
    // "7:freezer:/ground/id"
    let listed = cgroups(pid).unwrap_or_default();
    let path = listed.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers.split(',').any(|controller| controller == "freezer").then_some(path)
    });
    let state = path.map(|path| text(format!("/sys/fs/cgroup/freezer{path}/freezer.state")));
    state.and_then(Result::ok).is_some_and(|state| state.trim() != "THAWED")
}

/// How long a process was on a processor so far, in nanoseconds; 0 where nobody tells.
#[must_use]
pub fn ran_ns(pid: u32) -> u64 {
    let statistics = record(path(pid, "schedstat")).unwrap_or_default();
    statistics.split_ascii_whitespace().next().and_then(|ran| ran.parse().ok()).unwrap_or(0)
}

/// The signals that the calling process was started to ignore, by number.
#[must_use]
pub fn ignored_signals() -> Vec<i32> {
    let status = text("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    (1..=64).filter(|signal| mask >> (signal - 1) & 1 == 1).collect()
}

/// What a process waits for in the kernel, in the kernel's words.
#[must_use]
pub fn wait_channel(pid: u32) -> Option<String> {
    let channel = text(path(pid, "wchan")).ok()?;
    let channel = channel.trim();
    (!channel.is_empty() && channel != "0").then(|| channel.to_owned())
}

/// The functions of the kernel that a process waits in, the innermost first; none where the caller may not know.
#[must_use]
pub fn stack(pid: u32) -> Vec<String> {
    let stack = text(path(pid, "stack")).unwrap_or_default();
    let function = |line: &str| line.split_whitespace().nth(1)?.split('+').next().map(str::to_owned);
    stack.lines().filter_map(function).collect()
}

/// The program's name, or how it calls itself.
#[must_use]
pub fn name(pid: u32) -> Option<String> {
    Some(text(path(pid, "comm")).ok()?.trim().to_owned())
}

fn path(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

/// Why processes cannot be told apart here: the view of this process is not to be had.
#[must_use]
pub fn no_view() -> io::Error {
    let read = fs::read("/proc/self/status");
    match read {
        // The machine's lack, and not a strange /proc.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), format!("/proc cannot be read: {error}"))
        }
        _ => io::Error::new(
            io::ErrorKind::Unsupported,
            "/proc is missing, or is that of another pid namespace, so that processes cannot be told apart; mount the \
             one of this namespace (unshare --mount-proc)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = "17 (a) b (c) S 4 17 17 0 -1 65 2 3 4 5 6 7 8 9 20 0 1 0 98765 11 12 13 14 15 16 17";
        let image = Image { code: [14, 15], stack: 16, is_copied: true };
        assert_eq!(Stat::parse(line), Some(Stat { state: 'S', parent: 4, start_ticks: 98765, image }));
        assert_eq!(Stat::parse("17 (a"), None);
    }

    #[test]
    fn a_record_is_read_whole() {
        let link = |text: &str| text.lines().find(|line| line.starts_with("NSpid:")).map(str::to_owned);
        let status = "/proc/self/status";
        let whole = text(status).expect("read");
        assert_eq!(link(&record(status).expect("read")), link(&whole));
        assert_eq!(record(status).expect("read").lines().count(), whole.lines().count());
        // What is longer than a page is read to its end, too.
        let folder = tempfile::tempdir().expect("a folder");
        let long = folder.path().join("long");
        fs::write(&long, "x".repeat(3 * PAGE + 1)).expect("written");
        assert_eq!(record(&long).expect("read").len(), 3 * PAGE + 1);
    }

    #[test]
    fn a_copy_is_told_from_a_process_that_executes_a_program() {
        let copy = Image { code: [1, 2], stack: 3, is_copied: true };
        let own = Image { is_copied: false, ..copy };
        assert!(copy.is_copy_of(&own) && copy.is_copy_of(&copy) && !own.is_copy_of(&own));
        assert!(
            !copy.is_copy_of(&Image { stack: 4, ..own }) && !copy.is_copy_of(&Image { code: [1, 4], ..own })
        );
        // The shell of the same program that a shell starts is another.
        let mut shell = std::process::Command::new("sh").args(["-c", "sleep 60; :"]).spawn().expect("sh");
        let seen = Stat::of(shell.id()).expect("it runs");
        let own = Stat::of(std::process::id()).expect("our own stat");
        assert!(!seen.image.is_copy_of(&own.image), "{seen:?} {own:?}");
        shell.kill().expect("ours");
        shell.wait().expect("ours");
    }

    #[test]
    fn this_very_process_is_there() {
        let own = std::process::id();
        assert!(pids().contains(&own));
        let stat = Stat::of(own).expect("our own stat");
        assert!(!stat.is_dead() && stat.start_ticks > 0);
    }
}
