//! A port on an Ethernet interface: a packet socket, batches both ways.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ipnet::Ipv4Net;

use super::adopted::{self, LinkHeader, Share};
use super::batch::{BatchLimit, MOST};
use super::cutting::{self, Cutting, is_super_packet};
use super::guard;
use super::shortcut::Shortcut;
use super::steering::{self, Side};
use crate::engine::DropReason;
use crate::engine::counters::DropCounters;
use crate::engine::outbox::Ingress;
use crate::sys::bpf::Program;
use crate::sys::messages::Messages;
use crate::sys::packet_socket::PacketSocket;
use crate::sys::receive_ring::{ReceiveRing, RingFrame};
use crate::wire::buffer::ETHERNET_LENGTH;
use crate::wire::{BufferPool, PacketBuffer, pppoe};

/// Bytes of a LAN port's ring: 2,048 frames.
const RING_BYTES: usize = 4 << 20;

/// What stands before the packets of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Ethernet's header.
    Ethernet,
    /// Headers of Ethernet, PPPoE and PPP (RFC 2516), behind which TCP's super-packets are cut so.
    Pppoe(Cutting),
    /// Nothing.
    Bare,
}

impl Framing {
    /// Bytes before a packet.
    const fn link_length(self) -> usize {
        match self {
            Self::Ethernet => ETHERNET_LENGTH,
            Self::Pppoe(_) => pppoe::LINK_LENGTH,
            Self::Bare => 0,
        }
    }
}

/// One worker's packet socket on an interface.
#[derive(Debug)]
pub struct PacketPort {
    socket: PacketSocket,
    /// What packets leave by, if not by that socket: where there is no link header; and what the kernel is to cut by PPPoE.
    sender: Option<PacketSocket>,
    framing: Framing,
    ring: Option<ReceiveRing>,
    incoming: Messages,
    outgoing: Messages,
    limit: BatchLimit,
    /// What has become of super-packets that are cut before they are sent.
    pieces: Vec<PacketBuffer>,
}

/// Opens a port for each worker on an uplink, in the order of the workers. The interface must be up. Frames wait in the
/// sockets from now on.
///
/// # Errors
/// When there is no such interface, it is down, or without `CAP_NET_RAW`, `CAP_NET_ADMIN` and `CAP_BPF`.
pub fn open_uplink(
    interface_index: u32,
    workers: u8,
    framing: Framing,
    shortcut: Option<&Shortcut>,
) -> io::Result<Vec<PacketPort>> {
    let mut ports = open(interface_index, workers, (Side::Uplink, framing), &guard::uplink_filter(shortcut)?)?;
    if framing == Framing::Pppoe(Cutting::Kernel) {
        add_senders(&mut ports, interface_index)?;
    }
    Ok(ports)
}

/// Opens a port for each worker on an interface whose address the kernel has too, in the order of the workers. They take what
/// is for `share`.
///
/// # Errors
/// As [`open_uplink`].
pub fn open_adopted(interface_index: u32, workers: u8, share: &Share) -> io::Result<Vec<PacketPort>> {
    let framing = match share.link {
        LinkHeader::Ethernet => Framing::Ethernet,
        LinkHeader::None => Framing::Bare,
    };
    let mut ports = open(interface_index, workers, (Side::Uplink, framing), &adopted::filter(share)?)?;
    if framing == Framing::Bare {
        add_senders(&mut ports, interface_index)?;
    }
    Ok(ports)
}

/// Gives ports a second socket to send by.
fn add_senders(ports: &mut [PacketPort], interface_index: u32) -> io::Result<()> {
    let deaf = guard::deaf_filter()?;
    for port in ports {
        port.sender = Some(PacketSocket::open_ipv4_sender(interface_index, &deaf)?);
    }
    Ok(())
}

/// Opens a port for each worker on a LAN interface, in the order of the workers. They take what [`guard::lan_guard`] with the
/// same `kernel_networks` keeps from the kernel. To change these, open new ports and attach them in place of the old.
///
/// # Errors
/// As [`open_uplink`].
pub fn open_lan(
    interface_index: u32,
    workers: u8,
    kernel_networks: &[Ipv4Net],
    shortcut: Option<&Shortcut>,
) -> io::Result<Vec<PacketPort>> {
    open(interface_index, workers, (Side::Lan, Framing::Ethernet), &guard::lan_filter(kernel_networks, shortcut)?)
}

