//! Lines by scenario, with simulated time: what far ends and users do, and what is made of it.

mod repeated;
mod users;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use etherparse::{Icmpv4Type, NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

use super::*;
use crate::flow::Timestamp;
use crate::nat::ports::PROBE_PORTS;

const OURS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 53);
const START: u64 = 1_000_000;

/// What becomes of a question to a host: answered after so many milliseconds, or not.
type Path = Box<dyn FnMut(&World, Ipv4Addr) -> Option<u64>>;
/// The counters at a time, in milliseconds since the start.
type Users = Box<dyn FnMut(u64) -> Traffic>;

/// A line, what is beyond it, and a clock.
struct World {
    health: Health,
    now: u64,
    path: Option<Path>,
    users: Option<Users>,
    peers: Peers,
    gateway_speaks_arp: bool,
    /// The path by the gateway's new Ethernet address, which everybody has to be asked for.
    path_once_found: Option<Path>,
    /// Answers on their way.
    coming: Vec<(u64, Vec<u8>)>,
    asked: Vec<Ipv4Addr>,
    /// What has become of the line, and when.
    changes: Vec<(u64, HealthCause)>,
    redials: Vec<u64>,
    random: u64,
}

fn settings(targets: &[Wanted]) -> Settings {
    Settings { targets: Some(targets.into()), ..Settings::default() }
}

/// The gateway and a far host.
fn far_settings() -> Settings {
    settings(&[Wanted::Gateway, Wanted::Host(Probe::Ping(FAR))])
}

impl World {
    fn new(settings: Settings, path: impl FnMut(&Self, Ipv4Addr) -> Option<u64> + 'static) -> Self {
        let mut world = Self {
            health: Health::new(Arc::new(settings), Capacity::default(), [7; 32]),
            now: START,
            path: Some(Box::new(path)),
            users: None,
            peers: Peers::Silent,
            gateway_speaks_arp: false,
            path_once_found: None,
            coming: Vec::new(),
            asked: Vec::new(),
            changes: Vec::new(),
            redials: Vec::new(),
            random: 12_345,
        };
        world.connect();
        world
    }

    fn connect(&mut self) {
        let vicinity = Vicinity { address: OURS, gateway: GATEWAY, name_servers: Vec::new() };
        self.health.handle_vicinity(self.time(), Some(vicinity));
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// Milliseconds since the start.
    fn elapsed(&self) -> u64 {
        self.now - START
    }

    fn set_path(&mut self, path: impl FnMut(&Self, Ipv4Addr) -> Option<u64> + 'static) {
        self.path = Some(Box::new(path));
    }

    /// Lets time pass, with a look at the users' counters as often as the daemon has one.
    fn run(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while self.now <= end {
            let now = self.time();
            while let Some(at) = self.coming.iter().position(|(at, _)| *at <= self.now) {
                let (_, packet) = self.coming.swap_remove(at);
                self.health.handle_packet(now, &packet);
            }
            if self.health.poll_timeout().is_some_and(|due| due <= now) {
                let elapsed = self.elapsed();
                if let Some(users) = &mut self.users {
                    self.health.handle_traffic(now, users(elapsed));
                }
                self.health.handle_peers(self.peers);
                self.health.handle_timeout(now);
                assert!(self.health.poll_timeout().is_none_or(|next| next > now), "a timeout that stays due");
            }
            self.collect();
            let next =
                self.coming.iter().map(|(at, _)| *at).chain(self.health.poll_timeout().map(Timestamp::as_millis));
            self.now = next.min().unwrap_or(end + 1).clamp(self.now + 1, end + 1);
        }
    }

    fn collect(&mut self) {
        while let Some(packet) = self.health.poll_transmit() {
            self.send(&packet);
        }
        while let Some(event) = self.health.poll_event() {
            match event {
                HealthEvent::Changed(cause) => self.changes.push((self.elapsed(), cause)),
                HealthEvent::Redial => self.redials.push(self.elapsed()),
                HealthEvent::AskGateway if self.gateway_speaks_arp => self.health.handle_gateway(self.time()),
                HealthEvent::AskGateway => {}
                HealthEvent::SeekGateway => {
                    if let Some(path) = self.path_once_found.take() {
                        self.path = Some(path);
                        self.health.handle_gateway_moved(self.time());
                        self.collect();
                    }
                }
            }
        }
    }

    /// A packet leaves, and is perhaps answered.
    fn send(&mut self, packet: &[u8]) {
        let sliced = SlicedPacket::from_ip(packet).expect("an independent parser reads it");
        let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("not IPv4") };
        assert_eq!(ip.header().source_addr(), OURS, "from the line's own address");
        let host = ip.header().destination_addr();
        let answer = answer_to(host, sliced.transport.as_ref().expect("a transport"));
        self.asked.push(host);
        let mut path = self.path.take().expect("nobody else uses it");
        if let Some(answer) = answer
            && let Some(after) = path(self, host)
        {
            self.coming.push((self.now + after, answer));
        }
        self.path = Some(path);
    }

