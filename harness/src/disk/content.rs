//! What a file holds, in blocks that states share: a state of a large file costs what differs.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use siphasher::sip128::{Hasher128, SipHasher13};

/// Bytes of a block.
pub const BLOCK: u64 = 4096;

/// A block that is not all zeros.
#[derive(Clone, Debug)]
struct Block {
    /// What it holds; zeros follow up to its end.
    bytes: Bytes,
    /// Of the same without zeros at its end, so that equal blocks have one; none until somebody asks. Most blocks are only on the way
    /// to another, one write further.
    hash: OnceLock<u128>,
}

impl Block {
    fn of(bytes: Bytes) -> Option<Arc<Self>> {
        bytes.iter().any(|byte| *byte != 0).then(|| Arc::new(Self { bytes, hash: OnceLock::new() }))
    }

    fn hash(&self) -> u128 {
        *self.hash.get_or_init(|| {
            let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let mut hasher = SipHasher13::new();
            hasher.write(&self.bytes[..used]);
            hasher.finish128().as_u128()
        })
    }
}

/// What a file holds. Blocks that are all zeros take no room.
#[derive(Clone, Debug, Default)]
pub struct Content {
    length: u64,
    blocks: Arc<BTreeMap<u64, Arc<Block>>>,
}

impl Content {
    /// These bytes.
    #[must_use]
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        let mut content = Self::default();
        content.write(&Stretch::of(0, bytes.into()));
        content
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// All bytes in one place; they are copied if they lie in several blocks.
    #[must_use]
    pub fn bytes(&self) -> Cow<'_, [u8]> {
        let length = usize::try_from(self.length).expect("a file that fits into memory");
        if let Some(block) = self.blocks.get(&0)
            && block.bytes.len() >= length
        {
            return Cow::Borrowed(&block.bytes[..length]);
        }
        let mut all = Vec::with_capacity(length);
        for (offset, bytes) in self.written() {
            all.resize(usize::try_from(offset).expect("it lies within the file"), 0);
            all.extend_from_slice(bytes);
        }
        all.resize(length, 0);
        Cow::Owned(all)
    }

    /// The parts that are not all zeros, in order, each with its offset.
    pub fn written(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.blocks.iter().filter_map(|(number, block)| {
            let offset = number * BLOCK;
            let most = usize::try_from(self.length.checked_sub(offset)?).unwrap_or(usize::MAX);
            Some((offset, &block.bytes[..block.bytes.len().min(most)]))
        })
    }

    /// The block at this offset of what another file holds: where both hold the same there, it is shared.
    pub fn push_like(&mut self, like: Option<&Self>, bytes: &[u8]) {
        let number = self.length / BLOCK;
        debug_assert!(self.length.is_multiple_of(BLOCK), "blocks are whole but for the last");
        self.length += bytes.len() as u64;
        let known = like.and_then(|like| like.blocks.get(&number));
        let block = match known {
            Some(known) if known.bytes == bytes => Some(Arc::clone(known)),
            _ => Block::of(Bytes::copy_from_slice(bytes)),
        };
        if let Some(block) = block {
            Arc::make_mut(&mut self.blocks).insert(number, block);
        }
    }

    /// Goes on at this offset: zeros lie before it.
    pub fn skip_to(&mut self, offset: u64) {
        self.length = self.length.max(offset);
    }

    /// Writes to it, and makes it longer where that goes beyond its end.
    pub(super) fn write(&mut self, stretch: &Stretch) {
        let end = stretch.end();
        let blocks = Arc::make_mut(&mut self.blocks);
        for (number, part) in stretch.parts() {
            match part {
                Part::Whole(Some(block)) => _ = blocks.insert(number, Arc::clone(block)),
                Part::Whole(None) => _ = blocks.remove(&number),
                Part::Piece(from, bytes) => {
                    let mut block = match blocks.remove(&number).map(Arc::try_unwrap) {
                        None => BytesMut::new(),
                        // Nobody else has it: it is changed where it is.
                        Some(Ok(own)) => {
                            own.bytes.try_into_mut().unwrap_or_else(|bytes| BytesMut::from(&bytes[..]))
                        }
                        Some(Err(shared)) => BytesMut::from(&shared.bytes[..]),
                    };
                    let end = from + bytes.len();
                    if block.len() < end {
                        block.resize(end, 0);
                    }
                    block[from..end].copy_from_slice(bytes);
                    put(blocks, number, block.freeze());
                }
            }
        }
        self.length = self.length.max(end);
    }

    /// Cuts it, or makes it longer by zeros.
    pub(super) fn resize(&mut self, length: u64) {
        if length < self.length {
            let blocks = Arc::make_mut(&mut self.blocks);
            let last = length / BLOCK;
            let rest = blocks.split_off(&last);
            if let Some(block) = rest.get(&last) {
                let most = usize::try_from(length % BLOCK).expect("less than a block");
                put(blocks, last, block.bytes.slice(..block.bytes.len().min(most)));
            }
        }
        self.length = length;
    }
}

