//! The far end of a line: from frames to a TUN device in the internet, and back, as fast as a small program can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use netns_tests::{Lab, Must};
use potato::engine::counters::DropCounters;
use potato::io::{Cutting, Framing, PacketPort, TunPort, open_tun, open_uplink};
use potato::link::arp::{Arp, Operation};
use potato::link::pppoe::{Discovery, Options, Packet};
use potato::sys::poll::PollSet;
use potato::wire::pppoe::{SessionHeader, SessionId, session_header};
use potato::wire::segmentation::{Cut, segments};
use potato::wire::{BufferPool, Ipv4, MacAddress, PacketBuffer, Segmentation, Tcp, fragmentation};

use crate::merge::Merger;

/// The only session.
const SESSION: u16 = 7;
/// Our address, and the one that we give.
const GATEWAY: [u8; 4] = [10, 99, 0, 1];
const ADDRESS: [u8; 4] = [10, 99, 0, 2];
/// Buffers for a full batch of super-packets, cut.
const BUFFERS: usize = 1_024;
/// How long it lets packets gather, as a card does that moderates its interrupts: else every packet would wake it, and
/// that would be measured.
const MODERATION: Duration = Duration::from_micros(50);

/// The running peer.
pub(crate) struct Peer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Peer {
    /// Starts it at the far end of the first uplink of `lab`.
    pub(crate) fn start(lab: &Lab, is_pppoe: bool) -> Self {
        let internet = lab.internet();
        // The kernel is to see nothing of what the packet socket takes.
        let rules = "table netdev peer { chain ingress { type filter hook ingress device isp1 priority 0; drop; }; }";
        internet.exec("nft", &[rules]).must();
        let read = |file: &str| internet.exec("cat", &[&format!("/sys/class/net/isp1/{file}")]).must();
        let own: MacAddress = read("address").trim().parse().must();
        let index = read("ifindex").trim().parse().must();
        let framing = if is_pppoe { Framing::Pppoe(Cutting::Here) } else { Framing::Ethernet };
        let open = || Ok::<_, std::io::Error>((open_uplink(index, 1, framing, None)?, open_tun("peer0", 1)?));
        let (mut line, mut tun) = internet.run(open).must().must();
        let router = if is_pppoe { "10.99.0.2" } else { "10.77.1.2" };
        let mtu = if is_pppoe { 1_492 } else { 1_500 };
        internet.ip(&[format!("link set peer0 mtu {mtu} up"), format!("route add {router}/32 dev peer0")]).must();
        let (line, tun) = (line.remove(0), tun.remove(0));
        let stop = Arc::new(AtomicBool::new(false));
        let mut carrier = Carrier {
            line,
            tun,
            own,
            client: MacAddress::default(),
            session: is_pppoe.then(|| SessionId::new(SESSION)).flatten(),
            pool: BufferPool::new(BUFFERS),
            drops: DropCounters::default(),
            merger: Merger::default(),
        };
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || carrier.run(&told));
        Self { stop, thread }
    }

    /// Ends it.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|_| panic!("the peer has panicked"));
    }
}

struct Carrier {
    line: PacketPort,
    tun: TunPort,
    own: MacAddress,
    /// Who was heard last.
    client: MacAddress,
    session: Option<SessionId>,
    pool: BufferPool,
    drops: DropCounters,
    merger: Merger,
}

impl Carrier {
    fn run(&mut self, stop: &AtomicBool) {
        let mut waiting = PollSet::default();
        waiting.add(&self.line, 0);
        waiting.add(&self.tun, 1);
        let (mut batch, mut out) = (Vec::new(), Vec::new());
        while !stop.load(Ordering::Relaxed) {
            waiting.wait(Some(Duration::from_millis(100))).must();
            let mut more = self.line.receive(&mut self.pool, &mut batch, &self.drops).must();
            let mut answers = Vec::new();
            for packet in batch.drain(..) {
                self.up(packet, &mut out, &mut answers);
            }
            self.merger.finish(&mut out);
            self.tun.send(&mut out, &mut self.pool, &self.drops);
            self.line.send(&mut answers, &mut self.pool, &self.drops);
            more |= self.tun.receive(&mut self.pool, &mut batch, &self.drops).must();
            for packet in batch.drain(..) {
                self.down(packet, &mut out);
            }
            self.line.send(&mut out, &mut self.pool, &self.drops);
            if !more {
                std::thread::sleep(MODERATION);
            }
        }
    }

    /// From the line to the internet; what is not a packet is answered.
    fn up(&mut self, mut packet: PacketBuffer, out: &mut Vec<PacketBuffer>, answers: &mut Vec<PacketBuffer>) {
        self.client = packet.link_source();
        let answered = match packet.ethertype() {
            Some(0x0806) => self.answer_arp(&packet).into_iter().collect(),
            Some(0x8863) => self.answer_discovery(packet.frame()),
            Some(0x8864) => match self.open_session(&mut packet) {
                Some(control) => control,
                None => return self.pass(packet, out),
            },
            Some(0x0800) => return self.pass(packet, out),
            _ => Vec::new(),
        };
        answers.extend(answered.iter().map(|frame| as_frame(frame, self.line_header())));
        self.pool.give(packet);
    }

    fn pass(&mut self, mut packet: PacketBuffer, out: &mut Vec<PacketBuffer>) {
        packet.set_link_header(&[]);
        let mut free = Vec::new();
        self.merger.take(packet, out, &mut free);
        free.into_iter().for_each(|buffer| self.pool.give(buffer));
    }

