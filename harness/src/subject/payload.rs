//! Payloads: text that tells which save wrote it, so that a mix of two saves shows even where it parses.
//!
//! Every save puts a [`Spec`] into the container's metadata. Its payload follows from the writing worker, the number of
//! the worker's request and the payload's own length, and each word of it also from its position. A reader can
//! therefore compute what must stand there: text of another save, cut text or text out of place all differ.
//!
//! A payload is lowercase letters only: no JSON writer escapes any of them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which save: no two saves of a run have the same stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Number of the worker that saved.
    pub writer: u32,
    /// Number of the request, among that worker's.
    pub sequence: u64,
}

impl Stamp {
    /// A number from 0 to below 1, drawn by the stamp: the same for the same stamp, spread evenly over all of them.
    #[must_use]
    pub fn lot(self) -> f64 {
        let mixed = mix(mix(u64::from(self.writer) ^ GAMMA) ^ self.sequence);
        f64::from((mixed >> 32) as u32) / (f64::from(u32::MAX) + 1.0)
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request {} of process {}", self.sequence, self.writer)
    }
}

/// What a save puts into the metadata's `spec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    writer: u32,
    sequence: u64,
    payload: String,
}

/// A spec that no single save can have written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Torn {
    /// The payload is not the one that belongs to the stamp.
    #[error("the payload of {length_bytes} bytes is not that of {stamp}: it differs from byte {at} on")]
    Mixed {
        /// The save that the spec names.
        stamp: Stamp,
        /// Length of the payload that was found.
        length_bytes: usize,
        /// Where the first wrong word begins.
        at: usize,
    },
    /// It is no spec at all.
    #[error("the spec was not written by the harness: {0}")]
    Alien(String),
}

impl Spec {
    /// The spec of one save, with a payload of this many bytes.
    #[must_use]
    pub fn new(stamp: Stamp, payload_bytes: u32) -> Self {
        Self { writer: stamp.writer, sequence: stamp.sequence, payload: text(stamp, payload_bytes as usize) }
    }

    /// Parses a spec, and verifies it.
    pub fn from_json(json: &str) -> Result<Self, Torn> {
        let spec: Self = serde_json::from_str(json).map_err(|error| Torn::Alien(error.to_string()))?;
        spec.verify()?;
        Ok(spec)
    }

    /// The save that it says it is from.
    #[must_use]
    pub const fn stamp(&self) -> Stamp {
        Stamp { writer: self.writer, sequence: self.sequence }
    }

    /// Proves that the payload is whole and all from the save that the spec names.
    pub fn verify(&self) -> Result<(), Torn> {
        verify(self.stamp(), &self.payload)
    }
}

const WORD_BYTES: usize = size_of::<u64>();

/// The payload of a save.
#[must_use]
pub fn text(stamp: Stamp, length_bytes: usize) -> String {
    let words = Words::new(stamp, length_bytes);
    let mut bytes = vec![0_u8; length_bytes];
    let (whole, rest) = bytes.as_chunks_mut::<WORD_BYTES>();
    let count = whole.len();
    for (index, chunk) in whole.iter_mut().enumerate() {
        *chunk = words.word(index);
    }
    rest.copy_from_slice(&words.word(count)[..rest.len()]);
    String::from_utf8(bytes).expect("letters are UTF-8")
}

/// Proves that the text is the whole payload of that save.
pub fn verify(stamp: Stamp, text: &str) -> Result<(), Torn> {
    let words = Words::new(stamp, text.len());
    // Words of a fixed size, and the odd rest apart: comparing slices of any length is several times slower.
    let (whole, rest) = text.as_bytes().as_chunks::<WORD_BYTES>();
    let wrong = whole
        .iter()
        .enumerate()
        .position(|(index, chunk)| *chunk != words.word(index))
        .or_else(|| (*rest != words.word(whole.len())[..rest.len()]).then_some(whole.len()));
    match wrong {
        None => Ok(()),
        Some(word) => Err(Torn::Mixed { stamp, length_bytes: text.len(), at: word * WORD_BYTES }),
    }
}

/// The words of a payload: each is had from its position alone.
struct Words {
    seed: u64,
}

impl Words {
    /// The length goes into the seed, so that a payload that was cut agrees with its stamp nowhere.
    fn new(stamp: Stamp, length_bytes: usize) -> Self {
        let seed = [u64::from(stamp.writer), stamp.sequence, length_bytes as u64]
            .into_iter()
            .fold(0, |seed, part| mix(seed ^ part.wrapping_add(GAMMA)));
        Self { seed }
    }

    /// Eight letters from `a` to `p`: four bits of the mixed position each.
    fn word(&self, index: usize) -> [u8; WORD_BYTES] {
        const NIBBLES: u64 = 0x0f0f_0f0f_0f0f_0f0f;
        const LETTER_A: u64 = 0x6161_6161_6161_6161;
        let mixed = mix(self.seed.wrapping_add((index as u64).wrapping_mul(GAMMA)));
        ((mixed & NIBBLES) + LETTER_A).to_le_bytes()
    }
}

/// The odd number nearest to 2^64 divided by the golden ratio, as splitmix64 uses it.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// The finalizer of splitmix64: a bijection in which every bit of the input moves every bit of the output.
const fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamps() -> impl Strategy<Value = Stamp> {
        // Small numbers on purpose: those are the ones that runs have, and the ones that could collide.
        (0..20_u32, 0..200_u64).prop_map(|(writer, sequence)| Stamp { writer, sequence })
    }

    proptest! {
        #[test]
        fn a_whole_payload_is_proved(stamp in stamps(), bytes in 0..5_000_u32) {
            let spec = Spec::new(stamp, bytes);
            prop_assert_eq!(spec.payload.len(), bytes as usize);
            prop_assert_eq!(spec.verify(), Ok(()));
            let json = serde_json::to_string(&spec).unwrap();
            prop_assert!(!json.contains('\\'), "nothing is escaped");
            prop_assert_eq!(Spec::from_json(&json), Ok(spec));
        }

        #[test]
        fn a_splice_of_two_payloads_is_detected(
            (head, tail) in (stamps(), stamps()),
            (head_bytes, tail_bytes) in (1..600_usize, 1..600_usize),
            (cut, from) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let (first, second) = (text(head, head_bytes), text(tail, tail_bytes));
            let spliced = first[..cut.index(head_bytes)].to_owned() + &second[from.index(tail_bytes)..];
            // A few letters prove nothing: they agree by chance.
            prop_assume!(spliced.len() >= 2 * WORD_BYTES);
            for (stamp, whole) in [(head, &first), (tail, &second)] {
                prop_assert_eq!(verify(stamp, &spliced).is_ok(), &spliced == whole);
            }
        }

        #[test]
        fn a_cut_payload_is_detected(stamp in stamps(), bytes in 9..600_usize, cut in any::<prop::sample::Index>()) {
            let whole = text(stamp, bytes);
            // Below one word there is too little text to prove anything: such lengths are no use to a scenario.
            let kept = WORD_BYTES + cut.index(bytes - WORD_BYTES);
            prop_assert!(verify(stamp, &whole[..kept]).is_err());
        }
    }

    #[test]
    fn the_text_does_not_change_between_versions() {
        assert_eq!(text(Stamp { writer: 3, sequence: 7 }, 20), "nmnpmegmdcdepnnihgln");
    }

    #[test]
    fn what_is_no_spec_is_alien() {
        assert!(matches!(Spec::from_json("{}"), Err(Torn::Alien(_))));
        assert!(matches!(Spec::from_json(""), Err(Torn::Alien(_))));
    }
}
