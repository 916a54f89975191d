//! Strategies against the enumeration of every interleaving, on machines of a few lines.

mod explore;
mod random;
mod toy;
mod trust;
