//! The relay: what one member sends is opened with the sender's key and sealed anew for each listener; nothing else changes.
//!
//! ```text
//! commands ─▶ Table ◀─ forward(now, datagram, from, table, outbox) ─▶ Outbox      pure: table, session, uplink, forward, outbox
//!               ▲                        ▲                              │
//!         Relay (handle) ────────▶ one thread: recv 64 · forward · send 64          relay, socket, portable, mmsg
//! ```
//! Policy never reaches the packet path: the control plane turns rooms into routes, and a packet only looks its route up.

mod command;
mod counters;
mod forward;
mod limits;
#[cfg(target_os = "linux")]
mod mmsg;
mod outbox;
mod portable;
mod relay;
mod session;
mod socket;
mod table;
mod uplink;

pub use command::{Command, Endpoint, SessionId};
pub use counters::{Counters, Reason};
pub use forward::{MAX_DATAGRAM_BYTES, forward};
pub use outbox::Outbox;
pub use relay::{Options, Relay, Stopped};
pub use session::SessionStats;
pub use table::Table;
