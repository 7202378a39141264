//! Packet sockets: whole Ethernet frames of one interface, each with a virtio header (`PACKET_VNET_HDR`).
//!
//! A socket is made deaf, then bound to all protocols, so that it is a tap that runs before the interface's ingress
//! hook. Several sockets of one interface share its frames by joining a fanout group; a frame goes to the socket whose
//! number the group's program returns, numbers being given in the order of joining. Because nobody listens before its
//! filter is set, no frame is delivered twice while a group is being formed.
//!
//! What it does not do: bypass the queueing discipline (whoever shapes an interface wants it obeyed), or send by a ring.
//!
//! When the interface goes down, the socket reports `ENETDOWN` once and is quiet until it comes up again; when it is
//! deleted, the socket is dead.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::bpf::Program;
use super::receive_ring::{BLOCK_BYTES, PLACE_BYTES, ReceiveRing};
use super::{check, check_count};

/// From linux/if_packet.h; libc does not have them on every target.
const PACKET_RX_RING: libc::c_int = 5;
const PACKET_COPY_THRESH: libc::c_int = 7;
const PACKET_VERSION: libc::c_int = 10;
const TPACKET_V2: libc::c_int = 1;
const PACKET_FANOUT: libc::c_int = 18;
const PACKET_FANOUT_DATA: libc::c_int = 22;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;
const FANOUT_EBPF: u32 = 7;
const FANOUT_UNIQUE_ID: u32 = 0x2000;
const FANOUT_IGNORE_OUTGOING: u32 = 0x4000;

/// Receive buffer in bytes as asked for; the kernel doubles it, and counts what packets cost it, not their length: room
/// for about 10,000 short packets, or 100 super-packets. More would only make a queue that delays.
const RECEIVE_BUFFER: libc::c_int = 4 << 20;
/// Send buffer in bytes as asked for. Larger than what a queueing discipline holds, so that it, not we, decides on drops.
const SEND_BUFFER: libc::c_int = 4 << 20;

/// A packet socket bound to one interface, non-blocking in use.
#[derive(Debug)]
pub struct PacketSocket(OwnedFd);

/// The group that a socket has joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanoutGroup(u16);

/// What the kernel counted since the last time it was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketStatistics {
    /// Frames that passed the filter, the dropped ones included.
    pub frames: u32,
    /// Frames dropped because the receive buffer was full.
    pub dropped: u32,
}

