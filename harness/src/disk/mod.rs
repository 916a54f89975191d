//! What a power loss may leave: disk models, and every state that they allow.
//!
//! A journal says what an execution did to a folder, call by call. A model says which of these effects may be missing
//! when the power goes: it cuts calls into pieces that reach the disk apart, orders them, and says what a sync makes
//! last. Pure: nothing here touches a file, so the same journal is judged by every model.
//!
//! Sources: Pillai and others, "All File Systems Are Not Created Equal" (OSDI 2014); Mohan and others, "Finding
//! Crash-Consistency Bugs with Bounded Black-Box Crash Testing" (OSDI 2018); and what ext4, xfs and btrfs left when
//! every order of block writes between two flushes was tried (docs/disks.md).

mod content;
pub mod document;
mod image;
mod journal;
mod mend;
pub mod model;
mod piece;
mod space;
mod states;
#[cfg(test)]
mod tests;

pub use content::{BLOCK, Content};
pub use image::{Image, Node};
pub use journal::{Change, Inode, Journal, Line, ROOT, Start, Sync};
pub use mend::{Fsync, Mend, Mends, Trial, acknowledged_behind};
pub(crate) use mend::{recorded_among, returned_behind};
pub use model::{Disk, Rule};
pub use piece::{Part, Piece};
pub use states::{Bounds, Excess, State, States, Walked, enumerate, state_of, walk, walk_while};
