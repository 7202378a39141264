//! What stands for a network interface under the sockets of the probes: two queues of IP packets.

use std::collections::VecDeque;

use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// Packets that may wait either way. What comes above is lost, as on a wire.
const LONGEST_QUEUE: usize = 64;
/// Longest packet that a probe sends: what every line carries.
const LONGEST_PACKET: usize = 576;

/// The queues.
#[derive(Debug, Default)]
pub(super) struct Queues {
    received: VecDeque<Vec<u8>>,
    sent: VecDeque<Vec<u8>>,
}

impl Queues {
    /// A packet has come.
    pub(super) fn receive(&mut self, packet: &[u8]) {
        if self.received.len() < LONGEST_QUEUE {
            self.received.push_back(packet.to_vec());
        }
    }

    /// The next packet to send.
    pub(super) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.sent.pop_front()
    }
}

/// A packet that has come.
pub(super) struct Received(Vec<u8>);

/// Room for a packet to send.
pub(super) struct Room<'a>(&'a mut VecDeque<Vec<u8>>);

impl RxToken for Received {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Room<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        let mut packet = vec![0; length];
        let result = write(&mut packet);
        self.0.push_back(packet);
        result
    }
}

impl Device for Queues {
    type RxToken<'a> = Received;
    type TxToken<'a> = Room<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Received, Room<'_>)> {
        let packet = self.received.pop_front()?;
        Some((Received(packet), Room(&mut self.sent)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Room<'_>> {
        (self.sent.len() < LONGEST_QUEUE).then_some(Room(&mut self.sent))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = LONGEST_PACKET;
        capabilities
    }
}
