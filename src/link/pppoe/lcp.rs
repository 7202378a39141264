//! The options of the link (LCP, RFC 1661 section 6), as RFC 2516 section 7 allows them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use super::event::Stage;
use super::negotiation::{Judgement, Negotiable, Unagreed};
use super::packet::{Options, protocol, put_option};

// RFC 1661 section 6.
const MAXIMUM_RECEIVE_UNIT: u8 = 1;
const AUTHENTICATION_PROTOCOL: u8 = 3;
const MAGIC_NUMBER: u8 = 5;
/// Section 6.1: what a side that says nothing receives.
const DEFAULT_RECEIVE_UNIT: u16 = 1_500;
/// RFC 1994 section 3: MD5 as CHAP's algorithm.
const CHAP_MD5: u8 = 5;

// Ours.
/// A peer that wants shorter packets is asked for longer ones: every host must take 576 bytes (RFC 791 section 3.2).
const LEAST_RECEIVE_UNIT: u16 = 576;
/// Requests in a row with our own magic number, after which the line is a loop.
const LOOPS: u8 = 4;

/// How we prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// By the password (RFC 1334).
    Pap,
    /// By a sum over it (RFC 1994).
    ChapMd5,
}

impl Method {
    fn of(value: &[u8]) -> Option<Self> {
        match *value {
            [0xc0, 0x23] => Some(Self::Pap),
            [0xc2, 0x23, CHAP_MD5] => Some(Self::ChapMd5),
            _ => None,
        }
    }
}

/// Our options, and the peer's.
#[derive(Debug)]
pub(super) struct Lcp {
    random: ChaCha8Rng,
    /// Longest packet that we want to receive; `None`: the peer does not know the option.
    receive_unit: Option<u16>,
    magic: Option<u32>,
    loops: u8,
    /// Longest packet that the peer receives.
    pub(super) peer_receive_unit: u16,
    /// How the peer wants us to prove who we are; `None`: not at all.
    pub(super) method: Option<Method>,
}

impl Lcp {
    /// `receive_unit` is the longest packet that we can receive.
    pub(super) fn new(mut random: ChaCha8Rng, receive_unit: u16) -> Self {
        let magic = Some(draw_magic(&mut random));
        let peer_receive_unit = DEFAULT_RECEIVE_UNIT;
        Self { random, receive_unit: Some(receive_unit), magic, loops: 0, peer_receive_unit, method: None }
    }

    /// Our magic number; 0 where the peer does not know them.
    pub(super) fn magic(&self) -> u32 {
        self.magic.unwrap_or(0)
    }
}

/// Never 0, which stands for none.
fn draw_magic(random: &mut ChaCha8Rng) -> u32 {
    random.next_u32().max(1)
}

impl Negotiable for Lcp {
    const PROTOCOL: u16 = protocol::LCP;
    const STAGE: Stage = Stage::Link;

    fn request(&self) -> Vec<u8> {
        let mut options = Vec::new();
        if let Some(unit) = self.receive_unit {
            put_option(&mut options, MAXIMUM_RECEIVE_UNIT, &unit.to_be_bytes());
        }
        if let Some(magic) = self.magic {
            put_option(&mut options, MAGIC_NUMBER, &magic.to_be_bytes());
        }
        options
    }

    fn handle_nak(&mut self, options: Options<'_>) -> Result<(), Unagreed> {
        for (kind, value) in options {
            match (kind, value) {
                (MAXIMUM_RECEIVE_UNIT, &[high, low]) => {
                    let wish = u16::from_be_bytes([high, low]);
                    self.receive_unit = self.receive_unit.map(|unit| unit.min(wish.max(LEAST_RECEIVE_UNIT)));
                }
                // RFC 1661 section 6.4: one that nobody has chosen yet.
                (MAGIC_NUMBER, _) => self.magic = self.magic.map(|_| draw_magic(&mut self.random)),
                _ => {}
            }
        }
        Ok(())
    }

    fn handle_reject(&mut self, options: Options<'_>) -> Result<(), Unagreed> {
        for (kind, _) in options {
            match kind {
                MAXIMUM_RECEIVE_UNIT => self.receive_unit = None,
                MAGIC_NUMBER => self.magic = None,
                _ => {}
            }
        }
        Ok(())
    }

