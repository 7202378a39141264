//! The [`Host`]: what the daemon asks of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use ipnet::Ipv4Net;

use super::entry::Undo;
use super::error::{HostError, HostWarning};
use super::events::HostEvents;
use super::interface::Interface;
use super::journal::Journal;
use super::lock::{self, RunDirLock};
use super::neighbor::Neighbor;
use super::netlink::Netlink;
use super::networks;
use super::routing::{self, Slots};
use super::steps::Steps;
use super::sysctl::Family;
use super::traffic_filter;
use super::undo::undo_all;

/// In packets.
const TUN_QUEUE_LENGTH: u32 = 1000;
/// RFC 7600: the IPv4 dummy address. An interface without any address fails reverse path filtering, even the loose
/// kind, for every packet whose source the kernel would route elsewhere: such as the ICMP errors that we make for LAN hosts.
const TUN_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// The interfaces that are shared with the kernel, by number: each with its name and address, for which rules stand.
pub(super) type Bypasses = BTreeMap<u32, (String, Ipv4Addr)>;

/// How packets of a LAN interface reach the router.
#[derive(Clone, Copy, Debug)]
pub enum LanCapture<'a> {
    /// The kernel routes them to the TUN device.
    Tun,
    /// By packet socket; this loaded program at ingress keeps the same packets from the kernel.
    Packet {
        /// As from `io::lan_guard`.
        guard: BorrowedFd<'a>,
    },
}

/// The machine, as this run of the router uses it. Dropped without [`Host::undo`], all stays as it is, and the next start
/// or [`super::cleanup`] undoes it.
pub struct Host {
    steps: Steps,
    lock: RunDirLock,
    slots: Option<Slots>,
    tun: Option<String>,
    /// The numbers of the interfaces that are uplinks: names change.
    uplinks: BTreeSet<u32>,
    bypasses: Bypasses,
}

impl Host {
    /// Takes the lock on `run_dir` (made if need be, 0755) and undoes what a killed router left there. The connection to
    /// the kernel belongs to the network namespace of the calling thread, and so do the `/proc/sys` files: run on a
    /// current-thread runtime.
    ///
    /// # Errors
    /// [`HostError::Running`] when another router has the lock; what else is in the way.
    pub async fn start(run_dir: &Path) -> Result<Self, HostError> {
        let lock = lock::take(run_dir)?;
        let netlink = Netlink::open()?;
        let left = Journal::read(run_dir)?;
        let undone = undo_all(&netlink, &left).await?;
        undone.log();
        let journal = Journal::create(run_dir, undone.failed)?;
        let steps = Steps { netlink, journal };
        Ok(Self { steps, lock, slots: None, tun: None, uplinks: BTreeSet::new(), bypasses: Bypasses::new() })
    }

