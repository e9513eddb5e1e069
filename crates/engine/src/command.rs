//! What other threads ask of the engine thread, which takes it before its next tick.

use std::sync::Arc;

use raccall_e2ee::EpochKeys;
use raccall_media::{Encryption, GateMode, Processing, Share};
use raccall_wire::transport::Mode;

use crate::share::SharedSound;
use crate::tap::TapWriter;

pub enum Command {
    SetMuted(bool),
    SetDeafened(bool),
    SetProcessing(Processing),
    SetGain {
        ssrc: u32,
        gain_db: f32,
    },
    SetGateMode(GateMode),
    /// The key of push-to-talk.
    SetPressed(bool),
    /// Mix a sound with what the microphone hears. `share` comes with the first.
    Play {
        sound: SharedSound,
        share: Option<Box<Share>>,
    },
    Rekey {
        mode: Mode,
        key: [u8; 32],
    },
    SetEncryption(Encryption),
    AddKeys(Arc<EpochKeys>),
    UseKeys(Arc<EpochKeys>),
    SetOwner {
        ssrc: u32,
        user_id: u64,
    },
    OpenTap(TapWriter),
    Close,
}
