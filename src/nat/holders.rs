//! How many external ports each holder has, over all workers.

use std::sync::atomic::{AtomicU32, Ordering};

/// Whom a port is counted for; what the number stands for is the caller's business.
pub type Holder = u16;

/// Ports taken, by holder. Workers add and take away; anybody reads.
#[derive(Debug, Default)]
pub struct PortsHeld(Box<[AtomicU32]>);

impl PortsHeld {
    /// Nobody has any; for holders below `holders`.
    #[must_use]
    pub fn new(holders: usize) -> Self {
        Self((0..holders).map(|_| AtomicU32::new(0)).collect())
    }

    /// Ports that a holder has now, those that rest among them.
    #[must_use]
    pub fn of(&self, holder: Holder) -> u32 {
        self.0.get(usize::from(holder)).map_or(0, |ports| ports.load(Ordering::Acquire))
    }

    /// Ports that all have together.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.0.iter().map(|ports| u64::from(ports.load(Ordering::Relaxed))).sum()
    }

    pub(super) fn add(&self, holder: Holder) {
        if let Some(ports) = self.0.get(usize::from(holder)) {
            ports.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn take_away(&self, holder: Holder) {
        if let Some(ports) = self.0.get(usize::from(holder)) {
            ports.fetch_sub(1, Ordering::Release);
        }
    }
}
