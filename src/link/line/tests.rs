//! One line, by scenario.

mod redial;

use smoltcp::wire::{ArpOperation, ArpPacket, ArpRepr, EthernetAddress};

use super::*;
use crate::link::health::{Capacity, Probe, Settings, Wanted};

const OURS: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
const THEIRS: MacAddress = MacAddress([2, 0, 0, 0, 0, 2]);
const OTHER: MacAddress = MacAddress([2, 0, 0, 0, 0, 3]);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const RUNNING: Option<InterfaceStatus> = Some(InterfaceStatus { mac: OURS, running: true });
const UNPLUGGED: Option<InterfaceStatus> = Some(InterfaceStatus { mac: OURS, running: false });

fn hop(gateway: MacAddress, own: MacAddress) -> Option<NextHop> {
    Some(NextHop::Ethernet { gateway, own })
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(milliseconds)
}

fn arp(mac: MacAddress, sender: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(mac.0),
        source_protocol_addr: sender,
        target_hardware_addr: EthernetAddress(OURS.0),
        target_protocol_addr: ADDRESS,
    };
    let mut bytes = vec![0; repr.buffer_len()];
    repr.emit(&mut ArpPacket::new_unchecked(&mut bytes));
    bytes
}

fn changed(from: Availability, to: Availability, cause: Cause) -> Option<LineEvent> {
    Some(LineEvent::Changed { from, to, cause })
}

fn up() -> Line {
    let mut line = Line::new(ADDRESS, GATEWAY);
    line.handle_interface(at(0), RUNNING);
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    while line.poll_event().is_some() {}
    while line.poll_transmit().is_some() {}
    line
}

#[test]
fn line_of_the_kernels_follows_what_the_kernel_has() {
    let ends = |last| Some(Ends { address: Ipv4Addr::new(10, 77, 1, last), gateway: GATEWAY });
    let mut line = Line::adopted();
    line.handle_interface(at(0), RUNNING);
    assert_eq!((line.availability(), line.poll_transmit()), (Availability::Unresolved, None));
    while line.poll_event().is_some() {}
    line.handle_kernel_address(at(1), ends(2), Attachment::Ethernet);
    assert!(
        line.poll_transmit().is_some_and(|frame| frame.len() == 42) && line.poll_transmit().is_none(),
        "one question"
    );
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    assert_eq!((line.availability(), line.next_hop()), (Availability::Usable, hop(THEIRS, OURS)));
    while line.poll_event().is_some() {}
    line.handle_kernel_address(at(20), ends(2), Attachment::Ethernet);
    assert_eq!((line.poll_event(), line.poll_transmit()), (None, None), "no news");
    line.handle_kernel_address(at(30), ends(9), Attachment::Ethernet);
    let expected = changed(Availability::Usable, Availability::Unresolved, Cause::AddressFound);
    assert_eq!((line.poll_event(), line.ends()), (expected, ends(9)));
    line.handle_kernel_address(at(40), None, Attachment::Ethernet);
    assert_eq!((line.ends(), line.next_hop(), line.poll_timeout()), (None, None, None));
}

#[test]
fn line_without_link_header_has_nobody_to_ask() {
    let mut line = Line::adopted();
    let ends = Some(Ends { address: ADDRESS, gateway: Ipv4Addr::UNSPECIFIED });
    line.handle_kernel_address(at(0), ends, Attachment::Bare);
    assert_eq!(line.next_hop(), None);
    line.handle_interface(at(1), RUNNING);
    assert_eq!((line.availability(), line.next_hop()), (Availability::Usable, Some(NextHop::Bare)));
    assert_eq!((line.poll_transmit(), line.poll_timeout()), (None, None));
    line.handle_interface(at(2), UNPLUGGED);
    assert_eq!((line.availability(), line.next_hop()), (Availability::NoCarrier, None));
}

