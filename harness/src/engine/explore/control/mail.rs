//! What a controller and a controlled process say to each other: through shared memory, as the process must make no
//! system call of its own for it but the one by which it stops.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use flockwork::Operation;
use rustix::thread::futex;

use crate::engine::stress::WireAnswer;
use crate::process::region::{Header, Region};
use crate::subject::{Answer, Request};

/// The number of the process's listener + 1; 0 until it is there. A futex.
const LISTENER: usize = 0;
const OPERATION: usize = 1;
const CONTAINER: usize = 2;
const SEQUENCE_LOW: usize = 3;
const SEQUENCE_HIGH: usize = 4;
/// Length of the answer, or of those that lie there so far.
const ANSWER_BYTES: usize = 5;
/// For a process without control: whether requests or their answers lie there. A futex.
const BELL: usize = 6;
/// For a process without control: length of the requests.
const REQUESTS_BYTES: usize = 7;

/// Nothing lies there.
const IDLE: u32 = 0;
/// Requests lie there, or are being performed.
const ASKED: u32 = 1;
/// Their answers lie there.
const ANSWERED: u32 = 2;
/// There is no room for more answers until those that lie there are taken.
const FULL: u32 = 3;

/// What a process says as it meets the controller: it waits for a request, having answered the last one.
pub(super) const READY: u64 = 1;
/// What the controller answers: perform the request.
pub(super) const PERFORM: i64 = 1;
/// What the controller answers: meet again, and do nothing in between. It is for measuring what a meeting takes.
pub(super) const AGAIN: i64 = 2;
/// What the controller answers: end.
pub(super) const LEAVE: i64 = 0;

/// Tells the controller where stops can be heard of.
pub(super) fn announce_listener(header: &Header, number: i32) {
    header.mail[LISTENER].store(number.cast_unsigned() + 1, Ordering::Release);
    // Nobody may be waiting yet.
    _ = futex::wake(&header.mail[LISTENER], futex::Flags::empty(), 1);
}

/// Forgets the listener of an earlier process at this number.
pub(super) fn forget_listener(header: &Header) {
    header.mail[LISTENER].store(0, Ordering::Release);
}

/// Waits a while for a process to announce its listener; gives back the descriptor's number in that process.
pub(super) fn await_listener(header: &Header, at_most: Duration) -> Option<i32> {
    wait_while(&header.mail[LISTENER], 0, at_most).checked_sub(1).map(u32::cast_signed)
}

/// Waits a while as long as a word has this value; gives back what it has then.
fn wait_while(word: &AtomicU32, value: u32, at_most: Duration) -> u32 {
    let timeout = rustix::fs::Timespec {
        tv_sec: at_most.as_secs().cast_signed(),
        tv_nsec: at_most.subsec_nanos().into(),
    };
    if word.load(Ordering::Acquire) == value {
        // Woken, interrupted or too late to sleep: look again.
        _ = futex::wait(word, futex::Flags::empty(), value, Some(&timeout));
    }
    word.load(Ordering::Acquire)
}

fn ring(header: &Header, value: u32) {
    header.mail[BELL].store(value, Ordering::Release);
    _ = futex::wake(&header.mail[BELL], futex::Flags::empty(), 1);
}

/// Nothing lies there for a process without control.
pub(super) fn clear_bell(header: &Header) {
    header.mail[BELL].store(IDLE, Ordering::Release);
}

/// What a process without control came to, within a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All answers lie there.
    Answers,
    /// Some of them lie there, and it waits until they are taken: see [`go_on`].
    Some,
    /// Nothing yet; it has answered so many bytes so far.
    Nothing(u32),
}

/// Asks a process without control for what was laid down.
pub(super) fn ask(header: &Header) {
    ring(header, ASKED);
}

/// Waits a while for its answers.
pub(super) fn await_answers(header: &Header, at_most: Duration) -> Heard {
    match wait_while(&header.mail[BELL], ASKED, at_most) {
        ANSWERED => Heard::Answers,
        FULL => Heard::Some,
        _ => Heard::Nothing(header.mail[ANSWER_BYTES].load(Ordering::Acquire)),
    }
}

/// Lets it go on: its answers so far were taken.
pub(super) fn go_on(header: &Header) {
    ring(header, ASKED);
}

/// In a process without control: waits for the next requests.
pub(super) fn await_requests(header: &Header) {
    loop {
        match header.mail[BELL].load(Ordering::Acquire) {
            ASKED => return,
            other => _ = wait_while(&header.mail[BELL], other, A_WHILE),
        }
    }
}

