//! Why a flow has its line.

/// As a record holds it, in one byte. New ones get new numbers: records outlive the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Nobody has noted it.
    #[default]
    Unknown = 0,
    /// There was no other that it could have.
    OnlyLine = 1,
    /// It was expected to be done soonest there.
    Soonest = 2,
    /// It asks for little, and the line had the fewest flows for its weight.
    FewestFlows = 3,
    /// The host's port had a mapping there, which all of its flows use (RFC 4787 REQ-1).
    Mapping = 4,
    /// Its host's earlier flows to the same site have it.
    Sticky = 5,
    /// The line that it had first did not answer.
    Rescued = 6,
    /// The line that it had was lost or drained.
    Moved = 7,
    /// Somebody outside has opened it, by this line.
    Inbound = 8,
}

impl Reason {
    /// Its name, as in `flows --json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::OnlyLine => "only-line",
            Self::Soonest => "soonest",
            Self::FewestFlows => "fewest-flows",
            Self::Mapping => "mapping",
            Self::Sticky => "sticky",
            Self::Rescued => "rescued",
            Self::Moved => "moved",
            Self::Inbound => "inbound",
        }
    }

    /// As a record holds it.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        let all = [
            Self::OnlyLine,
            Self::Soonest,
            Self::FewestFlows,
            Self::Mapping,
            Self::Sticky,
            Self::Rescued,
            Self::Moved,
            Self::Inbound,
        ];
        all.into_iter().find(|reason| *reason as u8 == number).unwrap_or_default()
    }
}
