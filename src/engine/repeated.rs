//! Data that is sent again: counted for each line, for its health. What hairpins send says nothing of a line.

use super::counters::{FarEndCounters, UplinkCounters, far_end_group};
use super::shortcut::Segments;
use crate::flow::FlowV4;
use crate::flow::direction::Direction;
use crate::flow::record::FLAG_HAIRPIN;
use crate::flow::tcp::Payload;
use crate::wire::TcpSegment;

/// What data a packet carries, to be asked before the tracker has followed it.
#[inline]
pub(super) fn payload(record: &FlowV4, direction: Direction, segment: Option<&TcpSegment>) -> Payload {
    match segment {
        Some(segment) if !record.has(FLAG_HAIRPIN) => record.body.tcp.payload(direction, segment),
        _ => Payload::Empty,
    }
}

/// A host has sent this, in so many packets on the wire.
#[inline]
pub(super) fn count_sent(counters: &UplinkCounters, record: &mut FlowV4, payload: Payload, packets: u64) {
    if payload == Payload::Empty {
        return;
    }
    counters.out_data.add(packets);
    if payload == Payload::Again {
        counters.out_repeated.add(packets);
        count_repetition(counters, record);
    }
}

/// It came for a host.
#[inline]
pub(super) fn count_received(counters: &UplinkCounters, payload: Payload, packets: u64) {
    if payload == Payload::Empty {
        return;
    }
    counters.in_data.add(packets);
    if payload == Payload::Again {
        counters.in_repeated.add(packets);
    }
}

/// The far end has acknowledged more.
pub(super) fn count_heard(counters: &UplinkCounters, record: &mut FlowV4) {
    if !record.has(FLAG_HAIRPIN) {
        record.body.tcp.note_heard();
        far_end(counters, record).heard.add(1);
    }
}

/// The shortcut has carried these segments of a flow, out and in, and meanwhile the far end was heard or not.
pub(super) fn count_carried(
    counters: &UplinkCounters,
    record: &mut FlowV4,
    [out, back]: [Segments; 2],
    is_heard: bool,
) {
    counters.out_data.add(out.all);
    counters.out_repeated.add(out.repeated);
    counters.in_data.add(back.all);
    counters.in_repeated.add(back.repeated);
    if is_heard {
        count_heard(counters, record);
    } else if out.repeated > 0 {
        count_repetition(counters, record);
    }
}

fn count_repetition(counters: &UplinkCounters, record: &mut FlowV4) {
    if record.body.tcp.note_repetition() {
        far_end(counters, record).stuck.add(1);
    }
}

fn far_end<'a>(counters: &'a UplinkCounters, record: &FlowV4) -> &'a FarEndCounters {
    &counters.far_ends[far_end_group(record.remote)]
}
