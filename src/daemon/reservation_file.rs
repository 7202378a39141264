//! The file in which what people have reserved outlives the program: `reservations.json` in the state directory.
//!
//! Ends are times since 1970, so what ends while the router does not run has ended when it does again. If the file cannot be
//! written, lines are reserved all the same, until the router ends; whoever ordered it is told.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::reservations::{MOST_ORDERS, Order, Terms};
use super::state_file;
use crate::placement::Fallback;

/// The file's content, as JSON.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    reservations: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    uplink: String,
    /// Its address, Ethernet address or name.
    host: String,
    /// Seconds since 1970.
    until: Option<u64>,
    when_down: WhenDown,
    by: String,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WhenDown {
    Pool,
    Refuse,
}

impl Entry {
    fn of(order: &Order) -> Self {
        let when_down = match order.terms.when_down {
            Fallback::Pool => WhenDown::Pool,
            Fallback::Refuse => WhenDown::Refuse,
        };
        let Order { uplink, host, terms: Terms { until, .. }, by } = order;
        Self { uplink: uplink.clone(), host: host.to_string(), until: *until, when_down, by: by.clone() }
    }

    fn order(self) -> io::Result<Order> {
        let when_down = match self.when_down {
            WhenDown::Pool => Fallback::Pool,
            WhenDown::Refuse => Fallback::Refuse,
        };
        let host = self.host.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(Order { uplink: self.uplink, host, terms: Terms { until: self.until, when_down }, by: self.by })
    }
}

/// The file.
#[derive(Debug)]
pub(super) struct ReservationFile {
    path: PathBuf,
    /// What it says, as far as we know.
    written: Vec<Order>,
}

impl ReservationFile {
    /// Reads the file, if there is one.
    pub(super) fn open(state_dir: &Path) -> Self {
        let path = state_dir.join("reservations.json");
        let written = match read(&path) {
            Ok(orders) => orders,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => {
                warn!(path = %path.display(), %error, "what people have reserved cannot be read; nothing is");
                Vec::new()
            }
        };
        Self { path, written }
    }

    /// What it says.
    pub(super) fn remembered(&self) -> &[Order] {
        &self.written
    }

    /// Writes the orders that there are now, if they are others. What could not be written is tried again by the next call.
    ///
    /// # Errors
    /// Says which file, why not, and what to do about it.
    pub(super) fn update(&mut self, orders: &[Order]) -> Result<(), String> {
        if orders == self.written {
            return Ok(());
        }
        let content = Content { reservations: orders.iter().map(Entry::of).collect() };
        let bytes = serde_json::to_vec_pretty(&content).map_err(io::Error::from);
        match bytes.and_then(|bytes| state_file::write(&self.path, &bytes)) {
            Ok(()) => {
                self.written = orders.to_vec();
                Ok(())
            }
            Err(error) => {
                let path = self.path.display();
                warn!(%path, %error, "not remembered what is reserved");
                Err(format!(
                    "not remembered, so a restart of the router forgets it: {path}: {error}; \
                     give state_dir room, let the router write there, and say it again"
                ))
            }
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<Order>> {
    let content: Content = serde_json::from_slice(&fs::read(path)?)?;
    content.reservations.into_iter().take(MOST_ORDERS).map(Entry::order).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::daemon::hosts::HostIdentity;

    fn order() -> impl Strategy<Value = Order> {
        let host = prop_oneof!["[a-z][a-z0-9.-]{0,40}", "10\\.[0-9]\\.0\\.[0-9]", "02(:[0-9a-f]{2}){5}"];
        let terms = (any::<Option<u64>>(), prop_oneof![Just(Fallback::Pool), Just(Fallback::Refuse)]);
        ("[a-z0-9]{1,8}", host, terms, "\\PC{0,20}").prop_map(|(uplink, host, (until, when_down), by)| {
            let host: HostIdentity = host.parse().unwrap();
            Order { uplink, host, terms: Terms { until, when_down }, by }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_written_is_read_again(orders in proptest::collection::vec(order(), 0..20)) {
            let folder = tempfile::tempdir().unwrap();
            ReservationFile::open(folder.path()).update(&orders).unwrap();
            let file = ReservationFile::open(folder.path());
            prop_assert_eq!(file.remembered(), &orders[..]);
        }

        #[test]
        fn broken_file_reserves_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..400) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("reservations.json");
            fs::write(&path, &bytes).unwrap();
            prop_assert!(ReservationFile::open(folder.path()).remembered().is_empty());
            let whole = Order { uplink: "dsl3".to_owned(), host: "laptop".parse().unwrap(), terms: Terms { until: Some(7), when_down: Fallback::Pool }, by: "uid 0".to_owned() };
            ReservationFile::open(folder.path()).update(&[whole.clone(), whole]).unwrap();
            let written = fs::read(&path).unwrap_or_default();
            if cut < written.len() {
                fs::write(&path, &written[..cut]).unwrap();
                prop_assert!(ReservationFile::open(folder.path()).remembered().is_empty());
            }
        }
    }

    #[test]
    fn entry_that_cannot_be_is_no_reservation() {
        let folder = tempfile::tempdir().unwrap();
        let whole =
            r#"{"reservations": [{"uplink": "dsl3", "host": "laptop", "until": null, "when_down": "pool", "by": ""}]}"#;
        let path = folder.path().join("reservations.json");
        fs::write(&path, whole).unwrap();
        assert_eq!(ReservationFile::open(folder.path()).remembered().len(), 1);
        for (from, to) in [("laptop", "192.168.10"), ("laptop", ""), ("pool", "ask"), ("null", "-1"), ("null", "1.5")] {
            fs::write(&path, whole.replace(from, to)).unwrap();
            assert_eq!(ReservationFile::open(folder.path()).remembered(), [], "{to}");
        }
    }

    #[test]
    fn what_could_not_be_written_is_said_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the directory should be: nobody can write there, root neither.
        let state_dir = folder.path().join("state");
        fs::write(&state_dir, "").unwrap();
        let mut file = ReservationFile::open(&state_dir);
        let orders = [Order {
            uplink: "dsl3".to_owned(),
            host: "laptop".parse().unwrap(),
            terms: Terms { until: None, when_down: Fallback::Refuse },
            by: "uid 0".to_owned(),
        }];
        let said = file.update(&orders).unwrap_err();
        assert!(said.contains("reservations.json") && said.contains("restart"), "{said}");
        fs::remove_file(&state_dir).unwrap();
        file.update(&orders).unwrap();
        assert_eq!(ReservationFile::open(&state_dir).remembered(), orders);
    }
}
