//! A TUN device with several queues: IP packets, each behind a virtio header, super-packets included.
//!
//! The device lives as long as one of its queues is open. A packet that the kernel routes into it is given to the
//! queue whose number the steering program returns, queues being numbered in the order in which they were opened.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::bpf::Program;
use super::check;
use libc::{TUN_F_CSUM, TUN_F_TSO_ECN, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6};

/// `IFF_TUN_EXCL` of linux/if_tun.h: fail when the device exists.
const EXCLUSIVE: libc::c_int = 0x8000;
const MODE: libc::c_int = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_MULTI_QUEUE;
const SEGMENTATION: libc::c_uint = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
/// UDP segmentation: Linux 6.2 and later.
const UDP_SEGMENTATION: libc::c_uint = TUN_F_USO4 | TUN_F_USO6;
/// Length of `struct virtio_net_hdr` without `num_buffers`.
const VNET_LENGTH: libc::c_int = 10;

/// One queue of a TUN device, non-blocking.
#[derive(Debug)]
pub struct TunQueue(File);

/// Makes the device with this many queues. The device is not persistent: it goes with its last queue.
///
/// # Errors
/// `AlreadyExists` when there is an interface of this name; `InvalidInput` for a name that no interface can have; else
/// what the kernel reports, as without `CAP_NET_ADMIN` or `/dev/net/tun`.
pub fn create(name: &str, queues: u8, steering: &Program) -> io::Result<Vec<TunQueue>> {
    let mut opened = Vec::with_capacity(usize::from(queues));
    for number in 0..queues {
        let mode = if number == 0 { MODE | EXCLUSIVE } else { MODE };
        let queue = TunQueue::attach(name, mode).map_err(|error| explain(name, &error))?;
        opened.push(queue);
    }
    let Some(first) = opened.first() else { return Err(io::Error::from(io::ErrorKind::InvalidInput)) };
    first.set_header_length()?;
    first.set_offloads()?;
    first.set_steering(steering)?;
    Ok(opened)
}

fn explain(name: &str, error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(libc::EBUSY | libc::EEXIST | libc::EINVAL) => io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("cannot make the TUN device {name}: an interface of that name exists already"),
        ),
        _ => io::Error::new(error.kind(), format!("cannot make the TUN device {name}: {error}")),
    }
}

impl TunQueue {
    fn attach(name: &str, mode: libc::c_int) -> io::Result<Self> {
        // SAFETY: an ifreq is plain integers, of which zero is a valid value.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let fits = !name.is_empty() && name.len() < request.ifr_name.len() && !name.contains(['/', '%', '\0']);
        if !fits {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a name for an interface"));
        }
        for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
            *slot = libc::c_char::from_ne_bytes([byte]);
        }
        // Of a 16-bit field; EXCLUSIVE is its highest bit.
        request.ifr_ifru.ifru_flags = mode as libc::c_short;
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
        // SAFETY: `request` is a readable and writable ifreq, which is what TUNSETIFF takes.
        check(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
        Ok(Self(file))
    }

    fn set_header_length(&self) -> io::Result<()> {
        let length = VNET_LENGTH;
        // SAFETY: TUNSETVNETHDRSZ reads an int.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const length) })?;
        Ok(())
    }

    fn set_offloads(&self) -> io::Result<()> {
        let set = |mask: libc::c_uint| {
            // SAFETY: TUNSETOFFLOAD takes its mask by value.
            check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(mask)) })
        };
        set(SEGMENTATION | UDP_SEGMENTATION).or_else(|_| set(SEGMENTATION)).map(drop)
    }

    fn set_steering(&self, program: &Program) -> io::Result<()> {
        let descriptor = program.as_fd().as_raw_fd();
        // SAFETY: TUNSETSTEERINGEBPF reads an int: the program's descriptor.
        check(unsafe { libc::ioctl(self.0.as_raw_fd(), libc::TUNSETSTEERINGEBPF, &raw const descriptor) })?;
        Ok(())
    }

    /// Reads one packet with its virtio header and returns how many bytes that is.
    ///
    /// # Errors
    /// `WouldBlock` when there is none; `EBADFD` when the device is gone.
    pub fn receive(&self, area: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(area)
    }

    /// Writes one packet with its virtio header.
    ///
    /// # Errors
    /// `EIO` when the device is down; `EINVAL` when the virtio header contradicts the packet.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.0).write(frame).map(drop)
    }
}

impl AsFd for TunQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