    /// Whether something that happens so often in a hundred times happens now.
    fn chance(&mut self, percent: u64) -> bool {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % 100 < percent
    }

    /// When the line became what it is now, since the start.
    fn last_change(&self) -> Option<(u64, HealthCause)> {
        self.changes.last().copied()
    }
}

/// What a host that is up answers.
fn answer_to(host: Ipv4Addr, transport: &TransportSlice<'_>) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    let builder = PacketBuilder::ipv4(host.octets(), OURS.octets(), 60);
    match transport {
        TransportSlice::Icmpv4(icmp) => {
            let Icmpv4Type::EchoRequest(echo) = icmp.icmp_type() else { panic!("{icmp:?}") };
            assert!(PROBE_PORTS.contains(&echo.id));
            builder.icmpv4_echo_reply(echo.id, echo.seq).write(&mut answer, icmp.payload()).unwrap();
        }
        TransportSlice::Udp(udp) => {
            assert!(PROBE_PORTS.contains(&udp.source_port()));
            let mut message = udp.payload().to_vec();
            message[2] |= 0x80;
            builder.udp(udp.destination_port(), udp.source_port()).write(&mut answer, &message).unwrap();
        }
        TransportSlice::Tcp(tcp) => {
            assert!(PROBE_PORTS.contains(&tcp.source_port()));
            let builder = builder.tcp(tcp.destination_port(), tcp.source_port(), 1_000, 8_000);
            let next = tcp.sequence_number().wrapping_add(1);
            match (tcp.syn(), tcp.payload()) {
                // Port 9 is closed.
                (true, _) if tcp.destination_port() == 9 => builder.rst().ack(next).write(&mut answer, b"").unwrap(),
                (true, _) => builder.syn().ack(next).write(&mut answer, b"").unwrap(),
                // We end it, and the far end does not answer that.
                (false, []) => return None,
                (false, request) => {
                    assert!(request.starts_with(b"GET / HTTP/1.1\r\nHost: "));
                    let mut header =
                        etherparse::TcpHeader::new(tcp.destination_port(), tcp.source_port(), 1_001, 8_000);
                    (header.ack, header.psh) = (true, true);
                    header.acknowledgment_number = tcp.sequence_number().wrapping_add(request.len() as u32);
                    let status = b"HTTP/1.1 404 Not Found\r\n\r\n";
                    PacketBuilder::ipv4(host.octets(), OURS.octets(), 60)
                        .tcp_header(header)
                        .write(&mut answer, status)
                        .unwrap();
                }
            }
        }
        other => panic!("{other:?}"),
    }
    Some(answer)
}

fn silent(cause: Option<(u64, HealthCause)>) -> Option<String> {
    match cause {
        Some((_, HealthCause::TargetsSilent(silence))) => Some(silence.to_string()),
        _ => None,
    }
}

