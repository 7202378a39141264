//! From the configuration to the policy that workers read: names of lines become ids, hosts become addresses.

use std::sync::Arc;

use super::hosts::{HostIdentity, Hosts};
use super::places;
use super::router::Router;
use super::rules;
use super::uplink::UplinkState;
use crate::config::{Config, ReservedHost, Role, UplinkName};
use crate::placement::{Fallback, Policy, Reserved, UplinkId, UplinkSet};

impl Router<'_> {
    /// The policy as things are now; the one before if nothing is different.
    pub(super) fn policy(&self, before: &Arc<Policy>) -> Arc<Policy> {
        let isolated = isolated(&self.uplinks);
        let id_of = |name: &UplinkName| id_of(&self.uplinks, name);
        let policy = Policy {
            rules: rules::compiled(&self.config, id_of, &self.hosts, &self.rule_ids, isolated),
            reserved: reserved(&self.config, &self.uplinks, &self.hosts),
            isolated,
        };
        if policy == **before { Arc::clone(before) } else { Arc::new(policy) }
    }
}

fn id_of(uplinks: &[UplinkState], name: &UplinkName) -> Option<UplinkId> {
    places::named(uplinks, name).map(|uplink| uplink.id)
}

/// Lines that the configuration gives to flows of class isolated.
fn isolated(uplinks: &[UplinkState]) -> UplinkSet {
    let isolated = places::configured(uplinks).filter(|uplink| uplink.config.role == Role::Isolated);
    isolated.map(|uplink| uplink.id).collect()
}

fn reserved(config: &Config, uplinks: &[UplinkState], hosts: &Hosts) -> Vec<Reserved> {
    let reservations = config.reservations.iter();
    let reserved = reservations.filter_map(|reservation| {
        let addresses = |host: &ReservedHost| match *host {
            ReservedHost::Address(address) => hosts.addresses(&HostIdentity::Address(address)),
            ReservedHost::Mac(mac) => hosts.addresses(&HostIdentity::Mac(mac)),
        };
        Some(Reserved {
            uplink: id_of(uplinks, &reservation.uplink)?,
            hosts: reservation.hosts.iter().flat_map(addresses).collect(),
            fallback: Fallback::Pool,
        })
    });
    reserved.collect()
}