#[test]
fn line_comes_up_step_by_step() {
    let mut line = Line::new(ADDRESS, GATEWAY);
    assert_eq!((line.availability(), line.poll_timeout()), (Availability::Missing, None));
    line.handle_interface(at(0), UNPLUGGED);
    assert_eq!(line.poll_event(), changed(Availability::Missing, Availability::NoCarrier, Cause::InterfaceFound));
    line.handle_interface(at(5), RUNNING);
    let expected = changed(Availability::NoCarrier, Availability::Unresolved, Cause::CarrierFound);
    assert_eq!(line.poll_event(), expected);
    assert!(line.poll_transmit().is_some());
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    let expected = changed(Availability::Unresolved, Availability::Usable, Cause::GatewayAnswered);
    assert_eq!(line.poll_event(), expected);
    assert_eq!(line.next_hop(), hop(THEIRS, OURS));
}

#[test]
fn pulled_cable_takes_the_line_down_and_it_is_resolved_anew() {
    let mut line = up();
    line.handle_interface(at(100), UNPLUGGED);
    assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::NoCarrier, Cause::CarrierLost));
    assert_eq!((line.next_hop(), line.poll_timeout()), (None, None));
    line.handle_packet(at(150), &arp(THEIRS, GATEWAY));
    assert_eq!(line.poll_event(), None);
    line.handle_interface(at(200), RUNNING);
    assert_eq!(line.availability(), Availability::Unresolved);
    assert!(line.poll_transmit().is_some(), "announced again");
}

#[test]
fn removed_interface_is_missing_until_it_returns() {
    let mut line = up();
    line.handle_interface(at(100), None);
    assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::Missing, Cause::InterfaceRemoved));
    line.handle_interface(at(200), None);
    assert_eq!(line.poll_event(), None);
    line.handle_interface(at(300), RUNNING);
    assert_eq!(line.poll_event(), changed(Availability::Missing, Availability::Unresolved, Cause::CarrierFound));
}

#[test]
fn same_status_again_changes_nothing() {
    let mut line = up();
    line.handle_interface(at(100), RUNNING);
    assert_eq!((line.poll_event(), line.poll_transmit()), (None, None));
    assert_eq!(line.availability(), Availability::Usable);
}

#[test]
fn new_address_of_the_interface_is_announced() {
    let mut line = up();
    line.handle_interface(at(100), Some(InterfaceStatus { mac: OTHER, running: true }));
    assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::Unresolved, Cause::MacChanged));
    line.handle_packet(at(110), &arp(THEIRS, GATEWAY));
    assert_eq!(line.next_hop(), hop(THEIRS, OTHER));
}

#[test]
fn silent_gateway_takes_the_line_down_with_its_cause() {
    let mut line = up();
    while line.availability() == Availability::Usable {
        let due = line.poll_timeout().unwrap();
        assert!(due < at(40_000), "still up at {due:?}");
        line.handle_timeout(due);
    }
    let expected = changed(Availability::Usable, Availability::Unresolved, Cause::GatewaySilent);
    assert_eq!(line.poll_event(), expected);
}

#[test]
fn moved_gateway_and_rival_are_reported_and_the_line_stays_up() {
    let mut line = up();
    line.handle_packet(at(100), &arp(OTHER, GATEWAY));
    line.handle_packet(at(100), &arp(THEIRS, ADDRESS));
    assert_eq!(line.poll_event(), Some(LineEvent::GatewayMoved { from: THEIRS, to: OTHER }));
    assert_eq!(line.poll_event(), Some(LineEvent::AddressConflict(THEIRS)));
    assert_eq!(line.poll_event(), None);
    assert_eq!(line.availability(), Availability::Usable);
}

#[test]
fn line_taken_down_by_hand_keeps_its_gateway_and_is_up_at_once_when_put_back() {
    let mut line = up();
    for _ in 0..2 {
        line.handle_admin(AdminStatus::Down);
    }
    assert_eq!(line.poll_event(), changed(Availability::Usable, Availability::Down, Cause::TakenDown));
    assert_eq!((line.poll_event(), line.availability()), (None, Availability::Down));
    assert_eq!(line.next_hop(), hop(THEIRS, OURS), "its flows have their way out");
    // The gateway is still asked whether it is there.
    let due = line.poll_timeout().unwrap();
    line.handle_timeout(due);
    assert!(line.poll_transmit().is_some());
    line.handle_packet(due, &arp(THEIRS, GATEWAY));
    for _ in 0..2 {
        line.handle_admin(AdminStatus::Up);
    }
    assert_eq!(line.poll_event(), changed(Availability::Down, Availability::Usable, Cause::PutBack));
    assert_eq!(line.poll_event(), None);
}

