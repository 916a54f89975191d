//! Reading `meta.json`: the file must be what the library wrote, and nothing else is read, however it got there.

use std::ffi::CStr;

use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::{Errno, retry_on_intr};

use crate::folder::Folder;
use crate::metadata::{MAX_METADATA_BYTES, Metadata, WAY_OUT};
use crate::root::META;
use crate::words::words;
use crate::{ContainerId, Error, Result};

words! {
    /// What a reader locks.
    pub enum ReadPolicy, "read policy" {
        /// The lock, together with other readers: the default.
        Shared = "shared",
        /// The lock, alone, as the original did.
        Exclusive = "exclusive",
        /// Nothing: safe only where saves replace the file as a whole.
        LockFree = "lock-free",
    }
}

/// Metadata and the bytes it was read from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub metadata: Metadata,
    pub bytes: Vec<u8>,
}

/// Reads a container's metadata; `None` if there is none. What makes this safe is the caller's: a lock of either
/// mode, or saves by rename.
pub(crate) fn metadata(folder: &Folder<'_>, id: &ContainerId) -> Result<Option<Loaded>> {
    let Some(bytes) = regular_file(folder, META, MAX_METADATA_BYTES)? else { return Ok(None) };
    let metadata = Metadata::of_container(id, &bytes, || folder.full(META))?;
    Ok(Some(Loaded { metadata, bytes }))
}

/// Reads a small regular file; `None` if it is missing.
pub(crate) fn regular_file(folder: &Folder<'_>, name: &CStr, bytes_max: u64) -> Result<Option<Vec<u8>>> {
    // NONBLOCK: the open of a FIFO that somebody put there must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match folder.open(name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP) => return Err(folder.link_error(name)),
        // A socket, or a device with nothing behind it.
        Err(Errno::NXIO | Errno::NODEV) => return Err(no_regular_file(folder, name)),
        Err(errno) => return Err(folder.error("open", name, errno)),
    };
    let stat = fstat(&file).map_err(|errno| folder.error("look at", name, errno))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(no_regular_file(folder, name));
    }
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    if size > bytes_max {
        let why = format_args!("it has {size} bytes, at most {bytes_max} are read; {WAY_OUT}");
        return Err(Error::corrupt(folder.full(name), why));
    }
    // One byte more than the file has: a read that does not fill the buffer has seen the end.
    let mut bytes = Vec::with_capacity(size as usize + 1);
    loop {
        let space = bytes.capacity() - bytes.len();
        let read = retry_on_intr(|| rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)))
            .map_err(|errno| folder.error("read", name, errno))?;
        if bytes.len() as u64 > bytes_max {
            let why = format_args!("it grew beyond {bytes_max} bytes while it was read; {WAY_OUT}");
            return Err(Error::corrupt(folder.full(name), why));
        }
        if read < space {
            return Ok(Some(bytes));
        }
        bytes.reserve(bytes.len());
    }
}

#[cold]
fn no_regular_file(folder: &Folder<'_>, name: &CStr) -> Error {
    Error::corrupt(folder.full(name), format_args!("it is not a regular file; {WAY_OUT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root::Root;

    /// A file of `/proc` tells no size, so to a reader it grows; `comm` holds as many bytes as the thread's name has, and one.
    #[test]
    fn what_grows_is_read_up_to_the_limit_and_not_beyond() {
        for length in 1..=15_u64 {
            let name = "n".repeat(length as usize);
            let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
                let root = Root::open("/proc/self/task".as_ref()).expect("it is there");
                let id = ContainerId::new(rustix::thread::gettid().as_raw_nonzero().to_string())
                    .expect("a number");
                let folder = root.folder(&id).expect("a folder").expect("its own");
                let read = |bytes_max| regular_file(&folder, c"comm", bytes_max);
                let all = read(length + 1).expect("it is no longer").expect("it is there");
                assert_eq!(all, format!("{name}\n").as_bytes());
                let error = read(length / 2).expect_err("it is longer").to_string();
                assert!(error.contains("it grew beyond"), "{error}");
            });
            thread.expect("a thread").join().expect("what it asserts holds");
        }
    }

    #[test]
    fn a_file_may_be_as_large_as_the_limit() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join("c1")).unwrap();
        std::fs::write(place.path().join("c1/meta.json"), "12345678").unwrap();
        let root = Root::open(place.path()).unwrap();
        let id = ContainerId::new("c1").unwrap();
        let folder = root.folder(&id).unwrap().unwrap();
        assert_eq!(regular_file(&folder, META, 8).unwrap().as_deref(), Some(&b"12345678"[..]));
        let error = regular_file(&folder, META, 7).unwrap_err().to_string();
        assert!(error.contains("it has 8 bytes, at most 7 are read"), "{error}");
    }
}
