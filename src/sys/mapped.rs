//! Memory that outlives the program: a file mapped whole, shared with the file.
//!
//! A [`MappedFile`] is one mapping with one owner. It can be cut into disjoint [`Region`]s, each with an owner of its
//! own, that move into worker threads; the mapping lives until the last of them is gone. Pages never written take no
//! memory.
//!
//! What it does not do: tell apart content that was there from content that is new (all zero), or order writes for a
//! machine that loses power: the file is meant for tmpfs. The file must not be shortened while it is mapped, for the
//! kernel answers that with SIGBUS, as it does when a page is first written on a full file system;
//! [`MappedFile::reserve`] finds the latter out beforehand.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where regions may start: multiples of this many bytes (a cache line).
pub const REGION_ALIGNMENT: usize = 64;

/// One `mmap` and the way to undo it.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a Mapping is an address range that stays mapped until drop; it never touches the bytes itself. Access goes
// through MappedFile and Region, which hand out references by the usual borrowing rules over disjoint ranges.
unsafe impl Send for Mapping {}
// SAFETY: as above; a shared Mapping gives no access to the bytes.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub(super) fn new(length: usize, flags: libc::c_int, file: Option<BorrowedFd<'_>>) -> io::Result<Self> {
        if length == 0 || isize::try_from(length).is_err() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a mapping of no bytes, or of too many"));
        }
        let descriptor = file.map_or(-1, |file| file.as_raw_fd());
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: the kernel chooses the address, so no memory in use is replaced; `descriptor` is open or -1.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, descriptor, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::other("mapped at address zero"))?;
        Ok(Self { start, length })
    }

    /// Its first byte.
    pub(super) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Bytes mapped.
    pub(super) fn length(&self) -> usize {
        self.length
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this range was mapped by `new` and nothing refers to it any more: whoever could, holds the Arc.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}

/// A file mapped whole, with one owner.
#[derive(Debug)]
pub struct MappedFile {
    mapping: Arc<Mapping>,
    file: Option<File>,
}

