//! Whatever comes in whatever order, a lease in use is sound.

use proptest::prelude::*;

use super::*;

/// One thing that can happen to a client.
#[derive(Clone, Debug)]
enum Step {
    Pass(u32),
    Hear { kind: u8, options: Vec<(u8, Vec<u8>)>, address: u32 },
    Noise(Vec<u8>),
    Arp { sender: u8, request: bool },
    Stop,
    Start,
    Extend,
}

fn step() -> impl Strategy<Value = Step> {
    let option = prop_oneof![
        Just((1, vec![255, 255, 255, 0])),
        Just((3, GATEWAY.octets().to_vec())),
        Just((51, vec![0, 0, 0, 60])),
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..9)),
    ];
    prop_oneof![
        4 => (1_u32..200_000).prop_map(Step::Pass),
        8 => (prop_oneof![Just(2), Just(5), Just(5), Just(6)], prop::collection::vec(option, 0..8), 0..4_u32)
            .prop_map(|(kind, options, address)| Step::Hear { kind, options, address }),
        1 => prop::collection::vec(any::<u8>(), 0..400).prop_map(Step::Noise),
        1 => (0..4_u8, any::<bool>()).prop_map(|(sender, request)| Step::Arp { sender, request }),
        1 => Just(Step::Stop),
        2 => Just(Step::Start),
        1 => Just(Step::Extend),
    ]
}

proptest! {
    /// Whatever is heard: no timeout spins, a lease in use has a gateway and an end ahead, and every address was probed.
    #[test]
    fn lease_in_use_is_always_sound(steps in prop::collection::vec(step(), 1..80)) {
        let mut line = Line::new();
        let lan: Ipv4Net = "100.64.9.0/24".parse().unwrap();
        line.client.handle_lan_networks(line.now, &[lan]);
        for step in steps {
            match step {
                Step::Pass(milliseconds) => {
                    line.pass(u64::from(milliseconds / 1_000));
                    line.now = line.now + Duration::from_millis(u64::from(milliseconds % 1_000));
                    line.client.handle_timeout(line.now);
                }
                Step::Hear { kind, options, address } => {
                    let kind = DhcpMessageType::from(kind);
                    let address = Ipv4Addr::from_bits(ADDRESS.to_bits() + address * 256);
                    line.hears(&Says { kind, address, server: SERVER, options });
                }
                Step::Noise(bytes) => line.client.handle_packet(line.now, SERVER_MAC, &bytes),
                Step::Arp { sender, request } => {
                    let sender = Ipv4Addr::from_bits(ADDRESS.to_bits() + u32::from(sender) * 256);
                    let operation = if request { ArpOperation::Request } else { ArpOperation::Reply };
                    line.hears_arp(&arp(OTHER, operation, sender, ADDRESS));
                }
                Step::Stop => line.client.stop(),
                Step::Start => line.client.start(line.now, OURS),
                Step::Extend => line.client.extend_early(line.now),
            }
            line.collect();
            if let Some(lease) = line.client.lease() {
                let address = lease.address();
                prop_assert!(!lan.contains(&address) && lease.gateway != address);
                prop_assert!(line.client.lease_end().is_none_or(|end| end >= line.now), "over, and still in use");
                prop_assert!(line.log.iter().any(|(_, seen)| *seen == Seen::Probe(address)));
            }
        }
    }
}
