//! A virtio header that lies: what is decoded encodes to the same, and the engine takes no harm from the rest.

#![no_main]

#[path = "../../tests/world/mod.rs"]
mod world;

use std::cell::RefCell;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::engine::Outbox;
use potato::flow::Protocol;
use potato::placement::LanId;
use potato::wire::vnet::VNET_LENGTH;
use potato::wire::{Checksum, VnetHeader};
use world::{Size, World, datagram, host, remote, segment};

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new(Size { uplinks: 1, ..Size::default() }));
}

fn check_codec(bytes: &[u8; VNET_LENGTH]) {
    for link_length in [0, 14] {
        if let Ok(header) = VnetHeader::decode(bytes, link_length) {
            let encoded = header.encode(link_length, 54);
            // Nobody is told that we, or somebody before us, found a checksum right.
            let checksum = if header.checksum == Checksum::Verified { Checksum::Complete } else { header.checksum };
            assert_eq!(VnetHeader::decode(&encoded, link_length), Ok(VnetHeader { checksum, ..header }));
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((header, rest)) = data.split_first_chunk::<VNET_LENGTH>() else { return };
    check_codec(header);
    let [choice, payload @ ..] = rest else { return };
    let payload = &payload[..payload.len().min(4_000)];
    WORLD.with_borrow_mut(|world| {
        world.skip(Duration::from_secs(10_000));
        let (host, far) = ((host(0), 4_000), (remote(0), 443));
        let packet = match choice % 3 {
            0 => datagram(Protocol::Udp, host, far, 64, payload),
            1 => segment(host, far, (1, 0), true, payload),
            _ => payload.to_vec(),
        };
        let link_length = if choice & 4 == 0 { 0 } else { 14 };
        let mut buffer = world.out.pool.take();
        let area = buffer.receive_area(link_length);
        area[..VNET_LENGTH].copy_from_slice(header);
        area[VNET_LENGTH..VNET_LENGTH + link_length].fill(0);
        if link_length > 0 {
            area[VNET_LENGTH + 12..VNET_LENGTH + 14].copy_from_slice(&[0x08, 0x00]);
        }
        let start = VNET_LENGTH + link_length;
        area[start..start + packet.len()].copy_from_slice(&packet);
        if buffer.received(start + packet.len(), link_length).is_err() {
            world.out.pool.give(buffer);
            return;
        }
        let mut batch = vec![buffer];
        world.workers[0].handle_lan(world.now, &world.snapshot, LanId::TUN, &mut batch, &mut world.out);
        let Outbox { uplinks, lans, pool, .. } = &mut world.out;
        for mut sent in uplinks.iter_mut().chain(lans).flat_map(|queue| queue.drain(..)) {
            // What the shell does last.
            assert!(sent.frame_to_send().len() > VNET_LENGTH);
            pool.give(sent);
        }
    });
});