const A_WHILE: Duration = Duration::from_secs(3600);

/// In a process without control: says that all answers lie there.
pub(super) fn say_answered(header: &Header) {
    ring(header, ANSWERED);
}

/// Most requests that are laid down at once.
pub(super) const REQUESTS_MAX: usize = 1024;

/// Lays requests down for a process without control: no more than [`REQUESTS_MAX`].
pub(super) fn lay_requests(region: &Region, process: u32, requests: &[Request]) {
    let texts = region.texts(process);
    let numbers = requests.iter().flat_map(|request| {
        let sequence = request.sequence.to_le_bytes();
        let words = [request.operation as u32, request.container].map(u32::to_le_bytes);
        words.concat().into_iter().chain(sequence)
    });
    let mut bytes = 0;
    for (shared, byte) in texts.iter().zip(numbers) {
        shared.store(byte, Ordering::Relaxed);
        bytes += 1;
    }
    let header = region.header(process);
    header.mail[ANSWER_BYTES].store(0, Ordering::Relaxed);
    header.mail[REQUESTS_BYTES].store(bytes, Ordering::Release);
}

/// In a process without control: the requests that lie there.
pub(super) fn take_requests(region: &Region, process: u32) -> Vec<Request> {
    let length = region.header(process).mail[REQUESTS_BYTES].load(Ordering::Acquire) as usize;
    let texts = region.texts(process).iter().take(length);
    let bytes: Vec<u8> = texts.map(|byte| byte.load(Ordering::Relaxed)).collect();
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let request = |bytes: &[u8]| Request {
        operation: Operation::ALL[number(&bytes[..4]) as usize],
        container: number(&bytes[4..8]) as u32,
        sequence: number(&bytes[8..]),
    };
    bytes.chunks_exact(16).map(request).collect()
}

/// In a process without control: the answers to requests, laid down one behind the other.
pub(super) struct Answers<'r> {
    region: &'r Region,
    process: u32,
    length: usize,
}

impl<'r> Answers<'r> {
    /// None yet. The requests must have been taken: answers lie where they lay.
    pub fn begin(region: &'r Region, process: u32) -> Self {
        Self { region, process, length: 0 }
    }

    /// Lays one down; waits until the others are taken where there is no room for it.
    pub fn add(&mut self, answer: Answer) {
        let (texts, header) = (self.region.texts(self.process), self.region.header(self.process));
        let Ok(mut line) = serde_json::to_vec(&WireAnswer::from(shortened(answer, texts.len()))) else {
            return;
        };
        line.push(b'\n');
        if self.length + line.len() > texts.len() {
            ring(header, FULL);
            while wait_while(&header.mail[BELL], FULL, A_WHILE) == FULL {}
            self.length = 0;
        }
        for (shared, byte) in texts.iter().skip(self.length).zip(&line) {
            shared.store(*byte, Ordering::Relaxed);
        }
        self.length += line.len();
        header.mail[ANSWER_BYTES].store(self.length as u32, Ordering::Release);
    }
}

/// The answers that lie there.
pub(super) fn take_answers(region: &Region, process: u32) -> Vec<Answer> {
    let length = region.header(process).mail[ANSWER_BYTES].swap(0, Ordering::AcqRel) as usize;
    let texts = region.texts(process).iter().take(length);
    let bytes: Vec<u8> = texts.map(|byte| byte.load(Ordering::Relaxed)).collect();
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answer = |line| serde_json::from_slice::<WireAnswer>(line).ok().map(Answer::from);
    lines.map_while(answer).collect()
}

/// Lays a request down for a process that waits for one.
pub(super) fn lay_request(header: &Header, request: &Request) {
    let store = |word: usize, value| header.mail[word].store(value, Ordering::Relaxed);
    store(OPERATION, request.operation as u32);
    store(CONTAINER, request.container);
    store(SEQUENCE_LOW, request.sequence as u32);
    store(SEQUENCE_HIGH, (request.sequence >> 32) as u32);
    header.mail[ANSWER_BYTES].store(0, Ordering::Release);
}

/// The request that lies there.
pub(super) fn take_request(header: &Header) -> Request {
    let load = |word: usize| header.mail[word].load(Ordering::Acquire);
    Request {
        operation: Operation::ALL[load(OPERATION) as usize],
        container: load(CONTAINER),
        sequence: u64::from(load(SEQUENCE_LOW)) | u64::from(load(SEQUENCE_HIGH)) << 32,
    }
}

