//! What becomes of a line's flows when the line is lost.
//!
//! A flow has its line's address, so it cannot go on over another. Left alone it would hang until somebody's patience is
//! over; told at once, programs connect again, and get another line. So when a line has stopped carrying and another one
//! takes new flows, the daemon orders [`Worker::fail_over`], page by page, and each flow of the line ends the kindest way:
//!
//! - **TCP, open**: its host gets a reset that it believes (`tell`). The record stays, as `TcpState::Aborted`: a host that did
//!   not hear it is told again by the answer to whatever it sends. It counts as no flow.
//! - **TCP, SYN not answered**: forgotten. The host sends its SYN again within a second, and that opens on another line.
//! - **UDP to a port that is set as movable**: moved to another line in place (`moved`). Such protocols (QUIC, WireGuard) know
//!   their peer by other things than its address. One that is not answered there is put back, or refused.
//! - **UDP else**: its host gets an ICMP port unreachable, which wakes a connected socket everywhere.
//! - **ICMP queries, connections that are over**: forgotten.
//! - **Hairpins** never leave by the line, and stay.
//!
//! A SYN that nobody has answered within a second goes out by another line at its repetition, too (`rescue`), before anybody
//! knows that the line is lost. These are the only ways by which a flow changes its line.
//!
//! It does not judge lines: who answers nowhere is not a line's fault, and says nothing about one.

mod end;
mod moved;
mod rescue;
mod tell;

pub use end::{FailOverPage, FailOverStep};
