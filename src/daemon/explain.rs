//! What would become of a connection, worked out from what the workers read: nothing is sent, and no flow is made.

use std::net::Ipv4Addr;

use super::places;
use super::rehearsal::{ExplainQuery, ExplainReport, ExplainedLine};
use super::router::{Router, now};
use crate::config::{Config, RuleAction};
use crate::flow::Protocol;
use crate::placement::{
    Adhesion, Class, Decision, Demand, Load, Opening, Snapshot, Stickiness, UplinkId, UplinkSet, candidates, choose,
};
use crate::wire::ipv4::is_one_host;

/// What becomes of packets that are not ours.
const KERNEL: &str = "kernel";

impl Router<'_> {
    /// Says what would become of a connection now.
    ///
    /// # Errors
    /// When the question cannot be understood.
    pub(super) fn explain(&self, query: &ExplainQuery) -> Result<ExplainReport, String> {
        let opening = query.opening()?;
        let configured = places::configured(&self.uplinks).map(|uplink| uplink.id).collect();
        let (snapshot, load, key) = (self.snapshot(), self.workers.load(), &opening.key);
        let mut decision = snapshot.policy.decide(&opening);
        let is_bulky = decision.class == Class::Isolated && self.workers.knows_as_bulky(now(), key);
        if is_bulky {
            decision = snapshot.policy.as_bulk(&opening, decision);
        }
        let candidates = candidates(&snapshot.uplinks, &decision.tiers);
        let line_of = |adhesion| self.workers.affinity()?.line_among(now(), key, adhesion, candidates, load);
        let sticky = Adhesion::of(decision.stickiness, key).and_then(line_of);
        let place = Place { snapshot: &snapshot, load, configured, decision, sticky };
        let mut report = place.explain(&opening);
        if is_bulky {
            report.notes.push("connections like it have turned out bulky: it would be class bulk".to_owned());
        }
        if report.fate == KERNEL {
            report.rule = direct_rule(&self.config, opening.key.remote.address).map(str::to_owned);
        }
        let (host, mut networks) = (opening.key.internal.address, self.lans.iter().flat_map(|lan| &lan.networks));
        if !networks.any(|network| network.contains(&host)) {
            report.notes.push(format!("{host} is in no network that the router has an address in"));
        }
        Ok(report)
    }
}

/// The rule that leaves an address to the kernel.
fn direct_rule(config: &Config, address: Ipv4Addr) -> Option<&str> {
    let direct = config.rules.iter().filter(|rule| rule.action == RuleAction::Direct);
    let mut covering = direct.filter(|rule| rule.matches.destinations.iter().any(|network| network.contains(&address)));
    covering.next().map(|rule| rule.name.as_str())
}

/// All that decides about a new flow.
struct Place<'a> {
    snapshot: &'a Snapshot,
    load: &'a Load,
    /// Lines of the configuration: a vacant place has none.
    configured: UplinkSet,
    /// What the policy says of it.
    decision: Decision,
    /// The line that its host's flows to the same site stick to.
    sticky: Option<UplinkId>,
}

impl Place<'_> {
    fn explain(&self, opening: &Opening) -> ExplainReport {
        let mut report = asked(opening);
        let (host, far) = (opening.key.internal.address, opening.key.remote.address);
        if let Some(network) = self.snapshot.kernel_networks.iter().find(|network| network.contains(&far)) {
            let note =
                format!("{far} is in {network}, which the kernel reaches by itself: its packets are not translated");
            (report.fate, report.notes) = (KERNEL.to_owned(), vec![note]);
            return report;
        }
        if let Some(nobody) = [host, far].into_iter().find(|address| !is_one_host(*address) || address.is_link_local())
        {
            report.notes.push(format!("{nobody} is not an address by which one host could be reached"));
            return report;
        }
        let decision = self.decision;
        let rule = self.snapshot.policy.rules.iter().find(|rule| Some(rule.id) == decision.rule);
        report.rule = rule.map(|rule| rule.name.to_string());
        report.class = Some(decision.class.name().to_owned());
        report.stickiness = Some(word(decision.stickiness).to_owned());
        let tiers = decision.tiers.iter().map(|tier| self.lines(tier));
        report.tiers = tiers.filter(|lines| !lines.is_empty()).collect();
        let candidates = candidates(&self.snapshot.uplinks, &decision.tiers);
        let sticky = self.sticky.filter(|line| candidates.contains(*line));
        let by_load = || {
            let chosen = choose(&self.snapshot.uplinks, self.load, Demand::of(&opening.key), candidates);
            chosen.map(|choice| choice.uplink)
        };
        let Some(chosen) = sticky.or_else(by_load) else {
            report.notes.push("none of the lines that it may have takes connections now".to_owned());
            return report;
        };
        report.fate = "line".to_owned();
        report.uplink = self.snapshot.uplink(chosen).map(|uplink| uplink.name.to_string());
        report.decided_by = Some(if sticky.is_some() { "stickiness" } else { "load" }.to_owned());
        report
    }

    fn lines(&self, tier: UplinkSet) -> Vec<ExplainedLine> {
        let its = tier.intersection(self.configured);
        let lines = self.snapshot.uplinks.iter().filter(|uplink| its.contains(uplink.id));
        let line = |uplink: &crate::placement::Uplink| ExplainedLine {
            uplink: uplink.name.to_string(),
            state: uplink.availability.name().to_owned(),
        };
        lines.map(line).collect()
    }
}

