//! Keeps a mix within full scale without clipping it.
//!
//! The frame is looked at in pieces of 0.5 ms. Each piece says which gain would keep its peak under the ceiling; the gain at a border is the
//! smaller of both neighbours' and moves in a straight line between borders, so inside a frame no sample can pass the ceiling. It falls at
//! once, stays for 10 ms (half a period of the lowest voice, so that it does not ripple with the wave) and recovers slowly (about 100 ms). No look-ahead, hence no delay; the price is that a peak in the very first piece of a frame meets
//! a gain that is still on its way down. Those few samples, 0.5 ms at most, are clamped.
//!
//! Channels, interleaved, get the same gain, so that nothing moves from one side to the other.

use crate::frame::SAMPLES_PER_MS;

/// -0.26 dB: room for a resampler or a codec behind us.
pub const CEILING: f32 = 0.97;

const PIECE_SAMPLES: usize = SAMPLES_PER_MS / 2;

/// Part of the missing gain that comes back per piece: a time constant of 200 pieces.
const RECOVERY: f32 = 0.005;

const HOLD_PIECES: u32 = 20;

#[derive(Debug, Clone)]
pub struct Limiter {
    channels: usize,
    gain: f32,
    /// Pieces since the gain was needed.
    unneeded: u32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self::for_channels(1)
    }
}

impl Limiter {
    pub fn for_channels(channels: usize) -> Self {
        Self { channels, gain: 1.0, unneeded: 0 }
    }

    /// Limits one frame in place. Values that are not finite become silence.
    pub fn apply(&mut self, samples: &mut [f32]) {
        self.limit(samples, self.channels);
    }

    /// The same for a frame that has two channels, whatever those before it had.
    pub fn apply_to_pairs(&mut self, samples: &mut [f32]) {
        self.limit(samples, 2);
    }

    fn limit(&mut self, samples: &mut [f32], channels: usize) {
        // Looks at every sample rather than up to the first loud one, because that goes by vectors.
        if self.gain == 1.0 && samples.iter().fold(true, |is_quiet, sample| is_quiet & (sample.abs() <= CEILING)) {
            return;
        }
        let piece_samples = PIECE_SAMPLES * channels;
        let pieces = samples.len().div_ceil(piece_samples);
        let first_end = piece_samples.min(samples.len());
        let mut wanted = wanted_gain(&mut samples[..first_end]);
        for piece in 0..pieces {
            let start = piece * piece_samples;
            let end = (start + piece_samples).min(samples.len());
            let following_end = (end + piece_samples).min(samples.len());
            let following = &mut samples[end..following_end];
            let next = if following.is_empty() { wanted } else { wanted_gain(following) };
            let goal = self.recovered().min(wanted).min(next);
            self.unneeded = if goal < self.gain || wanted <= self.gain { 0 } else { self.unneeded + 1 };
            ramp(&mut samples[start..end], self.gain, goal);
            self.gain = goal;
            wanted = next;
        }
    }

    /// The gain if this piece does not need it.
    fn recovered(&self) -> f32 {
        if self.unneeded < HOLD_PIECES {
            return self.gain;
        }
        let recovered = self.gain + (1.0 - self.gain) * RECOVERY;
        if recovered > 0.9999 { 1.0 } else { recovered }
    }
}

/// The gain that keeps a piece under the ceiling.
fn wanted_gain(piece: &mut [f32]) -> f32 {
    let mut peak = 0f32;
    for sample in piece {
        if !sample.is_finite() {
            *sample = 0.0;
        }
        peak = peak.max(sample.abs());
    }
    if peak > CEILING { CEILING / peak } else { 1.0 }
}

fn ramp(piece: &mut [f32], from: f32, to: f32) {
    let step = (to - from) / piece.len() as f32;
    for (i, sample) in piece.iter_mut().enumerate() {
        *sample = (*sample * (from + step * (i + 1) as f32)).clamp(-CEILING, CEILING);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32, samples: usize) -> Vec<f32> {
        (0..samples).map(|i| amplitude * (i as f32 * 0.05).sin()).collect()
    }

    #[test]
    fn quiet_sound_passes_untouched() {
        let mut limiter = Limiter::default();
        let mut samples = tone(0.9, 4800);
        limiter.apply(&mut samples);
        assert_eq!(samples, tone(0.9, 4800));
    }

    #[test]
    fn loud_sound_stays_under_the_ceiling_and_is_not_squared_off() {
        let mut limiter = Limiter::default();
        let mut samples = tone(4.0, 48_000);
        for frame in samples.chunks_mut(480) {
            limiter.apply(frame);
        }
        assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
        let flat = samples.windows(2).filter(|pair| pair[0].abs() == CEILING && pair[1].abs() == CEILING).count();
        assert!(flat < 30, "{flat} clamped samples");
    }

    #[test]
    fn gain_comes_back() {
        let mut limiter = Limiter::default();
        limiter.apply(&mut tone(4.0, 480));
        let mut last = Vec::new();
        for _ in 0..200 {
            last = tone(0.5, 480);
            limiter.apply(&mut last);
        }
        assert_eq!(last, tone(0.5, 480));
    }

    #[test]
    fn not_a_number_becomes_silence() {
        let mut samples = vec![f32::NAN, f32::INFINITY, 2.0, 0.1];
        Limiter::default().apply(&mut samples);
        assert!(samples.iter().all(|sample| sample.is_finite() && sample.abs() <= CEILING));
    }
}
