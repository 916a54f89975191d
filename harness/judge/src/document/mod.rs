//! Texts that people write in TOML, read with the place of everything in them: scenarios and models.

pub mod reader;
pub mod sketch;
pub mod source;
pub mod tree;
