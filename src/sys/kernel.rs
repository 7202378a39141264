//! Which kernel this is, where a feature cannot be asked for by trying it.

/// Whether packet sockets can hand over UDP super-packets: since Linux 6.2. An older kernel makes them when
/// `rx-udp-gro-forwarding` is on, and then cannot describe them in a virtio header, so they are lost.
#[must_use]
pub fn describes_udp_super_packets() -> bool {
    release() >= (6, 2)
}

/// The kernel's version, major and minor; zeros if it is not told.
#[must_use]
pub fn release() -> (u32, u32) {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").map_or((0, 0), |text| parse(&text))
}

fn parse(text: &str) -> (u32, u32) {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_by_number() {
        assert_eq!(parse("6.1.0-28-amd64\n"), (6, 1));
        assert!(parse("6.18.44-fc") > (6, 2));
        assert_eq!(parse("strange"), (0, 0));
        assert!(release() > (0, 0));
    }
}
