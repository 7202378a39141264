//! BPF programs at an interface's clsact hooks. The one at ingress is the guard: it decides what of the received packets
//! the kernel's own network stack gets to see. Packet sockets stand before it and see everything.
//!
//! The filter has a handle of our own, in the first priority where it does not clash with somebody else's filters. To
//! attach it again replaces the program in one step, so no packet passes between an old guard and a new one.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::tc::{
    TcAttribute, TcBpfFlags, TcFilterBpf, TcFilterBpfOption, TcHandle, TcHeader, TcMessage, TcOption,
};

use super::netlink::Netlink;

// What the kernel says.
/// The kind of qdisc that has both hooks.
pub(super) const CLSACT: &str = "clsact";
const INGRESS: TcHandle = TcHandle { major: 0xffff, minor: TcHandle::MIN_INGRESS };
const EGRESS: TcHandle = TcHandle { major: 0xffff, minor: TcHandle::MIN_EGRESS };
const ETH_P_ALL: u16 = 0x0003;

// What we chose.
/// The handle of our filter: "pota".
const HANDLE: TcHandle = TcHandle { major: 0x706f, minor: 0x7461 };
/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hook {
    /// On what the interface receives.
    Ingress,
    /// On what is sent by it.
    Egress,
}

impl Hook {
    const fn parent(self) -> TcHandle {
        match self {
            Self::Ingress => INGRESS,
            Self::Egress => EGRESS,
        }
    }

    /// As in messages.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// As people see it.
    const fn program_name(self) -> &'static str {
        match self {
            Self::Ingress => "potato-guard",
            Self::Egress => "potato-shortcut",
        }
    }
}

/// A filter at an interface's ingress, or the empty frame of one (then without handle).
#[derive(Clone, Debug)]
pub(super) struct Filter {
    kind: String,
    handle: TcHandle,
    priority: u16,
    protocol: u16,
}

impl Filter {
    fn is_ours(&self) -> bool {
        self.kind == TcFilterBpf::KIND && self.handle == HANDLE
    }
}

/// The kind of qdisc at an interface's ingress, if there is one: `clsact`, or the older `ingress`.
pub(super) async fn ingress_qdisc(netlink: &Netlink, index: u32) -> io::Result<Option<String>> {
    let all = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    Ok(netlink.list(all).await?.into_iter().find_map(|message| match message {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc)
            if qdisc.header.index == index.cast_signed() && qdisc.header.parent == TcHandle::CLSACT =>
        {
            kind(&qdisc)
        }
        _ => None,
    }))
}

/// What the root qdisc of each interface has dropped so far, by the interface's number.
pub(super) async fn queue_drops(netlink: &Netlink) -> io::Result<Vec<(u32, u32)>> {
    let all = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let of = |message: RouteNetlinkMessage| match message {
        RouteNetlinkMessage::NewQueueDiscipline(qdisc) if qdisc.header.parent == TcHandle::ROOT => {
            let dropped = qdisc.attributes.iter().find_map(|attribute| match attribute {
                TcAttribute::Stats(statistics) => Some(statistics.drops),
                _ => None,
            })?;
            Some((qdisc.header.index.cast_unsigned(), dropped))
        }
        _ => None,
    };
    Ok(netlink.list(all).await?.into_iter().filter_map(of).collect())
}

/// Adds the clsact qdisc.
pub(super) async fn add_clsact(netlink: &Netlink, index: u32) -> io::Result<()> {
    let message = RouteNetlinkMessage::NewQueueDiscipline(clsact(index));
    netlink.request(message, NLM_F_CREATE | NLM_F_EXCL).await
}

/// Deletes the clsact qdisc, if no filter is left there.
pub(super) async fn delete_unused_clsact(netlink: &Netlink, index: u32) -> io::Result<()> {
    if ingress_qdisc(netlink, index).await?.as_deref() != Some(CLSACT) {
        return Ok(());
    }
    if !filters(netlink, index, INGRESS).await?.is_empty() || !filters(netlink, index, EGRESS).await?.is_empty() {
        return Ok(());
    }
    netlink.request(RouteNetlinkMessage::DelQueueDiscipline(clsact(index)), 0).await
}

