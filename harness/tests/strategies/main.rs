//! Strategies against the enumeration of every interleaving, on machines of a few lines.

mod explore;
mod pinned;
mod random;
mod sampled;
mod toy;
mod trust;
