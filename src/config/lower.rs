//! From the tree of values to a [`Config`]: section by section, then what must hold between them.

use std::num::{NonZeroU8, NonZeroU32};
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

use super::error::{Mistake, line_at};
use super::password::{Files, PasswordError};
use super::section::{Section, Value, integer, list, switch, text, wrong_type};
use super::values::{self, InterfaceName};
use super::{
    Capture, Config, DEFAULT_RUN_DIR, DEFAULT_STATE_DIR, IsolatedLines, Lan, MAX_WORKERS, Role, Router, Tariff, Uplink,
    UplinkKind, Warning, Workers, advice, failover, forward, health, interface, limits, metrics, notify, pppoe,
    reserve, rule, web,
};
use crate::link::pppoe::Secret;
use crate::placement::{MAX_LANS, MAX_UPLINKS};

const SECTIONS: [&str; 11] =
    ["router", "lan", "uplink", "health", "limits", "reserve", "rule", "forward", "web", "metrics", "notify"];
const ROUTER: [&str; 9] = [
    "state_dir",
    "run_dir",
    "workers",
    "flows",
    "shortcut",
    "short_queues",
    "movable_udp",
    "default_rules",
    "isolated",
];
const LAN: [&str; 4] = ["interface", "capture", "tun", "leases"];
const UPLINK: [&str; 17] = [
    "name",
    "interface",
    "mac",
    "path",
    "kind",
    "address",
    "gateway",
    "username",
    "password_file",
    "service",
    "concentrator",
    "weight",
    "download",
    "upload",
    "role",
    "metered",
    "drain",
];

