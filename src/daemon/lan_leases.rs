//! The file in which the LAN's dnsmasq keeps its leases (`[lan] leases`): names and addresses of hosts.
//!
//! Theory of operation: whether the file is another than before is looked at every second, by its time, size and number. dnsmasq
//! writes it in place, from the start, so a file that was written just now may be half of one: it is read at the next
//! look. A line is `expiry MAC address name client-id`; `*` is no name. Lines of other kinds (DHCPv6, other hardware) are
//! passed over. Expired leases are dnsmasq's to take out: what its first field means depends on how it was built.
//!
//! It reads no other server's file.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::{info, warn};

use super::hosts::Lease;
use crate::config::HostName;
use crate::wire::MacAddress;

/// Most that is read of a file: a lease takes some 80 bytes.
const LONGEST_FILE: u64 = 1 << 20;
/// A file that is older is whole.
const SETTLED: Duration = Duration::from_millis(100);

/// By what a file is known to be as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Duration,
    size: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or(0);
        Self { modified: Duration::new(seconds, nanoseconds), size: metadata.size(), inode: metadata.ino() }
    }

    /// Whether nobody is writing the file any more; one of the future was written by another clock.
    fn is_settled(self, wall: Duration) -> bool {
        wall.checked_sub(self.modified).is_none_or(|age| age >= SETTLED)
    }
}

/// What was last said of the file in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Read,
    Failure(io::ErrorKind),
}

/// The file, looked at again and again.
#[derive(Debug)]
pub(super) struct LanLeases {
    /// `None`: nobody has named one.
    path: Option<PathBuf>,
    /// What was read; `None`: nothing, or what is not there any more.
    read: Option<Stamp>,
    told: Told,
}

impl LanLeases {
    pub(super) fn new(path: Option<PathBuf>) -> Self {
        Self { path, read: None, told: Told::Nothing }
    }

    /// All leases, if the file is another than before; `wall` is the time since 1970.
    pub(super) fn look(&mut self, wall: Duration) -> Option<Vec<Lease>> {
        let path = self.path.clone()?;
        match self.read_changed(&path, wall) {
            Ok(leases) => {
                if let Some(leases) = &leases
                    && self.told != Told::Read
                {
                    info!(path = %path.display(), leases = leases.len(), "leases of the LAN are read");
                    self.told = Told::Read;
                }
                leases
            }
            Err(error) => {
                if self.told != Told::Failure(error.kind()) {
                    let what_to_do = "name the file that dnsmasq has as dhcp-leasefile in [lan] leases";
                    warn!(path = %path.display(), %error, what_to_do, "leases of the LAN cannot be read: hosts have no names");
                    self.told = Told::Failure(error.kind());
                }
                self.read.take().map(|_| Vec::new())
            }
        }
    }

    fn read_changed(&mut self, path: &Path, wall: Duration) -> io::Result<Option<Vec<Lease>>> {
        let metadata = fs::metadata(path)?;
        // A pipe would have us wait for its writer.
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let stamp = Stamp::of(&metadata);
        if self.read == Some(stamp) || !stamp.is_settled(wall) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(LONGEST_FILE).read_to_end(&mut bytes)?;
        self.read = Some(stamp);
        Ok(Some(parse(&bytes)))
    }
}

/// The leases in a file of dnsmasq's.
pub(super) fn parse(bytes: &[u8]) -> Vec<Lease> {
    String::from_utf8_lossy(bytes).lines().filter_map(lease).collect()
}