#[test]
fn line_that_is_down_by_hand_stays_so_whatever_becomes_of_its_cable() {
    let mut line = up();
    line.handle_admin(AdminStatus::Down);
    while line.poll_event().is_some() {}
    for (now, status) in [(100, UNPLUGGED), (200, RUNNING), (300, None), (400, RUNNING)] {
        line.handle_interface(at(now), status);
        line.handle_packet(at(now), &arp(THEIRS, GATEWAY));
        assert_eq!((line.poll_event(), line.availability()), (None, Availability::Down));
    }
    line.handle_interface(at(500), UNPLUGGED);
    line.handle_admin(AdminStatus::Up);
    assert_eq!(line.poll_event(), changed(Availability::Down, Availability::NoCarrier, Cause::PutBack));
}

#[test]
fn line_that_was_down_before_starts_so_without_a_word() {
    let mut line = Line::new(ADDRESS, GATEWAY).kept_down();
    line.handle_interface(at(0), RUNNING);
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    assert_eq!((line.poll_event(), line.availability()), (None, Availability::Down));
    line.handle_admin(AdminStatus::Up);
    assert_eq!(line.poll_event(), changed(Availability::Down, Availability::Usable, Cause::PutBack));
}

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);

/// A server's answer to the last message that the line sent.
fn answer(line: &mut Line, kind: u8, gateway: Ipv4Addr) -> Vec<u8> {
    let sent = std::iter::from_fn(|| line.poll_transmit()).filter(|frame| frame[12..14] == [8, 0]).last().unwrap();
    let mut message = vec![0; 240];
    message[..3].copy_from_slice(&[2, 1, 6]);
    message[4..8].copy_from_slice(&sent[46..50]);
    message[16..20].copy_from_slice(&ADDRESS.octets());
    message[28..34].copy_from_slice(&OURS.0);
    message[236..].copy_from_slice(&[99, 130, 83, 99]);
    for (code, value) in [(54, SERVER.octets()), (1, [255, 255, 255, 0]), (3, gateway.octets()), (51, [0, 0, 3, 232])] {
        message.extend_from_slice(&[code, 4]);
        message.extend_from_slice(&value);
    }
    message.extend_from_slice(&[53, 1, kind, 255]);
    message
}

fn hear(line: &mut Line, now: u64, kind: u8, gateway: Ipv4Addr) {
    let message = answer(line, kind, gateway);
    line.handle_dhcp(at(now), THEIRS, &message);
}

/// Lets time pass up to `end`.
fn pass(line: &mut Line, end: u64) {
    while let Some(due) = line.poll_timeout().filter(|due| *due <= at(end)) {
        line.handle_timeout(due);
        assert!(line.poll_timeout().is_none_or(|next| next > due), "a timeout that stays due would spin");
    }
}

fn leased() -> Line {
    let mut line = Line::with_dhcp(Client::new([3; 32], None));
    line.handle_interface(at(0), RUNNING);
    assert_eq!((line.availability(), line.ends()), (Availability::Unresolved, None));
    hear(&mut line, 0, 2, GATEWAY);
    hear(&mut line, 0, 5, GATEWAY);
    pass(&mut line, 400);
    line.handle_packet(at(410), &arp(THEIRS, GATEWAY));
    line
}

#[test]
fn leased_line_comes_up_step_by_step() {
    let mut line = leased();
    assert_eq!(line.ends(), Some(Ends { address: ADDRESS, gateway: GATEWAY }));
    assert_eq!((line.availability(), line.next_hop()), (Availability::Usable, hop(THEIRS, OURS)));
    let events: Vec<_> = std::iter::from_fn(|| line.poll_event()).collect();
    assert_eq!(
        Some(&events[0]),
        changed(Availability::Missing, Availability::Unresolved, Cause::CarrierFound).as_ref()
    );
    assert!(matches!(events[1], LineEvent::Dhcp(crate::link::dhcp::ClientEvent::Leased(_))));
    let resolved = changed(Availability::Unresolved, Availability::Usable, Cause::GatewayAnswered);
    assert_eq!(Some(&events[2]), resolved.as_ref());
}

