//! A robust mutex in shared memory: what the C library offers to processes that share memory as well as files.

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;

use super::Mapping;

/// A mutex that processes share. Whoever takes it after its holder's death gets it all the same.
#[repr(C, align(64))]
pub(crate) struct Mutex(UnsafeCell<libc::pthread_mutex_t>);

// SAFETY: all access goes through the C library's calls, which are made for several threads and processes at once.
unsafe impl Sync for Mutex {}

impl std::fmt::Debug for Mutex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mutex").finish_non_exhaustive()
    }
}

fn checked(code: libc::c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

impl Mutex {
    /// Makes a mutex of memory that is zero, before anybody else uses it.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        // SAFETY: the call initialises the attributes, which nobody else sees.
        checked(unsafe { libc::pthread_mutexattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: the attributes were initialised above.
        checked(unsafe {
            libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED)
        })?;
        // SAFETY: as above.
        checked(unsafe {
            libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST)
        })?;
        // SAFETY: the memory is the mutex's own, for as long as `self`, and its maker has told nobody of it yet.
        checked(unsafe { libc::pthread_mutex_init(self.0.get(), attributes.as_ptr()) })?;
        // SAFETY: the attributes were initialised above, and are not used again.
        checked(unsafe { libc::pthread_mutexattr_destroy(attributes.as_mut_ptr()) })
    }

    /// Waits for it.
    #[inline]
    pub(crate) fn lock(&self) -> io::Result<()> {
        // SAFETY: it was prepared before any other process was forked, and lies in memory shared by all of them.
        self.taken(unsafe { libc::pthread_mutex_lock(self.0.get()) })
    }

    /// Takes it if it is free.
    #[inline]
    pub(crate) fn try_lock(&self) -> io::Result<bool> {
        // SAFETY: as for `lock`.
        match unsafe { libc::pthread_mutex_trylock(self.0.get()) } {
            libc::EBUSY => Ok(false),
            code => self.taken(code).map(|()| true),
        }
    }

    /// That its last holder died is no error: whoever comes next sees to what it guards.
    #[inline]
    fn taken(&self, code: libc::c_int) -> io::Result<()> {
        match code {
            // SAFETY: the caller holds it, as EOWNERDEAD says.
            libc::EOWNERDEAD => checked(unsafe { libc::pthread_mutex_consistent(self.0.get()) }),
            code => checked(code),
        }
    }

    /// Gives it back; an error where the caller does not hold it.
    #[inline]
    pub(crate) fn unlock(&self) -> io::Result<()> {
        // SAFETY: as for `lock`. A default mutex that is robust and not held by the caller answers EPERM.
        checked(unsafe { libc::pthread_mutex_unlock(self.0.get()) })
    }
}

impl Mapping {
    /// The `count` mutexes that start `offset` bytes into the mapping.
    #[inline]
    pub(crate) fn mutexes(&self, offset: usize, count: usize) -> &[Mutex] {
        let end = size_of::<Mutex>().checked_mul(count).and_then(|size| size.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.bytes), "view beyond the mapping");
        assert!(offset.is_multiple_of(align_of::<Mutex>()), "view not aligned");
        // SAFETY: `offset` is within the mapping, as asserted.
        let first = unsafe { self.base.byte_add(offset) }.cast::<Mutex>();
        // SAFETY: the values lie within the mapping and are aligned; any bytes are valid for the C library's opaque
        // type, which lies in a cell: others may write it meanwhile.
        unsafe { std::slice::from_raw_parts(first.as_ptr(), count) }
    }
}
