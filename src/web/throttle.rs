//! Who has failed to prove who he is must wait before he tries again: for longer each time, by name and by address.
//!
//! Pure: time is an argument. A try counts as failed when it begins, so many at one time are no way around; it is forgiven if it
//! was right. By address one may wait a quarter of an hour, by name a minute: nobody is to be kept out by somebody else who
//! tries his name.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Tries that nobody waits for.
const FREE: u32 = 5;
/// What comes after them waits so long, and then twice as long each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longest wait for an address.
const LONGEST_FOR_ADDRESS: Duration = Duration::from_secs(15 * 60);
/// Longest wait for a name.
const LONGEST_FOR_NAME: Duration = Duration::from_secs(60);
/// Failures are forgotten when so long none has come.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3_600);
/// Names, and addresses, that are remembered at one time.
const MOST: usize = 1_024;

/// What is remembered of failures.
#[derive(Debug)]
pub(super) struct Throttle {
    addresses: Failures<IpAddr>,
    names: Failures<String>,
}

impl Default for Throttle {
    fn default() -> Self {
        let (addresses, names) = (Failures::new(LONGEST_FOR_ADDRESS), Failures::new(LONGEST_FOR_NAME));
        Self { addresses, names }
    }
}

impl Throttle {
    /// Somebody at `from` is about to prove that he is `name`, at `now`. The error says how long he must wait.
    pub(super) fn begin(&mut self, now: Duration, from: IpAddr, name: &str) -> Result<(), Duration> {
        let from = neighborhood(from);
        let wait = self.addresses.wait(now, &from).max(self.names.wait(now, name));
        if wait > Duration::ZERO {
            return Err(wait);
        }
        self.addresses.count(now, from);
        self.names.count(now, name.to_owned());
        Ok(())
    }

    /// He was right.
    pub(super) fn forgive(&mut self, from: IpAddr, name: &str) {
        self.names.known.remove(name);
        // Only this one: who has a name of his own is not to clear what he has tried with others'.
        if let Some(entry) = self.addresses.known.get_mut(&neighborhood(from)) {
            entry.failures = entry.failures.saturating_sub(1);
        }
    }
}

/// Whoever has one IPv6 address has its whole /64.
fn neighborhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        address @ IpAddr::V4(_) => address,
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    last: Duration,
}

/// Failures by what they have in common.
#[derive(Debug)]
struct Failures<K> {
    known: HashMap<K, Entry>,
    longest: Duration,
}

impl<K: Hash + Eq + Clone> Failures<K> {
    fn new(longest: Duration) -> Self {
        Self { known: HashMap::new(), longest }
    }

    fn wait<Q: Hash + Eq + ?Sized>(&self, now: Duration, key: &Q) -> Duration
    where
        K: std::borrow::Borrow<Q>,
    {
        let Some(entry) = self.known.get(key) else { return Duration::ZERO };
        let Some(beyond) = entry.failures.checked_sub(FREE) else { return Duration::ZERO };
        let wait = FIRST_WAIT.saturating_mul(1 << beyond.min(20)).min(self.longest);
        (entry.last + wait).saturating_sub(now)
    }

    fn count(&mut self, now: Duration, key: K) {
        self.known.retain(|_, entry| now.saturating_sub(entry.last) < FORGOTTEN_AFTER);
        if self.known.len() >= MOST && !self.known.contains_key(&key) {
            // Whoever has failed least, and of those the one longest ago.
            let least = self.known.iter().min_by_key(|(_, entry)| (entry.failures, entry.last));
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.known.remove(&least);
            }
        }
        let entry = self.known.entry(key).or_insert(Entry { failures: 0, last: now });
        *entry = Entry { failures: entry.failures.saturating_add(1), last: now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 10, 20));

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn there(number: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + number).to_be_bytes())
    }

    #[test]
    fn waits_grow_with_each_failure_and_are_over_after_a_success() {
        let mut throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.begin(at(10), HERE, "anna"), Ok(()));
        }
        assert_eq!(throttle.begin(at(10), HERE, "anna"), Err(at(1)));
        assert_eq!(throttle.begin(at(11), HERE, "anna"), Ok(()));
        assert_eq!(throttle.begin(at(11), HERE, "anna"), Err(at(2)));
        assert_eq!(throttle.begin(at(13), HERE, "anna"), Ok(()));
        throttle.forgive(HERE, "anna");
        assert_eq!(throttle.begin(at(13), there(1), "anna"), Ok(()));
    }

    #[test]
    fn many_names_from_one_address_wait_and_so_does_one_name_from_many() {
        let mut throttle = Throttle::default();
        let tried = (0..100).filter(|number| throttle.begin(at(0), HERE, &format!("name{number}")).is_ok());
        assert_eq!(tried.count(), 5);
        let mut throttle = Throttle::default();
        let tried = (0..100).filter(|number| throttle.begin(at(0), there(*number), "anna").is_ok());
        assert_eq!(tried.count(), 5);
        assert_eq!(throttle.begin(at(0), HERE, "bert"), Ok(()), "others do not wait");
        // However often it is tried, its owner waits a minute at most.
        for second in 0..10_000 {
            let _tried = throttle.begin(at(second), there(100 + u32::try_from(second).unwrap()), "anna");
        }
        assert!(throttle.begin(at(10_000), HERE, "anna").is_err_and(|wait| wait <= at(60)));
    }

    #[test]
    fn success_with_ones_own_name_does_not_clear_the_tries_with_others() {
        let mut throttle = Throttle::default();
        for _ in 0..4 {
            assert_eq!(throttle.begin(at(0), HERE, "anna"), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(throttle.begin(at(0), HERE, "mallory"), Ok(()));
            throttle.forgive(HERE, "mallory");
        }
        assert_eq!(throttle.begin(at(0), HERE, "anna"), Ok(()));
        assert!(throttle.begin(at(0), HERE, "mallory").is_err());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_fades() {
        let mut throttle = Throttle::default();
        for _ in 0..6 {
            let _tried = throttle.begin(at(0), HERE, "anna");
        }
        for number in 0..5_000 {
            let _tried = throttle.begin(at(1), there(number), &format!("name{number}"));
        }
        assert_eq!((throttle.addresses.known.len(), throttle.names.known.len()), (MOST, MOST));
        assert!(throttle.begin(at(0), HERE, "bert").is_err(), "who has failed most is remembered");
        assert_eq!(throttle.begin(at(3_601), HERE, "bert"), Ok(()));
        assert!(throttle.names.known.len() < 5);
    }

    #[test]
    fn a_whole_ipv6_network_is_one_neighbor() {
        let mut throttle = Throttle::default();
        let address = |last: u16| IpAddr::from([0xfd00, 0, 0, 1, 0, 0, 0, last]);
        let tried = (0..20).filter(|last| throttle.begin(at(0), address(*last), &format!("name{last}")).is_ok());
        assert_eq!(tried.count(), 5);
    }
}
