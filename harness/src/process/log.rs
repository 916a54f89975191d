//! The log: what each process did, written by itself without a system call or a lock, readable after it was killed.
//!
//! An entry is published before the operation begins, and its return is stamped last. So an entry without return is an
//! operation whose outcome is unknown; nothing that a killed process had half-written is ever taken for an answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use flockwork::{Operation, Status};

use super::clock::now_ns;
use super::region::{Header, Region};
use crate::answer;
use crate::answer::Answer;
use crate::history::{Outcome, Reason, Record};

/// Longest text kept of one message, in bytes.
const MESSAGE_BYTES_MAX: usize = 1024;
/// How many different messages one process remembers, so as not to store each of them again.
const MESSAGES_KNOWN_MAX: usize = 256;
const NO_CONTAINER: u32 = u32::MAX;

/// One operation in shared memory.
#[repr(C)]
#[derive(Debug)]
pub struct Entry {
    invoke_ns: AtomicU64,
    /// 0 until the operation has returned or its process was reaped.
    return_ns: AtomicU64,
    generation: AtomicU64,
    revision: AtomicU64,
    container: AtomicU32,
    /// Offset of its message among the texts, plus 1; 0 for none.
    text: AtomicU32,
    what: AtomicU32,
    /// Number of the system's error, for failures; 0 for none.
    errno: AtomicU32,
}

const _: () = assert!(size_of::<Entry>() == 48);

impl Entry {
    /// When it was invoked.
    #[must_use]
    pub fn invoke_ns(&self) -> u64 {
        self.invoke_ns.load(Ordering::Relaxed)
    }

    /// When it returned, or could no longer act; `None` while it is open.
    #[must_use]
    pub fn return_ns(&self) -> Option<u64> {
        Some(self.return_ns.load(Ordering::Acquire)).filter(|&at_ns| at_ns != 0)
    }

    /// Closes the entry of a process that is dead: outcome unknown, and no longer able to act from now on.
    pub fn close_unknown(&self, reaped_ns: u64) {
        let operation = Packed(self.what.load(Ordering::Relaxed)).operation();
        self.what.store(Packed::begun(operation).0, Ordering::Relaxed);
        self.generation.store(0, Ordering::Relaxed);
        self.revision.store(0, Ordering::Relaxed);
        self.text.store(0, Ordering::Relaxed);
        self.errno.store(0, Ordering::Relaxed);
        self.return_ns.store(reaped_ns, Ordering::Release);
    }

    /// The operation and its container.
    #[must_use]
    pub fn subject_matter(&self) -> (Operation, Option<u32>) {
        let container = self.container.load(Ordering::Relaxed);
        let operation = Packed(self.what.load(Ordering::Relaxed)).operation();
        (operation, (container != NO_CONTAINER).then_some(container))
    }

    /// What the machine lacked when the operation failed; `None` where it did not, or not for the machine's sake.
    #[must_use]
    pub fn lack(&self) -> Option<&'static str> {
        self.return_ns()?;
        let packed = Packed(self.what.load(Ordering::Relaxed));
        let errno = self.errno.load(Ordering::Relaxed) as u16;
        answer::lack(packed.outcome(), packed.reason(), std::num::NonZeroU16::new(errno))
    }

    /// The entry as a record of a history, and where its message is.
    #[must_use]
    pub fn record(&self, process: u32) -> (Record, Option<TextAt>) {
        let (operation, container) = self.subject_matter();
        let mut record = Record::invoked(process, container, operation, self.invoke_ns());
        let Some(return_ns) = self.return_ns() else {
            return (record, None);
        };
        let packed = Packed(self.what.load(Ordering::Relaxed));
        record.set_return_ns(Some(return_ns));
        record.outcome = packed.outcome();
        record.reason = packed.reason();
        record.status = packed.status();
        record.generation = std::num::NonZeroU64::new(self.generation.load(Ordering::Relaxed));
        record.revision = std::num::NonZeroU64::new(self.revision.load(Ordering::Relaxed));
        (record, self.text.load(Ordering::Relaxed).checked_sub(1).map(TextAt))
    }
}

