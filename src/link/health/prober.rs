//! Asking: from "ask the third target" to packets, and from packets to answers.
//!
//! Theory of operation: smoltcp's interface and sockets run over two queues of IP packets ([`super::device`]), from the
//! line's own address and the ports that no host has ([`PROBE_PORTS`]). Pings and DNS queries of a target have one port
//! (or identifier) for good, so that an answer that comes after the next question is still known for what it is;
//! connections take the ports in turn, for far ends remember those that they have seen. A question is never repeated here:
//! the next round asks anew.
//!
//! It does not know time-outs or rounds, nor what an answer means.

use std::collections::VecDeque;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::{icmp, tcp, udp};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, Icmpv4Packet, Icmpv4Repr, IpAddress, IpCidr};

use super::device::Queues;
use super::query::{self, STATUS_LENGTH};
use super::target::Probe;
use crate::flow::Timestamp;
use crate::nat::ports::PROBE_PORTS;

/// Questions of a target whose answers are still known.
const REMEMBERED: usize = 4;
/// Packets and bytes that wait in a socket, each way.
const PACKETS: usize = 4;
const PACKET_BYTES: usize = 1_024;
/// A first page's beginning and a request fit.
const STREAM_BYTES: usize = 512;
/// What a ping carries beside its header: as much as others' do.
const PING_PAYLOAD: [u8; 32] = *b"potato asks whether the line is ";

/// A target has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// Which.
    pub(super) target: usize,
    /// How long after the question that it answers.
    pub(super) round_trip: Duration,
}

/// How far a connection to a target has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing is waited for.
    Idle,
    /// Leaves by: the far end's answer -> Idle, or Asked for HTTP.
    Connecting,
    /// The request is sent. Leaves by: anything from the far end -> Idle.
    Asked,
}

/// One target's socket.
struct Asker {
    probe: Probe,
    socket: SocketHandle,
    port: u16,
    stage: Stage,
    /// Of the next ping.
    next_number: u16,
    /// The numbers of the last questions, and when they were asked.
    asked: VecDeque<(u16, Timestamp)>,
}

/// All targets of a line.
pub(super) struct Prober {
    queues: Queues,
    interface: Interface,
    sockets: SocketSet<'static>,
    askers: Vec<Asker>,
    answers: VecDeque<Answer>,
    random: ChaCha8Rng,
    next_port: u16,
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("targets", &self.askers.len()).finish_non_exhaustive()
    }
}

fn instant(now: Timestamp) -> Instant {
    Instant::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}

impl Prober {
    /// Asks from `address`. `seed` is random.
    pub(super) fn new(
        now: Timestamp,
        address: Ipv4Addr,
        probes: impl IntoIterator<Item = Probe>,
        seed: [u8; 32],
    ) -> Self {
        let mut random = ChaCha8Rng::from_seed(seed);
        let mut queues = Queues::default();
        let mut config = Config::new(HardwareAddress::Ip);
        config.random_seed = random.next_u64();
        let mut interface = Interface::new(config, &mut queues, instant(now));
        let own = IpAddress::Ipv4(address);
        if own.is_unicast() {
            // A prefix of none: everybody can be sent to straight. There is room for one address.
            interface.update_ip_addrs(|addresses| {
                let _ = addresses.push(IpCidr::new(own, 0));
            });
        }
        let mut sockets = SocketSet::new(Vec::new());
        let askers = PROBE_PORTS.zip(probes).map(|(port, probe)| Asker::new(&mut sockets, probe, port)).collect();
        let next_port = PROBE_PORTS.start;
        Self { queues, interface, sockets, askers, answers: VecDeque::new(), random, next_port }
    }

