//! Bytes: the packet buffer, checked in-place views of headers, checksums and offload metadata.
//!
//! Nothing here knows about connections. A view is made by a `parse` function that checks every length once; after
//! that its accessors cannot fail.

pub mod buffer;
pub mod checksum;
pub mod dscp;
pub mod fragmentation;
pub mod icmp;
pub mod ipv4;
pub mod mac;
pub mod pppoe;
pub mod reset;
pub mod segmentation;
pub mod tcp;
pub mod udp;
pub mod vnet;

pub use buffer::{BufferPool, PacketBuffer};
pub use ipv4::{AddressField, Ipv4};
pub use mac::MacAddress;
pub use tcp::{Tcp, TcpFlags, TcpSegment};
pub use udp::Udp;
pub use vnet::{Checksum, Segmentation, VnetError, VnetHeader};
