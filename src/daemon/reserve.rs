//! Reserving lines and releasing them, by order and by time; and hearing who is who on the LAN.

use std::net::Ipv4Addr;
use std::time::Duration;

use tracing::{debug, info};

use super::actor::Actor;
use super::history::{Kind, Record};
use super::hosts::{Heard, HostIdentity};
use super::local_time;
use super::places;
use super::report::{ReleaseOrder, ReleaseReport, ReserveOrder, ReserveReport, ReservedReport, WhenDown};
use super::reservations::{InForce, Order, Source, Terms, Turn};
use super::router::Router;
use super::status;
use super::uplink::UplinkState;
use crate::config::{Reservation, TimeOfDay};
use crate::engine::FlowFilter;
use crate::host::Neighbor;
use crate::placement::{Availability, Fallback, UplinkId};
use crate::sys::clock;

/// Who orders what is in the file.
const CONFIGURATION: &str = "the configuration";
/// Longest reservation by `for_seconds`: a year and a day.
const LONGEST: u64 = 366 * 86_400;
/// Flows of other hosts that are counted for an answer, and how long that may take.
const MOST_COUNTED: usize = 10_000;
const LONGEST_COUNTING: Duration = Duration::from_secs(2);

fn wall() -> u64 {
    clock::wall().as_secs()
}

/// As people read it.
fn shown(at: u64) -> String {
    local_time::shown(at, clock::utc_offset(at))
}

fn minute_of_day() -> u16 {
    local_time::minute_of_day(wall(), clock::utc_offset(wall()))
}