    /// Asks a target.
    pub(super) fn ask(&mut self, now: Timestamp, target: usize) {
        let Some(asker) = self.askers.get_mut(target) else { return };
        let socket = asker.socket;
        match asker.probe {
            Probe::Ping(host) => {
                let number = asker.next_number;
                asker.next_number = number.wrapping_add(1);
                asker.note(now, number);
                ping(self.sockets.get_mut(socket), host, asker.port, number);
            }
            Probe::Resolve(at) => {
                #[expect(clippy::cast_possible_truncation, reason = "any 16 of its bits are random")]
                let number = self.random.next_u32() as u16;
                asker.note(now, number);
                let sockets: &mut udp::Socket<'_> = self.sockets.get_mut(socket);
                // A full socket is a line that takes nothing: the question is lost, as on a wire.
                let _ = sockets.send_slice(&query::dns_query(number), at);
            }
            Probe::Connect(at) | Probe::Fetch(at) => self.connect(now, target, at),
        }
        self.poll(now);
    }

    /// Forgets the last connection, and makes one from another port.
    fn connect(&mut self, now: Timestamp, target: usize, at: SocketAddrV4) {
        let asker = &mut self.askers[target];
        self.sockets.remove(asker.socket);
        asker.socket = self.sockets.add(stream());
        asker.stage = Stage::Idle;
        let port = self.next_port;
        self.next_port = if port + 1 < PROBE_PORTS.end { port + 1 } else { PROBE_PORTS.start };
        let socket = self.sockets.get_mut::<tcp::Socket<'_>>(asker.socket);
        if socket.connect(self.interface.context(), at, port).is_ok() {
            asker.stage = Stage::Connecting;
            asker.asked.clear();
            asker.note(now, port);
        }
    }

    /// Takes in an IP packet that came for one of the ports. Anything else is ignored.
    pub(super) fn handle_packet(&mut self, now: Timestamp, packet: &[u8]) {
        self.queues.receive(packet);
        self.poll(now);
    }

    /// The next IP packet to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.queues.poll_transmit()
    }

    /// The next answer.
    pub(super) fn poll_answer(&mut self) -> Option<Answer> {
        self.answers.pop_front()
    }

    fn poll(&mut self, now: Timestamp) {
        self.interface.poll(instant(now), &mut self.queues, &mut self.sockets);
        let before = self.answers.len();
        for target in 0..self.askers.len() {
            let answered = self.askers[target].hear(&mut self.sockets);
            let round_trip = answered.and_then(|number| self.askers[target].forget(number)).map(|sent| now.since(sent));
            self.answers.extend(round_trip.map(|round_trip| Answer { target, round_trip }));
        }
        if self.answers.len() > before || self.askers.iter().any(|asker| asker.stage == Stage::Asked) {
            // The end of a connection, and what is asked of web servers.
            self.interface.poll(instant(now), &mut self.queues, &mut self.sockets);
        }
    }
}

impl Asker {
    fn new(sockets: &mut SocketSet<'static>, probe: Probe, port: u16) -> Self {
        let socket = match probe {
            Probe::Ping(_) => {
                let buffer =
                    || icmp::PacketBuffer::new(vec![icmp::PacketMetadata::EMPTY; PACKETS], vec![0; PACKET_BYTES]);
                let mut socket = icmp::Socket::new(buffer(), buffer());
                let bound = socket.bind(icmp::Endpoint::Ident(port));
                debug_assert!(bound.is_ok(), "the identifier is not zero");
                sockets.add(socket)
            }
            Probe::Resolve(_) => {
                let buffer =
                    || udp::PacketBuffer::new(vec![udp::PacketMetadata::EMPTY; PACKETS], vec![0; PACKET_BYTES]);
                let mut socket = udp::Socket::new(buffer(), buffer());
                let bound = socket.bind(port);
                debug_assert!(bound.is_ok(), "the port is not zero");
                sockets.add(socket)
            }
            Probe::Connect(_) | Probe::Fetch(_) => sockets.add(stream()),
        };
        Self { probe, socket, port, stage: Stage::Idle, next_number: 0, asked: VecDeque::with_capacity(REMEMBERED) }
    }

