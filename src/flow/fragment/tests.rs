//! Scenarios of fragments that are late, early, missing, repeated, overlapping, or too many.

use super::*;

const PORTS: (u16, u16) = (40_000, 53);
const UDP: u8 = 17;

fn key(identification: u16) -> FragmentKey {
    FragmentKey {
        source: Ipv4Addr::new(192, 168, 10, 2),
        destination: Ipv4Addr::new(203, 0, 113, 7),
        identification,
        protocol: UDP,
    }
}

fn at(milliseconds: u64) -> Timestamp {
    Timestamp::from_millis(milliseconds)
}

fn piece(offset: u16, length: usize, more: bool) -> PieceRange {
    PieceRange::new(offset, length, more).unwrap()
}

fn packet(mark: u8) -> PacketBuffer {
    let mut packet = PacketBuffer::new();
    packet.fill(&[mark]);
    packet
}

fn mark(packet: &PacketBuffer) -> u8 {
    packet.packet()[0]
}

#[track_caller]
fn assert_forwarded(later: &Later) {
    assert!(matches!(later, Later::Forward { ports: PORTS, .. }), "{later:?}");
}

#[track_caller]
fn assert_refused(later: &Later, expected: FragmentError) {
    assert!(matches!(later, Later::Refused { reason, .. } if *reason == expected), "{later:?}");
}

#[test]
fn pieces_in_order_go_straight_on_and_are_forgotten() {
    let mut cache = FragmentCache::new();
    assert_eq!(cache.first(at(0), key(1), PORTS, piece(0, 1480, true)), Ok(()));
    assert!(cache.release(key(1)).is_none());
    assert_forwarded(&cache.later(at(0), key(1), piece(1480, 1480, true), packet(1)));
    assert_forwarded(&cache.later(at(0), key(1), piece(2960, 40, false), packet(2)));
    assert!(cache.is_empty());
}

#[test]
fn three_reversed_pieces_wait_for_the_first_and_keep_their_order() {
    let mut cache = FragmentCache::new();
    assert!(matches!(cache.later(at(0), key(1), piece(2960, 40, false), packet(2)), Later::Held));
    assert!(matches!(cache.later(at(0), key(1), piece(1480, 1480, true), packet(1)), Later::Held));
    assert!(matches!(cache.later(at(0), key(2), piece(1480, 8, false), packet(9)), Later::Held));
    assert_eq!(cache.first(at(1), key(1), PORTS, piece(0, 1480, true)), Ok(()));
    assert_eq!(cache.release(key(1)).map(|packet| mark(&packet)), Some(2));
    assert_eq!(cache.release(key(1)).map(|packet| mark(&packet)), Some(1));
    assert!(cache.release(key(1)).is_none());
    assert!(!cache.is_empty(), "the other datagram still waits");
}

#[test]
fn pieces_without_a_first_one_are_given_back_after_five_seconds() {
    let mut cache = FragmentCache::new();
    let mut pool = BufferPool::new(0);
    assert!(matches!(cache.later(at(0), key(1), piece(8, 8, true), packet(1)), Later::Held));
    assert_eq!(cache.handle_timeout(at(4_999), &mut pool), 0);
    assert_eq!(cache.handle_timeout(at(5_000), &mut pool), 1);
    assert!(cache.is_empty());
}

#[test]
fn ports_are_remembered_for_thirty_seconds() {
    let mut cache = FragmentCache::new();
    let mut pool = BufferPool::new(0);
    cache.first(at(0), key(1), PORTS, piece(0, 8, true)).unwrap();
    assert_eq!(cache.handle_timeout(at(29_999), &mut pool), 0);
    assert_forwarded(&cache.later(at(29_999), key(1), piece(16, 8, true), packet(1)));
    cache.handle_timeout(at(30_000), &mut pool);
    assert!(cache.is_empty());
}

#[test]
fn overlaps_old_new_and_total_are_refused() {
    let mut cache = FragmentCache::new();
    cache.first(at(0), key(1), PORTS, piece(0, 800, true)).unwrap();
    assert_forwarded(&cache.later(at(0), key(1), piece(1600, 800, true), packet(0)));
    for (offset, length, more) in
        [(792, 16, true), (8, 8, true), (1592, 16, true), (1600, 808, true), (8, 4_000, false)]
    {
        assert_refused(&cache.later(at(0), key(1), piece(offset, length, more), packet(0)), FragmentError::Overlap);
    }
    assert_eq!(cache.first(at(0), key(1), (1, 2), piece(0, 16, true)), Err(FragmentError::Overlap));
    assert_forwarded(&cache.later(at(0), key(1), piece(800, 800, true), packet(0)));
}

#[test]
fn datagram_has_one_end() {
    let mut cache = FragmentCache::new();
    cache.first(at(0), key(1), PORTS, piece(0, 800, true)).unwrap();
    assert_forwarded(&cache.later(at(0), key(1), piece(2400, 100, false), packet(0)));
    assert_refused(&cache.later(at(0), key(1), piece(3200, 8, true), packet(0)), FragmentError::Overlap);
    assert_refused(&cache.later(at(0), key(1), piece(1600, 8, false), packet(0)), FragmentError::Overlap);
}

#[test]
fn exact_duplicates_are_dropped_as_such() {
    let mut cache = FragmentCache::new();
    cache.first(at(0), key(1), PORTS, piece(0, 800, true)).unwrap();
    assert_eq!(cache.first(at(1), key(1), PORTS, piece(0, 800, true)), Err(FragmentError::Duplicate));
    assert_forwarded(&cache.later(at(1), key(1), piece(1600, 800, true), packet(0)));
    assert_refused(&cache.later(at(1), key(1), piece(1600, 800, true), packet(0)), FragmentError::Duplicate);
}

