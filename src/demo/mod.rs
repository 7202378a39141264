//! The demonstration: a LAN, six lines and an internet in network namespaces.

pub mod lab;
