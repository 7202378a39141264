//! Messages (RFC 2131 section 2, options of RFC 2132): those of servers read, ours written.
//!
//! Reading believes nothing: every length is checked, and an option that is too short, too long or broken counts as
//! absent. An option may come in several parts (RFC 3396) and lie in the fields for names (option 52).

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::wire::MacAddress;

const BOOT_REQUEST: u8 = 1;
const BOOT_REPLY: u8 = 2;
const ETHERNET: u8 = 1;
const MAGIC: [u8; 4] = [99, 130, 83, 99];

/// Where the fields stand.
mod at {
    use std::ops::Range;

    pub(super) const TRANSACTION: Range<usize> = 4..8;
    pub(super) const SECONDS: Range<usize> = 8..10;
    pub(super) const CLIENT_ADDRESS: Range<usize> = 12..16;
    pub(super) const YOUR_ADDRESS: Range<usize> = 16..20;
    pub(super) const HARDWARE_ADDRESS: Range<usize> = 28..34;
    pub(super) const SERVER_NAME: Range<usize> = 44..108;
    pub(super) const BOOT_FILE: Range<usize> = 108..236;
    pub(super) const MAGIC: Range<usize> = 236..240;
    pub(super) const OPTIONS: usize = 240;
}

/// BOOTP messages have at least this many bytes (RFC 1542 section 2.1); some servers and relays insist.
const LEAST_LENGTH: usize = 300;
/// The longest message that we say we take: what fits an Ethernet frame.
const LONGEST_MESSAGE: u16 = 1_500 - 20 - 8;
/// Name servers that are kept of one answer.
const MOST_NAME_SERVERS: usize = 8;

mod option {
    pub(super) const PAD: u8 = 0;
    pub(super) const SUBNET_MASK: u8 = 1;
    pub(super) const ROUTER: u8 = 3;
    pub(super) const NAME_SERVER: u8 = 6;
    pub(super) const MTU: u8 = 26;
    pub(super) const REQUESTED_ADDRESS: u8 = 50;
    pub(super) const LEASE_TIME: u8 = 51;
    pub(super) const OVERLOAD: u8 = 52;
    pub(super) const MESSAGE_TYPE: u8 = 53;
    pub(super) const SERVER: u8 = 54;
    pub(super) const PARAMETERS: u8 = 55;
    pub(super) const MESSAGE: u8 = 56;
    pub(super) const MOST_BYTES: u8 = 57;
    pub(super) const RENEWAL_TIME: u8 = 58;
    pub(super) const REBINDING_TIME: u8 = 59;
    pub(super) const CLIENT: u8 = 61;
    pub(super) const CLASSLESS_ROUTES: u8 = 121;
    pub(super) const END: u8 = 255;
}

/// What we ask for. RFC 3442: classless routes before routers.
const PARAMETERS: [u8; 7] = [
    option::SUBNET_MASK,
    option::CLASSLESS_ROUTES,
    option::ROUTER,
    option::NAME_SERVER,
    option::MTU,
    option::RENEWAL_TIME,
    option::REBINDING_TIME,
];

/// What a server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyKind {
    /// You could have this address.
    Offer,
    /// You have it.
    Ack,
    /// You have not.
    Nak,
}

/// A server's message to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What it says.
    pub kind: ReplyKind,
    /// The transaction that it answers.
    pub transaction: u32,
    /// The address that it speaks of.
    pub address: Ipv4Addr,
    /// The server's name for itself.
    pub server: Option<Ipv4Addr>,
    /// Length of the network's prefix.
    pub prefix_length: Option<u8>,
    /// The first router.
    pub router: Option<Ipv4Addr>,
    /// The router of the classless default route.
    pub classless_router: Option<Ipv4Addr>,
    /// Who resolves names.
    pub name_servers: Vec<Ipv4Addr>,
    /// Longest packet of the line.
    pub mtu: Option<u16>,
    /// How long the address is ours, in seconds; all ones: for ever.
    pub lease_seconds: Option<u32>,
    /// T1, in seconds.
    pub renewal_seconds: Option<u32>,
    /// T2, in seconds.
    pub rebinding_seconds: Option<u32>,
    /// The server's words, cleaned for a log.
    pub message: Option<String>,
}

