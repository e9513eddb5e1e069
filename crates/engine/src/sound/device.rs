//! A sound card's Sound, seen from the engine: rings to and from the card's callbacks (`callback.rs`), and how far ahead of it they are kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};

use raccall_media::Samples;
use raccall_wire::Nanos;
use rtrb::{Consumer, Producer, RingBuffer};

use super::ahead::{Ahead, Look};
use super::{CAPTURE_FRAME, PLAYBACK_FRAME, SAMPLE_RATE_HZ};
use crate::beat::Beat;
use crate::bell::Bell;
use crate::callback::Callbacks;
use crate::echo::EchoPath;
use crate::pace::{FRAME_NANOS, Pace};
use crate::stats::Stats;

/// 500 ms, each direction: more than any device asks for at once. What does not fit into the capture ring is dropped
/// and counted.
pub const RING_SAMPLES: usize = SAMPLE_RATE_HZ / 2;

/// Captured sound older than 60 ms (and one device period) is dropped: better a hole than a voice that lags for the
/// rest of the call.
pub(super) const MAX_BACKLOG: usize = SAMPLE_RATE_HZ * 60 / 1000;

/// What the callbacks tell the engine thread.
#[derive(Default)]
pub struct DeviceState {
    /// Calls so far: a device that was unplugged stops calling, and nothing else tells.
    pub capture_callbacks: AtomicU64,
    pub playback_callbacks: AtomicU64,
    /// Playback callbacks that found too few samples while a call was on.
    pub playback_gaps: AtomicU64,
    /// Capture callbacks whose samples did not fit into the ring.
    pub capture_overruns: AtomicU64,
    /// The largest period asked for, in samples.
    pub playback_period: AtomicUsize,
    pub capture_period: AtomicUsize,
    /// The fewest samples that a playback callback has left in the ring since the engine asked last.
    pub least_left: AtomicUsize,
    /// What the loudspeaker was opened with; 0 until it calls.
    pub playback_channels: AtomicUsize,
    /// An engine fills the playback ring.
    pub playing: AtomicBool,
    /// Rung for the engine: 20 ms were captured, or some of the playback ring was played.
    pub bell: Bell,
    /// The two cards' clocks.
    pub played: Beat,
    pub captured: Beat,
}

impl DeviceState {
    /// Capture, playback.
    pub fn callback_counts(&self) -> (u64, u64) {
        (self.capture_callbacks.load(Relaxed), self.playback_callbacks.load(Relaxed))
    }

    /// 1 until the loudspeaker calls.
    pub fn playback_channels(&self) -> usize {
        self.playback_channels.load(Relaxed).max(1)
    }
}

/// Owned by the engine thread.
pub struct DeviceEnd {
    capture: Consumer<f32>,
    playback: Producer<f32>,
    echo: Box<EchoPath>,
    state: Arc<DeviceState>,
    pace: Pace,
    pub(super) ahead: Ahead,
    overruns: u64,
}

impl DeviceEnd {
    /// The engine's end and the card's, which meet in three rings.
    pub(super) fn new() -> (Self, Callbacks) {
        let (capture_in, capture_out) = RingBuffer::new(RING_SAMPLES);
        let (playback_in, playback_out) = RingBuffer::new(2 * RING_SAMPLES);
        let (sounding_in, sounding_out) = RingBuffer::new(RING_SAMPLES);
        let state = Arc::new(DeviceState::default());
        let end = Self {
            capture: capture_out,
            playback: playback_in,
            echo: Box::new(EchoPath::new(sounding_out)),
            state: state.clone(),
            pace: Pace::default(),
            ahead: Ahead::default(),
            overruns: 0,
        };
        (end, Callbacks { capture: capture_in, playback: playback_out, sounding: sounding_in, state })
    }

    /// Fills `frame` with the next 20 ms of capture; false when the card has not given that much yet.
    pub fn capture(&mut self, frame: &mut [f32; CAPTURE_FRAME]) -> bool {
        let limit = MAX_BACKLOG + self.state.capture_period.load(Relaxed);
        let waiting = self.capture.slots();
        if waiting > limit {
            let oldest = self.capture.read_chunk(waiting - limit).expect("fewer than are waiting");
            oldest.commit_all();
            self.echo.skip(waiting - limit);
            self.overruns += 1;
        }
        self.capture.pop_entire_slice(frame).is_ok()
    }

    /// Looks at both cards, before `capture`. True when one was opened anew: nothing learnt about the echo holds any more.
    pub fn look(&mut self, now: Nanos) -> bool {
        self.echo.look(&self.state, now)
    }

    /// Gives what sounded during the next 10 ms of the frame that `capture` gave last; `to_come`: of that frame, behind them.
    pub fn far_end(&mut self, frame: &mut Samples, to_come: usize) {
        self.echo.pull(frame, to_come + self.capture.slots());
    }

    /// How much faster the loudspeaker's clock runs than the microphone's, and how often they lost each other.
    pub fn echo_path(&self) -> (f64, u64) {
        (self.echo.drift_ppm(), self.echo.jumps())
    }

    /// The calling thread is the one to be woken when a card has something for it.
    pub fn answer(&self) {
        self.state.bell.answer();
    }

    /// Keeps one device period and a frame or more ahead of the playback callback; `pull` fills the 10 ms that were due at its time, of one
    /// channel or, for a card that has two, of both.
    pub fn play(&mut self, now: Nanos, mut pull: impl FnMut(Nanos, &mut [f32])) {
        self.adapt();
        let ahead = self.state.playback_period.load(Relaxed) + PLAYBACK_FRAME * self.ahead.frames();
        let waiting = RING_SAMPLES - self.playback.slots() / 2;
        let missing = ahead.min(RING_SAMPLES - PLAYBACK_FRAME).saturating_sub(waiting).div_ceil(PLAYBACK_FRAME);
        if missing > 0 {
            let mut due = self.pace.due(missing, now);
            let is_mono = self.state.playback_channels() == 1;
            let mut frame = [0.0; PLAYBACK_FRAME];
            let mut pairs = [[0.0; 2]; PLAYBACK_FRAME];
            for _ in 0..missing {
                if is_mono {
                    pull(due, &mut frame);
                    pairs = frame.map(|sample| [sample, sample]);
                } else {
                    pull(due, pairs.as_flattened_mut());
                }
                self.playback.push_entire_slice(pairs.as_flattened()).expect("the ring has room for a frame");
                due += FRAME_NANOS;
            }
        }
        self.ahead.count(missing);
        if !self.state.playing.swap(true, Relaxed) {
            self.state.least_left.store(usize::MAX, Relaxed);
        }
    }

    fn adapt(&mut self) {
        match self.ahead.look(self.playback_gaps(), self.state.least_left.load(Relaxed)) {
            Look::Plain => return,
            Look::Gap => self.pace.reset(),
            Look::Calm => {}
        }
        self.state.least_left.store(usize::MAX, Relaxed);
    }

    pub fn playback_gaps(&self) -> u64 {
        self.state.playback_gaps.load(Relaxed)
    }

    pub fn capture_overruns(&self) -> u64 {
        self.overruns + self.state.capture_overruns.load(Relaxed)
    }

    pub fn tell(&self, stats: &mut Stats) {
        (stats.drift_ppm, stats.echo_jumps) = self.echo_path();
        (stats.playback_gaps, stats.capture_overruns) = (self.playback_gaps(), self.capture_overruns());
    }

    /// No engine fills the playback ring any more: an empty one is no gap.
    pub(super) fn rest(&self) {
        self.state.bell.leave();
        self.state.playing.store(false, Relaxed);
    }
}
