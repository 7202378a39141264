//! Lines that some hosts have for themselves: those of the configuration, each at its hours, and those that people have ordered
//! while the router runs.
//!
//! Theory of operation: an order is a line, a host, and when that ends; to order what is ordered already sets it anew. Orders
//! end by the wall clock, also while the router does not run, and outlive restarts and reloads ([`super::reservation_file`]). Of
//! the configuration only another configuration takes something away. What comes into force and what ends is told once, as a
//! [`Turn`].
//!
//! Pure: whoever has a clock calls [`Reservations::handle_time`]. It knows lines by their names, which may be names of none.

use super::hosts::HostIdentity;
use crate::config::Reservation;
use crate::placement::Fallback;

/// Most orders: each is looked at for every new flow.
pub(super) const MOST_ORDERS: usize = 1_000;

/// A line for a host, as somebody has ordered it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) uplink: String,
    pub(super) host: HostIdentity,
    pub(super) terms: Terms,
    /// Who ordered it.
    pub(super) by: String,
}

/// For how long, and what else holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// When it ends, in seconds since 1970; `None`: when somebody ends it.
    pub(super) until: Option<u64>,
    /// What the host does while the line does not work.
    pub(super) when_down: Fallback,
}

/// A reservation of the configuration.
#[derive(Clone, Debug)]
struct Daily {
    reservation: Reservation,
    is_in_force: bool,
}

/// What has come to be so by time alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// An order's time is over.
    Ended(Order),
    /// The hours of a reservation of the configuration have begun.
    HoursBegun(Reservation),
    /// They are over.
    HoursOver(Reservation),
}

/// A line and a host, now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct InForce<'r> {
    pub(super) uplink: &'r str,
    pub(super) host: &'r HostIdentity,
    pub(super) when_down: Fallback,
    pub(super) source: Source<'r>,
}

/// By what a line is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'r> {
    Configuration(&'r Reservation),
    Order(&'r Order),
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    daily: Vec<Daily>,
    orders: Vec<Order>,
}

impl Reservations {
    /// With orders of before; none that is over is told yet.
    pub(super) fn new(orders: Vec<Order>) -> Self {
        Self { daily: Vec::new(), orders }
    }

    /// Takes in the reservations of a configuration, at this minute of the day.
    pub(super) fn handle_configuration(&mut self, reservations: &[Reservation], minute: u16) {
        let daily = |reservation: &Reservation| Daily {
            is_in_force: is_in_force(reservation, minute),
            reservation: reservation.clone(),
        };
        self.daily = reservations.iter().map(daily).collect();
    }

    /// Takes in what time it is, in seconds since 1970 and in minutes of the local day, and gives what follows from it.
    pub(super) fn handle_time(&mut self, now: u64, minute: u16) -> Vec<Turn> {
        let is_over = |order: &mut Order| order.terms.until.is_some_and(|until| until <= now);
        let mut turns: Vec<_> = self.orders.extract_if(.., is_over).map(Turn::Ended).collect();
        for daily in &mut self.daily {
            let is_now = is_in_force(&daily.reservation, minute);
            if std::mem::replace(&mut daily.is_in_force, is_now) != is_now {
                let reservation = daily.reservation.clone();
                turns.push(if is_now { Turn::HoursBegun(reservation) } else { Turn::HoursOver(reservation) });
            }
        }
        turns
    }

    /// Reserves a line for hosts.
    ///
    /// # Errors
    /// When there are too many orders; then nothing has changed.
    pub(super) fn reserve(
        &mut self,
        uplink: &str,
        hosts: &[HostIdentity],
        terms: Terms,
        by: &str,
    ) -> Result<(), TooManyOrders> {
        let is_new = |host: &&HostIdentity| !self.orders.iter().any(|order| is_of(order, uplink, host));
        if self.orders.len() + hosts.iter().filter(is_new).count() > MOST_ORDERS {
            return Err(TooManyOrders);
        }
        for host in hosts {
            let new = Order { uplink: uplink.to_owned(), host: host.clone(), terms, by: by.to_owned() };
            match self.orders.iter_mut().find(|order| is_of(order, uplink, host)) {
                Some(order) => *order = new,
                None => self.orders.push(new),
            }
        }
        Ok(())
    }

    /// Ends the orders of a line for these hosts, or for all if none is named; gives those that there were.
    pub(super) fn release(&mut self, uplink: &str, hosts: &[HostIdentity]) -> Vec<Order> {
        let is_meant = |order: &mut Order| order.uplink == uplink && (hosts.is_empty() || hosts.contains(&order.host));
        self.orders.extract_if(.., is_meant).collect()
    }

    /// All orders, in the order of their making.
    pub(super) fn orders(&self) -> &[Order] {
        &self.orders
    }

    /// What holds now: first what the configuration says.
    pub(super) fn in_force(&self) -> impl Iterator<Item = InForce<'_>> {
        let daily = self.daily.iter().filter(|daily| daily.is_in_force).map(|daily| &daily.reservation);
        let daily = daily.flat_map(|reservation| {
            reservation.hosts.iter().map(|host| InForce {
                uplink: reservation.uplink.as_str(),
                host,
                when_down: reservation.when_down,
                source: Source::Configuration(reservation),
            })
        });
        let orders = self.orders.iter().map(|order| InForce {
            uplink: &order.uplink,
            host: &order.host,
            when_down: order.terms.when_down,
            source: Source::Order(order),
        });
        daily.chain(orders)
    }
}