fn open(
    interface_index: u32,
    workers: u8,
    (side, framing): (Side, Framing),
    filter: &Program,
) -> io::Result<Vec<PacketPort>> {
    let (deaf, steering) = (guard::deaf_filter()?, steering::load(side, workers)?);
    let mut sockets = Vec::with_capacity(usize::from(workers));
    let mut rings = Vec::with_capacity(usize::from(workers));
    for _ in 0..workers {
        let socket = PacketSocket::open(interface_index, &deaf)?;
        rings.push(if side == Side::Lan { Some(socket.make_ring(RING_BYTES)?) } else { None });
        sockets.push(socket);
    }
    let Some((first, others)) = sockets.split_first() else { return Ok(Vec::new()) };
    let group = first.found_group()?;
    for socket in others {
        socket.join_group(group)?;
    }
    first.set_steering(&steering)?;
    // Only now does anybody listen: a frame that comes meanwhile is lost, none comes twice or to the wrong worker.
    for socket in &sockets {
        socket.set_filter(filter)?;
    }
    Ok(sockets.into_iter().zip(rings).map(|(socket, ring)| PacketPort::new(socket, framing, ring)).collect())
}

impl PacketPort {
    fn new(socket: PacketSocket, framing: Framing, ring: Option<ReceiveRing>) -> Self {
        let limit = BatchLimit::default();
        let (incoming, outgoing) = (Messages::new(MOST), Messages::new(MOST));
        let pieces = Vec::with_capacity(if matches!(framing, Framing::Pppoe(_)) { 2 * MOST } else { 0 });
        Self { socket, sender: None, framing, ring, incoming, outgoing, limit, pieces }
    }

    /// Receives a batch into buffers of `pool`, onto the end of `batch`. Returns whether more is likely waiting.
    ///
    /// # Errors
    /// What the socket reports: `ENETDOWN` once when the interface has gone down or away. Nothing waiting is no error.
    pub fn receive(
        &mut self,
        pool: &mut BufferPool,
        batch: &mut Vec<PacketBuffer>,
        drops: &DropCounters,
    ) -> io::Result<bool> {
        let asked = self.limit.packets();
        let from_ring = self.take_from_ring(asked, pool, batch, drops);
        if from_ring > 0 {
            return Ok(from_ring == asked);
        }
        // Without a ring everything is there, else at most what has become of the socket.
        let (start, asked) = (batch.len(), self.limit.packets());
        batch.extend(std::iter::repeat_with(|| pool.take()).take(asked));
        let link_length = self.framing.link_length();
        let areas = batch[start..].iter_mut().map(|buffer| buffer.receive_area(link_length));
        let result = self.incoming.receive(&self.socket, areas);
        let received = *result.as_ref().unwrap_or(&0);
        batch.drain(start + received..).for_each(|buffer| pool.give(buffer));
        match result {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // The kernel could not say in a virtio header what this frame is (before Linux 6.2: a UDP super-packet).
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                drops.count(DropReason::BadOffload);
                return Ok(true);
            }
            Err(error) => return Err(error),
        }
        let bytes = self.accept(start, received, pool, batch, drops);
        self.limit.observe(received, bytes);
        Ok(received == asked)
    }

    /// Takes frames from the ring onto the end of `batch`, at most `asked`, and returns how many it has taken.
    fn take_from_ring(
        &mut self,
        asked: usize,
        pool: &mut BufferPool,
        batch: &mut Vec<PacketBuffer>,
        drops: &DropCounters,
    ) -> usize {
        let Some(ring) = &mut self.ring else { return 0 };
        let (mut taken, mut bytes) = (0, 0);
        while taken < asked {
            let mut buffer = pool.take();
            let area = buffer.receive_area(ETHERNET_LENGTH);
            let Some(length) = ring.take(|frame| match frame {
                RingFrame::Whole(frame) => area.get_mut(..frame.len()).map(|area| {
                    area.copy_from_slice(frame);
                    frame.len()
                }),
                RingFrame::Queued => match self.incoming.receive(&self.socket, std::iter::once(area)) {
                    Ok(1) if !self.incoming.received(0).truncated => Some(self.incoming.received(0).length),
                    _ => None,
                },
                RingFrame::Lost => None,
            }) else {
                pool.give(buffer);
                break;
            };
            taken += 1;
            let result = length.map(|length| buffer.received(length, ETHERNET_LENGTH));
            bytes += length.unwrap_or(0);
            match result {
                Some(Ok(())) => batch.push(buffer),
                Some(Err(_)) => {
                    drops.count(DropReason::BadOffload);
                    pool.give(buffer);
                }
                None => {
                    drops.count(DropReason::ReceiveQueueFull);
                    pool.give(buffer);
                }
            }
        }
        if taken > 0 {
            self.limit.observe(taken, bytes);
        }
        taken
    }

    /// Takes over what was received, throws out what cannot be used, and returns how many bytes there were.
    fn accept(
        &self,
        start: usize,
        received: usize,
        pool: &mut BufferPool,
        batch: &mut Vec<PacketBuffer>,
        drops: &DropCounters,
    ) -> usize {
        let (mut at, mut bytes) = (start, 0);
        for index in 0..received {
            let datagram = self.incoming.received(index);
            bytes += datagram.length;
            let reason = match batch[at].received(datagram.length, self.framing.link_length()) {
                Ok(()) if !datagram.truncated => {
                    at += 1;
                    continue;
                }
                Ok(()) => DropReason::Truncated,
                Err(_) => DropReason::BadOffload,
            };
            drops.count(reason);
            pool.give(batch.remove(at));
        }
        bytes
    }

    /// Sends `packets` in order and gives their buffers back to `pool`. What is refused is counted; the next is tried.
    pub fn send(&mut self, packets: &mut Vec<PacketBuffer>, pool: &mut BufferPool, drops: &DropCounters) {
        match self.framing {
            Framing::Pppoe(way) if packets.iter().any(is_super_packet) => self.send_cut(way, packets, pool, drops),
            Framing::Pppoe(_) | Framing::Ethernet => send_by(&self.socket, &mut self.outgoing, packets, pool, drops),
            Framing::Bare => {
                let socket = self.sender.as_ref().unwrap_or(&self.socket);
                send_by(socket, &mut self.outgoing, packets, pool, drops);
            }
        }
    }

    /// Sends packets of which some are to be cut first. All leave by one socket, so that their order stays.
    fn send_cut(&mut self, way: Cutting, packets: &mut Vec<PacketBuffer>, pool: &mut BufferPool, drops: &DropCounters) {
        let Self { socket, sender, outgoing, pieces, .. } = self;
        let socket = sender.as_ref().unwrap_or(socket);
        for packet in packets.drain(..) {
            if !is_super_packet(&packet) {
                pieces.push(packet);
                continue;
            }
            if cutting::cut(way, packet, pool, pieces).is_none() {
                drops.count(DropReason::BadOffload);
            }
            // Segments that were made here are sent before the next, so that the same few buffers, which are in the cache,
            // serve them all.
            if way == Cutting::Here {
                send_by(socket, outgoing, pieces, pool, drops);
            }
        }
        send_by(socket, outgoing, pieces, pool, drops);
    }

    /// Counts the frames that the kernel dropped since the last call because nobody took them.
    pub fn count_missed(&self, drops: &DropCounters) {
        let missed = self.socket.statistics().map_or(0, |statistics| statistics.dropped);
        drops.add(DropReason::ReceiveQueueFull, u64::from(missed));
    }
}

