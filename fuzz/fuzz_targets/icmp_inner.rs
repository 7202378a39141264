//! Anything quoted in an ICMP error with a right checksum, both ways: no panic, and nothing private in what leaves.

#![no_main]

#[path = "../../tests/world/mod.rs"]
mod world;

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::engine::Egress;
use potato::flow::Protocol;
use potato::placement::UplinkId;
use potato::wire::{icmp, ipv4};
use world::{Size, World, datagram, external, host, remote, source};

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(Size { uplinks: 1, ..Size::default() }));
}

const KINDS: [[u8; 2]; 4] = [[3, 4], [11, 0], [12, 0], [3, 1]];

/// An error of one of the kinds about `quoted`, sums right.
fn error(kind: [u8; 2], from: Ipv4Addr, to: Ipv4Addr, quoted: &[u8]) -> Vec<u8> {
    let mut packet = datagram(Protocol::Icmp, (from, 0), (to, 0), 64, quoted);
    packet[20..22].copy_from_slice(&kind);
    icmp::write_checksum(&mut packet[20..]);
    packet
}

fuzz_target!(|data: &[u8]| {
    let [choice, quoted @ ..] = data else { return };
    let quoted = &quoted[..quoted.len().min(1_400)];
    WORLD.with_borrow_mut(|world| {
        world.skip(Duration::from_secs(10_000));
        let protocol = Protocol::ALL[usize::from(choice >> 2) % 3];
        let opening = datagram(protocol, (host(0), 4_000), (remote(0), 53), 64, b"opens");
        let seen = source(&world.host_sends(&opening)[0].bytes);
        let kind = KINDS[usize::from(choice & 3)];
        // Half of the inputs damage the packet that an honest error would quote; the others are all their own.
        let inbound = choice & 0x10 == 0;
        let honest = if inbound {
            datagram(protocol, seen, (remote(0), 53), 63, b"opens")
        } else {
            datagram(protocol, (remote(0), 53), (host(0), 4_000), 63, b"opens")
        };
        let mut inner = quoted.to_vec();
        if choice & 0x20 != 0 {
            inner = honest;
            inner.iter_mut().zip(quoted).for_each(|(byte, damage)| *byte ^= damage);
        }
        let header_length = inner.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
        if choice & 0x40 != 0 && (20..=inner.len()).contains(&header_length) {
            ipv4::write_checksum(&mut inner, header_length);
        }
        let sent = if inbound {
            world.internet_sends(UplinkId(0), &error(kind, remote(9), external(0), &inner))
        } else {
            world.host_sends(&error(kind, host(0), remote(0), &inner))
        };
        for sent in sent.iter().filter(|sent| matches!(sent.egress, Egress::Uplink(_))) {
            assert_eq!(sent.bytes[12..16], external(0).octets(), "private address outside");
            assert_eq!(sent.bytes[28 + 16..28 + 20], external(0).octets(), "private address in the quoted packet");
        }
    });
});
