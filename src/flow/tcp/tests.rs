//! Scenarios: named after what happens on the wire.

use super::*;
use Direction::{Original, Reply};
use Payload::{Again, Empty, New};
use TcpVerdict::{BadState, Forward, OutOfWindow, Reopen};
use zerocopy::IntoBytes;

const CLIENT: u32 = 0xffff_ff00;
const SERVER: u32 = 5_000;
const WINDOW: u16 = 1_000;

fn syn(sequence: u32) -> TcpSegment {
    TcpSegment { sequence, window: WINDOW, flags: TcpFlags::SYN, ..TcpSegment::default() }
}

fn syn_ack(sequence: u32, acknowledgement: u32) -> TcpSegment {
    TcpSegment { acknowledgement, flags: TcpFlags::SYN.union(TcpFlags::ACK), ..syn(sequence) }
}

fn ack(sequence: u32, acknowledgement: u32) -> TcpSegment {
    TcpSegment { acknowledgement, flags: TcpFlags::ACK, ..syn(sequence) }
}

fn data(sequence: u32, acknowledgement: u32, payload_length: u32) -> TcpSegment {
    TcpSegment { payload_length, ..ack(sequence, acknowledgement) }
}

fn fin(sequence: u32, acknowledgement: u32) -> TcpSegment {
    TcpSegment { flags: TcpFlags::FIN.union(TcpFlags::ACK), ..ack(sequence, acknowledgement) }
}

fn reset(sequence: u32) -> TcpSegment {
    TcpSegment { sequence, flags: TcpFlags::RST, ..TcpSegment::default() }
}

fn refusal(acknowledgement: u32) -> TcpSegment {
    TcpSegment { acknowledgement, flags: TcpFlags::RST.union(TcpFlags::ACK), ..TcpSegment::default() }
}

/// The client has `CLIENT + 1` as its next byte, the server `SERVER + 1`.
fn established() -> TcpTracker {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    assert_eq!(tracker.observe(Reply, &syn_ack(SERVER, CLIENT.wrapping_add(1))), Forward);
    assert_eq!(tracker.state(), TcpState::SynReceived);
    assert_eq!(tracker.observe(Original, &ack(CLIENT.wrapping_add(1), SERVER + 1)), Forward);
    assert_eq!(tracker.state(), TcpState::Established);
    tracker
}

fn client(offset: u32) -> u32 {
    CLIENT.wrapping_add(1).wrapping_add(offset)
}

fn server(offset: u32) -> u32 {
    SERVER + 1 + offset
}

#[track_caller]
fn expect(tracker: &mut TcpTracker, steps: &[(Direction, TcpSegment, TcpVerdict, TcpState)]) {
    for (number, (direction, segment, verdict, state)) in steps.iter().enumerate() {
        assert_eq!(tracker.observe(*direction, segment), *verdict, "step {number}: {segment:?}");
        assert_eq!(tracker.state(), *state, "step {number}: {segment:?}");
    }
}

#[test]
fn tracker_fits_its_place_in_a_flow_record() {
    assert_eq!(size_of::<TcpTracker>(), 48);
    assert_eq!(TcpTracker::default().as_bytes(), [0; 48]);
    assert_eq!(TcpTracker::default().state(), TcpState::Fresh);
    for (number, state) in TcpState::ALL.into_iter().enumerate() {
        assert_eq!(state as usize, number);
    }
}

#[test]
fn record_of_garbage_counts_as_reset_and_never_panics() {
    let garbage: TcpTracker = zerocopy::FromBytes::read_from_bytes(&[0xff; 48]).unwrap();
    assert_eq!(garbage.state(), TcpState::Reset);
    for segment in [syn(7), syn_ack(7, 8), data(7, 8, 9), fin(7, 8), reset(7)] {
        for direction in [Original, Reply] {
            let mut tracker = garbage;
            tracker.observe(direction, &segment);
        }
    }
}

#[test]
fn only_a_syn_opens_unless_picking_up_is_allowed() {
    assert!(TcpTracker::open(&ack(1, 1), false).is_none());
    assert!(TcpTracker::open(&ack(1, 1), true).is_some());
    for segment in [reset(1), refusal(1), syn_ack(1, 1)] {
        assert!(TcpTracker::open(&segment, true).is_none(), "{segment:?}");
    }
    let xmas = TcpSegment { flags: TcpFlags(0x29), ..syn(1) };
    assert!(TcpTracker::open(&xmas, true).is_none());
}