impl MappedFile {
    /// Opens the file, or makes it (mode 0600), and maps `length` bytes. A file of another length was written by
    /// another layout: it is emptied. What is new reads as zero.
    ///
    /// # Errors
    /// When the file cannot be opened, lengthened or mapped.
    pub fn open(path: &Path, length: usize) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let wanted = u64::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        if file.metadata()?.len() != wanted {
            file.set_len(0)?;
            file.set_len(wanted)?;
        }
        let mapping = Arc::new(Mapping::new(length, libc::MAP_SHARED, Some(file.as_fd()))?);
        Ok(Self { mapping, file: Some(file) })
    }

    /// Memory of `length` bytes, all zero, without a file: for benches, tests, and where nothing need survive.
    ///
    /// # Errors
    /// When the kernel refuses the mapping.
    pub fn anonymous(length: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        Ok(Self { mapping: Arc::new(Mapping::new(length, flags, None)?), file: None })
    }

    /// Bytes mapped.
    #[must_use]
    pub fn length(&self) -> usize {
        self.mapping.length
    }

    /// Takes the memory for every page now, so that a later write cannot fail for want of room. Does nothing without
    /// a file.
    ///
    /// # Errors
    /// When the file system is too full.
    pub fn reserve(&self) -> io::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let length = libc::off_t::try_from(self.length()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: `file` is open; the call touches no memory of ours.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        }
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the range is mapped while `self` lives, and only `self` gives access to it (regions take `self`).
        unsafe { std::slice::from_raw_parts(self.mapping.start.as_ptr(), self.length()) }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`; `&mut self` makes this the only reference.
        unsafe { std::slice::from_raw_parts_mut(self.mapping.start.as_ptr(), self.length()) }
    }

    /// The whole as one region.
    #[must_use]
    pub fn into_region(self) -> Region {
        Region { start: self.mapping.start, length: self.length(), mapping: self.mapping }
    }

    /// Cuts the mapping into regions of these lengths, one after the other; what is left over is not used.
    ///
    /// # Errors
    /// When a length is no multiple of [`REGION_ALIGNMENT`] or they exceed the mapping.
    pub fn split(self, lengths: &[usize]) -> io::Result<Vec<Region>> {
        let mut rest = self.into_region();
        let mut regions = Vec::with_capacity(lengths.len());
        for &length in lengths {
            let (region, remainder) = rest.split_at(length)?;
            regions.push(region);
            rest = remainder;
        }
        Ok(regions)
    }
}

/// A part of a mapping with an owner of its own.
#[derive(Debug)]
pub struct Region {
    start: NonNull<u8>,
    length: usize,
    mapping: Arc<Mapping>,
}

// SAFETY: a Region is the only way to its bytes, which stay mapped as long as it lives: it may move to another thread.
unsafe impl Send for Region {}
// SAFETY: through `&Region` the bytes can only be read.
unsafe impl Sync for Region {}

impl Region {
    /// Bytes in it.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Cuts it in two, the first part `length` bytes long.
    ///
    /// # Errors
    /// When `length` is no multiple of [`REGION_ALIGNMENT`] or exceeds the region.
    pub fn split_at(self, length: usize) -> io::Result<(Self, Self)> {
        if length > self.length || !length.is_multiple_of(REGION_ALIGNMENT) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a region that is not aligned, or too long"));
        }
        // SAFETY: `length` is at most the region's, so the result is within, or one past the end of, the mapping.
        let second = unsafe { self.start.add(length) };
        let mapping = Arc::clone(&self.mapping);
        let rest = self.length - length;
        Ok((Self { length, ..self }, Self { start: second, length: rest, mapping }))
    }

    /// The region as records; bytes too few for one more are left out.
    #[must_use]
    pub fn as_slice<T: FromBytes + IntoBytes + Immutable>(&self) -> &[T] {
        let (start, count) = self.records::<T>();
        // SAFETY: `records` checked alignment and length; any bytes make a T (FromBytes); nobody writes while `&self`
        // is held, for this Region is the only way to these bytes.
        unsafe { std::slice::from_raw_parts(start, count) }
    }

    /// The region as records, to be written; bytes too few for one more are left out.
    pub fn as_slice_mut<T: FromBytes + IntoBytes>(&mut self) -> &mut [T] {
        let (start, count) = self.records::<T>();
        // SAFETY: as in `as_slice`; `&mut self` makes this the only reference, and whatever is written leaves
        // initialised bytes behind (IntoBytes: no padding).
        unsafe { std::slice::from_raw_parts_mut(start, count) }
    }

    fn records<T>(&self) -> (*mut T, usize) {
        const {
            assert!(align_of::<T>() <= REGION_ALIGNMENT, "regions are aligned to a cache line, not more");
            assert!(size_of::<T>() > 0, "records have a size");
        }
        (self.start.as_ptr().cast(), self.length / size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_outlives_the_mapping_and_new_content_is_zero() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slab");
        let mut file = MappedFile::open(&path, 8192).unwrap();
        assert!(file.bytes().iter().all(|&byte| byte == 0));
        file.bytes_mut()[4100] = 7;
        drop(file);
        assert_eq!(MappedFile::open(&path, 8192).unwrap().bytes()[4100], 7);
        assert!(MappedFile::open(&path, 16_384).unwrap().bytes().iter().all(|&byte| byte == 0));
    }

    #[test]
    fn regions_are_disjoint_and_move_to_threads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slab");
        let file = MappedFile::open(&path, 1024).unwrap();
        file.reserve().unwrap();
        let threads: Vec<_> = file
            .split(&[256, 512, 128])
            .unwrap()
            .into_iter()
            .enumerate()
            .map(|(index, mut region)| {
                std::thread::spawn(move || {
                    region.as_slice_mut::<u64>().fill(index as u64 + 1);
                    region.as_slice::<u64>().len()
                })
            })
            .collect();
        let lengths: Vec<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert_eq!(lengths, [32, 64, 16]);
        let whole = MappedFile::open(&path, 1024).unwrap().into_region();
        let words = whole.as_slice::<u64>();
        assert!(words[..32].iter().all(|&word| word == 1));
        assert!(words[32..96].iter().all(|&word| word == 2));
        assert!(words[96..112].iter().all(|&word| word == 3));
        assert!(words[112..].iter().all(|&word| word == 0));
    }

    #[test]
    fn splits_that_do_not_fit_are_refused() {
        assert!(MappedFile::anonymous(128).unwrap().split(&[128, 64]).is_err());
        assert!(MappedFile::anonymous(128).unwrap().split(&[65]).is_err());
        assert!(MappedFile::anonymous(0).is_err());
    }
}
