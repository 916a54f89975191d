//! Pages: one file each, that needs no network and no script. Whatever is put into a page is escaped by the template.

mod page;
pub mod run;

pub use page::{facts, machine, page};
