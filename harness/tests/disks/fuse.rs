//! A small FUSE server on raw `/dev/fuse`: one file that is a disk in memory, and one that takes commands.
//!
//! Every block that a filesystem writes, and every flush, passes here, and is noted in the order in which it came. Replies
//! to writes of tagged data are held back, so that they are in flight while other things happen. It runs as a process of
//! its own: when whoever uses the disk is killed, it still serves what the kernel wants of it, and then ends.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::log::{Blocks, Event, Log};

/// What data begins with whose replies are held back: every block of every file of the cases.
pub const TAGS: [&[u8; 4]; 2] = [b"old!", b"new!"];

const ROOT: u64 = 1;
const DISK: u64 = 2;
const COMMANDS: u64 = 3;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const FSYNC: u32 = 20;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const BATCH_FORGET: u32 = 42;

const ASYNC_READ: u32 = 1;
const BIG_WRITES: u32 = 1 << 5;
const ASYNC_DIO: u32 = 1 << 15;
const MAX_PAGES: u32 = 1 << 22;
const DIRECT_IO: u32 = 1;
const HEADER: usize = 40;
const WRITE_MAX: u32 = 1 << 20;

/// Which layer of the disk is read and written.
enum Phase {
    /// What is written belongs to the disk.
    Prepare,
    /// What is written is noted.
    Record,
    /// A crash left this; what is written is forgotten with it.
    Image(Blocks),
}

struct Server {
    device: File,
    size: u64,
    /// The disk when it was made.
    pristine: Blocks,
    /// What was written since, up to the recording.
    base: Blocks,
    current: Blocks,
    phase: Phase,
    log: Log,
    delay: Duration,
    /// Whether a reply was held back since the recording began.
    has_held: bool,
    /// Replies that are held back, in the order in which they are due.
    held: VecDeque<(Instant, u64, usize, u32)>,
    /// What a reader of the commands' file gets.
    answer: Vec<u8>,
}