    fn judge(&mut self, options: Options<'_>) -> Judgement {
        let (mut unit, mut method, mut is_loop) = (DEFAULT_RECEIVE_UNIT, None, false);
        let (mut naks, mut rejects) = (Vec::new(), Vec::new());
        for (kind, value) in options {
            match (kind, value) {
                (MAXIMUM_RECEIVE_UNIT, &[high, low]) => {
                    unit = u16::from_be_bytes([high, low]);
                    if unit < LEAST_RECEIVE_UNIT {
                        put_option(&mut naks, kind, &LEAST_RECEIVE_UNIT.to_be_bytes());
                    }
                }
                (MAGIC_NUMBER, &[a, b, c, d]) => {
                    let theirs = u32::from_be_bytes([a, b, c, d]);
                    if theirs == 0 || Some(theirs) == self.magic {
                        is_loop = theirs != 0;
                        put_option(&mut naks, kind, &draw_magic(&mut self.random).to_be_bytes());
                    }
                }
                (AUTHENTICATION_PROTOCOL, value) => match Method::of(value) {
                    Some(wanted) => method = Some(wanted),
                    // RFC 1661 section 6.2: what we would rather do.
                    None => put_option(&mut naks, kind, &[0xc2, 0x23, CHAP_MD5]),
                },
                // RFC 2516 section 7: no compression of fields, no escaping; the rest nobody needs.
                _ => put_option(&mut rejects, kind, value),
            }
        }
        self.loops = if is_loop { self.loops + 1 } else { 0 };
        if self.loops >= LOOPS {
            return Judgement::LoopedBack;
        }
        if !rejects.is_empty() {
            return Judgement::Reject(rejects);
        }
        if !naks.is_empty() {
            return Judgement::Nak(naks);
        }
        (self.peer_receive_unit, self.method) = (unit, method);
        Judgement::Ack
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    fn lcp() -> Lcp {
        Lcp::new(ChaCha8Rng::from_seed([3; 32]), 1_492)
    }

    fn judge(lcp: &mut Lcp, options: &[u8]) -> Judgement {
        lcp.judge(Options::parse(options).unwrap())
    }

    #[test]
    fn what_we_can_do_is_agreed_to_and_taken_over() {
        let mut lcp = lcp();
        assert_eq!(judge(&mut lcp, &[1, 4, 5, 100, 5, 6, 1, 2, 3, 4, 3, 5, 0xc2, 0x23, 5]), Judgement::Ack);
        assert_eq!((lcp.peer_receive_unit, lcp.method), (1_380, Some(Method::ChapMd5)));
        assert_eq!(judge(&mut lcp, &[3, 4, 0xc0, 0x23]), Judgement::Ack);
        assert_eq!((lcp.peer_receive_unit, lcp.method), (1_500, Some(Method::Pap)));
        assert_eq!(judge(&mut lcp, &[]), Judgement::Ack);
        assert_eq!(lcp.method, None);
    }

    #[test]
    fn what_we_cannot_do_is_turned_down() {
        let mut lcp = lcp();
        // Compression of both fields and a control map are rejected, and only those.
        let rejected = judge(&mut lcp, &[1, 4, 5, 220, 2, 6, 0, 0, 0, 0, 7, 2, 8, 2]);
        assert_eq!(rejected, Judgement::Reject(vec![2, 6, 0, 0, 0, 0, 7, 2, 8, 2]));
        // EAP and MS-CHAP.
        for method in [&[3, 4, 0xc2, 0x27][..], &[3, 5, 0xc2, 0x23, 0x81]] {
            assert_eq!(judge(&mut lcp, method), Judgement::Nak(vec![3, 5, 0xc2, 0x23, 5]));
        }
        assert_eq!(judge(&mut lcp, &[1, 4, 0, 68]), Judgement::Nak(vec![1, 4, 2, 64]));
        assert_eq!(lcp.method, None, "nothing was taken over");
    }

    #[test]
    fn own_magic_number_again_and_again_is_a_loop() {
        let mut lcp = lcp();
        for _ in 1..LOOPS {
            let request = lcp.request();
            let Judgement::Nak(nak) = judge(&mut lcp, &request) else { panic!("should be turned down") };
            lcp.handle_nak(Options::parse(&nak).unwrap()).unwrap();
            assert_ne!(lcp.request(), request, "another number each time");
        }
        let request = lcp.request();
        assert_eq!(judge(&mut lcp, &request), Judgement::LoopedBack);
    }

    #[test]
    fn refused_options_are_asked_for_otherwise_or_no_more() {
        let mut lcp = lcp();
        lcp.handle_nak(Options::parse(&[1, 4, 5, 120]).unwrap()).unwrap();
        assert_eq!(lcp.request()[..4], [1, 4, 5, 120]);
        // Longer than we can receive, shorter than anybody should want.
        lcp.handle_nak(Options::parse(&[1, 4, 9, 0]).unwrap()).unwrap();
        assert_eq!(lcp.request()[..4], [1, 4, 5, 120]);
        lcp.handle_nak(Options::parse(&[1, 4, 0, 9]).unwrap()).unwrap();
        assert_eq!(lcp.request()[..4], [1, 4, 2, 64]);
        lcp.handle_reject(Options::parse(&[1, 4, 2, 64, 5, 6, 0, 0, 0, 0]).unwrap()).unwrap();
        assert_eq!((lcp.request(), lcp.magic()), (vec![], 0));
    }
}
