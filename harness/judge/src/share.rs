//! Work that is shared out over processors, where there is enough of it.

/// To share out work on fewer items than this costs more than it saves.
const ITEMS_MIN: usize = 1 << 16;

/// Does both, side by side where so many items are concerned that it pays.
pub(crate) fn both<A: Send, B: Send>(
    items: usize,
    one: impl FnOnce() -> A + Send,
    other: impl FnOnce() -> B + Send,
) -> (A, B) {
    if items < ITEMS_MIN { (one(), other()) } else { rayon::join(one, other) }
}
