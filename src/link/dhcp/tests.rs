//! Scenarios with simulated time. What the client sends is read by another's parser (smoltcp), and what servers say is
//! written by it.

mod getting;
mod keeping;
mod refusing;
mod returning;
mod sound;

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress,
    EthernetFrame, EthernetProtocol, Ipv4Packet, UdpPacket,
};

use super::{Client, ClientEvent, Lease, LeaseEnd, Lifetime, Remembered, Standing, Unusable};
use crate::flow::Timestamp;
use crate::wire::MacAddress;

const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 3]);
const SERVER_MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 9);
const SECOND: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 44);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 2);
const RIVAL_SERVER: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 3);
const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
/// The lease of a server that does not say otherwise: T1 500 s, T2 875 s.
const LEASE_SECONDS: u32 = 1_000;

/// A frame as the line sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Dhcp {
        kind: DhcpMessageType,
        /// Sender and receiver of the packet, and to whom the frame went.
        way: (Ipv4Addr, Ipv4Addr, MacAddress),
        client_address: Ipv4Addr,
        wish: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
    },
    /// Somebody asks for this address without one of his own.
    Probe(Ipv4Addr),
}

/// A client on a line, with all that it ever sent.
struct Line {
    client: Client,
    now: Timestamp,
    log: Vec<(u64, Seen)>,
    /// Transaction and seconds of the last message.
    last: (u32, u16),
}

/// What a server says.
#[derive(Clone)]
struct Says {
    kind: DhcpMessageType,
    address: Ipv4Addr,
    server: Ipv4Addr,
    options: Vec<(u8, Vec<u8>)>,
}

fn says(kind: DhcpMessageType, address: Ipv4Addr) -> Says {
    let options =
        vec![(1, vec![255, 255, 255, 0]), (3, GATEWAY.octets().to_vec()), (51, LEASE_SECONDS.to_be_bytes().to_vec())];
    let options = if kind == DhcpMessageType::Nak { Vec::new() } else { options };
    Says { kind, address, server: SERVER, options }
}

fn offer(address: Ipv4Addr) -> Says {
    says(DhcpMessageType::Offer, address)
}

fn ack(address: Ipv4Addr) -> Says {
    says(DhcpMessageType::Ack, address)
}

fn nak() -> Says {
    says(DhcpMessageType::Nak, NOBODY)
}

impl Says {
    fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.options.retain(|(other, _)| *other != code);
        self.options.push((code, value.to_vec()));
        self
    }

    fn without(mut self, code: u8) -> Self {
        self.options.retain(|(other, _)| *other != code);
        self
    }

    fn from(self, server: Ipv4Addr) -> Self {
        Self { server, ..self }
    }

    fn bytes(&self, transaction: u32) -> Vec<u8> {
        let options: Vec<_> = self.options.iter().map(|(kind, data)| DhcpOption { kind: *kind, data }).collect();
        let repr = DhcpRepr {
            message_type: self.kind,
            transaction_id: transaction,
            secs: 0,
            client_hardware_address: EthernetAddress(OURS.0),
            client_ip: NOBODY,
            your_ip: self.address,
            server_ip: NOBODY,
            router: None,
            subnet_mask: None,
            relay_agent_ip: NOBODY,
            broadcast: false,
            requested_ip: None,
            client_identifier: None,
            server_identifier: Some(self.server),
            parameter_request_list: None,
            dns_servers: None,
            max_size: None,
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &options,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..])).unwrap();
        bytes
    }
}

fn arp(mac: MacAddress, operation: ArpOperation, sender: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    bytes
}

impl Line {
    fn with(remembered: Option<Remembered>) -> Self {
        let mut client = Client::new([7; 32], remembered);
        client.start(Timestamp::from_millis(0), OURS);
        let mut line = Self { client, now: Timestamp::from_millis(0), log: Vec::new(), last: (0, 0) };
        line.collect();
        line
    }

    fn new() -> Self {
        Self::with(None)
    }

    /// A line whose lease began at 0 and is in use.
    fn bound() -> Self {
        let mut line = Self::new();
        line.hears(&offer(ADDRESS));
        line.hears(&ack(ADDRESS));
        line.pass(1);
        assert_eq!(line.address(), Some(ADDRESS));
        line.log.clear();
        line.events();
        line
    }

    fn collect(&mut self) {
        while let Some(bytes) = self.client.poll_transmit() {
            let seen = self.read(&bytes);
            self.log.push((self.now.as_millis(), seen));
        }
    }

