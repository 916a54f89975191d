//! `gvisor-2026`: as it was in August 2026 (3c5eee17dc45).
//!
//! Every method locks, looks at the status of the copy that was loaded before, changes it, and saves it in place. In all
//! that a replica shows it is what it was in 2024; it has a name of its own so that a change upstream has a place.

use super::flat::Flat;
use super::gvisor_2024;

/// The flat layout with the bugs of this commit.
pub const REPLICA: Flat = Flat { name: "gvisor-2026", ..gvisor_2024::REPLICA };