/// Lays an answer down.
pub(super) fn lay_answer(region: &Region, process: u32, answer: Answer) {
    let texts = region.texts(process);
    let Ok(text) = serde_json::to_vec(&WireAnswer::from(shortened(answer, texts.len()))) else { return };
    if text.len() > texts.len() {
        return;
    }
    for (shared, byte) in texts.iter().zip(&text) {
        shared.store(*byte, Ordering::Relaxed);
    }
    region.header(process).mail[ANSWER_BYTES].store(text.len() as u32, Ordering::Release);
}

/// The answer, whose message fits into so many bytes together with the rest, however it is quoted.
fn shortened(answer: Answer, bytes: usize) -> Answer {
    // A control character takes six bytes of JSON, and the rest of an answer far less than a quarter of any region.
    let most = bytes / 8;
    let shorten = |message: String| {
        let end = (0..=most.min(message.len())).rev().find(|&end| message.is_char_boundary(end));
        format!("{} …", &message[..end.unwrap_or(0)])
    };
    let message = answer.message.map(|message| if message.len() > most { shorten(message) } else { message });
    Answer { message, ..answer }
}

/// The answer that lies there; `None` where there is none.
pub(super) fn take_answer(region: &Region, process: u32) -> Option<Answer> {
    let length = region.header(process).mail[ANSWER_BYTES].swap(0, Ordering::AcqRel) as usize;
    let text: Vec<u8> =
        region.texts(process).iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).collect();
    serde_json::from_slice::<WireAnswer>(&text).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Reason;
    use crate::process::region::Layout;

    fn region(workers: u32) -> Region {
        let layout = Layout {
            workers,
            auditors: 0,
            containers: 1,
            worker_entries: 0,
            auditor_entries: 0,
            examiner_entries: 0,
            holds_per_entry: 0,
        };
        Region::create(layout).expect("a region")
    }

    #[test]
    fn requests_and_answers_cross_unchanged() {
        let region = region(2);
        let request = Request { operation: Operation::ForceDelete, container: 7, sequence: u64::MAX - 5 };
        lay_request(region.header(1), &request);
        assert_eq!(take_request(region.header(1)), request);
        assert_eq!(take_answer(&region, 1), None);
        let answer = Answer::failed(Reason::Io, "quoted \" and ünicode");
        lay_answer(&region, 1, answer.clone());
        assert_eq!(take_answer(&region, 1), Some(answer));
        assert_eq!(take_answer(&region, 1), None, "an answer is taken once");
        let long = Answer { generation: Some(7), ..Answer::failed(Reason::Corrupt, "\u{1}".repeat(1 << 20)) };
        lay_answer(&region, 1, long.clone());
        let taken = take_answer(&region, 1).expect("all but the end of its message");
        assert!(taken.message.as_ref().is_some_and(|message| message.ends_with('…')), "{taken:?}");
        assert_eq!(Answer { message: None, ..taken }, Answer { message: None, ..long });
        let requests: Vec<Request> = (0..3).map(|more| Request { container: more, ..request }).collect();
        lay_requests(&region, 2, &requests);
        assert_eq!(take_requests(&region, 2), requests);
        assert_eq!(take_answers(&region, 2), Vec::new());
        announce_listener(region.header(0), 5);
        assert_eq!(await_listener(region.header(0), Duration::ZERO), Some(5));
        forget_listener(region.header(0));
        assert_eq!(await_listener(region.header(0), Duration::from_millis(1)), None);
    }

    #[test]
    fn answers_that_do_not_fit_side_by_side_come_one_after_the_other() {
        let region = region(0);
        // Quoted, one of them takes more than half of the room.
        let large = |number| Answer {
            generation: Some(number),
            ..Answer::failed(Reason::Corrupt, "\u{1}".repeat(30_000))
        };
        let small = Answer::failed(Reason::Io, "why");
        let all = [small.clone(), large(1), large(2), small, large(3)];
        ask(region.header(0));
        let taken = std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut answers = Answers::begin(&region, 0);
                for answer in &all {
                    answers.add(answer.clone());
                }
                say_answered(region.header(0));
            });
            let (mut taken, mut parts) = (Vec::new(), 0);
            loop {
                match await_answers(region.header(0), Duration::from_millis(20)) {
                    Heard::Nothing(_) => {}
                    Heard::Some => {
                        taken.extend(take_answers(&region, 0));
                        parts += 1;
                        go_on(region.header(0));
                    }
                    Heard::Answers => {
                        taken.extend(take_answers(&region, 0));
                        assert!(parts > 0, "all of them fitted");
                        return taken;
                    }
                }
            }
        });
        assert_eq!(taken, all);
    }
}