#[test]
fn line_whose_targets_answer_is_up_in_well_under_a_second() {
    for settings in [Settings::default(), far_settings()] {
        let mut world = World::new(settings, |_, _| Some(20));
        world.run(2_000);
        assert!(matches!(world.changes[..], [(at, HealthCause::TargetsAnswer)] if at < 300), "{:?}", world.changes);
    }
}

#[test]
fn far_hosts_that_nobody_has_named_need_not_be_there() {
    let mut world = World::new(Settings::default(), |_, host| (host == GATEWAY).then_some(1));
    world.run(120_000);
    assert!(matches!(world.changes[..], [(at, HealthCause::TargetsAnswer)] if at < 800), "{:?}", world.changes);
    let far = world.asked.iter().filter(|host| **host != GATEWAY).count();
    assert!(far < 80, "they are asked seldom: {far}");
    assert_eq!(world.health.status(world.time()).losses, [Some(0); 3]);
}

#[test]
fn line_with_nobody_near_is_up_until_whoever_has_answered_is_silent() {
    let mut world = World::new(Settings::default(), |_, _| None);
    let alone = Vicinity { address: OURS, gateway: Ipv4Addr::UNSPECIFIED, name_servers: Vec::new() };
    world.health.handle_vicinity(world.time(), Some(alone));
    world.run(60_000);
    assert_eq!(world.health.standing(), Standing::Up, "nothing speaks against it");
    world.set_path(|_, _| Some(20));
    world.run(60_000);
    world.set_path(|_, _| None);
    world.run(1_500);
    assert_eq!(world.health.standing(), Standing::Lame);
}

#[test]
fn line_with_a_silent_named_target_is_not_put_to_use() {
    let mut world = World::new(far_settings(), |_, host| (host == GATEWAY).then_some(1));
    world.run(60_000);
    assert_eq!((world.changes.len(), silent(world.last_change())), (1, Some("192.0.2.53".to_owned())));
    assert_eq!(world.health.standing(), Standing::Lame);
}

#[test]
fn black_hole_behind_the_gateway_is_noticed_within_a_second_and_a_half() {
    let mut worst = 0;
    for settings in [Settings::default(), far_settings()] {
        for hole_at in (3_000..4_100).step_by(37) {
            let mut world = World::new(settings.clone(), move |world, host| {
                (host == GATEWAY || world.elapsed() < hole_at).then_some(20)
            });
            world.run(10_000);
            let Some((at, HealthCause::TargetsSilent(_))) = world.last_change() else { panic!("{:?}", world.changes) };
            worst = worst.max(at - hole_at);
        }
    }
    assert!((1_000..=1_500).contains(&worst), "{worst} ms");
}

#[test]
fn line_comes_back_soon_after_its_targets() {
    let hole = 5_000..19_000;
    let mut world = World::new(far_settings(), move |world, _| (!hole.contains(&world.elapsed())).then_some(20));
    world.run(60_000);
    assert_eq!(world.changes.len(), 3, "{:?}", world.changes);
    assert!((19_000..22_000).contains(&world.changes[2].0), "{:?}", world.changes);
    // Address and gateway are asked for anew, later and later.
    assert_eq!(world.redials.len(), 1);
    assert!((10_900..12_000).contains(&world.redials[0]), "{:?}", world.redials);
    let status = world.health.status(world.time());
    assert_eq!((status.losses[0], status.trend()), (Some(0), Some(Trend::Falling)));
    assert!(status.losses[1].is_some_and(|percent| percent > 10), "{status:?}");
}

#[test]
fn gateway_that_ignores_pings_and_answers_arp_is_alive() {
    let mut world = World::new(settings(&[Wanted::Gateway]), |_, _| None);
    world.gateway_speaks_arp = true;
    world.run(60_000);
    assert!(matches!(world.changes[..], [(at, HealthCause::TargetsAnswer)] if at < 800), "{:?}", world.changes);
    world.gateway_speaks_arp = false;
    world.run(3_000);
    assert_eq!(silent(world.last_change()), Some("10.77.1.1".to_owned()));
}

