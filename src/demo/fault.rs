//! What can befall a line of the demo's, how it is made, and how it is ended.
//!
//! With `ip` and `tc` alone, which the lab needs anyway, and with what the router itself asks of the kernel: packets are lost
//! by a BPF filter of four instructions at the far end, for not every kernel has netem.

use super::lab::topology::far;
use super::lab::{Lab, LabError};

/// How many packets in a hundred a lossy line loses of those that we send.
const LOSS_PERCENT: u64 = 70;

/// What befalls a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// The modem is off: no carrier.
    CarrierLost,
    /// The interface itself is gone, as that of a USB stick that is pulled.
    StickPulled,
    /// Most of what is sent is lost, with carrier and gateway as ever.
    Lossy,
}

impl Fault {
    pub(super) const ALL: [Self; 3] = [Self::CarrierLost, Self::StickPulled, Self::Lossy];

    /// Makes it befall line number `line` (1 and up).
    pub(super) fn make(self, lab: &Lab, line: usize) -> Result<(), LabError> {
        match self {
            Self::CarrierLost => lab.far_end(line).ip(&[format!("link set {} down", far(line))]),
            Self::StickPulled => lab.delete_uplink(line),
            Self::Lossy => lab.far_end(line).tc(&[
                format!("qdisc add dev {} clsact", far(line)),
                format!("filter add dev {} ingress bpf da bytecode '{}'", far(line), losing(LOSS_PERCENT)),
            ]),
        }
    }

    /// Ends it.
    pub(super) fn heal(self, lab: &Lab, line: usize) -> Result<(), LabError> {
        match self {
            Self::CarrierLost => lab.far_end(line).ip(&[format!("link set {} up", far(line))]),
            Self::StickPulled => lab.remake_uplink(line),
            Self::Lossy => lab.far_end(line).tc(&[format!("qdisc del dev {} clsact", far(line))]),
        }
    }

    /// What we do, for people to read: "dsl3: ...".
    pub(super) const fn beginning(self) -> &'static str {
        match self {
            Self::CarrierLost => "its modem loses the carrier",
            Self::StickPulled => "somebody pulls the stick out",
            Self::Lossy => "it loses most of what is sent",
        }
    }

    /// The same of its end.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::CarrierLost => "its modem has a carrier again",
            Self::StickPulled => "the stick is put back",
            Self::Lossy => "it loses nothing any more",
        }
    }
}

/// A classic BPF program, as `tc` reads it, that drops so many packets in a hundred.
fn losing(percent: u64) -> String {
    let threshold = (percent << 32) / 100;
    // Load SKF_AD_RANDOM; from the threshold on over the next one; TC_ACT_SHOT; TC_ACT_UNSPEC.
    format!("4,32 0 0 4294963256,53 1 0 {threshold},6 0 0 2,6 0 0 4294967295")
}