    /// From the internet to the line, cut to what a wire carries.
    fn down(&mut self, mut packet: PacketBuffer, out: &mut Vec<PacketBuffer>) {
        let (way, session) = ((self.client, self.own), self.session);
        let mut send = |mut piece: PacketBuffer| {
            match session {
                Some(session) => piece.set_link_header(&session_header(way, session, piece.length())),
                None => piece.set_link_header(&ethernet(way, 0x0800)),
            }
            out.push(piece);
        };
        let Ok(header) = Ipv4::parse(packet.packet()) else { return };
        let Segmentation::Tcp4 { size, ecn } = packet.vnet.segmentation else {
            if fragmentation::finish_checksum(&mut packet).is_some() {
                send(packet);
            }
            return;
        };
        let Ok(tcp) = Tcp::parse(&packet.packet()[header.header_length..]) else { return };
        let size = std::num::NonZeroU16::new(size).expect("the header was checked");
        let cut = Cut { tcp_header_length: tcp.header_length, size, ecn };
        segments(packet.packet(), &header, cut, || self.pool.take(), send);
        self.pool.give(packet);
    }

    fn line_header(&self) -> usize {
        if self.session.is_some() { 22 } else { 14 }
    }

    fn answer_arp(&self, packet: &PacketBuffer) -> Option<Vec<u8>> {
        let asked = Arp::parse(packet.packet()).filter(|arp| arp.operation == Operation::Request)?;
        let answer = Arp {
            operation: Operation::Reply,
            sender_mac: self.own,
            sender: asked.target,
            target_mac: asked.sender_mac,
            target: asked.sender,
        };
        // Not the announcement of its own address.
        (asked.target != asked.sender).then(|| answer.frame(asked.sender_mac).to_vec())
    }

    fn answer_discovery(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        let Some(asked) = Discovery::parse(&frame[14..]) else { return Vec::new() };
        let (code, session) = match asked.code {
            0x09 => (0x07, 0),
            0x19 => (0x65, SESSION),
            _ => return Vec::new(),
        };
        let mut tags = vec![1, 1, 0, 0, 1, 2, 0, 4, b'p', b'e', b'e', b'r'];
        if let Some((kind, mark)) = asked.tags().find(|(kind, _)| *kind == 0x0103) {
            tags.extend([kind.to_be_bytes(), (mark.len() as u16).to_be_bytes()].concat());
            tags.extend(mark);
        }
        let header = [&[0x11, code], &session.to_be_bytes()[..], &(tags.len() as u16).to_be_bytes()].concat();
        let way = (self.client, self.own);
        let mut frames = vec![[&ethernet(way, 0x8863)[..], &header, &tags].concat()];
        if code == 0x65 {
            frames
                .push(self.control(0xc021, Packet { code: 1, identifier: 1, data: &[1, 4, 5, 212, 5, 6, 1, 2, 3, 4] }));
        }
        frames
    }

    /// `None`: a packet, with its header off; else answers to what it was.
    fn open_session(&self, packet: &mut PacketBuffer) -> Option<Vec<Vec<u8>>> {
        let header = packet.link_header().try_into().expect("as the port receives");
        let Some(read) = SessionHeader::parse(header, packet.length()) else { return Some(Vec::new()) };
        packet.set_length(read.length);
        if read.protocol == 0x0021 {
            return None;
        }
        let Some(asked) = Packet::parse(packet.packet()) else { return Some(Vec::new()) };
        let same = |code| vec![self.control(read.protocol, Packet { code, ..asked })];
        Some(match (read.protocol, asked.code) {
            (0xc021, 1) => same(2),
            (0xc021, 9) => vec![self.control(0xc021, Packet { code: 10, data: &[1, 2, 3, 4], ..asked })],
            // The link is open: the network is next.
            (0xc021, 2) => vec![self.control(0x8021, Packet { code: 1, identifier: 1, data: &option(GATEWAY) })],
            (0x8021, 1) => self.give_address(asked),
            _ => Vec::new(),
        })
    }

    fn give_address(&self, asked: Packet<'_>) -> Vec<Vec<u8>> {
        let wish = Options::parse(asked.data).and_then(|mut options| options.find(|(kind, _)| *kind == 3));
        let (code, data) = match wish {
            Some((_, value)) if value == ADDRESS => (2, asked.data.to_vec()),
            _ => (3, option(ADDRESS).to_vec()),
        };
        let gateway = Packet { code: 1, identifier: 1, data: &option(GATEWAY) };
        vec![self.control(0x8021, Packet { code, data: &data, ..asked }), self.control(0x8021, gateway)]
    }

    fn control(&self, protocol: u16, packet: Packet<'_>) -> Vec<u8> {
        let bytes = packet.to_bytes();
        let header = session_header((self.client, self.own), self.session.expect("by PPPoE"), bytes.len());
        [&header[..20], &protocol.to_be_bytes(), &bytes].concat()
    }
}

/// An IPCP option with an address.
fn option(address: [u8; 4]) -> [u8; 6] {
    let [a, b, c, d] = address;
    [3, 6, a, b, c, d]
}

fn ethernet((to, own): (MacAddress, MacAddress), ethertype: u16) -> [u8; 14] {
    let mut header = [0; 14];
    header[..6].copy_from_slice(&to.0);
    header[6..12].copy_from_slice(&own.0);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}

/// A whole frame as a port sends it.
fn as_frame(frame: &[u8], link_length: usize) -> PacketBuffer {
    let (header, rest) = frame.split_at(link_length);
    let mut buffer = PacketBuffer::new();
    buffer.fill(rest);
    buffer.set_link_header(header);
    buffer
}
