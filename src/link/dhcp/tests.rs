//! Scenarios with simulated time. What the client sends is read by another's parser (smoltcp), and what servers say is
//! written by it.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use proptest::prelude::*;
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
#[test]
fn first_lease_is_asked_for_probed_and_taken() {
    let mut line = Line::new();
    assert_eq!(line.sent(), [discover(None)]);
    assert!(line.client.expects_answer());
    let transaction = line.last.0;
    line.pass(1);
    line.hears(&offer(ADDRESS));
    assert_eq!(line.sent(), [select(ADDRESS)]);
    assert_eq!(line.last, (transaction, 0), "RFC 2131 section 4.4.1");
    line.hears(&ack(ADDRESS).with(6, &[192, 0, 2, 53]).with(26, &[5, 212]));
    assert_eq!((line.address(), line.client.expects_answer()), (None, false));
    line.pass(1);
    assert_eq!(line.log, [(1_000, Seen::Probe(ADDRESS)), (1_200, Seen::Probe(ADDRESS))]);
    let expected = Lease { name_servers: vec![Ipv4Addr::new(192, 0, 2, 53)], mtu: Some(1_492), ..lease() };
    assert_eq!(line.client.lease(), Some(&expected));
    assert_eq!(line.events(), [ClientEvent::Leased(expected)]);
    assert_eq!(line.client.poll_timeout(), Some(Timestamp::from_millis(501_000)), "T1 counts from the request");
    assert_eq!(line.client.remembered(), held(Standing::Held));
}

