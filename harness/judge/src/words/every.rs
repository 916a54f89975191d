//! The variants of an enum as an array, from the slice that a derived trait gives.
//!
//! A list that is kept by hand can silently omit what was added last; this one cannot.

/// The same values as an array of as many.
///
/// # Panics
/// If there are more or fewer: in a constant, the compiler says so.
#[must_use]
pub const fn every<T: Copy, const COUNT: usize>(variants: &[T]) -> [T; COUNT] {
    assert!(variants.len() == COUNT, "as many as were counted");
    match variants.first_chunk() {
        Some(all) => *all,
        None => panic!("as many as were counted"),
    }
}
