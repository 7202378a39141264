//! From the configuration to the policy that workers read: names of lines become ids, hosts become addresses.

use std::sync::Arc;

use super::hosts::Hosts;
use super::places;
use super::reservations::Reservations;
use super::router::Router;
use super::rules;
use super::uplink::UplinkState;
use crate::config::UplinkName;
use crate::placement::{Policy, Reserved, UplinkId, UplinkSet};

impl Router<'_> {
    /// The policy as things are now; the one before if nothing is different.
    pub(super) fn policy(&self, before: &Arc<Policy>) -> Arc<Policy> {
        let isolated = self.isolated_lines();
        let id_of = |name: &UplinkName| id_of(&self.uplinks, name.as_str());
        let policy = Policy {
            rules: rules::compiled(&self.config, id_of, &self.hosts, &self.rule_ids, isolated),
            reserved: reserved(&self.reservations, &self.uplinks, &self.hosts),
            isolated,
        };
        if policy == **before { Arc::clone(before) } else { Arc::new(policy) }
    }

    /// Lines that are somebody's own now.
    pub(super) fn reserved_uplinks(&self) -> UplinkSet {
        self.reservations.in_force().filter_map(|held| id_of(&self.uplinks, held.uplink)).collect()
    }
}

fn id_of(uplinks: &[UplinkState], name: &str) -> Option<UplinkId> {
    places::configured(uplinks).find(|uplink| uplink.config.name.as_str() == name).map(|uplink| uplink.id)
}

/// One for each line and what its hosts do while it does not work. A line whose hosts nobody knows is nobody's.
fn reserved(reservations: &Reservations, uplinks: &[UplinkState], hosts: &Hosts) -> Vec<Reserved> {
    let mut all: Vec<Reserved> = Vec::new();
    for held in reservations.in_force() {
        let Some(uplink) = id_of(uplinks, held.uplink) else { continue };
        let addresses = hosts.addresses(held.host);
        let is_same = |reserved: &&mut Reserved| reserved.uplink == uplink && reserved.fallback == held.when_down;
        match all.iter_mut().find(is_same) {
            Some(reserved) => reserved.hosts.extend(addresses),
            None => all.push(Reserved { uplink, hosts: addresses, fallback: held.when_down }),
        }
    }
    for reserved in &mut all {
        reserved.hosts.sort_unstable();
        reserved.hosts.dedup();
    }
    all
}
