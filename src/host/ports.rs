//! The ports that the kernel leaves to others: those of an address that it has itself are its own first.
//!
//! For its own connections the kernel takes ports from `ip_local_port_range`, less `ip_local_reserved_ports`; whoever reserves
//! ports has a service in mind. A service that is there already shows in `/proc/net`. What is left, from port 16384 on, is ours. One that comes
//! later keeps what is sent to it (`io::adopted`), and should have had its port reserved.

use std::fs;

use super::error::HostError;
use crate::nat::ports::PortBounds;

/// Below are the ports of most services.
const FIRST: u16 = 16_384;
/// With fewer a line is of little use.
const FEWEST: usize = 1_024;

/// The ports that the kernel does not use for itself, in the network namespace of the calling thread.
///
/// # Errors
/// [`HostError::FewPorts`] when there are too few.
pub fn left_by_kernel() -> Result<PortBounds, HostError> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let range = read("/proc/sys/net/ipv4/ip_local_port_range");
    let tables = ["tcp", "tcp6", "udp", "udp6"].map(|table| read(&format!("/proc/thread-self/net/{table}")));
    let ports = left(&range, &read("/proc/sys/net/ipv4/ip_local_reserved_ports"), &tables);
    if ports.len() < FEWEST { Err(HostError::FewPorts { range: range.trim().replace('\t', " ") }) } else { Ok(ports) }
}

fn left(range: &str, reserved: &str, tables: &[String]) -> PortBounds {
    let mut numbers = range.split_ascii_whitespace().filter_map(|number| number.parse().ok());
    let (first, last): (u16, u16) = (numbers.next().unwrap_or(32_768), numbers.next().unwrap_or(60_999));
    let mut taken = vec![false; 1 << 16];
    let mut take = |first: u16, last: u16| taken[first.into()..=last.into()].fill(true);
    take(0, FIRST - 1);
    if first <= last {
        take(first, last);
    }
    for part in reserved.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.parse(), last.parse())
            && first <= last
        {
            take(first, last);
        }
    }
    for port in tables.iter().flat_map(|table| table.lines()).filter_map(local_port) {
        take(port, port);
    }
    PortBounds::of(|port| !taken[usize::from(port)])
}

/// The local port of a socket, from its line in `/proc/net`: `0: 00000000:1F90 00000000:0000 0A ...`.
fn local_port(line: &str) -> Option<u16> {
    let (_, port) = line.split_ascii_whitespace().nth(1)?.rsplit_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_and_services_use_is_not_ours() {
        let table =
            "  sl  local_address rem_address   st\n   0: 00000000:4E20 00000000:0000 0A\n   1: 0100007F:0016 x\n";
        let ports = left("32768\t60999\n", "20100-20102,61000\n", &[table.to_owned()]);
        let expected = [(16_384, 19_999), (20_001, 20_099), (20_103, 32_767), (61_001, 65_535)];
        assert_eq!(ports.ranges(), expected);
        assert_eq!(left("1024 65535", "", &[]).len(), 0);
        assert_eq!(left("nonsense", "5-,x,9-3\n", &[]).ranges(), [(16_384, 32_767), (61_000, 65_535)]);
    }

    #[test]
    fn this_machine_leaves_some() {
        assert!(left_by_kernel().is_ok_and(|ports| !ports.contains(80)));
    }
}
