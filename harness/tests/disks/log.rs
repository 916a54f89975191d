//! What reached a disk, in which order: writes, replies, flushes, and marks of the system calls that went on meanwhile.

use std::collections::HashMap;
use std::fmt::Write;

use super::fuse::TAGS;

/// The smallest unit that a disk writes, in bytes.
pub const SECTOR: usize = 512;

/// Sectors of a disk, by their number.
#[derive(Debug, Default)]
pub struct Blocks(HashMap<u64, Box<[u8]>>);

impl Blocks {
    /// Writes whole sectors.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) {
        for (number, sector) in bytes.chunks(SECTOR).enumerate() {
            self.0.insert(offset / SECTOR as u64 + number as u64, sector.into());
        }
    }

    /// Reads over what is there already.
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        if self.0.is_empty() {
            return;
        }
        for (number, sector) in bytes.chunks_mut(SECTOR).enumerate() {
            if let Some(there) = self.0.get(&(offset / SECTOR as u64 + number as u64)) {
                sector.copy_from_slice(&there[..sector.len()]);
            }
        }
    }

    /// Lays others over these.
    pub fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// What happened at a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The write of this number came.
    Wrote(usize),
    /// It was answered: from now on a flush is about it.
    Replied(usize),
    /// All that had been answered is to last.
    Flushed,
    /// A system call begins or has returned.
    Mark(String),
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct Log {
    /// Where each write went, and its bytes.
    pub writes: Vec<(u64, Vec<u8>)>,
    /// In which order.
    pub events: Vec<Event>,
}

impl Log {
    /// Notes a write; its number.
    pub fn add(&mut self, offset: u64, bytes: &[u8]) -> usize {
        self.writes.push((offset, bytes.to_vec()));
        self.events.push(Event::Wrote(self.writes.len() - 1));
        self.writes.len() - 1
    }

    /// All of it but the bytes, for another process.
    pub fn told(&self) -> Vec<u8> {
        let mut text = String::new();
        for event in &self.events {
            match event {
                Event::Wrote(number) => {
                    let (offset, bytes) = &self.writes[*number];
                    let is_data = TAGS.iter().any(|tag| bytes.starts_with(*tag));
                    writeln!(text, "write {offset} {} {is_data}", bytes.len())
                }
                Event::Replied(number) => writeln!(text, "reply {number}"),
                Event::Flushed => writeln!(text, "flush"),
                Event::Mark(mark) => writeln!(text, "mark {mark}"),
            }
            .expect("memory takes it");
        }
        text.into_bytes()
    }
}

/// A write, as it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Where, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub length: usize,
    /// Whether it is a file's data rather than the filesystem's own.
    pub is_data: bool,
}

/// Reads what [`Log::told`] tells.
pub fn read(text: &str) -> (Vec<Written>, Vec<Event>) {
    let (mut writes, mut events) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let event = match words[..] {
            ["write", offset, length, is_data] => {
                writes.push(Written {
                    offset: offset.parse().expect("an offset"),
                    length: length.parse().expect("a length"),
                    is_data: is_data == "true",
                });
                Event::Wrote(writes.len() - 1)
            }
            ["reply", number] => Event::Replied(number.parse().expect("a number")),
            ["flush"] => Event::Flushed,
            ["mark", ..] => Event::Mark(line["mark ".len()..].to_owned()),
            _ => panic!("an unknown line: {line}"),
        };
        events.push(event);
    }
    (writes, events)
}
