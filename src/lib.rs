//! Container metadata in `meta.json`, guarded by `meta.lock`: correct under concurrency and crashes.
//!
//! A [`Store`] is a root folder; each container in it has a folder of its own with the two files. Many processes may
//! use a root at once, and each may be killed at any time: every operation takes the container's lock, reads the
//! metadata under it, decides by one [transition table](status::TRANSITIONS), and saves the whole file or nothing.
//!
//! ```
//! use flockwork::{ContainerId, CreateRequest, Error, Status, Store};
//!
//! let root = tempfile::tempdir()?;
//! let store = Store::options().open(root.path())?;
//! let id: ContainerId = "web".parse()?;
//!
//! let stamp = store.create(&id, CreateRequest::default())?;
//! assert_eq!((stamp.status, stamp.revision), (Status::Created, 1));
//! assert!(matches!(store.create(&id, CreateRequest::default()), Err(Error::AlreadyExists { .. })));
//!
//! store.container(&id).start()?;
//! assert_eq!(store.load("w")?.status, Status::Running);
//! store.container(&id).kill()?;
//! store.container(&id).delete()?;
//! assert!(store.list()?.ids.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # On disk
//!
//! ```text
//! <root>/<id>/meta.json        the metadata: a container without it is absent
//! <root>/<id>/meta.json.tmp    the next metadata, while a holder of the lock is saving
//! <root>/<id>/meta.lock        the lock
//! <root>/~generation           the last generation that was taken in this root; with .tmp and .lock
//! ```
//!
//! # What it relies on
//!
//! Linux, and for lock files and process sandboxes the `/proc` of their pid namespace. Nothing outside the root is ever
//! touched: each file is reached by one name in a folder that is open, and no symbolic link is followed, also where
//! somebody exchanges folders and links meanwhile.
#![forbid(unsafe_code)]

mod container;
mod error;
mod folder;
mod generation;
mod id;
mod identity;
mod image;
pub mod lock;
mod metadata;
mod pauses;
mod printable;
mod read;
mod root;
pub mod sandbox;
pub mod status;
mod store;
#[doc(hidden)]
pub mod tree;
#[cfg(test)]
mod unprivileged;
mod words;
mod write;

pub use serde_json::value::RawValue;

pub use self::container::Container;
pub use self::error::{Error, Result};
pub use self::id::ContainerId;
pub use self::identity::{NoIdentity, ProcessIdentity, Standing, View};
pub use self::lock::{Holder, LockKind, Wait};
pub use self::metadata::{
    CreateRequest, FORMAT_VERSION, MAX_METADATA_BYTES, Metadata, Stamp, Tombstone, UnixNanos,
};
pub use self::printable::{Printable, printable};
pub use self::read::ReadPolicy;
pub use self::sandbox::{Sandbox, SandboxRecord, Signal};
pub use self::status::{Operation, Status};
pub use self::store::{Listing, Skipped, Soundness, Store, StoreOptions};
pub use self::words::UnknownWord;
pub use self::write::WritePolicy;
