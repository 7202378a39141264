//! Questions to and requests of the kernel by rtnetlink, with errors that say what was tried.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use futures_util::{Stream, StreamExt, TryStreamExt};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rtnetlink::packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use rtnetlink::packet_route::neighbour::NeighbourMessage;
use rtnetlink::packet_route::route::RouteMessage;
use rtnetlink::packet_route::rule::RuleMessage;
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, IpVersion, LinkUnspec, RouteMessageBuilder};

use super::error::HostError;
use super::interface::Interface;

/// A connection to the kernel, to the network namespace of the thread that opened it.
#[derive(Clone, Debug)]
pub(super) struct Netlink {
    handle: Handle,
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// On which.
    pub(super) interface_index: u32,
    /// Address and network.
    pub(super) net: IpNet,
    /// How it was set.
    pub(super) flags: AddressFlags,
}

/// What a change of a link sets.
pub(super) enum LinkChange {
    Up,
    Down,
    Mtu(u32),
    QueueLength(u32),
}

impl Netlink {
    /// Opens the connection; its driver runs on the current tokio runtime until the last clone is dropped.
    pub(super) fn open() -> Result<Self, HostError> {
        let (connection, handle, _no_multicast) =
            rtnetlink::new_connection().map_err(|source| HostError::from_kernel("open a netlink socket", source))?;
        tokio::spawn(connection);
        Ok(Self { handle })
    }

    /// Every interface.
    pub(super) async fn interfaces(&self) -> Result<Vec<Interface>, HostError> {
        let links: Vec<_> = collect("list interfaces", self.handle.link().get().execute()).await?;
        Ok(links.iter().filter_map(Interface::from_message).collect())
    }

    /// Every IPv4 and IPv6 address.
    pub(super) async fn addresses(&self) -> Result<Vec<Address>, HostError> {
        let messages: Vec<_> = collect("list addresses", self.handle.address().get().execute()).await?;
        Ok(messages.iter().filter_map(Address::from_message).collect())
    }

    /// Every IPv4 route of every table.
    pub(super) async fn routes(&self) -> Result<Vec<RouteMessage>, HostError> {
        let all = RouteMessageBuilder::<Ipv4Addr>::new().build();
        collect("list routes", self.handle.route().get(all).execute()).await
    }

    /// Every IPv4 neighbour of every interface.
    pub(super) async fn neighbors(&self) -> Result<Vec<NeighbourMessage>, HostError> {
        let request = self.handle.neighbours().get().set_address_family(AddressFamily::Inet);
        collect("list neighbours", request.execute()).await
    }

    /// Every IPv4 rule.
    pub(super) async fn rules(&self) -> Result<Vec<RuleMessage>, HostError> {
        collect("list rules", self.handle.rule().get(IpVersion::V4).execute()).await
    }

    /// Changes a link.
    pub(super) async fn change_link(&self, interface: &Interface, change: LinkChange) -> Result<(), HostError> {
        let builder = LinkUnspec::new_with_index(interface.index);
        let (builder, what) = match change {
            LinkChange::Up => (builder.up(), "set up".to_owned()),
            LinkChange::Down => (builder.down(), "set down".to_owned()),
            LinkChange::Mtu(mtu) => (builder.mtu(mtu), format!("set the MTU to {mtu}")),
            LinkChange::QueueLength(length) => {
                (builder.txqueuelen(length), format!("set the transmit queue length to {length}"))
            }
        };
        let result = self.handle.link().change(builder.build()).execute().await;
        result.map_err(|error| match refusal(error) {
            gone if gone.raw_os_error() == Some(libc::ENODEV) => {
                HostError::NoInterface { name: interface.name.clone() }
            }
            source => HostError::from_kernel(format!("{}: {what}", interface.name), source),
        })
    }

    /// Puts an address on an interface that is good on this link only and makes no route.
    pub(super) async fn add_link_address(&self, index: u32, net: Ipv4Net) -> io::Result<()> {
        let mut request = self.handle.address().add(index, net.addr().into(), net.prefix_len());
        request.message_mut().header.scope = AddressScope::Link;
        request.message_mut().attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
        accept(request.execute().await.map_err(refusal), libc::EEXIST)
    }