/// The priority at which our filter is, or can be put.
pub(super) async fn priority(netlink: &Netlink, index: u32, hook: Hook) -> io::Result<u16> {
    let filters = filters(netlink, index, hook.parent()).await?;
    if let Some(ours) = filters.iter().find(|filter| filter.is_ours()) {
        return Ok(ours.priority);
    }
    let clashes = |filter: &Filter| filter.kind != TcFilterBpf::KIND || filter.protocol != ETH_P_ALL.to_be();
    let taken = |priority: u16| filters.iter().any(|filter| filter.priority == priority && clashes(filter));
    (1..u16::MAX).find(|priority| !taken(*priority)).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOSPC))
}

/// Puts the program at the interface's hook, in place of the one that we had there.
pub(super) async fn attach(
    netlink: &Netlink,
    index: u32,
    hook: Hook,
    priority: u16,
    program: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut message = ours(index, hook, priority);
    message.attributes.push(TcAttribute::Options(vec![
        TcOption::Bpf(TcFilterBpfOption::ProgFd(program.as_raw_fd().cast_unsigned())),
        TcOption::Bpf(TcFilterBpfOption::ProgName(hook.program_name().to_owned())),
        TcOption::Bpf(TcFilterBpfOption::Flags(TcBpfFlags::DirectAction)),
    ]));
    netlink.request(RouteNetlinkMessage::NewTrafficFilter(message), NLM_F_CREATE | NLM_F_REPLACE).await
}

/// Deletes our filter at the hook, if it is there.
pub(super) async fn detach(netlink: &Netlink, index: u32, hook: Hook, priority: u16) -> io::Result<()> {
    let there = filters(netlink, index, hook.parent()).await?;
    if !there.iter().any(|filter| filter.is_ours() && filter.priority == priority) {
        return Ok(());
    }
    netlink.request(RouteNetlinkMessage::DelTrafficFilter(ours(index, hook, priority)), 0).await
}

async fn filters(netlink: &Netlink, index: u32, parent: TcHandle) -> io::Result<Vec<Filter>> {
    let header = TcHeader { index: index.cast_signed(), parent, ..TcHeader::default() };
    let request = RouteNetlinkMessage::GetTrafficFilter(TcMessage::from_parts(header, Vec::new()));
    let list = netlink.list(request).await?;
    Ok(list.iter().filter_map(Filter::from_message).collect())
}

impl Filter {
    fn from_message(message: &RouteNetlinkMessage) -> Option<Self> {
        let RouteNetlinkMessage::NewTrafficFilter(filter) = message else { return None };
        let TcHandle { major: priority, minor: protocol } = TcHandle::from(filter.header.info);
        Some(Self { kind: kind(filter)?, handle: filter.header.handle, priority, protocol })
    }
}

fn kind(message: &TcMessage) -> Option<String> {
    message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.clone()),
        _ => None,
    })
}

fn clsact(index: u32) -> TcMessage {
    let header = TcHeader {
        index: index.cast_signed(),
        handle: TcHandle { major: 0xffff, minor: 0 },
        parent: TcHandle::CLSACT,
        ..TcHeader::default()
    };
    TcMessage::from_parts(header, vec![TcAttribute::Kind(CLSACT.to_owned())])
}

fn ours(index: u32, hook: Hook, priority: u16) -> TcMessage {
    let header = TcHeader {
        index: index.cast_signed(),
        handle: HANDLE,
        parent: hook.parent(),
        info: TcHandle { major: priority, minor: ETH_P_ALL.to_be() }.into(),
        ..TcHeader::default()
    };
    TcMessage::from_parts(header, vec![TcAttribute::Kind(TcFilterBpf::KIND.to_owned())])
}
