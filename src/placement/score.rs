//! When a new flow would be done on a line: what placement compares.
//!
//! Theory of operation. Nobody knows a flow's length when it begins, so lines are compared by a typical one of [`DOWNLOAD`]
//! bytes down and [`UPLOAD`] up: `expected = round trips + down / share down + up / share up`. Its share of a line that can do
//! `C` and has `n` transfers is `C / (n + 1)`. That long ones count for more was tried (8 and 64 times as much) and made things worse.
//!
//! But one that has gone on for a while may have less than its part: a video whose server sends no faster. So on a line that is not
//! `BUSY_PERCENT` busy the share is, if that is more, what they leave, for those that have just begun, whose rate says nothing
//! yet, and this one: `(C - their rate) / (fresh + 1)`, a tenth of `C` kept back for what measurement cannot tell.
//!
//! Loss bounds the share: one connection has no more than TCP makes of it (Mathis et al., 1997).
//!
//! All numbers are whole, so the same state of affairs makes the same choice everywhere.

use super::ids::{MAX_UPLINKS, UplinkId};
use super::load::{Load, Rates};
use super::uplink::Uplink;

/// What a flow is taken to have to carry, in bytes: what people load has 200 kB on average, and asks for little.
pub const DOWNLOAD: u32 = 200_000;
/// The same to the internet.
pub const UPLOAD: u32 = 5_000;
/// Round trips that it takes beside: the handshake, the question, and until TCP has opened its window (RFC 6928: 14.6 kB at
/// first, twice as much each time).
const ROUND_TRIPS: u32 = 5;
/// A line that carries this share of what it can do has nothing left, whoever has it.
const BUSY_PERCENT: u64 = 80;
/// Of what settled transfers leave, this part of the line is not counted on.
const KEPT_BACK: u32 = 10;

/// What speaks for a line and against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// When a typical flow would be done, in microseconds from its start.
    pub expected_us: u32,
    /// What it would have of the line from the internet, in kilobits a second.
    pub share_kbit: u32,
    /// Flows that the line had.
    pub flows: u32,
    /// Those that were transfers.
    pub transfers: u16,
    /// A round trip, in milliseconds.
    pub round_trip_ms: u16,
    uplink: u8,
    /// Whether loss bounded the share.
    bounded: u8,
}

/// What a new flow would have of one direction of a line: see the theory above.
fn share(speed: u32, carried: Carried, counts: Counts) -> u32 {
    let alike = speed / (counts.transfers + 1);
    if counts.settled == 0 || u64::from(carried.all) * 100 >= u64::from(speed) * BUSY_PERCENT {
        return alike;
    }
    let left = (speed - speed / KEPT_BACK).saturating_sub(carried.settled);
    alike.max(left / (counts.transfers - counts.settled + 1))
}

/// What goes over one direction of a line, in kilobits a second.
#[derive(Clone, Copy)]
struct Carried {
    all: u32,
    /// Of settled transfers.
    settled: u32,
}

#[derive(Clone, Copy)]
struct Counts {
    transfers: u32,
    /// Of those.
    settled: u32,
}

/// Microseconds for bytes at kilobits a second.
fn time(bytes: u32, share_kbit: u32) -> u32 {
    let bits_thousandfold = bytes * 8 * 1_000;
    bits_thousandfold / share_kbit.max(1)
}

const _: () = assert!((DOWNLOAD as u64) * 8_000 <= u32::MAX as u64, "times fit");

impl Score {
    /// Of a line for a transfer.
    #[must_use]
    pub fn of(uplink: &Uplink, load: &Load) -> Self {
        let (id, knowledge) = (uplink.id, load.knowledge(uplink.id));
        let transfers = load.transfers(id).min(u32::from(u16::MAX));
        // Other workers count while we read.
        let counts = Counts { transfers, settled: load.settled(id).min(transfers) };
        let (all, settled) = match counts.settled {
            0 => (Rates::default(), Rates::default()),
            _ => (load.moving(id), load.settled_moving(id)),
        };
        let [down, up] = [(all.download, settled.download), (all.upload, settled.upload)]
            .map(|(all, settled)| Carried { all, settled });
        let speed = match knowledge.speed.download {
            0 => uplink.weight.get().saturating_mul(1_000),
            known => known,
        };
        let whole = share(speed, down, counts);
        let is_bounded = knowledge.loss_bound > 0 && knowledge.loss_bound < whole;
        let share_kbit = if is_bounded { knowledge.loss_bound } else { whole };
        let mut expected =
            time(DOWNLOAD, share_kbit).saturating_add(knowledge.round_trip_ms.saturating_mul(ROUND_TRIPS * 1_000));
        if knowledge.speed.upload > 0 {
            expected = expected.saturating_add(time(UPLOAD, share(knowledge.speed.upload, up, counts)));
        }
        Self {
            expected_us: expected,
            share_kbit,
            flows: load.flows(id),
            transfers: transfers as u16,
            round_trip_ms: u16::try_from(knowledge.round_trip_ms).unwrap_or(u16::MAX),
            uplink: id.0,
            bounded: u8::from(is_bounded),
        }
    }