    fn read(&mut self, bytes: &[u8]) -> Seen {
        let frame = EthernetFrame::new_checked(bytes).unwrap();
        assert_eq!(frame.src_addr(), EthernetAddress(OURS.0));
        if frame.ethertype() == EthernetProtocol::Arp {
            let repr = ArpRepr::parse(&ArpPacket::new_checked(frame.payload()).unwrap()).unwrap();
            let ArpRepr::EthernetIpv4 { operation, source_protocol_addr, target_protocol_addr, .. } = repr else {
                panic!("not IPv4")
            };
            assert_eq!((operation, source_protocol_addr), (ArpOperation::Request, NOBODY));
            return Seen::Probe(target_protocol_addr);
        }
        let ip = Ipv4Packet::new_checked(frame.payload()).unwrap();
        let udp = UdpPacket::new_checked(ip.payload()).unwrap();
        assert!(ip.verify_checksum() && udp.verify_checksum(&ip.src_addr().into(), &ip.dst_addr().into()));
        assert_eq!((udp.src_port(), udp.dst_port()), (68, 67));
        let packet = DhcpPacket::new_checked(udp.payload()).unwrap();
        let repr = DhcpRepr::parse(&packet).unwrap();
        self.last = (repr.transaction_id, repr.secs);
        Seen::Dhcp {
            kind: repr.message_type,
            way: (ip.src_addr(), ip.dst_addr(), MacAddress(frame.dst_addr().0)),
            client_address: repr.client_ip,
            wish: repr.requested_ip,
            server: repr.server_identifier,
        }
    }

    /// Lets a server answer the last message.
    fn hears(&mut self, says: &Says) {
        self.client.handle_packet(self.now, SERVER_MAC, &says.bytes(self.last.0));
        self.collect();
    }

    fn hears_arp(&mut self, packet: &[u8]) {
        self.client.handle_arp(self.now, packet);
        self.collect();
    }

    /// Lets `seconds` pass.
    fn pass(&mut self, seconds: u64) {
        let end = self.now + Duration::from_secs(seconds);
        while let Some(due) = self.client.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.client.handle_timeout(self.now);
            self.collect();
            assert!(
                self.client.poll_timeout().is_none_or(|next| next > self.now),
                "a timeout that stays due would spin"
            );
        }
        self.now = end;
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.client.lease().map(Lease::address)
    }

    fn events(&mut self) -> Vec<ClientEvent> {
        std::iter::from_fn(|| self.client.poll_event()).collect()
    }

    /// What was sent since the last time, without the times.
    fn sent(&mut self) -> Vec<Seen> {
        self.log.drain(..).map(|(_, seen)| seen).collect()
    }

    /// The seconds at which something was sent since the last time.
    fn times(&mut self) -> Vec<f64> {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        self.log.drain(..).map(|(at, _)| at as f64 / 1_000.0).collect()
    }
}

fn broadcast(kind: DhcpMessageType, wish: Option<Ipv4Addr>, server: Option<Ipv4Addr>) -> Seen {
    Seen::Dhcp { kind, way: (NOBODY, ALL, MacAddress::BROADCAST), client_address: NOBODY, wish, server }
}

fn discover(wish: Option<Ipv4Addr>) -> Seen {
    broadcast(DhcpMessageType::Discover, wish, None)
}

fn select(address: Ipv4Addr) -> Seen {
    broadcast(DhcpMessageType::Request, Some(address), Some(SERVER))
}

fn reboot(address: Ipv4Addr) -> Seen {
    broadcast(DhcpMessageType::Request, Some(address), None)
}

fn extend(to: Ipv4Addr, mac: MacAddress) -> Seen {
    let way = (ADDRESS, to, mac);
    Seen::Dhcp { kind: DhcpMessageType::Request, way, client_address: ADDRESS, wish: None, server: None }
}

fn renew() -> Seen {
    extend(SERVER, SERVER_MAC)
}

fn rebind() -> Seen {
    extend(ALL, MacAddress::BROADCAST)
}

fn release() -> Seen {
    let way = (ADDRESS, SERVER, SERVER_MAC);
    let server = Some(SERVER);
    Seen::Dhcp { kind: DhcpMessageType::Release, way, client_address: ADDRESS, wish: None, server }
}

fn lease() -> Lease {
    let span = Duration::from_secs;
    Lease {
        network: Ipv4Net::new_assert(ADDRESS, 24),
        gateway: GATEWAY,
        server: SERVER,
        name_servers: Vec::new(),
        mtu: None,
        lifetime: Some(Lifetime { renew: span(500), rebind: span(875), end: span(1_000) }),
    }
}

fn held(standing: Standing) -> Option<Remembered> {
    Some(Remembered { mac: OURS, address: ADDRESS, standing })
}

fn ended(why: LeaseEnd) -> ClientEvent {
    ClientEvent::Ended { address: ADDRESS, why }
}

/// Asserts that waits between `times` are as `expected`, each within a second.
#[track_caller]
fn assert_waits(times: &[f64], expected: &[f64]) {
    let waits: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let is_near = waits.len() == expected.len()
        && waits.iter().zip(expected).all(|(wait, expected)| (wait - expected).abs() <= 1.001);
    assert!(is_near, "waits of {waits:?}, expected about {expected:?}");
}

// RFC 2131 section 3.1.