    fn note(&mut self, now: Timestamp, number: u16) {
        if self.asked.len() == REMEMBERED {
            self.asked.pop_front();
        }
        self.asked.push_back((number, now));
    }

    /// When a question was asked that is answered now; `None`: it was before, or is too old.
    fn forget(&mut self, number: u16) -> Option<Timestamp> {
        let at = self.asked.iter().position(|(asked, _)| *asked == number)?;
        self.asked.remove(at).map(|(_, sent)| sent)
    }

    /// The number of a question that the socket has an answer to.
    fn hear(&mut self, sockets: &mut SocketSet<'static>) -> Option<u16> {
        match self.probe {
            Probe::Ping(host) => hear_ping(sockets.get_mut(self.socket), host),
            Probe::Resolve(at) => hear_name_server(sockets.get_mut(self.socket), at),
            Probe::Connect(_) => self.hear_connection(sockets.get_mut(self.socket)),
            Probe::Fetch(at) => self.hear_web_server(sockets.get_mut(self.socket), at),
        }
    }

    fn hear_connection(&mut self, socket: &mut tcp::Socket<'static>) -> Option<u16> {
        // Closed by the far end alone: it has refused, which it could not without a line.
        if self.stage != Stage::Connecting || socket.state() == tcp::State::SynSent {
            return None;
        }
        self.stage = Stage::Idle;
        socket.close();
        self.asked.back().map(|(number, _)| *number)
    }

    fn hear_web_server(&mut self, socket: &mut tcp::Socket<'static>, at: SocketAddrV4) -> Option<u16> {
        match self.stage {
            Stage::Connecting if socket.may_send() => {
                self.stage = Stage::Asked;
                // It fits: nothing else is in the buffer.
                let _ = socket.send_slice(query::http_request(at).as_bytes());
                None
            }
            Stage::Asked if socket.recv_queue() >= STATUS_LENGTH || (!socket.may_recv() && socket.can_recv()) => {
                let is_status = socket.recv(|answer| (answer.len(), query::is_http_status(answer))).unwrap_or(false);
                self.stage = Stage::Idle;
                socket.close();
                self.asked.back().map(|(number, _)| *number).filter(|_| is_status)
            }
            _ => None,
        }
    }
}

fn stream() -> tcp::Socket<'static> {
    let buffer = || tcp::SocketBuffer::new(vec![0; STREAM_BYTES]);
    let mut socket = tcp::Socket::new(buffer(), buffer());
    // Nobody comes back later to send it.
    socket.set_ack_delay(None);
    socket
}

fn ping(socket: &mut icmp::Socket<'static>, host: Ipv4Addr, ident: u16, seq_no: u16) {
    let echo = Icmpv4Repr::EchoRequest { ident, seq_no, data: &PING_PAYLOAD };
    // A full socket is a line that takes nothing: the question is lost, as on a wire.
    if let Ok(bytes) = socket.send(echo.buffer_len(), IpAddress::Ipv4(host)) {
        echo.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
    }
}

fn hear_ping(socket: &mut icmp::Socket<'static>, host: Ipv4Addr) -> Option<u16> {
    while let Ok((bytes, from)) = socket.recv() {
        let echo = Icmpv4Packet::new_checked(bytes).ok();
        let echo = echo.as_ref().and_then(|packet| Icmpv4Repr::parse(packet, &ChecksumCapabilities::default()).ok());
        if let Some(Icmpv4Repr::EchoReply { seq_no, .. }) = echo
            && from == IpAddress::Ipv4(host)
        {
            return Some(seq_no);
        }
    }
    None
}

fn hear_name_server(socket: &mut udp::Socket<'static>, at: SocketAddrV4) -> Option<u16> {
    while let Ok((bytes, from)) = socket.recv() {
        let answer = query::dns_answer(bytes).filter(|_| from.endpoint == at.into());
        if answer.is_some() {
            return answer;
        }
    }
    None
}
