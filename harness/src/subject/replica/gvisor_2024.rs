//! `gvisor-2024`: "Fix bug of container creation clean-up process" (a4e5f3b68, August 2024).
//!
//! A refused create no longer cleans up. One that fails later still lets go of the lock first, and then destroys
//! whatever has the id by then. The sandbox's id stands in the files' names since December 2020, and since then an id
//! that is the beginning of another's is ambiguous while both live. A destroy of a paused container no longer dies.

use super::container::RunscStatus::{Created, Creating, Paused, Running, Stopped};
use super::flat::{CleanUp, Flat, Names};

/// The flat layout with the bugs of this commit.
pub const REPLICA: Flat = Flat {
    name: "gvisor-2024",
    names: Names::WithSandbox,
    clean_up: CleanUp::OnceChecked,
    stops_from: &[Creating, Created, Paused, Running, Stopped],
};