#[test]
fn connection_opens_and_closes_with_the_timeouts_of_rfc_5382() {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    assert_eq!(tracker.timeout(), Duration::from_secs(240));
    tracker.observe(Reply, &syn_ack(SERVER, client(0)));
    assert_eq!(tracker.timeout(), Duration::from_secs(240));
    tracker.observe(Original, &ack(client(0), server(0)));
    assert_eq!(tracker.timeout(), Duration::from_secs(7_440));
    expect(
        &mut tracker,
        &[
            (Original, data(client(0), server(0), 300), Forward, TcpState::Established),
            (Reply, data(server(0), client(300), 900), Forward, TcpState::Established),
            (Reply, fin(server(900), client(300)), Forward, TcpState::HalfClosed),
            (Original, ack(client(300), server(901)), Forward, TcpState::HalfClosed),
        ],
    );
    assert_eq!(tracker.timeout(), Duration::from_secs(7_440), "the client may take its time to answer");
    expect(
        &mut tracker,
        &[
            (Original, data(client(300), server(901), 10), Forward, TcpState::HalfClosed),
            (Original, fin(client(310), server(901)), Forward, TcpState::Closing),
            (Original, fin(client(310), server(901)), Forward, TcpState::Closing),
            (Reply, ack(server(901), client(311)), Forward, TcpState::TimeWait),
            (Original, fin(client(310), server(901)), Forward, TcpState::TimeWait),
        ],
    );
    assert_eq!(tracker.timeout(), Duration::from_secs(240));
}

#[test]
fn syn_after_the_end_reopens_but_a_late_duplicate_does_not() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Original, fin(client(0), server(0)), Forward, TcpState::HalfClosed),
            (Reply, fin(server(0), client(1)), Forward, TcpState::Closing),
            (Original, ack(client(1), server(1)), Forward, TcpState::TimeWait),
            (Original, syn(CLIENT), Forward, TcpState::TimeWait),
            (Original, syn(client(5_000)), Reopen, TcpState::TimeWait),
            (Reply, reset(server(1)), Forward, TcpState::Reset),
            (Original, syn(1), Reopen, TcpState::Reset),
        ],
    );
}

