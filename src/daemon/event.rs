//! What can happen to the router.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::api::Request;
use super::endings::Ending;
use crate::host::HostEvent;
use crate::placement::UplinkId;
use crate::wire::PacketBuffer;

/// Something that the loop handles, to its end, before the next.
#[derive(Debug)]
pub(super) enum Event {
    /// SIGINT or SIGTERM.
    Stop,
    /// SIGHUP.
    Reload,
    /// The machine changed.
    Host(HostEvent),
    /// A frame from an uplink that is ours: ARP, a DHCP server's answer, PPPoE's control, or an answer to a probe.
    Frame(UplinkId, PacketBuffer),
    /// A line's flows have been ended.
    FlowsEnded(Ending),
    /// Somebody asks.
    Control(Request),
    /// Something is due.
    Timeout,
    /// Another second has passed.
    Tick,
}

/// The signals that we listen to.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Listens from now on.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next signal. Dropping the future loses none.
    pub(super) async fn next(&mut self) -> Event {
        tokio::select! {
            _ = self.interrupt.recv() => Event::Stop,
            _ = self.terminate.recv() => Event::Stop,
            _ = self.hang_up.recv() => Event::Reload,
        }
    }
}
