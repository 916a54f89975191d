//! Books: what system calls do to files, as values, and what follows from them for the others.
//!
//! Nothing here asks the kernel or controls anybody. Whoever supervises processes decodes their calls into
//! [`deed::Deed`]s, finds out which files they are about, and learns here what they touch.

pub mod deed;
pub mod lasting;
pub mod locks;
pub mod places;
pub mod prediction;