/// Operation, outcome, reason and status in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed(pub u32);

impl Packed {
    /// An operation that has not returned.
    #[must_use]
    pub const fn begun(operation: Operation) -> Self {
        Self(operation as u32 | (Outcome::Unknown as u32) << 8)
    }

    /// An operation that has.
    #[must_use]
    pub fn answered(operation: Operation, answer: &Answer) -> Self {
        let reason = answer.reason.map_or(0, |reason| reason as u32 + 1);
        let status = answer.status.map_or(0, |status| status as u32 + 1);
        Self(operation as u32 | (answer.outcome as u32) << 8 | reason << 16 | status << 24)
    }

    /// The operation that the word holds.
    #[must_use]
    pub fn operation(self) -> Operation {
        Operation::ALL[(self.0 & 0xff) as usize]
    }

    /// Whether the operation succeeded, was refused, failed, or nobody knows.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        Outcome::ALL[(self.0 >> 8 & 0xff) as usize]
    }

    /// Why it was refused or failed.
    #[must_use]
    pub fn reason(self) -> Option<Reason> {
        (self.0 >> 16 & 0xff).checked_sub(1).map(|index| Reason::ALL[index as usize])
    }

    /// The status it saw or left.
    #[must_use]
    pub fn status(self) -> Option<Status> {
        (self.0 >> 24).checked_sub(1).map(|index| Status::ALL[index as usize])
    }
}

/// Where a text lies among a process's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextAt(u32);

/// Reads a text; `None` where there is none.
#[must_use]
pub fn text(texts: &[AtomicU8], at: TextAt) -> Option<String> {
    let start = at.0 as usize;
    let mut length = [0; 4];
    for (byte, shared) in length.iter_mut().zip(texts.get(start..start + 4)?) {
        *byte = shared.load(Ordering::Relaxed);
    }
    let bytes = texts.get(start + 4..start + 4 + u32::from_le_bytes(length) as usize)?;
    let bytes = bytes.iter().map(|byte| byte.load(Ordering::Relaxed)).collect::<Vec<_>>();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// As much of a text as fits into `bytes_max`, cut between characters.
#[must_use]
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// What a worker's loop writes to: the log, or, to measure what the log costs, nothing.
pub trait Recorder {
    /// Number of the next operation; `None` where the log has no room for it.
    fn next_sequence(&self) -> Option<u64>;
    /// An operation begins.
    fn invoked(&mut self, operation: Operation, container: Option<u32>);
    /// It has ended; gives back when.
    fn returned(&mut self, operation: Operation, answer: &Answer) -> u64;
    /// Another process has gone on with this log meanwhile: look again where it stands.
    fn resume(&mut self);
}

/// Writes one process's log.
#[derive(Debug)]
pub struct Writer<'r> {
    header: &'r Header,
    entries: &'r [Entry],
    texts: Texts<'r>,
    published: u64,
}

impl<'r> Writer<'r> {
    /// Goes on where the process's log ends.
    #[must_use]
    pub fn new(region: &'r Region, process: u32) -> Self {
        let header = region.header(process);
        Self {
            header,
            entries: region.entries(process),
            texts: Texts { bytes: region.texts(process), used: &header.text_used, known: HashMap::new() },
            published: header.published.load(Ordering::Acquire),
        }
    }

    /// How many more operations fit.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.entries.len() as u64 - self.published
    }

    #[cold]
    fn note(&mut self, entry: &Entry, answer: &Answer) {
        if answer.reason == Some(Reason::Corrupt) {
            bump(&self.header.torn);
        }
        if let Some(message) = &answer.message {
            entry.text.store(self.texts.keep(message).map_or(0, |at| at.0 + 1), Ordering::Relaxed);
            entry.errno.store(answer.errno.map_or(0, |errno| errno.get().into()), Ordering::Relaxed);
        }
    }
}

