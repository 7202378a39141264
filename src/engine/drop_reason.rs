//! Why a packet was not forwarded.

/// Declares the reasons once: variant, name in JSON and metrics, what it means.
macro_rules! drop_reasons {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// Why a packet was not forwarded. Every packet that is not forwarded is counted under exactly one of these.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])+ $variant,)+ }

        impl DropReason {
            /// All reasons.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Its name in JSON, in logs and in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }
        }
    };
}

drop_reasons! {
    /// Not IPv4 and not for the daemon: an unknown EtherType.
    NotIp = "not_ip",
    /// On a line by PPPoE, a packet without a session's header.
    OutsideSession = "outside_session",
    /// A PPPoE header that contradicts itself, or is longer than its frame.
    MalformedSession = "malformed_session",
    /// A PPPoE frame of a session that is not ours, or not from our concentrator.
    ForeignSession = "foreign_session",
    /// IPv6, which this version does not carry.
    Ipv6 = "ipv6",
    /// Shorter than its headers say, or a version or length that contradicts itself.
    MalformedIp = "malformed_ip",
    /// The IP header's checksum is wrong.
    BadIpChecksum = "bad_ip_checksum",
    /// Source-routed: RFC 7126 section 4.3 and 4.4.
    SourceRoute = "source_route",
    /// A layer-4 header that is too short or contradicts itself.
    MalformedTransport = "malformed_transport",
    /// A combination of TCP flags that no stack sends (NULL, SYN and FIN, Xmas).
    BadTcpFlags = "bad_tcp_flags",
    /// A transport that cannot be translated (SCTP, IGMP, GRE).
    UnsupportedProtocol = "unsupported_protocol",
    /// A virtio header that contradicts itself or the packet.
    BadOffload = "bad_offload",
    /// A source that cannot be: martian, multicast, or the router itself from outside.
    BadSource = "bad_source",
    /// A destination that must not be routed: multicast, broadcast, loopback, link-local, zero.
    BadDestination = "bad_destination",
    /// From the LAN for a network that the kernel reaches without us.
    LocalDestination = "local_destination",
    /// The time to live ran out here; the sender was told.
    TtlExceeded = "ttl_exceeded",
    /// Too long for the next link and not to be fragmented; the sender was told.
    TooBig = "too_big",
    /// No uplink can take a new flow.
    NoUplink = "no_uplink",
    /// Its flow's uplink has no carrier, no address or no gateway now.
    UplinkDown = "uplink_down",
    /// Its connection was ended when its line was lost; a host that did not know is told once more.
    LineLost = "line_lost",
    /// No external port is free; the sender was told (RFC 5508 REQ-8).
    NoPort = "no_port",
    /// Its host has as many flows as one host may have; it was told (RFC 6888 REQ-5).
    HostSessions = "host_sessions",
    /// Its host opens flows faster than one host may; it was told.
    HostRate = "host_rate",
    /// Its host has as many external ports as one host may have; it was told (RFC 6888 REQ-4).
    HostPorts = "host_ports",
    /// The flow table is full.
    TableFull = "table_full",
    /// From the internet to an address or port that nobody has opened.
    NoMapping = "no_mapping",
    /// From the internet to an address that the kernel has too, and not about a flow of ours: the kernel handles it.
    KernelsOwn = "kernels_own",
    /// From the internet to an open port, from somebody whom the filter does not let in.
    Filtered = "filtered",
    /// A TCP packet that belongs to no connection and cannot open one.
    TcpNoConnection = "tcp_no_connection",
    /// A TCP packet outside the window.
    TcpOutOfWindow = "tcp_out_of_window",
    /// An ICMP message that is neither a query nor an error of a flow.
    IcmpUnsupported = "icmp_unsupported",
    /// An ICMP error with a wrong checksum or a broken packet inside.
    MalformedIcmpError = "malformed_icmp_error",
    /// An ICMP error about a packet of no flow.
    IcmpNoFlow = "icmp_no_flow",
    /// A fragment that no first fragment came for in time, or that did not fit the bounds.
    FragmentDropped = "fragment_dropped",
    /// A fragment that overlaps, is too small, or ends beyond 65,535 bytes.
    BadFragment = "bad_fragment",
    /// The other worker's queue was full.
    HandoffFull = "handoff_full",
    /// The daemon's queue was full.
    DaemonFull = "daemon_full",
    /// It was one of a long transfer's on a full line, whose queue is kept short so: its sender slows down, and sends it again.
    QueueKeptShort = "queue_kept_short",
    /// The interface would not take it now.
    SendQueueFull = "send_queue_full",
    /// The interface refused it.
    SendFailed = "send_failed",
    /// The worker did not keep up; the kernel dropped the frame before it was received.
    ReceiveQueueFull = "receive_queue_full",
    /// Received longer than a buffer.
    Truncated = "truncated",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = DropReason::ALL.iter().map(|reason| reason.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), DropReason::COUNT);
    }
}
