//! Transport encryption of Discord's voice gateway: seven modes, their nonces, and sealing and opening of datagrams.

mod cipher;
mod mode;
mod nonce;

pub use cipher::{Cipher, OpenError, SealError};
pub use mode::Mode;
pub use nonce::{ClientNonces, RELAY_SPACE, RelayNonces, is_relay_nonce};