#[test]
fn server_takes_a_reused_port_whose_numbers_go_back() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Original, fin(client(0), server(0)), Forward, TcpState::HalfClosed),
            (Reply, fin(server(0), client(1)), Forward, TcpState::Closing),
            (Original, ack(client(1), server(1)), Forward, TcpState::TimeWait),
            (Original, syn(0x8000_1000), Forward, TcpState::TimeWait),
            (Reply, syn_ack(0x7777_0000, 0x8000_1001), Forward, TcpState::SynReceived),
            (Original, ack(0x8000_1001, 0x7777_0001), Forward, TcpState::Established),
            (Original, data(0x8000_1001, 0x7777_0001, 100), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn crossing_syns_open_one_connection() {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    expect(
        &mut tracker,
        &[
            (Reply, syn(SERVER), Forward, TcpState::SimultaneousOpen),
            (Original, syn_ack(CLIENT, server(0)), Forward, TcpState::SimultaneousOpen),
            (Reply, syn_ack(SERVER, client(0)), Forward, TcpState::Established),
            (Original, data(client(0), server(0), 100), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn refused_connection_is_reset_only_by_an_answer_to_its_syn() {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    expect(
        &mut tracker,
        &[
            (Reply, reset(0), OutOfWindow, TcpState::SynSent),
            (Reply, refusal(client(1)), OutOfWindow, TcpState::SynSent),
            (Reply, refusal(client(0)), Forward, TcpState::Reset),
        ],
    );
    assert_eq!(tracker.timeout(), Duration::from_secs(240));
}

#[test]
fn handshake_needs_the_right_acknowledgements() {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    expect(
        &mut tracker,
        &[
            (Original, ack(client(0), server(0)), BadState, TcpState::SynSent),
            (Reply, syn_ack(SERVER, client(1)), OutOfWindow, TcpState::SynSent),
            (Reply, syn_ack(SERVER, CLIENT), OutOfWindow, TcpState::SynSent),
            (Reply, syn_ack(SERVER, client(0)), Forward, TcpState::SynReceived),
            (Original, ack(client(0), server(1)), OutOfWindow, TcpState::SynReceived),
            (Original, ack(client(0), SERVER), OutOfWindow, TcpState::SynReceived),
            (Original, ack(client(0), server(0)), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn lost_handshake_segments_are_repeated() {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    expect(
        &mut tracker,
        &[
            (Original, syn(CLIENT), Forward, TcpState::SynSent),
            (Reply, syn_ack(SERVER, client(0)), Forward, TcpState::SynReceived),
            (Original, syn(CLIENT), Forward, TcpState::SynReceived),
            (Reply, syn_ack(SERVER, client(0)), Forward, TcpState::SynReceived),
            (Original, ack(client(0), server(0)), Forward, TcpState::Established),
            (Reply, syn_ack(SERVER, client(0)), Forward, TcpState::Established),
            (Original, ack(client(0), server(0)), Forward, TcpState::Established),
            (Original, data(client(0), server(0), 500), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn data_in_a_syn_may_be_taken_or_left() {
    for taken in [0, 400] {
        let mut tracker = TcpTracker::open(&TcpSegment { payload_length: 400, ..syn(CLIENT) }, false).unwrap();
        expect(
            &mut tracker,
            &[
                (Reply, syn_ack(SERVER, client(taken)), Forward, TcpState::SynReceived),
                (Reply, data(server(0), client(taken), 200), Forward, TcpState::SynReceived),
                (Original, data(client(taken), server(0), 400), Forward, TcpState::Established),
                (Original, ack(client(taken + 400), server(200)), Forward, TcpState::Established),
            ],
        );
    }
}

#[test]
fn reset_counts_only_at_the_exact_sequence_number() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Reply, reset(server(1)), Forward, TcpState::Established),
            (Reply, reset(server(u32::from(WINDOW))), Forward, TcpState::Established),
            (Reply, reset(server(u32::from(WINDOW) + 1)), OutOfWindow, TcpState::Established),
            (Reply, reset(server(0).wrapping_sub(100_000)), OutOfWindow, TcpState::Established),
            (Reply, reset(server(0)), Forward, TcpState::Reset),
        ],
    );
}

#[test]
fn data_revives_a_reset_connection_but_acknowledgements_do_not() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Reply, reset(server(0)), Forward, TcpState::Reset),
            (Original, ack(client(0), server(0)), Forward, TcpState::Reset),
            (Original, data(client(90_000), server(0), 10), OutOfWindow, TcpState::Reset),
            (Original, data(client(0), server(0), 10), Forward, TcpState::Established),
            (Reply, ack(server(0), client(10)), Forward, TcpState::Established),
        ],
    );
    assert_eq!(tracker.timeout(), Duration::from_secs(7_440));
}

#[test]
fn reset_answers_an_older_segment_while_data_is_under_way() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Reply, data(server(0), client(0), 800), Forward, TcpState::Established),
            (Original, reset(client(0)), Forward, TcpState::Reset),
        ],
    );
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Reply, data(server(0), client(0), 800), Forward, TcpState::Established),
            // The client has not acknowledged, so the server's reset is either behind its data or in front of it.
            (Reply, reset(server(400)), Forward, TcpState::Established),
            (Reply, reset(server(800)), Forward, TcpState::Reset),
        ],
    );
}

#[test]
fn blind_syn_changes_nothing_when_it_is_challenged() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Reply, syn(0x1234_5678), Forward, TcpState::Established),
            (Original, ack(client(0), server(0)), Forward, TcpState::Established),
            (Reply, data(server(0), client(0), 100), Forward, TcpState::Established),
            (Original, data(client(0), server(100), 100), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn rebooted_client_gets_through_by_challenge_and_reset() {
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Original, syn(0x1234_5678), Forward, TcpState::Established),
            (Reply, ack(server(0), client(0)), Forward, TcpState::Established),
            (Original, reset(client(0)), Forward, TcpState::Reset),
            (Original, syn(0x1234_5678), Reopen, TcpState::Reset),
        ],
    );
}

