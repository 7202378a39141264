//! How long a flow is remembered after its last packet. TCP's times are with its state machine.

use std::time::Duration;

// What a specification says.

/// RFC 4787 REQ-5: not below 2 minutes, 5 or more recommended.
pub const UDP: Duration = Duration::from_secs(300);
/// RFC 5508 REQ-2: not below 60 seconds.
pub const ICMP_QUERY: Duration = Duration::from_secs(60);
