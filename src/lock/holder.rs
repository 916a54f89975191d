//! Who holds a lock that was not to be had, as far as the kernel tells. It looks only after a wait has failed, and
//! what it finds may be out of date by then: it is for people, never for a decision.

use std::fmt;
use std::fs::{self, File};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use rustix::fs::fstat;

use super::LockKind;
use super::ofd::whole_file;
use crate::identity;
use crate::printable::printable;

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process number, as the kernel tells it to the namespace of whoever asks.
    pub pid: u32,
    /// What it was started as, while it lives.
    pub command: Option<String>,
}

impl Holder {
    pub(crate) fn new(pid: u32) -> Self {
        Self { pid, command: identity::command(pid) }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {}", self.pid)?;
        self.command.as_ref().map_or(Ok(()), |command| write!(f, " ({})", printable(command)))
    }
}

/// Who holds a lock of this open file.
pub(super) fn of_file(kind: LockKind, file: &File) -> Option<Holder> {
    let stat = fstat(file).ok()?;
    let known = match kind {
        LockKind::Posix => by_fcntl(file).or_else(|| in_table("POSIX", stat.st_dev, stat.st_ino)),
        LockKind::Ofd => None,
        _ => in_table("FLOCK", stat.st_dev, stat.st_ino),
    };
    known.or_else(|| by_descriptors(stat.st_ino)).map(Holder::new)
}

/// What the kernel answers when asked for the lock that is in the way.
fn by_fcntl(file: &File) -> Option<u32> {
    let mut lock = whole_file(libc::F_WRLCK);
    fcntl(file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    (i32::from(lock.l_type) != libc::F_UNLCK)
        .then(|| u32::try_from(lock.l_pid).ok().filter(|pid| *pid > 0))?
}

/// The holder in the kernel's table of locks, `/proc/locks`.
fn in_table(kind: &str, device: u64, inode: u64) -> Option<u32> {
    let place = format!("{:02x}:{:02x}:{inode}", rustix::fs::major(device), rustix::fs::minor(device));
    let table = fs::read_to_string("/proc/locks").ok()?;
    table.lines().find_map(|line| {
        let entry = LockLine::parse(line)?;
        (entry.kind == kind && entry.place == place).then_some(entry.pid)?
    })
}

/// The process with an open descriptor that has a lock on this inode. The table names no process for OFD locks, and
/// on some filesystems another device than `stat` does; the descriptors' own files do not have these gaps.
fn by_descriptors(inode: u64) -> Option<u32> {
    identity::all_pids().find(|pid| holds_by_descriptor(*pid, inode))
}

fn holds_by_descriptor(pid: u32, inode: u64) -> bool {
    let suffix = format!(":{inode}");
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return false };
    descriptors.flatten().any(|descriptor| {
        fs::read_to_string(descriptor.path()).is_ok_and(|info| {
            info.lines()
                .filter_map(|line| LockLine::parse(line.strip_prefix("lock:")?))
                .any(|entry| entry.place.ends_with(&suffix))
        })
    })
}

/// One lock, as `/proc/locks` and `/proc/<pid>/fdinfo` show it:
/// `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`. A `->` after the number is one who waits, and no holder.
#[derive(Debug, PartialEq, Eq)]
struct LockLine<'a> {
    kind: &'a str,
    pid: Option<u32>,
    place: &'a str,
}

impl<'a> LockLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace();
        let kind = fields.nth(1).filter(|kind| *kind != "->")?;
        // OFD locks belong to no process, which is written as -1; one of another pid namespace as 0.
        let pid = fields.nth(2)?.parse().ok().filter(|pid| *pid > 0);
        Some(Self { kind, pid, place: fields.next()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Mode;
    use crate::lock::descriptor::Primitive as _;

    /// Each source is asked by itself: where one does not tell, another does.
    #[test]
    fn each_source_names_whoever_holds_a_lock_and_nobody_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let again = file.reopen().unwrap();
        let stat = fstat(&again).unwrap();
        let own = Some(std::process::id());
        let table = |kind| in_table(kind, stat.st_dev, stat.st_ino);
        assert_eq!((by_fcntl(&again), table("FLOCK"), table("POSIX")), (None, None, None), "nobody has any");
        crate::lock::flock_std::Std.lock(file.as_file(), Mode::Exclusive).unwrap();
        // Some filesystems have another device in the table.
        let told = table("FLOCK");
        assert!(told == own || (told.is_none() && !is_in_the_table(stat.st_dev, stat.st_ino)), "{told:?}");
        assert_eq!(table("POSIX"), None, "it is a lock of another kind");
        assert_eq!(in_table("FLOCK", stat.st_dev, u64::MAX), None, "it is another file's");
        assert_eq!(by_fcntl(&again), None, "fcntl knows nothing of it");
        // An OFD lock is in the way of any other descriptor, and belongs to no process.
        crate::lock::ofd::Ofd.lock(file.as_file(), Mode::Exclusive).unwrap();
        assert_eq!(by_fcntl(&again), None, "it is nobody's");
        assert!(holds_by_descriptor(std::process::id(), stat.st_ino));
    }

    /// Whether the table has the file at all under the device that `stat` tells.
    fn is_in_the_table(device: u64, inode: u64) -> bool {
        let place = format!("{:02x}:{:02x}:{inode} ", rustix::fs::major(device), rustix::fs::minor(device));
        fs::read_to_string("/proc/locks").is_ok_and(|table| table.contains(&place))
    }

    /// A child of this test holds a POSIX lock, which no lock of this process would be in the way of.
    #[test]
    fn the_process_that_holds_a_posix_lock_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let script = "import fcntl, sys; f = open(sys.argv[1], 'r+'); fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); \
                      sys.stdin.read()";
        let child = std::process::Command::new("python3")
            .args(["-S", "-I", "-c", script, &path])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            assert!(std::env::var_os("FLOCKWORK_REQUIRE_ALL").is_none(), "python3 is missing");
            println!("skipped: python3 is missing");
            return;
        };
        let mut line = String::new();
        let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        assert_eq!(line, "held\n");
        assert_eq!(by_fcntl(file.as_file()), Some(child.id()));
        assert_eq!(of_file(LockKind::Posix, file.as_file()).map(|holder| holder.pid), Some(child.id()));
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn lock_lines_are_read_as_the_kernel_writes_them() {
        let holder = "1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF";
        assert_eq!(
            LockLine::parse(holder),
            Some(LockLine { kind: "FLOCK", pid: Some(1234), place: "00:1a:5678" })
        );
        let ofd = "2: OFDLCK ADVISORY  READ -1 fe:00:9 0 EOF";
        assert_eq!(LockLine::parse(ofd), Some(LockLine { kind: "OFDLCK", pid: None, place: "fe:00:9" }));
        assert_eq!(LockLine::parse("1: -> FLOCK  ADVISORY  WRITE 1 00:1a:5678 0 EOF"), None);
        assert_eq!(LockLine::parse(""), None);
    }
}
