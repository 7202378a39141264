//! What the last choices of a line were made by, for people who ask why.
//!
//! A place is found by a flow's key, so a look-up costs nothing, and a later flow at the same place takes it: of the last
//! [`PLACES`] choices two in three are remembered. All memory is taken at the start.

use crate::flow::FlowKey;
use crate::placement::Scores;

/// Choices of one worker that are remembered at most.
const PLACES: usize = 512;

/// The last choices of one worker.
#[derive(Debug)]
pub(super) struct Decisions {
    places: Box<[(Option<FlowKey>, Scores)]>,
}

impl Default for Decisions {
    fn default() -> Self {
        Self { places: vec![(None, Scores::default()); PLACES].into_boxed_slice() }
    }
}

impl Decisions {
    /// Remembers what the line of a flow was chosen by.
    pub(super) fn remember(&mut self, key: &FlowKey, scores: &Scores) {
        let (remembered, place) = &mut self.places[place_of(key)];
        *remembered = Some(*key);
        place.replace_by(scores);
    }

    /// What the line of a flow was chosen by, unless that is forgotten.
    pub(super) fn recall(&self, key: &FlowKey) -> Option<&Scores> {
        let (remembered, scores) = &self.places[place_of(key)];
        (*remembered == Some(*key)).then_some(scores)
    }
}

/// Whoever makes this collide gains nothing.
fn place_of(key: &FlowKey) -> usize {
    let internal = u64::from(u32::from(key.internal.address)) << 16 | u64::from(key.internal.port);
    let remote = u64::from(u32::from(key.remote.address)) << 16 | u64::from(key.remote.port);
    let mixed = (internal ^ remote.rotate_left(24) ^ key.protocol as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{EndpointV4, Protocol};
    use crate::placement::Score;

    #[test]
    fn choice_is_remembered_until_another_takes_its_place() {
        let key = |port| FlowKey {
            protocol: Protocol::Tcp,
            internal: EndpointV4 { address: [192, 168, 10, 20].into(), port },
            remote: EndpointV4 { address: [203, 0, 113, 1].into(), port: 443 },
        };
        let mut scores = Scores::default();
        scores.push(Score::default());
        let mut decisions = Decisions::default();
        decisions.remember(&key(40_000), &scores);
        assert_eq!(decisions.recall(&key(40_000)), Some(&scores));
        assert_eq!(decisions.recall(&key(40_001)), None);
        let rival = (40_001..=u16::MAX).find(|port| place_of(&key(*port)) == place_of(&key(40_000))).unwrap();
        decisions.remember(&key(rival), &Scores::default());
        assert_eq!((decisions.recall(&key(40_000)), decisions.recall(&key(rival))), (None, Some(&Scores::default())));
    }
}