impl Router<'_> {
    /// Reserves a line for hosts.
    ///
    /// # Errors
    /// What is wrong with the order, and what would be right; then nothing has changed.
    pub(super) async fn order_reserve(&mut self, order: &ReserveOrder, actor: &Actor) -> Result<ReserveReport, String> {
        let outcome = self.reserve(order, actor);
        let (id, until, warnings) = outcome.inspect_err(|wrong| self.record_refusal(&order.uplink, wrong, actor))?;
        Ok(ReserveReport {
            uplink: order.uplink.clone(),
            hosts: self.reserved_for(&order.uplink).iter().map(ToString::to_string).collect(),
            until: until.map(|at| local_time::written(at, clock::utc_offset(at))),
            flows_of_others: self.flows_of_others(id).await,
            warnings,
        })
    }

    fn reserve(&mut self, order: &ReserveOrder, actor: &Actor) -> Result<(UplinkId, Option<u64>, Vec<String>), String> {
        let id = status::uplink_named(&order.uplink, &self.uplinks)?;
        let hosts = self.named_hosts(&order.hosts)?;
        if hosts.is_empty() {
            return Err("a line is reserved for hosts; name at least one".to_owned());
        }
        let until = end_of(order, wall())?;
        let when_down = match order.when_down {
            WhenDown::Pool => Fallback::Pool,
            WhenDown::Refuse => Fallback::Refuse,
        };
        let by = actor.to_string();
        let terms = Terms { until, when_down };
        self.reservations.reserve(&order.uplink, &hosts, terms, &by).map_err(|error| error.to_string())?;
        let (uplink, listed, end) = (&order.uplink, listed(&hosts), until.map(|at| format!("until {}", shown(at))));
        info!(%uplink, hosts = %listed, until = end, by = %actor, "uplink is reserved");
        self.record_reservation(Kind::LineReserved, uplink, Some(listed), end, Some(by));
        self.publish();
        let mut warnings: Vec<_> = self.remember_reservations().err().into_iter().collect();
        warnings.extend(self.reserve_warnings(id, &hosts));
        Ok((id, until, warnings))
    }

    /// Ends orders of before. What the configuration reserves stays.
    ///
    /// # Errors
    /// What is wrong with the order, and what would be right; then nothing has changed.
    pub(super) fn order_release(&mut self, order: &ReleaseOrder, actor: &Actor) -> Result<ReleaseReport, String> {
        let outcome = self.release_line(order, actor);
        outcome.inspect_err(|wrong| self.record_refusal(&order.uplink, wrong, actor))
    }

    fn release_line(&mut self, order: &ReleaseOrder, actor: &Actor) -> Result<ReleaseReport, String> {
        status::uplink_named(&order.uplink, &self.uplinks)?;
        let hosts = self.named_hosts(&order.hosts)?;
        let by_file = self.reserved_by_file(&order.uplink);
        let asked_for_file = by_file.iter().any(|host| hosts.is_empty() || hosts.contains(host));
        let released: Vec<_> =
            self.reservations.release(&order.uplink, &hosts).into_iter().map(|order| order.host).collect();
        let stays = || {
            format!(
                "the configuration reserves {} for {}: take that out of {} and `potato reload`",
                order.uplink,
                listed(&by_file),
                self.path.display()
            )
        };
        if released.is_empty() && asked_for_file {
            return Err(stays());
        }
        let mut warnings: Vec<_> = asked_for_file.then(stays).into_iter().collect();
        if !released.is_empty() {
            let (uplink, hosts) = (&order.uplink, listed(&released));
            info!(%uplink, %hosts, by = %actor, "uplink is released");
            self.record_reservation(Kind::LineReleased, uplink, Some(hosts), None, Some(actor.to_string()));
            self.publish();
        }
        warnings.extend(self.remember_reservations().err());
        Ok(ReleaseReport {
            uplink: order.uplink.clone(),
            released: released.iter().map(ToString::to_string).collect(),
            hosts: self.reserved_for(&order.uplink).iter().map(ToString::to_string).collect(),
            warnings,
        })
    }

    /// Does what time brings about, and what the LAN's leases say that is new. Whether anything has changed.
    pub(super) fn turn(&mut self) -> Heard {
        let leases = self.lan_leases.look(clock::wall()).map(|leases| self.hosts.handle_leases(leases));
        let turns = self.reservations.handle_time(wall(), minute_of_day());
        if turns.is_empty() {
            return leases.unwrap_or(Heard::Nothing);
        }
        turns.iter().for_each(|turn| self.tell_turn(turn));
        // Whoever ordered it is not there to be told that the disk is full; the log is.
        drop(self.remember_reservations());
        Heard::News
    }

    /// Takes in what the configuration reserves, and where the leases are.
    pub(super) fn take_in_reservations(&mut self) {
        self.reservations.handle_configuration(&self.config.reservations, minute_of_day());
    }

    /// Takes in whom the kernel knows on the LAN. Not worth a failure: they are heard of again.
    pub(super) async fn look_at_neighbors(&mut self) {
        match self.host.neighbors().await {
            Ok(neighbors) => {
                for neighbor in neighbors {
                    let _whoever_calls_publishes = self.hear(neighbor);
                }
            }
            Err(error) => debug!(%error, "the kernel's neighbours are not told"),
        }
    }

    /// Takes in whom the kernel has heard of; hosts on other links are not ours.
    pub(super) fn hear(&mut self, neighbor: Neighbor) -> Heard {
        let is_there = |index| self.lans.iter().filter_map(|lan| lan.interface.as_ref()).any(|lan| lan.index == index);
        if !is_there(neighbor.interface_index) {
            return Heard::Nothing;
        }
        self.hosts.handle_neighbor(neighbor.address, neighbor.mac)
    }

    /// Whom a line is reserved for now, host by host.
    pub(super) fn reserved_report(&self, uplink: &str) -> Vec<ReservedReport> {
        let now = wall();
        let report = |held: InForce<'_>| {
            let addresses = self.hosts.addresses(held.host);
            let (until, by) = match held.source {
                Source::Order(order) => (order.terms.until, order.by.as_str()),
                Source::Configuration(reservation) => (end_today(reservation, now), CONFIGURATION),
            };
            let first = addresses.first().copied();
            ReservedReport {
                host: held.host.to_string(),
                name: first.and_then(|address| self.hosts.name_of(address)),
                mac: first.and_then(|address| self.hosts.mac_of(address)).map(|mac| mac.to_string()),
                addresses,
                until: until.map(|at| local_time::written(at, clock::utc_offset(at))),
                when_down: match held.when_down {
                    Fallback::Pool => WhenDown::Pool,
                    Fallback::Refuse => WhenDown::Refuse,
                },
                by: by.to_owned(),
            }
        };
        self.reservations.in_force().filter(|held| held.uplink == uplink).map(report).collect()
    }

    fn named_hosts(&self, names: &[String]) -> Result<Vec<HostIdentity>, String> {
        let host = |name: &String| name.parse::<HostIdentity>().map_err(|error| error.to_string());
        let hosts: Vec<_> = names.iter().map(host).collect::<Result<_, _>>()?;
        match hosts.iter().find(|host| matches!(host, HostIdentity::Name(_))) {
            Some(name) if self.config.lan.leases.is_none() => Err(format!(
                "\"{name}\" is a hostname, and no file says whose it is; add leases = \"/var/lib/misc/dnsmasq.leases\" to [lan] of \
                 {}, or name the host by its address or Ethernet address",
                self.path.display()
            )),
            _ => Ok(hosts),
        }
    }

    fn reserved_for(&self, uplink: &str) -> Vec<HostIdentity> {
        self.reservations.in_force().filter(|held| held.uplink == uplink).map(|held| held.host.clone()).collect()
    }

    fn reserved_by_file(&self, uplink: &str) -> Vec<HostIdentity> {
        let is_its = |held: &InForce<'_>| held.uplink == uplink && matches!(held.source, Source::Configuration(_));
        self.reservations.in_force().filter(is_its).map(|held| held.host.clone()).collect()
    }

    /// What a person should know who has reserved a line.
    fn reserve_warnings(&self, id: UplinkId, hosts: &[HostIdentity]) -> Vec<String> {
        let uplink = &self.uplinks[id.index()];
        let name = &uplink.config.name;
        let mut warnings = Vec::new();
        let unknown: Vec<_> = hosts.iter().filter(|host| self.hosts.addresses(host).is_empty()).cloned().collect();
        if !unknown.is_empty() {
            let hosts = listed(&unknown);
            warnings.push(format!("no address of {hosts} is known yet; {name} is theirs as soon as one is"));
        }
        let is_in_lan = |address: Ipv4Addr| {
            self.lans.iter().flat_map(|lan| &lan.networks).any(|network| network.contains(&address))
        };
        let is_strange = |host: &&HostIdentity| matches!(host, HostIdentity::Address(address) if !is_in_lan(*address));
        let strange: Vec<_> = hosts.iter().filter(is_strange).cloned().collect();
        if !strange.is_empty() {
            warnings.push(format!("{} is in none of the LAN's own networks", listed(&strange)));
        }
        if !takes_flows(uplink.availability()) {
            let state = uplink.availability().name();
            warnings.push(format!("{name} is {state} now; its hosts have it when it is up"));
        }
        let reserved = self.reserved_uplinks();
        let is_left = |uplink: &&UplinkState| !reserved.contains(uplink.id);
        let mut left = places::configured(&self.uplinks).filter(is_left).peekable();
        if left.peek().is_none() {
            warnings.push("no line is left for others: their new connections are refused".to_owned());
        } else if !left.any(|uplink| takes_flows(uplink.availability())) {
            warnings.push("no line that works is left for others: their new connections are refused".to_owned());
        }
        warnings
    }

    /// Flows on a line of hosts that it is not reserved for; `None`: the workers are too busy to count them.
    async fn flows_of_others(&self, id: UplinkId) -> Option<usize> {
        let name = self.uplinks[id.index()].config.name.as_str();
        let own: Vec<Ipv4Addr> = self.reserved_for(name).iter().flat_map(|host| self.hosts.addresses(host)).collect();
        let filter = FlowFilter { uplink: Some(id), ..FlowFilter::default() };
        let listing = self.workers.list_flows(filter, MOST_COUNTED);
        let flows = tokio::time::timeout(LONGEST_COUNTING, listing).await.ok()?;
        let is_own = |host: std::net::IpAddr| own.iter().any(|own| host == *own);
        Some(flows.iter().filter(|flow| !is_own(flow.tuple.source.address)).count())
    }

    fn remember_reservations(&mut self) -> Result<(), String> {
        self.reservation_file.update(self.reservations.orders())
    }

    fn tell_turn(&self, turn: &Turn) {
        let listed_hosts = |reservation: &Reservation| listed(&reservation.hosts);
        match turn {
            Turn::Ended(Order { uplink, host, by, .. }) => {
                info!(%uplink, %host, ordered_by = %by, "reservation of an uplink is over");
                let (host, cause) = (Some(host.to_string()), Some("its time is over".to_owned()));
                self.record_reservation(Kind::ReservationEnded, uplink, host, cause, Some(by.clone()));
            }
            Turn::HoursBegun(reservation) => {
                let (uplink, hosts) = (&reservation.uplink, listed_hosts(reservation));
                info!(%uplink, %hosts, "hours of a reserved uplink begin");
                let by = Some(CONFIGURATION.to_owned());
                self.record_reservation(Kind::ReservationBegun, uplink.as_str(), Some(hosts), None, by);
            }
            Turn::HoursOver(reservation) => {
                let (uplink, hosts) = (&reservation.uplink, listed_hosts(reservation));
                info!(%uplink, %hosts, "hours of a reserved uplink are over");
                let (cause, by) = (Some("its hours are over".to_owned()), Some(CONFIGURATION.to_owned()));
                self.record_reservation(Kind::ReservationEnded, uplink.as_str(), Some(hosts), cause, by);
            }
        }
    }

    fn record_refusal(&self, uplink: &str, why: &str, actor: &Actor) {
        let (why, by) = (Some(why.to_owned()), Some(actor.to_string()));
        self.record_reservation(Kind::ReservationRefused, uplink, None, why, by);
    }

    fn record_reservation(
        &self,
        kind: Kind,
        uplink: &str,
        hosts: Option<String>,
        cause: Option<String>,
        by: Option<String>,
    ) {
        let uplink = Some(uplink.to_owned());
        self.history.record(Record { kind, uplink, to: hosts, cause, by, ..Record::default() });
    }
}

