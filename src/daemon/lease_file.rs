//! The file in which an uplink's address outlives the program and the machine: asked for first, a known address makes a
//! line come back fast, and with its flows.
//!
//! It is written when the address changes, never for a mere extension. What is in it is a wish to the provider's server
//! and no more, so a file that is missing, broken or of yesterday does no harm, and neither does a disk that is full.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tracing::warn;

use super::state_file;
use crate::config::UplinkName;
use crate::link::dhcp::{Remembered, Standing};

/// The file's content, as JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Content {
    /// The Ethernet address that it was given to.
    mac: String,
    address: Ipv4Addr,
    /// Whether it was given back.
    released: bool,
}

/// The file of one uplink.
#[derive(Debug)]
pub(super) struct LeaseFile {
    path: PathBuf,
    uplink: UplinkName,
    /// What the file says, as far as we know.
    written: Option<Remembered>,
}

impl LeaseFile {
    /// Reads the file of an uplink, if there is one.
    pub(super) fn open(state_dir: &Path, uplink: &UplinkName) -> Self {
        let path = state_dir.join(format!("dhcp-{uplink}.json"));
        let written = match read(&path) {
            Ok(remembered) => Some(remembered),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!(%uplink, path = %path.display(), %error, "remembered address cannot be read; asking for any");
                None
            }
        };
        Self { path, uplink: uplink.clone(), written }
    }

    /// What the uplink had.
    pub(super) fn remembered(&self) -> Option<Remembered> {
        self.written
    }

    /// Writes what the uplink has now, if that is news.
    pub(super) fn update(&mut self, remembered: Option<Remembered>) {
        if remembered == self.written {
            return;
        }
        // Not tried again before there is something new to write: the disk is not fuller or emptier for our asking.
        self.written = remembered;
        let outcome = match remembered {
            Some(remembered) => write(&self.path, remembered),
            None => match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        };
        if let Err(error) = outcome {
            let path = self.path.display();
            warn!(uplink = %self.uplink, %path, %error, "address not remembered; give state_dir room and let us write there");
        }
    }
}

fn read(path: &Path) -> io::Result<Remembered> {
    let content: Content = serde_json::from_slice(&fs::read(path)?)?;
    let mac = content.mac.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    let standing = if content.released { Standing::Released } else { Standing::Held };
    Ok(Remembered { mac, address: content.address, standing })
}

fn write(path: &Path, remembered: Remembered) -> io::Result<()> {
    let Remembered { mac, address, standing } = remembered;
    let content = Content { mac: mac.to_string(), address, released: standing == Standing::Released };
    state_file::write(path, &serde_json::to_vec_pretty(&content)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::MacAddress;

    fn uplink() -> UplinkName {
        let text = "[lan]\ninterface = \"lan0\"\n[[uplink]]\nname = \"dsl1\"\ninterface = \"wan1\"\nkind = \"dhcp\"\n";
        crate::config::parse(Path::new("f"), text).unwrap().uplinks[0].name.clone()
    }

    fn remembered(last: u8, standing: Standing) -> Option<Remembered> {
        let address = Ipv4Addr::new(100, 64, 0, last);
        Some(Remembered { mac: MacAddress([2, 0, 0, 0, 0, 1]), address, standing })
    }

    #[test]
    fn what_is_written_is_read_again_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = folder.path().join("not/there/yet");
        let mut file = LeaseFile::open(&state_dir, &uplink());
        assert_eq!(file.remembered(), None);
        for now in [remembered(7, Standing::Held), remembered(8, Standing::Held), remembered(8, Standing::Released)] {
            file.update(now);
            assert_eq!(LeaseFile::open(&state_dir, &uplink()).remembered(), now);
        }
        file.update(None);
        file.update(None);
        assert_eq!(LeaseFile::open(&state_dir, &uplink()).remembered(), None);
        assert_eq!(fs::read_dir(&state_dir).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn broken_file_is_no_memory_and_a_place_that_cannot_be_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dhcp-dsl1.json");
        for content in ["", "{", "{\"mac\": \"nonsense\", \"address\": \"100.64.0.7\", \"released\": false}", "[]"] {
            fs::write(&path, content).unwrap();
            assert_eq!(LeaseFile::open(folder.path(), &uplink()).remembered(), None, "{content}");
        }
        // A file where the directory should be.
        let mut file = LeaseFile::open(&path, &uplink());
        file.update(remembered(7, Standing::Held));
        file.update(None);
        assert!(path.is_file());
    }
}
