//! Offloads of a network interface, read and set by `ioctl(SIOCETHTOOL)`: what `ethtool -k` and `ethtool -K` do.
//!
//! The kernel numbers its offloads and tells their names as a string set; each has a bit in arrays of words. Interfaces
//! are those of the network namespace of the calling thread. Only offloads, nothing else of ethtool.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::check;

const SIOCETHTOOL: libc::c_ulong = 0x8946;
const ETHTOOL_GSTRINGS: u32 = 0x1b;
const ETHTOOL_GSSET_INFO: u32 = 0x37;
const ETHTOOL_GFEATURES: u32 = 0x3a;
const ETHTOOL_SFEATURES: u32 = 0x3b;
const ETH_SS_FEATURES: u32 = 4;
const NAME_LENGTH: usize = 32;
/// More offloads than any kernel has; an answer beyond it is wrong.
const MAX_FEATURES: usize = 1024;

/// How one offload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// The kernel's name of it, as `rx-gro`.
    pub name: String,
    /// Whether the administrator wants it.
    pub wanted: bool,
    /// Whether it is on, which other offloads or the device may prevent.
    pub active: bool,
    /// Whether it can be changed at all.
    pub changeable: bool,
}

/// All offloads of an interface.
///
/// # Errors
/// What the kernel says: `ENODEV` when there is no such interface.
pub fn features(interface: &str) -> io::Result<Vec<Feature>> {
    let names = names(interface)?;
    let blocks = names.len().div_ceil(32);
    // struct ethtool_gfeatures: cmd, size, then for each 32 offloads: available, requested, active, never_changed.
    let mut request = vec![0_u32; 2 + 4 * blocks];
    request[0] = ETHTOOL_GFEATURES;
    request[1] = u32::try_from(blocks).unwrap_or(0);
    ethtool(interface, &mut request)?;
    let bit = |number: usize, kind: usize| {
        request.get(2 + 4 * (number / 32) + kind).is_some_and(|word| word >> (number % 32) & 1 != 0)
    };
    Ok(names
        .into_iter()
        .enumerate()
        .map(|(number, name)| Feature {
            name,
            changeable: bit(number, 0) && !bit(number, 3),
            wanted: bit(number, 1),
            active: bit(number, 2),
        })
        .collect())
}

/// Wants an offload on or off. The device may still not follow: read it back.
///
/// # Errors
/// What the kernel says; `EOPNOTSUPP` when this kernel does not know the offload.
pub fn set_feature(interface: &str, name: &str, on: bool) -> io::Result<()> {
    let names = names(interface)?;
    let unknown = || io::Error::from_raw_os_error(libc::EOPNOTSUPP);
    let number = names.iter().position(|known| known == name).ok_or_else(unknown)?;
    let blocks = names.len().div_ceil(32);
    // struct ethtool_sfeatures: cmd, size, then for each 32 offloads: valid, requested.
    let mut request = vec![0_u32; 2 + 2 * blocks];
    request[0] = ETHTOOL_SFEATURES;
    request[1] = u32::try_from(blocks).unwrap_or(0);
    let bit = 1 << (number % 32);
    request[2 + 2 * (number / 32)] = bit;
    request[3 + 2 * (number / 32)] = if on { bit } else { 0 };
    ethtool(interface, &mut request)
}

/// The offloads' names, in the order of their bits.
fn names(interface: &str) -> io::Result<Vec<String>> {
    // struct ethtool_sset_info: cmd, reserved, a 64-bit mask of the sets asked for, then a length for each.
    let mut request = [ETHTOOL_GSSET_INFO, 0, 0, 0, 0];
    let mask = 1_u64 << ETH_SS_FEATURES;
    let halves = mask.to_ne_bytes();
    request[2] = u32::from_ne_bytes([halves[0], halves[1], halves[2], halves[3]]);
    request[3] = u32::from_ne_bytes([halves[4], halves[5], halves[6], halves[7]]);
    ethtool(interface, &mut request)?;
    let count = usize::try_from(request[4]).unwrap_or(usize::MAX);
    if count > MAX_FEATURES {
        return Err(io::Error::from_raw_os_error(libc::EOVERFLOW));
    }
    // struct ethtool_gstrings: cmd, which set, how many, then the names, each in NAME_LENGTH bytes.
    let mut request = vec![0_u32; 3 + count * NAME_LENGTH / 4];
    request[0] = ETHTOOL_GSTRINGS;
    request[1] = ETH_SS_FEATURES;
    request[2] = u32::try_from(count).unwrap_or(0);
    ethtool(interface, &mut request)?;
    let bytes: Vec<u8> = request[3..].iter().flat_map(|word| word.to_ne_bytes()).collect();
    Ok(bytes
        .chunks_exact(NAME_LENGTH)
        .map(|name| String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned())
        .collect())
}

/// One request; the answer replaces it. It must have room for the answer: the callers above size it by the number of
/// offloads that the kernel itself gives, constant while the machine runs.
fn ethtool(interface: &str, request: &mut [u32]) -> io::Result<()> {
    let socket = socket()?;
    // SAFETY: an all-zero ifreq is a valid value: integers, a null pointer and an empty name.
    let mut ifreq: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= ifreq.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in ifreq.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from.cast_signed();
    }
    ifreq.ifr_ifru.ifru_data = request.as_mut_ptr().cast();
    // SAFETY: `ifreq` outlives the call, its name ends with a zero, and its data pointer is to `request`, which is ours to
    // write, aligned for u32, and sized by the callers to what the kernel writes for its command.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut ifreq) })?;
    Ok(())
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_has_named_offloads() {
        let features = features("lo").unwrap();
        assert!(features.iter().any(|feature| feature.name == "rx-gro"), "{features:?}");
        assert_eq!(super::features("no-such-one").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(set_feature("lo", "no-such-offload", true).unwrap_err().raw_os_error(), Some(libc::EOPNOTSUPP));
    }
}