    /// Every interface.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn interfaces(&self) -> Result<Vec<Interface>, HostError> {
        self.steps.netlink.interfaces().await
    }

    /// The interface of this name.
    ///
    /// # Errors
    /// [`HostError::NoInterface`] when it is not there.
    pub async fn interface(&self, name: &str) -> Result<Interface, HostError> {
        let found = self.interfaces().await?.into_iter().find(|interface| interface.name == name);
        found.ok_or_else(|| HostError::NoInterface { name: name.to_owned() })
    }

    /// The hosts that the kernel knows on its links.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn neighbors(&self) -> Result<Vec<Neighbor>, HostError> {
        let messages = self.steps.netlink.neighbors().await?;
        Ok(messages.iter().filter_map(Neighbor::from_message).collect())
    }

    /// What the queue of each interface has dropped so far, by the interface's number. It counts in 32 bits.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn queue_drops(&self) -> Result<Vec<(u32, u32)>, HostError> {
        let drops = traffic_filter::queue_drops(&self.steps.netlink).await;
        drops.map_err(|source| HostError::from_kernel("read the queues' counters", source))
    }

    /// What changes from now on; first of all, what is there.
    ///
    /// # Errors
    /// When the kernel does not let us subscribe.
    pub async fn watch(&self) -> Result<HostEvents, HostError> {
        HostEvents::open(self.steps.netlink.clone()).await
    }

    /// The destinations that stay with the kernel: networks that the main table has routes to (default routes, the TUN
    /// device and our uplinks do not count), and the machine's own addresses as /32. Sorted, without overlaps.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn kernel_networks(&self) -> Result<Vec<Ipv4Net>, HostError> {
        let is_ours = |interface: &Interface| {
            self.tun.as_ref() == Some(&interface.name) || self.uplinks.contains(&interface.index)
        };
        let interfaces = self.interfaces().await?;
        let ours: Vec<u32> = interfaces.iter().filter(|link| is_ours(link)).map(|link| link.index).collect();
        let (routes, addresses) = (self.steps.netlink.routes().await?, self.steps.netlink.addresses().await?);
        Ok(networks::kernel_networks(&routes, &addresses, &ours))
    }

    /// The addresses that the machine has on an interface, each with its network; the primary one first.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn lan_networks(&self, interface: &Interface) -> Result<Vec<Ipv4Net>, HostError> {
        Ok(networks::addresses_of(&self.steps.netlink.addresses().await?, interface.index))
    }

    /// Takes an uplink's interface away from the kernel: `guard` (which drops everything, as from `io::uplink_guard`) at
    /// ingress, no IPv6, no forwarding, offloads, link up. Kernel addresses there are told, not touched.
    ///
    /// # Errors
    /// [`HostError::NoInterface`] when it vanished: do it again when it is back. Otherwise what the kernel refused.
    pub async fn prepare_uplink(
        &mut self,
        interface: &Interface,
        guard: BorrowedFd<'_>,
    ) -> Result<Vec<HostWarning>, HostError> {
        let interface = self.take_uplink(interface).await?;
        self.steps.guard(&interface, guard).await?;
        let mut warnings = self.steps.disable_ipv6(&interface).await?;
        self.steps.set_sysctl(&interface, Family::Ipv4, "forwarding", "0")?;
        warnings.extend(self.steps.set_receive_features(&interface)?);
        self.steps.set_up(&interface).await?;
        let addresses = self.steps.netlink.addresses().await?;
        warnings.extend(
            networks::addresses_of(&addresses, interface.index)
                .into_iter()
                .map(|address| HostWarning::KernelAddress { interface: interface.name.clone(), address }),
        );
        Ok(warnings)
    }

    /// Puts an interface back as it was, for it is no uplink any more; whatever it is called now, and if it is gone too.
    ///
    /// # Errors
    /// [`HostError::NotUndone`] when some of it did not work, which stays in the journal; when the kernel does not answer or
    /// the journal cannot be written.
    pub async fn release(&mut self, index: u32) -> Result<(), HostError> {
        self.uplinks.remove(&index);
        self.remove_bypass(index).await?;
        let is_its = |entry: &Undo| entry.target().is_some_and(|target| target.index == index);
        let its: Vec<Undo> = self.steps.journal.entries().iter().filter(|entry| is_its(entry)).cloned().collect();
        let undone = undo_all(&self.steps.netlink, &its).await?;
        self.steps.journal.retain(|entry| !is_its(entry) || undone.failed.contains(entry))?;
        undone.into_result().map(drop)
    }

    /// Makes a LAN interface's packets come to the router, by `capture`, and lets the kernel route the rest of them.
    ///
    /// # Errors
    /// As [`Self::prepare_uplink`].
    pub async fn prepare_lan(
        &mut self,
        interface: &Interface,
        capture: LanCapture<'_>,
    ) -> Result<Vec<HostWarning>, HostError> {
        let interface = self.current(interface).await?;
        // Before forwarding: nothing may slip out by a default route of the kernel's.
        match capture {
            LanCapture::Packet { guard } => self.steps.guard(&interface, guard).await?,
            LanCapture::Tun => self.route(&interface.name).await?,
        }
        self.steps.set_sysctl(&interface, Family::Ipv4, "forwarding", "1")?;
        let mut warnings = self.steps.set_receive_features(&interface)?;
        if self.lan_networks(&interface).await?.is_empty() {
            warnings.push(HostWarning::NoLanAddress { interface: interface.name.clone() });
        }
        Ok(warnings)
    }

    /// Replaces the guard of a LAN interface when [`Self::kernel_networks`] have changed, without a gap.
    ///
    /// # Errors
    /// As [`Self::prepare_uplink`].
    pub async fn replace_lan_guard(&mut self, interface: &Interface, guard: BorrowedFd<'_>) -> Result<(), HostError> {
        let interface = self.current(interface).await?;
        self.steps.guard(&interface, guard).await
    }

    /// Sets the open TUN device up and leads the machine's own packets into it, from `lan_address`. To be done again when
    /// that address changes. LAN interfaces captured by TUN are led there by [`Self::prepare_lan`]. `egress` is a program
    /// that sees what is sent to the device before the device does. Returns the interface's number.
    ///
    /// # Errors
    /// [`HostError::NotLocal`] when the machine does not have the address; otherwise as [`Self::prepare_uplink`].
    pub async fn prepare_tun(
        &mut self,
        name: &str,
        lan_address: Ipv4Addr,
        mtu: u16,
        egress: Option<BorrowedFd<'_>>,
    ) -> Result<u32, HostError> {
        let named = self.interface(name).await?;
        let interface = self.current(&named).await?;
        self.tun = Some(interface.name.clone());
        self.steps.disable_ipv6(&interface).await?;
        // Packets there come from anywhere, and the ICMP errors that we make for LAN hosts from our own LAN address. Loose
        // filtering wins over strict in `conf/all`: the kernel takes the greater number of the two.
        for (key, value) in [("rp_filter", "2"), ("accept_local", "1"), ("forwarding", "1")] {
            self.steps.set_sysctl(&interface, Family::Ipv4, key, value)?;
        }
        self.steps.set_mtu(&interface, mtu.into()).await?;
        self.steps.set_queue_length(&interface, TUN_QUEUE_LENGTH).await?;
        if let Some(program) = egress {
            self.steps.watch_tun(&interface, program).await?;
        }
        self.steps.set_up(&interface).await?;
        self.steps.add_link_address(&interface, Ipv4Net::from(TUN_ADDRESS)).await?;
        let slots = self.slots().await?;
        self.steps.fill_table(slots.table, &interface, lan_address).await?;
        self.steps.add_rules(routing::LOOPBACK, slots).await?;
        Ok(interface.index)
    }

    /// Undoes everything, last first, and lets go of `run_dir`. A line for each step.
    ///
    /// # Errors
    /// [`HostError::NotUndone`] when some of it did not work, which stays in the journal for [`super::cleanup`]; when the
    /// kernel does not answer or the journal cannot be written.
    pub async fn undo(self) -> Result<Vec<String>, HostError> {
        let Self { steps: Steps { netlink, mut journal }, lock, .. } = self;
        let undone = undo_all(&netlink, journal.entries()).await?;
        if undone.failed.is_empty() {
            journal.remove();
        } else {
            journal.retain(|entry| undone.failed.contains(entry))?;
        }
        lock.release();
        undone.into_result()
    }

    pub(super) fn netlink(&self) -> &Netlink {
        &self.steps.netlink
    }

    pub(super) fn steps_mut(&mut self) -> &mut Steps {
        &mut self.steps
    }

    pub(super) fn bypasses(&mut self) -> &mut Bypasses {
        &mut self.bypasses
    }

    /// The priority before those that lead to the TUN device.
    pub(super) async fn bypass_priority(&mut self) -> Result<u32, HostError> {
        Ok(self.slots().await?.priority.saturating_sub(1))
    }

    /// The interface as it is now, an uplink from now on.
    pub(super) async fn take_uplink(&mut self, interface: &Interface) -> Result<Interface, HostError> {
        let interface = self.current(interface).await?;
        self.uplinks.insert(interface.index);
        Ok(interface)
    }

    async fn route(&mut self, interface: &str) -> Result<(), HostError> {
        let slots = self.slots().await?;
        self.steps.add_rules(interface, slots).await
    }

    /// Chosen once a run, while nothing there is ours.
    async fn slots(&mut self) -> Result<Slots, HostError> {
        if let Some(slots) = self.slots {
            return Ok(slots);
        }
        let slots = Slots::find(&self.steps.netlink).await?;
        self.slots = Some(slots);
        Ok(slots)
    }

    /// The interface as it is now, if it still is the same one. Forgets what is in the journal of those that are gone.
    async fn current(&mut self, interface: &Interface) -> Result<Interface, HostError> {
        let there = self.interfaces().await?;
        let is_there = |index: u32| there.iter().any(|link| link.index == index);
        self.steps.journal.retain(|entry: &Undo| entry.target().is_none_or(|target| is_there(target.index)))?;
        let same = |link: &Interface| link.index == interface.index && link.name == interface.name;
        let gone = || HostError::NoInterface { name: interface.name.clone() };
        there.into_iter().find(same).ok_or_else(gone)
    }
}
