//! Numbers as people read them.

use crate::daemon::thousands;

/// 1536 -> `1.5 KiB`.
pub(super) fn bytes(bytes: u64) -> String {
    scaled(bytes, 1_024, &["B", "KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// `20_000_000` -> `20 Mbit/s`.
pub(super) fn rate(bits_per_second: u64) -> String {
    scaled(bits_per_second, 1_000, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// 1234567 -> `1,234,567`.
pub(super) fn count(number: u64) -> String {
    thousands(number)
}

/// 3700 -> `1h 1m`.
pub(super) fn seconds(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// `2026-11-26T18:00:00+01:00` -> `2026-11-26 18:00`.
pub(super) fn time(rfc3339: &str) -> String {
    rfc3339.get(..16).unwrap_or(rfc3339).replace('T', " ")
}

/// Three digits at most, and the unit that allows it.
fn scaled(number: u64, step: u64, units: &[&str]) -> String {
    let mut divisor = 1_u64;
    let mut unit = 0;
    while number / divisor >= step && unit + 1 < units.len() {
        divisor = divisor.saturating_mul(step);
        unit += 1;
    }
    let (whole, tenths) = (number / divisor, number % divisor * 10 / divisor);
    if unit == 0 || whole >= 10 {
        format!("{whole} {}", units[unit])
    } else {
        format!("{whole}.{tenths} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([bytes(0), bytes(1_023), bytes(1_536), bytes(u64::MAX)], ["0 B", "1023 B", "1.5 KiB", "16383 PiB"]);
        assert_eq!([rate(999), rate(20_000_000), rate(1_250_000_000)], ["999 bit/s", "20 Mbit/s", "1.2 Gbit/s"]);
        assert_eq!(time("2026-11-26T18:00:00+01:00"), "2026-11-26 18:00");
        assert_eq!([count(0), count(999), count(1_000), count(1_234_567)], ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([seconds(5), seconds(65), seconds(3_700), seconds(90_000)], ["5s", "1m 5s", "1h 1m", "1d 1h"]);
    }
}