/// The question in the answer, and nothing more: refused, until something better is known.
fn asked(opening: &Opening) -> ExplainReport {
    let (host, far, protocol) = (opening.key.internal, opening.key.remote, opening.key.protocol);
    let with_port = |end: crate::flow::EndpointV4| match end.port {
        0 => end.address.to_string(),
        port => format!("{}:{port}", end.address),
    };
    let far = if protocol == Protocol::Icmp { far.address.to_string() } else { with_port(far) };
    ExplainReport {
        from: with_port(host),
        to: format!("{far}/{protocol}"),
        dscp: opening.dscp,
        fate: "refused".to_owned(),
        ..ExplainReport::default()
    }
}

const fn word(stickiness: Stickiness) -> &'static str {
    match stickiness {
        Stickiness::Never => "never",
        Stickiness::Default => "default",
        Stickiness::Soft => "soft",
        Stickiness::Hard => "hard",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::placement::testing::uplink;
    use crate::placement::{Action, Availability, Match, Policy, Rule, RuleId};

    /// Three lines, the last one isolated and for SSH, and a network of the kernel's.
    fn snapshot() -> Snapshot {
        let isolated = UplinkSet::of(UplinkId(2));
        let ssh = Rule {
            id: RuleId(9),
            name: "ssh".into(),
            matches: Match { destination_ports: vec![22..=22], ..Match::default() },
            action: Action::Class(Class::Isolated),
            stickiness: Stickiness::Hard,
        };
        Snapshot {
            uplinks: (0..3).map(|id| uplink(id, 1)).collect(),
            kernel_networks: vec!["192.168.10.0/24".parse().unwrap()],
            policy: Arc::new(Policy { rules: vec![ssh], isolated, ..Policy::default() }),
            ..Snapshot::default()
        }
    }

    fn explain(snapshot: &Snapshot, to: &str, sticky: Option<UplinkId>) -> ExplainReport {
        let query = ExplainQuery { from: "192.168.10.20".to_owned(), to: to.to_owned(), dscp: None };
        let (load, configured) = (Load::default(), (0..3).map(UplinkId).collect());
        load.add(UplinkId(0));
        let opening = query.opening().unwrap();
        let decision = snapshot.policy.decide(&opening);
        Place { snapshot, load: &load, configured, decision, sticky }.explain(&opening)
    }

    fn names(tiers: &[Vec<ExplainedLine>]) -> Vec<Vec<&str>> {
        tiers.iter().map(|tier| tier.iter().map(|line| line.uplink.as_str()).collect()).collect()
    }

    #[test]
    fn rule_class_lines_and_choice_are_told() {
        let report = explain(&snapshot(), "203.0.113.9:22/tcp", None);
        assert_eq!((report.rule.as_deref(), report.class.as_deref()), (Some("ssh"), Some("isolated")));
        assert_eq!(names(&report.tiers), [vec!["dsl2"], vec!["dsl0", "dsl1"]]);
        assert_eq!((report.uplink.as_deref(), report.fate.as_str()), (Some("dsl2"), "line"));
        assert_eq!(report.stickiness.as_deref(), Some("hard"));
        let report = explain(&snapshot(), "203.0.113.9:443/tcp", None);
        assert_eq!((report.rule, report.class.as_deref()), (None, Some("bulk")));
        // The first has a flow already.
        assert_eq!((report.uplink.as_deref(), report.decided_by.as_deref()), (Some("dsl1"), Some("load")));
    }

    #[test]
    fn stickiness_decides_where_it_can() {
        let decided = |line| {
            let report = explain(&snapshot(), "203.0.113.9:443/tcp", Some(UplinkId(line)));
            (report.uplink.unwrap(), report.decided_by.unwrap())
        };
        assert_eq!(decided(0), ("dsl0".to_owned(), "stickiness".to_owned()));
        assert_eq!(decided(2), ("dsl1".to_owned(), "load".to_owned()));
    }

    #[test]
    fn lines_that_do_not_work_are_told_with_their_state() {
        let mut snapshot = snapshot();
        snapshot.uplinks[2].availability = Availability::NoCarrier;
        let report = explain(&snapshot, "203.0.113.9:22/tcp", None);
        assert_eq!((report.tiers[0][0].state.as_str(), report.uplink.as_deref()), ("no-carrier", Some("dsl1")));
        snapshot.uplinks.iter_mut().for_each(|uplink| uplink.availability = Availability::Down);
        let report = explain(&snapshot, "203.0.113.9:22/tcp", None);
        assert_eq!((report.fate.as_str(), report.uplink, report.notes.len()), ("refused", None, 1));
    }

    #[test]
    fn what_is_the_kernels_or_nobodys_gets_no_line() {
        let report = explain(&snapshot(), "192.168.10.9:22/tcp", None);
        assert_eq!((report.fate.as_str(), report.rule, report.tiers.len()), ("kernel", None, 0));
        let report = explain(&snapshot(), "224.0.0.251:5353/udp", None);
        assert_eq!((report.fate.as_str(), report.tiers.len()), ("refused", 0));
        assert!(report.notes[0].contains("224.0.0.251"), "{report:?}");
    }
}
