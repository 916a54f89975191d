//! Random programs, explored by the reduction and by the enumeration of every interleaving: both must see the same.

use crate::Case;

pub const ALL: &[Case] = &[];