impl PacketSocket {
    /// Binds to the interface; `deaf` is the filter until [`Self::set_filter`] and accepts nothing.
    ///
    /// # Errors
    /// When there is no such interface, or without `CAP_NET_RAW` and `CAP_NET_ADMIN`.
    pub fn open(interface_index: u32, deaf: &Program) -> io::Result<Self> {
        // Protocol 0: nothing is received before bind.
        let socket = Self::unbound()?;
        socket.set_filter(deaf)?;
        socket.set_option(libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        socket.set_option(libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
        socket.set_option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)?;
        socket.set_option(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER)?;
        socket.bind(interface_index, libc::ETH_P_ALL)?;
        Ok(socket)
    }

    /// Gives the socket a ring of `bytes` bytes, a multiple of 64 KiB, for what it receives from now on. Before it joins a
    /// group.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn make_ring(&self, bytes: usize) -> io::Result<ReceiveRing> {
        let number = |count: usize| u32::try_from(count).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
        // struct tpacket_req: bytes of a block, blocks, bytes of a place, places.
        let request =
            [number(BLOCK_BYTES)?, number(bytes / BLOCK_BYTES)?, number(PLACE_BYTES)?, number(bytes / PLACE_BYTES)?];
        self.set_option(libc::SOL_PACKET, PACKET_VERSION, TPACKET_V2)?;
        // Any value: frames that are longer than a place are queued.
        self.set_option(libc::SOL_PACKET, PACKET_COPY_THRESH, 1)?;
        let length = libc::socklen_t::try_from(size_of_val(&request)).unwrap_or(0);
        // SAFETY: `request` is readable and its length is given.
        check(unsafe {
            let value = (&raw const request).cast();
            libc::setsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, PACKET_RX_RING, value, length)
        })?;
        ReceiveRing::map(self.as_fd(), bytes)
    }

    /// A socket that sends IPv4 packets, each after a virtio header and whatever link header the interface has, and receives
    /// none. Bound to all protocols it would leave it to the kernel to say what they are, which it cannot where there is no
    /// link header, and would say otherwise of what hides behind PPPoE's.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_ipv4_sender(interface_index: u32, deaf: &Program) -> io::Result<Self> {
        let socket = Self::unbound()?;
        socket.set_filter(deaf)?;
        socket.set_option(libc::SOL_PACKET, libc::PACKET_VNET_HDR, 1)?;
        socket.set_option(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, SEND_BUFFER)?;
        socket.bind(interface_index, libc::ETH_P_IP)?;
        Ok(socket)
    }

    /// A socket that sends frames as they are, without virtio header, and receives none.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_sender(interface_index: u32) -> io::Result<Self> {
        let socket = Self::unbound()?;
        socket.bind(interface_index, 0)?;
        Ok(socket)
    }

    /// Makes a fanout group with this socket as number 0. The interface must be up.
    ///
    /// # Errors
    /// When the kernel refuses: as when the interface is down.
    pub fn found_group(&self) -> io::Result<FanoutGroup> {
        self.join((FANOUT_EBPF | FANOUT_IGNORE_OUTGOING | FANOUT_UNIQUE_ID) << 16)?;
        let id = self.option(libc::SOL_PACKET, PACKET_FANOUT)?;
        Ok(FanoutGroup((id.cast_unsigned() & 0xffff) as u16))
    }

    /// Joins a group of the same interface; its number is how many have joined before.
    ///
    /// # Errors
    /// When the kernel refuses: as when the interface is down.
    pub fn join_group(&self, group: FanoutGroup) -> io::Result<()> {
        self.join(u32::from(group.0) | (FANOUT_EBPF | FANOUT_IGNORE_OUTGOING) << 16)
    }

    fn join(&self, argument: u32) -> io::Result<()> {
        self.set_option(libc::SOL_PACKET, PACKET_FANOUT, argument.cast_signed())
    }

    /// Sets the program that shares the frames of this socket's group.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn set_steering(&self, program: &Program) -> io::Result<()> {
        self.set_option(libc::SOL_PACKET, PACKET_FANOUT_DATA, program.as_fd().as_raw_fd())
    }

    /// Sets the program that decides which frames are received.
    ///
    /// # Errors
    /// When the kernel refuses the program.
    pub fn set_filter(&self, program: &Program) -> io::Result<()> {
        self.set_option(libc::SOL_SOCKET, libc::SO_ATTACH_BPF, program.as_fd().as_raw_fd())
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// When the interface refuses it.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: `frame` is readable for its length.
        let sent = unsafe { libc::send(self.0.as_raw_fd(), frame.as_ptr().cast(), frame.len(), libc::MSG_DONTWAIT) };
        check_count(sent).map(drop)
    }

    /// What the kernel counted since the last call.
    ///
    /// # Errors
    /// Only when the kernel is older than the socket option.
    pub fn statistics(&self) -> io::Result<PacketStatistics> {
        let mut words = [0_u32; 2];
        let mut length = libc::socklen_t::try_from(size_of_val(&words)).unwrap_or(0);
        // SAFETY: `words` is a `struct tpacket_stats`: two 32-bit numbers; its length is given.
        let result = unsafe {
            let value = words.as_mut_ptr().cast();
            libc::getsockopt(self.0.as_raw_fd(), libc::SOL_PACKET, libc::PACKET_STATISTICS, value, &raw mut length)
        };
        check(result)?;
        Ok(PacketStatistics { frames: words[0], dropped: words[1] })
    }

    fn unbound() -> io::Result<Self> {
        // SAFETY: the call touches no memory of ours.
        let descriptor = check(unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) })?;
        // SAFETY: a fresh descriptor that nobody else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(descriptor) }))
    }

    fn bind(&self, interface_index: u32, protocol: libc::c_int) -> io::Result<()> {
        let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
        let address = libc::sockaddr_ll {
            sll_family: u16::try_from(libc::AF_PACKET).map_err(invalid)?,
            sll_protocol: u16::try_from(protocol).map_err(invalid)?.to_be(),
            sll_ifindex: i32::try_from(interface_index).map_err(invalid)?,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let length = libc::socklen_t::try_from(size_of_val(&address)).map_err(invalid)?;
        // SAFETY: `address` is readable and its length is given.
        check(unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), length) })?;
        Ok(())
    }

    fn set_option(&self, level: libc::c_int, name: libc::c_int, value: RawFd) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
        // SAFETY: `value` is readable and its length is given.
        check(unsafe { libc::setsockopt(self.0.as_raw_fd(), level, name, (&raw const value).cast(), length) })?;
        Ok(())
    }

    fn option(&self, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
        let mut value: libc::c_int = 0;
        let mut length = libc::socklen_t::try_from(size_of_val(&value)).unwrap_or(0);
        // SAFETY: `value` is writable and its length is given.
        let result =
            unsafe { libc::getsockopt(self.0.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length) };
        check(result).map(|_| value)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
