//! End-to-end encryption of voice: DAVE, version 1 (`discord/dave-protocol`, protocol.md).
//!
//! `Member` is the handshake and belongs to a thread that may take its time. What it exports once per epoch, `EpochKeys`, is all that
//! `Encryptor` and `Decryptor` need, which belong to the voice thread: no clock, no lock, and once warm no memory is taken.

mod decryptor;
mod encryptor;
mod error;
mod frame;
mod keys;
mod member;
mod ratchet;

pub use decryptor::{Allowance, Decryptor, Failure, MAX_GENERATION_GAP};
pub use encryptor::Encryptor;
pub use error::{DaveError, Reason};
pub use frame::{Frame, OVERHEAD_BYTES, SILENCE};
pub use keys::{EpochKeys, SECRET_BYTES, Secret};
pub use member::{Member, PROTOCOL_VERSION};
