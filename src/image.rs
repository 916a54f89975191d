//! The image that a checkpoint writes and a restore reads: a JSON file wherever the caller wants it. It replaces
//! what was there as a whole, so that a checkpoint that fails leaves an earlier image as it was.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::metadata::{MAX_METADATA_BYTES, Metadata};
use crate::write::{WritePolicy, close};
use crate::{Error, Result};

/// The newest version of the format.
const IMAGE_VERSION: u64 = 1;

/// More than the largest metadata and what a sandbox adds to it.
const IMAGE_BYTES_MAX: u64 = 2 * MAX_METADATA_BYTES;

/// What an image holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Image {
    #[serde(rename = "flockwork_image")]
    version: u64,
    sandbox: String,
    /// What the sandbox wants to find again.
    pub data: Box<RawValue>,
    /// The container when the image was made: for people, a restore does not use it.
    metadata: Box<RawValue>,
}

impl Image {
    pub(crate) fn new(
        sandbox: &str,
        data: Box<RawValue>,
        metadata: &Metadata,
    ) -> Result<Self, serde_json::Error> {
        let metadata = serde_json::value::to_raw_value(metadata)?;
        Ok(Self { version: IMAGE_VERSION, sandbox: sandbox.to_owned(), data, metadata })
    }

    /// Reads an image that a sandbox of this kind wrote.
    pub(crate) fn read(path: &Path, sandbox: &str) -> Result<Self> {
        let bytes = read_bounded(path)?;
        let image: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Error::corrupt(path, format_args!("it is not an image of a checkpoint: {error}"))
        })?;
        if image.version != IMAGE_VERSION {
            let why = format_args!(
                "it is an image of version {}, but this build reads {IMAGE_VERSION}",
                image.version
            );
            return Err(Error::corrupt(path, why));
        }
        if image.sandbox != sandbox {
            let why = format_args!("it is an image of a sandbox of kind {}, not {sandbox}", image.sandbox);
            return Err(Error::corrupt(path, why));
        }
        Ok(image)
    }

    /// Writes the image in place of whatever file is there.
    pub(crate) fn write(&self, path: &Path, policy: WritePolicy) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::unsupported(path, error))?;
        let temporary = temporary_path(path);
        let written = write_durably(&temporary, &bytes, policy).and_then(|()| fs::rename(&temporary, path));
        written.map_err(|error| {
            let _ = fs::remove_file(&temporary);
            Error::io("write the image", path, error)
        })?;
        if policy == WritePolicy::Fsync {
            // Else a crash takes back the name, and with it an image that the caller was told of.
            let synced = fs::File::open(folder_of(path)).and_then(|folder| folder.sync_all());
            synced.map_err(|error| Error::io("make the image durable", path, error))?;
        }
        Ok(())
    }
}

/// The folder that a file lies in: of a name alone, the one that the process is in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name that no other checkpoint to the same path uses at the same time.
fn temporary_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(
        format!(".{}-{:?}.tmp", std::process::id(), std::thread::current().id()).replace(['(', ')'], ""),
    );
    name.into()
}

fn write_durably(path: &Path, bytes: &[u8], policy: WritePolicy) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)?;
    file.write_all(bytes)?;
    match policy {
        WritePolicy::Fsync => file.sync_all()?,
        WritePolicy::InPlace | WritePolicy::Rename => (),
    }
    Ok(close(file)?)
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let failed = |error| Error::io("read the image", path, error);
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(Error::corrupt(path, "it is not an image of a checkpoint: not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(IMAGE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > IMAGE_BYTES_MAX {
        return Err(Error::corrupt(path, format_args!("it has more than {IMAGE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::CreateRequest;
    use crate::unprivileged::unprivileged;

    /// To sync a folder it is opened for reading, which one that may only be written to does not allow.
    #[test]
    fn the_folder_is_synced_where_saves_are() {
        let place = tempfile::tempdir().unwrap();
        let id = crate::ContainerId::new("c1").unwrap();
        let metadata = Metadata::new(id, CreateRequest::default(), 1);
        let image = Image::new("inert", RawValue::from_string("1".to_owned()).unwrap(), &metadata).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o300)).unwrap();
        let path = place.path().join("image");
        unprivileged(|| {
            for policy in [WritePolicy::Rename, WritePolicy::InPlace] {
                image.write(&path, policy).expect("nothing is synced");
            }
            let error = image.write(&path, WritePolicy::Fsync).unwrap_err().to_string();
            assert!(error.contains("make the image durable"), "{error}");
        });
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        image.write(&path, WritePolicy::Fsync).unwrap();
        for (path, folder) in [("image", "."), ("a/image", "a"), ("./image", "."), ("/image", "/")] {
            assert_eq!(folder_of(Path::new(path)), Path::new(folder), "{path}");
        }
    }

    #[test]
    fn an_image_is_read_up_to_the_limit_and_not_beyond() {
        assert_eq!(IMAGE_BYTES_MAX, 2 * MAX_METADATA_BYTES);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        for (bytes, is_read) in [(0, true), (1, true), (IMAGE_BYTES_MAX, true), (IMAGE_BYTES_MAX + 1, false)]
        {
            // Sparse: it takes no room.
            fs::File::create(&path).unwrap().set_len(bytes).unwrap();
            match read_bounded(&path) {
                Ok(read) => assert_eq!((read.len() as u64, is_read), (bytes, true)),
                Err(error) => {
                    assert!(!is_read && error.to_string().contains("more than"), "{bytes}: {error}");
                }
            }
        }
    }
}
