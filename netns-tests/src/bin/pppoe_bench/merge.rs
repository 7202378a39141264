//! Merging consecutive TCP segments into super-packets, as a card or the kernel's GRO does for a server.

use potato::wire::checksum::{pseudo_header_v4, unfinished};
use potato::wire::ipv4::write_checksum;
use potato::wire::{Checksum, Ipv4, PacketBuffer, Segmentation, Tcp, TcpFlags};

/// Longest super-packet.
const LONGEST: usize = 65_000;

/// The super-packet that is being made.
#[derive(Default)]
pub(crate) struct Merger {
    whole: Option<Whole>,
}

struct Whole {
    packet: PacketBuffer,
    headers: usize,
    /// Payload of its first segment; a shorter one is its last.
    size: usize,
    next_sequence: u32,
    is_over: bool,
}

impl Merger {
    /// Takes a packet in. What cannot grow any more goes to `out`, and so does the buffer of a merged packet to `free`.
    pub(crate) fn take(&mut self, mut packet: PacketBuffer, out: &mut Vec<PacketBuffer>, free: &mut Vec<PacketBuffer>) {
        let Ok(ip) = Ipv4::parse(packet.packet()) else { return free.push(packet) };
        packet.set_length(ip.total_length);
        let tcp = if ip.protocol == 6 && ip.fragment.is_none() {
            Tcp::parse(&packet.packet()[ip.header_length..]).ok()
        } else {
            None
        };
        let Some(tcp) = tcp else {
            packet.header_length = ip.header_length as u16;
            return self.pass(packet, out);
        };
        let headers = ip.header_length + tcp.header_length;
        packet.header_length = headers as u16;
        let payload = packet.length() - headers;
        if self.whole.as_ref().is_some_and(|whole| whole.goes_on_with(&packet, headers, &tcp)) {
            if let Some(whole) = &mut self.whole {
                whole.append(&packet, headers);
            }
            return free.push(packet);
        }
        self.finish(out);
        let is_plain = tcp.segment.flags == TcpFlags::ACK && packet.vnet.segmentation == Segmentation::None;
        if !is_plain || payload == 0 {
            return out.push(packet);
        }
        let next_sequence = tcp.segment.sequence.wrapping_add(payload as u32);
        self.whole = Some(Whole { packet, headers, size: payload, next_sequence, is_over: false });
    }

    /// Lets go of what it has.
    pub(crate) fn finish(&mut self, out: &mut Vec<PacketBuffer>) {
        out.extend(self.whole.take().map(Whole::finished));
    }

    fn pass(&mut self, packet: PacketBuffer, out: &mut Vec<PacketBuffer>) {
        self.finish(out);
        out.push(packet);
    }
}

impl Whole {
    fn goes_on_with(&self, packet: &PacketBuffer, headers: usize, tcp: &Tcp) -> bool {
        let (ours, theirs) = (self.packet.packet(), packet.packet());
        let payload = theirs.len() - headers;
        !self.is_over
            && headers == self.headers
            && ours[12..24] == theirs[12..24]
            && tcp.segment.sequence == self.next_sequence
            && [TcpFlags::ACK, TcpFlags::ACK.union(TcpFlags::PSH)].contains(&tcp.segment.flags)
            && packet.vnet.segmentation == Segmentation::None
            && (1..=self.size).contains(&payload)
            && ours.len() + payload <= LONGEST
    }

    fn append(&mut self, packet: &PacketBuffer, headers: usize) {
        let (at, payload) = (self.packet.length(), &packet.packet()[headers..]);
        self.packet.set_length(at + payload.len());
        let whole = self.packet.packet_mut();
        whole[at..].copy_from_slice(payload);
        // The newest acknowledgement, flags, window and options count.
        whole[28..headers].copy_from_slice(&packet.packet()[28..headers]);
        self.next_sequence = self.next_sequence.wrapping_add(payload.len() as u32);
        self.is_over = payload.len() < self.size;
    }

    fn finished(mut self) -> PacketBuffer {
        let size = self.size as u16;
        let length = self.packet.length();
        if length == self.headers + self.size {
            return self.packet;
        }
        let packet = self.packet.packet_mut();
        packet[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        write_checksum(packet, 20);
        let address = |at: usize| std::net::Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]);
        let sum = unfinished(pseudo_header_v4(address(12), address(16), 6, (length - 20) as u16));
        packet[36..38].copy_from_slice(&sum.to_be_bytes());
        self.packet.vnet.checksum = Checksum::Unfinished { start: 20, offset: 16 };
        self.packet.vnet.segmentation = Segmentation::Tcp4 { size, ecn: false };
        self.packet
    }
}