/// Sends `packets` in order by a socket, as [`PacketPort::send`] says.
fn send_by(
    socket: &PacketSocket,
    outgoing: &mut Messages,
    packets: &mut Vec<PacketBuffer>,
    pool: &mut BufferPool,
    drops: &DropCounters,
) {
    let mut at = 0;
    while at < packets.len() {
        let offered = MOST.min(packets.len() - at);
        let frames = packets[at..].iter_mut().take(offered).map(PacketBuffer::frame_to_send);
        match outgoing.send(socket, frames) {
            Ok(sent) => {
                // The one after them was refused, and the kernel does not say why: only of the first it does.
                drops.offered_again.add(u64::from(sent < offered));
                at += sent.max(1);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                drops.count(reason_of(&error));
                at += 1;
                if interface_is_gone(&error) {
                    packets[at..].iter().for_each(|_| drops.count(DropReason::SendFailed));
                    break;
                }
            }
        }
    }
    packets.drain(..).for_each(|packet| pool.give(packet));
}

impl AsFd for PacketPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Why a frame was refused.
pub(super) fn reason_of(error: &io::Error) -> DropReason {
    match error.raw_os_error() {
        Some(libc::ENOBUFS | libc::EAGAIN) => DropReason::SendQueueFull,
        _ => DropReason::SendFailed,
    }
}

/// Whether the next frame would be refused too.
pub(super) fn interface_is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENXIO | libc::ENODEV | libc::EBADFD))
}

/// Why a packet for a port that is not attached is dropped.
pub(super) fn reason_when_detached(egress: Ingress) -> DropReason {
    match egress {
        Ingress::Lan(_) => DropReason::SendFailed,
        Ingress::Uplink(_) => DropReason::UplinkDown,
    }
}
