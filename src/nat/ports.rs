//! External ports: which are taken, and the choice of a free one.
//!
//! A worker owns the ports that [`owner_of_port`] gives it, on every uplink, for every protocol. They are numbered
//! densely (`slot`), so that a table of mappings is an array. A bit a port says whether it is taken.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use crate::placement::{WorkerId, owner_of_port};

/// Ports below this form a class of their own: RFC 4787 REQ-3a keeps a port in its class.
const FIRST_UNPRIVILEGED: u16 = 1024;
/// The port that an uplink's own DHCP client has (RFC 2131 section 4.1). No host gets it.
pub const DHCP_CLIENT_PORT: u16 = 68;
/// The ports and ICMP identifiers that the router's own probes have, on every uplink. No host gets one. They are above
/// those that Linux hosts choose by themselves, and few among those of other systems.
pub const PROBE_PORTS: std::ops::Range<u16> = 61_440..61_504;
/// Random tries before the bits are searched. With half of the ports taken one try in two succeeds, so that a search
/// (which favours ports behind taken ones) is rare before the ports are nearly used up.
const RANDOM_TRIES: u32 = 24;

/// Whether a port is for the router itself, so that no host's flow may have it.
#[must_use]
pub fn is_reserved(port: u16) -> bool {
    port == 0 || port == DHCP_CLIENT_PORT || PROBE_PORTS.contains(&port)
}

/// The external ports that may be used on an uplink: all, or those that somebody leaves us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortBounds {
    /// First and last, in order, apart from each other.
    ranges: Vec<(u16, u16)>,
}

impl PortBounds {
    /// Every port.
    #[must_use]
    pub fn all() -> Self {
        Self { ranges: vec![(0, u16::MAX)] }
    }

    /// Those for which `is_ours` says so.
    #[must_use]
    pub fn of(is_ours: impl Fn(u16) -> bool) -> Self {
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(|port| is_ours(*port)) {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
                _ => ranges.push((port, port)),
            }
        }
        Self { ranges }
    }

    /// The ranges: first and last port of each, in order.
    #[must_use]
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }

    /// How many ports.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|(first, last)| usize::from(last - first) + 1).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether a port is among them.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&port))
    }
}

/// The ports of one worker, as dense slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortSlice {
    worker: WorkerId,
    workers: u8,
    slots: usize,
}

impl PortSlice {
    /// The slice of `worker` among `workers`.
    ///
    /// # Panics
    /// When there are no workers.
    #[must_use]
    pub fn new(worker: WorkerId, workers: u8) -> Self {
        assert!(workers > 0, "a router has a worker");
        Self { worker, workers, slots: (1_usize << 15).div_ceil(workers.into()) * 2 }
    }

    /// Slots in the slice: pairs of ports dealt out in turn.
    #[must_use]
    pub fn slots(self) -> usize {
        self.slots
    }

    /// The slot of a port; `None` when another worker owns it.
    #[must_use]
    pub fn slot(self, port: u16) -> Option<usize> {
        (owner_of_port(port, self.workers) == self.worker)
            .then(|| usize::from((port >> 1) / u16::from(self.workers)) * 2 + usize::from(port & 1))
    }

    /// The port in a slot; `None` where the last round of dealing had none left for this worker.
    #[must_use]
    pub fn port(self, slot: usize) -> Option<u16> {
        let pair = slot / 2 * usize::from(self.workers) + self.worker.index();
        u16::try_from(pair * 2 + slot % 2).ok()
    }
}

/// Which slots of one uplink and protocol are taken.
#[derive(Debug)]
pub struct TakenPorts {
    slice: PortSlice,
    /// One bit a slot.
    taken: Vec<u64>,
    /// `None`: all may be given. Within bounds, low and high ports are one class: there are too few to keep RFC 4787 REQ-3a.
    bounds: Option<PortBounds>,
}

impl TakenPorts {
    /// All free, except the router's own and what does not exist.
    #[must_use]
    pub fn new(slice: PortSlice) -> Self {
        let mut ports = Self { slice, taken: vec![0; slice.slots().div_ceil(64)], bounds: None };
        for slot in 0..ports.taken.len() * 64 {
            if slice.port(slot).is_none_or(is_reserved) || slot >= slice.slots() {
                ports.take(slot);
            }
        }
        ports
    }

    /// As [`Self::new`], with the ports beyond `bounds` taken for good.
    #[must_use]
    pub fn within(slice: PortSlice, bounds: &PortBounds) -> Self {
        let mut ports = Self::new(slice);
        if *bounds != PortBounds::all() {
            ports.bounds = Some(bounds.clone());
            let beyond = |slot: &usize| slice.port(*slot).is_some_and(|port| !bounds.contains(port));
            (0..slice.slots()).filter(beyond).for_each(|slot| ports.take(slot));
        }
        ports
    }

    fn is_taken(&self, slot: usize) -> bool {
        self.taken[slot / 64] & (1 << (slot % 64)) != 0
    }

    /// Marks a slot.
    pub fn take(&mut self, slot: usize) {
        self.taken[slot / 64] |= 1 << (slot % 64);
    }

    /// Frees a slot, unless its port is beyond the bounds.
    pub fn free(&mut self, slot: usize) {
        let is_beyond = |bounds: &PortBounds| self.slice.port(slot).is_some_and(|port| !bounds.contains(port));
        if self.bounds.as_ref().is_some_and(is_beyond) {
            return;
        }
        self.taken[slot / 64] &= !(1 << (slot % 64));
    }

