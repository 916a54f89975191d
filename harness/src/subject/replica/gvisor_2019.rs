//! `gvisor-2019`: "Fix container locking" (ca90dad0e, October 2019).
//!
//! The first of the flat layout: every method locks the right file. A create now arms its clean-up before it locks, so
//! one that is refused destroys the container that was there first.

use super::container::RunscStatus::{Created, Creating, Running, Stopped};
use super::flat::{CleanUp, Flat, Names};

/// The flat layout with the bugs of this commit.
pub const REPLICA: Flat = Flat {
    name: "gvisor-2019",
    names: Names::Plain,
    clean_up: CleanUp::Always,
    stops_from: &[Creating, Created, Running, Stopped],
};
