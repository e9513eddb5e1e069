//! RNNoise as it is since 2024: a recurrent network decides over 32 bands, 10 ms at a time, what is voice.
//!
//! ```text
//! 10 ms ─▶ spectrum ─▶ 32 energies ───┐
//!     └─▶ pitch ─▶ spectrum one       ├─▶ network ─▶ 32 gains, is it a voice
//!         period ago ─▶ likeness ─────┘                  │
//! spectrum of the frame before ─▶ comb at the pitch ─▶ gains ─▶ 10 ms
//! ```
//!
//! The network was trained by Xiph (weights of October 2024, BSD-3-Clause, from the wheel of pyrnnoise 0.4.5); what surrounds it follows
//! Valin, "A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement" (2018), and has to be what it was trained with.
//! Samples are of 16 bits' scale.

mod bands;
mod network;
mod pitch;

use super::Samples;
use crate::frame::PULL_SAMPLES;
use bands::{BAND_COUNT, Bands, NO_SPECTRUM, Spectrum, Transform, WINDOW, correlation, per_bin};
use network::{FEATURES, Network};
use pitch::{HISTORY, PitchFinder};

/// Delays by 20 ms: a frame of overlap, and one that the network sees ahead.
pub struct RnNoise {
    transform: Transform,
    network: Network,
    pitch: PitchFinder,
    steady: [f32; 2],
    history: [f32; HISTORY],
    overlap: [f32; PULL_SAMPLES],
    /// The frame before: what is given out.
    delayed: Frame,
    last_gains: Bands,
}

struct Frame {
    spectrum: Spectrum,
    /// As it was a pitch period before.
    earlier: Spectrum,
    energy: Bands,
    earlier_energy: Bands,
    /// Of the two, 1 at most.
    likeness: Bands,
    period: usize,
}

/// The sum of a frame's energies below which there is nothing to decide.
const SILENCE: f32 = 0.04;
/// What is left of a gain a frame later, at least. Xiph has 0.6; slower keeps more of a voice that begins to be taken for noise, in babble
/// most of all (DNSMOS over other voices than the benchmark's: 0.69 more than noisy, 0.77 so).
const FALL: f32 = 0.85;

impl RnNoise {
    pub fn new() -> Self {
        let nothing = Frame {
            spectrum: NO_SPECTRUM,
            earlier: NO_SPECTRUM,
            energy: [0.0; BAND_COUNT],
            earlier_energy: [0.0; BAND_COUNT],
            likeness: [0.0; BAND_COUNT],
            period: 0,
        };
        Self {
            transform: Transform::new(),
            network: Network::new(),
            pitch: PitchFinder::default(),
            steady: [0.0; 2],
            history: [0.0; HISTORY],
            overlap: [0.0; PULL_SAMPLES],
            delayed: nothing,
            last_gains: [0.0; BAND_COUNT],
        }
    }

    /// In place; returns how likely it is a voice.
    pub fn process(&mut self, samples: &mut Samples) -> f32 {
        let frame = self.analyse(samples);
        let mut voice = 0.0;
        if frame.energy.iter().sum::<f32>() >= SILENCE {
            let gains;
            (gains, voice) = self.network.run(&self.features_of(&frame));
            comb(&mut self.delayed, &gains);
            let mut applied = gains;
            for (band, gain) in applied.iter_mut().enumerate() {
                *gain = gain.max(FALL * self.last_gains[band]);
                // What rises less than its band does was not let through longer for that.
                let change = (self.delayed.energy[band] + 1e-3) / (frame.energy[band] + 1e-3);
                self.last_gains[band] = (*gain * change).min(1.0);
            }
            for (bin, gain) in self.delayed.spectrum.iter_mut().zip(per_bin(&applied)) {
                *bin *= gain;
            }
        }
        let given = self.transform.samples_of(std::mem::replace(&mut self.delayed, frame).spectrum);
        for (number, sample) in samples.iter_mut().enumerate() {
            *sample = given[number] + self.overlap[number];
        }
        self.overlap.copy_from_slice(&given[PULL_SAMPLES..]);
        voice
    }

