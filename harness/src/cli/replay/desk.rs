//! Where a person sits: words go to stdout, and a line comes back, or the end of all lines, or Ctrl-C.

use std::io::{self, Read};
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cli::interrupt::Interrupt;
use crate::cli::output;

/// How often Ctrl-C is looked for, while nothing is typed: a read that waits would not hear of it.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Asks, and hears lines.
#[derive(Debug)]
pub struct Desk {
    interrupt: Interrupt,
    typed: Vec<u8>,
    is_over: bool,
}

/// Shows words. Where nobody reads them any more, nobody has to.
pub fn show(words: &str) {
    let _ = output::print_words(words);
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A line, without its end.
    Line(String),
    /// There will be no more lines.
    End,
    /// The user wants to stop.
    Interrupt,
}

impl Desk {
    /// A desk at the terminal, or wherever stdin comes from.
    #[must_use]
    pub fn new(interrupt: Interrupt) -> Self {
        Self { interrupt, typed: Vec::new(), is_over: false }
    }

    /// Asks on stderr, and waits for a line.
    pub fn ask(&mut self, question: &str) -> Heard {
        output::say(question);
        loop {
            if let Some(end) = self.typed.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.typed.drain(..=end).collect();
                return Heard::Line(String::from_utf8_lossy(&line[..end]).trim().to_owned());
            }
            if self.interrupt.is_set() {
                return Heard::Interrupt;
            }
            if self.is_over {
                return Heard::End;
            }
            self.read();
        }
    }

    /// Takes what has been typed, or comes back after a while.
    fn read(&mut self) {
        let stdin = io::stdin();
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&LOOK)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return,
            Ok(_) => {}
            Err(_) => self.is_over = true,
        }
        let mut bytes = [0; 1024];
        match stdin.lock().read(&mut bytes) {
            Ok(0) => self.is_over = true,
            Ok(count) => self.typed.extend(&bytes[..count]),
            Err(error) => self.is_over = error.kind() != io::ErrorKind::Interrupted,
        }
    }
}