#[test]
fn reused_identification_of_an_incomplete_datagram_starts_anew() {
    let mut cache = FragmentCache::new();
    cache.first(at(0), key(1), (1, 2), piece(0, 800, true)).unwrap();
    assert_eq!(cache.first(at(16_000), key(1), PORTS, piece(0, 800, true)), Ok(()));
    assert_forwarded(&cache.later(at(16_000), key(1), piece(800, 100, false), packet(0)));
    assert!(cache.is_empty());
}

#[test]
fn impossible_pieces_have_no_range() {
    assert!(PieceRange::new(65_528, 8, false).is_none(), "beyond the longest datagram");
    assert!(PieceRange::new(65_504, 12, false).is_none(), "beyond it with the header");
    assert!(PieceRange::new(65_504, 11, false).is_some());
    assert!(PieceRange::new(0, 12, true).is_none(), "not a multiple of eight");
    assert!(PieceRange::new(8, 0, false).is_none(), "empty");
}

#[test]
fn tcp_header_in_pieces_is_refused() {
    let mut cache = FragmentCache::new();
    let key = FragmentKey { protocol: TCP, ..key(1) };
    assert_eq!(cache.first(at(0), key, PORTS, piece(0, 8, true)), Err(FragmentError::Tiny));
    assert_eq!(cache.first(at(0), key, PORTS, piece(0, 16, true)), Err(FragmentError::Tiny));
    for offset in [8, 16] {
        assert_refused(&cache.later(at(0), key, piece(offset, 80, true), packet(0)), FragmentError::Tiny);
    }
    assert_eq!(cache.first(at(0), key, PORTS, piece(0, 24, true)), Ok(()));
    assert_forwarded(&cache.later(at(0), key, piece(24, 80, false), packet(0)));
}

#[test]
fn eight_thousand_pieces_are_refused_after_the_first_sixty_four() {
    let mut cache = FragmentCache::new();
    cache.first(at(0), key(1), PORTS, piece(0, 8, true)).unwrap();
    let mut forwarded = 1;
    for number in 1..8_192 - 3 {
        match cache.later(at(0), key(1), piece(number * 8, 8, true), packet(0)) {
            Later::Forward { .. } => forwarded += 1,
            other => assert_refused(&other, FragmentError::TooManyPieces),
        }
    }
    assert_eq!(forwarded, PIECES);
}

#[test]
fn flood_of_orphan_first_pieces_pushes_out_only_itself() {
    let mut cache = FragmentCache::new();
    let quiet = FragmentKey { source: Ipv4Addr::new(192, 168, 10, 99), ..key(7) };
    cache.first(at(0), quiet, PORTS, piece(0, 800, true)).unwrap();
    for number in 0..50_000_u32 {
        let flood = FragmentKey { destination: Ipv4Addr::from(number), ..key(1) };
        assert_eq!(cache.first(at(1), flood, (1, 2), piece(0, 800, true)), Ok(()));
    }
    assert_eq!((cache.datagrams.len(), cache.datagrams.capacity()), (DATAGRAMS, DATAGRAMS));
    assert_forwarded(&cache.later(at(2), quiet, piece(800, 8, false), packet(0)));
    let newcomer = FragmentKey { source: Ipv4Addr::new(192, 168, 10, 98), ..key(8) };
    assert_eq!(cache.first(at(2), newcomer, PORTS, piece(0, 800, true)), Ok(()));
    assert_forwarded(&cache.later(at(2), newcomer, piece(800, 8, false), packet(0)));
}

#[test]
fn flood_from_everywhere_does_not_shut_new_datagrams_out() {
    let mut cache = FragmentCache::new();
    for number in 0..10_000_u32 {
        let flood = FragmentKey { source: Ipv4Addr::from(number), ..key(1) };
        cache.first(at(0), flood, (1, 2), piece(0, 800, true)).unwrap();
    }
    assert_eq!(cache.first(at(1), key(2), PORTS, piece(0, 800, true)), Ok(()));
    assert_forwarded(&cache.later(at(1), key(2), piece(800, 8, false), packet(0)));
}

#[test]
fn flood_of_orphan_later_pieces_holds_a_bounded_number_and_pushes_out_only_itself() {
    let mut cache = FragmentCache::new();
    let quiet = FragmentKey { source: Ipv4Addr::new(192, 168, 10, 99), ..key(7) };
    assert!(matches!(cache.later(at(0), quiet, piece(800, 8, false), packet(7)), Later::Held));
    let (mut held, mut refused) = (1, 0);
    let mut spare = packet(0);
    for identification in 0..2_000 {
        match cache.later(at(1), key(identification), piece(800, 8, false), spare) {
            Later::Held => held += 1,
            Later::Refused { packet, reason: FragmentError::HoldFull } => {
                refused += 1;
                spare = packet;
                continue;
            }
            other => panic!("{other:?}"),
        }
        spare = packet(0);
    }
    assert_eq!((held, refused), (HELD, 2_000 - HELD + 1));
    assert_eq!((cache.held.len(), cache.held.capacity()), (HELD, HELD));
    cache.first(at(2), quiet, PORTS, piece(0, 800, true)).unwrap();
    assert_eq!(cache.release(quiet).map(|packet| mark(&packet)), Some(7));
    assert_eq!(cache.handle_timeout(at(5_001), &mut BufferPool::new(0)), HELD - 1);
    cache.handle_timeout(at(40_000), &mut BufferPool::new(0));
    assert!(cache.is_empty());
}