fn put(blocks: &mut BTreeMap<u64, Arc<Block>>, number: u64, bytes: Bytes) {
    match Block::of(bytes) {
        Some(block) => _ = blocks.insert(number, block),
        None => _ = blocks.remove(&number),
    }
}

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length
            && (Arc::ptr_eq(&self.blocks, &other.blocks)
                || (self.blocks.keys().eq(other.blocks.keys())
                    && self
                        .blocks
                        .values()
                        .zip(other.blocks.values())
                        .all(|(one, other)| Arc::ptr_eq(one, other) || one.hash() == other.hash())))
    }
}

impl Eq for Content {}

impl Hash for Content {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.length);
        state.write_usize(self.blocks.len());
        for (number, block) in &*self.blocks {
            state.write_u64(*number);
            state.write_u128(block.hash());
        }
    }
}

/// Bytes on their way into a file, with the blocks that they fill made ready.
#[derive(Clone, Debug)]
pub struct Stretch {
    offset: u64,
    bytes: Bytes,
    /// The blocks that they fill, from the first such on.
    whole: Arc<[Option<Arc<Block>>]>,
}

/// What a stretch puts into one block.
enum Part<'a> {
    Whole(Option<&'a Arc<Block>>),
    Piece(usize, &'a [u8]),
}

impl Stretch {
    /// These bytes, from this offset on.
    #[must_use]
    pub fn of(offset: u64, bytes: Bytes) -> Self {
        let first = offset.next_multiple_of(BLOCK) - offset;
        let first = usize::try_from(first).unwrap_or(usize::MAX).min(bytes.len());
        let (size, count) = (BLOCK as usize, (bytes.len() - first) / BLOCK as usize);
        let block = |number| {
            let from = first + number * size;
            Block::of(bytes.slice(from..from + size))
        };
        let whole = (0..count).map(block).collect();
        Self { offset, bytes, whole }
    }

    /// From which byte on.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Behind the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64
    }

    fn parts(&self) -> impl Iterator<Item = (u64, Part<'_>)> {
        let first = self.offset.div_ceil(BLOCK);
        let (mut at, mut rest) = (self.offset, &self.bytes[..]);
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (number, within) = (at / BLOCK, at % BLOCK);
            let length = usize::try_from(BLOCK - within).expect("a block").min(rest.len());
            let (this, next) = rest.split_at(length);
            (at, rest) = (at + length as u64, next);
            let part = if length as u64 == BLOCK {
                Part::Whole(self.whole[usize::try_from(number - first).expect("one of these")].as_ref())
            } else {
                Part::Piece(usize::try_from(within).expect("less than a block"), this)
            };
            Some((number, part))
        })
    }
}

impl PartialEq for Stretch {
    fn eq(&self, other: &Self) -> bool {
        self.offset == other.offset && self.bytes == other.bytes
    }
}

impl Eq for Stretch {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, usize, u8),
        Resize(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..3 * BLOCK, 0..2 * BLOCK as usize + 9, 0..3_u8)
                .prop_map(|(at, length, with)| Step::Write(at, length, with)),
            (0..5 * BLOCK).prop_map(Step::Resize),
            (0..6_u64, 0..4_u8).prop_map(|(block, with)| Step::Write(block * BLOCK, BLOCK as usize, with)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]
        #[test]
        fn it_holds_what_a_plain_vector_holds(steps in prop::collection::vec(step(), 1..12)) {
            let (mut plain, mut content) = (Vec::new(), Content::default());
            for step in steps {
                match step {
                    Step::Write(at, length, with) => {
                        let at = at as usize;
                        plain.resize(plain.len().max(at + length), 0);
                        plain[at..at + length].fill(with);
                        content.write(&Stretch::of(at as u64, vec![with; length].into()));
                    }
                    Step::Resize(length) => {
                        plain.resize(length as usize, 0);
                        content.resize(length);
                    }
                }
                prop_assert_eq!(&*content.bytes(), &plain[..]);
                let afresh = Content::of(plain.clone());
                prop_assert_eq!(&afresh, &content);
                let mut like = Content::default();
                for block in plain.chunks(BLOCK as usize) {
                    like.push_like(Some(&content), block);
                }
                prop_assert_eq!(&like, &content);
                let number = |content: &Content| {
                    let mut hasher = SipHasher13::new();
                    content.hash(&mut hasher);
                    hasher.finish128().as_u128()
                };
                prop_assert_eq!(number(&afresh), number(&content));
            }
        }
    }

    #[test]
    fn a_hole_takes_no_room_and_contents_that_differ_are_not_equal() {
        let mut long = Content::of(b"x".to_vec());
        long.resize(1 << 50);
        assert_eq!((long.len(), long.written().count()), (1 << 50, 1));
        assert_ne!(Content::of(b"x".to_vec()), Content::of(b"x\0".to_vec()));
        assert_ne!(Content::of(b"x".to_vec()), Content::of(b"y".to_vec()));
    }
}
