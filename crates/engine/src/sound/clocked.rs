//! A Sound without a card: a recording is spoken, 20 ms at a time, and what would have been played is kept.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};

use super::{PLAYBACK_FRAME, SAMPLE_RATE_HZ};

/// The last 60 s played are kept, so many samples of each channel; older ones are dropped and counted.
pub(super) const KEPT_SAMPLES: usize = 60 * SAMPLE_RATE_HZ;

/// What a clocked Sound's owner may read while the engine runs.
pub struct ClockedState {
    pub playback_channels: usize,
    capture_done: AtomicBool,
    played: Mutex<Played>,
}

#[derive(Default)]
struct Played {
    samples: VecDeque<f32>,
    /// Of each channel.
    dropped: u64,
}

impl ClockedState {
    pub fn capture_done(&self) -> bool {
        self.capture_done.load(Relaxed)
    }

    /// Takes what was played since the last call.
    pub fn read_playback(&self) -> Vec<f32> {
        std::mem::take(&mut self.played().samples).into()
    }

    /// Of each channel, what nobody read within a minute.
    pub fn playback_dropped(&self) -> u64 {
        self.played().dropped
    }

    fn played(&self) -> MutexGuard<'_, Played> {
        self.played.lock().expect("never poisoned")
    }
}

/// Owned by the engine thread.
pub struct ClockedEnd {
    capture: Vec<f32>,
    channels: usize,
    position: usize,
    keep_playback: bool,
    state: Arc<ClockedState>,
}

impl ClockedEnd {
    /// `capture`: interleaved, of `channels`.
    pub(super) fn new(capture: Vec<f32>, channels: usize, keep_playback: bool, playback_channels: usize) -> Self {
        let capture_done = AtomicBool::new(capture.is_empty());
        let state = Arc::new(ClockedState { playback_channels, capture_done, played: Mutex::default() });
        Self { capture, channels, position: 0, keep_playback, state }
    }

    /// The owner's end.
    pub(super) fn state(&self) -> Arc<ClockedState> {
        self.state.clone()
    }

    /// Of the recording.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Of what is played: 1 or 2.
    pub fn playback_channels(&self) -> usize {
        self.state.playback_channels
    }

    /// Fills `frame` with the next 20 ms of the recording, `CAPTURE_FRAME` times its channels (the last one padded with zeros); false when all was
    /// spoken.
    pub fn capture(&mut self, frame: &mut [f32]) -> bool {
        let rest = &self.capture[self.position..];
        if rest.is_empty() {
            self.state.capture_done.store(true, Relaxed);
            return false;
        }
        let taken = rest.len().min(frame.len());
        frame[..taken].copy_from_slice(&rest[..taken]);
        frame[taken..].fill(0.0);
        self.position += taken;
        true
    }

    /// Keeps 10 ms that were played, of each channel.
    pub fn play(&mut self, frame: &[f32]) {
        if !self.keep_playback {
            return;
        }
        let mut played = self.state.played();
        if played.samples.len() + frame.len() > KEPT_SAMPLES * self.playback_channels() {
            played.samples.drain(..frame.len());
            played.dropped += PLAYBACK_FRAME as u64;
        }
        played.samples.extend(frame);
    }
}
