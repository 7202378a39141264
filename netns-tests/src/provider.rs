//! A provider's DHCP server: dnsmasq at the far end of an uplink.

use std::fs;
use std::path::PathBuf;

use potato::demo::lab::{Lab, Process};

use crate::Must;
use crate::waiting::wait_for;

/// The server of one uplink. What it says goes to a file that those after it append to.
#[derive(Debug)]
pub struct Provider {
    process: Process,
    log: PathBuf,
}

impl Provider {
    /// Starts the server at the far end of uplink number `number` of `lab`. It gives addresses from `first` to `last` (both
    /// in the network of the far end's own address), with more `options` as dnsmasq has them, and remembers no client of
    /// an earlier one.
    ///
    /// # Panics
    /// When it does not start.
    #[must_use]
    pub fn start(lab: &Lab, number: usize, (first, last): (&str, &str), options: &[&str]) -> Self {
        let log = lab.directory().join(format!("dnsmasq{number}.log"));
        let range = format!("--dhcp-range={first},{last},255.255.255.0,2m");
        let (interface, log_file) = (format!("--interface=isp{number}"), format!("--log-facility={}", log.display()));
        let mut arguments = vec!["--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--pid-file="];
        arguments.extend(["--port=0", "--bind-interfaces", "--log-dhcp", "--no-ping", "--dhcp-authoritative"]);
        arguments.extend(["--leasefile-ro", &interface, &log_file, &range]);
        arguments.extend(options);
        let far_end = lab.far_end(number);
        let process = far_end.spawn("dnsmasq", &arguments).must();
        let provider = Self { process, log };
        wait_for("the DHCP server", || {
            let sockets = far_end.exec("ss", &["-Hlun", "sport = :67"]).must();
            if sockets.trim().is_empty() { Err(provider.log()) } else { Ok(()) }
        });
        provider
    }

    /// All that servers of this uplink have said.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// How often they have said `what`: `"DHCPDISCOVER"`.
    #[must_use]
    pub fn count(&self, what: &str) -> usize {
        self.log().matches(&format!(" {what}(")).count()
    }

    /// Waits until they have said `what` at least `times` times.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_for(&self, what: &str, times: usize) {
        wait_for(what, || if self.count(what) >= times { Ok(()) } else { Err(self.log()) });
    }

    /// Ends the server.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn stop(mut self) {
        self.process.signal(libc::SIGKILL).must();
        self.process.child().wait().must();
    }
}