fn lease(line: &str) -> Option<Lease> {
    let mut fields = line.split_ascii_whitespace();
    let _expiry: u64 = fields.next()?.parse().ok()?;
    let mac: MacAddress = fields.next()?.parse().ok()?;
    let address = fields.next()?.parse().ok()?;
    let is_host = !mac.is_group() && mac != MacAddress::default();
    is_host.then(|| Lease { address, mac, name: fields.next().and_then(HostName::new) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FILE: &str = "1795618331 02:00:5e:10:00:01 192.168.10.50 Laptop 01:02:00:5e:10:00:01
0 02:00:5e:10:00:02 192.168.10.51 * *
1795618331 06-02:00:5e:10:00:03 192.168.10.52 serial *
1795618331 02:00:5e:10:00:04 192.168.10.53
duid 00:01:00:01:2c:1d:aa:07:02:00:5e:10:00:01
1795618331 1234 2001:db8::50 laptop 00:01
";

    fn said(leases: &[Lease]) -> Vec<String> {
        let name = |lease: &Lease| lease.name.as_ref().map_or("-".to_owned(), ToString::to_string);
        leases.iter().map(|lease| format!("{} {} {}", lease.mac, lease.address, name(lease))).collect()
    }

    #[test]
    fn leases_are_read_and_other_lines_passed_over() {
        let expected = [
            "02:00:5e:10:00:01 192.168.10.50 laptop",
            "02:00:5e:10:00:02 192.168.10.51 -",
            "02:00:5e:10:00:04 192.168.10.53 -",
        ];
        assert_eq!(said(&parse(FILE.as_bytes())), expected);
    }

    #[test]
    fn changed_file_is_read_once_it_is_whole_and_one_that_goes_takes_the_names_along() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dnsmasq.leases");
        let mut leases = LanLeases::new(Some(path.clone()));
        let later = crate::sys::clock::wall() + Duration::from_secs(60);
        assert_eq!(leases.look(later), None);
        fs::write(&path, FILE).unwrap();
        let written = Stamp::of(&fs::metadata(&path).unwrap()).modified;
        assert_eq!(leases.look(written + Duration::from_millis(99)), None, "it may be written on");
        assert_eq!(leases.look(later).map(|leases| leases.len()), Some(3));
        assert_eq!(leases.look(later), None);
        fs::write(&path, &FILE[..FILE.find("0 02").unwrap()]).unwrap();
        assert_eq!(leases.look(later).map(|leases| leases.len()), Some(1));
        fs::remove_file(&path).unwrap();
        assert_eq!(leases.look(later), Some(Vec::new()));
        assert_eq!(leases.look(later), None);
        fs::create_dir(&path).unwrap();
        assert_eq!(leases.look(later), None);
        assert_eq!(LanLeases::new(None).look(later), None);
    }

    proptest! {
        #[test]
        fn hostile_file_gives_at_most_a_lease_a_line(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert!(parse(&bytes).len() <= bytes.iter().filter(|byte| **byte == b'\n').count() + 1);
        }

        #[test]
        fn hostile_fields_are_no_hosts_that_cannot_be(
            fields in proptest::collection::vec("[0-9a-fA-F:.*\u{e9} \\-]{0,24}", 0..8),
        ) {
            for lease in parse(fields.join(" ").as_bytes()) {
                prop_assert!(!lease.mac.is_group());
                prop_assert!(lease.name.is_none_or(|name| HostName::new(name.as_str()).is_some()));
            }
        }

        #[test]
        fn every_lease_that_is_written_is_read(
            hosts in proptest::collection::vec((any::<[u8; 5]>(), any::<u32>(), "[a-z][a-z0-9-]{0,30}"), 0..20),
        ) {
            let line = |(mac, address, name): &([u8; 5], u32, String)| {
                let [a, b, c, d, e] = *mac;
                (MacAddress([2, a, b, c, d, e]), std::net::Ipv4Addr::from_bits(*address), name.clone())
            };
            let written: Vec<_> = hosts.iter().map(line).collect();
            let text: String = written.iter().map(|(mac, address, name)| format!("1795618331 {mac} {address} {name} *\n")).collect();
            let read: Vec<_> = parse(text.as_bytes()).into_iter().map(|lease| (lease.mac, lease.address, lease.name.unwrap().to_string())).collect();
            prop_assert_eq!(read, written);
        }
    }
}
