//! Loudness that moves without a click: every change is a straight ramp of 20 ms.

use crate::frame::SAMPLES_PER_MS;

/// Length of a ramp. Shorter ones are heard as a click, longer ones as a slow hand.
const RAMP_SAMPLES: usize = 20 * SAMPLES_PER_MS;

/// Range that a person may ask for, in dB. At the lower end it is silence to the ear.
pub const GAIN_RANGE_DB: (f32, f32) = (-60.0, 12.0);

#[derive(Debug, Clone)]
pub struct Gain {
    now: f32,
    target: f32,
    step: f32,
    /// Of all channels together.
    ramp_samples: usize,
    ramp_left: usize,
}

impl Gain {
    /// Starts at `factor` (1 = unchanged) without a ramp.
    pub fn new(factor: f32) -> Self {
        Self::for_channels(factor, 1)
    }

    /// The same for interleaved samples.
    pub fn for_channels(factor: f32, channels: usize) -> Self {
        Self { now: factor, target: factor, step: 0.0, ramp_samples: RAMP_SAMPLES * channels, ramp_left: 0 }
    }

    /// Moves to `gain_db`, clamped to [`GAIN_RANGE_DB`]; a value that is not a number changes nothing.
    pub fn set_db(&mut self, gain_db: f32) {
        if gain_db.is_nan() {
            return;
        }
        let clamped = gain_db.clamp(GAIN_RANGE_DB.0, GAIN_RANGE_DB.1);
        self.set_factor(10f32.powf(clamped / 20.0));
    }

    pub fn set_factor(&mut self, factor: f32) {
        self.target = factor;
        self.ramp_left = self.ramp_samples;
        self.step = (factor - self.now) / self.ramp_samples as f32;
    }

    /// Goes there without a ramp, where nothing is heard of it.
    pub fn jump(&mut self, factor: f32) {
        (self.now, self.target, self.ramp_left) = (factor, factor, 0);
    }

    /// Jumps to silence, so that what comes next is faded in.
    pub fn start_from_silence(&mut self) {
        self.now = 0.0;
        self.set_factor(self.target);
    }

    /// Whether it is not yet where it was sent.
    pub fn is_moving(&self) -> bool {
        self.ramp_left > 0
    }

    /// Whether it has come down to nothing.
    pub fn is_silent(&self) -> bool {
        self.now == 0.0 && self.ramp_left == 0
    }

    pub fn apply(&mut self, samples: &mut [f32]) {
        let ramped = self.ramp_left.min(samples.len());
        let (ramp, rest) = samples.split_at_mut(ramped);
        for sample in ramp {
            self.now += self.step;
            *sample *= self.now;
        }
        self.ramp_left -= ramped;
        if self.ramp_left == 0 {
            self.now = self.target;
        }
        if self.now != 1.0 {
            rest.iter_mut().for_each(|sample| *sample *= self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_ramp_of_20_ms_without_steps() {
        let mut gain = Gain::new(1.0);
        gain.set_db(-60.0);
        let mut samples = vec![1.0; 1200];
        for block in samples.chunks_mut(480) {
            gain.apply(block);
        }
        let largest_step = samples.windows(2).map(|pair| (pair[0] - pair[1]).abs()).fold(0.0, f32::max);
        assert!(largest_step < 1.5 / 960.0, "{largest_step}");
        assert!((samples[479] - 0.5).abs() < 0.01);
        assert!((samples[960] - 0.001).abs() < 1e-4);
    }

    #[test]
    fn wild_requests_are_clamped() {
        let mut gain = Gain::new(1.0);
        gain.set_db(f32::INFINITY);
        gain.set_db(f32::NAN);
        let mut samples = vec![1.0; 2000];
        gain.apply(&mut samples);
        assert!((samples[1999] - 3.981).abs() < 0.001);
    }
}