impl Reply {
    /// Reads a message to the client with this Ethernet address. `None` for a message to somebody else, of another kind
    /// or a broken one.
    #[must_use]
    pub fn parse(message: &[u8], client: MacAddress) -> Option<Self> {
        let is_ours = message.len() >= at::OPTIONS
            && message[0] == BOOT_REPLY
            && message[1] == ETHERNET
            && message[2] == 6
            && message[at::HARDWARE_ADDRESS] == client.0
            && message[at::MAGIC] == MAGIC;
        if !is_ours {
            return None;
        }
        let options = Options::collect(message);
        let kind = match options.get(option::MESSAGE_TYPE)? {
            [2] => ReplyKind::Offer,
            [5] => ReplyKind::Ack,
            [6] => ReplyKind::Nak,
            _ => return None,
        };
        Some(Self {
            kind,
            transaction: word(&message[at::TRANSACTION])?,
            address: address(&message[at::YOUR_ADDRESS])?,
            server: options.get(option::SERVER).and_then(address),
            prefix_length: options.get(option::SUBNET_MASK).and_then(prefix_length),
            router: options.get(option::ROUTER).and_then(|routers| addresses(routers).next()),
            classless_router: options.get(option::CLASSLESS_ROUTES).and_then(default_router),
            name_servers: options.get(option::NAME_SERVER).map_or_else(Vec::new, |servers| {
                addresses(servers).filter(|server| !server.is_unspecified()).take(MOST_NAME_SERVERS).collect()
            }),
            mtu: options.get(option::MTU).and_then(|bytes| Some(u16::from_be_bytes(bytes.try_into().ok()?))),
            lease_seconds: options.get(option::LEASE_TIME).and_then(word),
            renewal_seconds: options.get(option::RENEWAL_TIME).and_then(word),
            rebinding_seconds: options.get(option::REBINDING_TIME).and_then(word),
            message: options.get(option::MESSAGE).map(|bytes| bytes.escape_ascii().to_string()),
        })
    }
}

/// The options of a message; of one that comes in parts, the parts joined (RFC 3396).
struct Options(BTreeMap<u8, Vec<u8>>);

impl Options {
    fn collect(message: &[u8]) -> Self {
        let mut options = Self(BTreeMap::new());
        options.read(&message[at::OPTIONS..]);
        // RFC 2132 section 9.3: 1: options in the file's field, 2: in the server's name, 3: in both, in this order.
        let overload = options.get(option::OVERLOAD).and_then(|value| value.first().copied()).unwrap_or(0);
        if overload & 1 != 0 {
            options.read(&message[at::BOOT_FILE]);
        }
        if overload & 2 != 0 {
            options.read(&message[at::SERVER_NAME]);
        }
        options
    }

    fn read(&mut self, mut bytes: &[u8]) {
        while let Some((&code, rest)) = bytes.split_first() {
            if code == option::PAD {
                bytes = rest;
                continue;
            }
            let value = rest.split_first().and_then(|(&length, rest)| rest.split_at_checked(length.into()));
            let Some((value, rest)) = value.filter(|_| code != option::END) else { return };
            self.0.entry(code).or_default().extend_from_slice(value);
            bytes = rest;
        }
    }

    fn get(&self, code: u8) -> Option<&[u8]> {
        self.0.get(&code).map(Vec::as_slice)
    }
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    word(bytes).map(Ipv4Addr::from_bits)
}

fn addresses(bytes: &[u8]) -> impl Iterator<Item = Ipv4Addr> {
    bytes.chunks_exact(4).filter_map(address)
}