// RFC 2131 section 4.1.
#[test]
fn silence_is_asked_into_at_growing_random_intervals() {
    let mut line = Line::new();
    line.pass(100);
    let seen: Vec<Seen> = line.log.iter().map(|(_, seen)| seen.clone()).collect();
    assert!(seen.iter().all(|seen| *seen == discover(None)));
    assert_eq!(line.events(), [ClientEvent::NoServer]);
    let times = line.times();
    assert_waits(&times, &[4.0, 8.0, 16.0, 16.0, 16.0, 16.0, 16.0][..times.len() - 1]);
    assert!(times.iter().any(|at| at.fract() != 0.0), "at random");
    assert!(line.last.1 >= 60, "the server sees for how long: {}", line.last.1);
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn silence_is_told_again_only_after_an_answer() {
    let mut line = Line::new();
    line.pass(1_000);
    assert_eq!(line.events(), [ClientEvent::NoServer]);
    line.hears(&offer(ADDRESS));
    line.pass(1_000);
    assert_eq!(line.events(), [ClientEvent::NoServer]);
}

#[test]
fn lost_request_is_repeated_and_an_offer_without_sequel_given_up() {
    let mut line = Line::new();
    line.hears(&offer(ADDRESS));
    line.log.remove(0);
    line.pass(24);
    assert_eq!(line.log.len(), 3);
    assert!(line.log.iter().all(|(_, seen)| *seen == select(ADDRESS)));
    assert_waits(&line.times(), &[4.0, 8.0]);
    line.pass(7);
    assert_eq!(line.sent()[0], discover(None));
}

#[test]
fn first_usable_offer_is_taken_and_other_servers_are_not_heard() {
    let mut line = Line::new();
    line.hears(&offer(SECOND).without(3).from(RIVAL_SERVER));
    assert_eq!(
        line.events(),
        [ClientEvent::Refused { network: Ipv4Net::new_assert(SECOND, 24), why: Unusable::NoGateway }]
    );
    line.hears(&offer(ADDRESS));
    line.hears(&offer(SECOND).from(RIVAL_SERVER));
    line.hears(&ack(SECOND).from(RIVAL_SERVER));
    line.hears(&nak().from(RIVAL_SERVER));
    assert_eq!(line.sent(), [discover(None), select(ADDRESS)]);
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn answers_of_another_transaction_or_kind_are_ignored() {
    let mut line = Line::new();
    let transaction = line.last.0;
    for bytes in [
        offer(ADDRESS).bytes(transaction ^ 1),
        ack(ADDRESS).bytes(transaction),
        nak().bytes(transaction),
        offer(ADDRESS).bytes(transaction)[..200].to_vec(),
    ] {
        line.client.handle_packet(line.now, SERVER_MAC, &bytes);
    }
    line.collect();
    assert_eq!(line.sent(), [discover(None)]);
    assert_eq!(line.events(), []);
}

// RFC 2131 section 4.4.5.
#[test]
fn lease_is_renewed_by_its_server_at_t1() {
    let mut line = Line::bound();
    line.pass(498);
    assert_eq!(line.sent(), []);
    line.pass(1);
    assert_eq!((line.log.clone(), line.address()), (vec![(500_000, renew())], Some(ADDRESS)));
    line.hears(&ack(ADDRESS));
    assert_eq!(line.events(), [ClientEvent::Extended]);
    line.log.clear();
    line.pass(499);
    assert_eq!(line.sent(), []);
    line.pass(2);
    assert_eq!(line.sent(), [renew()], "and again");
}

#[test]
fn server_that_extends_a_lease_need_not_repeat_itself() {
    let mut line = Line::bound();
    line.pass(500);
    line.hears(&ack(ADDRESS).without(1).without(3));
    assert_eq!(line.events(), [ClientEvent::Extended]);
    assert_eq!(line.client.lease(), Some(&lease()));
}

#[test]
fn silent_server_is_asked_less_and_less_then_all_are_then_the_lease_is_over() {
    let mut line = Line::bound();
    line.pass(998);
    let log = std::mem::take(&mut line.log);
    let kinds: Vec<&Seen> = log.iter().map(|(_, seen)| seen).collect();
    // Half of what is left each time, and at least a minute.
    let times: Vec<u64> = log.iter().map(|(at, _)| at / 1_000).collect();
    assert_eq!(times, [500, 687, 781, 841, 875, 937, 997]);
    assert!(kinds[..4].iter().all(|seen| **seen == renew()));
    assert!(kinds[4..].iter().all(|seen| **seen == rebind()));
    assert_eq!((line.address(), line.events()), (Some(ADDRESS), vec![]));
    line.pass(2);
    assert_eq!(line.events(), [ended(LeaseEnd::Expired)]);
    assert_eq!((line.address(), line.sent()), (None, vec![discover(Some(ADDRESS))]));
}

#[test]
fn short_lease_is_asked_for_more_than_twice() {
    let mut line = Line::new();
    let short = |says: Says| says.with(51, &120_u32.to_be_bytes());
    line.hears(&short(offer(ADDRESS)));
    line.hears(&short(ack(ADDRESS)));
    line.pass(1);
    line.log.clear();
    line.pass(119);
    assert!(line.log.len() >= 5, "{:?}", line.log);
}

#[test]
fn lease_of_an_answer_that_took_its_time_is_extended_at_once() {
    let mut line = Line::new();
    let hasty = |says: Says| says.with(58, &[0, 0, 0, 1]);
    line.hears(&hasty(offer(ADDRESS)));
    // The request was last repeated at about 12 seconds.
    line.pass(15);
    line.sent();
    line.hears(&hasty(ack(ADDRESS)));
    line.pass(1);
    assert_eq!(line.log, [(15_000, Seen::Probe(ADDRESS)), (15_200, Seen::Probe(ADDRESS)), (15_400, renew())]);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn another_server_may_extend_the_lease() {
    let mut line = Line::bound();
    line.pass(880);
    assert_eq!(line.log.last().unwrap().1, rebind());
    line.hears(&ack(ADDRESS).from(RIVAL_SERVER));
    assert_eq!(line.events(), [ClientEvent::Leased(Lease { server: RIVAL_SERVER, ..lease() })]);
    assert_eq!(line.address(), Some(ADDRESS));
}

#[test]
fn lease_without_end_is_never_asked_about() {
    let mut line = Line::new();
    let endless = |says: Says| says.with(51, &[255; 4]);
    line.hears(&endless(offer(ADDRESS)));
    line.hears(&endless(ack(ADDRESS)));
    line.pass(10_000_000);
    assert_eq!((line.address(), line.client.poll_timeout()), (Some(ADDRESS), None));
}

#[test]
fn lease_of_a_lame_line_is_extended_early_by_its_server_then_by_any() {
    let mut line = Line::bound();
    line.pass(100);
    for expected in [renew(), rebind(), rebind()] {
        line.client.extend_early(line.now);
        line.collect();
        assert_eq!(line.sent(), [expected]);
        line.pass(5);
    }
    line.hears(&ack(ADDRESS));
    assert_eq!((line.events(), line.address()), (vec![ClientEvent::Extended], Some(ADDRESS)));
    line.log.clear();
    line.pass(490);
    assert_eq!(line.sent(), [], "from then on as ever");
    // A server that has lost its memory says so.
    line.client.extend_early(line.now);
    line.collect();
    line.sent();
    line.hears(&nak());
    assert_eq!((line.address(), line.sent()), (None, vec![discover(None)]));
}

#[test]
fn endless_lease_of_a_lame_line_is_asked_about_now_and_then() {
    let mut line = Line::new();
    let endless = |says: Says| says.with(51, &[255; 4]);
    line.hears(&endless(offer(ADDRESS)));
    line.hears(&endless(ack(ADDRESS)));
    line.pass(100);
    line.log.clear();
    line.client.extend_early(line.now);
    line.pass(150);
    assert_eq!(line.sent(), [renew(), renew(), renew()]);
    line.hears(&endless(ack(ADDRESS)));
    assert_eq!((line.address(), line.client.poll_timeout()), (Some(ADDRESS), None));
}

#[test]
fn new_facts_in_a_renewal_are_told() {
    let mut line = Line::bound();
    line.pass(500);
    let gateway = Ipv4Addr::new(100, 64, 7, 254);
    line.hears(&ack(ADDRESS).with(121, &[&[0][..], &gateway.octets()].concat()));
    assert_eq!(line.events(), [ClientEvent::Leased(Lease { gateway, ..lease() })]);
}

#[test]
fn new_address_in_a_renewal_ends_the_lease_and_begins_another() {
    let mut line = Line::bound();
    line.pass(500);
    line.sent();
    line.hears(&ack(SECOND));
    assert_eq!(line.events(), [ended(LeaseEnd::Replaced(SECOND))]);
    assert_eq!((line.address(), line.sent()), (None, vec![Seen::Probe(SECOND)]));
    line.pass(1);
    let expected = Lease { network: Ipv4Net::new_assert(SECOND, 24), ..lease() };
    assert_eq!(line.events(), [ClientEvent::Leased(expected)]);
    assert_eq!(line.address(), Some(SECOND));
}

#[test]
fn nak_in_a_renewal_begins_anew_at_once() {
    for seconds in [500, 880] {
        let mut line = Line::bound();
        line.pass(seconds);
        line.sent();
        line.hears(&nak().with(56, b"wrong network"));
        let message = Some("wrong network".to_owned());
        assert_eq!(line.events(), [ClientEvent::Denied { address: ADDRESS, message }, ended(LeaseEnd::TakenBack)]);
        assert_eq!((line.address(), line.sent()), (None, vec![discover(None)]));
        assert_eq!(line.client.remembered(), None);
    }
}

#[test]
fn server_that_offers_and_denies_is_not_hammered() {
    let mut line = Line::new();
    let mut requests = 0;
    for _ in 0..600 {
        if line.client.expects_answer() {
            line.hears(&offer(ADDRESS));
            line.hears(&nak());
        }
        requests += line.sent().iter().filter(|seen| **seen == select(ADDRESS)).count();
        line.pass(1);
    }
    assert!((30..50).contains(&requests), "{requests} in ten minutes");
}

// RFC 2131 section 3.2.
#[test]
fn remembered_address_is_asked_for_at_once() {
    let mut line = Line::with(held(Standing::Held));
    assert_eq!(line.sent(), [reboot(ADDRESS)]);
    line.hears(&ack(ADDRESS));
    assert_eq!(line.sent(), [Seen::Probe(ADDRESS)]);
    line.pass(1);
    assert_eq!((line.events(), line.address()), (vec![ClientEvent::Leased(lease())], Some(ADDRESS)));
}

#[test]
fn remembered_address_that_is_denied_is_forgotten() {
    let mut line = Line::with(held(Standing::Held));
    line.hears(&nak());
    assert_eq!(line.sent(), [reboot(ADDRESS), discover(None)]);
    assert_eq!(line.events(), [ClientEvent::Denied { address: ADDRESS, message: None }]);
    assert_eq!(line.client.remembered(), None);
}

#[test]
fn remembered_address_is_a_wish_where_nobody_knows_it() {
    let mut line = Line::with(held(Standing::Held));
    line.pass(4);
    let expected = [(0, reboot(ADDRESS)), (2_000, reboot(ADDRESS)), (4_000, discover(Some(ADDRESS)))];
    assert_eq!(line.log, expected);
    assert_eq!(Line::with(held(Standing::Released)).sent(), [discover(Some(ADDRESS))]);
    let of_another_card = Remembered { mac: OTHER, address: ADDRESS, standing: Standing::Held };
    assert_eq!(Line::with(Some(of_another_card)).sent(), [discover(Some(ADDRESS))]);
}

#[test]
fn carrier_that_returns_gets_its_address_back() {
    let mut line = Line::bound();
    line.client.stop();
    assert_eq!((line.address(), line.client.poll_timeout()), (None, None));
    line.pass(10);
    line.client.start(line.now, OURS);
    line.collect();
    assert_eq!(line.sent(), [reboot(ADDRESS)]);
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
}

// RFC 2131 section 3.1 (5).
#[test]
fn address_in_use_is_declined_and_another_asked_for_later() {
    let answers = [
        arp(OTHER, ArpOperation::Reply, ADDRESS, NOBODY),
        arp(OTHER, ArpOperation::Request, ADDRESS, GATEWAY),
        arp(OTHER, ArpOperation::Request, NOBODY, ADDRESS),
    ];
    for answer in answers {
        let mut line = Line::new();
        line.hears(&offer(ADDRESS));
        line.hears(&ack(ADDRESS));
        line.sent();
        line.hears_arp(&answer);
        assert_eq!(line.sent(), [broadcast(DhcpMessageType::Decline, Some(ADDRESS), Some(SERVER))]);
        assert_eq!(line.events(), [ClientEvent::Declined { address: ADDRESS, rival: OTHER }]);
        line.pass(9);
        assert_eq!((line.address(), line.sent()), (None, vec![]));
        line.pass(1);
        assert_eq!(line.sent(), [discover(None)]);
        line.hears(&offer(SECOND));
        line.hears(&ack(SECOND));
        line.pass(1);
        assert_eq!(line.address(), Some(SECOND));
    }
}

#[test]
fn arp_that_concerns_another_address_or_is_our_own_declines_nothing() {
    let mut line = Line::new();
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    for packet in [
        arp(OTHER, ArpOperation::Request, SECOND, ADDRESS),
        arp(OTHER, ArpOperation::Reply, GATEWAY, ADDRESS),
        arp(OURS, ArpOperation::Request, NOBODY, ADDRESS),
        vec![0; 28],
    ] {
        line.hears_arp(&packet);
    }
    line.pass(1);
    assert_eq!(line.address(), Some(ADDRESS));
    line.hears_arp(&arp(OTHER, ArpOperation::Reply, ADDRESS, NOBODY));
    assert_eq!(line.address(), Some(ADDRESS), "what is in use is defended, not declined");
}

// RFC 2131 section 4.4.6.
#[test]
fn lease_is_given_back_on_a_clean_stop() {
    let mut line = Line::bound();
    line.client.release();
    line.collect();
    assert_eq!((line.sent(), line.address()), (vec![release()], None));
    assert_eq!(line.client.remembered(), held(Standing::Released));
    let mut line = Line::new();
    line.sent();
    line.client.release();
    line.collect();
    assert_eq!((line.sent(), line.client.remembered()), (vec![], None));
}

#[test]
fn lease_in_a_lans_network_is_refused_and_told_once() {
    let mut line = Line::new();
    let lan: Ipv4Net = "100.64.0.0/16".parse().unwrap();
    line.client.handle_lan_networks(line.now, &[lan]);
    line.collect();
    line.sent();
    for round in 0..10 {
        line.hears(&offer(if round % 2 == 0 { ADDRESS } else { SECOND }));
        line.pass(16);
    }
    let network = Ipv4Net::new_assert(ADDRESS, 24);
    assert_eq!(line.events(), [ClientEvent::Refused { network, why: Unusable::OverlapsLan(lan) }]);
    assert!(line.sent().iter().all(|seen| *seen == discover(None)));
    // The LAN gets another network: the next offer is taken, and asked for at once.
    line.client.handle_lan_networks(line.now, &["192.168.10.1/24".parse().unwrap()]);
    line.collect();
    line.hears(&offer(ADDRESS));
    assert_eq!(line.sent(), [discover(None), select(ADDRESS)]);
}

#[test]
fn server_that_offers_all_sorts_of_nonsense_fills_no_log() {
    let mut line = Line::new();
    for third in 0..200 {
        line.hears(&offer(Ipv4Addr::new(100, 64, third, 9)).without(3));
    }
    assert_eq!(line.events().len(), 4);
    assert_eq!(line.client.refused().map(|(_, why)| why), Some(Unusable::NoGateway));
    line.hears(&offer(ADDRESS));
    line.hears(&ack(ADDRESS));
    line.pass(1);
    assert_eq!((line.address(), line.client.refused()), (Some(ADDRESS), None));
}

#[test]
fn lan_that_gets_the_leases_network_ends_it() {
    let mut line = Line::bound();
    let lan: Ipv4Net = "100.64.7.0/24".parse().unwrap();
    line.client.handle_lan_networks(line.now, &[lan]);
    line.collect();
    assert_eq!(line.events(), [ended(LeaseEnd::Unusable(Unusable::OverlapsLan(lan)))]);
    assert_eq!((line.sent(), line.address()), (vec![release(), discover(None)], None));
}

#[test]
fn acknowledgement_that_cannot_be_used_ends_the_lease() {
    let mut line = Line::bound();
    line.pass(500);
    line.hears(&ack(ADDRESS).with(51, &[0; 4]));
    let network = Ipv4Net::new_assert(ADDRESS, 24);
    let why = Unusable::NoLifetime;
    assert_eq!(line.events(), [ClientEvent::Refused { network, why }, ended(LeaseEnd::Unusable(why))]);
    assert_eq!(line.address(), None);
}

/// One thing that can happen to a client.
#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    Hear { kind: u8, options: Vec<(u8, Vec<u8>)>, address: u32 },
    Noise(Vec<u8>),
    Arp { sender: u8, request: bool },
    Stop,
    Start,
    Extend,
}

fn step() -> impl Strategy<Value = Step> {
    let option = prop_oneof![
        Just((1, vec![255, 255, 255, 0])),
        Just((3, GATEWAY.octets().to_vec())),
        Just((51, vec![0, 0, 0, 60])),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)),
    ];
    prop_oneof![
        4 => (1_u32..200_000).prop_map(Step::Pass),
        8 => (prop_oneof![Just(2), Just(5), Just(5), Just(6)], prop::collection::vec(option, 0..8), 0..4_u32)
            .prop_map(|(kind, options, address)| Step::Hear { kind, options, address }),
        1 => prop::collection::vec(any::<u8>(), 0..400).prop_map(Step::Noise),
        1 => (0..4_u8, any::<bool>()).prop_map(|(sender, request)| Step::Arp { sender, request }),
        1 => Just(Step::Stop),
        2 => Just(Step::Start),
        1 => Just(Step::Extend),
    ]
}

