//! `[health]`: how lines are watched.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::Mistake;
use super::section::{Section, Value, integer, list, text};
use super::values;
use crate::link::health::{DNS_PORT, HTTP_PORT, MOST_TARGETS, Probe, Settings, Wanted};

/// The section's keys.
pub(super) const KEYS: [&str; 6] = ["interval", "targets", "need", "down_after", "up_after", "max_loss_percent"];
/// Bounds of `interval`. Below, six lines keep a small router busy; above, a dead line is found by its users.
const INTERVAL: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(60);
/// Bounds of `down_after` and `up_after`.
const ROUNDS: RangeInclusive<i64> = 1..=100;
const TARGET: &str = "\"gateway\", \"dns\" (the line's own name servers), an IPv4 address to ping, \"tcp://192.0.2.1:443\", \
                      \"dns://192.0.2.53\" or \"http://192.0.2.1/\"";

/// Reads `[health]`; without one, what is usual.
pub(super) fn health(section: Option<&Section<'_, '_>>) -> Result<Settings, Mistake> {
    let mut settings = Settings::default();
    let Some(section) = section else { return Ok(settings) };
    if let Some(interval) = section.optional("interval", interval)? {
        settings.interval = interval;
    }
    let targets = section.optional("targets", targets)?;
    let bounded = |key, range: RangeInclusive<i64>| section.optional(key, |value| integer(value, range));
    if let Some(need) = bounded("need", 1..=MOST_TARGETS as i64)?.and_then(|need| usize::try_from(need).ok()) {
        check_need(section, need, targets.as_deref())?;
        settings.need = need;
    }
    for (key, place) in [("down_after", &mut settings.down_after), ("up_after", &mut settings.up_after)] {
        *place = bounded(key, ROUNDS)?.and_then(|rounds| u32::try_from(rounds).ok()).unwrap_or(*place);
    }
    if let Some(percent) = bounded("max_loss_percent", 1..=100)?.and_then(|percent| u8::try_from(percent).ok()) {
        settings.max_loss_percent = percent;
    }
    settings.targets = targets.map(Into::into);
    Ok(settings)
}

fn interval(value: &Value<'_>) -> Result<Duration, Mistake> {
    let span = values::duration(value)?;
    if INTERVAL.contains(&span) {
        return Ok(span);
    }
    Err(Mistake::new(value.span(), format!("{span:?} is out of range"), "a span from \"100ms\" to \"60s\""))
}

fn targets(value: &Value<'_>) -> Result<Vec<Wanted>, Mistake> {
    let targets = list(value, |item| Ok((target(item)?, item.span())))?;
    for (at, (target, span)) in targets.iter().enumerate() {
        if targets[..at].iter().any(|(earlier, _)| earlier == target) {
            return Err(Mistake::new(span.clone(), "this target is named twice", "name every target once"));
        }
    }
    if targets.len() > MOST_TARGETS {
        let wrong = format!("{} targets are too many", targets.len());
        return Err(Mistake::new(value.span(), wrong, format!("at most {MOST_TARGETS}")));
    }
    Ok(targets.into_iter().map(|(target, _)| target).collect())
}

fn target(value: &Value<'_>) -> Result<Wanted, Mistake> {
    let given = text(value).map_err(|mistake| Mistake { right: TARGET.to_owned(), ..mistake })?;
    let wrong =
        |wrong: &str, right: &str| Mistake::new(value.span(), format!("\"{}\" {wrong}", given.escape_debug()), right);
    let Some((scheme, rest)) = given.split_once("://") else {
        return match given {
            "gateway" => Ok(Wanted::Gateway),
            "dns" => Ok(Wanted::NameServers),
            _ => {
                address(given).map(|host| Wanted::Host(Probe::Ping(host))).ok_or_else(|| wrong("is no target", TARGET))
            }
        };
    };
    let port = match scheme {
        "tcp" => None,
        "dns" => Some(DNS_PORT),
        "http" => Some(HTTP_PORT),
        "https" => return Err(wrong("needs a certificate to be checked", "\"tcp://192.0.2.1:443\": that it connects")),
        _ => return Err(wrong("is no target", TARGET)),
    };
    let rest = if scheme == "http" { rest.strip_suffix('/').unwrap_or(rest) } else { rest };
    let at = socket_address(rest, port).ok_or_else(|| {
        let right =
            "an IPv4 address (a name would need a line that works) and, for tcp, a port, as in \"tcp://192.0.2.1:443\"";
        wrong("names no host by its address", right)
    })?;
    Ok(Wanted::Host(match scheme {
        "tcp" => Probe::Connect(at),
        "dns" => Probe::Resolve(at),
        _ => Probe::Fetch(at),
    }))
}

fn address(given: &str) -> Option<Ipv4Addr> {
    given.parse().ok().filter(|address| values::is_host(*address))
}

/// An address with a port, which may be left out where there is a usual one.
fn socket_address(given: &str, usual: Option<u16>) -> Option<SocketAddrV4> {
    if let Some(usual) = usual
        && let Some(address) = address(given)
    {
        return Some(SocketAddrV4::new(address, usual));
    }
    given.parse::<SocketAddrV4>().ok().filter(|at| values::is_host(*at.ip()) && at.port() != 0)
}

/// Refuses to want more answers than there are far targets.
fn check_need(section: &Section<'_, '_>, need: usize, targets: Option<&[Wanted]>) -> Result<(), Mistake> {
    let Some(targets) = targets else { return Ok(()) };
    // How many name servers a line has, nobody knows yet.
    if targets.contains(&Wanted::NameServers) {
        return Ok(());
    }
    let far = targets.iter().filter(|target| **target != Wanted::Gateway).count();
    if need <= far.max(1) {
        return Ok(());
    }
    let wrong = format!("{need} answers are needed, and `targets` names {far} beyond the gateway");
    Err(Mistake::new(section.place("need"), wrong, format!("at most {}", far.max(1))).of_key("need"))
}