impl Recorder for Writer<'_> {
    #[inline]
    fn next_sequence(&self) -> Option<u64> {
        (self.published < self.entries.len() as u64).then_some(self.published)
    }

    #[inline]
    fn invoked(&mut self, operation: Operation, container: Option<u32>) {
        let entry = &self.entries[self.published as usize];
        entry.container.store(container.unwrap_or(NO_CONTAINER), Ordering::Relaxed);
        entry.what.store(Packed::begun(operation).0, Ordering::Relaxed);
        self.published += 1;
        entry.invoke_ns.store(now_ns(), Ordering::Relaxed);
        // Everything of the entry is in place before anyone can see that it exists, and before the operation begins.
        self.header.published.store(self.published, Ordering::Release);
    }

    #[inline]
    fn returned(&mut self, operation: Operation, answer: &Answer) -> u64 {
        let return_ns = now_ns();
        let entry = &self.entries[self.published as usize - 1];
        entry.generation.store(answer.generation.unwrap_or(0), Ordering::Relaxed);
        entry.revision.store(answer.revision.unwrap_or(0), Ordering::Relaxed);
        if answer.message.is_some() || answer.reason == Some(Reason::Corrupt) {
            self.note(entry, answer);
        }
        entry.what.store(Packed::answered(operation, answer).0, Ordering::Relaxed);
        // Last: whoever sees the return sees all of the answer.
        entry.return_ns.store(return_ns, Ordering::Release);
        bump(&self.header.completed);
        return_ns
    }

    fn resume(&mut self) {
        self.published = self.header.published.load(Ordering::Acquire);
    }
}

/// Counts operations and writes nothing else: the measure of what recording costs.
#[derive(Debug)]
pub struct Unrecorded<'r> {
    header: &'r Header,
}

impl<'r> Unrecorded<'r> {
    /// Counts in this header.
    #[must_use]
    pub fn new(header: &'r Header) -> Self {
        Self { header }
    }
}

impl Recorder for Unrecorded<'_> {
    fn next_sequence(&self) -> Option<u64> {
        Some(self.header.completed.load(Ordering::Relaxed))
    }

    fn invoked(&mut self, _operation: Operation, _container: Option<u32>) {}

    fn returned(&mut self, _operation: Operation, _answer: &Answer) -> u64 {
        bump(&self.header.completed);
        0
    }

    fn resume(&mut self) {}
}

/// Adds 1 to a counter that only this process writes: no locked instruction.
#[inline]
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// The texts of one process's log. Where they are full, a text is dropped, never an entry.
#[derive(Debug)]
struct Texts<'r> {
    bytes: &'r [AtomicU8],
    used: &'r AtomicU32,
    known: HashMap<String, TextAt>,
}

