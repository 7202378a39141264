//! A port on the TUN device: one packet a system call, which super-packets make up for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use super::batch::BatchLimit;
use super::packet_port::{interface_is_gone, reason_of};
use super::steering::{self, Side};
use crate::engine::DropReason;
use crate::engine::counters::DropCounters;
use crate::sys::tun::{self, TunQueue};
use crate::wire::{BufferPool, PacketBuffer};

/// One worker's queue of the TUN device.
#[derive(Debug)]
pub struct TunPort {
    queue: TunQueue,
    limit: BatchLimit,
}

/// Makes the TUN device `name` with a queue for each worker, in the order of the workers, all offloads and steering set. The
/// device is down and goes away with its last queue.
///
/// # Errors
/// `AlreadyExists` when there is an interface of that name; `InvalidInput` for a name that cannot be; else what the kernel
/// reports.
pub fn open_tun(name: &str, workers: u8) -> io::Result<Vec<TunPort>> {
    let steering = steering::load(Side::Lan, workers)?;
    let queues = tun::create(name, workers, &steering)?;
    Ok(queues.into_iter().map(|queue| TunPort { queue, limit: BatchLimit::default() }).collect())
}

impl TunPort {
    /// Receives a batch into buffers of `pool`, onto the end of `batch`. Returns whether more is likely waiting.
    ///
    /// # Errors
    /// `EBADFD` when the device is gone. Nothing waiting is no error.
    pub fn receive(
        &mut self,
        pool: &mut BufferPool,
        batch: &mut Vec<PacketBuffer>,
        drops: &DropCounters,
    ) -> io::Result<bool> {
        let asked = self.limit.packets();
        let (mut packets, mut bytes) = (0, 0);
        while packets < asked {
            let mut buffer = pool.take();
            match self.queue.receive(buffer.receive_area(0)) {
                Ok(length) => {
                    packets += 1;
                    bytes += length;
                    if buffer.received(length, 0).is_ok() {
                        batch.push(buffer);
                        continue;
                    }
                    drops.count(DropReason::BadOffload);
                    pool.give(buffer);
                }
                Err(error) => {
                    pool.give(buffer);
                    match error.kind() {
                        io::ErrorKind::WouldBlock => break,
                        io::ErrorKind::Interrupted => {}
                        // What came before it is handled first; a lasting error comes again.
                        _ if packets > 0 => break,
                        _ => return Err(error),
                    }
                }
            }
        }
        self.limit.observe(packets, bytes);
        Ok(packets == asked)
    }

    /// Writes `packets` in order and gives their buffers back to `pool`. What is refused is counted; the next is tried.
    pub fn send(&mut self, packets: &mut Vec<PacketBuffer>, pool: &mut BufferPool, drops: &DropCounters) {
        let mut gone = false;
        for mut packet in packets.drain(..) {
            if gone {
                drops.count(DropReason::SendFailed);
            } else if let Err(error) = self.queue.send(packet.frame_to_send()) {
                drops.count(reason_of(&error));
                gone = interface_is_gone(&error);
            }
            pool.give(packet);
        }
    }
}

impl AsFd for TunPort {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}