#[test]
fn line_whose_lease_ends_is_down_and_says_why() {
    let mut line = leased();
    while line.poll_event().is_some() {}
    // The gateway answers as long as it is asked; the server never does.
    while line.ends().is_some() {
        let due = line.poll_timeout().unwrap();
        line.handle_timeout(due);
        line.handle_packet(due, &arp(THEIRS, GATEWAY));
    }
    assert!(matches!(line.poll_event(), Some(LineEvent::Dhcp(crate::link::dhcp::ClientEvent::Ended { .. }))));
    let expected = changed(Availability::Usable, Availability::Unresolved, Cause::LeaseEnded);
    assert_eq!((line.poll_event(), line.next_hop()), (expected, None));
}

#[test]
fn leased_line_keeps_its_lease_while_it_is_down_by_hand() {
    let mut line = leased();
    line.handle_admin(AdminStatus::Down);
    while line.poll_event().is_some() || line.poll_transmit().is_some() {}
    while !line.dhcp().unwrap().expects_answer() {
        let due = line.poll_timeout().unwrap();
        line.handle_timeout(due);
        line.handle_packet(due, &arp(THEIRS, GATEWAY));
    }
    hear(&mut line, 500_100, 5, GATEWAY);
    assert_eq!(line.ends(), Some(Ends { address: ADDRESS, gateway: GATEWAY }));
    assert!(std::iter::from_fn(|| line.poll_event()).all(|event| matches!(event, LineEvent::Dhcp(_))));
    line.handle_admin(AdminStatus::Up);
    assert_eq!(line.availability(), Availability::Usable);
}

#[test]
fn gateway_of_another_lease_is_resolved_anew() {
    let mut line = leased();
    while line.poll_event().is_some() || line.poll_transmit().is_some() {}
    while !line.dhcp().unwrap().expects_answer() {
        let due = line.poll_timeout().unwrap();
        line.handle_timeout(due);
        line.handle_packet(due, &arp(THEIRS, GATEWAY));
    }
    let other = Ipv4Addr::new(10, 77, 1, 254);
    hear(&mut line, 500_100, 5, other);
    assert_eq!(line.ends(), Some(Ends { address: ADDRESS, gateway: other }));
    assert_eq!((line.availability(), line.next_hop()), (Availability::Unresolved, None));
    line.handle_packet(at(500_200), &arp(OTHER, other));
    assert_eq!(line.next_hop(), hop(OTHER, OURS));
}

#[test]
fn pulled_cable_ends_the_asking_and_a_release_all() {
    let mut line = leased();
    line.handle_interface(at(1_000), UNPLUGGED);
    assert_eq!((line.ends(), line.poll_timeout(), line.poll_transmit()), (None, None, None));
    let mut line = leased();
    while line.poll_transmit().is_some() {}
    line.release();
    let sent: Vec<_> = std::iter::from_fn(|| line.poll_transmit()).collect();
    assert!(sent.len() == 1 && sent[0].len() > 300, "one RELEASE");
    assert_eq!((line.ends(), line.poll_timeout()), (None, None));
    let mut line = up();
    line.release();
    assert_eq!(line.availability(), Availability::Usable, "a static line has nothing to give back");
}

/// A line that is watched by way of a far host.
fn watched(line: Line) -> Line {
    let far = Wanted::Host(Probe::Ping(FAR));
    let settings = Settings { targets: Some([Wanted::Gateway, far].into()), ..Settings::default() };
    line.watched(Health::new(settings.into(), Capacity::default(), [5; 32]))
}

const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);

/// Sends what the line wants sent, and has hosts for which `answers` is true answer each ping at once.
fn answer_pings(line: &mut Line, now: Timestamp, answers: impl Fn(Ipv4Addr) -> bool) {
    while let Some(frame) = line.poll_transmit() {
        let (header, packet) = frame.split_at(14);
        if header[12..] != [8, 0] || packet[9] != 1 {
            continue;
        }
        assert_eq!((&header[..6], &header[6..12]), (&THEIRS.0[..], &OURS.0[..]), "to the gateway, from us");
        let host = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
        if answers(host) {
            let mut reply = packet.to_vec();
            reply[12..16].copy_from_slice(&host.octets());
            reply[16..20].copy_from_slice(&ADDRESS.octets());
            reply[20] = 0;
            // RFC 1624: a request's type is 8, a reply's 0.
            let sum = u16::from_be_bytes([reply[22], reply[23]]);
            let (sum, carry) = sum.overflowing_add(0x0800);
            reply[22..24].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
            line.handle_answer(now, &reply);
        }
    }
}

