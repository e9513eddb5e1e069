//! One native thread that owns a client's UDP socket and chains; the sound device's native callback.
//!
//! The adapter of the voice path: here clocks are read, sockets opened and threads started, and nowhere else on a
//! client.

mod beat;
mod bell;
mod call;
mod callback;
mod clock;
mod command;
mod discovery;
mod echo;
mod engine;
mod link;
mod listening;
mod pace;
mod path;
mod reports;
pub mod share;
mod socket;
pub mod sound;
mod speaking;
mod stats;
pub mod tap;
mod timer;

pub use command::Command;
pub use engine::{Engine, EngineError, Session};
pub use path::Route;
pub use stats::Stats;
