//! Words: how numbers, nouns and units are spelled, and which known word an unknown one was meant to be.

mod alternatives;
mod every;
mod nearest;
mod number;
mod unit;
pub mod units;

pub use alternatives::alternatives;
pub use every::every;
pub use nearest::nearest;
pub use number::{grouped, plural};
pub use unit::Unit;
