//! The relay: what one member sends is opened with the sender's key and sealed anew for each listener; nothing else changes.
//!
//! ```text
//! commands ─▶ Table ◀─ forward(now, datagram, from, table, outbox) ─▶ Outbox      pure: table, session, uplink, forward, deliver, loudest, splice, outbox
//!               ▲                        ▲                              │
//!         Relay (handle) ────────▶ each thread: recv 64 · forward · send 64         relay, worker, socket, portable, mmsg
//! ```
//! A room lives in one thread, and the kernel hands its datagrams to it (`steer`).
//! Policy never reaches the packet path: the control plane turns rooms into routes, and a packet only looks its route up.

mod command;
mod counters;
mod deliver;
mod forward;
mod hash;
mod hearing;
mod keys;
mod latency;
mod limits;
#[cfg(target_os = "linux")]
mod local;
mod loudest;
#[cfg(target_os = "linux")]
mod mmsg;
mod outbox;
mod panics;
mod portable;
mod queueing;
mod relay;
mod session;
mod socket;
mod splice;
#[cfg(target_os = "linux")]
mod steer;
mod table;
mod uplink;
mod watch;
mod worker;

pub use command::{Command, Endpoint, RoomId, SessionId};
pub use counters::{Counters, Reason};
pub use forward::{MAX_DATAGRAM_BYTES, forward};
pub use latency::{BOUNDS_NS, Latency};
pub use outbox::Outbox;
pub use relay::{MAX_THREADS, Options, Relay, Stopped};
pub use session::SessionStats;
pub use table::{SPEAKERS_AT_ONCE, Share, Table};
pub use watch::alarm;
