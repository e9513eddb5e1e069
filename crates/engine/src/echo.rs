//! From the loudspeaker's callback to the echo canceller: what was handed to the card, in the microphone's time.

use std::sync::atomic::Ordering::Relaxed;

use raccall_media::{Drift, EchoReference, Samples};
use raccall_wire::Nanos;
use rtrb::Consumer;

use crate::beat::{Beat, BeatReader};
use crate::sound::DeviceState;

/// A card that was silent for so long was opened anew, perhaps another one: the watchdog (`raccall.audio.devices`) waits 500 ms before it
/// does, a busy machine keeps a card's thread waiting for less.
const REOPENED: Nanos = 400_000_000;

pub struct EchoPath {
    sounding: Consumer<f32>,
    reference: EchoReference,
    drift: Drift,
    played: Card,
    captured: Card,
}

impl EchoPath {
    pub fn new(sounding: Consumer<f32>) -> Self {
        Self {
            sounding,
            reference: EchoReference::default(),
            drift: Drift::default(),
            played: Card::default(),
            captured: Card::default(),
        }
    }

    /// Takes what was handed to the loudspeaker since the last look. True when a card was opened anew.
    pub fn look(&mut self, state: &DeviceState, now: Nanos) -> bool {
        let waiting = self.sounding.read_chunk(self.sounding.slots()).expect("as many as there are");
        let (first, second) = waiting.as_slices();
        self.reference.push(first);
        self.reference.push(second);
        waiting.commit_all();
        let played = self.played.look(&state.played, now);
        let captured = self.captured.look(&state.captured, now);
        if self.played.reopened() | self.captured.reopened() {
            self.drift = Drift::default();
            self.reference.reset();
            self.reference.set_drift_ppm(0.0);
            return true;
        }
        self.drift.take(played, captured);
        self.reference.set_drift_ppm(self.drift.ppm());
        self.reference.set_cushion(state.playback_period.load(Relaxed));
        false
    }

    pub fn pull(&mut self, frame: &mut Samples, to_come: usize) {
        self.reference.pull(frame, to_come);
    }

    pub fn skip(&mut self, samples: usize) {
        self.reference.skip(samples);
    }

    pub fn drift_ppm(&self) -> f64 {
        self.drift.ppm()
    }

    pub fn jumps(&self) -> u64 {
        self.reference.jumps()
    }
}

/// One card as its callbacks show it.
#[derive(Default)]
struct Card {
    reader: BeatReader,
    newest: Option<Nanos>,
    gone: bool,
    reopened: bool,
}

impl Card {
    fn look(&mut self, beat: &Beat, now: Nanos) -> (u64, Nanos) {
        let (samples, at) = self.reader.read(beat);
        let called = self.newest != Some(at);
        self.reopened |= called && self.gone;
        self.gone = !called && now.saturating_sub(at) > REOPENED;
        self.newest = Some(at);
        (samples, at)
    }

    /// Told once.
    fn reopened(&mut self) -> bool {
        std::mem::take(&mut self.reopened)
    }
}
