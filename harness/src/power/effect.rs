//! What a deed changes on the model of the folder.

use std::sync::Arc;

use bytes::Bytes;

use super::record::{JournalBuilder, Key, Kind, kind_of};
use crate::books::deed::{Attribute, Deed, Known, Offset, Renaming, Resizing, SyncKind};
use crate::books::places::Place;
use crate::disk::{Change, Content, Inode, Node, ROOT, Sync};
use crate::tracee::Stood;

/// A change, with its call as people read it; none where nothing changes. The error says what cannot be told.
type Changed = Result<Option<(String, Change)>, String>;

impl JournalBuilder<'_> {
    /// What a deed changes.
    pub(super) fn change(&mut self, deed: &Known, stood: Option<&Stood>) -> Changed {
        if leads_nowhere(deed) {
            return Ok(None);
        }
        match self.change_of_names(deed)? {
            Some(changed) => Ok(Some(changed)),
            None => self.change_of_content(deed, stood),
        }
    }

    /// What it changes of names.
    fn change_of_names(&mut self, deed: &Known) -> Changed {
        Ok(match deed {
            Deed::Open(Some(place), how) => {
                let (key, there) = self.entry(place)?;
                match there {
                    None if how.has(libc::O_CREAT) => {
                        let node = Node::File { mode: 0o644, content: Content::default() };
                        Some((format!("create {}", place.shown), self.create(key, node)))
                    }
                    Some(inode) if how.has(libc::O_TRUNC) && how.writes() => {
                        self.resize(inode, 0, format!("open {} with O_TRUNC", place.shown))
                    }
                    _ if how.has(libc::O_TMPFILE) => {
                        return Err("a file is made with O_TMPFILE, which no disk model knows".into());
                    }
                    _ => None,
                }
            }
            Deed::Rename { from, to, how } => self.rename(from.as_deref(), to.as_deref(), *how)?,
            Deed::Link { from, to: Some(to), .. } => {
                let Some(from) = from else {
                    return Err(format!("{} is linked from outside of the state folder", to.shown));
                };
                let ((_, inode), (key, there)) = (self.entry(from)?, self.entry(to)?);
                let (Some(inode), None) = (inode, there) else { return Ok(None) };
                let label = format!("link {} to {}", from.shown, to.shown);
                Some((label, Change::Link { inode, folder: key.0, name: key.1 }))
            }
            Deed::Link { from: Some(from), to: None, .. } => {
                return Err(format!("{} is linked to outside of the state folder", from.shown));
            }
            Deed::Unlink(Some(place)) | Deed::RemoveFolder(Some(place)) => {
                let (key, there) = self.entry(place)?;
                let wants_folder = matches!(deed, Deed::RemoveFolder(_));
                let Some(inode) = there.filter(|inode| self.can_go(*inode, wants_folder)) else {
                    return Ok(None);
                };
                _ = inode;
                let label = if wants_folder { "rmdir" } else { "unlink" };
                Some((format!("{label} {}", place.shown), Change::Unlink { folder: key.0, name: key.1 }))
            }
            Deed::MakeFolder(Some(place)) => {
                let (key, None) = self.entry(place)? else { return Ok(None) };
                Some((format!("mkdir {}", place.shown), self.create(key, Node::Folder { mode: 0o755 })))
            }
            Deed::MakeNode(Some(place), crate::books::deed::Node::File) => {
                let (key, None) = self.entry(place)? else { return Ok(None) };
                let node = Node::File { mode: 0o644, content: Content::default() };
                Some((format!("create {}", place.shown), self.create(key, node)))
            }
            Deed::MakeNode(Some(place), _) => {
                return Err(format!(
                    "{} is made a FIFO, a socket or a device, which no disk model knows",
                    place.shown
                ));
            }
            Deed::Symlink(target, Some(place)) => {
                let (key, None) = self.entry(place)? else { return Ok(None) };
                let node = Node::Link { target: target.as_str().into() };
                Some((format!("symlink {}", place.shown), self.create(key, node)))
            }
            _ => None,
        })
    }

    /// What it changes of a file's content, or makes last of it.
    fn change_of_content(&mut self, deed: &Known, stood: Option<&Stood>) -> Changed {
        Ok(match deed {
            Deed::Write(Some(file), writing) => {
                let inode = self.must(file, stood)?;
                let bytes = writing.bytes.as_ref().ok_or_else(|| too_much(&file.shown))?;
                if bytes.is_empty() {
                    return Ok(None);
                }
                let offset = self.offset(inode, writing.offset, stood, &file.shown)?;
                let label = format!(
                    "write {} to {}",
                    crate::words::plural(bytes.len() as u64, "byte"),
                    self.name(inode)
                );
                Some((label, Change::Write { inode, offset, bytes: Bytes::from_owner(Arc::clone(bytes)) }))
            }
            Deed::Resize(Some(file), how) => {
                let inode = self.must(file, stood)?;
                let size = self.resized(inode, *how, &file.shown)?;
                size.and_then(|size| {
                    self.resize(inode, size, format!("set the length of {} to {size}", self.name(inode)))
                })
            }
            Deed::Truncate(Some(place), length) => {
                let (_, inode) = self.entry(place)?;
                let length = (*length).max(0).cast_unsigned();
                inode.and_then(|inode| {
                    self.resize(inode, length, format!("truncate {} to {length}", place.shown))
                })
            }
            Deed::Copy { to: Some(file), .. } => {
                return Err(format!(
                    "bytes are copied into {} within the kernel, which is not recorded",
                    file.shown
                ));
            }
            Deed::Sync(Some(file), kind) => {
                let inode = self.must(file, stood)?;
                let (word, change) = match kind {
                    SyncKind::File => ("fsync", Change::Sync { inode, what: Sync::All }),
                    SyncKind::Data => ("fdatasync", Change::Sync { inode, what: Sync::Data }),
                    SyncKind::Filesystem => ("syncfs", Change::SyncAll),
                    SyncKind::Range => return Ok(None),
                };
                Some((format!("{word} {}", self.name(inode)), change))
            }
            Deed::SyncAll => Some(("sync".into(), Change::SyncAll)),
            Deed::Change(Some(place), _, Attribute::Permissions) => {
                let (_, inode) = self.entry(place)?;
                // Which permissions is learnt at the end.
                inode.map(|inode| (format!("chmod {}", place.shown), Change::Mode { inode, mode: 0 }))
            }
            Deed::ChangeAt(Some(file), Attribute::Permissions) => {
                let inode = self.must(file, stood)?;
                Some((format!("chmod {}", self.name(inode)), Change::Mode { inode, mode: 0 }))
            }
            _ => None,
        })
    }

    fn offset(
        &self,
        inode: Inode,
        offset: Offset,
        stood: Option<&Stood>,
        shown: &str,
    ) -> Result<u64, String> {
        match (offset, stood) {
            (_, Some(stood)) if stood.flags & libc::O_APPEND != 0 => match self.kinds.get(&inode) {
                Some(Kind::File(size)) => Ok(*size),
                _ => Err(format!("{shown} is not a file")),
            },
            (Offset::At(at), _) => {
                u64::try_from(at).map_err(|_| format!("{shown} is written before its beginning"))
            }
            (Offset::Current, Some(stood)) => Ok(stood.position),
            (Offset::Current, None) => Err(format!("it is not known where {shown} is written")),
        }
    }

    fn resized(&self, inode: Inode, how: Resizing, shown: &str) -> Result<Option<u64>, String> {
        Ok(match how {
            Resizing::Length(length) => Some(length.max(0).cast_unsigned()),
            Resizing::Allocate { mode: 0, offset, length } => {
                let end = offset.saturating_add(length).max(0).cast_unsigned();
                matches!(self.kinds.get(&inode), Some(Kind::File(size)) if *size < end).then_some(end)
            }
            Resizing::Allocate { mode: libc::FALLOC_FL_KEEP_SIZE, .. } => None,
            Resizing::Allocate { mode, .. } => {
                return Err(format!("fallocate of {shown} with mode {mode:#x}, which no disk model knows"));
            }
        })
    }

    fn resize(&self, inode: Inode, size: u64, label: String) -> Option<(String, Change)> {
        match self.kinds.get(&inode) {
            Some(Kind::File(now)) if *now != size => Some((label, Change::Resize { inode, size })),
            _ => None,
        }
    }

    fn create(&mut self, (folder, name): Key, node: Node) -> Change {
        let inode = self.next;
        self.next.0 += 1;
        self.kinds.insert(inode, kind_of(&node));
        self.names.insert(inode, self.path(folder, &name));
        Change::Create { inode, node, folder, name }
    }

    fn path(&self, folder: Inode, name: &str) -> String {
        match self.names.get(&folder).filter(|path| !path.is_empty() && folder != ROOT) {
            Some(folder) => format!("{folder}/{name}"),
            None => name.to_owned(),
        }
    }

    fn rename(
        &self,
        from: Option<&Place>,
        to: Option<&Place>,
        how: Renaming,
    ) -> Result<Option<(String, Change)>, String> {
        let (from, to) = match (from, to) {
            (Some(from), Some(to)) => (from, to),
            (Some(only), None) | (None, Some(only)) => {
                return Err(format!("{} is renamed across the edge of the state folder", only.shown));
            }
            (None, None) => return Ok(None),
        };
        let ((from_key, moved), (to_key, there)) = (self.entry(from)?, self.entry(to)?);
        let Some(inode) = moved else { return Ok(None) };
        let label = format!("rename {} {}", from.shown, to.shown);
        if how == Renaming::Exchange {
            let Some(there) = there else { return Ok(None) };
            let one = (from_key.0, from_key.1, inode);
            let other = (to_key.0, to_key.1, there);
            return Ok(Some((label, Change::Exchange { one, other })));
        }
        let stays = there == Some(inode) || (how == Renaming::Keep && there.is_some());
        let clashes = there.is_some_and(|there| {
            (self.kinds.get(&there) == Some(&Kind::Folder)) != (self.kinds.get(&inode) == Some(&Kind::Folder))
                || !self.is_empty(there)
        });
        if stays || clashes {
            return Ok(None);
        }
        Ok(Some((label, Change::Rename { inode, from: from_key, to: to_key, replaced: there })))
    }

    fn is_empty(&self, folder: Inode) -> bool {
        !self.entries.keys().any(|(of, _)| *of == folder)
    }

    fn can_go(&self, inode: Inode, wants_folder: bool) -> bool {
        let is_folder = self.kinds.get(&inode) == Some(&Kind::Folder);
        is_folder == wants_folder && (!is_folder || self.is_empty(inode))
    }
}

/// Why bytes are not at hand.
fn too_much(shown: &str) -> String {
    let most = crate::tracee::KEPT_BYTES_MAX >> 20;
    format!(
        "with its writes to {shown}, the command writes more than {most} MB, the most that is recorded: give a command that writes less"
    )
}

/// Whether a path of the call ends before its last folder, so that the call fails.
fn leads_nowhere(deed: &Known) -> bool {
    let nowhere = |place: &Option<Arc<Place>>| {
        place.as_ref().is_some_and(|place| place.folder.is_none() && !place.name.is_empty())
    };
    deed.changed_places().any(nowhere)
}
