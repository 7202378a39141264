//! Ports and workers on real interfaces. Needs root.
//!
//! ```text
//!  <near>  router's end, "port0" ======= "peer0"  <far>
//! ```
//!
//! Frames are made by hand and sent from the far end by a plain packet socket, so that nothing but them is on the link.
//! Tests of workers use two such links: one is the LAN, the other the uplink.

mod link;
mod ports;
mod workers;