fn listed(hosts: &[HostIdentity]) -> String {
    hosts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// When an order ends, in seconds since 1970.
fn end_of(order: &ReserveOrder, now: u64) -> Result<Option<u64>, String> {
    match (&order.until, order.for_seconds) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err("say until when or for how long, not both".to_owned()),
        (None, Some(seconds)) if (1..=LONGEST).contains(&seconds) => Ok(Some(now + seconds)),
        (None, Some(seconds)) => {
            Err(format!("{seconds} seconds is no time to reserve a line for; from 1 to {LONGEST}"))
        }
        (Some(text), None) => {
            TimeOfDay::parse(text).map(|time| Some(local_time::next(time, now, clock::utc_offset))).ok_or_else(|| {
                format!("\"{}\" is not a time of day; write hour and minute, as in 18:00", text.escape_debug())
            })
        }
    }
}

fn takes_flows(availability: Availability) -> bool {
    matches!(availability, Availability::Usable | Availability::Testing | Availability::Lame)
}

/// When the hours of a reservation that is in force are over.
fn end_today(reservation: &Reservation, now: u64) -> Option<u64> {
    reservation.hours.map(|hours| local_time::next(hours.until, now, clock::utc_offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 14:31:16 UTC.
    const NOW: u64 = 1_795_703_476;

    fn end(until: Option<&str>, for_seconds: Option<u64>) -> Result<Option<u64>, String> {
        end_of(&ReserveOrder { until: until.map(str::to_owned), for_seconds, ..ReserveOrder::default() }, NOW)
    }

    #[test]
    fn an_order_says_at_most_one_end() {
        assert_eq!(end(None, None), Ok(None));
        assert_eq!(end(None, Some(7_200)), Ok(Some(NOW + 7_200)));
        let by_clock = end(Some("18:00"), None).unwrap().unwrap();
        assert!(by_clock > NOW && by_clock <= NOW + 86_400, "{by_clock}");
        for (until, seconds, says) in [
            (Some("18:00"), Some(5), "not both"),
            (None, Some(0), "from 1 to"),
            (None, Some(u64::MAX), "from 1 to"),
            (Some("6pm"), None, "as in 18:00"),
            (Some("24:00"), None, "as in 18:00"),
        ] {
            let said = end(until, seconds).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
    }
}