/// Lets time pass up to `end`, with hosts that answer and a gateway that speaks ARP.
fn live(line: &mut Line, end: u64, answers: impl Fn(Ipv4Addr) -> bool) {
    let mut now = at(0);
    loop {
        answer_pings(line, now, &answers);
        let Some(due) = line.poll_timeout().filter(|due| *due <= at(end)) else { break };
        now = now.max(due);
        line.handle_timeout(now);
        line.handle_packet(now, &arp(THEIRS, GATEWAY));
    }
}

fn changes(line: &mut Line) -> Vec<(Availability, Availability, String)> {
    let event = |event| match event {
        LineEvent::Changed { from, to, cause } => Some((from, to, cause.to_string())),
        _ => None,
    };
    std::iter::from_fn(|| line.poll_event()).filter_map(event).collect()
}

#[test]
fn watched_line_is_tested_then_up_then_lame_each_with_its_cause() {
    let mut line = watched(Line::new(ADDRESS, GATEWAY));
    line.handle_interface(at(0), RUNNING);
    assert!(line.probed().is_empty(), "nobody is asked before there is a gateway");
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    assert_eq!((line.availability(), &line.probed()[..]), (Availability::Testing, &[GATEWAY, FAR][..]));
    assert!(line.next_hop().is_some(), "flows that it has go on meanwhile");
    live(&mut line, 3_000, |_| true);
    live(&mut line, 6_000, |host| host == GATEWAY);
    let expected = [
        (Availability::Missing, Availability::Unresolved, "carrier found"),
        (Availability::Unresolved, Availability::Testing, "gateway answered"),
        (Availability::Testing, Availability::Usable, "targets answer"),
        (Availability::Usable, Availability::Lame, "no answer from 192.0.2.53"),
    ];
    assert_eq!(changes(&mut line), expected.map(|(from, to, cause)| (from, to, cause.to_owned())));
    // Without a carrier nobody is asked, and with one it is tested anew.
    line.handle_interface(at(6_000), UNPLUGGED);
    assert_eq!((line.poll_timeout(), line.probed().len()), (None, 0));
    line.handle_interface(at(7_000), RUNNING);
    line.handle_packet(at(7_010), &arp(THEIRS, GATEWAY));
    assert_eq!(line.availability(), Availability::Testing);
}

#[test]
fn line_down_by_hand_is_watched_beneath() {
    let mut line = watched(Line::new(ADDRESS, GATEWAY));
    line.handle_interface(at(0), RUNNING);
    line.handle_packet(at(10), &arp(THEIRS, GATEWAY));
    line.handle_admin(AdminStatus::Down);
    live(&mut line, 3_000, |_| true);
    changes(&mut line);
    assert_eq!(line.availability(), Availability::Down);
    line.handle_admin(AdminStatus::Up);
    assert_eq!(line.availability(), Availability::Usable);
    line.handle_admin(AdminStatus::Down);
    live(&mut line, 6_000, |host| host == GATEWAY);
    line.handle_admin(AdminStatus::Up);
    let silent = changes(&mut line);
    assert_eq!(silent.last().map(|(_, to, cause)| (*to, &cause[..])), Some((Availability::Lame, "put back by hand")));
}

#[test]
fn lame_line_asks_for_its_lease_and_its_gateway_anew() {
    let mut line = watched(Line::with_dhcp(Client::new([3; 32], None)));
    line.handle_interface(at(0), RUNNING);
    hear(&mut line, 0, 2, GATEWAY);
    hear(&mut line, 0, 5, GATEWAY);
    pass(&mut line, 400);
    line.handle_packet(at(410), &arp(THEIRS, GATEWAY));
    live(&mut line, 3_000, |_| true);
    assert!(!line.dhcp().unwrap().expects_answer());
    live(&mut line, 10_000, |host| host == GATEWAY);
    assert_eq!(line.availability(), Availability::Lame);
    assert!(line.dhcp().unwrap().expects_answer(), "its lease is to be extended");
    assert!(std::iter::from_fn(|| line.poll_event()).any(|event| event == LineEvent::Redialled));
}
