//! Any frames from any side, in any order: no panic, and no private address leaves an uplink.
//!
//! Input: a sequence of packets, each with a header of 4 bytes: what to do, ports to mend, and the length (little-endian).

#![no_main]

#[path = "../../tests/world/mod.rs"]
mod world;

use std::cell::RefCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::engine::{Egress, Filtering};
use potato::flow::Protocol;
use potato::placement::UplinkId;
use potato::wire::ipv4;
use world::{Sent, Size, World, datagram, external, host, remote};

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(Size {
        workers: 2,
        filtering: Filtering::EndpointIndependent,
        ..Size::default()
    }));
}

/// Makes the IP header's checksum right, so that the packet gets further than the first check.
fn mend(packet: &mut [u8]) {
    let header_length = packet.first().map_or(0, |first| usize::from(first & 0x0f) * 4);
    if (20..=packet.len()).contains(&header_length) {
        ipv4::write_checksum(packet, header_length);
    }
}

fn check(sent: &[Sent]) {
    for Sent { egress, bytes, .. } in sent {
        let header = etherparse::Ipv4HeaderSlice::from_slice(bytes).expect("the engine sends sound headers");
        assert_eq!(usize::from(header.total_len()), bytes.len());
        if let Egress::Uplink(uplink) = egress {
            assert_eq!(header.source_addr(), external(uplink.0), "private address outside");
        }
    }
}

fn act(world: &mut World, action: u8, packet: &mut Vec<u8>) {
    if action & 0x10 != 0 {
        mend(packet);
    }
    let uplink = UplinkId(action >> 7);
    let sent = match action & 0x03 {
        0 => world.host_sends(packet),
        1 => world.internet_sends(uplink, packet),
        2 => {
            // A flow that the following packets may hit.
            world.host_sends(&datagram(Protocol::Udp, (host(0), 4_000), (remote(0), 53), 64, b"opens"))
        }
        _ => {
            world.skip(Duration::from_secs(u64::from(action) * 4));
            Vec::new()
        }
    };
    check(&sent);
}

fuzz_target!(|data: &[u8]| {
    WORLD.with_borrow_mut(|world| {
        // What an earlier input has opened is over by now.
        world.skip(Duration::from_secs(10_000));
        let mut rest = data;
        while let [action, _, low, high, behind @ ..] = rest {
            let length = usize::from(u16::from_le_bytes([*low, *high]) & 0x0fff).min(behind.len());
            let (packet, next) = behind.split_at(length);
            act(world, *action, &mut packet.to_vec());
            rest = next;
        }
    });
});