#[test]
fn gateway_that_has_moved_is_sought_before_the_line_is_lame() {
    for delay in 0..10 {
        let mut world = World::new(far_settings(), |_, _| Some(20));
        world.run(5_000 + delay * 53);
        let changes = world.changes.len();
        world.set_path(|_, _| None);
        world.path_once_found = Some(Box::new(|_, _| Some(20)));
        world.run(10_000);
        assert!(world.path_once_found.is_none(), "everybody was asked");
        assert_eq!(world.changes.len(), changes, "{:?}", world.changes);
    }
}

#[test]
fn gateway_that_limits_its_pings_is_alive() {
    for far in [None, Some(5)] {
        let mut pings = 0_u32;
        let list = if far.is_some() { far_settings() } else { settings(&[Wanted::Gateway]) };
        let mut world = World::new(list, move |_, host| {
            pings += u32::from(host == GATEWAY);
            if host == GATEWAY { pings.is_multiple_of(5).then_some(1) } else { far }
        });
        world.gateway_speaks_arp = true;
        world.run(120_000);
        assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    }
}

#[test]
fn slow_line_comes_up_and_stays() {
    let mut world = World::new(far_settings(), |_, host| Some(if host == FAR { 700 } else { 3 }));
    world.run(60_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    let status = world.health.status(world.time());
    assert!(status.round_trip.is_some_and(|trip| trip.median >= Duration::from_millis(690)), "{status:?}");
    // From one moment to the next it is that slow: the first answers are late, and count.
    let mut world = World::new(far_settings(), |world, _| Some(if world.elapsed() < 10_000 { 10 } else { 600 }));
    world.run(60_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
}

#[test]
fn line_that_loses_a_third_of_its_packets_is_lame_until_it_does_not() {
    let mut dice = World::new(Settings::default(), |_, _| None);
    let wanted = [FAR, Ipv4Addr::new(192, 0, 2, 54)].map(|host| Wanted::Host(Probe::Ping(host)));
    let mut world = World::new(settings(&wanted), move |world, host| {
        let loses = (10_000..100_000).contains(&world.elapsed()) && host != GATEWAY;
        (!(loses && dice.chance(30))).then_some(15)
    });
    world.run(99_000);
    assert!(world.changes.len() >= 2, "{:?}", world.changes);
    assert!(world.changes.iter().any(|(_, cause)| matches!(cause, HealthCause::Loss { percent } if *percent >= 20)));
    assert!(world.changes.len() <= 8, "it does not come and go: {:?}", world.changes);
    world.run(60_000);
    assert_eq!(world.health.standing(), Standing::Up, "{:?}", world.changes);
}

#[test]
fn one_lost_round_in_ten_is_borne() {
    let mut round = 0_u32;
    let mut world = World::new(far_settings(), move |_, host| {
        round += u32::from(host == FAR);
        (!round.is_multiple_of(10)).then_some(15)
    });
    world.run(300_000);
    assert_eq!(world.changes.len(), 1, "{:?}", world.changes);
    let losses = world.health.status(world.time()).losses;
    assert!(losses.iter().all(|loss| loss.is_some_and(|loss| (6..=14).contains(&loss))), "{losses:?}");
}

#[test]
fn flapping_line_must_be_good_for_longer_and_longer() {
    // Dead for three seconds of every fifteen.
    let mut world = World::new(far_settings(), |world, _| (world.elapsed() % 15_000 >= 3_000).then_some(10));
    world.run(300_000);
    let up = |changes: &[(u64, HealthCause)], span: std::ops::Range<u64>| {
        changes.iter().filter(|(at, cause)| span.contains(at) && *cause == HealthCause::TargetsAnswer).count()
    };
    let (first, rest) = (up(&world.changes, 0..60_000), up(&world.changes, 60_000..300_000));
    assert!(first >= 3 && rest <= 2, "{first} {rest} {:?}", world.changes);
    // When it has settled, it is taken again.
    world.set_path(|_, _| Some(10));
    world.run(180_000);
    assert_eq!(world.health.standing(), Standing::Up);
}

#[test]
fn a_majority_can_be_wanted() {
    let hosts = [FAR, Ipv4Addr::new(192, 0, 2, 54), Ipv4Addr::new(192, 0, 2, 55)];
    let wanted = hosts.map(|host| Wanted::Host(Probe::Ping(host)));
    let mut world = World::new(Settings { need: 2, ..settings(&wanted) }, |world, host| {
        let silent = world.elapsed() / 10_000;
        (u64::from(host.octets()[3] - 53) >= silent).then_some(10)
    });
    world.run(19_000);
    assert_eq!(world.changes.len(), 1, "two of three are enough: {:?}", world.changes);
    world.run(9_000);
    assert_eq!(silent(world.last_change()), Some("192.0.2.53, 192.0.2.54".to_owned()));
}

#[test]
fn every_way_of_asking_is_understood() {
    let at = |port| SocketAddrV4::new(FAR, port);
    let probes = [
        Probe::Connect(at(443)),
        Probe::Connect(at(9)),
        Probe::Resolve(at(53)),
        Probe::Fetch(at(80)),
        Probe::Ping(FAR),
    ];
    for probe in probes {
        let mut world = World::new(settings(&[Wanted::Host(probe)]), |_, _| Some(20));
        world.run(60_000);
        assert_eq!(world.changes.len(), 1, "{probe}: {:?}", world.changes);
        let status = world.health.status(world.time());
        assert_eq!((status.losses[1], status.targets[0].silent), (Some(0), 0), "{probe}");
        // A page takes two round trips.
        let expected = if matches!(probe, Probe::Fetch(_)) { 40 } else { 20 };
        assert!(status.last.is_some_and(|last| last.as_millis() == expected), "{probe}: {status:?}");
        world.set_path(|_, _| None);
        world.run(2_000);
        assert_eq!(silent(world.last_change()), Some(probe.to_string()));
        world.set_path(|_, _| Some(20));
        world.run(5_000);
        assert_eq!(world.health.standing(), Standing::Up, "{probe}: {:?}", world.changes);
    }
}

#[test]
fn closed_port_serves_no_pages() {
    let probe = Probe::Fetch(SocketAddrV4::new(FAR, 9));
    let mut world = World::new(settings(&[Wanted::Host(probe)]), |_, _| Some(20));
    world.run(10_000);
    assert_eq!(silent(world.last_change()), Some("http://192.0.2.53:9/".to_owned()));
}

#[test]
fn what_has_answered_counts_as_long_as_the_address_stays() {
    let mut world = World::new(Settings::default(), |_, _| Some(5));
    world.run(5_000);
    // The cable is out, and what is behind the gateway dies meanwhile.
    world.health.handle_vicinity(world.time(), None);
    assert_eq!((world.health.poll_timeout(), world.health.hosts().len()), (None, 0));
    world.set_path(|_, host| (host == GATEWAY).then_some(1));
    world.connect();
    assert_eq!(world.health.standing(), Standing::Testing);
    world.run(10_000);
    assert_eq!(silent(world.last_change()), Some("1.1.1.1, 8.8.8.8".to_owned()));
    // With another address it is another line.
    let elsewhere = Vicinity { address: Ipv4Addr::new(10, 78, 1, 2), gateway: GATEWAY, name_servers: Vec::new() };
    world.health.handle_vicinity(world.time(), Some(elsewhere));
    let weights = world.health.status(world.time()).targets.iter().map(|target| target.weight).collect::<Vec<_>>();
    assert_eq!(weights, [Weight::Near, Weight::Unproven, Weight::Unproven]);
}
