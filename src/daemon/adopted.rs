//! Lines whose address is the kernel's (`kind = "adopted"`): what it has is looked at whenever it tells of a change, and followed.
//!
//! With an address, the guard and the sockets of the line know it and our share of its ports; with another address both are made
//! anew, and the flows of the old one end as those of any line that gets another (see `router`).

use std::os::fd::AsFd;

use tracing::info;

use super::DaemonError;
use super::place::Place;
use super::router::Router;
use super::settle::log;
use crate::io::{self, FrameSender, LinkHeader, Share};
use crate::nat::PortBounds;
use crate::nat::ports::PROBE_PORTS;

impl Router<'_> {
    /// Looks at what the kernel has on every such line.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub(super) async fn settle_adopted_lines(&mut self) -> Result<(), DaemonError> {
        for at in 0..self.uplinks.len() {
            let uplink = &self.uplinks[at];
            if uplink.is_adopted() && uplink.place == Place::Configured {
                self.settle_adopted(at).await?;
            }
        }
        Ok(())
    }

    /// Takes in what the kernel has on the line's interface, and opens our share of it.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub(super) async fn settle_adopted(&mut self, at: usize) -> Result<(), DaemonError> {
        let Some(interface) = self.uplinks[at].interface.clone() else { return Ok(()) };
        if !self.uplinks[at].prepared {
            let failed = DaemonError::during(format!("{}: load the egress guard", interface.name));
            let egress = io::adopted_egress_guard().map_err(failed)?;
            log(&self.host.prepare_adopted(&interface, egress.as_fd()).await?);
            self.uplinks[at].prepared = true;
        }
        let line = self.host.kernel_line(&interface).await?;
        let uplink = &mut self.uplinks[at];
        uplink.kernel_line = line;
        let link = if interface.is_ethernet() { LinkHeader::Ethernet } else { LinkHeader::None };
        let address = line.network.map(|network| network.addr()).filter(|_| interface.up);
        // Answers to our own probes are not the kernel's either.
        let is_ours = |port| uplink.ports.contains(port) || PROBE_PORTS.contains(&port);
        let share = address.map(|address| Share { address, ports: PortBounds::of(is_ours), link });
        if share == uplink.share {
            return Ok(());
        }
        (uplink.sender, uplink.share) = (None, None);
        self.workers.detach_uplink(uplink.id);
        let Some(share) = share else { return Ok(()) };
        let failed = |action| DaemonError::during(format!("{}: {action}", interface.name));
        let guard = io::adopted_guard(&share).map_err(failed("load the ingress guard"))?;
        self.host.share_address(&interface, share.address, guard.as_fd()).await?;
        let ports = io::open_adopted(interface.index, self.worker_count, &share);
        let ports = ports.map_err(failed("open packet sockets"))?;
        let sender = match link {
            LinkHeader::Ethernet => FrameSender::open(interface.index),
            LinkHeader::None => FrameSender::open_bare(interface.index),
        };
        let sender = sender.map_err(failed("open a packet socket"))?;
        let uplink = &mut self.uplinks[at];
        self.workers.attach_uplink(uplink.id, ports);
        let (name, address) = (&uplink.config.name, share.address);
        info!(uplink = %name, interface = %interface.name, index = interface.index, %address, "uplink attached, shared with the kernel");
        (uplink.sender, uplink.share) = (Some(sender), Some(share));
        Ok(())
    }
}