/// Of a mask whose ones stand before its zeros.
fn prefix_length(mask: &[u8]) -> Option<u8> {
    let mask = word(mask)?;
    u8::try_from(mask.leading_ones()).ok().filter(|_| mask.leading_ones() + mask.trailing_zeros() >= 32)
}

/// The router of the default route among classless routes (RFC 3442). `None` when there is no such route, when it leads
/// to no router, or when the option is broken anywhere, for then nothing in it is to be believed.
fn default_router(mut routes: &[u8]) -> Option<Ipv4Addr> {
    let mut found = None;
    while let Some((&width, rest)) = routes.split_first() {
        let significant = usize::from(width).div_ceil(8);
        let (router, rest) = rest
            .split_at_checked(significant)
            .filter(|_| width <= 32)
            .and_then(|(_, rest)| rest.split_at_checked(4))?;
        if width == 0 {
            found = found.or(address(router).filter(|router| !router.is_unspecified()));
        }
        routes = rest;
    }
    found
}

/// A message of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// Who has an address for me? This one, if it can be.
    Discover { wish: Option<Ipv4Addr> },
    /// I take what this server has offered.
    Select { address: Ipv4Addr, server: Ipv4Addr },
    /// I had this address; may I have it again?
    Reboot { address: Ipv4Addr },
    /// I have this address and want to keep it: renewing, if sent to its server; rebinding, if sent to all.
    Extend { address: Ipv4Addr },
    /// Somebody else uses this address.
    Decline { address: Ipv4Addr, server: Ipv4Addr },
    /// I do not need this address any more.
    Release { address: Ipv4Addr, server: Ipv4Addr },
}

/// Who asks, and in which transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sender {
    pub(super) mac: MacAddress,
    pub(super) transaction: u32,
    /// Since when it has asked, in seconds.
    pub(super) seconds: u16,
}

