//! A line's health: it is tested before it carries users, watched while it does, and given up when it stops carrying them.
//!
//! Theory of operation. [`Health`] is a state machine without sockets or clock. While its line has an address and a
//! gateway it asks *targets* in rounds, all on one beat: pings, TCP connections, DNS queries, HTTP requests, as IP packets
//! from the line's own address by the ports that no host has (`prober`, `query`). A round is *good* when enough of the far
//! targets have answered; the gateway alone proves nothing, as long as there are others. Rounds make the verdict
//! (`verdict`): up, or lame. Every answer counts that comes before the round is judged, be it one to an earlier question.
//!
//! What nobody has said can be reached (the targets that are asked when no one names any) counts from its first answer on,
//! for as long as the line keeps its address. So a network in which those hosts cannot be reached has its lines up by
//! their gateways, and the first answer makes a black hole behind a gateway noticed from then on.
//!
//! Users' own traffic has its say (`traffic`): silent targets make no line lame on which connections are answered, and
//! answering ones keep none up on which they are not, while they are on others, or whose data is sent again in vain
//! (`repeated`). A line that is full by our own packets
//! loses questions in its queues: those are not counted.
//!
//! `loss` and `delay` keep the numbers for people and for the verdict. `target` is what an operator can say.
//!
//! What it does not do: send anything itself, know other lines but by one word ([`Peers`]), or move a flow.

mod delay;
mod device;
mod loss;
mod prober;
mod query;
mod repeated;
mod report;
mod session;
mod target;
#[cfg(test)]
mod tests;
mod traffic;
mod verdict;
mod watch;

pub use delay::{Quantiles, ROUND_TRIP_BOUNDS, RoundTrips};
pub use loss::{SPANS, Trend};
pub use query::{dns_answer, is_http_status};
pub use repeated::{InVain, RepeatedStatus};
pub use report::{HealthStatus, TargetStatus};
pub use target::{DNS_PORT, HTTP_PORT, MOST_TARGETS, Probe, Settings, Target, Vicinity, Wanted, Weight};
pub use traffic::{Capacity, Peers, Segments, Traffic};
pub use verdict::{HealthCause, Silence, Standing};
pub use watch::{Health, HealthEvent};
