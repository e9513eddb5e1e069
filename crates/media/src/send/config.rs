//! How a SendChain is to send, and what it says of settings that libopus does not take.

use std::fmt;

use raccall_wire::transport::Mode;

#[derive(Debug, Clone)]
pub struct SendConfig {
    pub ssrc: u32,
    pub mode: Mode,
    pub key: [u8; 32],
    /// The largest used; poor links lower it.
    pub bitrate_bps: i32,
    /// Of the encoder, 0 to 10.
    pub complexity: u8,
    /// The least assumed; poor links raise it.
    pub expected_loss_pct: u8,
    /// Send each frame a second time, coarser, in the packet after it.
    pub lbrr: bool,
    /// Tell in each packet of so much before it, coarser still (DRED): 0 to 1040. Done from 48 kb/s on, and as far as libopus gives it of
    /// these bits: the more, the more loss is expected.
    pub dred_ms: u16,
    /// Send nothing while nobody speaks.
    pub dtx: bool,
    /// Whatever sounds, close to the original, instead of speech that is understood: no LBRR, no DRED, no DTX.
    pub music: bool,
    /// 1, or 2 interleaved.
    pub channels: u8,
    pub first_sequence: u16,
    pub first_timestamp: u32,
}

/// A setting that libopus does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaError(pub raccall_opus::Error);

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the encoder refuses a setting: {}", self.0)
    }
}

impl std::error::Error for MediaError {}

impl From<raccall_opus::Error> for MediaError {
    fn from(error: raccall_opus::Error) -> Self {
        Self(error)
    }
}