    /// Takes a slot for a flow whose internal port is `wanted`: that port itself if it is free, else one of its class
    /// that nobody can guess (RFC 6056, RFC 7857 section 9). `None` when the class is used up. A port that `is_spared` says
    /// is for others counts as taken.
    pub fn choose(&mut self, wanted: u16, random: &mut ChaCha8Rng, is_spared: impl Fn(u16) -> bool) -> Option<usize> {
        let is_free = |slot: usize| !self.is_taken(slot) && !self.slice.port(slot).is_some_and(&is_spared);
        let preserved = self.slice.slot(wanted).filter(|&slot| wanted != 0 && is_free(slot));
        let slot = preserved.or_else(|| self.unguessable(wanted, random, is_free))?;
        self.take(slot);
        Some(slot)
    }

    fn unguessable(&self, wanted: u16, random: &mut ChaCha8Rng, is_free: impl Fn(usize) -> bool) -> Option<usize> {
        let class = self.class(wanted);
        let span = class.len() as u64;
        let mut draw = || class.start + ((u64::from(random.next_u32()) * span) >> 32) as usize;
        for _ in 0..RANDOM_TRIES {
            let slot = draw();
            if is_free(slot) {
                return Some(slot);
            }
        }
        let start = draw();
        self.first_free(start..class.end, &is_free).or_else(|| self.first_free(class.start..start, &is_free))
    }

    /// The slots of the class that `port` is of.
    fn class(&self, port: u16) -> std::ops::Range<usize> {
        if self.bounds.is_some() {
            return 0..self.slice.slots();
        }
        // Pairs below port 1024 that this worker has: 512 pairs dealt out in turn.
        let pairs = 512_usize;
        let (worker, workers) = (self.slice.worker.index(), usize::from(self.slice.workers));
        let boundary = (pairs.saturating_sub(worker)).div_ceil(workers) * 2;
        if port < FIRST_UNPRIVILEGED { 0..boundary } else { boundary..self.slice.slots() }
    }

    fn first_free(&self, range: std::ops::Range<usize>, is_free: impl Fn(usize) -> bool) -> Option<usize> {
        let mut slot = range.start;
        while slot < range.end {
            let free = !self.taken[slot / 64] >> (slot % 64);
            if free != 0 {
                slot += free.trailing_zeros() as usize;
                if slot >= range.end || is_free(slot) {
                    return (slot < range.end).then_some(slot);
                }
                slot += 1;
            } else {
                slot = (slot / 64 + 1) * 64;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    #[test]
    fn slots_and_ports_correspond() {
        for workers in [1, 2, 3, 7, 64] {
            let mut seen = vec![false; 65_536];
            for worker in 0..workers {
                let slice = PortSlice::new(WorkerId(worker), workers);
                for port in (0..slice.slots()).filter_map(|slot| slice.port(slot)) {
                    assert_eq!(slice.slot(port).and_then(|slot| slice.port(slot)), Some(port));
                    assert!(!std::mem::replace(&mut seen[usize::from(port)], true));
                }
            }
            assert!(seen.iter().all(|&seen| seen), "{workers} workers share out every port");
        }
    }

    #[test]
    fn every_port_of_a_class_is_given_once_and_then_none() {
        let slice = PortSlice::new(WorkerId(1), 3);
        let mut ports = TakenPorts::new(slice);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for (wanted, low) in [(700, true), (40_000, false)] {
            let mut given = std::collections::BTreeSet::new();
            while let Some(slot) = ports.choose(wanted, &mut random, |_| false) {
                let port = slice.port(slot).unwrap();
                assert_eq!(port < FIRST_UNPRIVILEGED, low);
                assert!(given.insert(port));
            }
            let class = (1..=u16::MAX).filter(|port| slice.slot(*port).is_some() && (*port < 1024) == low);
            let class = class.filter(|port| !is_reserved(*port));
            assert!(given.iter().copied().eq(class));
        }
    }

    #[test]
    fn changed_ports_are_uniform_and_show_no_sequence() {
        let slice = PortSlice::new(WorkerId(0), 1);
        let mut ports = TakenPorts::new(slice);
        let mut random = ChaCha8Rng::seed_from_u64(7);
        let wanted = 50_000;
        ports.take(slice.slot(wanted).unwrap());
        let mut eighths = [0_u32; 8];
        let (mut previous, mut neighbours) = (0_i64, 0);
        for _ in 0..10_000 {
            let slot = ports.choose(wanted, &mut random, |_| false).unwrap();
            let port = slice.port(slot).unwrap();
            eighths[usize::from(port - 1024) * 8 / 64_512] += 1;
            neighbours += u32::from((i64::from(port) - previous).abs() < 64);
            previous = port.into();
            ports.free(slot);
        }
        assert!(eighths.iter().all(|&count| (1_050..1_450).contains(&count)), "{eighths:?}");
        assert!(neighbours < 60, "{neighbours}");
    }

    #[test]
    fn ports_beyond_the_bounds_are_never_given() {
        let slice = PortSlice::new(WorkerId(0), 2);
        let bounds = PortBounds::of(|port| (20_000..20_100).contains(&port) && port != 20_050);
        assert_eq!((bounds.ranges(), bounds.len()), (&[(20_000, 20_049), (20_051, 20_099)][..], 99));
        let mut ports = TakenPorts::within(slice, &bounds);
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut given = std::collections::BTreeSet::new();
        // Low ports have no class of their own here.
        for wanted in [20_001, 80, 50_000].into_iter().cycle().take(200) {
            given.extend(ports.choose(wanted, &mut random, |_| false).and_then(|slot| slice.port(slot)));
        }
        assert!(
            given
                .iter()
                .copied()
                .eq((0..=u16::MAX).filter(|port| bounds.contains(*port) && slice.slot(*port).is_some()))
        );
    }
}
