//! Any pieces in any order with time between them: nothing is lost, nothing is held twice, and the bounds hold.
//!
//! Input: steps of 6 bytes: what to do, datagram, offset (in 8 bytes, big-endian), length (in 8 bytes), flags.

#![no_main]

use std::net::Ipv4Addr;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use potato::flow::Timestamp;
use potato::flow::fragment::{FragmentCache, FragmentKey, Later, PieceRange};
use potato::wire::{BufferPool, PacketBuffer};

const MOST_HELD: usize = 128;

fn key(datagram: u8) -> FragmentKey {
    FragmentKey {
        source: Ipv4Addr::new(192, 168, 10, datagram & 3),
        destination: Ipv4Addr::new(203, 0, 113, 7),
        identification: u16::from(datagram >> 3),
        protocol: if datagram & 4 == 0 { 17 } else { 6 },
    }
}

fuzz_target!(|data: &[u8]| {
    let mut cache = FragmentCache::new();
    let mut pool = BufferPool::new(0);
    let mut now = Timestamp::from_millis(1_000);
    let mut held = 0;
    for step in data.chunks_exact(6).take(600) {
        let key = key(step[1]);
        let offset = u16::from_be_bytes([step[2] & 0x1f, step[3]]) * 8;
        let length = usize::from(step[4]) * 8 + usize::from(step[5] >> 4);
        let Some(range) = PieceRange::new(offset, length, step[5] & 1 != 0) else { continue };
        match step[0] % 8 {
            0 | 1 => {
                let _ = cache.first(now, key, (1, 2), range);
                while let Some(packet) = cache.release(key) {
                    held -= 1;
                    pool.give(packet);
                }
            }
            2..=6 => match cache.later(now, key, range, PacketBuffer::new()) {
                Later::Forward { ports, .. } => assert_eq!(ports, (1, 2)),
                Later::Held => held += 1,
                // This packet, or an older one whose place it has taken.
                Later::Refused { .. } => {}
            },
            _ => {
                now = now + Duration::from_millis(u64::from(step[2]) * 100);
                held -= cache.handle_timeout(now, &mut pool);
            }
        }
        assert!(held <= MOST_HELD);
    }
    held -= cache.handle_timeout(now + Duration::from_secs(60), &mut pool);
    assert_eq!(held, 0, "every held packet came back");
    assert!(cache.is_empty());
});
