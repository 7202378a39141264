//! An interface whose super-packets the kernel is to cut behind a PPPoE header.

use std::os::fd::BorrowedFd;

use tracing::debug;

use super::error::HostError;
use super::interface::Interface;
use super::machine::Host;
use crate::io::Cutting;

/// What a card must not do on its own, for it might look for IPv4 where it does not stand. Without sums the kernel does not
/// let it cut either, so these come first.
const BY_CARD: [&str; 3] = ["tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-tcp-segmentation"];

impl Host {
    /// Lets the kernel cut what is sent on an uplink's interface: `program` (as from `io::cutting_program`) at egress, neither
    /// cutting nor sums by the card. Where that cannot be, it stays [`Cutting::Here`].
    ///
    /// # Errors
    /// As [`Host::prepare_uplink`].
    pub async fn let_kernel_cut(
        &mut self,
        interface: &Interface,
        program: BorrowedFd<'_>,
    ) -> Result<Cutting, HostError> {
        // An older `ingress` qdisc of somebody else's has no egress, and would take the program for one of ingress.
        if !self.steps_mut().has_egress(interface).await? {
            debug!(interface = %interface.name, "the kernel cannot cut here: no clsact");
            return Ok(Cutting::Here);
        }
        self.steps_mut().guard_egress(interface, program).await?;
        for feature in BY_CARD {
            if let Err(error) = self.steps_mut().set_feature(interface, feature, false)? {
                debug!(interface = %interface.name, %feature, %error, "the card insists, so the kernel cannot cut here");
                return Ok(Cutting::Here);
            }
        }
        Ok(Cutting::Kernel)
    }
}
