//! A user's command as subject: what its placeholders stand for, which values it is given, and how its answer is read.
//!
//! Pure: nothing here starts a process.

pub mod answer;
pub mod fill;
pub mod history;
pub mod values;
