//! The explore engine: holds real processes at their system calls, and chooses who goes next.

pub mod machine;
pub mod step;
pub mod strategy;