    /// Takes an address off an interface, if it is there.
    pub(super) async fn delete_address(&self, index: u32, net: Ipv4Net) -> io::Result<()> {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = net.prefix_len();
        message.header.index = index;
        message.attributes.push(AddressAttribute::Local(net.addr().into()));
        accept(self.request(RouteNetlinkMessage::DelAddress(message), 0).await, libc::EADDRNOTAVAIL)
    }

    /// Puts an IPv6 address on an interface, as it was set before.
    pub(super) async fn add_ipv6_address(&self, index: u32, net: Ipv6Net, flags: u32) -> io::Result<()> {
        // The others tell of a state, which the kernel finds by itself.
        let settable = AddressFlags::Nodad
            | AddressFlags::Homeaddress
            | AddressFlags::Managetempaddr
            | AddressFlags::Noprefixroute
            | AddressFlags::Mcautojoin;
        let mut request = self.handle.address().add(index, net.addr().into(), net.prefix_len());
        let flags = AddressFlags::from_bits_retain(flags) & settable;
        request.message_mut().attributes.push(AddressAttribute::Flags(flags));
        accept(request.execute().await.map_err(refusal), libc::EEXIST)
    }

    /// Sends a request that has no answer but yes or no.
    pub(super) async fn request(&self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut answers = self.handle.clone().request(request).map_err(refusal)?;
        while let Some(answer) = answers.next().await {
            if let NetlinkPayload::Error(error) = answer.payload {
                return error.code.map_or(Ok(()), |_| Err(error.to_io()));
            }
        }
        Ok(())
    }

    /// Sends a request for a list.
    pub(super) async fn list(&self, message: RouteNetlinkMessage) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut request = NetlinkMessage::from(message);
        request.header.flags = NLM_F_REQUEST | rtnetlink::packet_core::NLM_F_DUMP;
        let mut answers = self.handle.clone().request(request).map_err(refusal)?;
        let mut list = Vec::new();
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(message) => list.push(message),
                NetlinkPayload::Error(error) if error.code.is_some() => return Err(error.to_io()),
                _ => {}
            }
        }
        Ok(list)
    }
}

impl Address {
    fn from_message(message: &AddressMessage) -> Option<Self> {
        // IFA_LOCAL is our own end; IFA_ADDRESS is the peer's where there is one.
        let mut local = None;
        let mut address = None;
        let mut flags = None;
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(ip) => local = Some(*ip),
                AddressAttribute::Address(ip) => address = Some(*ip),
                AddressAttribute::Flags(bits) => flags = Some(*bits),
                _ => {}
            }
        }
        let ip: IpAddr = local.or(address)?;
        let net = IpNet::new(ip, message.header.prefix_len).ok()?;
        let flags = flags.unwrap_or_else(|| AddressFlags::from_bits_retain(message.header.flags.bits().into()));
        Some(Self { interface_index: message.header.index, net, flags })
    }

    /// Whether another address of the same network came first.
    pub(super) fn is_secondary(&self) -> bool {
        self.flags.contains(AddressFlags::Secondary)
    }

    /// Whether it was set for good, not for a time.
    pub(super) fn is_permanent(&self) -> bool {
        self.flags.contains(AddressFlags::Permanent)
    }

    /// As an IPv4 address and network, if it is one.
    pub(super) fn ipv4(&self) -> Option<Ipv4Net> {
        match self.net {
            IpNet::V4(net) => Some(net),
            IpNet::V6(_) => None,
        }
    }
}

/// Makes the answer that what is wanted is so already a yes.
pub(super) fn accept(result: io::Result<()>, already: i32) -> io::Result<()> {
    match result {
        Err(error) if error.raw_os_error() == Some(already) => Ok(()),
        other => other,
    }
}

/// The kernel's answer as an error of the operating system.
pub(super) fn refusal(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(error) => error.to_io(),
        other => io::Error::other(other),
    }
}

async fn collect<T>(what: &str, stream: impl Stream<Item = Result<T, rtnetlink::Error>>) -> Result<Vec<T>, HostError> {
    stream.try_collect().await.map_err(|error| HostError::from_kernel(what, refusal(error)))
}
