//! End-to-end encryption of voice: DAVE, version 1 (`discord/dave-protocol`, protocol.md).
//!
//! `Member` is the handshake and belongs to a thread that may take its time. What it exports once per epoch, `EpochKeys`, is all that
//! the voice thread needs.

mod error;
mod keys;
mod member;

pub use error::{DaveError, Reason};
pub use keys::{EpochKeys, SECRET_BYTES, Secret};
pub use member::{Member, PROTOCOL_VERSION};