/// Writes a message (RFC 2131 table 5).
pub(super) fn write(sender: Sender, kind: RequestKind) -> Vec<u8> {
    let mut message = vec![0; at::OPTIONS];
    message[..3].copy_from_slice(&[BOOT_REQUEST, ETHERNET, 6]);
    message[at::TRANSACTION].copy_from_slice(&sender.transaction.to_be_bytes());
    message[at::SECONDS].copy_from_slice(&sender.seconds.to_be_bytes());
    message[at::HARDWARE_ADDRESS].copy_from_slice(&sender.mac.0);
    message[at::MAGIC].copy_from_slice(&MAGIC);
    let mut put = |code: u8, value: &[u8]| {
        #[expect(clippy::cast_possible_truncation, reason = "our options have a few bytes")]
        message.extend_from_slice(&[code, value.len() as u8]);
        message.extend_from_slice(value);
    };
    let (number, wish, server, client_address) = match kind {
        RequestKind::Discover { wish } => (1, wish, None, None),
        RequestKind::Select { address, server } => (3, Some(address), Some(server), None),
        RequestKind::Reboot { address } => (3, Some(address), None, None),
        RequestKind::Extend { address } => (3, None, None, Some(address)),
        RequestKind::Decline { address, server } => (4, Some(address), Some(server), None),
        RequestKind::Release { address, server } => (7, None, Some(server), Some(address)),
    };
    put(option::MESSAGE_TYPE, &[number]);
    // RFC 2132 section 9.14: type 1 is an Ethernet address. The same in every message, for the server knows us by it.
    let mut client = [ETHERNET; 7];
    client[1..].copy_from_slice(&sender.mac.0);
    put(option::CLIENT, &client);
    if let Some(wish) = wish {
        put(option::REQUESTED_ADDRESS, &wish.octets());
    }
    if let Some(server) = server {
        put(option::SERVER, &server.octets());
    }
    if !matches!(kind, RequestKind::Decline { .. } | RequestKind::Release { .. }) {
        put(option::PARAMETERS, &PARAMETERS);
        put(option::MOST_BYTES, &LONGEST_MESSAGE.to_be_bytes());
    }
    message.push(option::END);
    if let Some(address) = client_address {
        message[at::CLIENT_ADDRESS].copy_from_slice(&address.octets());
    }
    message.resize(message.len().max(LEAST_LENGTH), 0);
    message
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress};

    use super::*;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 9);
    const SERVER: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 1);

    /// A reply with these options, from their bytes.
    fn reply(options: &[u8]) -> Vec<u8> {
        let mut message = vec![0; at::OPTIONS];
        message[..3].copy_from_slice(&[2, 1, 6]);
        message[at::TRANSACTION].copy_from_slice(&[1, 2, 3, 4]);
        message[at::YOUR_ADDRESS].copy_from_slice(&ADDRESS.octets());
        message[at::HARDWARE_ADDRESS].copy_from_slice(&MAC.0);
        message[at::MAGIC].copy_from_slice(&MAGIC);
        message.extend_from_slice(options);
        message
    }

    fn parsed(options: &[u8]) -> Option<Reply> {
        Reply::parse(&reply(&[&[53, 1, 5], options].concat()), MAC)
    }

    #[test]
    fn reply_is_read_whole() {
        let options = [
            &[0, 0, 54, 4, 100, 64, 0, 1, 1, 4, 255, 255, 240, 0][..],
            &[3, 8, 100, 64, 0, 2, 100, 64, 0, 3, 6, 8, 192, 0, 2, 53, 192, 0, 2, 54],
            &[26, 2, 5, 212, 51, 4, 0, 0, 14, 16, 58, 4, 0, 0, 7, 8, 59, 4, 0, 0, 12, 78],
            &[56, 3, b'n', b'o', b'\n', 255, 53, 1, 6],
        ];
        let reply = parsed(&options.concat()).unwrap();
        let expected = Reply {
            kind: ReplyKind::Ack,
            transaction: 0x0102_0304,
            address: ADDRESS,
            server: Some(SERVER),
            prefix_length: Some(20),
            router: Some(Ipv4Addr::new(100, 64, 0, 2)),
            classless_router: None,
            name_servers: vec![Ipv4Addr::new(192, 0, 2, 53), Ipv4Addr::new(192, 0, 2, 54)],
            mtu: Some(1_492),
            lease_seconds: Some(3_600),
            renewal_seconds: Some(1_800),
            rebinding_seconds: Some(3_150),
            message: Some("no\\n".to_owned()),
        };
        assert_eq!(reply, expected);
    }

    #[test]
    fn options_in_parts_and_in_the_name_fields_are_joined() {
        // Two parts of one router list, and 3: both fields hold options.
        let mut message = reply(&[53, 1, 5, 3, 2, 100, 64, 3, 2, 0, 2, 52, 1, 3, 255]);
        message[108..116].copy_from_slice(&[54, 4, 100, 64, 0, 1, 255, 9]);
        message[44..49].copy_from_slice(&[26, 2, 5, 212, 255]);
        let reply = Reply::parse(&message, MAC).unwrap();
        assert_eq!((reply.router, reply.server), (Some(Ipv4Addr::new(100, 64, 0, 2)), Some(SERVER)));
        assert_eq!(reply.mtu, Some(1_492));
    }

    #[test]
    fn broken_options_count_as_absent() {
        for options in [
            &[1, 4, 255, 0, 255, 0, 51, 3, 0, 0, 1, 26, 1, 5, 54, 0][..],
            &[1, 5, 255, 255, 255, 0, 0, 51, 4, 0, 0],
            &[1],
            &[6, 3, 1, 2, 3, 3, 0],
            &[],
        ] {
            let reply = parsed(options).unwrap();
            let read = (reply.prefix_length, reply.lease_seconds, reply.mtu, reply.server, reply.router);
            assert_eq!(read, (None, None, None, None, None), "{options:?}");
            assert!(reply.name_servers.is_empty());
        }
    }

    #[test]
    fn default_route_is_found_among_classless_routes() {
        let router = |routes: &[u8]| {
            #[expect(clippy::cast_possible_truncation, reason = "short by construction")]
            let option = [&[121, routes.len() as u8][..], routes].concat();
            parsed(&option).unwrap().classless_router
        };
        let gateway = Some(Ipv4Addr::new(100, 64, 0, 9));
        assert_eq!(router(&[0, 100, 64, 0, 9]), gateway);
        assert_eq!(router(&[24, 10, 1, 2, 100, 64, 0, 8, 0, 100, 64, 0, 9, 32, 1, 2, 3, 4, 0, 0, 0, 0]), gateway);
        for broken in [
            &[24, 10, 1, 2, 100, 64, 0, 8][..],
            &[0, 0, 0, 0, 0],
            &[0, 100, 64, 0, 9, 33, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            &[0, 100, 64, 0, 9, 24, 10, 1],
            &[0, 100, 64],
            &[],
        ] {
            assert_eq!(router(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn messages_for_others_and_of_other_kinds_are_none() {
        let whole = reply(&[53, 1, 2, 255]);
        assert_eq!(Reply::parse(&whole, MAC).unwrap().kind, ReplyKind::Offer);
        assert_eq!(Reply::parse(&whole, MacAddress([2, 0, 0, 0, 0, 2])), None);
        for (place, value) in [(0, 1), (1, 6), (2, 7), (236, 0), (242, 1), (242, 3), (242, 8), (241, 2)] {
            let mut broken = whole.clone();
            broken[place] = value;
            assert_eq!(Reply::parse(&broken, MAC), None, "byte {place} = {value}");
        }
        for end in 0..whole.len() - 1 {
            assert_eq!(Reply::parse(&whole[..end], MAC), None, "{end} bytes");
        }
    }

    /// Another's parser reads what we write.
    #[test]
    fn requests_say_what_the_specification_wants() {
        let sender = Sender { mac: MAC, transaction: 0x0506_0708, seconds: 9 };
        let (address, server) = (ADDRESS, SERVER);
        let none = Ipv4Addr::UNSPECIFIED;
        for (kind, number, wish, named, client_address) in [
            (RequestKind::Discover { wish: None }, DhcpMessageType::Discover, None, None, none),
            (RequestKind::Discover { wish: Some(address) }, DhcpMessageType::Discover, Some(address), None, none),
            (RequestKind::Select { address, server }, DhcpMessageType::Request, Some(address), Some(server), none),
            (RequestKind::Reboot { address }, DhcpMessageType::Request, Some(address), None, none),
            (RequestKind::Extend { address }, DhcpMessageType::Request, None, None, address),
            (RequestKind::Decline { address, server }, DhcpMessageType::Decline, Some(address), Some(server), none),
            (RequestKind::Release { address, server }, DhcpMessageType::Release, None, Some(server), address),
        ] {
            let message = write(sender, kind);
            assert!(message.len() >= 300);
            let packet = DhcpPacket::new_checked(&message[..]).unwrap();
            let repr = DhcpRepr::parse(&packet).unwrap();
            assert_eq!((repr.message_type, repr.transaction_id, repr.secs), (number, 0x0506_0708, 9));
            assert_eq!((repr.requested_ip, repr.server_identifier, repr.client_ip), (wish, named, client_address));
            assert_eq!(repr.client_identifier, Some(EthernetAddress(MAC.0)));
            assert_eq!(repr.client_hardware_address, EthernetAddress(MAC.0));
            assert!(!repr.broadcast, "our sockets hear what is sent to an address that we have not yet");
            let parameters = repr.parameter_request_list.map(<[u8]>::to_vec);
            let asks = !matches!(kind, RequestKind::Decline { .. } | RequestKind::Release { .. });
            assert_eq!(parameters, asks.then(|| PARAMETERS.to_vec()));
        }
    }
}
