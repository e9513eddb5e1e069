//! One native thread that owns a client's UDP socket and chains; the sound device's native callback.
//!
//! The adapter of the voice path: here clocks are read, sockets opened and threads started, and nowhere else on a
//! client.

mod beat;
mod bell;
mod call;
mod callback;
mod clock;
mod discovery;
mod echo;
mod engine;
mod link;
mod pace;
mod path;
pub mod share;
mod socket;
pub mod sound;
pub mod tap;

pub use call::{Command, Stats};
pub use engine::{Engine, EngineError, Session};
pub use path::Route;
