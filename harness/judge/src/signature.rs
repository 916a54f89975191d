//! Signatures: one name for one mistake, however often and whenever it is seen.

use crate::history::{History, Record};
use crate::violation::Violation;

/// The class, and a hash of the class, the subject, and the kinds of the decisive operations.
#[must_use]
pub fn signature(history: &History, violation: &Violation, subject: &str) -> String {
    let kind = |record: &Record| {
        let reason = record.reason.map_or("", |reason| reason.as_str());
        format!("{} {} {reason}", record.operation, record.outcome)
    };
    let mut kinds: Vec<_> = violation.records.iter().map(|&index| kind(&history.records[index])).collect();
    kinds.sort();
    kinds.dedup();
    if kinds.is_empty() {
        // Without operations the words decide, but for what differs from run to run.
        kinds.push(without_numbers(&violation.message));
    }
    let text = format!("{}\n{subject}\n{}", violation.class, kinds.join("\n"));
    format!("{}-{:08x}", violation.class, fnv1a(text.as_bytes()) as u32)
}

fn without_numbers(text: &str) -> String {
    text.chars().filter(|character| !character.is_ascii_digit()).collect()
}

/// FNV-1a: a hash that will be the same in every version, which the standard library's is not.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
