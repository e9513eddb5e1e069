//! Sound that waits for the rest of its packet: one, two or three times 20 ms, as the link asks.

use crate::frame::SEND_SAMPLES;
use crate::share::SHARED_CHANNELS;

/// The longest packet that is sent, 60 ms.
const MOST_FRAMES: usize = 3;

pub struct Packing {
    /// Of all channels; the first `filled` wait.
    samples: Vec<f32>,
    filled: usize,
    wanted: usize,
    frames: usize,
    timestamp: u32,
}

/// The sound of one packet.
pub struct Packed<'a> {
    pub samples: &'a [f32],
    /// Of 20 ms.
    pub frames: usize,
    /// Of its first sample.
    pub timestamp: u32,
}

impl Packing {
    pub fn new() -> Self {
        let samples = vec![0.0; MOST_FRAMES * SEND_SAMPLES * SHARED_CHANNELS];
        Self { samples, filled: 0, wanted: 0, frames: 0, timestamp: 0 }
    }

    /// Nothing waits.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// What waits will not be sent.
    pub fn forget(&mut self) {
        self.filled = 0;
    }

    /// Begins a packet of so many `frames`, each of `samples` of all channels.
    pub fn begin(&mut self, timestamp: u32, frames: usize, samples: usize) {
        (self.timestamp, self.frames, self.wanted) = (timestamp, frames, frames * samples);
        self.filled = 0;
    }

    /// The next 20 ms of the packet.
    pub fn add(&mut self, frame: &[f32]) {
        self.samples[self.filled..self.filled + frame.len()].copy_from_slice(frame);
        self.filled += frame.len();
    }

    /// The packet's sound, once it is whole.
    pub fn take(&mut self) -> Option<Packed<'_>> {
        if self.filled < self.wanted {
            return None;
        }
        self.filled = 0;
        Some(Packed { samples: &self.samples[..self.wanted], frames: self.frames, timestamp: self.timestamp })
    }
}