#[test]
fn rebooted_server_answers_the_new_syn() {
    let mut tracker = established();
    let syn_with_scale = TcpSegment { window_scale: Some(7), ..syn(0x1234_5678) };
    let answer = TcpSegment { window_scale: Some(9), ..syn_ack(0x7654_3210, 0x1234_5679) };
    expect(
        &mut tracker,
        &[
            (Original, syn_with_scale, Forward, TcpState::Established),
            (Reply, syn_ack(0x7654_3210, 0x1234_567a), OutOfWindow, TcpState::Established),
            (Reply, answer, Forward, TcpState::SynReceived),
            (Original, ack(0x1234_5679, 0x7654_3211), Forward, TcpState::Established),
            (Reply, data(0x7654_3211 + 120_000, 0x1234_5679, 10), Forward, TcpState::Established),
        ],
    );
    let mut tracker = established();
    expect(
        &mut tracker,
        &[
            (Original, syn(0x1234_5678), Forward, TcpState::Established),
            (Reply, refusal(0x1234_5679), Forward, TcpState::Reset),
        ],
    );
}

#[test]
fn opener_resets_an_old_connection_of_the_answerer_and_goes_on() {
    let mut tracker = TcpTracker::open(&syn(CLIENT), false).unwrap();
    expect(
        &mut tracker,
        &[
            (Reply, ack(0x4000_0000, 0x5000_0000), Forward, TcpState::SynSent),
            (Original, reset(0x5000_0000), Forward, TcpState::SynSent),
            (Original, syn(CLIENT), Forward, TcpState::SynSent),
            (Reply, syn_ack(SERVER, client(0)), Forward, TcpState::SynReceived),
        ],
    );
}

