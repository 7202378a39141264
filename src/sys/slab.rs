//! A fixed array of plain-old-data records in mapped memory.

use std::io;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::mapped::{MappedFile, REGION_ALIGNMENT, Region};

/// A region of mapped memory as an array of `T`.
#[derive(Debug)]
pub struct Slab<T> {
    region: Region,
    records: PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Immutable> Slab<T> {
    /// The records in `region`, as they are.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self { region, records: PhantomData }
    }

    /// `count` records of zeros, in memory that nothing outlives.
    ///
    /// # Errors
    /// When the kernel has no memory for them, or `count` is zero.
    pub fn zeroed(count: usize) -> io::Result<Self> {
        let length = Self::region_length(count);
        let (region, _) = MappedFile::anonymous(length)?.into_region().split_at(length)?;
        Ok(Self::new(region))
    }

    /// Bytes of a region for at least `count` records, such that another region may follow it.
    #[must_use]
    pub const fn region_length(count: usize) -> usize {
        (count * size_of::<T>()).next_multiple_of(REGION_ALIGNMENT)
    }
}

impl<T: FromBytes + IntoBytes + Immutable> Deref for Slab<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        self.region.as_slice()
    }
}

impl<T: FromBytes + IntoBytes + Immutable> DerefMut for Slab<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.region.as_slice_mut()
    }
}