/// Every section as it stands in the file, and the keys that it may have.
#[must_use]
pub fn keys() -> [(&'static str, &'static [&'static str]); SECTIONS.len()] {
    [
        ("[router]", &ROUTER),
        ("[lan]", &LAN),
        ("[[uplink]]", &UPLINK),
        ("[health]", &health::KEYS),
        ("[limits]", &limits::KEYS),
        ("[[reserve]]", &reserve::KEYS),
        ("[[rule]]", &rule::KEYS),
        ("[[forward]]", &forward::KEYS),
        ("[web]", &web::KEYS),
        ("[metrics]", &metrics::KEYS),
        ("[[notify]]", &notify::KEYS),
    ]
}

/// Most flows that fit when nobody says otherwise.
const DEFAULT_FLOWS: NonZeroU32 = NonZeroU32::new(1_000_000).unwrap();
/// Bounds of `flows`. Below, a web page fills the table; above, the slab alone takes gigabytes.
const FLOWS: std::ops::RangeInclusive<i64> = 1_024..=16_777_216;

/// Reads a whole file.
pub(super) fn lower(text: &str, files: &Files) -> Result<Config, Mistake> {
    let tree = DeTable::parse(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(", ");
        Mistake::new(error.span().unwrap_or(0..0), message, "write it as TOML: `key = value` lines below a `[section]`")
    })?;
    let file = Section::new("", 0..0, tree.get_ref(), &SECTIONS)?;
    let mut warnings = Vec::new();
    let mut later = |span: Range<usize>, what: &str| {
        warnings.push(Warning { line: line_at(text, span.start), what: what.to_owned() });
    };

    let router = router(file.section("router", "[router]", &ROUTER)?.as_ref())?;
    let lan_section = file.section("lan", "[lan]", &LAN)?.ok_or_else(|| {
        Mistake::new(0..0, "there is no [lan] section", "add [lan] with a line such as interface = \"lan0\"")
    })?;
    let lan = lan(&lan_section)?;
    let uplink_sections = file.sections("uplink", "[[uplink]]", &UPLINK)?;
    let uplinks = uplinks(&uplink_sections, &lan, files.password)?;

    let health = health::health(file.section("health", "[health]", &health::KEYS)?.as_ref())?;
    let limits = limits::limits(file.section("limits", "[limits]", &limits::KEYS)?.as_ref())?;
    let reserves = file.sections("reserve", "[[reserve]]", &reserve::KEYS)?;
    let reservations =
        reserves.iter().map(|section| reserve::reservation(section, &uplinks, &lan)).collect::<Result<_, _>>()?;
    let rule_sections = file.sections("rule", "[[rule]]", &rule::KEYS)?;
    let rules = rule::rules(&rule_sections, &uplinks)?;
    let forward_sections = file.sections("forward", "[[forward]]", &forward::KEYS)?;
    let forwards = forward::forwards(&forward_sections, &uplinks, |at| line_at(text, at))?;
    for (section, forward) in forward_sections.iter().zip(&forwards) {
        if forward::leaves_adopted_out(forward, &uplinks) {
            later(section.place("uplink"), "uplink = \"any\" for lines of kind \"adopted\"");
        }
    }
    let web = file.section("web", "[web]", &web::KEYS)?.as_ref().map(|section| web::web(section, files)).transpose()?;
    let metrics = file.section("metrics", "[metrics]", &metrics::KEYS)?.as_ref().map(metrics::metrics).transpose()?;
    if let (Some(web), Some(metrics)) = (&web, &metrics)
        && web.listen == metrics.listen
    {
        let span =
            file.section("metrics", "[metrics]", &metrics::KEYS)?.map_or(0..0, |section| section.place("listen"));
        let wrong = format!("{} is where the pages are served", metrics.listen);
        return Err(Mistake::new(span, wrong, "another port, as in \"192.168.10.1:9464\"").of_key("listen"));
    }
    let notify_sections = file.sections("notify", "[[notify]]", &notify::KEYS)?;
    let channels = notify::channels(&notify_sections, &uplinks, files.password)?;
    warnings.sort_by_key(|warning| warning.line);
    let lines = |sections: &[Section<'_, '_>]| -> Vec<usize> {
        sections.iter().map(|section| line_at(text, section.span.start)).collect()
    };
    let rule_lines = lines(&rule_sections);
    let reservation_lines = lines(&reserves);
    let advice = advice::advice(
        router.isolated,
        &uplinks,
        rule_lines.iter().zip(&rules),
        reservation_lines.iter().zip(&reservations),
    );
    Ok(Config {
        router,
        lan,
        uplinks,
        health,
        limits,
        reservations,
        rules,
        forwards,
        web,
        metrics,
        channels,
        warnings,
        advice,
    })
}

fn router(section: Option<&Section<'_, '_>>) -> Result<Router, Mistake> {
    let mut router = Router {
        state_dir: DEFAULT_STATE_DIR.into(),
        run_dir: DEFAULT_RUN_DIR.into(),
        workers: Workers::Auto,
        flows: DEFAULT_FLOWS,
        shortcut: true,
        short_queues: true,
        movable_udp: failover::default_movable_ports(),
        default_rules: true,
        isolated: IsolatedLines::default(),
    };
    let Some(section) = section else { return Ok(router) };
    if let Some(path) = section.optional("state_dir", values::directory)? {
        router.state_dir = path;
    }
    if let Some(path) = section.optional("run_dir", values::run_directory)? {
        router.run_dir = path;
    }
    if let Some(count) = section.optional("workers", workers)? {
        router.workers = count;
    }
    if let Some(flows) = section.optional("flows", |value| integer(value, FLOWS))? {
        router.flows = u32::try_from(flows).ok().and_then(NonZeroU32::new).unwrap_or(DEFAULT_FLOWS);
    }
    if let Some(shortcut) = section.optional("shortcut", switch)? {
        router.shortcut = shortcut;
    }
    if let Some(short_queues) = section.optional("short_queues", switch)? {
        router.short_queues = short_queues;
    }
    if let Some(ports) = section.optional("movable_udp", failover::movable_ports)? {
        router.movable_udp = ports;
    }
    if let Some(default_rules) = section.optional("default_rules", switch)? {
        router.default_rules = default_rules;
    }
    if let Some(lines) = section.optional("isolated", isolated_lines)? {
        router.isolated = lines;
    }
    Ok(router)
}

fn isolated_lines(value: &Value<'_>) -> Result<IsolatedLines, Mistake> {
    let all = [IsolatedLines::Roles, IsolatedLines::Auto];
    values::word(value, &all.map(|lines| (lines.name(), lines)))
}

fn workers(value: &Value<'_>) -> Result<Workers, Mistake> {
    let right = format!("\"auto\" or a whole number from 1 to {MAX_WORKERS}");
    if let Ok("auto") = text(value) {
        return Ok(Workers::Auto);
    }
    if value.get_ref().as_integer().is_none() {
        return Err(wrong_type(value, &right));
    }
    let count = integer(value, 1..=i64::from(MAX_WORKERS)).map_err(|mistake| Mistake { right, ..mistake })?;
    Ok(u8::try_from(count).ok().and_then(NonZeroU8::new).map_or(Workers::Auto, Workers::Count))
}

fn lan(section: &Section<'_, '_>) -> Result<Lan, Mistake> {
    let interfaces = section.required("interface", "\"lan0\"", lan_interfaces)?;
    let capture = section.optional("capture", capture)?.unwrap_or(Capture::Auto);
    let tun = section.optional("tun", values::interface_name)?;
    let tun = match tun {
        Some(tun) => tun,
        None => InterfaceName::potato0(),
    };
    if interfaces.contains(&tun) {
        let wrong = format!("\"{tun}\" is the LAN's interface");
        return Err(
            Mistake::new(section.place("tun"), wrong, "a name that no interface has, as in \"potato0\"").of_key("tun")
        );
    }
    let leases = section.optional("leases", leases)?;
    Ok(Lan { interfaces, capture, tun, leases })
}

fn leases(value: &Value<'_>) -> Result<PathBuf, Mistake> {
    let right = "the path of the file in which dnsmasq keeps its leases, as in \"/var/lib/misc/dnsmasq.leases\"";
    values::directory(value).map_err(|mistake| Mistake { right: right.to_owned(), ..mistake })
}

fn lan_interfaces(value: &Value<'_>) -> Result<Vec<InterfaceName>, Mistake> {
    let names = list(value, |item| Ok((values::interface_name(item)?, item.span())))?;
    for (at, (name, span)) in names.iter().enumerate() {
        if names[..at].iter().any(|(earlier, _)| earlier == name) {
            return Err(Mistake::new(span.clone(), format!("\"{name}\" is named twice"), "name every interface once"));
        }
    }
    // One place of the snapshot's is the TUN device's.
    if names.len() >= MAX_LANS {
        let wrong = format!("{} interfaces are too many", names.len());
        return Err(Mistake::new(value.span(), wrong, format!("at most {}; a bridge can join more", MAX_LANS - 1)));
    }
    Ok(names.into_iter().map(|(name, _)| name).collect())
}

fn capture(value: &Value<'_>) -> Result<Capture, Mistake> {
    let words =
        [("auto", Some(Capture::Auto)), ("tun", Some(Capture::Tun)), ("packet", Some(Capture::Packet)), ("xdp", None)];
    values::word(value, &words)?
        .ok_or_else(|| Mistake::new(value.span(), "this version cannot capture by XDP", "`auto`, `packet` or `tun`"))
}

fn uplinks(
    sections: &[Section<'_, '_>],
    lan: &Lan,
    read_password: impl Fn(&Path) -> Result<Secret, PasswordError>,
) -> Result<Vec<Uplink>, Mistake> {
    if sections.is_empty() {
        let right =
            "add an [[uplink]] section with name, interface and kind, and address and gateway if kind = \"static\"";
        return Err(Mistake::new(0..0, "there is no uplink", right));
    }
    if let Some(first_beyond) = sections.get(MAX_UPLINKS) {
        let wrong = format!("{} uplinks are too many", sections.len());
        return Err(Mistake::new(first_beyond.span.clone(), wrong, format!("at most {MAX_UPLINKS}")));
    }
    let mut lines = Vec::with_capacity(sections.len());
    let mut weights = Vec::with_capacity(sections.len());
    for section in sections {
        let line = uplink(section, &read_password)?;
        conflicts(section, &line, &lines, lan)?;
        weights.push(section.optional("weight", |value| integer(value, 1..=1_000_000))?);
        lines.push(line);
    }
    weigh(&mut lines, &weights);
    Ok(lines)
}

/// Gives every uplink its weight: as given, else its download rate in Mbit/s when every uplink names one, else 1.
fn weigh(uplinks: &mut [Uplink], given: &[Option<i64>]) {
    let all_have_rates = uplinks.iter().all(|uplink| uplink.download.is_some());
    for (uplink, given) in uplinks.iter_mut().zip(given) {
        let from_rate =
            uplink.download.filter(|_| all_have_rates).map(|rate| rate.bits_per_second().div_ceil(1_000_000));
        let weight = given.and_then(|weight| u64::try_from(weight).ok()).or(from_rate).unwrap_or(1);
        uplink.weight = u32::try_from(weight).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        uplink.given_weight = given.map(|_| uplink.weight);
    }
}

fn uplink(
    section: &Section<'_, '_>,
    read_password: impl Fn(&Path) -> Result<Secret, PasswordError>,
) -> Result<Uplink, Mistake> {
    let name = section.required("name", "\"dsl1\"", values::uplink_name)?;
    let interface = interface::read(section)?;
    let kind = section.required("kind", "\"static\"", kind)?;
    if kind != Kind::Pppoe {
        refuse(section, &pppoe::KEYS, "this is for kind = \"pppoe\"", "take the line out of this uplink")?;
    }
    if matches!(kind, Kind::Dhcp | Kind::Pppoe) {
        let right = "take the line out, for the provider gives it, or write kind = \"static\"";
        refuse(section, &["address", "gateway"], "this is for kind = \"static\"", right)?;
    }
    let kind = match kind {
        Kind::Static => static_addresses(section)?,
        Kind::Dhcp => UplinkKind::Dhcp,
        Kind::Pppoe => pppoe::login(section, read_password)?,
        Kind::Adopted => kernels_address(section)?,
    };
    let role = section.optional("role", role)?.unwrap_or(Role::Balanced);
    let tariff = section.optional("metered", failover::tariff)?.unwrap_or(Tariff::Flat);
    let drain = failover::drain(section, role, tariff)?;
    Ok(Uplink {
        name,
        interface,
        kind,
        weight: NonZeroU32::MIN,
        given_weight: None,
        download: section.optional("download", values::rate)?,
        upload: section.optional("upload", values::rate)?,
        role,
        tariff,
        drain,
    })
}

/// Reads the address and the gateway that a static uplink must have.
fn static_addresses(section: &Section<'_, '_>) -> Result<UplinkKind, Mistake> {
    let address = section.required("address", "\"10.77.1.2/24\"", values::interface_address)?;
    let gateway = section.required("gateway", "\"10.77.1.1\"", values::host_address)?;
    let gateway_mistake =
        |wrong: String, right: String| Err(Mistake::new(section.place("gateway"), wrong, right).of_key("gateway"));
    if gateway == address.addr() {
        return gateway_mistake(
            format!("{gateway} is this uplink's own address"),
            "the address of the provider's router".to_owned(),
        );
    }
    if !address.contains(&gateway) {
        let (first, last) = values::hosts(address);
        let right = format!("an address from {first} to {last}");
        return gateway_mistake(format!("{gateway} is outside {}, the network of `address`", address.trunc()), right);
    }
    if let Some(role) = values::reserved_in(address, gateway) {
        return gateway_mistake(
            format!("{gateway} is the {role} address of {}", address.trunc()),
            "the address of a host in it".to_owned(),
        );
    }
    Ok(UplinkKind::Static { address, gateway })
}

/// Refuses keys that are of another kind of uplink.
fn refuse(section: &Section<'_, '_>, keys: &[&str], wrong: &str, right: &str) -> Result<(), Mistake> {
    for key in keys {
        section.optional(key, |value| Err::<(), _>(Mistake::new(value.span(), wrong, right)))?;
    }
    Ok(())
}

/// Refuses an address in an uplink whose address is the kernel's, and reads its gateway.
fn kernels_address(section: &Section<'_, '_>) -> Result<UplinkKind, Mistake> {
    let right = "take the line out, for the kernel has the address, or write kind = \"static\"";
    refuse(section, &["address"], "this is for kind = \"static\"", right)?;
    Ok(UplinkKind::Adopted { gateway: section.optional("gateway", values::host_address)? })
}

fn role(value: &Value<'_>) -> Result<Role, Mistake> {
    values::word(value, &[("balanced", Role::Balanced), ("isolated", Role::Isolated), ("standby", Role::Standby)])
}

/// A kind that this version can do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Static,
    Dhcp,
    Pppoe,
    Adopted,
}