#[test]
fn segments_outside_the_window_are_refused() {
    let mut tracker = established();
    let window = u32::from(WINDOW);
    expect(
        &mut tracker,
        &[
            (Original, data(client(window + 1), server(0), 1), OutOfWindow, TcpState::Established),
            (Original, data(client(0).wrapping_sub(70_000), server(0), 1), OutOfWindow, TcpState::Established),
            (Original, data(client(0), server(1), 1), OutOfWindow, TcpState::Established),
            (Original, data(client(0), server(0).wrapping_sub(67_001), 1), OutOfWindow, TcpState::Established),
            (Original, fin(client(window + 1), server(0)), OutOfWindow, TcpState::Established),
            (Original, data(client(window), server(0), 1), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn window_scale_counts_when_both_sides_offer_it_and_is_at_most_14() {
    for (offered, answered, window) in [
        (Some(7), Some(3), 8 * 1_000),
        (Some(7), None, 1_000),
        (None, Some(3), 1_000),
        (Some(2), Some(200), 16_384_000),
    ] {
        let mut tracker = TcpTracker::open(&TcpSegment { window_scale: offered, ..syn(CLIENT) }, false).unwrap();
        tracker.observe(Reply, &TcpSegment { window_scale: answered, ..syn_ack(SERVER, client(0)) });
        tracker.observe(Original, &ack(client(0), server(0)));
        tracker.observe(Reply, &ack(server(0), client(0)));
        let mut copy = tracker;
        assert_eq!(copy.observe(Original, &data(client(window), server(0), 1)), Forward);
        assert_eq!(tracker.observe(Original, &data(client(window + 1), server(0), 1)), OutOfWindow);
    }
}

#[test]
fn syn_repeated_without_options_keeps_the_scale_of_the_first() {
    let mut tracker = TcpTracker::open(&TcpSegment { window_scale: Some(7), ..syn(CLIENT) }, false).unwrap();
    tracker.observe(Original, &syn(CLIENT));
    tracker.observe(Reply, &TcpSegment { window_scale: Some(7), ..syn_ack(SERVER, client(0)) });
    tracker.observe(Original, &ack(client(0), server(0)));
    assert_eq!(tracker.observe(Reply, &data(server(100_000), client(0), 1)), Forward);
}

#[test]
fn probes_of_a_closed_window_and_keepalives_pass() {
    let mut tracker = established();
    let closed = TcpSegment { window: 0, ..ack(server(0), client(1_000)) };
    expect(
        &mut tracker,
        &[
            (Original, data(client(0), server(0), 1_000), Forward, TcpState::Established),
            (Reply, closed, Forward, TcpState::Established),
            (Original, ack(client(999), server(0)), Forward, TcpState::Established),
            (Original, data(client(1_000), server(0), 1), Forward, TcpState::Established),
            (Reply, closed, Forward, TcpState::Established),
            (Original, data(client(999), server(0), 1), Forward, TcpState::Established),
            (Reply, ack(server(0), client(1_001)), Forward, TcpState::Established),
            (Original, data(client(1_001), server(0), 1_000), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn super_packet_is_one_long_segment() {
    let mut tracker = TcpTracker::open(&TcpSegment { window_scale: Some(7), ..syn(CLIENT) }, false).unwrap();
    let answer = TcpSegment { window_scale: Some(7), ..syn_ack(SERVER, client(0)) };
    expect(
        &mut tracker,
        &[
            (Reply, answer, Forward, TcpState::SynReceived),
            (Original, ack(client(0), server(0)), Forward, TcpState::Established),
            (Reply, data(server(0), client(0), 64_000), Forward, TcpState::Established),
            (Reply, data(server(64_000), client(0), 60_000), Forward, TcpState::Established),
            (Original, ack(client(0), server(124_000)), Forward, TcpState::Established),
        ],
    );
}

#[test]
fn recent_selective_acknowledgement_makes_up_for_an_old_one() {
    let mut tracker = established();
    let window = 60_000_u16;
    for burst in 0..4 {
        let open = TcpSegment { window, ..ack(client(0), server(burst * 60_000)) };
        assert_eq!(tracker.observe(Original, &open), Forward);
        assert_eq!(tracker.observe(Reply, &data(server(burst * 60_000), client(0), 60_000)), Forward);
    }
    let old = ack(client(0), server(10_000));
    let mut copy = tracker;
    assert_eq!(copy.observe(Original, &old), OutOfWindow);
    let selective = TcpSegment { sack_highest: Some(server(240_000)), ..old };
    assert_eq!(tracker.observe(Original, &selective), Forward);
}

#[test]
fn flow_picked_up_midstream_is_established_by_an_answer() {
    let mut tracker = TcpTracker::open(&data(client(0), server(0), 100), true).unwrap();
    assert_eq!(tracker.state(), TcpState::PickedUp);
    assert_eq!(tracker.timeout(), Duration::from_secs(240));
    expect(
        &mut tracker,
        &[
            (Reply, data(server(0), 0x4000_0000, 10), OutOfWindow, TcpState::PickedUp),
            // It acknowledges data that went before we looked.
            (Reply, data(server(0), client(5_000), 10), Forward, TcpState::Established),
            (Original, data(client(5_000), server(10), 10), Forward, TcpState::Established),
            (Reply, reset(server(10)), Forward, TcpState::Reset),
        ],
    );
}

#[test]
fn implausible_flags_are_refused_in_every_state() {
    let mut tracker = established();
    for flags in [0, 0x01, 0x03, 0x06, 0x05, 0x29] {
        let segment = TcpSegment { flags: TcpFlags(flags), ..ack(client(0), server(0)) };
        assert_eq!(tracker.observe(Original, &segment), BadState);
    }
    assert_eq!(tracker.state(), TcpState::Established);
}

#[test]
fn what_was_forwarded_elsewhere_is_caught_up_with() {
    let (mut seen, mut away) = (established(), established());
    let steps = [(Original, data(client(0), server(0), 500)), (Reply, data(server(0), client(500), 900))];
    for (direction, segment) in steps {
        assert_eq!(seen.observe(direction, &segment), Forward);
    }
    let [original, reply] = seen.windows().unwrap();
    away.catch_up(Original, original);
    away.catch_up(Reply, reply);
    assert_eq!(away, seen);
    // Old news is none.
    away.catch_up(Original, established().windows().unwrap()[0]);
    assert_eq!(away, seen);
}

#[test]
fn only_an_open_and_quiet_connection_is_left_to_others() {
    let mut tracker = established();
    assert!(tracker.windows().is_some());
    assert_eq!(tracker.observe(Reply, &syn(99)), Forward);
    assert_eq!(tracker.windows(), None, "a SYN waits for its answer");
    let mut tracker = established();
    assert_eq!(tracker.observe(Original, &fin(client(0), server(0))), Forward);
    assert_eq!(tracker.windows(), None);
    assert_eq!(TcpTracker::open(&syn(7), false).unwrap().windows(), None);
    assert_eq!(TcpTracker::open(&data(7, 8, 9), true).unwrap().windows(), None);
}

#[test]
fn forgotten_windows_are_learned_from_the_next_segment() {
    for direction in [Original, Reply] {
        let mut tracker = established();
        tracker.forget_windows();
        // Far from anything that was seen.
        let (ours, theirs) = (client(1 << 30), server(1 << 29));
        expect(
            &mut tracker,
            &[
                (direction, reset(ours), Forward, TcpState::Established),
                (direction, data(ours, theirs, 100), Forward, TcpState::PickedUp),
                (direction.opposite(), data(theirs, ours.wrapping_add(100), 100), Forward, TcpState::Established),
                (direction, reset(ours.wrapping_sub(0x7000_0000)), OutOfWindow, TcpState::Established),
                (direction, reset(ours.wrapping_add(100)), Forward, TcpState::Reset),
            ],
        );
    }
}

#[test]
fn connection_that_we_have_ended_lets_nothing_pass_and_tells_each_end_its_own_numbers() {
    let mut tracker = established();
    tracker.observe(Reply, &data(server(0), client(0), 100));
    let mut other = tracker;
    let numbers = tracker.abort(Original);
    assert_eq!(
        (numbers.sequence, numbers.newest_sequence, numbers.acknowledgement),
        (server(0), server(100), client(0))
    );
    let numbers = other.abort(Reply);
    assert_eq!(
        (numbers.sequence, numbers.newest_sequence, numbers.acknowledgement),
        (client(0), client(0), server(100))
    );
    for direction in [Original, Reply] {
        for segment in [syn(7), syn_ack(7, 8), data(client(0), server(0), 9), fin(7, 8), reset(client(0)), ack(7, 8)] {
            assert_eq!(tracker.observe(direction, &segment), TcpVerdict::Aborted);
        }
    }
    assert_eq!((tracker.state(), tracker.windows()), (TcpState::Aborted, None));
}

#[test]
fn only_a_repeated_syn_that_nobody_has_answered_is_one() {
    let mut tracker = TcpTracker::open(&syn(7), false).unwrap();
    assert!(tracker.is_unanswered_syn(&syn(7)));
    assert!(!tracker.is_unanswered_syn(&syn(8)), "another connection's");
    assert!(!tracker.is_unanswered_syn(&ack(7, 1)));
    tracker.observe(Reply, &syn_ack(SERVER, 8));
    assert!(!tracker.is_unanswered_syn(&syn(7)));
}

/// What the client's next segments carry, one after the other.
fn payloads(tracker: &mut TcpTracker, segments: &[TcpSegment]) -> Vec<Payload> {
    let observe = |segment: &TcpSegment| {
        let payload = tracker.payload(Original, segment);
        assert_eq!(tracker.observe(Original, segment), Forward);
        payload
    };
    segments.iter().map(observe).collect()
}

#[test]
fn data_that_ends_where_data_has_passed_is_sent_again() {
    let mut tracker = established();
    let said = server(0);
    let sent = [
        data(client(0), said, 100),
        data(client(100), said, 100),
        // The last one again, then the first; then both in one; and what begins with old data and ends with new.
        data(client(100), said, 100),
        data(client(0), said, 100),
        data(client(0), said, 200),
        data(client(100), said, 150),
        fin(client(250), said),
    ];
    let expected = [New, New, Again, Again, Again, New, Empty];
    assert_eq!(payloads(&mut tracker, &sent), expected);
}

#[test]
fn questions_of_keep_alive_and_closed_windows_repeat_nothing() {
    let mut tracker = established();
    let said = server(0);
    payloads(&mut tracker, &[data(client(0), said, 100)]);
    assert_eq!(tracker.observe(Reply, &ack(said, client(100))), Forward);
    // With a byte of what was acknowledged, without; and the byte behind a closed window, again and again.
    let questions =
        [data(client(99), said, 1), ack(client(99), said), data(client(100), said, 1), data(client(100), said, 1)];
    assert_eq!(payloads(&mut tracker, &questions), [New, Empty, New, New]);
}

#[test]
fn side_is_stuck_once_until_its_data_is_acknowledged() {
    let mut tracker = established();
    payloads(&mut tracker, &[data(client(0), server(0), 100)]);
    assert_eq!([(); 4].map(|()| tracker.note_repetition()), [false, true, false, false]);
    assert!(!tracker.is_heard(Reply, &ack(server(0), client(0))), "nothing new");
    assert!(!tracker.is_heard(Reply, &ack(server(0), client(1))), "as much as a FIN");
    assert!(tracker.is_heard(Reply, &ack(server(0), client(100))));
    tracker.note_heard();
    assert_eq!([(); 3].map(|()| tracker.note_repetition()), [false, true, false]);
}