/// There is no room for another order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{MOST_ORDERS} hosts have reservations already; release some, or reserve for fewer hosts")]
pub(super) struct TooManyOrders;

fn is_in_force(reservation: &Reservation, minute: u16) -> bool {
    reservation.hours.is_none_or(|hours| hours.contains(minute))
}

fn is_of(order: &Order, uplink: &str, host: &HostIdentity) -> bool {
    order.uplink == uplink && order.host == *host
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::{self, Config};

    const FOREVER: Terms = Terms { until: None, when_down: Fallback::Pool };

    fn until(at: u64) -> Terms {
        Terms { until: Some(at), ..FOREVER }
    }

    fn host(text: &str) -> HostIdentity {
        text.parse().unwrap()
    }

    fn config(reserve: &str) -> Config {
        let text = format!(
            "[lan]\ninterface = \"lan0\"\n[[uplink]]\nname = \"dsl1\"\ninterface = \"wan1\"\nkind = \"dhcp\"\n\
             [[reserve]]\nuplink = \"dsl1\"\n{reserve}\n"
        );
        config::parse(Path::new("f"), &text).unwrap()
    }

    fn holding(reservations: &Reservations) -> Vec<String> {
        reservations.in_force().map(|held| format!("{} {}", held.uplink, held.host)).collect()
    }

    #[test]
    fn order_ends_by_itself_and_once() {
        let mut reservations = Reservations::default();
        reservations.reserve("dsl3", &[host("192.168.10.50"), host("laptop")], until(1_000), "uid 0").unwrap();
        reservations.reserve("dsl3", &[host("192.168.10.51")], FOREVER, "uid 1").unwrap();
        assert_eq!(reservations.handle_time(999, 0), []);
        assert_eq!(holding(&reservations), ["dsl3 192.168.10.50", "dsl3 laptop", "dsl3 192.168.10.51"]);
        let ended: Vec<_> = reservations.handle_time(1_000, 0);
        assert!(matches!(&ended[..], [Turn::Ended(first), Turn::Ended(_)] if first.by == "uid 0"), "{ended:?}");
        assert_eq!(reservations.handle_time(5_000, 0), []);
        assert_eq!(holding(&reservations), ["dsl3 192.168.10.51"]);
    }

    #[test]
    fn what_is_ordered_again_has_its_new_terms() {
        let mut reservations = Reservations::default();
        let (one, other) = ([host("laptop")], [host("192.168.10.51")]);
        reservations.reserve("dsl3", &one, until(1_000), "uid 0").unwrap();
        reservations.reserve("dsl3", &one, until(2_000), "uid 1").unwrap();
        reservations.reserve("dsl2", &other, FOREVER, "uid 0").unwrap();
        assert_eq!(reservations.handle_time(1_500, 0), []);
        assert_eq!((reservations.orders().len(), reservations.orders()[0].by.as_str()), (2, "uid 1"));
        assert_eq!(reservations.release("dsl3", &other), []);
        assert_eq!(reservations.release("dsl3", &[]).len(), 1);
        assert_eq!(reservations.release("dsl2", &other).len(), 1);
        assert_eq!(holding(&reservations), Vec::<String>::new());
    }

    #[test]
    fn configuration_holds_at_its_hours_and_whatever_is_released() {
        let config = config("hosts = \"192.168.10.50\"\nfrom = \"08:00\"\nuntil = \"18:00\"");
        let mut reservations = Reservations::default();
        reservations.handle_configuration(&config.reservations, 7 * 60);
        assert_eq!(holding(&reservations), Vec::<String>::new());
        let begun = Turn::HoursBegun(config.reservations[0].clone());
        assert_eq!(reservations.handle_time(0, 8 * 60), [begun]);
        assert_eq!(reservations.release("dsl1", &[]), []);
        assert_eq!(holding(&reservations), ["dsl1 192.168.10.50"]);
        assert_eq!(reservations.handle_time(0, 8 * 60), []);
        let over = Turn::HoursOver(config.reservations[0].clone());
        assert_eq!(reservations.handle_time(0, 18 * 60), [over]);
        reservations.handle_configuration(&[], 9 * 60);
        assert_eq!(reservations.handle_time(0, 9 * 60), []);
    }

    #[test]
    fn another_configuration_leaves_orders_alone() {
        let mut reservations = Reservations::default();
        reservations.reserve("dsl3", &[host("laptop")], FOREVER, "uid 0").unwrap();
        reservations.handle_configuration(&config("hosts = \"192.168.10.50\"").reservations, 0);
        assert_eq!(holding(&reservations), ["dsl1 192.168.10.50", "dsl3 laptop"]);
        reservations.handle_configuration(&[], 0);
        assert_eq!(holding(&reservations), ["dsl3 laptop"]);
    }

    #[test]
    fn no_more_than_a_thousand_hosts_have_orders() {
        let mut reservations = Reservations::default();
        let hosts: Vec<_> = (0..MOST_ORDERS).map(|number| host(&format!("host-{number}"))).collect();
        reservations.reserve("dsl3", &hosts, FOREVER, "uid 0").unwrap();
        reservations.reserve("dsl3", &hosts[..9], FOREVER, "uid 0").unwrap();
        assert_eq!(reservations.reserve("dsl3", &[host("one-more")], FOREVER, "uid 0"), Err(TooManyOrders));
        assert_eq!(reservations.orders().len(), MOST_ORDERS);
    }
}
