//! An input that may come late or never, such as a pipe: it is waited for until the time is over.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

/// The input. What does not come in time is an error of the kind `TimedOut`.
#[derive(Debug)]
pub struct Patient {
    input: File,
    until: Instant,
}

impl Patient {
    /// Opens a file, or standard input where the path is `-`.
    pub fn open(path: &Path, until: Instant) -> io::Result<Self> {
        let input = if path.as_os_str() == "-" {
            File::from(io::stdin().as_fd().try_clone_to_owned()?)
        } else {
            // So that a named pipe to which nobody writes does not hold up the opening. Files are read all the same.
            let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
            File::from(rustix::fs::open(path, flags, Mode::empty())?)
        };
        Ok(Self { input, until })
    }
}

impl Read for Patient {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
        let mut polled = [PollFd::new(&self.input, PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Ok(0) => Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => self.input.read(bytes),
            Err(errno) => Err(errno.into()),
        }
    }
}