proptest! {
    /// Whatever is heard: no timeout spins, a lease in use has a gateway and an end ahead, and every address was probed.
    #[test]
    fn lease_in_use_is_always_sound(steps in prop::collection::vec(step(), 1..80)) {
        let mut line = Line::new();
        let lan: Ipv4Net = "100.64.9.0/24".parse().unwrap();
        line.client.handle_lan_networks(line.now, &[lan]);
        for step in steps {
            match step {
                Step::Pass(milliseconds) => {
                    line.pass(u64::from(milliseconds / 1_000));
                    line.now = line.now + Duration::from_millis(u64::from(milliseconds % 1_000));
                    line.client.handle_timeout(line.now);
                }
                Step::Hear { kind, options, address } => {
                    let kind = DhcpMessageType::from(kind);
                    let address = Ipv4Addr::from_bits(ADDRESS.to_bits() + address * 256);
                    line.hears(&Says { kind, address, server: SERVER, options });
                }
                Step::Noise(bytes) => line.client.handle_packet(line.now, SERVER_MAC, &bytes),
                Step::Arp { sender, request } => {
                    let sender = Ipv4Addr::from_bits(ADDRESS.to_bits() + u32::from(sender) * 256);
                    let operation = if request { ArpOperation::Request } else { ArpOperation::Reply };
                    line.hears_arp(&arp(OTHER, operation, sender, ADDRESS));
                }
                Step::Stop => line.client.stop(),
                Step::Start => line.client.start(line.now, OURS),
                Step::Extend => line.client.extend_early(line.now),
            }
            line.collect();
            if let Some(lease) = line.client.lease() {
                let address = lease.address();
                prop_assert!(!lan.contains(&address) && lease.gateway != address);
                prop_assert!(line.client.lease_end().is_none_or(|end| end >= line.now), "over, and still in use");
                prop_assert!(line.log.iter().any(|(_, seen)| *seen == Seen::Probe(address)));
            }
        }
    }
}