    fn analyse(&mut self, samples: &Samples) -> Frame {
        self.history.copy_within(PULL_SAMPLES.., 0);
        let newest = &mut self.history[HISTORY - PULL_SAMPLES..];
        newest.copy_from_slice(samples);
        take_out_what_is_steady(newest, &mut self.steady);
        let start = HISTORY - WINDOW;
        let spectrum = self.transform.spectrum_of(&self.history[start..]);
        let period = self.pitch.period(&self.history);
        let earlier = self.transform.spectrum_of(&self.history[start - period..]);
        let (energy, earlier_energy) = (correlation(&spectrum, &spectrum), correlation(&earlier, &earlier));
        let mut likeness = correlation(&spectrum, &earlier);
        for (band, likeness) in likeness.iter_mut().enumerate() {
            *likeness /= (0.001 + energy[band] * earlier_energy[band]).sqrt();
        }
        Frame { spectrum, earlier, energy, earlier_energy, likeness, period }
    }

    fn features_of(&self, frame: &Frame) -> [f32; FEATURES] {
        let (mut loudest, mut follow) = (-2.0f32, -2.0f32);
        let levels = frame.energy.map(|energy| {
            // 70 dB below the loudest band so far, or 15 dB a band below the one before, is silence enough.
            let level = (energy + 1e-2).log10().max(follow - 1.5).max(loudest - 7.0);
            loudest = loudest.max(level);
            follow = (follow - 1.5).max(level);
            level
        });
        let mut features = [0.0; FEATURES];
        features[..BAND_COUNT].copy_from_slice(&self.transform.cosines_of(&levels));
        features[0] -= 12.0;
        features[1] -= 4.0;
        features[BAND_COUNT..2 * BAND_COUNT].copy_from_slice(&self.transform.cosines_of(&frame.likeness));
        features[2 * BAND_COUNT] = 0.01 * (frame.period as f32 - 300.0);
        features
    }
}

/// Adds what was a pitch period before, where the voice is alike to it and much is to be taken away: noise between the voice's harmonics
/// is not alike. The energy stays.
fn comb(frame: &mut Frame, gains: &Bands) {
    let shares: Bands = std::array::from_fn(|band| {
        let (likeness, gain) = (frame.likeness[band], gains[band]);
        let share = if likeness > gain {
            1.0
        } else {
            let (likeness, gain) = (likeness * likeness, gain * gain);
            (likeness * (1.0 - gain) / (0.001 + gain * (1.0 - likeness))).clamp(0.0, 1.0)
        };
        share.sqrt() * (frame.energy[band] / (1e-8 + frame.earlier_energy[band])).sqrt()
    });
    for ((bin, earlier), share) in frame.spectrum.iter_mut().zip(&frame.earlier).zip(per_bin(&shares)) {
        *bin += earlier * share;
    }
    let now = correlation(&frame.spectrum, &frame.spectrum);
    let factors: Bands = std::array::from_fn(|band| (frame.energy[band] / (1e-8 + now[band])).sqrt());
    for (bin, factor) in frame.spectrum.iter_mut().zip(per_bin(&factors)) {
        *bin *= factor;
    }
}

/// A high-pass at 30 Hz.
fn take_out_what_is_steady(samples: &mut [f32], state: &mut [f32; 2]) {
    let [mut first, mut second] = state.map(f64::from);
    for sample in samples {
        let given = f64::from(*sample);
        let out = given + first;
        first = second - 2.0 * given + 1.995_99 * out;
        second = given - 0.996 * out;
        *sample = out as f32;
    }
    *state = [first as f32, second as f32];
}

/// Sums of eight: in one only, each product would wait for the one before.
fn dot(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (ones, others) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest: f32 = ones.remainder().iter().zip(others.remainder()).map(|(one, other)| one * other).sum();
    for (one, other) in ones.zip(others) {
        for number in 0..8 {
            sums[number] += one[number] * other[number];
        }
    }
    sums.iter().sum::<f32>() + rest
}