/// Serves a disk of so many bytes until the filesystem is unmounted or nobody is left.
pub fn serve(device: File, size: u64) {
    let mut server = Server {
        device,
        size,
        pristine: Blocks::default(),
        base: Blocks::default(),
        current: Blocks::default(),
        phase: Phase::Prepare,
        log: Log::default(),
        delay: Duration::ZERO,
        has_held: false,
        held: VecDeque::new(),
        answer: Vec::new(),
    };
    let mut buffer = vec![0; WRITE_MAX as usize + 4096];
    loop {
        let now = Instant::now();
        while let Some((due, ..)) = server.held.front()
            && *due <= now
        {
            let (_, unique, write, length) = server.held.pop_front().expect("one is there");
            server.log.events.push(Event::Replied(write));
            server.reply(unique, &[length.to_ne_bytes(), [0; 4]].concat());
        }
        let timeout = server.held.front().map_or(PollTimeout::NONE, |(due, ..)| {
            let left = due.saturating_duration_since(now).as_millis() as u16;
            PollTimeout::from(left.saturating_add(1))
        });
        let mut polled = [PollFd::new(server.device.as_fd(), PollFlags::POLLIN)];
        match poll(&mut polled, timeout) {
            Ok(0) | Err(Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return,
        }
        let read = match (&server.device).read(&mut buffer) {
            Ok(read) => read,
            // It is not mounted yet.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                std::thread::sleep(Duration::from_millis(2));
                continue;
            }
            // A request that was withdrawn before it could be read.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR | libc::EAGAIN)) => {
                continue;
            }
            Err(_) => return,
        };
        if !server.handle(&buffer[..read]) {
            return;
        }
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

impl Server {
    /// One request; false when it was the last.
    fn handle(&mut self, request: &[u8]) -> bool {
        let (opcode, unique, node) = (word(request, 4), long(request, 8), long(request, 16));
        let body = &request[HEADER..];
        match opcode {
            INIT => self.init(unique),
            LOOKUP => match body {
                b"disk\0" => self.entry(unique, DISK),
                b"commands\0" => self.entry(unique, COMMANDS),
                _ => self.fail(unique, libc::ENOENT),
            },
            GETATTR => {
                let attributes = [&[0; 16][..], &self.attributes(node)].concat();
                self.reply(unique, &attributes);
            }
            OPEN => self.reply(unique, &[&[0; 8][..], &DIRECT_IO.to_ne_bytes(), &[0; 4]].concat()),
            READ => {
                let (offset, length) = (long(body, 8), word(body, 16) as usize);
                let bytes =
                    if node == DISK { self.read(offset, length) } else { self.answered(offset, length) };
                self.reply(unique, &bytes);
            }
            WRITE => {
                let (offset, length) = (long(body, 8), word(body, 16));
                let bytes = &body[HEADER..HEADER + length as usize];
                self.write(unique, node, offset, bytes);
            }
            FSYNC => {
                if node == DISK && matches!(self.phase, Phase::Record) {
                    self.log.events.push(Event::Flushed);
                }
                self.reply(unique, &[]);
            }
            STATFS => self.reply(unique, &[0; 80]),
            FLUSH | RELEASE => self.reply(unique, &[]),
            FORGET | BATCH_FORGET | INTERRUPT => {}
            DESTROY => {
                self.reply(unique, &[]);
                return false;
            }
            _ => self.fail(unique, libc::ENOSYS),
        }
        true
    }

    fn send(&self, unique: u64, error: i32, body: &[u8]) {
        let length = (16 + body.len()) as u32;
        let message = [&length.to_ne_bytes()[..], &error.to_ne_bytes(), &unique.to_ne_bytes(), body].concat();
        // Whoever asked may be gone.
        _ = (&self.device).write(&message);
    }

    fn reply(&self, unique: u64, body: &[u8]) {
        self.send(unique, 0, body);
    }

    fn fail(&self, unique: u64, error: i32) {
        self.send(unique, -error, &[]);
    }

    fn init(&self, unique: u64) {
        let mut reply = Vec::new();
        let flags = ASYNC_READ | BIG_WRITES | ASYNC_DIO | MAX_PAGES;
        for word in [7, 31, 1 << 17, flags] {
            reply.extend(u32::to_ne_bytes(word));
        }
        for half in [64_u16, 64] {
            reply.extend(half.to_ne_bytes());
        }
        for word in [WRITE_MAX, 1, WRITE_MAX / 4096, 0, 0, 0, 0, 0, 0, 0] {
            reply.extend(word.to_ne_bytes());
        }
        self.reply(unique, &reply);
    }

    fn entry(&self, unique: u64, node: u64) {
        let body = [&node.to_ne_bytes()[..], &[0; 32], &self.attributes(node)].concat();
        self.reply(unique, &body);
    }

    fn attributes(&self, node: u64) -> Vec<u8> {
        let (size, mode) = match node {
            ROOT => (0, libc::S_IFDIR | 0o700),
            DISK => (self.size, libc::S_IFREG | 0o600),
            _ => (0, libc::S_IFREG | 0o600),
        };
        let mut attributes = Vec::new();
        for long in [node, size, size / 512, 0, 0, 0] {
            attributes.extend(u64::to_ne_bytes(long));
        }
        for word in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0] {
            attributes.extend(u32::to_ne_bytes(word));
        }
        attributes
    }

    fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let upper = match &self.phase {
            Phase::Image(image) => image,
            Phase::Prepare | Phase::Record => &self.current,
        };
        for layer in [&self.pristine, &self.base, upper] {
            layer.read(offset, &mut bytes);
        }
        bytes
    }

    fn answered(&self, offset: u64, length: usize) -> Vec<u8> {
        let start = (offset as usize).min(self.answer.len());
        self.answer[start..self.answer.len().min(start + length)].to_vec()
    }

    fn write(&mut self, unique: u64, node: u64, offset: u64, bytes: &[u8]) {
        let length = bytes.len() as u32;
        if node != DISK {
            let command = String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned();
            match self.command(&command) {
                Ok(()) => self.reply(unique, &[length.to_ne_bytes(), [0; 4]].concat()),
                Err(()) => self.fail(unique, libc::EINVAL),
            }
            return;
        }
        match &mut self.phase {
            Phase::Prepare => self.current.write(offset, bytes),
            Phase::Image(image) => image.write(offset, bytes),
            Phase::Record => {
                self.current.write(offset, bytes);
                let write = self.log.add(offset, bytes);
                let is_data = TAGS.iter().any(|tag| bytes.starts_with(*tag));
                if is_data && !self.delay.is_zero() {
                    // The first waits longest: whatever comes after it may be told of earlier.
                    let times = if self.has_held { 1 } else { 4 };
                    self.has_held = true;
                    let due = Instant::now() + self.delay * times;
                    let at = self.held.partition_point(|(other, ..)| *other <= due);
                    self.held.insert(at, (due, unique, write, length));
                    return;
                }
                self.log.events.push(Event::Replied(write));
            }
        }
        self.reply(unique, &[length.to_ne_bytes(), [0; 4]].concat());
    }

    fn command(&mut self, command: &str) -> Result<(), ()> {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        match word {
            // The disk is as it shall be for every case.
            "made" => self.pristine.add(std::mem::take(&mut self.current)),
            // From here on writes are noted, and replies held back for so many milliseconds.
            "record" => {
                self.base.add(std::mem::take(&mut self.current));
                self.log = Log::default();
                self.delay = Duration::from_millis(rest.parse().map_err(|_| ())?);
                self.has_held = false;
                self.phase = Phase::Record;
            }
            "mark" => self.log.events.push(Event::Mark(rest.to_owned())),
            // What was noted can be read.
            "tell" => {
                self.phase = Phase::Prepare;
                self.current = Blocks::default();
                self.answer = self.log.told();
            }
            // The disk with these pieces of what was noted, in this order.
            "image" => {
                let mut image = Blocks::default();
                for piece in rest.split(',').filter(|piece| !piece.is_empty()) {
                    let numbers: Vec<usize> = piece.split(':').filter_map(|part| part.parse().ok()).collect();
                    let [write, from, to] = numbers[..] else { return Err(()) };
                    let (offset, bytes) = &self.log.writes.get(write).ok_or(())?;
                    image.write(offset + from as u64, bytes.get(from..to).ok_or(())?);
                }
                self.phase = Phase::Image(image);
            }
            // The disk as it was made.
            "anew" => {
                self.base = Blocks::default();
                self.current = Blocks::default();
                self.phase = Phase::Prepare;
            }
            _ => return Err(()),
        }
        Ok(())
    }
}