    /// The line.
    #[must_use]
    pub const fn uplink(&self) -> UplinkId {
        UplinkId(self.uplink)
    }

    /// Whether its share is no more than that because packets are lost.
    #[must_use]
    pub const fn is_bounded_by_loss(&self) -> bool {
        self.bounded != 0
    }
}

/// The scores of all lines that there were to choose from.
#[derive(Clone, Copy, Debug)]
pub struct Scores {
    count: u8,
    all: [Score; MAX_UPLINKS],
}

impl Default for Scores {
    fn default() -> Self {
        Self { count: 0, all: [Score::default(); MAX_UPLINKS] }
    }
}

impl Scores {
    /// Takes in one more, if there is room.
    pub fn push(&mut self, score: Score) {
        if let Some(place) = self.all.get_mut(usize::from(self.count)) {
            *place = score;
            self.count += 1;
        }
    }

    /// Takes over the others' instead of its own.
    pub fn replace_by(&mut self, others: &Self) {
        let others = others.as_slice();
        self.all[..others.len()].copy_from_slice(others);
        self.count = others.len() as u8;
    }

    /// All of them, in the order of the lines.
    #[must_use]
    pub fn as_slice(&self) -> &[Score] {
        &self.all[..usize::from(self.count)]
    }
}

impl PartialEq for Scores {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Scores {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::load::Knowledge;
    use crate::placement::testing::uplink;

    fn rates(download: u32, upload: u32) -> Rates {
        Rates { download, upload }
    }

    /// A line of 20 Mbit/s with `fresh` transfers that have just begun, and `settled` ones that move so much together.
    fn line(fresh: u32, settled: u32, moving: Rates) -> Load {
        let (load, id) = (Load::default(), UplinkId(0));
        load.set_knowledge(id, Knowledge { speed: rates(20_000, 0), ..Knowledge::default() });
        (0..fresh + settled).for_each(|_| load.begin_transfer(id));
        (0..settled).for_each(|_| load.settle_transfer(id));
        load.measure_settled(id, Rates::default(), moving);
        load.measure(id, Rates::default(), moving);
        load
    }

    fn share(load: &Load) -> u32 {
        Score::of(&uplink(0, 1), load).share_kbit
    }

    #[test]
    fn transfers_share_alike() {
        assert_eq!(share(&line(0, 0, rates(0, 0))), 20_000);
        assert_eq!(share(&line(3, 0, rates(0, 0))), 5_000);
        assert_eq!(share(&line(0, 3, rates(19_700, 300))), 5_000);
        assert_eq!(share(&line(2, 1, rates(19_700, 300))), 5_000);
    }

    #[test]
    fn what_slow_far_ends_leave_is_room() {
        // Three videos of 2 Mbit/s each.
        assert_eq!(share(&line(0, 3, rates(6_000, 100))), 12_000);
        assert_eq!(share(&line(1, 3, rates(6_000, 100))), 6_000);
    }

    #[test]
    fn full_upload_delays_what_is_asked_for() {
        let (load, id) = (line(0, 2, rates(200, 1_000)), UplinkId(0));
        let before = Score::of(&uplink(0, 1), &load).expected_us;
        load.set_knowledge(id, Knowledge { speed: rates(20_000, 1_000), ..Knowledge::default() });
        assert_eq!(Score::of(&uplink(0, 1), &load).expected_us - before, time(UPLOAD, 1_000 / 3));
    }

    #[test]
    fn delay_and_loss_count() {
        let (load, id) = (line(0, 0, rates(0, 0)), UplinkId(0));
        let of = |round_trip_ms, loss_bound| {
            load.set_knowledge(
                id,
                Knowledge { speed: rates(20_000, 0), round_trip_ms, loss_bound, ..Knowledge::default() },
            );
            Score::of(&uplink(0, 1), &load)
        };
        assert_eq!(of(0, 0).expected_us, 80_000);
        assert_eq!(of(30, 0).expected_us, 80_000 + 150_000);
        let lossy = of(0, 2_000);
        assert_eq!((lossy.expected_us, lossy.is_bounded_by_loss()), (800_000, true));
        assert!(!of(0, 30_000).is_bounded_by_loss());
    }

    #[test]
    fn extremes_are_scored() {
        let (load, id) = (line(70_000, 0, rates(0, 0)), UplinkId(0));
        let knowledge =
            Knowledge { speed: rates(1, 1), round_trip_ms: u32::MAX, loss_bound: 1, ..Knowledge::default() };
        load.set_knowledge(id, knowledge);
        assert_eq!(Score::of(&uplink(0, u32::MAX), &load).expected_us, u32::MAX);
    }
}
