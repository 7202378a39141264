//! Bringing the machine to what it should be now: sockets on every interface that is there, guards and routes around
//! them. Every step may be done again at any time.

use std::os::fd::AsFd;

use ipnet::Ipv4Net;
use tracing::{info, warn};

use super::DaemonError;
use super::lan::Mode;
use super::router::Router;
use super::rules;
use crate::config::UplinkKind;
use crate::host::routing::LOOPBACK;
use crate::host::{HostWarning, Interface, LanCapture};
use crate::io::{self, FrameSender, Shortcut};

/// Longest packet of the TUN device while no LAN interface has said more.
const LEAST_TUN_MTU: u32 = 1_500;

impl Router<'_> {
    /// At the start: everything that is there, and any failure is the end.
    pub(super) async fn settle_all(&mut self) -> Result<(), DaemonError> {
        let there = self.host.interfaces().await?;
        self.note_interfaces(&there).await?;
        self.warn_of_missing();
        // First the uplinks: their networks are not the kernel's from then on.
        for index in 0..self.uplinks.len() {
            tolerate_gone(self.settle_uplink(index).await)?;
        }
        tolerate_gone(self.refresh().await)?;
        self.warn_of_forwards();
        Ok(())
    }

    /// While the router runs: everything that is there; what fails is logged and tried again.
    pub(super) async fn settle_interfaces(&mut self) {
        for index in 0..self.uplinks.len() {
            let outcome = self.settle_uplink(index).await;
            self.survive(outcome, "uplink cannot be used");
        }
        for index in 0..self.lans.len() {
            let outcome = self.settle_lan(index).await;
            self.survive(outcome, "LAN interface cannot be used");
        }
    }

    async fn settle_uplink(&mut self, index: usize) -> Result<(), DaemonError> {
        let uplink = &mut self.uplinks[index];
        let Some(interface) = uplink.interface.clone() else { return Ok(()) };
        if uplink.is_adopted() {
            return self.settle_adopted(index).await;
        }
        if !uplink.prepared {
            if !interface.is_ethernet() {
                return Err(DaemonError::UplinkNotEthernet { interface: interface.name });
            }
            log(&self.host.prepare_uplink(&interface, self.uplink_guard.as_fd()).await?);
            if matches!(uplink.config.kind, UplinkKind::Pppoe(_)) {
                let failed = DaemonError::during(format!("{}: load the cutting program", interface.name));
                let program = io::cutting_program().map_err(failed)?;
                uplink.cutting = self.host.let_kernel_cut(&interface, program.as_fd()).await?;
            }
            uplink.prepared = true;
            // It is up now.
            uplink.interface = Some(self.host.interface(&interface.name).await?);
            self.refresh_soon();
        }
        let uplink = &mut self.uplinks[index];
        let is_up = uplink.interface.as_ref().is_some_and(|interface| interface.up);
        if is_up && uplink.sender.is_none() {
            let failed = |action| DaemonError::during(format!("{}: {action}", interface.name));
            let ports = io::open_uplink(interface.index, self.worker_count, uplink.framing(), self.shortcut.as_ref());
            let ports = ports.map_err(failed("open packet sockets"))?;
            uplink.sender = Some(FrameSender::open(interface.index).map_err(failed("open a packet socket"))?);
            self.workers.attach_uplink(uplink.id, ports);
            info!(uplink = %uplink.config.name, interface = %interface.name, index = interface.index, "uplink attached");
        } else if !is_up && uplink.sender.is_some() {
            uplink.sender = None;
            self.workers.detach_uplink(uplink.id);
        }
        Ok(())
    }

    async fn settle_lan(&mut self, index: usize) -> Result<(), DaemonError> {
        let lan = &self.lans[index];
        let (Some(interface), Some(address)) = (lan.interface.clone(), lan.address) else { return Ok(()) };
        // Nothing is led to the TUN device before it is ready.
        if self.tun.prepared.is_none() {
            return Ok(());
        }
        if lan.mode.is_none() {
            let mode = Mode::choose(self.config.lan.capture, &interface)?;
            self.prepare_lan(&interface, mode).await?;
            self.lans[index].mode = Some(mode);
            let capture = mode.name();
            info!(interface = %interface.name, index = interface.index, %address, capture, "LAN interface attached");
        }
        if self.lans[index].guard_stale {
            let guard = self.lan_guard(&interface)?;
            self.host.replace_lan_guard(&interface, guard.as_fd()).await?;
            // Opened anew below, with the new filter.
            (self.lans[index].guard_stale, self.lans[index].open) = (false, false);
        }
        let lan = &mut self.lans[index];
        if lan.mode == Some(Mode::Packet) && lan.open != interface.up {
            if interface.up {
                let ports =
                    io::open_lan(interface.index, self.worker_count, &self.kernel_networks, self.shortcut.as_ref());
                let failed = DaemonError::during(format!("{}: open packet sockets", interface.name));
                self.workers.attach_lan(lan.id, ports.map_err(failed)?);
            } else {
                self.workers.detach_lan(lan.id);
            }
            lan.open = interface.up;
        }
        Ok(())
    }

    async fn prepare_lan(&mut self, interface: &Interface, mode: Mode) -> Result<(), DaemonError> {
        let warnings = match mode {
            Mode::Tun => self.host.prepare_lan(interface, LanCapture::Tun).await?,
            Mode::Packet => {
                let guard = self.lan_guard(interface)?;
                self.host.prepare_lan(interface, LanCapture::Packet { guard: guard.as_fd() }).await?
            }
        };
        log(&warnings);
        Ok(())
    }

    fn lan_guard(&self, interface: &Interface) -> Result<crate::sys::bpf::Program, DaemonError> {
        let failed = DaemonError::during(format!("{}: load the ingress guard", interface.name));
        io::lan_guard(&self.kernel_networks, self.shortcut.as_ref()).map_err(failed)
    }

    /// Looks at routes and addresses anew, and takes over what changed.
    pub(super) async fn refresh(&mut self) -> Result<(), DaemonError> {
        for index in 0..self.lans.len() {
            let Some(interface) = self.lans[index].interface.clone() else { continue };
            let networks = self.host.lan_networks(&interface).await?;
            let address = networks.first().map(Ipv4Net::addr);
            let lan = &mut self.lans[index];
            if address.is_none() && !lan.address_missed {
                warn!(interface = %interface.name, "LAN interface has no IPv4 address yet");
            }
            lan.address_missed = address.is_none();
            (lan.address, lan.networks) = (address, networks);
        }
        self.look_at_neighbors().await;
        let settled = self.settle_adopted_lines().await;
        self.survive(settled, "uplink cannot be used");
        let mut networks = self.host.kernel_networks().await?;
        let direct = rules::direct_networks(&self.config);
        if !direct.is_empty() {
            networks.extend_from_slice(&direct);
            networks = Ipv4Net::aggregate(&networks);
            networks.sort();
        }
        let changed = networks != self.kernel_networks;
        self.kernel_networks = networks;
        self.settle_tun().await?;
        for lan in self.lans.iter_mut().filter(|lan| changed && lan.mode == Some(Mode::Packet)) {
            lan.guard_stale = true;
        }
        for index in 0..self.lans.len() {
            self.settle_lan(index).await?;
        }
        // All LANs have our rules, whatever captures them.
        let led = self.lans.iter().filter(|lan| lan.mode.is_some()).map(|lan| lan.name.as_str());
        let interfaces: Vec<&str> = std::iter::once(LOOPBACK).chain(led).collect();
        Ok(self.host.leave_to_kernel(&interfaces, &direct).await?)
    }

    /// Prepares the TUN device when the address that the router's own packets get is new.
    async fn settle_tun(&mut self) -> Result<(), DaemonError> {
        let mtu = self.lans.iter().filter_map(|lan| lan.interface.as_ref()).map(|interface| interface.mtu).max();
        let mtu = u16::try_from(mtu.unwrap_or(0).max(LEAST_TUN_MTU)).unwrap_or(u16::MAX);
        let Some(address) = self.lans.iter().find_map(|lan| lan.address) else { return Ok(()) };
        if self.tun.prepared == Some((address, mtu)) && !self.tun.stale {
            return Ok(());
        }
        let egress = self.shortcut.as_ref().map(Shortcut::tun_program).transpose();
        let egress = egress.map_err(DaemonError::during("load the TUN device's program"))?;
        let egress = egress.as_ref().map(AsFd::as_fd);
        self.tun.interface = self.host.prepare_tun(self.config.lan.tun.as_str(), address, mtu, egress).await?;
        self.tun.prepared = Some((address, mtu));
        if std::mem::take(&mut self.tun.stale) {
            let led: Vec<_> = self.lans.iter().filter_map(|lan| Some((lan.interface.clone()?, lan.mode?))).collect();
            for (interface, mode) in led {
                self.prepare_lan(&interface, mode).await?;
            }
        }
        Ok(())
    }
}

/// Tells what of the machine is not quite as it should be.
pub(super) fn log(warnings: &[HostWarning]) {
    for warning in warnings {
        warn!(%warning, "machine is not quite as it should be");
    }
}

/// An interface that vanishes while we start comes back by an event.
fn tolerate_gone(outcome: Result<(), DaemonError>) -> Result<(), DaemonError> {
    match outcome {
        Err(error) if error.is_gone() => Ok(()),
        outcome => outcome,
    }
}
