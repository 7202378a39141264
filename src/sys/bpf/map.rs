//! Memory that programs and the router both see.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::syscall::{create, name};
use crate::sys::shared_words::SharedWords;

const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// `union bpf_attr` as `BPF_MAP_CREATE` reads it.
#[derive(Default)]
#[repr(C)]
struct CreateAttributes {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    inner_map: u32,
    numa_node: u32,
    name: [u8; 16],
}

/// An array map of one big value, mapped into this program too. It lives until the last program that uses it is gone.
#[derive(Debug)]
pub struct SharedMap {
    descriptor: OwnedFd,
    words: SharedWords,
}

impl SharedMap {
    /// Makes one of `length` bytes, all zero.
    ///
    /// # Errors
    /// Without `CAP_BPF`, on a kernel before 5.5, or when there is no memory.
    pub fn create(map_name: &str, length: usize) -> io::Result<Self> {
        let mut attributes = CreateAttributes {
            kind: BPF_MAP_TYPE_ARRAY,
            key_size: 4,
            value_size: u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?,
            max_entries: 1,
            flags: BPF_F_MMAPABLE,
            name: name(map_name),
            ..CreateAttributes::default()
        };
        let descriptor = create(BPF_MAP_CREATE, &mut attributes)?;
        let words = SharedWords::map(descriptor.as_fd(), length)?;
        Ok(Self { descriptor, words })
    }

    /// The memory.
    #[must_use]
    pub fn words(&self) -> SharedWords {
        self.words.clone()
    }
}

impl AsFd for SharedMap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
