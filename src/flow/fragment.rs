//! Stand-in until the cache lands.
use super::Timestamp;
use crate::wire::{BufferPool, PacketBuffer};
use std::net::Ipv4Addr;
/// Key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentKey {
    /// s
    pub source: Ipv4Addr,
    /// d
    pub destination: Ipv4Addr,
    /// i
    pub identification: u16,
    /// p
    pub protocol: u8,
}
/// r
#[derive(Clone, Copy, Debug)]
pub struct PieceRange;
impl PieceRange {
    /// n
    #[must_use]
    pub fn new(_offset: u16, _length: usize, _more: bool) -> Option<Self> {
        Some(Self)
    }
}
/// l
#[derive(Debug)]
pub enum Later {
    /// f
    Forward {
        /// p
        ports: (u16, u16),
        /// p
        packet: PacketBuffer,
    },
    /// h
    Held,
    /// r
    Refused {
        /// p
        packet: PacketBuffer,
    },
}
/// c
#[derive(Debug, Default)]
pub struct FragmentCache;
impl FragmentCache {
    /// n
    #[must_use]
    pub fn new() -> Self {
        Self
    }
    /// e
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }
    /// f
    /// # Errors
    /// x
    pub fn first(&mut self, _: Timestamp, _: FragmentKey, _: (u16, u16), _: PieceRange) -> Result<(), ()> {
        Ok(())
    }
    /// r
    pub fn release(&mut self, _: FragmentKey) -> Option<PacketBuffer> {
        None
    }
    /// l
    pub fn later(&mut self, _: Timestamp, _: FragmentKey, _: PieceRange, packet: PacketBuffer) -> Later {
        Later::Refused { packet }
    }
    /// h
    pub fn handle_timeout(&mut self, _: Timestamp, _: &mut BufferPool) -> usize {
        0
    }
}
