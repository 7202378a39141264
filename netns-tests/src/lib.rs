//! Network-namespace tests: Potato seen from outside, by real programs on hosts that know nothing of it.
//!
//! A test builds a [`World`]: a lab with the router running in it and sniffers on the far end of every uplink. What the
//! hosts and the servers see is asserted; at its end the world asserts what must never be seen by anybody:
//! a source that is not the uplink's own, a private address inside an ICMP error, an RST that no host has sent.
//!
//! Every test of the packet path runs over both ways to capture the LAN: see [`over_both_captures`].
//! All need root; without it they fail and say so.

pub mod capture_file;
pub mod concentrator;
pub mod connection;
pub mod programs;
pub mod provider;
pub mod sniffer;
pub mod sockets;
pub mod waiting;
pub mod world;

pub use potato::demo::lab::{
    Addressing, Capture, FarEnd, Lab, LabError, LabOptions, NAME_SERVER, Namespace, Offloads, ROUTER_ADDRESS, SERVER,
    UplinkOptions, host_address,
};
pub use world::{World, beside, binary};

use std::fmt::Display;

/// Ends the test with the error's own words.
pub trait Must<T> {
    /// The value.
    ///
    /// # Panics
    /// When there is none.
    fn must(self) -> T;
}

impl<T, E: Display> Must<T> for Result<T, E> {
    #[track_caller]
    fn must(self) -> T {
        self.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Makes two tests of each function `fn(Capture)` named: over a TUN device, and over packet sockets.
#[macro_export]
macro_rules! over_both_captures {
    ($($scenario:ident),+ $(,)?) => {$(
        mod $scenario {
            #[test]
            fn over_tun() {
                super::$scenario($crate::Capture::Tun);
            }

            #[test]
            fn over_packet_sockets() {
                super::$scenario($crate::Capture::Packet);
            }
        }
    )+};
}
