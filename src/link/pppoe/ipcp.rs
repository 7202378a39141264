//! The options of the network (IPCP, RFC 1332): our address and the peer's, and name servers (RFC 1877).

use std::net::Ipv4Addr;

use super::event::Stage;
use super::negotiation::{Judgement, Negotiable, Unagreed};
use super::packet::{Options, protocol, put_option};

// RFC 1332 section 3.
const ADDRESS: u8 = 3;
// RFC 1877 section 1.
const PRIMARY_NAME_SERVER: u8 = 129;
const SECONDARY_NAME_SERVER: u8 = 131;
/// RFC 7600 section 5.1.1: stands for a router that has no address, as a peer that tells none.
const NO_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);

/// What the peer has given us so far, and its own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ipcp {
    /// Ours.
    pub(super) address: Ipv4Addr,
    /// The peer's.
    pub(super) gateway: Ipv4Addr,
    /// `None`: the peer does not tell any.
    name_servers: [Option<Ipv4Addr>; 2],
}

impl Ipcp {
    /// Nothing is known.
    pub(super) fn new() -> Self {
        let nobody = Ipv4Addr::UNSPECIFIED;
        Self { address: nobody, gateway: NO_ADDRESS, name_servers: [Some(nobody); 2] }
    }

    /// Who resolves names.
    pub(super) fn name_servers(&self) -> Vec<Ipv4Addr> {
        self.name_servers.into_iter().flatten().filter(|address| !address.is_unspecified()).collect()
    }

    fn name_server(&mut self, kind: u8) -> Option<&mut Option<Ipv4Addr>> {
        match kind {
            PRIMARY_NAME_SERVER => Some(&mut self.name_servers[0]),
            SECONDARY_NAME_SERVER => Some(&mut self.name_servers[1]),
            _ => None,
        }
    }
}

fn address(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

impl Negotiable for Ipcp {
    const PROTOCOL: u16 = protocol::IPCP;
    const STAGE: Stage = Stage::Network;

    fn request(&self) -> Vec<u8> {
        let mut options = Vec::new();
        put_option(&mut options, ADDRESS, &self.address.octets());
        for (kind, server) in [PRIMARY_NAME_SERVER, SECONDARY_NAME_SERVER].into_iter().zip(self.name_servers) {
            if let Some(server) = server {
                put_option(&mut options, kind, &server.octets());
            }
        }
        options
    }

    fn handle_nak(&mut self, options: Options<'_>) -> Result<(), Unagreed> {
        for (kind, value) in options {
            let Some(given) = address(value) else { continue };
            if kind == ADDRESS {
                self.address = given;
            } else if let Some(server) = self.name_server(kind) {
                *server = Some(given);
            }
        }
        Ok(())
    }

    fn handle_reject(&mut self, options: Options<'_>) -> Result<(), Unagreed> {
        for (kind, _) in options {
            if kind == ADDRESS {
                return Err(Unagreed);
            }
            if let Some(server) = self.name_server(kind) {
                *server = None;
            }
        }
        Ok(())
    }

    fn judge(&mut self, options: Options<'_>) -> Judgement {
        let (mut gateway, mut rejects) = (NO_ADDRESS, Vec::new());
        for (kind, value) in options {
            match (kind, address(value)) {
                (ADDRESS, Some(theirs)) if !theirs.is_unspecified() => gateway = theirs,
                // Addresses that we should give, compression of headers, and whatever else.
                _ => put_option(&mut rejects, kind, value),
            }
        }
        if !rejects.is_empty() {
            return Judgement::Reject(rejects);
        }
        self.gateway = gateway;
        Judgement::Ack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(bytes: &[u8]) -> Options<'_> {
        Options::parse(bytes).unwrap()
    }

    #[test]
    fn addresses_are_asked_for_and_taken_as_given() {
        let mut ipcp = Ipcp::new();
        assert_eq!(ipcp.request(), [3, 6, 0, 0, 0, 0, 129, 6, 0, 0, 0, 0, 131, 6, 0, 0, 0, 0]);
        ipcp.handle_reject(options(&[131, 6, 0, 0, 0, 0])).unwrap();
        ipcp.handle_nak(options(&[3, 6, 100, 64, 7, 9, 129, 6, 192, 0, 2, 53])).unwrap();
        assert_eq!(ipcp.request(), [3, 6, 100, 64, 7, 9, 129, 6, 192, 0, 2, 53]);
        assert_eq!(ipcp.name_servers(), [Ipv4Addr::new(192, 0, 2, 53)]);
        assert!(ipcp.handle_reject(options(&[3, 6, 100, 64, 7, 9])).is_err());
    }

    #[test]
    fn peer_tells_its_address_and_gets_nothing_else() {
        let mut ipcp = Ipcp::new();
        // Van Jacobson's compression, and a peer that wants an address from us.
        let compression = [2, 6, 0, 0x2d, 15, 1];
        assert_eq!(ipcp.judge(options(&compression)), Judgement::Reject(compression.to_vec()));
        assert_eq!(ipcp.judge(options(&[3, 6, 0, 0, 0, 0])), Judgement::Reject(vec![3, 6, 0, 0, 0, 0]));
        assert_eq!(ipcp.judge(options(&[3, 6, 100, 64, 0, 1])), Judgement::Ack);
        assert_eq!(ipcp.gateway, Ipv4Addr::new(100, 64, 0, 1));
        assert_eq!((ipcp.judge(options(&[])), ipcp.gateway), (Judgement::Ack, NO_ADDRESS));
    }
}
