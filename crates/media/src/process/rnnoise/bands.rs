//! 10 ms frames as spectra, and spectra as 32 bands: about as wide as the ear's, overlapping triangles up to 20 kHz.

use std::f64::consts::PI;
use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::frame::PULL_SAMPLES;

pub const BAND_COUNT: usize = 32;
pub type Bands = [f32; BAND_COUNT];

pub const WINDOW: usize = 2 * PULL_SAMPLES;
const BINS: usize = PULL_SAMPLES + 1;
pub type Spectrum = [Complex32; BINS];
pub const NO_SPECTRUM: Spectrum = [Complex32::ZERO; BINS];

/// Bins of 50 Hz at which a band has its peak, between where the first begins and the last ends. The network was trained with these.
const PEAKS: [usize; BAND_COUNT + 2] = [
    0, 2, 4, 6, 8, 10, 12, 15, 18, 21, 24, 28, 32, 36, 41, 47, 53, 60, 68, 77, 87, 98, 110, 124, 140, 157, 176, 198,
    223, 251, 282, 317, 356, 400,
];

/// Of the network's training, in whose first version there were 22 bands.
const COSINES_SCALE: f32 = 0.301_511_35;

pub struct Transform {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    scratch: Vec<Complex32>,
    window: [f32; WINDOW],
    cosines: [Bands; BAND_COUNT],
}

impl Transform {
    pub fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(WINDOW), planner.plan_fft_inverse(WINDOW));
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            forward,
            inverse,
            scratch: vec![Complex32::ZERO; scratch],
            window: std::array::from_fn(|number| {
                let rise = (PI * (number as f64 + 0.5) / WINDOW as f64).sin();
                (0.5 * PI * rise * rise).sin() as f32
            }),
            cosines: std::array::from_fn(|wave| {
                std::array::from_fn(|band| {
                    let angle = (band as f64 + 0.5) * wave as f64 * PI / BAND_COUNT as f64;
                    let share = if wave == 0 { 0.5f64.sqrt() } else { angle.cos() };
                    share as f32 * COSINES_SCALE
                })
            }),
        }
    }

    pub fn spectrum_of(&mut self, samples: &[f32]) -> Spectrum {
        let mut windowed: [f32; WINDOW] = std::array::from_fn(|number| samples[number] * self.window[number]);
        let mut spectrum = NO_SPECTRUM;
        self.forward.process_with_scratch(&mut windowed, &mut spectrum, &mut self.scratch).expect("sizes are constant");
        spectrum.map(|bin| bin / WINDOW as f32)
    }

    /// Windowed again: half of it overlaps with the frame before, half with the next.
    pub fn samples_of(&mut self, mut spectrum: Spectrum) -> [f32; WINDOW] {
        spectrum[0].im = 0.0;
        spectrum[BINS - 1].im = 0.0;
        let mut samples = [0.0; WINDOW];
        self.inverse.process_with_scratch(&mut spectrum, &mut samples, &mut self.scratch).expect("sizes are constant");
        std::array::from_fn(|number| samples[number] * self.window[number])
    }

    /// How the bands differ: the discrete cosine transform.
    pub fn cosines_of(&self, bands: &Bands) -> Bands {
        self.cosines.map(|cosines| super::dot(&cosines, bands))
    }
}

/// Of each band; of a spectrum with itself it is the energy.
pub fn correlation(one: &Spectrum, other: &Spectrum) -> Bands {
    let mut sums = [0.0; BAND_COUNT + 2];
    for (number, edges) in PEAKS.windows(2).enumerate() {
        let width = (edges[1] - edges[0]) as f32;
        for bin in edges[0]..edges[1] {
            let product = one[bin].re * other[bin].re + one[bin].im * other[bin].im;
            let share = (bin - edges[0]) as f32 / width;
            sums[number] += (1.0 - share) * product;
            sums[number + 1] += share * product;
        }
    }
    // The outermost have what lies beyond their peaks, too.
    sums[1] = (sums[0] + sums[1]) * 2.0 / 3.0;
    sums[BAND_COUNT] = (sums[BAND_COUNT] + sums[BAND_COUNT + 1]) * 2.0 / 3.0;
    std::array::from_fn(|band| sums[band + 1])
}

/// Of each bin, drawn straight between the peaks; none above 20 kHz.
pub fn per_bin(bands: &Bands) -> [f32; BINS] {
    let mut bins = [0.0; BINS];
    bins[..PEAKS[1]].fill(bands[0]);
    bins[PEAKS[BAND_COUNT]..PEAKS[BAND_COUNT + 1]].fill(bands[BAND_COUNT - 1]);
    for (edges, values) in PEAKS[1..].windows(2).zip(bands.windows(2)) {
        let width = (edges[1] - edges[0]) as f32;
        for (number, bin) in bins[edges[0]..edges[1]].iter_mut().enumerate() {
            *bin = values[0] + (values[1] - values[0]) * number as f32 / width;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spectrum_becomes_what_it_was() {
        let mut transform = Transform::new();
        let samples: Vec<f32> = (0..3 * PULL_SAMPLES).map(|number| (number as f32 * 0.37).sin()).collect();
        let [first, second] = [0, PULL_SAMPLES].map(|start| transform.spectrum_of(&samples[start..start + WINDOW]));
        let (first, second) = (transform.samples_of(first), transform.samples_of(second));
        for number in 0..PULL_SAMPLES {
            let sum = first[PULL_SAMPLES + number] + second[number];
            assert!((sum - samples[PULL_SAMPLES + number]).abs() < 1e-4, "sample {number}");
        }
    }

    #[test]
    fn a_gain_of_all_bands_is_one_of_all_bins_up_to_20_khz() {
        let bins = per_bin(&[0.5; BAND_COUNT]);
        assert!(bins[..400].iter().all(|bin| *bin == 0.5));
        assert!(bins[400..].iter().all(|bin| *bin == 0.0));
    }
}
