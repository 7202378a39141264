//! The hot path allocates nothing: everything is made at the start. A counting allocator holds that.

mod world;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use potato::engine::Outbox;
use potato::flow::Protocol;
use potato::placement::UplinkId;
use potato::wire::{PacketBuffer, VnetHeader};
use world::{LAN, Size, World, connect, datagram, host, remote, segment};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, which counts the calls of each thread.
struct Counting;

fn count() {
    // A thread that ends has no counter any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call is passed on to `System` unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations that `work` makes.
fn allocations(work: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Gives what was queued for sending back, as the shell does.
fn send_all(out: &mut Outbox) -> usize {
    let Outbox { uplinks, lans, pool, .. } = out;
    let queues = uplinks.iter_mut().chain(lans);
    queues.flat_map(|queue| queue.drain(..)).map(|packet| pool.give(packet)).count()
}

/// Passes `bytes` through the engine 100 times in batches of 4, after a first round that may warm up.
fn allocations_of(world: &mut World, from: Option<UplinkId>, bytes: &[u8]) -> u64 {
    let mut batch: Vec<PacketBuffer> = Vec::with_capacity(4);
    let mut round = |world: &mut World| {
        for _ in 0..4 {
            let packet = world.buffer(bytes, VnetHeader::default());
            batch.push(packet);
        }
        match from {
            None => world.workers[0].handle_lan(world.now, &world.snapshot, LAN, &mut batch, &mut world.out),
            Some(uplink) => {
                world.workers[0].handle_uplink(world.now, &world.snapshot, uplink, &mut batch, &mut world.out);
            }
        }
        assert_eq!(send_all(&mut world.out), 4);
    };
    round(world);
    allocations(|| (0..25).for_each(|_| round(world)))
}

#[test]
fn allocator_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(Box::new(7)))), 1);
}

#[test]
fn outbound_established_does_not_allocate() {
    let mut world = World::new(Size::default());
    let (host, far) = ((host(0), 40_000), (remote(0), 443));
    connect(&mut world, host, far);
    assert_eq!(allocations_of(&mut world, None, &segment(host, far, (1_001, 1_001), false, &[1; 500])), 0);
    let datagram = datagram(Protocol::Udp, host, far, 64, &[1; 500]);
    assert_eq!(allocations_of(&mut world, None, &datagram), 0);
}

#[test]
fn inbound_established_does_not_allocate() {
    let mut world = World::new(Size::default());
    let (host, far) = ((host(0), 40_000), (remote(0), 443));
    let (uplink, seen) = connect(&mut world, host, far);
    let answer = segment(far, seen, (1_001, 1_001), false, &[1; 500]);
    assert_eq!(allocations_of(&mut world, Some(uplink), &answer), 0);
}

#[test]
fn new_flows_and_their_end_do_not_allocate() {
    let mut world = World::new(Size::default());
    let mut batch = Vec::with_capacity(1);
    let mut packets: Vec<Vec<u8>> = Vec::new();
    for port in 1_024..3_024 {
        // Some keep to their site's line.
        let far_port = if port % 4 == 0 { 443 } else { 53 };
        packets.push(datagram(Protocol::Udp, (host(0), port), (remote(0), far_port), 64, b"query"));
    }
    let open = |world: &mut World, batch: &mut Vec<PacketBuffer>, packet: &[u8]| {
        let buffer = world.buffer(packet, VnetHeader::default());
        batch.push(buffer);
        world.workers[0].handle_lan(world.now, &world.snapshot, LAN, batch, &mut world.out);
        assert_eq!(send_all(&mut world.out), 1);
    };
    for packet in &packets[..4] {
        open(&mut world, &mut batch, packet);
    }
    assert_eq!(allocations(|| packets.iter().for_each(|packet| open(&mut world, &mut batch, packet))), 0);
    assert_eq!(allocations(|| world.wait(std::time::Duration::from_secs(600))), 0);
    assert_eq!(world.workers[0].counters().flows.value(), 0);
}

#[test]
fn dropped_packets_do_not_allocate() {
    let mut world = World::new(Size::default());
    let seen = (world::external(0), 40_000);
    let packet = datagram(Protocol::Udp, (remote(0), 53), seen, 64, b"nobody asked");
    let mut batch = Vec::with_capacity(1);
    let used = allocations(|| {
        for _ in 0..100 {
            let buffer = world.buffer(&packet, VnetHeader::default());
            batch.push(buffer);
            world.workers[0].handle_uplink(world.now, &world.snapshot, UplinkId(0), &mut batch, &mut world.out);
        }
    });
    assert_eq!((used, send_all(&mut world.out)), (0, 0));
}
