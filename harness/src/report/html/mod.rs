//! Pages: one file each, that needs no network. Whatever is put into a page is escaped by the template, and what a script
//! takes by [`timeline::json`].

mod commands;
pub mod merged;
mod page;
pub mod run;
pub mod timeline;
mod walk;

pub use page::{facts, machine, page};
