//! The ports of one worker: where its packets come from and go to, by [`Ingress`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use tracing::{info, warn};

use super::packet_port::PacketPort;
use super::tun_port::TunPort;
use crate::engine::counters::DropCounters;
use crate::engine::outbox::Ingress;
use crate::flow::Timestamp;
use crate::placement::{LanId, MAX_LANS, MAX_UPLINKS, UplinkId};
use crate::sys::poll::PollSet;
use crate::wire::{BufferPool, PacketBuffer};

/// A port of either kind.
#[derive(Debug)]
pub(super) enum Port {
    Packet(PacketPort),
    Tun(TunPort),
}

impl Port {
    pub(super) fn receive(
        &mut self,
        pool: &mut BufferPool,
        batch: &mut Vec<PacketBuffer>,
        drops: &DropCounters,
    ) -> io::Result<bool> {
        match self {
            Self::Packet(port) => port.receive(pool, batch, drops),
            Self::Tun(port) => port.receive(pool, batch, drops),
        }
    }

    pub(super) fn send(&mut self, packets: &mut Vec<PacketBuffer>, pool: &mut BufferPool, drops: &DropCounters) {
        match self {
            Self::Packet(port) => port.send(packets, pool, drops),
            Self::Tun(port) => port.send(packets, pool, drops),
        }
    }

    pub(super) fn count_missed(&self, drops: &DropCounters) {
        match self {
            Self::Packet(port) => port.count_missed(drops),
            // The kernel counts these as the device's own drops.
            Self::Tun(_) => {}
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Packet(port) => port.as_fd(),
            Self::Tun(port) => port.as_fd(),
        }
    }
}

/// Failures in a row, without a packet or this much time between, after which a port is given up. An interface that goes
/// down makes one; a dead descriptor makes one each round.
const STRIKES: u8 = 3;
const STRIKE_INTERVAL: Duration = Duration::from_millis(500);

/// A port, and how it fares.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) port: Port,
    strikes: u8,
    last_strike: Timestamp,
}

/// What became of a port that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It may recover by itself.
    Kept,
    /// It is no longer waited for; a new one must be attached.
    GivenUp,
}

/// All ports of a worker.
#[derive(Debug, Default)]
pub(super) struct Ports {
    lans: [Option<Slot>; MAX_LANS],
    uplinks: [Option<Slot>; MAX_UPLINKS],
}

/// Tokens of uplinks start here, those of LANs at 0.
const UPLINK_TOKEN: u64 = 256;

fn token_of(ingress: Ingress) -> u64 {
    match ingress {
        Ingress::Lan(lan) => u64::from(lan.0),
        Ingress::Uplink(uplink) => UPLINK_TOKEN + u64::from(uplink.0),
    }
}

/// The port that was registered under this token.
pub(super) fn ingress_of(token: u64) -> Ingress {
    match u8::try_from(token) {
        Ok(lan) => Ingress::Lan(LanId(lan)),
        Err(_) => Ingress::Uplink(UplinkId((token & 0xff) as u8)),
    }
}

impl Ports {
    fn entry(&mut self, ingress: Ingress) -> Option<&mut Option<Slot>> {
        match ingress {
            Ingress::Lan(lan) => self.lans.get_mut(lan.index()),
            Ingress::Uplink(uplink) => self.uplinks.get_mut(uplink.index()),
        }
    }

    /// The port there, if one is attached.
    pub(super) fn slot(&mut self, ingress: Ingress) -> Option<&mut Slot> {
        self.entry(ingress)?.as_mut()
    }

    /// Every attached port.
    pub(super) fn attached(&self) -> impl Iterator<Item = (Ingress, &Port)> {
        let lans = (0..).zip(&self.lans).map(|(id, slot)| (Ingress::Lan(LanId(id)), slot));
        let uplinks = (0..).zip(&self.uplinks).map(|(id, slot)| (Ingress::Uplink(UplinkId(id)), slot));
        lans.chain(uplinks).filter_map(|(ingress, slot)| Some((ingress, &slot.as_ref()?.port)))
    }

    /// Puts a port in its place and waits for it. The port that was there before is closed.
    pub(super) fn attach(&mut self, waiting: &mut PollSet, ingress: Ingress, port: Port) {
        if let Some(entry) = self.entry(ingress) {
            waiting.add(&port, token_of(ingress));
            *entry = Some(Slot { port, strikes: 0, last_strike: Timestamp::default() });
        }
    }

    /// Closes the port there.
    pub(super) fn detach(&mut self, waiting: &mut PollSet, ingress: Ingress) {
        waiting.remove(token_of(ingress));
        if let Some(entry) = self.entry(ingress) {
            *entry = None;
        }
    }

    /// Notes that a port was reported as failed or returned an error. Level-triggered waiting would report one that does
    /// not recover for ever, so it is given up in the end.
    pub(super) fn strike(
        &mut self,
        waiting: &mut PollSet,
        ingress: Ingress,
        now: Timestamp,
        error: Option<&io::Error>,
    ) -> Fate {
        let Some(slot) = self.slot(ingress) else { return Fate::Kept };
        if now.since(slot.last_strike) > STRIKE_INTERVAL {
            slot.strikes = 0;
        }
        slot.last_strike = now;
        slot.strikes = slot.strikes.saturating_add(1);
        if slot.strikes < STRIKES {
            info!(port = ?ingress, ?error, "port reports an error");
            return Fate::Kept;
        }
        warn!(port = ?ingress, ?error, "port is dead");
        waiting.remove(token_of(ingress));
        Fate::GivenUp
    }
}

impl Slot {
    /// Notes that packets came.
    pub(super) fn acquit(&mut self) {
        self.strikes = 0;
    }
}
