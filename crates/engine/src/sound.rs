//! The sound's end of an engine: where captured frames come from and played frames go. 48 kHz, float32. A microphone is mono; a recording that is
//! spoken, and what is played, may have two channels, interleaved.
//!
//! Two kinds. A device Sound is clocked by a sound card: its two native callbacks and the engine thread meet in two
//! rings, one for each direction. A clocked Sound has no card: the engine's own timer takes 20 ms of a recording and
//! keeps what would have been played.

mod ahead;
mod clocked;
mod device;

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};

use crate::callback::{Slot, SlotsTaken};

pub use self::clocked::ClockedEnd;
use self::clocked::ClockedState;
pub use self::device::{DeviceEnd, DeviceState, RING_SAMPLES};
pub use crate::callback::{DataCallback, DataCallbacks};

pub const SAMPLE_RATE_HZ: usize = 48_000;

/// 20 ms: what the encoder takes.
pub const CAPTURE_FRAME: usize = SAMPLE_RATE_HZ / 50;

/// 10 ms: what the receive chain gives.
pub const PLAYBACK_FRAME: usize = SAMPLE_RATE_HZ / 100;

/// The owner's side.
enum Kind {
    Device { slot: Slot, state: Arc<DeviceState> },
    Clocked(Arc<ClockedState>),
}

/// Where a Sound's end is while no engine has it.
type Home = Arc<Mutex<Option<SoundEnd>>>;

fn home(end: SoundEnd) -> Home {
    Arc::new(Mutex::new(Some(end)))
}

/// The owner's handle. One engine at a time has its end; the next one goes on where it stopped.
pub struct Sound {
    kind: Kind,
    end: Home,
}

impl Sound {
    /// A Sound for a sound card. Fails when `callback::SLOTS` of them are open in this process.
    pub fn device() -> Result<Self, SlotsTaken> {
        let (end, callbacks) = DeviceEnd::new();
        let state = callbacks.state.clone();
        Ok(Self { kind: Kind::Device { slot: Slot::take(callbacks)?, state }, end: home(SoundEnd::Device(end)) })
    }

    /// A Sound without a card: speaks `capture` once, then is silent. Without `capture` it has no microphone.
    pub fn clocked(capture: Option<Vec<f32>>, keep_playback: bool) -> Self {
        Self::clocked_in_channels(capture, 1, keep_playback, 1)
    }

    /// The same with `channels`, 1 or 2, in `capture`, interleaved, and `playback_channels` in what is played.
    pub fn clocked_in_channels(
        capture: Option<Vec<f32>>,
        channels: usize,
        keep_playback: bool,
        playback_channels: usize,
    ) -> Self {
        let end = ClockedEnd::new(capture.unwrap_or_default(), channels, keep_playback, playback_channels);
        Self { kind: Kind::Clocked(end.state()), end: home(SoundEnd::Clocked(end)) }
    }

    /// The engine's end, until it is dropped; None while an engine has it already.
    pub fn lend_end(&self) -> Option<LentEnd> {
        let end = self.end.lock().expect("never poisoned").take()?;
        Some(LentEnd { end: Some(end), home: self.end.clone() })
    }

    /// The native callbacks of a device Sound.
    pub fn callbacks(&self) -> Option<DataCallbacks> {
        match &self.kind {
            Kind::Device { slot, .. } => Some(slot.callbacks()),
            Kind::Clocked(_) => None,
        }
    }

    /// How often a device Sound's callbacks (capture, playback) were called; None for a clocked Sound.
    pub fn callback_counts(&self) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Device { state, .. } => Some(state.callback_counts()),
            Kind::Clocked(_) => None,
        }
    }

    /// Of what is played, interleaved: 1 or 2. Of a device: as its loudspeaker was opened, 1 until it calls.
    pub fn playback_channels(&self) -> usize {
        match &self.kind {
            Kind::Device { state, .. } => state.playback_channels(),
            Kind::Clocked(state) => state.playback_channels,
        }
    }

    /// Takes what was played since the last call; None for a device Sound.
    pub fn read_playback(&self) -> Option<Vec<f32>> {
        self.clocked_state().map(ClockedState::read_playback)
    }

    /// Played samples, of each channel, that nobody read within a minute.
    pub fn playback_dropped(&self) -> u64 {
        self.clocked_state().map_or(0, ClockedState::playback_dropped)
    }

    /// No card clocks it.
    pub fn is_clocked(&self) -> bool {
        self.clocked_state().is_some()
    }

    /// A clocked Sound has spoken all of its capture.
    pub fn capture_done(&self) -> bool {
        self.clocked_state().is_some_and(ClockedState::capture_done)
    }

    fn clocked_state(&self) -> Option<&ClockedState> {
        match &self.kind {
            Kind::Device { .. } => None,
            Kind::Clocked(state) => Some(state),
        }
    }
}

/// The engine's side.
pub enum SoundEnd {
    Device(DeviceEnd),
    Clocked(ClockedEnd),
}

impl SoundEnd {
    /// Of what is captured.
    pub fn channels(&self) -> usize {
        match self {
            SoundEnd::Device(_) => 1,
            SoundEnd::Clocked(clocked) => clocked.channels(),
        }
    }
}

/// A Sound's end in the hands of an engine; goes back to its Sound when dropped.
pub struct LentEnd {
    end: Option<SoundEnd>,
    home: Home,
}

impl Deref for LentEnd {
    type Target = SoundEnd;

    fn deref(&self) -> &SoundEnd {
        self.end.as_ref().expect("present until dropped")
    }
}

impl DerefMut for LentEnd {
    fn deref_mut(&mut self) -> &mut SoundEnd {
        self.end.as_mut().expect("present until dropped")
    }
}

impl Drop for LentEnd {
    fn drop(&mut self) {
        if let Some(SoundEnd::Device(device)) = &self.end {
            device.rest();
        }
        *self.home.lock().expect("never poisoned") = self.end.take();
    }
}

#[cfg(test)]
pub mod tests;