impl Texts<'_> {
    fn keep(&mut self, message: &str) -> Option<TextAt> {
        let message = cut(message, MESSAGE_BYTES_MAX);
        if let Some(&at) = self.known.get(message) {
            return Some(at);
        }
        let start = self.used.load(Ordering::Relaxed) as usize;
        let room = self.bytes.get(start..start + 4 + message.len())?;
        let length = (message.len() as u32).to_le_bytes();
        for (shared, byte) in room.iter().zip(length.into_iter().chain(message.bytes())) {
            shared.store(byte, Ordering::Relaxed);
        }
        // A process killed before this line leaves bytes that the next incarnation writes over.
        self.used.store((start + room.len()) as u32, Ordering::Relaxed);
        let at = TextAt(start as u32);
        if self.known.len() < MESSAGES_KNOWN_MAX {
            self.known.insert(message.to_owned(), at);
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::region::Layout;

    fn region() -> Region {
        let layout = Layout {
            workers: 1,
            auditors: 0,
            containers: 1,
            worker_entries: 3,
            auditor_entries: 0,
            examiner_entries: 0,
            holds_per_entry: 0,
        };
        Region::create(layout).expect("a region")
    }

    fn answer() -> Answer {
        Answer {
            outcome: Outcome::Failed,
            reason: Some(Reason::Corrupt),
            status: Some(Status::Paused),
            generation: Some(7),
            revision: Some(9),
            message: Some("cut short".into()),
            errno: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let region = region();
        let mut writer = Writer::new(&region, 0);
        for _ in 0..3 {
            assert!(writer.next_sequence().is_some());
            writer.invoked(Operation::Pause, Some(0));
            writer.returned(Operation::Pause, &answer());
        }
        assert_eq!(writer.next_sequence(), None, "three entries fit, and no more");
        let (record, at) = region.entries(0)[2].record(0);
        assert_eq!((record.operation, record.container()), (Operation::Pause, Some(0)));
        assert_eq!((record.outcome, record.reason), (Outcome::Failed, Some(Reason::Corrupt)));
        assert_eq!((record.status, record.generation.unwrap().get()), (Some(Status::Paused), 7));
        assert!(record.return_ns() >= Some(record.invoke_ns));
        let at = at.expect("a text");
        assert_eq!(text(region.texts(0), at).as_deref(), Some("cut short"));
        assert_eq!(region.header(0).text_used.load(Ordering::Relaxed), 4 + 9, "kept once");
        assert_eq!(region.header(0).torn.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn an_answer_cut_off_before_its_return_stays_unknown() {
        let region = region();
        let mut writer = Writer::new(&region, 0);
        writer.invoked(Operation::Create, Some(0));
        let entry = &region.entries(0)[0];
        // As if killed between the answer and the stamp of its return.
        entry.what.store(Packed::answered(Operation::Create, &answer()).0, Ordering::Relaxed);
        entry.generation.store(7, Ordering::Relaxed);
        assert_eq!(entry.record(0).0.outcome, Outcome::Unknown);
        entry.close_unknown(u64::MAX - 1);
        let (record, at) = entry.record(0);
        assert_eq!((record.outcome, record.generation, at), (Outcome::Unknown, None, None));
        assert_eq!(record.return_ns(), Some(u64::MAX - 1));
    }

    #[test]
    fn every_word_survives_packing() {
        for operation in Operation::ALL {
            for outcome in Outcome::ALL {
                for reason in Reason::ALL.map(Some).into_iter().chain([None]) {
                    for status in Status::ALL.map(Some).into_iter().chain([None]) {
                        let answer = Answer { outcome, reason, status, ..answer() };
                        let packed = Packed::answered(operation, &answer);
                        assert_eq!(packed.operation(), operation);
                        assert_eq!(packed.outcome(), outcome);
                        assert_eq!((packed.reason(), packed.status()), (reason, status));
                    }
                }
            }
        }
    }

    #[test]
    fn a_lack_of_the_machine_is_kept_by_its_number() {
        let region = region();
        let mut writer = Writer::new(&region, 0);
        let errno = std::num::NonZeroU16::new(24);
        for answer in [Answer { errno, ..Answer::failed(Reason::Io, "what") }, answer()] {
            writer.invoked(Operation::State, Some(0));
            writer.returned(Operation::State, &answer);
        }
        let [lacking, corrupt] = &region.entries(0)[..2] else { panic!("two entries") };
        assert!(lacking.lack().is_some_and(|lack| lack.contains("EMFILE")));
        assert_eq!(corrupt.lack(), None);
        lacking.close_unknown(u64::MAX - 1);
        assert_eq!(lacking.lack(), None);
    }

    #[test]
    fn a_full_text_arena_drops_texts_only() {
        let region = region();
        let mut writer = Writer::new(&region, 0);
        region.header(0).text_used.store(region.texts(0).len() as u32 - 6, Ordering::Relaxed);
        writer.invoked(Operation::State, Some(0));
        writer.returned(Operation::State, &answer());
        let (record, at) = region.entries(0)[0].record(0);
        assert_eq!((record.outcome, at), (Outcome::Failed, None));
    }
}
