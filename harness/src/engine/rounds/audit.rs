//! Auditors: readers of containers' metadata that take no lock, as fast as they can, while commands run.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::process::clock::now_ns;

/// How many torn reads are kept of a round; all are counted.
const KEPT: usize = 4;
/// How much of what was read is told.
const SHOWN_CHARS: usize = 60;

/// A read that found something else than a whole document.
#[derive(Clone, Debug)]
pub(super) struct Torn {
    /// The container whose metadata was found torn, by index into the plan's names.
    pub container: u32,
    /// The auditor that found it, counted from 0.
    pub auditor: u32,
    /// When the read began.
    pub from_ns: u64,
    /// When it was over.
    pub to_ns: u64,
    /// What the reader found instead of a whole document.
    pub why: String,
}

/// What auditors share with whoever waits for the commands.
#[derive(Debug, Default)]
pub(super) struct Board {
    over: AtomicBool,
    reads: AtomicU64,
}

impl Board {
    /// Lets the auditors end.
    pub fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// How many reads there were.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }
}

/// Reads the files until the board says that it is over.
pub(super) fn audit(board: &Board, auditor: u32, files: &[PathBuf]) -> Vec<Torn> {
    let mut torn = Vec::new();
    while !board.over.load(Ordering::Relaxed) {
        let mut is_there = false;
        for (container, file) in (0..).zip(files) {
            let from_ns = now_ns();
            // What is not there is no read.
            let Ok(bytes) = fs::read(file) else { continue };
            is_there = true;
            board.reads.fetch_add(1, Ordering::Relaxed);
            if torn.len() < KEPT
                && let Some(why) = wrong(&bytes)
            {
                torn.push(Torn { container, auditor, from_ns, to_ns: now_ns(), why });
            }
        }
        if !is_there {
            // Commands share the processors with us.
            std::thread::yield_now();
        }
    }
    torn
}

/// What is wrong with metadata, if anything is.
fn wrong(bytes: &[u8]) -> Option<String> {
    if bytes.is_empty() {
        return Some("the file is empty".into());
    }
    let error = serde_json::from_slice::<serde::de::IgnoredAny>(bytes).err()?;
    let text: String = String::from_utf8_lossy(bytes).chars().take(SHOWN_CHARS).collect();
    Some(format!("its {} bytes are not JSON ({error}): {text}", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_or_empty_is_wrong() {
        assert_eq!(wrong(br#"{"status":"created"}"#), None);
        assert!(wrong(b"").unwrap().contains("empty"));
        assert!(wrong(br#"{"status":"cre"#).unwrap().contains("14 bytes"));
        assert!(wrong(br#"{"a":1}}"#).is_some(), "the rest of an older, longer document");
    }

    #[test]
    fn a_reader_sees_what_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.json");
        fs::write(&file, "").unwrap();
        let board = Board::default();
        let torn = std::thread::scope(|scope| {
            let reader = scope.spawn(|| audit(&board, 0, &[folder.path().join("absent"), file.clone()]));
            while board.reads() == 0 {
                std::thread::yield_now();
            }
            board.end();
            reader.join().unwrap()
        });
        assert!(board.reads() >= 1 && torn[0].container == 1, "{torn:?}");
    }
}
