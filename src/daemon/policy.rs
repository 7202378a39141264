//! From the configuration to the policy that workers read: names of lines become ids, hosts become addresses.

use std::sync::Arc;

use ipnet::Ipv4Net;

use super::hosts::{HostIdentity, Hosts};
use super::places;
use super::router::Router;
use super::uplink::UplinkState;
use crate::config::{self, Config, ReservedHost, UplinkName};
use crate::placement::{Action, Fallback, Match, Policy, Reserved, Rule, RuleId, Stickiness, UplinkId};

impl Router<'_> {
    /// The policy as things are now; the one before if nothing is different.
    pub(super) fn policy(&self, before: &Arc<Policy>) -> Arc<Policy> {
        let policy = Policy {
            rules: rules(&self.config),
            reserved: reserved(&self.config, &self.uplinks, &self.hosts),
            isolated: self.isolated_lines(),
        };
        if policy == **before { Arc::clone(before) } else { Arc::new(policy) }
    }
}

fn id_of(uplinks: &[UplinkState], name: &UplinkName) -> Option<UplinkId> {
    places::named(uplinks, name).map(|uplink| uplink.id)
}

fn rules(config: &Config) -> Vec<Rule> {
    (1..).map(RuleId).zip(&config.rules).map(|(id, rule)| compiled(id, rule)).collect()
}

fn compiled(id: RuleId, rule: &config::Rule) -> Rule {
    let port = |port: &std::num::NonZeroU16| port.get()..=port.get();
    Rule {
        id,
        name: rule.name.as_str().into(),
        matches: Match {
            protocol: rule.protocol,
            destination_ports: rule.destination_ports.iter().map(port).collect(),
            except_destinations: rule.except_destinations.iter().copied().map(Ipv4Net::from).collect(),
            ..Match::default()
        },
        action: Action::Class(rule.class),
        stickiness: Stickiness::Default,
    }
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
