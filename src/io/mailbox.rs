//! What others put before a worker: packets that it owns, and commands. One descriptor wakes it for both.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use super::ports::Port;
use crate::engine::outbox::Ingress;
use crate::engine::{FailOverPage, FlowFilter, FlowPage, Handoff};
use crate::nat::ports::PortBounds;
use crate::placement::UplinkId;
use crate::sys::eventfd::EventFd;

/// Packets that wait for a worker at most: as many as the kernel's own queue between processors.
pub(super) const HANDOFFS: usize = 1024;

/// What a worker is told to do.
#[derive(Debug)]
pub(super) enum Command {
    Attach(Ingress, Box<Port>),
    Detach(Ingress),
    ListFlows { filter: FlowFilter, cursor: u32, reply: tokio::sync::oneshot::Sender<FlowPage> },
    ForgetFlows { uplink: UplinkId, cursor: u32, reply: tokio::sync::oneshot::Sender<Option<u32>> },
    FailOver { uplink: UplinkId, cursor: u32, reply: tokio::sync::oneshot::Sender<FailOverPage> },
    TakeInUplink { uplink: UplinkId, bounds: PortBounds, reply: tokio::sync::oneshot::Sender<()> },
    Stop,
}

/// The side of a worker that the other threads see.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Packets that other workers received.
    pub(super) handoffs: ArrayQueue<Handoff>,
    wake: EventFd,
    /// Whether the worker has been woken and has not looked yet: saves a system call.
    woken: AtomicBool,
}

impl Mailbox {
    pub(super) fn new() -> std::io::Result<Self> {
        Ok(Self { handoffs: ArrayQueue::new(HANDOFFS), wake: EventFd::new()?, woken: AtomicBool::new(false) })
    }

    /// Makes the worker look, after something was put here.
    pub(super) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.wake.signal();
        }
    }

    /// Takes note of the call, before looking. The order matters: whoever wakes after the swap signals again.
    pub(super) fn answer(&self) {
        self.wake.clear();
        self.woken.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
