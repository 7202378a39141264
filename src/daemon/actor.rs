//! Who wants something of the router: what stands behind "by" in the event log.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Who asks or orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A process of this machine, as the kernel says (SO_PEERCRED): the one that has opened the connection.
    Process {
        /// `None`: the kernel did not say.
        uid: Option<u32>,
        /// `None`: the kernel did not say, or it is in a namespace that we do not see.
        pid: Option<i32>,
    },
    /// Somebody who has signed in.
    User {
        /// The name.
        name: Arc<str>,
        /// From where.
        from: IpAddr,
    },
    /// Somebody who has asked by a channel of messages.
    Correspondent {
        /// As the channel names it.
        name: Arc<str>,
        /// The channel.
        channel: Arc<str>,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { uid, pid } => {
                match uid {
                    None => f.write_str("somebody unknown")?,
                    Some(uid) => write!(f, "uid {uid}")?,
                }
                pid.map_or(Ok(()), |pid| write!(f, ", pid {pid}"))
            }
            Self::User { name, .. } => f.write_str(name),
            Self::Correspondent { name, channel } => write!(f, "{name} ({channel})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actor_is_named_as_people_know_it() {
        let process = |uid, pid| Actor::Process { uid, pid }.to_string();
        assert_eq!(process(Some(0), Some(7)), "uid 0, pid 7");
        assert_eq!(process(None, None), "somebody unknown");
        let user = Actor::User { name: "anna".into(), from: IpAddr::from([192, 168, 10, 20]) };
        assert_eq!(user.to_string(), "anna");
        let bot = Actor::Correspondent { name: "bert@example.net".into(), channel: "chat".into() };
        assert_eq!(bot.to_string(), "bert@example.net (chat)");
    }
}
