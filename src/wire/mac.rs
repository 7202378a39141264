//! Ethernet addresses.

use std::fmt;
use std::str::FromStr;

/// A 48-bit Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// Whether the group bit is set (multicast and broadcast).
    #[must_use]
    pub fn is_group(self) -> bool {
        self.0[0] & 1 != 0
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The text is not six hexadecimal pairs joined by colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ethernet address: write six hexadecimal pairs joined by colons, as in 02:00:5e:10:00:01")]
pub struct MacAddressError;

impl FromStr for MacAddress {
    type Err = MacAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or(MacAddressError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| MacAddressError)?;
        }
        if pairs.next().is_some() { Err(MacAddressError) } else { Ok(Self(bytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let mac: MacAddress = "02:00:5e:10:ab:01".parse().unwrap();
        assert_eq!(mac.to_string(), "02:00:5e:10:ab:01");
        assert_eq!("02:00:5e:10:ab".parse::<MacAddress>(), Err(MacAddressError));
        assert_eq!("02:00:5e:10:ab:1".parse::<MacAddress>(), Err(MacAddressError));
        assert_eq!("02:00:5e:10:ab:01:02".parse::<MacAddress>(), Err(MacAddressError));
    }
}
