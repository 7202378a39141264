//! Memory that others write too, the kernel among them: nothing but atomic words.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::mapped::Mapping;

/// Words of 64 bits, shared with whoever else has mapped them. Clones are the same words.
#[derive(Clone, Debug)]
pub struct SharedWords {
    mapping: Arc<Mapping>,
}

impl SharedWords {
    /// Maps the first `length` bytes of `descriptor`.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub(super) fn map(descriptor: BorrowedFd<'_>, length: usize) -> io::Result<Self> {
        Ok(Self { mapping: Arc::new(Mapping::new(length, libc::MAP_SHARED, Some(descriptor))?) })
    }

    /// Words of our own, all zero, for tests and benches.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn anonymous(length: usize) -> io::Result<Self> {
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        Ok(Self { mapping: Arc::new(Mapping::new(length, flags, None)?) })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        let start = self.mapping.start().cast::<AtomicU64>();
        // SAFETY: the range is mapped, page-aligned and initialised while `self` lives; it is only ever seen as atomics,
        // so that it may change under every reader.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), self.mapping.length() / size_of::<AtomicU64>()) }
    }
}
