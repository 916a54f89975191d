//! The judge: what is legal, and whether a history or what lies on disk is.
//!
//! Pure: nothing here starts a process, and files are read only as histories and models. So a test of any program can
//! use it alone: read or build a [`history::History`], choose a [`model::Model`], and ask [`judge::judge`].

pub mod answer;
pub mod check;
pub mod document;
pub mod evidence;
pub mod failures;
pub mod history;
pub mod judge;
pub mod model;
pub mod procedure;
pub mod reach;
mod share;
pub mod signature;
pub mod verdict;
pub mod violation;
pub mod words;