fn kind(value: &Value<'_>) -> Result<Kind, Mistake> {
    let words = [("static", Kind::Static), ("dhcp", Kind::Dhcp), ("pppoe", Kind::Pppoe), ("adopted", Kind::Adopted)];
    values::word(value, &words)
}

/// Refuses what `line` may not share with the LAN or with the uplinks `before` it.
fn conflicts(section: &Section<'_, '_>, line: &Uplink, before: &[Uplink], lan: &Lan) -> Result<(), Mistake> {
    let mistake =
        |key: &str, wrong: String, right: &str| Err(Mistake::new(section.place(key), wrong, right).of_key(key));
    let name = line.interface.name();
    if name.is_some_and(|name| lan.interfaces.contains(name)) {
        return mistake(
            "interface",
            format!("\"{}\" is the LAN's interface", line.interface),
            "an interface of its own for every uplink",
        );
    }
    if name == Some(&lan.tun) {
        return mistake(
            "interface",
            format!("\"{}\" is the router's TUN device", line.interface),
            "the interface that the line is plugged into",
        );
    }
    for other in before {
        if other.name == line.name {
            return mistake(
                "name",
                format!("another uplink is named \"{}\"", line.name),
                "a name of its own for every uplink",
            );
        }
        if other.interface == line.interface {
            let wrong = format!("\"{}\" is the interface of uplink \"{}\"", line.interface, other.name);
            return mistake(line.interface.key(), wrong, "an interface of its own for every uplink");
        }
        if let Some(address) =
            line.kind.static_address().filter(|_| other.kind.static_address() == line.kind.static_address())
        {
            let wrong = format!("{address} is the address of uplink \"{}\"", other.name);
            return mistake("address", wrong, "an address of its own for every uplink");
        }
    }
    Ok(())
}
