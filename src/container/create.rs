//! Create: the only operation that makes a folder and a lock file.

use rustix::fs::Mode;
use rustix::io::Errno;

use super::transaction::Transaction;
use crate::metadata::{CreateRequest, Metadata, Stamp};
use crate::status::Operation;
use crate::store::Store;
use crate::write::WritePolicy;
use crate::{ContainerId, Error, Result, generation, read};

/// Makes a container, or refuses and leaves the one that is there untouched.
pub(crate) fn create(store: &Store, id: &ContainerId, request: CreateRequest) -> Result<Stamp> {
    let transaction = begin(store, id)?;
    if let Some(loaded) = read::metadata(transaction.folder(), id)? {
        let _ = transaction.target().clear_leftover(transaction.lock());
        return Err(Error::AlreadyExists { id: id.clone(), seen: loaded.metadata.stamp() });
    }
    match fill(&transaction, request) {
        Ok(stamp) => Ok(stamp),
        Err(error) => {
            // Still under the lock, so that no create that waits for it sees what is being removed as its own.
            let _ = transaction.remove();
            Err(error)
        }
    }
}

/// Makes the folder and takes the lock in it. A delete may remove the folder between the two; then it is made again.
fn begin<'a>(store: &'a Store, id: &'a ContainerId) -> Result<Transaction<'a>> {
    let permissions = Mode::RWXU | Mode::XGRP | Mode::XOTH;
    loop {
        match store.root.make_folder(id, permissions) {
            Ok(()) | Err(Errno::EXIST) => (),
            Err(Errno::NOENT) => {
                return Err(store.root.error("make (the root folder was removed)", id, Errno::NOENT));
            }
            Err(errno) => return Err(store.root.error("make the folder", id, errno)),
        }
        match Transaction::begin_with_new_lock(store, id, Operation::Create) {
            Ok(Some(transaction)) => return Ok(transaction),
            Ok(None) => (),
            Err(error) => {
                // If the folder is empty it is one that no container is in, most likely the one just made.
                let _ = store.root.remove_folder_if_empty(id);
                return Err(error);
            }
        }
    }
}

/// Makes the sandbox and the first metadata.
fn fill(transaction: &Transaction<'_>, request: CreateRequest) -> Result<Stamp> {
    let (store, id) = (transaction.store, transaction.id);
    let options = &store.options;
    let generation = generation::next(&store.root, options.lock, options.wait, options.write)?;
    let mut metadata = Metadata::new(id.clone(), request, generation);
    let sandbox = store.sandbox();
    transaction.sandbox_did(sandbox.create(id, &mut metadata.sandbox))?;
    let saved = save_and_hold(transaction, &mut metadata);
    if saved.is_err() {
        // The error that is reported is the first one. Nothing else knows of this sandbox: it must go.
        let _ = sandbox.destroy(id, &metadata.sandbox);
    }
    saved.map(|()| metadata.stamp())
}

fn save_and_hold(transaction: &Transaction<'_>, metadata: &mut Metadata) -> Result<()> {
    let (store, id) = (transaction.store, transaction.id);
    let sandbox = store.sandbox();
    transaction.sandbox_did(sandbox.annotate(id, Operation::Create, &mut metadata.sandbox))?;
    if store.options.write == WritePolicy::Fsync {
        // A crash must not leave metadata beside which the lock file is missing.
        transaction.folder().sync()?;
    }
    let prepared = transaction.target().prepare(transaction.lock(), metadata)?;
    // The folder's own name lasts already: the root was synced when the generation was taken.
    prepared.commit(transaction.lock()).map_err(|commit| commit.error)?;
    transaction.sandbox_did(sandbox.hold(id, &metadata.sandbox))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn others_may_reach_what_is_in_a_containers_folder_and_not_list_it() {
        let place = tempfile::tempdir().unwrap();
        let store = Store::options().open(place.path()).unwrap();
        create(&store, &ContainerId::new("c1").unwrap(), CreateRequest::default()).unwrap();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:")).expect("Linux 4.7 tells it");
        let umask = u32::from_str_radix(umask.trim(), 8).unwrap();
        let mode = fs::metadata(place.path().join("c1")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o711 & !umask);
    }
}
